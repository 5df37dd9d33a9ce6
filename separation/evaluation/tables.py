"""The one tidy table of all results, and what is read from it: rankings, a map of track and second, two models compared.

A row is one value: model, track, source, segment, metric. Parquet and CSV hold the same; Parquet keeps the types. A value
that does not exist is empty and its `reason` says why: nothing here averages it silently or takes it for zero.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import pyarrow
from numpy.typing import NDArray

from separation.errors import DataError
from separation.evaluation.protocols import PROTOCOLS, PerTrack, Protocol
from separation.metrics import METRICS
from separation.models.oracles import PREFIX as ORACLE
from separation.statistics import bootstrap_median, cluster_bootstrap, holm, paired

WHOLE = -1
"""The `segment` of a value that is of a whole track."""
TABLE = "table.parquet"
PARTS = "parts"
FLOOR = f"{ORACLE}mixture"
"""A separator that does nothing."""

SCHEMA = pyarrow.schema(
    [
        ("model", pyarrow.string()),
        ("weights", pyarrow.string()),  # the first 12 digits of their SHA-256
        ("track", pyarrow.string()),
        ("source", pyarrow.string()),  # "" for what is of the track as a whole
        ("segment", pyarrow.int64()),
        ("start", pyarrow.float64()),  # s
        ("duration", pyarrow.float64()),  # s
        ("metric", pyarrow.string()),
        ("value", pyarrow.float64()),
        ("reason", pyarrow.string()),
        ("protocol", pyarrow.string()),
        ("sample_rate", pyarrow.int64()),  # Hz at which was measured
        ("settings", pyarrow.string()),  # the first 12 digits of the SHA-256 of the settings in run.json
        ("seconds", pyarrow.float64()),  # that separating the track took
    ]
)
COLUMNS = tuple(SCHEMA.names)
_EMPTY = {"string": "", "int64": 0, "double": math.nan}


Results: TypeAlias = pd.DataFrame
"""The table; for those who pass it on without knowing pandas."""


class Ranked(NamedTuple):
    """One line of a ranking.

    Attributes:
        model: its name.
        median: over tracks, of a track's number by the protocol.
        mean: over tracks; weighted by duration where the protocol says so.
        low, high: a 95 % bootstrap over tracks of what the protocol ranks by, the median or the mean (of a heap of windows:
            the mean). NaN below two tracks.
        tracks: that have a number.
        left_out: why values that would count (windows, or whole tracks) do not exist, and how many for each reason.
        silent_segments: windows among them, because something was silent.
    """

    model: str
    median: float
    mean: float
    low: float
    high: float
    tracks: int
    left_out: dict[str, int]
    silent_segments: int


class Comparison(NamedTuple):
    """Model a against model b, track by track.

    Attributes:
        difference: median of a - b over the tracks that both have, in the metric's unit.
        low, high: its 95 % interval.
        tracks: that both have.
        p: paired Wilcoxon signed-rank test, two-sided; None below `FEWEST` tracks, like the two that follow.
        p_holm: p corrected for all pairs of the table's models, since the pair shown was chosen among them.
        effect: matched-pairs rank-biserial correlation in [-1, 1], positive where a has the greater numbers.
    """

    difference: float
    low: float
    high: float
    tracks: int
    p: float | None
    p_holm: float | None
    effect: float | None


def empty_rows(**fields: Any) -> dict[str, Any]:
    """One row with every column, empty but for `fields`."""
    return {field.name: _EMPTY[str(field.type)] for field in SCHEMA} | fields


def table_of(rows: Iterable[Mapping[str, Any]]) -> Results:
    """Rows as a table with the columns and types of `SCHEMA`."""
    return _typed(pd.DataFrame(list(rows), columns=list(COLUMNS)))


def joined(tables: Iterable[Results]) -> Results:
    """Several tables as one, in order."""
    return _typed(pd.concat([table_of([]), *tables], ignore_index=True))


def write_table(table: Results, path: Path) -> None:
    """Write Parquet, or CSV if `path` ends so; under a temporary name first."""
    temporary = path.with_name(f".{path.name}.partial")
    if path.suffix == ".csv":
        table.to_csv(temporary, index=False)
    else:
        table.to_parquet(temporary, index=False, schema=SCHEMA)
    temporary.replace(path)


def read_table(path: Path) -> Results:
    """The table of a benchmark's folder (of one that was stopped: what is there so far), or a Parquet or CSV file.

    Raises:
        DataError: no table there, or one with other columns; names what is missing.
    """
    asked = f"Read the results in {path}"
    advice = "Choose the folder of `earshot benchmark --output`, or its table.parquet or table.csv"
    if path.is_dir() and not (path / TABLE).is_file():
        parts = sorted((path / PARTS).glob("*.parquet"))
        if not parts:
            raise DataError(asked, "there is no table and no part of one", advice)
        return pd.concat([read_table(part) for part in parts], ignore_index=True)
    file = path / TABLE if path.is_dir() else path
    if not file.is_file():
        raise DataError(asked, "there is no such file", advice)
    try:
        table = (
            pd.read_csv(file, dtype={f.name: str for f in SCHEMA if str(f.type) == "string"}, keep_default_na=False,
                        na_values={f.name: [""] for f in SCHEMA if str(f.type) == "double"})
            if file.suffix == ".csv"
            else pd.read_parquet(file)
        )  # fmt: skip
    except (ValueError, OSError) as error:  # pyarrow's errors are ValueErrors
        raise DataError(asked, f"it is not a table ({str(error).splitlines()[0]})", advice) from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DataError(asked, f"it has no column {', '.join(missing)}", advice)
    return _typed(table[list(COLUMNS)])


def metrics_in(table: Results, source: str | None = None) -> list[str]:
    """Metrics of a table in its order, of one source if named."""
    rows = table if source is None else table[table["source"] == source]
    return [str(name) for name in rows["metric"].unique()]


def higher_is_better(metric: str) -> bool:
    """Which way a metric counts; one that nobody knows counts upwards."""
    return metric not in METRICS or METRICS[metric].direction == "higher"


def is_yardstick(model: str) -> bool:
    """Whether this is an oracle or the floor, which are lines to compare with and no competitors."""
    return model.startswith(ORACLE) or f"{ORACLE}{model}" == FLOOR


def rank(table: Results, metric: str, source: str | None = None, *, per_track: PerTrack | None = None) -> list[Ranked]:
    """Models, best first by what the protocol ranks by; those without any number last.

    Args:
        source: None: a track's number is the mean over its sources.
        per_track: instead of the protocol's own; ``"pooled"``: over the windows of all tracks as one heap.

    Raises:
        DataError: the table has no such metric or source, or mixes protocols.
    """
    rows = _select(table, metric, source)
    protocol = _protocol(rows)
    how = per_track or protocol.per_track
    lines = [_ranked(str(model), part, protocol, how) for model, part in rows.groupby("model", sort=False)]
    sign = -1 if higher_is_better(metric) else 1

    def key(line: Ranked) -> tuple[bool, float]:
        value = getattr(line, protocol.average)
        return math.isnan(value), sign * value

    return sorted(lines, key=key)


def track_values(
    table: Results, metric: str, source: str | None = None, *, per_track: PerTrack | None = None
) -> dict[str, dict[str, float]]:
    """``{model: {track: number}}`` by the protocol (or by `per_track`); tracks without a finite number are left out.

    Args:
        source: None: a track's number is the mean over its sources.

    Raises:
        DataError: the table has no such metric or source, or mixes protocols.
    """
    rows = _select(table, metric, source)
    how = per_track or _protocol(rows).per_track
    return {
        str(model): {str(track): float(value) for track, value in _numbers(part, how).items()}
        for model, part in rows.groupby("model", sort=False)
    }


def matrix(table: Results, model: str, metric: str, source: str) -> tuple[list[str], list[float], NDArray[np.float64]]:
    """Every window of every track: names of the tracks, starts in seconds, values ``[track, window]`` (NaN: none).

    Raises:
        DataError: the table has no such model, metric or source, or the metric has no windows.
    """
    rows = _select(table, metric, source, model)
    rows = rows[rows["segment"] != WHOLE]
    if rows.empty:
        raise DataError(
            f"Show {metric} over time",
            "it is of whole tracks",
            "Choose a metric of windows, e.g. of the protocol sisec",
        )
    grid = rows.pivot_table(index="track", columns="start", values="value", sort=False, dropna=False, aggfunc="first")
    grid = grid[sorted(grid.columns)]
    return [str(name) for name in grid.index], [float(s) for s in grid.columns], grid.to_numpy(np.float64)


def compare(table: Results, model_a: str, model_b: str, metric: str, source: str | None = None) -> Comparison:
    """Two models head to head, over the tracks for which both have a number.

    Raises:
        DataError: the table has no such model, metric or source, or the two share no track.
    """
    mine, (a, b) = _shared(table, model_a, model_b, metric, source)
    if not mine:
        raise DataError(
            f"Compare {model_a} with {model_b}", "no track has a number of both", "Measure both on the same tracks"
        )
    result = paired(a, b)
    corrected = None if result.p is None else _corrected(table, model_a, model_b, metric, source)
    return Comparison(result.difference, result.low, result.high, result.count, result.p, corrected, result.effect)


def _corrected(table: Results, model_a: str, model_b: str, metric: str, source: str | None) -> float | None:
    """Holm's p for this pair among all pairs of models; oracles and floor are no competitors unless they are compared."""
    models = [m for m in _select(table, metric, source)["model"].unique() if not is_yardstick(m)]
    models = sorted({*models, model_a, model_b})
    pairs = list(combinations(models, 2))
    p_values = []
    for pair in pairs:
        tracks, (a, b) = _shared(table, *pair, metric, source)
        p_values.append(paired(a, b).p if tracks else None)
    one, other = sorted((model_a, model_b))
    return holm(p_values)[pairs.index((one, other))]


