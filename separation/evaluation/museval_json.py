"""museval's JSON files, written and read: one file a track, ``{"targets": [{"name", "frames": [{"time", "duration",
"metrics": {"SDR", "ISR", "SIR", "SAR"}}]}]}``.

That is the format of the SiSEC 2018 results and of many papers since, so their systems can be ranked beside ours. As in
museval, values are rounded to five decimals and what is infinite or has no value is ``NaN`` (which strict JSON does not know;
museval reads and writes it).
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from separation.audio import safe_name
from separation.errors import DataError
from separation.evaluation.tables import Results, empty_rows, joined, table_of
from separation.metrics import Value

SCORES = ("SDR", "ISR", "SIR", "SAR")
PREFIX = "bss_eval_v4."
NO_VALUE = "no value in the museval file"
DECIMALS = 5


def to_museval(values: Sequence[Value]) -> dict[str, Any]:
    """The BSS-eval v4 windows of one track as museval's document; other values are no part of the format.

    Raises:
        DataError: there is no window with a BSS-eval v4 score.
    """
    targets: dict[str, dict[tuple[float, float], dict[str, float]]] = {}
    for value in values:
        name = value.metric.removeprefix(PREFIX)
        if value.start is None or value.metric == name or name not in SCORES:
            continue
        frame = targets.setdefault(value.source, {}).setdefault((value.start, value.duration), {})
        finite = value.value is not None and math.isfinite(value.value)
        frame[name] = round(float(value.value or 0.0), DECIMALS) if finite else math.nan
    if not targets:
        raise DataError(
            "Write museval's JSON", "there are no BSS-eval v4 scores of windows", "Measure by the protocol sisec"
        )
    return {
        "targets": [
            {
                "name": source,
                "frames": [
                    {
                        "time": time,
                        "duration": duration,
                        "metrics": {name: frame.get(name, math.nan) for name in SCORES},
                    }
                    for (time, duration), frame in sorted(frames.items())
                ],
            }
            for source, frames in targets.items()
        ]
    }


def from_museval(document: Mapping[str, Any], *, model: str, track: str) -> Results:
    """One track's document as rows of the one table.

    Raises:
        DataError: the document is not museval's.
    """
    rows = []
    try:
        for target in document["targets"]:
            for segment, frame in enumerate(target["frames"]):
                for name, score in frame["metrics"].items():
                    known = isinstance(score, int | float) and math.isfinite(score)
                    rows.append(
                        empty_rows(model=model, track=track, protocol="sisec")
                        | {
                            "source": str(target["name"]),
                            "segment": segment,
                            "start": float(frame["time"]),
                            "duration": float(frame["duration"]),
                            "metric": PREFIX + str(name),
                            "value": float(score) if known else None,
                            "reason": "" if known else NO_VALUE,
                        }
                    )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"Read museval's scores of {track}",
            f"its JSON is not museval's ({type(error).__name__}: {error})",
            'Pass files with {"targets": [{"name", "frames": [{"time", "duration", "metrics"}]}]}',
        ) from error
    return table_of(rows)


def write_museval(table: Results, folder: Path) -> list[Path]:
    """``FOLDER/MODEL/test/TRACK.json`` for every model and track: the layout that museval's `EvalStore` reads.

    Raises:
        DataError: the table has no windows with BSS-eval v4 scores, or two tracks would share a file.
    """
    written: list[Path] = []
    for (model, track), part in table.groupby(["model", "track"], sort=False):
        path = folder / safe_name(str(model)) / "test" / f"{safe_name(str(track))}.json"
        if path in written:
            raise DataError(f"Write {path}", "two tracks have the same name", "Rename one of them")
        document = to_museval(_values(part))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
        written.append(path)
    return written


def read_museval(folder: Path, *, model: str | None = None) -> Results:
    """Every ``TRACK.json`` below a folder as one table; `model` is the folder's name unless given.

    Raises:
        DataError: no file, or one that is not museval's.
    """
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise DataError(
            f"Read museval's scores in {folder}", "there is no JSON file", "Choose the folder of one system"
        )
    tables = []
    for path in paths:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise DataError(f"Read {path}", f"it is not JSON ({error})", "Fetch the file again") from error
        tables.append(from_museval(document, model=model or folder.resolve().name, track=path.stem))
    return joined(tables)


def _values(part: Results) -> list[Value]:
    return [
        Value(row.source, row.metric, row.start, row.duration, None if pd.isna(row.value) else row.value, row.reason)
        for row in part.itertuples()
        if row.segment >= 0
    ]
