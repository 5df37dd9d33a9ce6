"""Objective metrics of what listeners of a study hear, whole and second by second, for beside their answers.

Measured on the served samples: same rate, length and alignment. The true source is the reference, so an item without one has
none. Not a benchmark: levels were matched, so of metrics that gain changes only those are here that do not mind it.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from separation.errors import Cancelled
from separation.listening.prepared import Prepared
from separation.listening.study import MIXTURE, REFERENCE
from separation.metrics import measure
from separation.ui.runs import write_json

FILE = "metrics.json"
METRICS = ("si_sdr", "bss_eval_v4")
"""Neither changes with an estimate's gain."""

Whole = dict[str, dict[tuple[str, str], float]]
Seconds = dict[tuple[str, str], dict[str, list[tuple[float, float, float]]]]


def measure_study(prepared: Prepared, report: Callable[[float, str], None], cancelled: Callable[[], bool]) -> int:
    """Measure every sound that has a true source beside it, and keep it in the study's folder; returns how many there are.

    Raises:
        Cancelled: `cancelled` said so.
    """
    known = {(one.item, one.condition): one for one in prepared.stimuli}
    wanted = [
        one for one in prepared.stimuli if one.condition not in (REFERENCE, MIXTURE) and (one.item, REFERENCE) in known
    ]
    rows: list[dict[str, Any]] = []
    for count, one in enumerate(wanted):
        if cancelled():
            raise Cancelled("Measure a study", "it was stopped", "Start it again when you like")
        report(count / len(wanted), f"{one.item}: {one.condition}")
        rate = prepared.items[one.item].sample_rate
        reference, estimate = (_audio(prepared, known[one.item, name]) for name in (REFERENCE, one.condition))
        mixture = _audio(prepared, known[one.item, MIXTURE]) if (one.item, MIXTURE) in known else None
        values = measure({"target": reference}, {"target": estimate}, rate, mixture=mixture, metrics=METRICS)
        rows += [
            {"item": one.item, "condition": one.condition, "metric": each.metric, "start": each.start,
             "duration": each.duration, "value": each.value}
            for each in values if each.value is not None
        ]  # fmt: skip
    write_json(prepared.folder / FILE, {"inputs": prepared.versions["inputs"], "rows": rows})
    return len(wanted)


def read_metrics(folder: Path, prepared: Prepared) -> tuple[Whole, Seconds]:
    """What `measure_study` kept of this audio, for `listening.analysis`; nothing if there is none.

    A metric that has no value of the whole signal counts with the median over its seconds.
    """
    try:
        record: Mapping[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, {}
    whole: Whole = {}
    seconds: Seconds = {}
    if record["inputs"] != prepared.versions["inputs"]:
        return whole, seconds
    for row in record["rows"]:
        key, metric, value = (row["item"], row["condition"]), row["metric"], row["value"]
        if row["start"] is None:
            whole.setdefault(metric, {})[key] = value
        else:
            span = (row["start"], row["start"] + row["duration"], value)
            seconds.setdefault(key, {}).setdefault(metric, []).append(span)
    for key, metrics in seconds.items():
        for metric, spans in metrics.items():
            values = torch.tensor([value for _, _, value in spans], dtype=torch.float64)
            whole.setdefault(metric, {}).setdefault(key, float(values.quantile(0.5)))
    return whole, seconds


def _audio(prepared: Prepared, stimulus: Any) -> torch.Tensor:
    return torch.from_numpy(prepared.samples(stimulus))
