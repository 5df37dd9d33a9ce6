"""Answers as files, and back: for statistics programs, for other listening-test tools, for backups, for training.

    csv, parquet   one tidy table, a row an `Answer`, nothing lost
    events         JSON lines, one an event as it was stored: what listeners did, second by second
    webmushra      the CSV files that webMUSHRA's server writes; pymushra: the one that pymushra makes of them (`other_tools`)
    p808           vote tables of the P.808 toolkit (`other_tools`)
    preferences    pairs of sounds, the preferred and the other, as a folder that `datasets` loads (`preferences`)

What is read back is what was written, to the last bit of a number; a format that cannot say something says what it left out.
Raw answers are exported, never what screening left of them: who was excluded is in the report, and can be computed again.
"""

import csv
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from separation.audio.files import appearing
from separation.errors import StudyError
from separation.listening import other_tools, preferences
from separation.listening.answers import Answer, Purpose
from separation.listening.prepared import Prepared
from separation.listening.study import Study
from separation.ratings.export import Exported, in_folder
from separation.ratings.records import canonical

FORMATS = {
    "csv": "one tidy table, a row an answer",
    "parquet": "the same table for pandas, Polars, R and DuckDB",
    "events": "JSON lines of everything that listeners did",
    "webmushra": "CSV files as webMUSHRA's server writes them",
    "pymushra": "one CSV file as pymushra writes it",
    "p808": "votes per worker, clip and condition, as the P.808 toolkit writes them",
    "preferences": "pairs of sounds, preferred and other, that `datasets` loads",
}
FOLDERS = ("webmushra", "p808", "preferences")
"""Formats that are a folder; the others are a file."""
KINDS = {"pymushra": ("mushra",), "webmushra": other_tools.WEBMUSHRA, "p808": other_tools.VOTED}
"""Kinds of questions that a format has, where it does not have all."""
READABLE = ("csv", "parquet", "webmushra", "pymushra", "p808")
"""Formats that `read` reads."""

ANSWERS = pa.schema(
    [
        pa.field(name, {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}[kind], nullable)
        for name, kind, nullable in (
            ("listener", "str", False), ("trial", "str", False), ("index", "int", False), ("question", "str", False),
            ("kind", "str", False), ("item", "str", False), ("group", "str", False), ("attribute", "str", False),
            ("condition", "str", False), ("other", "str", False), ("value", "float", True), ("text", "str", True),
            ("position", "int", False), ("purpose", "str", False), ("repeat_of", "str", True),
            ("expected", "float", True), ("tolerance", "float", False), ("seconds", "float", False),
            ("played", "float", False), ("switches", "int", False), ("moved", "bool", False), ("made", "float", False),
        )
    ]
)  # fmt: skip
_RISKY = ("=", "+", "-", "@", "\t", "\r", "'")
"""How a spreadsheet's formula may begin; such text gets an apostrophe before it, and loses it when it is read."""


class Read(NamedTuple):
    """What a file said.

    Args:
        answers: in the file's order.
        forms: what listeners said beside, listener -> field -> words; only webMUSHRA's and pymushra's files have it.
    """

    answers: list[Answer]
    forms: Mapping[str, Mapping[str, str]] = MappingProxyType({})


def export(
    study: Study,
    answers: Sequence[Answer],
    output: Path,
    format: str,
    *,
    events: Iterable[Mapping[str, Any]] = (),
    forms: other_tools.Forms = {},
    prepared: Prepared | None = None,
    consented: Collection[str] = (),
    provenance: Mapping[str, str] = {},
) -> Exported:
    """Write answers to `output`, a file or (`FOLDERS`) a folder, which appears when it is complete.

    Args:
        study: that they are of.
        answers: raw.
        format: one of `FORMATS`.
        events: for ``events``.
        forms: what listeners said in questionnaires, for ``webmushra`` and ``pymushra``.
        prepared: the study's audio, for ``preferences``.
        consented: listeners who allow training with their answers; ``preferences`` has nobody else's.
        provenance: what else a row of ``preferences`` says, e.g. ``licence``.

    Raises:
        StudyError: no such format, something is there already, or the audio is missing.
        DiskFull: there is no room; nothing is left.
    """
    asked = f"Export the study {study.name} as {format}"
    if format not in FORMATS:
        raise StudyError(asked, "there is no such format", f"Choose from {', '.join(FORMATS)}")
    if output.exists():
        raise StudyError(asked, f"{output} is there already", "Give a new name, or delete it first")
    if format == "preferences":
        if prepared is None:
            raise StudyError(asked, "its audio was not handed in", "Build the study first")
        audio = prepared
        return in_folder(
            output,
            lambda folder: preferences.write(study, answers, audio, folder, consented=consented, provenance=provenance),
        )
    lacks = lacking(study, answers, format)
    if lacks:
        raise StudyError(asked, lacks, "Take csv or parquet: they have everything")
    if format == "webmushra":
        return in_folder(output, lambda folder: other_tools.write_webmushra(study, answers, folder, forms=forms))
    if format == "p808":
        return in_folder(output, lambda folder: other_tools.write_p808(answers, folder))
    with appearing(output) as temporary:
        if format == "events":
            return Exported({"events": write_events(events, temporary)})
        if format == "pymushra":
            return other_tools.write_pymushra(study, answers, temporary, forms=forms)
        (write_csv if format == "csv" else write_parquet)(answers, temporary)
        return Exported({"answers": len(answers)})


