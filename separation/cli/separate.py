"""`earshot separate`: what the page does with one recording, this does with a folder."""

import json
from collections.abc import Callable
from dataclasses import asdict
from enum import StrEnum
from math import log10
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from separation.cli.shared import Device, Json, app, talk
from separation.errors import DataError, SeparationError

if TYPE_CHECKING:
    from separation.engine import Options
    from separation.engine.memory import Carried
    from separation.engine.pitches import Pitches
    from separation.models.protocol import Separator


class Format(StrEnum):
    wav = "wav"
    flac = "flac"
    mp3 = "mp3"


class BitDepth(StrEnum):
    sixteen = "16"
    twenty_four = "24"
    float32 = "32f"


class Precision(StrEnum):
    auto = "auto"
    fp32 = "fp32"
    fp16 = "fp16"
    fast = "fast"


class Band(StrEnum):
    full = "full"
    model = "model"


@app.command()
def separate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings, or folders of them.")],
    output: Annotated[Path, typer.Option(help="Folder for the stems: OUTPUT/FILE-STEM/SOURCE.EXT.")],
    model: Annotated[str, typer.Option(help="A bundled model, a folder, or owner/name[@revision].")] = "vocals",
    format: Annotated[Format, typer.Option(help="Format of the stems.")] = Format.wav,
    bit_depth: Annotated[BitDepth, typer.Option(help="16, 24, or 32f (float, WAV only).")] = BitDepth.twenty_four,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = Device.auto,
    precision: Annotated[
        Precision,
        typer.Option(
            help="auto; fp32; fp16; or fast: fp16 and compiled. Half precision needs CUDA; what was used is said at the end."
        ),
    ] = Precision.auto,
    source: Annotated[list[str] | None, typer.Option(help="Write only this source; may be repeated.")] = None,
    residual: Annotated[bool, typer.Option(help="Write the mixture minus the raw estimates too.")] = False,
    band: Annotated[Band, typer.Option(help="full, or only what the model itself hears.")] = Band.full,
    consistency: Annotated[bool, typer.Option(help="Make the stems add up to the mixture.")] = True,
    sharpness: Annotated[
        float | None,
        typer.Option(help="Power of the sources' shares: below 1 more alike, above 1 more decided (0 to 64)."),
    ] = None,
    threshold_db: Annotated[
        float | None, typer.Option(help="A source this far below the strongest loses its share (0 to 120 dB).")
    ] = None,
    mute: Annotated[
        list[str] | None,
        typer.Option(help="Basis functions of a source, as vocals:0-40,55 or vocals:0-200Hz; may be repeated."),
    ] = None,
    intermediate: Annotated[bool, typer.Option(help="Leave out the stage after the masks.")] = False,
    reference: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE, a true source of the one recording, for --model oracle:irm2; may be repeated."),
    ] = None,
    pitch: Annotated[
        list[str] | None,
        typer.Option(
            help="VOICE=F0.csv, the pitch of a voice of the one recording (time,f0), for --model umss; repeated."
        ),
    ] = None,
    voices: Annotated[
        int | None,
        typer.Option(
            help="How many voices to find in a recording without --pitch, for --model umss (1 to 6; 4 if not said)."
        ),
    ] = None,
    memory: Annotated[
        Path | None,
        typer.Option(
            help="Go on with the voices in this file, and keep them there after each recording (models with a memory, as "
            "disentangled). It is begun if it is not there."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Separate recordings. A bad file is reported and the rest goes on; the exit status is then 1."""
    from separation.engine import Options, separate_file
    from separation.engine.memory import write_memory
    from separation.hub import load

    options = Options(device=device.value, precision=precision.value, band=band.value, consistency=consistency)
    results: list[dict[str, Any]] = []
    recordings = _recordings(files, output)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=talk,
        transient=True,
    ) as bar:
        truths = _references(reference or [])
        told = _oracle(model, truths, list(recordings))
        loaded = load(model, progress=_download_bar(bar, model)) if told is None else told
        pitches, named = _pitches(model, loaded, pitch or [], voices, len(recordings))
        separator, options = _edited(named, options, sharpness, threshold_db, mute or [], intermediate)
        carried = None if memory is None else _carried(memory, separator)
        for path, folder in recordings.items():
            task = bar.add_task(path.name)
            try:
                tracks = _found(path, voices, bar) if pitches is None and named is not loaded else pitches
                if tracks is not None and tracks is not pitches:
                    tracks.write(folder / "pitch")
                done = separate_file(
                    separator,
                    path,
                    folder,
                    format=format.value,
                    bit_depth=bit_depth.value,
                    sources=source,
                    residual=residual,
                    references=truths,
                    pitches=tracks,
                    options=options,
                    progress=lambda p, task=task: bar.update(task, completed=p.done, total=p.total),  # type: ignore[misc]
                    carried=carried,
                )
                if memory is not None and carried is not None:
                    write_memory(memory, separator, carried.state)
            except (SeparationError, OSError) as error:
                results.append(_failure(path, error))
                talk.print(f"[red]{path}[/red]: {error}", soft_wrap=True)
            else:
                results.append(
                    {
                        "input": str(path),
                        "output": {name: str(file) for name, file in done.files.items()},
                        "gain": done.gain,
                        "null_db": done.null_db,
                        "notes": list(done.notes),
                        "report": asdict(done.report),
                    }
                )
                _say_done(path, folder, results[-1])
            bar.remove_task(task)
    _finish(results, as_json)


def _references(words: list[str]) -> dict[str, Path]:
    """True sources by name.

    Raises:
        DataError: one is not NAME=FILE.
    """
    found: dict[str, Path] = {}
    for text in words:
        name, given, path = text.partition("=")
        if not (name and given and path):
            raise DataError(f"Take the reference {text}", "it has no name, or no file", "Write NAME=FILE")
        found[name] = Path(path)
    return found


def _oracle(model: str, references: dict[str, Path], recordings: list[Path]) -> "Separator | None":
    """The oracle of this name for the one recording; None for an ordinary model.

    Raises:
        DataError: references for an ordinary model, or for several recordings.
        JobError: an oracle without references.
    """
    from separation.audio import open_reader
    from separation.engine.references import check_told
    from separation.models import build_oracle, oracle_name

    oracle = oracle_name(model)
    if references and (oracle is None or len(recordings) != 1):
        found = f"{model} is a model that needs none" if oracle is None else f"there are {len(recordings)} recordings"
        raise DataError("Use the references", found, "Give them with one recording and --model oracle:irm2")
    if oracle is None:
        return None
    check_told(model, recordings[0].name, references)
    with open_reader(recordings[0]) as reader:
        return build_oracle(oracle, sources=tuple(references), sample_rate=reader.sample_rate)


def _pitches(
    model: str, separator: "Separator", words: list[str], voices: int | None, recordings: int
) -> "tuple[Pitches | None, Separator]":
    """The pitch tracks that were given, if any were; and the separator for the voices there will be.

    Raises:
        DataError: a word is not VOICE=FILE; pitch for an ordinary model or for several recordings, or both tracks and a number.
    """
    from separation.engine.pitches import VOICES, Pitches
    from separation.models import PITCH, with_voices
    from separation.transforms import read_track, voice_names

    if PITCH not in separator.spec.needs:
        if words or voices is not None:
            raise DataError(
                "Use the pitch of voices", f"{model} does not go by it", "Leave it out, or use --model umss"
            )
        return None, separator
    files: dict[str, Path] = {}
    for text in words:
        name, given, path = text.partition("=")
        if not (name and given and path) or name in files:
            raise DataError(
                f"Take the pitch track {text}", "it is no VOICE=FILE, or the second one", "Write VOICE=F0.csv"
            )
        files[name] = Path(path)
    if files and (recordings != 1 or voices is not None):
        found = f"there are {recordings} recordings" if recordings != 1 else f"{voices} voices are asked for as well"
        raise DataError("Use the pitch tracks", found, "Give tracks with one recording, or --voices without tracks")
    if not files:
        return None, with_voices(separator, voice_names(VOICES if voices is None else voices))
    pitches = Pitches({name: read_track(path) for name, path in files.items()}, "file")
    return pitches, with_voices(separator, pitches.names)


def _found(path: Path, voices: int | None, bar: Progress) -> "Pitches":
    """The pitch of every voice as it is found in a recording."""
    from tempfile import TemporaryDirectory

    from separation.audio import open_reader
    from separation.engine.pitches import VOICES, find_pitches

    task = bar.add_task(f"{path.name}: pitch", total=1.0)
    try:
        with TemporaryDirectory(prefix="earshot-") as scratch, open_reader(path, scratch=Path(scratch)) as reader:
            return find_pitches(
                reader,
                VOICES if voices is None else voices,
                progress=lambda fraction: bar.update(task, completed=fraction),
            )
    finally:
        bar.remove_task(task)


def _carried(memory: Path, separator: "Separator") -> "Carried":
    """What the separator goes on with.

    Raises:
        ModelError: the separator has no memory, or the file is that of another.
    """
    from separation.engine.memory import Carried, read_memory
    from separation.errors import ModelError

    if not separator.spec.stateful:
        found = "this model passes nothing from chunk to chunk"
        raise ModelError(f"Keep voices in {memory}", found, "Use a model with a memory, such as disentangled")
    return read_memory(memory, separator) if memory.exists() else Carried()


def _edited(
    separator: "Separator",
    options: "Options",
    sharpness: float | None,
    threshold_db: float | None,
    mute: list[str],
    intermediate: bool,
) -> "tuple[Separator, Options]":
    """The model with its masks changed, and how that is delivered; as it is where nothing was asked for.

    Raises:
        SeparationError: the model cannot be changed like this.
    """
    from separation.engine.editing import rows_of
    from separation.engine.edits import Edit, Edited, Rows

    muted: dict[str, set[int]] = {}
    for text in mute:
        rows = rows_of(text, separator)
        muted.setdefault(rows.source, set()).update(rows.basis)
    edit = Edit(
        threshold_db=threshold_db,
        sharpness=1.0 if sharpness is None else sharpness,
        muted=tuple(Rows(source, tuple(basis)) for source, basis in muted.items()),
        intermediate=intermediate,
    )
    return (separator, options) if edit == Edit() else (Edited(separator, edit), edit.delivered(options))


def _recordings(files: list[Path], output: Path) -> dict[Path, Path]:
    """Every recording with the folder for its stems; names that meet are told apart by suffix, then by number.

    Raises:
        DataError: a folder without audio.
    """
    from separation.audio import safe_name
    from separation.datasets.tracks import audio_files

    found: list[Path] = []
    for path in files:
        inside = audio_files(path) if path.is_dir() else [path]
        if not inside:
            raise DataError(f"Separate the recordings in {path}", "no audio file is in it", "Choose another folder")
        found += [p for p in inside if p not in found]
    folders: dict[Path, Path] = {}
    for path in found:
        names = [safe_name(path.stem), safe_name(path.name), *(safe_name(f"{path.name}-{i}") for i in range(2, 10_000))]
        taken = set(folders.values())
        folders[path] = next(output / name for name in names if output / name not in taken)
    return folders


def _download_bar(bar: Progress, model: str) -> Callable[[int, int], None]:
    tasks: list[Any] = []

    def show(done: int, total: int) -> None:
        if not tasks:
            tasks.append(bar.add_task(f"Fetching {model} ({total / 1e6:.1f} MB)", total=total))
        bar.update(tasks[0], completed=done, total=total)

    return show


def _failure(path: Path, error: SeparationError | OSError) -> dict[str, Any]:
    if isinstance(error, SeparationError):
        parts = {"asked": error.asked, "found": error.found, "advice": error.advice}
    else:
        parts = {"asked": f"Separate {path}", "found": str(error), "advice": "Check the file and the folder's rights"}
    return {"input": str(path), "error": parts}


def _say_done(path: Path, folder: Path, result: dict[str, Any]) -> None:
    report = result["report"]
    where = f"{report['device']}, {report['precision']}, {report['seconds']:.1f} s"
    talk.print(f"{path} -> {folder} ({where})", soft_wrap=True)
    if result["gain"] != 1.0:
        talk.print(f"  all stems {-20 * log10(result['gain']):.1f} dB quieter, because something would have clipped")
    for note in result["notes"]:
        talk.print(f"  {note}", soft_wrap=True)


def _finish(results: list[dict[str, Any]], as_json: bool) -> None:
    failed = [result for result in results if "error" in result]
    if as_json:
        print(json.dumps(results, indent=2, ensure_ascii=False))
    if failed:
        names = ", ".join(result["input"] for result in failed)
        talk.print(f"[red]{len(failed)} of {len(results)} could not be separated:[/red] {names}", soft_wrap=True)
        raise typer.Exit(1)