def _shared(
    table: Results, model_a: str, model_b: str, metric: str, source: str | None
) -> tuple[list[str], tuple[list[float], list[float]]]:
    values = track_values(table, metric, source)
    for model in (model_a, model_b):
        if model not in values:
            raise DataError(
                f"Compare {model_a} with {model_b}",
                f"the table has no {metric} of {model}, only of {', '.join(values)}",
                "Choose two of these",
            )
    tracks = [track for track in values[model_a] if track in values[model_b]]
    return tracks, ([values[model_a][t] for t in tracks], [values[model_b][t] for t in tracks])


def _ranked(model: str, rows: Results, protocol: Protocol, how: PerTrack) -> Ranked:
    counted = _counted(rows, how)
    missing = counted[counted["value"].isna()]
    left_out = {str(reason): int(count) for reason, count in missing["reason"].value_counts(sort=False).items()}
    silent = rows[rows["value"].isna() & (rows["segment"] != WHOLE) & rows["reason"].str.contains("silent")]
    silent_segments = len(silent[["track", "segment"]].drop_duplicates())
    weights = None
    if how == "pooled":
        known = counted[counted["value"].notna()]
        numbers, clusters = known["value"].to_list(), known["track"].to_list()
    else:
        each = _numbers(rows, how)
        numbers, clusters = each.to_list(), [str(track) for track in each.index]
        if protocol.weighted:
            lengths = rows.groupby("track", sort=False)["duration"].max()
            weights = [float(lengths[track]) for track in clusters]
    if not numbers:
        return Ranked(model, math.nan, math.nan, math.nan, math.nan, 0, left_out, silent_segments)
    of_mean = cluster_bootstrap(numbers, clusters, weights=weights)
    if how == "pooled" or protocol.average == "mean":
        interval = (of_mean.low, of_mean.high)
    else:
        of_median = bootstrap_median(numbers)
        interval = (of_median.low, of_median.high)
    return Ranked(
        model, float(np.median(numbers)), of_mean.mean, *interval, len(set(clusters)), left_out, silent_segments
    )


