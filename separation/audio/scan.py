"""What must be known of a whole recording before it is separated: one pass, in bounded memory.

The engine normalises by the whole file's mean and deviation, so that they do not depend on how the file is cut.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from separation.audio.readers import BLOCK, Reader
from separation.errors import Cancelled, NonFiniteAudio
from separation.signals import Samples

SILENCE = 1e-6
"""A recording whose peak is below this (-120 dB) is called silent."""


@dataclass(frozen=True)
class Scan:
    """Figures of a whole recording.

    Args:
        peak: greatest absolute sample of any channel; 1.0 is full scale.
        mean: of the mid signal (the mean of the channels).
        deviation: standard deviation of the mid signal (of the population: divided by the length).
        silent: the peak is below -120 dB.
    """

    peak: float
    mean: float
    deviation: float
    silent: bool


def scan(reader: Reader, *, cancelled: Callable[[], bool] | None = None) -> Scan:
    """Read a recording once from start to end; sums in float64.

    Args:
        reader: the recording.
        cancelled: asked before every block of about three seconds.

    Raises:
        NonFiniteAudio: a sample is NaN or infinite; names its time and channel.
        Cancelled: `cancelled` said so.
        UnreadableAudio: the file is damaged somewhere.
    """
    count, mean, squares, peak = 0, 0.0, 0.0, 0.0
    for start in range(0, reader.length, BLOCK):
        if cancelled is not None and cancelled():
            raise Cancelled(f"Read {reader.info.name}", "it was cancelled", "Start again when you like")
        block = reader.read(start, min(BLOCK, reader.length - start))
        greatest = float(np.abs(block).max())
        if not np.isfinite(greatest):
            raise _non_finite(reader, start, block)
        peak = max(peak, greatest)
        mid = block.mean(axis=0, dtype=np.float64)
        # Chan, Golub & LeVeque (1983), eq. 1.5: joined moments, sound also for a large mean.
        size, block_mean = len(mid), float(mid.mean())
        step = block_mean - mean
        squares += float(np.square(mid - block_mean).sum()) + step * step * count * size / (count + size)
        mean += step * size / (count + size)
        count += size
    return Scan(peak, mean, float(np.sqrt(squares / max(count, 1))), peak < SILENCE)


def _non_finite(reader: Reader, start: int, block: Samples) -> NonFiniteAudio:
    position, channel = np.argwhere(~np.isfinite(block).T)[0]
    value = block[channel, position]
    what = "NaN (not a number)" if np.isnan(value) else "infinity"
    return NonFiniteAudio(
        f"Read {reader.info.name}",
        f"the sample at {(start + position) / reader.sample_rate:.3f} s in channel {channel + 1} is {what}",
        "Export it again, as 24-bit WAV for instance, or select a part without it",
    )
