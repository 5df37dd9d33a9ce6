"""The table of an evaluation -> what the page shows of it: choices, a ranking, figures. No HTTP, no Gradio, no numbers of
its own: medians, intervals and tests come from `separation.evaluation`, pictures from `separation.visualisation`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from separation.errors import DataError
from separation.evaluation import PROTOCOLS, Ranked, compare, is_yardstick, matrix, rank, track_values
from separation.metrics import METRICS, REASONS
from separation.statistics import FEWEST
from separation.visualisation.figures import (
    Axis,
    Figure,
    differences,
    distribution,
    scatter,
    track_by_second,
)

NAMES = {
    "oracle:mixture": "Floor: the mixture itself",
    "oracle:ibm1": "Ideal binary mask, magnitudes",
    "oracle:ibm2": "Ideal binary mask, powers",
    "oracle:irm1": "Ideal ratio mask, magnitudes",
    "oracle:irm2": "Ideal ratio mask, powers",
    "oracle:mwf": "Ideal multichannel Wiener filter",
    "oracle:cirm": "Ideal complex ratio mask",
}
"""What people read where a model is a bound."""

Table = Any
"""A pandas table; only `separation.evaluation` knows pandas."""


@dataclass(frozen=True)
class Chosen:
    """What of a table is looked at.

    Args:
        metric: a name of `METRICS`.
        source: a source's name; None for all of them together.
    """

    metric: str
    source: str | None


def name_of(model: str) -> str:
    """What people read for a model.

    >>> name_of("vocals"), name_of("oracle:irm2")
    ('vocals', 'Ideal ratio mask, powers')
    """
    return NAMES.get(model, model)


def axis_of(metric: str) -> Axis:
    """A metric as an axis."""
    known = METRICS.get(metric)
    return Axis(metric) if known is None else Axis(known.title, known.unit, known.direction)


def choices(table: Table, protocol: str, models: Sequence[str]) -> dict[str, Any]:
    """What there is to look at, in a good order: metrics with their cards, sources, models.

    Args:
        models: as they were asked for; those with results are given, in this order.
    """
    there = [str(name) for name in table["metric"].unique()] if len(table) else []
    order = list(PROTOCOLS[protocol].metrics)
    metrics = [name for name in order if name in there] + sorted(set(there) - set(order))
    return {
        "metrics": [metric_card(name) | {"windows": _has_windows(table, name)} for name in metrics],
        "sources": [str(name) for name in table["source"].unique()] if len(table) else [],
        "models": [
            {
                "model": name,
                "name": name_of(name),
                "bound": is_yardstick(name),
                "sources": [str(source) for source in table[table["model"] == name]["source"].unique()],
            }
            for name in ordered(table, models)
        ],
    }


def ordered(table: Table, models: Sequence[str]) -> list[str]:
    """The models of a table in the order in which they were asked for."""
    there = {str(name) for name in table["model"].unique()}
    return [name for name in models if name in there]


def metric_card(metric: str) -> dict[str, Any]:
    """What a number means, for a person."""
    known = METRICS.get(metric)
    if known is None:
        return {
            "name": metric,
            "title": metric,
            "unit": "",
            "direction": "higher",
            "about": "",
            "range": "",
            "paper": "",
        }
    return {
        "name": metric,
        "title": known.title,
        "unit": known.unit,
        "direction": known.direction,
        "about": known.about,
        "range": known.range,
        "paper": known.paper,
    }


def ranking(
    table: Table, chosen: Chosen, leaks: Mapping[str, Sequence[str]] = {}, titles: Mapping[str, str] = {}
) -> dict[str, Any]:
    """The ranked table, best first; bounds are ranked with the others and marked.

    Args:
        leaks: what of this data each model may have been trained on, by model.
        titles: what cards call the models.
    """
    lines = rank(table, chosen.metric, chosen.source)
    rows = [
        {
            "model": one.model,
            "name": name_of(one.model),
            "title": titles.get(one.model, ""),
            "bound": is_yardstick(one.model),
            "median": _number(one.median),
            "mean": _number(one.mean),
            "low": _number(one.low),
            "high": _number(one.high),
            "tracks": one.tracks,
            "silent_segments": one.silent_segments,
            "left_out": {_spelt_out(reason): count for reason, count in one.left_out.items()},
            "leaks": list(leaks.get(one.model, ())),
        }
        for one in lines
    ]
    return {"metric": metric_card(chosen.metric), "rows": rows, "notes": _notes(table, chosen, lines)}


def spread(table: Table, chosen: Chosen, kind: Literal["box", "violin"], models: Sequence[str]) -> Figure:
    """Box or violin plots of the models, with the bounds as lines."""
    values = track_values(table, chosen.metric, chosen.source)
    rows = {name: values[name] for name in models if values.get(name) and not is_yardstick(name)}
    bounds = {
        name_of(one.model): one.median for one in rank(table, chosen.metric, chosen.source) if is_yardstick(one.model)
    }
    lines = {name: value for name, value in bounds.items() if value is not None and math.isfinite(value)}
    if not rows and not lines:
        raise _nothing(chosen)
    return distribution(rows, axis_of(chosen.metric), kind=kind, lines=lines, looks=_looks(models))


def heat(table: Table, model: str, chosen: Chosen) -> dict[str, Any]:
    """Track x second of one model, with the source that is drawn and the seconds that a cell lasts.

    Raises:
        DataError: nothing was measured in windows here.
    """
    source = _one_source(table, model, chosen)
    tracks, starts, values = matrix(table, model, chosen.metric, source)
    rows = table[
        (table["model"] == model)
        & (table["metric"] == chosen.metric)
        & (table["source"] == source)
        & (table["segment"] >= 0)
    ]
    row_of, column_of = {name: i for i, name in enumerate(tracks)}, {round(s, 6): i for i, s in enumerate(starts)}
    reasons = {
        (row_of[track], column_of[round(start, 6)]): _spelt_out(str(reason))
        for track, start, reason in zip(rows["track"], rows["start"], rows["reason"], strict=True)
        if isinstance(reason, str) and reason and track in row_of and round(start, 6) in column_of
    }
    duration = float(rows["duration"].median()) if len(rows) else 1.0
    figure = track_by_second(tracks, starts, values, axis_of(chosen.metric), duration=duration, reasons=reasons)
    return figure.to_dict() | {"source": source, "duration": duration}


def against(table: Table, across: str, up: str, source: str | None, models: Sequence[str]) -> Figure:
    """Two metrics, a dot a track."""
    first, second = track_values(table, across, source), track_values(table, up, source)
    points = {
        name_of(model): {track: (x, second[model][track]) for track, x in tracks.items() if track in second[model]}
        for model in models
        if model in second and (tracks := first.get(model))
    }
    points = {model: tracks for model, tracks in points.items() if tracks}
    if not points:
        raise _nothing(Chosen(up, source))
    return scatter(points, axis_of(across), axis_of(up), looks=_looks(models))


def head_to_head(table: Table, first: str, second: str, chosen: Chosen, models: Sequence[str]) -> dict[str, Any]:
    """Two models on the same tracks: the differences as a figure, and what they say, in a sentence."""
    values = track_values(table, chosen.metric, chosen.source)
    one, other = values.get(first, {}), values.get(second, {})
    shared = {track: one[track] - other[track] for track in one if track in other}
    if first == second or not shared:
        found = "both are the same model" if first == second else "no track has a value of both"
        raise DataError(
            f"Compare {name_of(first)} with {name_of(second)}", found, "Choose two models of the same sources"
        )
    axis = axis_of(chosen.metric)
    figure = differences(name_of(first), name_of(second), shared, axis, looks=_looks(models))
    return figure.to_dict() | {"says": _says(table, first, second, chosen, axis)}


def _notes(table: Table, chosen: Chosen, lines: Sequence[Ranked]) -> list[str]:
    """What whoever reads the ranking must know."""
    protocol = PROTOCOLS[str(table["protocol"].iloc[0])]
    of = {"median": "the median", "mean": "the mean"}[protocol.average]
    notes = [f"Ranked by {of} over tracks; the interval is a bootstrap over tracks, and one track gives none."]
    fewest = min((line.tracks for line in lines), default=0)
    if fewest < FEWEST:
        notes.append(f"Fewer than {FEWEST} tracks: take the order as a hint, and no test is made.")
    measured = {frozenset(tracks) for tracks in track_values(table, chosen.metric, chosen.source).values()}
    if len(measured) > 1:
        notes.append("The models were not all measured on the same tracks, so their numbers are not of the same thing.")
    return notes


def _spelt_out(reason: str) -> str:
    """A reason with what it means, where the catalogue knows it."""
    return f"{reason}: {REASONS[reason]}" if reason in REASONS else reason or "no reason given"


def _looks(models: Sequence[str]) -> dict[str, int]:
    """A number a model for its colour and mark: real models first, because bounds are mostly lines."""
    ranked = sorted(models, key=is_yardstick)
    return {name_of(name): place for place, name in enumerate(ranked)}


def _says(table: Table, first: str, second: str, chosen: Chosen, axis: Axis) -> list[str]:
    result = compare(table, first, second, chosen.metric, chosen.source)
    ahead = result.difference <= 0 if axis.better == "lower" else result.difference >= 0
    leader, gap = (first, result.difference) if ahead else (second, -result.difference)
    interval = _interval(result.low, result.high, axis.unit)
    sentences = [f"{name_of(leader)} is ahead by {abs(gap):.2f} {axis.unit} in the median{interval}."]
    if result.p is None:
        sentences.append(f"n = {result.tracks}: too few tracks for a test (it takes {FEWEST}).")
        return sentences
    sentences.append(
        f"n = {result.tracks} tracks, paired Wilcoxon test p = {_p(result.p)}"
        + (f", {_p(result.p_holm)} after Holm's correction for all pairs" if result.p_holm is not None else "")
        + (f"; effect size (rank-biserial) {result.effect:+.2f}." if result.effect is not None else ".")
    )
    return sentences


def _interval(low: float | None, high: float | None, unit: str) -> str:
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f" (95 % interval of the difference {low:+.2f} to {high:+.2f} {unit}, bootstrap over tracks)"


def _one_source(table: Table, model: str, chosen: Chosen) -> str:
    """The source to draw: the chosen one, or the first that this model has."""
    there = [str(name) for name in table[table["model"] == model]["source"].unique()]
    if chosen.source in there:
        return str(chosen.source)
    if chosen.source is None and there:
        return there[0]
    raise _nothing(chosen)


def _has_windows(table: Table, metric: str) -> bool:
    return bool(((table["metric"] == metric) & (table["segment"] >= 0)).any())


def _nothing(chosen: Chosen) -> DataError:
    of = f" of {chosen.source}" if chosen.source else ""
    return DataError(
        f"Show {axis_of(chosen.metric).title}{of}",
        "nothing of it is measured here",
        "Choose another source, metric or model",
    )


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _p(p: float) -> str:
    """As papers print it.

    >>> _p(0.00004), _p(0.0312)
    ('< 0.001', '0.031')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
