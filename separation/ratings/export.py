"""What people said, as files: tidy tables for analysis, everything for a backup, a folder of audio for training.

    csv, parquet    a folder with the tables `RATINGS`, `MARKS` and `COMMENTS`, one row an answer, a mark, a comment
    jsonl           one file, lossless: a line a trial with its events as they are stored; `import_jsonl` reads it back
    datasets        a folder that ``datasets.load_dataset`` reads: the clips with their audio, and the tables, of trials whose
                    listeners consented to training; nobody else's

An export shows one moment of the store, in which withdrawn trials are no more. It holds no token, no name and no address.
What each column means: docs/ratings.md. This is no statistics; `separation.ratings.summary` counts.
"""

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from separation.audio import ArrayReader
from separation.audio import export as write_audio
from separation.audio.files import appearing, is_disk_full, temporary_name
from separation.errors import DiskFull, RatingError
from separation.ratings.clips import ClipStore
from separation.ratings.records import Answer, Trial, canonical, parse_event
from separation.ratings.store import Store, Stored
from separation.ratings.views import Rating, rating_of, said

VERSION = 1
FORMATS = ("csv", "jsonl", "parquet", "datasets")
UNKNOWN = "unknown"
_ROWS = 1000
"""Rows that are written at once."""
_CLIPS = 16
"""Clips that are written at once: at most 16 minutes of audio."""
_TIME = pa.timestamp("ms", "UTC")

# What every row says of the trial it belongs to.
_TRIAL: dict[str, pa.DataType] = {
    "trial": pa.string(), "listener": pa.string(), "kind": pa.string(), "served": _TIME, "subject": pa.string(),
    "model": pa.string(), "weights": pa.string(), "edit": pa.string(), "edit_of": pa.string(), "version": pa.string(),
    "consent": pa.bool_(), "stem": pa.string(),
}  # fmt: skip
_CLIP: dict[str, pa.DataType] = {"stem_clip": pa.string(), "mixture_clip": pa.string()}
RATINGS = pa.schema(
    _TRIAL
    | {
        "scale": pa.string(), "value": pa.int8(), "blind": pa.bool_(), "made": _TIME, "heard_stem": pa.float64(),
        "heard_solo": pa.float64(), "heard_loop": pa.float64(), "heard_other_take": pa.float64(), "heard_all": pa.float64(),
    }
    | _CLIP
)  # fmt: skip
MARKS = pa.schema(
    _TRIAL
    | {
        "mark": pa.string(), "start": pa.float64(), "end": pa.float64(), "label": pa.string(), "severity": pa.int8(),
        "low_hz": pa.float64(), "high_hz": pa.float64(), "blind": pa.bool_(), "made": _TIME, "clip_start": pa.float64(),
    }
    | _CLIP
)  # fmt: skip
COMMENTS = pa.schema(_TRIAL | {"text": pa.string()})
TABLES = {"ratings": RATINGS, "marks": MARKS, "comments": COMMENTS}
CLIPS = pa.schema(
    {
        "clip": pa.string(), "audio": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "sample_rate": pa.int32(),
        "channels": pa.int8(), "seconds": pa.float64(), "role": pa.string(), "model": pa.string(), "weights": pa.string(),
        "origin": pa.string(), "edit": pa.string(), "version": pa.string(), "licence": pa.string(), "provenance": pa.string(),
        "consent": pa.bool_(), "trials": pa.int32(),
    }
)  # fmt: skip


class Exported(NamedTuple):
    """What was written: rows, or lines, or clips, by what they are; and clips that were missing."""

    rows: dict[str, int]
    missing: tuple[str, ...] = ()


class Imported(NamedTuple):
    """What became of the trials of a file."""

    restored: int
    known: int
    withdrawn: int


class Entry(NamedTuple):
    """A trial with everything that was said of it."""

    trial: Trial
    stored: list[Stored]
    rating: Rating


def entries(store: Store, *, only_consented: bool = False, kind: str = "rating") -> Iterator[Entry]:
    """Every trial of a kind at a moment, oldest first; only those whose listener's last word allows training, if asked for."""
    for trial, stored in store.snapshot(kind):
        rating = rating_of(one.event for one in stored)
        if rating.training is True or not only_consented:
            yield Entry(trial, stored, rating)


