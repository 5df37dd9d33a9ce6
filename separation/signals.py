"""Short audio in memory: a `Signal`, and the `Stems` a separation gives.

Long recordings never live here; they pass through `audio.Reader` and the engine block by block.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from separation.errors import ShapeError

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Signal:
    """Audio in memory.

    Args:
        samples: float32 ``[C, T]``, full scale is 1.0 (values beyond it are allowed).
        sample_rate: Hz.

    Raises:
        ShapeError: `samples` is not ``[C, T]`` with at least one channel, or the rate is not positive.
    """

    samples: Samples
    sample_rate: int

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples, dtype=np.float32)
        if samples.ndim != 2 or samples.shape[0] < 1 or self.sample_rate <= 0:
            raise ShapeError(
                "Hold audio in memory",
                f"an array of shape {samples.shape} at {self.sample_rate} Hz",
                "Pass samples as [channels, samples] and a positive rate",
            )
        object.__setattr__(self, "samples", samples)

    @property
    def channels(self) -> int:
        return int(self.samples.shape[0])

    @property
    def length(self) -> int:
        """Samples per channel."""
        return int(self.samples.shape[1])

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.length / self.sample_rate


Stems = dict[str, Signal]
