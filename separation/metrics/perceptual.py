"""Metrics that try to agree with ears: intelligibility, speech quality, spectral distances, weighted errors.

STOI and PESQ were made for speech and mean little for music. All take ``[*, S, C, T]``; those that hear one channel
hear the mean of the channels. Silence is NaN except for logWMSE, which is made for it.
"""

import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pystoi import stoi as pystoi
from torch import Tensor
from torch_log_wmse import LogWMSE

from separation.audio import resample
from separation.errors import MissingExtra, ShapeError
from separation.signals import Samples

Mono = NDArray[np.float64]

PESQ_RATES = {"wb": 16000, "nb": 8000}
PESQ_SECONDS = 10.0
"""The recommendation is for 8 to 12 s of speech; the reference code writes past its arrays beyond a minute or two."""
PESQ_LEAST_SECONDS = 0.25
STOI_LEAST_SECONDS = 0.4
"""30 frames of 12.8 ms and one window of 25.6 ms."""
LSD_SIZE = 2048
RESOLUTIONS = (512, 1024, 2048)
RANGE_DB = 100.0
"""What lies further than this below a sine of the reference's largest sample counts as lying just there."""
FRAMES = 256
"""Spectra held at once."""


def stoi(reference: Tensor, estimate: Tensor, sample_rate: int, *, extended: bool = False) -> Tensor:
    """Short-time objective intelligibility ``[*, S]``, about 0 to 1, higher is better: speech only. By `pystoi`.

    NaN where either is silent or the reference holds less than 0.4 s of speech (frames within 40 dB of the loudest).

    Taal, Hendriks, Heusdens and Jensen, IEEE TASLP 19(7), 2011; `extended`: Jensen and Taal, IEEE/ACM TASLP 24(11),
    2016.

    Raises:
        ShapeError: not two tensors of one shape with sources, channels and samples.
    """

    def score(s: Mono, e: Mono) -> float:
        if s.size < STOI_LEAST_SECONDS * sample_rate:
            return float("nan")
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            try:
                return float(pystoi(s, e, sample_rate, extended=extended))
            except RuntimeWarning:  # it would return 1e-5
                return float("nan")

    return _by_source(reference, estimate, score, "STOI")


def pesq(reference: Tensor, estimate: Tensor, sample_rate: int) -> Tensor:
    """Perceptual evaluation of speech quality ``[*, S]``, MOS-LQO of 1 to 4.64: speech only. By the package `pesq`.

    Wide band at 16 kHz (ITU-T P.862.2) for rates from 16 kHz, else narrow band at 8 kHz (P.862.1): do not compare the
    two. Speech longer than 15 s is scored in pieces of about 10 s, of which the mean is taken: the recommendation is
    for that length, and the reference code fails on long files. NaN where either is silent, no utterance is found, or
    less than 0.25 s is there.

    Raises:
        MissingExtra: the package `pesq` is not installed; it is not part of Earshot, see `docs/metrics.md`.
        ShapeError: as in `stoi`.
    """
    package = _require_pesq()
    mode = "wb" if sample_rate >= PESQ_RATES["wb"] else "nb"
    rate = PESQ_RATES[mode]

    def piece_score(s: Samples, e: Samples) -> float:
        if not s.any() or not e.any() or s.size < PESQ_LEAST_SECONDS * rate:
            return float("nan")
        try:
            return float(package.pesq(rate, s, e, mode))
        except (package.NoUtterancesError, package.BufferTooShortError):
            return float("nan")

    def score(s: Mono, e: Mono) -> float:
        count = max(1, ceil(s.size / sample_rate / PESQ_SECONDS - 0.5))
        pieces = (np.array_split(resample(x, sample_rate, rate), count) for x in (s, e))
        scores = [piece_score(*piece) for piece in zip(*pieces, strict=True)]
        found = [value for value in scores if not np.isnan(value)]
        return float(np.mean(found)) if found else float("nan")

    return _by_source(reference, estimate, score, "PESQ")