def export(
    store: Store, output: Path, format: str, *, clips: ClipStore | None = None, only_consented: bool = False
) -> Exported:
    """Write everything that was said to `output`, which appears when it is complete.

    Args:
        output: a file for ``jsonl``, otherwise a folder; nothing may be there yet.
        format: one of `FORMATS`.
        clips: the audio; only ``datasets`` needs it.
        only_consented: leave out trials without consent to training; ``datasets`` always does.

    Raises:
        RatingError: no such format, something is there already, or a clip was changed on disk.
        DiskFull: there is no room; nothing is left.
    """
    asked = f"Export the ratings as {format}"
    if format not in FORMATS:
        raise RatingError(asked, "there is no such format", f"Choose from {', '.join(FORMATS)}")
    if format != "jsonl" and output.suffix in (".csv", ".parquet", ".jsonl"):
        raise RatingError(asked, f"{output.name} is the name of a file", "Name a folder: several tables go into it")
    if output.exists():
        raise RatingError(asked, f"{output} is there already", "Give a new name, or delete it first")
    chosen = entries(store, only_consented=only_consented or format == "datasets")
    if format == "jsonl":
        with appearing(output) as temporary:
            return _write_jsonl(chosen, temporary)
    if format == "datasets":
        if clips is None:
            raise RatingError(asked, "no folder of clips was given", "Pass the folder in which the clips are kept")
        return in_folder(output, lambda folder: _write_datasets(chosen, folder, clips))
    write = _write_csv if format == "csv" else _write_parquet
    return in_folder(output, lambda folder: write(chosen, folder))


def import_jsonl(store: Store, path: Path) -> Imported:
    """Read a ``jsonl`` export back. Twice does no harm; what was withdrawn here stays withdrawn.

    Raises:
        RatingError: a line is not one of an export, or contradicts what is here. The lines before it stay.
    """
    counts = {"restored": 0, "known": 0, "withdrawn": 0}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            trial, stored = _parsed(line, f"Import line {number} of {path.name}")
            counts[store.restore(trial, stored)] += 1
    return Imported(**counts)


def rows_of(entry: Entry) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of one trial, each with the name of its table."""
    trial, _, rating = entry
    for one in said(stored.event for stored in entry.stored):
        payload = one.payload
        about = (
            _about(entry, payload.stem) | {"blind": one.blind, "made": _time(one.made)} | _clips_of(trial, payload.stem)
        )
        if isinstance(payload, Answer):
            yield "ratings", about | {"scale": payload.scale, "value": payload.value} | _heard(rating, payload.stem)
        else:
            low, high = payload.band_hz or (None, None)
            fields = payload.model_dump(include={"mark", "start", "end", "label", "severity"})
            yield "marks", about | fields | {"low_hz": low, "high_hz": high, "clip_start": _clip_start(trial)}
    for stem, text in rating.comments.items():
        if text:
            yield "comments", _about(entry, stem) | {"text": text}


def _about(entry: Entry, stem: str | None) -> dict[str, Any]:
    trial, served = entry.trial, entry.trial.served
    return {
        "trial": trial.id,
        "listener": trial.listener,
        "kind": trial.kind,
        "served": _time(round(trial.made * 1000)),
        "subject": trial.subject,
        "model": _text(served, "model"),
        "weights": _text(served, "weights"),
        "edit": _edit(served),
        "edit_of": _text(served, "edit_of"),
        "version": _text(served, "version"),
        "consent": entry.rating.training,
        "stem": stem,
    }


def _edit(served: Mapping[str, Any]) -> str | None:
    """What was changed inside the model, as JSON; None for the model as it is."""
    edit = served.get("edit")
    return None if edit is None else canonical(edit)


def _heard(rating: Rating, stem: str) -> dict[str, float]:
    modes = {"heard_solo": "solo", "heard_loop": "loop", "heard_other_take": "other take"}
    return {
        "heard_stem": rating.seconds.get(stem, 0.0),
        **{column: rating.modes.get(mode, {}).get(stem, 0.0) for column, mode in modes.items()},
        "heard_all": sum(rating.seconds.values()),
    }


def _clips_of(trial: Trial, stem: str) -> dict[str, str | None]:
    return {"stem_clip": trial.clips.get(f"stem:{stem}"), "mixture_clip": trial.clips.get("mixture")}


def _clip_start(trial: Trial) -> float | None:
    """Where the clips begin, in seconds from the start of what was served."""
    clip, rate = trial.served.get("clip"), trial.served.get("sample_rate")
    return clip["start"] / rate if isinstance(clip, Mapping) and rate else None


def _text(served: Mapping[str, Any], name: str) -> str | None:
    value = served.get(name)
    return value if isinstance(value, str) else None


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def in_folder(output: Path, write: Callable[[Path], Exported]) -> Exported:
    """A folder that appears when all of it is written.

    Raises:
        DiskFull: there is no room; nothing is left.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    building = temporary_name(output)
    building.mkdir()
    try:
        exported = write(building)
        building.rename(output)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(f"Export to {output}", "the disk is full", "Free some space and try again") from error
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return exported


