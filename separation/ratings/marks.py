"""Do marks sit where the numbers say they should? Every second inside a mark against the other seconds of the same stem.

For a mark of "bleed" one would expect less SIR inside than outside, for "musical noise" less SAR (`EXPECTED`); whether it is
so says something of listeners and metrics alike. The numbers of every second are those of the strip under the player; what of
them concerns a rated trial is kept here (`Records`), because the separation itself is deleted after a day. They are levels and
ratios, no audio, and go when the rating is withdrawn.

A difference is of the mean inside one mark and the mean outside, over seconds in which the stem is heard at all (`QUIET_DB`),
so that loud and quiet recordings count alike. Differences are averaged over marks, with an interval over recordings: marks of
one recording are not independent. This is a look at data that nobody controlled, not a test: of twenty intervals one misses
zero by chance.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from separation.audio.files import temporary_name
from separation.ratings.browse import Line
from separation.ratings.records import LABELS, Mark
from separation.statistics import cluster_bootstrap

TITLES: Mapping[str, tuple[str, str]] = {
    "bss_eval_v4.SDR": ("SDR", "dB"),
    "bss_eval_v4.SIR": ("SIR", "dB"),
    "bss_eval_v4.SAR": ("SAR", "dB"),
    "si_sdr": ("SI-SDR", "dB"),
    "estimate_db": ("level of the stem", "dB"),
    "stem_similarity": ("similarity of stems", ""),
    "residual_db": ("residual", "dB"),
    "mask_entropy": ("mask entropy", ""),
}
"""The metrics that are compared, as people say them, and the unit of a difference. BSS-eval is v4."""

MEANINGS: Mapping[str, str] = {
    "bss_eval_v4.SDR": "The stem against the true source: how small everything wrong with it is, taken together.",
    "bss_eval_v4.SIR": "How little of the other sources is left in the stem.",
    "bss_eval_v4.SAR": "How little is in the stem that comes from no source: noise and artefacts of the separation.",
    "si_sdr": "As SDR, but whether the stem is too loud or too quiet does not count.",
    "estimate_db": "How loud the stem is.",
    "stem_similarity": "How alike the stem and the most similar other one are: 0 nothing in common, 1 the same.",
    "residual_db": "How loud what no stem got is, against the mixture: little is better.",
    "mask_entropy": "How undecided the model's masks are: 0 all or nothing, 1 a bit of everything for every source.",
}
"""What each says, in a sentence for people who have never met it. Of the first four, more is better."""

EXPECTED: Mapping[str, str] = {
    "bleed": "bss_eval_v4.SIR",
    "wrong source": "bss_eval_v4.SIR",
    "musical noise": "bss_eval_v4.SAR",
    "phasey": "bss_eval_v4.SAR",
    "muffled": "si_sdr",
    "gap": "estimate_db",
}
"""The metric that should be lower inside, if listeners and metrics mean the same. SI-SDR punishes a filter, SDR hardly."""

QUIET_DB = 40.0
"""A second this far below the loudest of its stem (of the reference, if there is one) is out of hearing, as in `segments`."""

FEWEST = 5
"""Recordings from which on there is an interval: of fewer, a bootstrap is far too sure."""

_LEVELS = ("reference", "reference_db"), ("estimate", "estimate_db")
_ID = re.compile(r"[0-9a-f]{32}")


class Records:
    """The numbers of every second of rated trials, a file each.

    A record has ``source`` ("stage", or "clips" if only those were left), ``start`` (where its first second begins, in seconds
    from the start of what was served), ``hop`` (s) and ``series``: each with ``source``, ``metric``, ``of`` and ``values``.

    Args:
        folder: made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, trial: str) -> dict[str, Any] | None:
        try:
            record: dict[str, Any] = json.loads(self._path(trial).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return record

    def put(self, trial: str, record: Mapping[str, Any]) -> None:
        """Keep a record; what else it holds is left out."""
        kept = [one for one in record["series"] if one["of"] == "estimate" or one["metric"] == "reference_db"]
        series = [{name: one[name] for name in ("source", "metric", "of", "values")} for one in kept]
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(trial)
        temporary = temporary_name(path)
        fields = {name: record[name] for name in ("source", "start", "hop")}
        temporary.write_text(json.dumps({**fields, "series": series}, separators=(",", ":")), encoding="utf-8")
        temporary.replace(path)

    def delete(self, trial: str) -> None:
        """Delete the record of a trial, if there is one."""
        self._path(trial).unlink(missing_ok=True)

    def keep_only(self, trials: Iterable[str]) -> int:
        """Delete the records of all other trials, such as withdrawn ones. Returns how many there were."""
        keep = set(trials)
        gone = 0
        for path in self._folder.glob("*.json"):
            if path.stem not in keep:
                with suppress(FileNotFoundError):
                    path.unlink()
                gone += 1
        return gone

    def _path(self, trial: str) -> Path:
        assert _ID.fullmatch(trial), "ids come from the store"
        return self._folder / f"{trial}.json"


class _Difference(NamedTuple):
    """Inside minus outside of one mark."""

    label: str
    metric: str
    value: float
    recording: str


@dataclass(frozen=True)
class Found:
    """One kind of mark and one metric.

    Args:
        label, metric: which.
        difference: inside minus outside, mean over marks.
        low, high: its 95 % interval over recordings; None below `FEWEST` of them.
        marks, recordings: that it is of.
        expected: it is the metric that should be lower inside.
    """

    label: str
    metric: str
    difference: float
    low: float | None
    high: float | None
    marks: int
    recordings: int
    expected: bool

    @property
    def sure(self) -> bool:
        """Whether the interval misses zero, as it is written: nobody is told that "[−3.8, 0.0]" does."""
        if self.low is None or self.high is None:
            return False
        digits = _digits(self.metric)
        return round(self.low, digits) > 0 or round(self.high, digits) < 0

    @property
    def verdict(self) -> str:
        """In words.

        >>> Found("bleed", "bss_eval_v4.SIR", -4.12, -6.2, -2.0, 23, 9, True).verdict
        'bleed: SIR is 4.1 dB lower inside, [−6.2, −2.0], 23 marks of 9 recordings'
        """
        title, unit = TITLES[self.metric]
        digits = _digits(self.metric)
        size = _written(abs(self.difference), digits) + (f" {unit}" if unit else "")
        than = (
            f"{size} {'lower' if self.difference < 0 else 'higher'}" if round(self.difference, digits) else "the same"
        )
        said = f"{self.label}: {title} is {than} inside"
        of = f"{self.marks} mark{'s' * (self.marks != 1)} of {self.recordings} recording{'s' * (self.recordings != 1)}"
        if self.low is None or self.high is None:
            return f"{said}, {of}: too few to say how sure that is"
        sure = "" if self.sure else ": no difference that could be told from none"
        return f"{said}, [{_written(self.low, digits)}, {_written(self.high, digits)}], {of}{sure}"

    def to_json(self) -> dict[str, Any]:
        title, unit = TITLES[self.metric]
        return {**asdict(self), "title": title, "unit": unit, "sure": self.sure, "verdict": self.verdict}


def compare(rated: Iterable[tuple[Line, Mapping[str, Any]]], *, only_blind: bool = False) -> list[Found]:
    """Every kind of mark against every metric that was measured, kinds in the order of `LABELS`.

    Args:
        rated: trials with marks, and their records.
        only_blind: only marks that were made blind.
    """
    differences = [one for line, record in rated for one in _differences(line, record, only_blind)]
    found = []
    for label in LABELS:
        for metric in TITLES:
            mine = [one for one in differences if (one.label, one.metric) == (label, metric)]
            if not mine:
                continue
            recordings = [one.recording for one in mine]
            interval = cluster_bootstrap([one.value for one in mine], recordings)
            count, expected = len(set(recordings)), EXPECTED.get(label) == metric
            low, high = interval[1:] if count >= FEWEST else (None, None)
            found.append(Found(label, metric, interval.mean, low, high, len(mine), count, expected))
    return found


def _differences(line: Line, record: Mapping[str, Any], only_blind: bool) -> Iterator[_Difference]:
    recording = line.trial.clips.get("mixture", line.trial.id)
    marks = [mark for mark, _ in line.marks]
    for mark, blind in line.marks:
        if only_blind and not blind:
            continue
        alike = [other for other in marks if (other.stem, other.label) == (mark.stem, mark.label)]
        for metric in TITLES:
            values = _heard(record, mark.stem, metric)
            inside = _mean(values, [_covered(record, i, mark) for i in range(len(values))])
            others = [not any(_touched(record, i, other) for other in alike) for i in range(len(values))]
            outside = _mean(values, others)
            if inside is not None and outside is not None:
                yield _Difference(mark.label, metric, inside - outside, recording)


def _heard(record: Mapping[str, Any], stem: str, metric: str) -> list[float | None]:
    """The values of a metric for a stem (or for all together), None also where the stem is too quiet; empty if not measured."""
    values = _values(record, stem, metric, "estimate") or _values(record, "", metric, "estimate")
    if metric == "estimate_db":
        return values  # which says how quiet it is
    levels = next((found for of, name in _LEVELS if (found := _values(record, stem, name, of))), [])
    loudest = max((level for level in levels if level is not None), default=-inf)
    quiet = [level is None or level < loudest - QUIET_DB for level in levels[: len(values)]]
    quiet += [False] * (len(values) - len(quiet))
    return [None if out else value for value, out in zip(values, quiet, strict=True)]


def _digits(metric: str) -> int:
    """Decimals of a difference."""
    return 1 if TITLES[metric][1] else 2


def _written(number: float, digits: int) -> str:
    return f"{round(number, digits) + 0.0:.{digits}f}".replace("-", "−")  # adding zero takes the sign off a zero


def _values(record: Mapping[str, Any], source: str, metric: str, of: str) -> list[float | None]:
    wanted = (source, metric, of)
    return next((s["values"] for s in record["series"] if (s["source"], s["metric"], s["of"]) == wanted), [])


def _overlap(record: Mapping[str, Any], window: int, mark: Mark) -> float:
    """Seconds of a window that a mark covers."""
    start = record["start"] + window * record["hop"]
    return float(min(start + record["hop"], mark.end) - max(start, mark.start))


def _covered(record: Mapping[str, Any], window: int, mark: Mark) -> bool:
    """At least half of the window lies in the mark, or half of a short mark in the window."""
    return _overlap(record, window, mark) >= min(float(record["hop"]), mark.end - mark.start) / 2


def _touched(record: Mapping[str, Any], window: int, mark: Mark) -> bool:
    return _overlap(record, window, mark) > 0


def _mean(values: Sequence[float | None], chosen: Sequence[bool]) -> float | None:
    given = [value for value, is_chosen in zip(values, chosen, strict=True) if is_chosen and value is not None]
    return sum(given) / len(given) if given else None