def _numbers(rows: Results, how: PerTrack) -> "pd.Series[float]":
    """One number a track: of its windows as `how` says, then the mean over sources."""
    known = _counted(rows, how)
    groups = known[known["value"].notna()].groupby(["track", "source"], sort=False)["value"]
    each = groups.mean() if how == "mean" else groups.median()
    return each.groupby(level="track", sort=False).mean()


def _counted(rows: Results, how: PerTrack) -> Results:
    """The rows of one metric that make a track's number: of the whole track if there are such, else of its windows.

    Metrics that are defined for whole tracks (PES is a mean over frames) then mean what their papers say. "pooled" is the
    other way round.
    """
    whole = rows["segment"] == WHOLE
    first, second = (rows[~whole], rows[whole]) if how == "pooled" else (rows[whole], rows[~whole])
    return second if first.empty else first


def _select(table: Results, metric: str, source: str | None, model: str | None = None) -> Results:
    """The rows of a metric, a source and a model."""
    rows = table
    for column, wanted in (("metric", metric), ("source", source), ("model", model)):
        if wanted is None:
            continue
        found = rows[rows[column] == wanted]
        if found.empty:
            known = ", ".join(str(name) for name in rows[column].unique()) or "nothing"
            raise DataError(
                f"Look up {wanted} in a table of results", f"it has {known} as {column}", "Choose one of these"
            )
        rows = found
    return rows


def _protocol(rows: Results) -> Protocol:
    names = sorted(str(name) for name in rows["protocol"].unique())
    if len(names) > 1 or names[0] not in PROTOCOLS:
        raise DataError(
            "Rank models", f"the table holds results by {', '.join(names)}", f"Rank one of {', '.join(PROTOCOLS)}"
        )
    return PROTOCOLS[names[0]]


def _typed(table: Results) -> Results:
    types = {"string": "str", "int64": "int64", "double": "float64"}
    return table.astype({field.name: types[str(field.type)] for field in SCHEMA})