def lacking(study: Study, answers: Sequence[Answer], format: str, *, consented: Collection[str] = ()) -> str:
    """Why there is nothing to write in a format, in words; "" if there is something, or the format writes empty files."""
    kinds = KINDS.get(format)
    if kinds is not None and not other_tools.sayable(answers, kinds)[0]:
        return f"it has no answers to questions of the kinds {', '.join(kinds)}"
    if format == "preferences" and not consented:
        return f"none of the listeners has ticked `{preferences.CONSENT}`, which allows training with the answers"
    if format == "preferences" and not preferences.preferences(study, answers, consented):
        return f"none of the {len(consented)} listeners who allow training compared two systems"
    return ""


def read(path: Path, format: str, study: Study) -> Read:
    """Read answers that this or another program wrote.

    Args:
        path: a file, or (`FOLDERS`) a folder.
        format: one of `READABLE`.
        study: that they are of; its ids stand for the names in the file.

    Raises:
        StudyError: it cannot be read, with the file and the line.
    """
    asked = f"Read answers from {path.name} as {format}"
    readers: dict[str, Callable[[], Read]] = {
        "csv": lambda: Read(read_csv(path)),
        "parquet": lambda: Read(read_parquet(path)),
        "webmushra": lambda: Read(*other_tools.read_webmushra(study, path)),
        "pymushra": lambda: Read(*other_tools.read_pymushra(study, path)),
        "p808": lambda: Read(other_tools.read_p808(study, path)),
    }
    if format not in readers:
        raise StudyError(asked, "this format cannot be read", f"Choose from {', '.join(READABLE)}")
    if path.is_dir() != (format in FOLDERS):
        found = "there is nothing" if not path.exists() else "it is a folder" if path.is_dir() else "it is a file"
        raise StudyError(asked, found, f"{format} is a {'folder' if format in FOLDERS else 'file'}")
    return readers[format]()


def write_csv(answers: Iterable[Answer], path: Path) -> None:
    """The tidy table. Nothing is an empty cell; text that looks like a formula has an apostrophe before it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)  # ends lines by CR LF, and so quotes either in a text
        writer.writerow(ANSWERS.names)
        writer.writerows([_cell(value) for value in asdict(answer).values()] for answer in answers)


def read_csv(path: Path) -> list[Answer]:
    """What `write_csv` wrote.

    Raises:
        StudyError: a column is missing, or a line is not an answer.
    """
    asked = f"Read answers from {path.name}"
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        try:
            head = next(lines, [])
            if head != ANSWERS.names:
                raise ValueError(f"its columns are {', '.join(head) or 'none'}, not {', '.join(ANSWERS.names)}")
            return [_answer({name: _value(name, cell) for name, cell in _row(head, line)}) for line in lines]
        except (ValueError, KeyError, TypeError, csv.Error) as error:
            found = f"line {max(lines.line_num, 1)}: {error}"
            raise StudyError(asked, found, "Take a file of `earshot study export`") from error


def write_parquet(answers: Sequence[Answer], path: Path) -> None:
    """The tidy table with its types (`ANSWERS`)."""
    pq.write_table(pa.Table.from_pylist([asdict(answer) for answer in answers], ANSWERS), path)


def read_parquet(path: Path) -> list[Answer]:
    """What `write_parquet` wrote.

    Raises:
        StudyError: it is another table, or none.
    """
    try:
        table = pq.read_table(path)
        if not table.schema.equals(ANSWERS):
            raise ValueError(f"its columns are {', '.join(table.schema.names)}, not {', '.join(ANSWERS.names)}")
        return [_answer(row) for row in table.to_pylist()]
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise StudyError(
            f"Read answers from {path.name}", str(error), "Take a file of `earshot study export --format parquet`"
        ) from error


def write_events(events: Iterable[Mapping[str, Any]], path: Path) -> int:
    """JSON lines, one an event, keys sorted; returns how many."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for count, event in enumerate(events, start=1):  # noqa: B007
            file.write(canonical(dict(event)) + "\n")
    return count


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """What `write_events` wrote.

    Raises:
        StudyError: a line is not a JSON object.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                event = json.loads(line)
            except ValueError as error:
                event = error
            if not isinstance(event, dict):
                asked = f"Read events from {path.name}"
                raise StudyError(asked, f"line {number} is no JSON object", "Take a file of `--format events`")
            yield event


def _row(head: Sequence[str], line: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(line) != len(head):
        raise ValueError(f"{len(line)} cells under {len(head)} columns")
    return zip(head, line, strict=True)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_RISKY) else value
    return repr(value)


def _value(name: str, cell: str) -> Any:
    field = ANSWERS.field(name)
    if pa.types.is_string(field.type):
        return None if field.nullable and not cell else cell.removeprefix("'")
    if not cell and field.nullable:
        return None
    if pa.types.is_boolean(field.type):
        return {"true": True, "false": False}[cell]
    return int(cell) if pa.types.is_integer(field.type) else float(cell)


def _answer(row: Mapping[str, Any]) -> Answer:
    """A row as an answer. An answer without a number is a text, if an empty one: a table of cells cannot tell."""
    values = dict(row)
    if values["value"] is None and values["text"] is None:
        values["text"] = ""
    if values["purpose"] not in get_args(Purpose):
        raise ValueError(f"{values['purpose']!r} is no purpose")
    assert {field.name for field in fields(Answer)} == set(values)
    return Answer(**values)
