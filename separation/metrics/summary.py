"""Many values of one metric -> a few numbers, and how many values there were none of.

A mean over what happens to be defined says nothing without what was left out: a song whose vocals are silent for half
of it has half as many windows. Medians and means are both given, because one window at -30 dB moves the mean of a song
by decibels.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from separation.errors import ShapeError
from separation.metrics.values import Value


@dataclass(frozen=True)
class Summary:
    """What values come to; None, never NaN, where there were none. All but the counts in the metric's unit.

    Attributes:
        median, mean: over the values there are.
        mad: median absolute deviation from the median, not scaled.
        deviation: standard deviation over all values (not n - 1).
        count: values there are.
        left_out: how many there are none of, by reason, most frequent first.
    """

    median: float | None
    mean: float | None
    mad: float | None
    deviation: float | None
    count: int
    left_out: dict[str, int]


def summarise(values: Iterable[Value]) -> Summary:
    """Values of one metric, all of windows or all of whole signals; of one source or track, or of many.

    Raises:
        ShapeError: values of several metrics, or windows beside whole signals: their mean would mean nothing.

    >>> values = [Value("a", "snr", 0.0, 1.0, 3.0, ""), Value("a", "snr", 1.0, 1.0, None, "silent reference")]
    >>> summarise(values)
    Summary(median=3.0, mean=3.0, mad=0.0, deviation=0.0, count=1, left_out={'silent reference': 1})
    """
    values = list(values)
    kinds = {(value.metric, "the whole signal" if value.start is None else "a window") for value in values}
    if len(kinds) > 1:
        found = ", ".join(f"{metric} of {kind}" for metric, kind in sorted(kinds))
        raise ShapeError("Summarise values", found, "Pass values of one metric, of windows or of whole signals")
    left_out = dict(Counter(value.reason for value in values if value.value is None).most_common())
    numbers = np.array([value.value for value in values if value.value is not None], np.float64)
    if not numbers.size:
        return Summary(None, None, None, None, 0, left_out)
    median = float(np.median(numbers))
    mad = float(np.median(np.abs(numbers - median)))
    return Summary(median, float(numbers.mean()), mad, float(numbers.std()), numbers.size, left_out)