def log_spectral_distance(reference: Tensor, estimate: Tensor) -> Tensor:
    """Distance of log spectra ``[*, S]`` in dB, lower is better; phase does not count, level does.

    The root mean square over bins of ``20 log10(|S| / |E|)``, averaged over frames and channels. Frames of 2,048
    samples (Hann) every 512; magnitudes are at least 100 dB below that of a sine of the reference's largest sample. NaN
    for a silent reference; a silent estimate is as far off as that floor. A signal below one frame is filled up with
    zeros.

    Gray and Markel, "Distance measures for speech processing", IEEE TASSP 24(5), 1976, eq. 3 with p = 2.

    Raises:
        ShapeError: as in `stoi`.
    """
    _require_same(reference, estimate, "log-spectral distance")
    floor = _floor(reference, LSD_SIZE)
    distance, frames = torch.zeros_like(floor), 0
    for s, e in zip(_spectra(reference, LSD_SIZE), _spectra(estimate, LSD_SIZE), strict=True):
        ratio = 20 * (s.maximum(floor[..., None]) / e.maximum(floor[..., None])).log10()
        distance += ratio.square().mean(-1).sqrt().sum(-1, keepdim=True)
        frames += s.shape[-2]
    return torch.where(floor > 0, distance / frames, torch.nan).mean((-2, -1))


def multi_resolution_spectral_distance(reference: Tensor, estimate: Tensor) -> Tensor:
    """Distance of magnitude spectra at three resolutions ``[*, S]``, at least 0, lower is better; phase does not count.

    The mean over windows of 512, 1,024 and 2,048 samples (Hann, hop a quarter) of spectral convergence ``| |S| - |E| |
    / |S|`` plus the mean of ``|ln |S| - ln |E||``; floor, short signals, silence and errors as in
    `log_spectral_distance`.

    Arik, Jun and Diamos, "Fast spectrogram inversion using multi-head convolutional neural networks", IEEE SPL 26(1),
    2019; Yamamoto, Song and Kim, "Parallel WaveGAN", ICASSP 2020, eq. 4 to 6. Channels are averaged.
    """
    _require_same(reference, estimate, "multi-resolution spectral distance")
    return torch.stack([_spectral_distance(reference, estimate, size) for size in RESOLUTIONS]).mean(0)


def logwmse(mixture: Tensor, reference: Tensor, estimate: Tensor, sample_rate: int) -> Tensor:
    """Log of the error weighted as ears do ``[*, S]``, at most 73.68, higher is better. Computed by `torch_log_wmse`.

    ``-4 ln(|h * (e - s)|^2 / |h * x|^2 + 1e-8)`` with a filter h after the ear's sensitivity: relative to the mixture,
    so that it is defined for a silent reference, of which a silent estimate is perfect. The mean over channels. NaN for
    a silent mixture.

    Landschoot, torch-log-wmse, 2024, after Nomono's log-wmse-audio-quality, 2023 (no paper).

    Args:
        mixture: ``[*, C, T]``.

    Raises:
        ShapeError: the mixture has another length or other channels, or as in `stoi`.
    """
    _require_same(reference, estimate, "logWMSE")
    if mixture.shape != (*reference.shape[:-3], *reference.shape[-2:]):
        raise ShapeError(
            "Compute logWMSE", f"a mixture {list(mixture.shape)} of {list(reference.shape)}", "Pass [channels, samples]"
        )
    score = _log_wmse(sample_rate).to(mixture.device)
    whole = mixture.unsqueeze(-3).expand_as(reference).reshape(-1, reference.shape[-1])
    rows = zip(whole, reference.reshape_as(whole), estimate.reshape_as(whole), strict=True)
    # A channel at a time: the spectra of five minutes are large.
    values = [
        score.per_stem(x[None, None], e[None, None, None], s[None, None, None]) if x.any() else None for x, s, e in rows
    ]
    blank = mixture.new_full((1, 1, 1), torch.nan)
    flat = torch.stack([blank if value is None else value for value in values]).double()
    return flat.reshape(reference.shape[:-1]).nanmean(-1)


