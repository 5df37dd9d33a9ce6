"""A file in, a folder of stems out, whatever its length: what the command line and the page's API do with one recording.

Stems are first written as 32-bit floats, because whether anything clips is known only at the end; then one common gain brings
all of them below full scale, if that is needed at all. The null figure is measured on what was finally written.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from separation.audio import Writer, export, open_reader
from separation.engine.delivery import null_db
from separation.engine.edits import Edited
from separation.engine.memory import Carried
from separation.engine.options import RESIDUAL, Options, Progress, Report, together
from separation.engine.pitches import Pitches, pitch_side
from separation.engine.references import REFERENCES, reference_side
from separation.engine.run import run
from separation.errors import ModelError
from separation.models import PitchSeparator, Separator

FLOAT = "32f"


@dataclass(frozen=True)
class Separated:
    """What was written.

    Args:
        files: by track.
        gain: the common gain that was applied; 1.0 if none was needed.
        null_db: level of mixture minus stems below the mixture, of the written files; None where it says nothing (a
            selection of sources, a gain, a lossy format).
        report: the engine's.
        notes: sentences for the user.
    """

    files: dict[str, Path]
    gain: float
    null_db: float | None
    report: Report
    notes: tuple[str, ...]


def separate_file(
    separator: Separator,
    recording: Path,
    folder: Path,
    *,
    format: str = "wav",
    bit_depth: str = "24",
    sources: Sequence[str] | None = None,
    residual: bool = False,
    references: Mapping[str, Path] | None = None,
    pitches: Pitches | None = None,
    options: Options = Options(),  # noqa: B008  (frozen)
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    carried: Carried | None = None,
) -> Separated:
    """Separate `recording` into ``folder/SOURCE.FORMAT``, at its own rate, channels and length.

    Args:
        sources: which stems; all by default.
        residual: write the mixture minus the raw estimates too.
        references: the true sources by name, for a separator that needs them; its estimates are written as they are.
        pitches: the pitch of every voice, for a separator that goes by it (and has these voices for sources: `pitches.told`).
        carried: what a stateful separator begins with, and afterwards ended with.

    Raises:
        ModelError: a source is not one of the model's.
        SeparationError: whatever reading, running or writing raises; nothing half-written stays.
    """
    names = [*_chosen(separator, sources), *([RESIDUAL] if residual else [])]
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".earshot-", dir=folder) as scratch, ExitStack() as stack:
        reader = stack.enter_context(open_reader(recording, scratch=Path(scratch)))
        side = None
        if REFERENCES in separator.spec.needs:
            truths = {
                name: stack.enter_context(open_reader(path, scratch=Path(scratch)))
                for name, path in (references or {}).items()
            }
            side = reference_side(truths, separator.spec, mixture=reader)
            options = replace(options, consistency=False)  # to make them add up would improve on an oracle
        if separator.spec.partial:
            options = replace(options, consistency=False)
        inner = separator.separator if isinstance(separator, Edited) else separator
        if isinstance(inner, PitchSeparator) and pitches is not None:
            duration = reader.length / reader.sample_rate
            pitches.check(recording.name, duration)
            side = together(side, pitch_side(inner, pitches, start=0.0, duration=duration))
        with ExitStack() as writing:
            raw = {
                name: writing.enter_context(
                    Writer(
                        Path(scratch) / f"{name}.wav",
                        reader.sample_rate,
                        reader.channels,
                        bit_depth=FLOAT,
                        length=reader.length,
                    )
                )
                for name in names
            }
            report = run(
                separator,
                reader,
                raw,
                options=options,
                progress=progress,
                cancelled=cancelled,
                side=side,
                carried=carried,
            )
        exact = format == "wav" and bit_depth == FLOAT  # floats hold what lies beyond full scale
        gain = 1.0 if exact else report.gain
        files = {}
        for name in names:
            with open_reader(Path(scratch) / f"{name}.wav") as track:
                files[name] = export(track, folder / f"{name}.{format}", format=format, bit_depth=bit_depth, gain=gain)
        adds_up = sources is None and gain == 1.0 and format != "mp3"
        summed = [stack.enter_context(open_reader(p)) for p in _summed(separator, files, options)] if adds_up else []
        level = null_db(reader, summed) if summed else None
    return Separated(files, gain, level, report, (*reader.info.notes, *report.messages))


def _chosen(separator: Separator, sources: Sequence[str] | None) -> list[str]:
    known = separator.spec.sources
    unknown = [name for name in sources or () if name not in known]
    if unknown:
        raise ModelError(
            f"Write {', '.join(unknown)}", "the model has no such source", f"Choose from {', '.join(known)}"
        )
    return [name for name in known if sources is None or name in sources]


def _summed(separator: Separator, files: dict[str, Path], options: Options) -> list[Path]:
    """The files that are meant to add up to the mixture; none if the residual is one of them and was not written."""
    if options.consistency and len(separator.spec.sources) > 1:
        return [path for name, path in files.items() if name != RESIDUAL]
    return list(files.values()) if RESIDUAL in files else []
