"""`earshot pitch`: the pitch tracks that models of voices go by, from stems or from a mixture."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from separation.cli.shared import Json, app, talk
from separation.errors import DataError


@app.command()
def pitch(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="A voice alone each; or a mixture, with --voices.")
    ],
    output: Annotated[Path, typer.Option(help="Folder for the tracks: OUTPUT/VOICE.csv, with the columns time,f0.")],
    voices: Annotated[
        int | None,
        typer.Option(help="FILE is a mixture of so many voices (2 to 6). Without it every FILE is one voice."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write what every voice sings: seconds and Hz, 0 where it is silent."""
    from separation.audio import open_reader
    from separation.engine.pitches import find_pitches, pitches_of_stems
    from separation.transforms import write_track

    if voices is not None and len(files) != 1:
        found = f"there are {len(files)} files"
        raise DataError(f"Find {voices} voices", found, "Give one mixture; or without --voices a file a voice")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=talk, transient=True) as bar, TemporaryDirectory(prefix="earshot-") as scratch:
        task = bar.add_task("pitch", total=1.0)

        def progress(fraction: float) -> None:
            bar.update(task, completed=fraction)

        tracks: dict[str, Any] = {}
        for path in files:
            with open_reader(path, scratch=Path(scratch)) as reader:
                if voices is not None:
                    tracks = dict(find_pitches(reader, voices, progress=progress).tracks)
                else:
                    name = _name(path, tracks)
                    tracks |= pitches_of_stems({name: reader}, progress=progress).tracks
    output.mkdir(parents=True, exist_ok=True)
    written = {name: write_track(output / f"{name}.csv", track) for name, track in tracks.items()}
    if as_json:
        voiced = {name: round(track.voiced, 4) for name, track in tracks.items()}
        listed = [{"voice": name, "file": str(path), "voiced": voiced[name]} for name, path in written.items()]
        print(json.dumps(listed, indent=2, ensure_ascii=False))
    for name, path in written.items():
        talk.print(f"{name} -> {path} (voiced {100 * tracks[name].voiced:.0f} %)", soft_wrap=True)


def _name(path: Path, taken: dict[str, Any]) -> str:
    """What a voice is called: as its file, told apart by a number, with characters that a track may have."""
    from separation.audio import safe_name

    plain = "".join(c if c.isalnum() or c in " -_" else "-" for c in safe_name(path.stem))[:50].strip() or "voice"
    return next(n for n in (plain, *(f"{plain}-{i}" for i in range(2, 10_000))) if n not in taken)