def _by_source(reference: Tensor, estimate: Tensor, score: Callable[[Mono, Mono], float], what: str) -> Tensor:
    """`score` of the mean of the channels of each source; NaN where it is silent."""
    _require_same(reference, estimate, what)
    values = []
    for s, e in zip(*(x.reshape(-1, *x.shape[-2:]) for x in (reference, estimate)), strict=True):
        mono = [x.detach().double().mean(0).cpu().numpy() for x in (s, e)]
        values.append(score(*mono) if all(x.any() for x in mono) else float("nan"))
    return torch.tensor(values, dtype=torch.float64, device=reference.device).reshape(reference.shape[:-2])


def _spectral_distance(reference: Tensor, estimate: Tensor, size: int) -> Tensor:
    floor = _floor(reference, size)
    error, energy, logs, count = torch.zeros_like(floor), torch.zeros_like(floor), torch.zeros_like(floor), 0
    for s, e in zip(_spectra(reference, size), _spectra(estimate, size), strict=True):
        error += (s - e).square().sum((-2, -1)).unsqueeze(-1)
        energy += s.square().sum((-2, -1)).unsqueeze(-1)
        logs += (s.maximum(floor[..., None]) / e.maximum(floor[..., None])).log().abs().sum((-2, -1)).unsqueeze(-1)
        count += s.shape[-2] * s.shape[-1]
    return torch.where(floor > 0, (error / energy).sqrt() + logs / count, torch.nan).mean((-2, -1))


def _floor(reference: Tensor, size: int) -> Tensor:
    """`RANGE_DB` below the magnitude of a sine that reaches the largest sample of a source: ``[*, S, C, 1]``."""
    peak = torch.maximum(reference.amax((-2, -1)), -reference.amin((-2, -1))).double()
    sine = peak * size / 4  # half of the window's sum
    return (sine * 10 ** (-RANGE_DB / 20))[..., None, None].expand(*reference.shape[:-1], 1)


def _spectra(x: Tensor, size: int) -> Iterator[Tensor]:
    """``[*, T]`` -> magnitudes ``[*, K, F]`` float64 of `FRAMES` frames at a time, a quarter of `size` apart."""
    hop = size // 4
    window = torch.hann_window(size, dtype=torch.float64, device=x.device)
    if x.shape[-1] < size:
        x = torch.nn.functional.pad(x, (0, size - x.shape[-1]))
    count = (x.shape[-1] - size) // hop + 1
    for first in range(0, count, FRAMES):
        last = min(first + FRAMES, count) - 1
        frames = x[..., first * hop : last * hop + size].double().unfold(-1, size, hop)
        yield torch.fft.rfft(frames * window).abs()


@lru_cache(maxsize=8)
def _log_wmse(sample_rate: int) -> LogWMSE:
    return LogWMSE(sample_rate=sample_rate)


def _require_pesq() -> Any:
    try:
        import pesq as package
    except ImportError:
        raise MissingExtra(
            "Compute PESQ",
            "the package pesq is not installed, because ITU-T's reference code inside it may only be used under ITU's terms",
            "Read docs/metrics.md, then install it with: pip install pesq (it needs a C compiler)",
        ) from None
    return package


def _require_same(reference: Tensor, estimate: Tensor, what: str) -> None:
    if reference.shape != estimate.shape or reference.ndim < 3 or 0 in reference.shape[-3:]:
        raise ShapeError(
            f"Compute {what}",
            f"{list(reference.shape)} and {list(estimate.shape)}",
            "Pass reference and estimate as [sources, channels, samples] of one shape",
        )
