"""Made-up results for the tests of the Evaluate page: a table with known numbers, and a benchmark that writes it in parts."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from separation.datasets import Track
from separation.engine.options import Progress
from separation.errors import Cancelled
from separation.evaluation.protocols import Protocol
from separation.evaluation.tables import PARTS, TABLE, empty_rows, table_of, write_table

SECONDS = 6
SILENT = (2, 3)
"""Seconds of every track without a value."""

BEST = {"vocals": 8.0, "speakers": 5.0, "oracle:irm2": 12.0, "oracle:mixture": -1.0}


def value_of(model: str, track: int, second: int) -> float:
    """A number that depends on everything, so that a test can tell where it came from."""
    return BEST.get(model, 3.0) + 0.5 * track - 0.25 * second


def rows_of(model: str, names: Sequence[str], *, sources: Sequence[str] = ("vocals", "accompaniment")) -> list[Any]:
    """A row a track, source and second, of two metrics; SI-SDR is of whole tracks."""
    rows = []
    for index, track in enumerate(names):
        for source in sources:
            common = {"model": model, "track": track, "source": source, "protocol": "sisec", "sample_rate": 16000}
            for second in range(SECONDS):
                silent = second in SILENT
                value = np.nan if silent else value_of(model, index, second) - (source != "vocals")
                reason = "silent reference" if silent else ""
                where = {"segment": second, "start": float(second), "duration": 1.0}
                for metric, more in (("bss_eval_v4.SDR", 0.0), ("bss_eval_v4.SIR", 4.0)):
                    rows.append(empty_rows(**common, **where, metric=metric, value=value + more, reason=reason))
            whole = {"segment": -1, "start": 0.0, "duration": float(SECONDS)}
            rows.append(empty_rows(**common, **whole, metric="si_sdr", value=value_of(model, index, 0)))
    return rows


def made_table(models: Sequence[str] = ("vocals", "oracle:irm2", "oracle:mixture"), tracks: int = 3) -> Any:
    return table_of([row for model in models for row in rows_of(model, [f"song {i}" for i in range(tracks)])])


class MadeBenchmark:
    """Writes the made-up table part by part, as the real one would write a measured one.

    Args:
        pause: seconds a part takes.
    """

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.calls: list[tuple[tuple[str, ...], list[str]]] = []

    def __call__(
        self,
        models: Sequence[str],
        tracks: Sequence[Track],
        protocol: Protocol,
        folder: Path,
        *,
        device: str = "cpu",
        sources: Sequence[str] | None = None,
        progress: Callable[[Progress], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Any:
        names = [track.name for track in tracks]
        self.calls.append((tuple(models), names))
        (folder / PARTS).mkdir(parents=True, exist_ok=True)
        rows, done = [], 0
        for model in models:
            for name in names:
                if cancelled is not None and cancelled():
                    raise Cancelled("Measure", "it was stopped", "Start it again")
                part = folder / PARTS / f"{model.replace(':', '-')}-{name}.parquet"
                made = [row for row in rows_of(model, names) if row["track"] == name]
                if not part.exists():
                    time.sleep(self.pause)
                    write_table(table_of(made), part)
                rows += made
                done += 1
                if progress is not None:
                    progress(Progress(done, len(models) * len(names), 0.1, 0.0))
        write_table(table_of(rows), folder / TABLE)
        return table_of(rows)