# Lossless


def _write_jsonl(chosen: Iterable[Entry], path: Path) -> Exported:
    trials = events = 0
    with path.open("w", encoding="utf-8") as file:
        for trial, stored, _ in chosen:
            line = {
                "format": f"earshot-ratings/{VERSION}",
                "trial": {
                    "id": trial.id, "listener": trial.listener, "kind": trial.kind, "made": trial.made,
                    "served": trial.served, "clips": trial.clips,
                },
                "events": [
                    {
                        "id": one.event.id, "made": one.event.made, "received": one.received,
                        "payload": one.event.payload.model_dump(mode="json"),
                    }
                    for one in stored
                ],
            }  # fmt: skip
            file.write(canonical(line) + "\n")
            trials, events = trials + 1, events + len(stored)
    return Exported({"trials": trials, "events": events})


def _parsed(line: str, asked: str) -> tuple[Trial, list[Stored]]:
    try:
        data = json.loads(line)
        if data["format"] != f"earshot-ratings/{VERSION}":
            raise ValueError(f"the format {data['format']!r}")
        trial = Trial(**data["trial"])
        kinds = (trial.id, str), (trial.listener, str), (trial.kind, str), (trial.made, float), (trial.served, dict)
        if not all(isinstance(value, kind) for value, kind in (*kinds, (trial.clips, dict))):
            raise ValueError("a trial whose fields have other types")
        stored = [
            Stored(parse_event({name: event[name] for name in ("id", "made", "payload")}), float(event["received"]))
            for event in data["events"]
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        found = f"it is no line of an export: {type(error).__name__}: {error}"
        raise RatingError(asked, found, "Export again with `earshot ratings export --format jsonl`") from error
    return trial, stored


# Tables


def _write_csv(chosen: Iterable[Entry], folder: Path) -> Exported:
    counts = dict.fromkeys(TABLES, 0)
    with ExitStack() as stack:
        writers = {}
        for name, schema in TABLES.items():
            file = stack.enter_context((folder / f"{name}.csv").open("w", encoding="utf-8", newline=""))
            writers[name] = csv.DictWriter(file, schema.names)  # ends lines by CR LF, and so quotes either in a comment
            writers[name].writeheader()
        for entry in chosen:
            for table, row in rows_of(entry):
                writers[table].writerow({name: _cell(value) for name, value in row.items()})
                counts[table] += 1
    return Exported(counts)


def _cell(value: Any) -> Any:
    """As spreadsheets read it: no value is empty, and text of a stranger is never a formula."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value


class _Tables:
    """Parquet files that are written while rows come: a file a table, ``PATTERN`` with its name."""

    def __init__(self, folder: Path, pattern: str, stack: ExitStack) -> None:
        self._writers = {}
        for name, schema in TABLES.items():
            path = folder / pattern.format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writers[name] = stack.enter_context(pq.ParquetWriter(path, schema))
        self._rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
        self.counts = dict.fromkeys(TABLES, 0)

    def add(self, entry: Entry) -> None:
        for name, row in rows_of(entry):
            self._rows[name].append(row)
            self.counts[name] += 1
            if len(self._rows[name]) >= _ROWS:
                self._write(name)

    def finish(self) -> dict[str, int]:
        """Write what is left, an empty table too. Returns the rows of each."""
        for name in TABLES:
            self._write(name)
        return self.counts

    def _write(self, name: str) -> None:
        self._writers[name].write_table(pa.Table.from_pylist(self._rows[name], TABLES[name]))
        self._rows[name] = []


def _write_parquet(chosen: Iterable[Entry], folder: Path) -> Exported:
    with ExitStack() as stack:
        tables = _Tables(folder, "{}.parquet", stack)
        for entry in chosen:
            tables.add(entry)
        return Exported(tables.finish())


# Audio


def _write_datasets(chosen: Iterable[Entry], folder: Path, clips: ClipStore) -> Exported:
    described: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        tables = _Tables(folder, "data/{}/train-00000-of-00001.parquet", stack)
        for entry in chosen:
            tables.add(entry)
            for role, clip in entry.trial.clips.items():
                row = described.setdefault(clip, _clip_row(entry.trial, role, clip))
                row["trials"] += 1
        counts = tables.finish()
    path = folder / "data" / "clips" / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    missing: list[str] = []
    schema = CLIPS.with_metadata({"huggingface": json.dumps({"info": {"features": _features(CLIPS)}})})
    with pq.ParquetWriter(path, schema) as writer:
        rows: list[dict[str, Any]] = []
        for clip, row in described.items():
            if clip not in clips:
                missing.append(clip)
                continue
            rows.append(row | _audio(clip, clips, folder))
            if len(rows) == _CLIPS:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema))
    counts |= {"clips": len(described) - len(missing)}
    (folder / "README.md").write_text(_card(counts), encoding="utf-8")
    return Exported(counts, tuple(missing))


def _clip_row(trial: Trial, role: str, clip: str) -> dict[str, Any]:
    """What is known of a clip from the first trial that refers to it. The mixture is no model's work."""
    names = () if role == "mixture" else ("model", "weights", "origin")
    return {
        "clip": clip,
        "role": role,
        **{name: _text(trial.served, name) if name in names else None for name in ("model", "weights", "origin")},
        "edit": _edit(trial.served) if names else None,
        "version": _text(trial.served, "version"),
        **{name: _text(trial.served, name) or UNKNOWN for name in ("licence", "provenance")},
        "consent": True,
        "trials": 0,
    }


def _audio(clip: str, clips: ClipStore, folder: Path) -> dict[str, Any]:
    signal = clips.get(clip)
    file = folder / f"{clip}.flac"
    try:
        write_audio(ArrayReader(signal), file, format="flac", bit_depth="16", gain=1.0)
        audio = {"bytes": file.read_bytes(), "path": file.name}
    finally:
        file.unlink(missing_ok=True)
    return {
        "audio": audio,
        "sample_rate": signal.sample_rate,
        "channels": signal.channels,
        "seconds": signal.duration,
    }


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Columns as the `datasets` package describes them."""
    names = {"double": "float64"}
    return {
        field.name: {"_type": "Audio"}
        if field.name == "audio"
        else {"dtype": names.get(str(field.type), str(field.type)), "_type": "Value"}
        for field in schema
    }


def _card(counts: Mapping[str, int]) -> str:
    configs = "".join(
        f"- config_name: {name}\n{'  default: true' + chr(10) if name == 'clips' else ''}  data_files:\n"
        f"  - split: train\n    path: data/{name}/*.parquet\n"
        for name in ("clips", *TABLES)
    )
    return f"""---
pretty_name: Ratings of separated sound
tags: [source-separation, audio, listening]
license: other
configs:
{configs}---

# Ratings of separated sound

What listeners said of separated recordings in Earshot, and the audio they said it of: {counts["ratings"]} answers,
{counts["marks"]} marks and {counts["comments"]} comments on {counts["clips"]} clips. All of it comes from listeners who
allowed it to be used to train models. A listener is a random id that a browser made; there are no names.

```python
from datasets import load_dataset

clips = load_dataset("FOLDER", "clips")["train"]       # clip, audio, role, model, licence, provenance, …
ratings = load_dataset("FOLDER", "ratings")["train"]   # a row an answer; stem_clip and mixture_clip name clips
```

- `blind` is true where neither the model's name nor a metric nor a view had been seen before the answer.
- Scales go from 1 (bad) to 5 (excellent): `overall`, `target` (the source is preserved), `others` (the other sources are
  suppressed), `artefacts` (there are none).
- Marks are in seconds from the start of what was served; subtract `clip_start` for seconds of the clip.
- `licence` and `provenance` are those of the recording, `{UNKNOWN}` where its owner did not say. **A listener's consent is not
  the licence of the recording**: publish only what you may.
- Listeners may withdraw later: export again before you use it, and delete what is gone.
"""
