"""Chunks -> one stream: what neighbours share is cross-faded with weights that add up to one.

In float64, so that a sample that is equal in both chunks comes out as the float32 it was: ``x w + x (1 - w)`` errs by
less than 2⁻⁵¹ of x, and half a step of float32 is 2⁻²⁵. There is no division by a sum of weights, and no loudness is
assumed: the weights suit sounds that are the same in both chunks, which they are once the context has been thrown away.
"""

import numpy as np

from separation.signals import Samples


class Joiner:
    """Joins blocks of ``stride + fade`` samples; holds one fade.

    Args:
        fade: samples that neighbours share; 0 for none.
    """

    def __init__(self, fade: int) -> None:
        self._fade = fade
        self._weights = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / max(fade, 1))
        self._tail: Samples | None = None

    def push(self, kept: Samples) -> Samples:
        """``[*, stride + fade]`` -> the next ``[*, stride]`` of the stream. `kept` is not changed."""
        split = kept.shape[-1] - self._fade
        block = kept[..., :split].copy()
        if self._tail is not None:
            incoming = kept[..., : self._fade]
            block[..., : self._fade] = incoming * self._weights + self._tail * (1 - self._weights)
        self._tail = kept[..., split:].copy()
        return block

    def flush(self) -> Samples:
        """The last fade, ``[*, fade]``, after the last chunk."""
        assert self._tail is not None, "flush before push"
        return self._tail
