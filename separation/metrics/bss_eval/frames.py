"""Long convolutions and correlations by short FFTs: how a signal is cut into frames, and who works on them."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

BLOCK = 16  # a frame holds this many filter lengths: 6 % of it is overlap
SAMPLES = 1 << 17  # of the references, held as float64 at a time by a worker: what a cache holds
WORKERS = 4  # at most: each holds its own frames and matrices

Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""`map`, or one that works on several items at once."""


@contextmanager
def workers(device: torch.device) -> Iterator[tuple[Spread, int]]:
    """A `map` and the number of threads it spreads over.

    On a CPU these are threads of which each leaves torch a single one. The other way round, torch's threads meet after every
    of thousands of small operations, which on cores that somebody else uses too takes ten times the time of one thread.
    """
    before = torch.get_num_threads()
    count = min(before, WORKERS)
    if device.type != "cpu" or before == 1:
        yield map, 1
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool.map, count
    finally:
        torch.set_num_threads(before)


def fft_size(length: int, taps: int) -> int:
    """Samples of a frame: one frame for what is short, else what makes FFTs fast."""
    return max(2, 1 << (min(BLOCK * taps, length + 2 * taps - 2) - 1).bit_length())


def chunks(channels: int, length: int, taps: int, size: int) -> list[tuple[int, int]]:
    """Spans that cover `length` samples, each of whole frames and of `SAMPLES` over all `channels`."""
    hop = size - taps + 1
    step = hop * max(1, SAMPLES // (channels * size))
    return [(start, start + -(-min(step, length - start) // hop) * hop) for start in range(0, length, step)]


def frames(signal: Tensor, span: tuple[int, int], taps: int, size: int) -> Tensor:
    """``[*, T]`` -> float64 ``[*, K, size]``: each frame the next ``size - taps + 1`` samples of `span` and the ``taps - 1``
    before them; zeros outside the signal."""
    start, stop = span
    begin = start - taps + 1
    first, last = max(0, begin), min(stop, signal.shape[-1])
    piece = signal.new_zeros((*signal.shape[:-1], stop - begin), dtype=torch.float64)
    piece[..., first - begin : last - begin] = signal[..., first:last]
    return piece.unfold(-1, size, size - taps + 1)


def filtered(spectrum: Tensor, response: Tensor, taps: int) -> Tensor:
    """Spectra of frames ``[*, N, K, F]`` through filters ``[*, N, M, F]`` -> ``[*, M, K, hop]``, what did not wrap around."""
    total = spectrum[..., 0, None, :, :] * response[..., 0, :, None, :]
    for i in range(1, spectrum.shape[-3]):
        total.addcmul_(spectrum[..., i, None, :, :], response[..., i, :, None, :])
    circle: Tensor = torch.fft.irfft(total, n=2 * (spectrum.shape[-1] - 1))
    return circle[..., taps - 1 :]
