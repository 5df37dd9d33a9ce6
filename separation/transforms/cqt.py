"""The filters of a constant-Q transform, an octave at a time: windows as long as a pitch needs, and no longer.

J. C. Brown, "Calculation of a constant Q spectral transform", J. Acoust. Soc. Am. 89 (1991), equations 1 to 5: a row's
window holds the same number of periods whatever its frequency. The filters are librosa's (`librosa.filters.wavelet`), so a
row means what it means in `librosa.cqt`; a test compares them.

Not `librosa.cqt` itself: that needs the whole signal in memory and computes every frame of it. For a song it is as quick as
a picture of it (`benchmarks`: views), but an hour of stereo is 1.3 GB and a picture of it needs a few thousand frames.
Whoever has frames multiplies them by these filters. librosa is imported when the first filters are made: it takes a second.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Octave:
    """Filters of neighbouring rows, all of one length.

    Args:
        rows: which of the frequencies these are.
        filters: complex64 ``[R, N]``, centred; the inner product of a row and a full-scale sine of its frequency has
            magnitude 1 (the row's conjugate is already taken).
    """

    rows: slice
    filters: NDArray[np.complex64]

    @property
    def length(self) -> int:
        """Samples of a filter, N."""
        return int(self.filters.shape[1])


def constant_q_octaves(
    frequencies_hz: NDArray[np.float64], sample_rate: int, *, per_octave: float = 12.0
) -> Iterator[Octave]:
    """The filters for rising frequencies.

    Args:
        frequencies_hz: centres of the rows ``[F]``, rising, all above 0.
        sample_rate: of the frames that will be filtered.
        per_octave: how narrow a filter is: as it is with so many rows to the octave; 12 is a semitone.

    Yields:
        An `Octave` for each octave that holds rows, the lowest first.

    >>> [octave.filters.shape for octave in constant_q_octaves(np.array([100.0, 150, 200, 300]), 8000)]
    [(2, 1387), (2, 694)]
    """
    assert np.all(frequencies_hz > 0) and np.all(np.diff(frequencies_hz) > 0)
    from librosa.filters import wavelet

    ratio = 4.0 ** (1 / per_octave)
    octaves = np.floor(np.log2(frequencies_hz / frequencies_hz[0]) + 1e-9).astype(int)
    for octave in np.unique(octaves):
        first, last = np.searchsorted(octaves, [octave, octave + 1])
        filters, _ = wavelet(
            freqs=frequencies_hz[first:last],
            sr=sample_rate,
            alpha=(ratio - 1) / (ratio + 1),
            pad_fft=False,
            norm=1,
        )
        yield Octave(slice(int(first), int(last)), np.asarray(2 * filters.conj(), np.complex64))
