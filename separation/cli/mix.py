"""`earshot mix`: a mixture from stems, and its stems beside it as they are in there: a track of a data set."""

import json
import re
from math import log10
from pathlib import Path
from typing import Annotated

import typer

from separation.cli.separate import BitDepth, Format
from separation.cli.shared import Json, app, talk
from separation.errors import DataError

_STEM = re.compile(r"(?:(?P<name>[^=]*)=)?(?P<file>.+?)(?:@(?P<level>[-+]?\d+(?:\.\d+)?)(?:dB)?)?")


@app.command()
def mix(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Gets mixture.EXT and NAME.EXT of every stem.")],
    stems: Annotated[list[str], typer.Argument(metavar="NAME=FILE@DB...", help="Stems; 0 dB where no level is said.")],
    format: Annotated[Format, typer.Option(help="Format of all files.")] = Format.wav,
    bit_depth: Annotated[BitDepth, typer.Option(help="16, 24, or 32f (float, WAV only).")] = BitDepth.twenty_four,
    as_json: Json = False,
) -> None:
    """Mix stems, each at its level. If the sum would clip, everything gets quieter by one common gain."""
    from separation.engine import write_mix

    done = write_mix(_read(stems), folder, format=format.value, bit_depth=bit_depth.value)
    if done.gain != 1.0:
        talk.print(f"everything is {-20 * log10(done.gain):.1f} dB quieter, because something would have clipped")
    talk.print(f"{', '.join(path.name for path in done.files.values())} -> {folder}", soft_wrap=True)
    if as_json:
        files = {name: str(path) for name, path in done.files.items()}
        print(json.dumps({"output": files, "gain": done.gain, "null_db": done.null_db}, indent=2, ensure_ascii=False))


def _read(stems: list[str]) -> dict[str, tuple[Path, float]]:
    """File and level by name; a file of that very name is one even if it ends like a level.

    Raises:
        DataError: it cannot be read, or two have one name.
    """
    from separation.engine.uploads import plain_name

    found: dict[str, tuple[Path, float]] = {}
    for text in stems:
        said = _STEM.fullmatch(text)
        if said is None:
            raise DataError(f"Mix {text}", "it names no file", "Write NAME=FILE or NAME=FILE@-6, the level in dB")
        name, path, level = said["name"], Path(said["file"]), float(said["level"] or 0)
        whole = Path(text.removeprefix(f"{name}=") if name is not None else text)
        if said["level"] is not None and whole.is_file():
            path, level = whole, 0.0
        name = plain_name(path.name, list(found)) if name is None else name
        if name in found:
            raise DataError(f"Mix {text}", f"two stems are called {name}", "Give each a name of its own: NAME=FILE")
        found[name] = (path, level)
    return found
