"""What SDR cannot see: estimates where the reference is silent, and references where the estimate is.

Every SDR is undefined against silence, and of MUSDB18's 210 minutes of test vocals 45 are silent. Two published
measures share one name and are not comparable; they differ in what is silent, how long a frame is, and what is
averaged:

    pes_wiass   the reference is exactly zero; frames of 1 s; energy summed over the frame, at least -120 dB pes_htmd
    a voice activity detector hears no voice; windows of 4,096 samples at 22,050 Hz (0.186 s); RMS, at least -2000 dB

Windows are whole: what is left at the end is no window. The channels of a source are one signal: energies are summed
over them (`pes_wiass`), mean squares averaged (`pes_htmd`), and a detector hears their mean.
"""

import numpy as np
import torch
import webrtcvad
from torch import Tensor

from separation.audio import resample
from separation.errors import ShapeError
from separation.metrics.bss_eval import windows

WIASS_SECONDS = 1.0
WIASS_FLOOR = 1e-12
HTMD_SECONDS = 4096 / 22050
HTMD_DECADES = -100.0
"""The least log10(RMS)."""
VAD_RATE = 16000
VAD_STEP = 320
"""Samples of a frame: 20 ms."""
VAD_MODE = 3
"""Of 0 to 3: the strictest, which calls least a voice."""
VOICED = 0.5
"""A window with at most this share of voice is silent."""


def pes_wiass(reference: Tensor, estimate: Tensor, window: int) -> Tensor:
    """Predicted energy at silence ``[*, S, W]`` in dB of ``[*, S, C, T]`` twice; lower is better.

    ``10 log10(sum e^2 + 1e-12)`` of each window of `window` samples (published: 1 s) in which the reference is exactly
    zero; NaN in the others. Published as the mean over windows.

    Schulze-Forster, Doire, Richard and Badeau, "Weakly informed audio source separation", WASPAA 2019.

    Raises:
        ShapeError: not two tensors of one shape, or a window below one sample.

    >>> round(pes_wiass(torch.zeros(1, 1, 10), torch.full((1, 1, 10), -3.0), 10).item(), 3)
    19.542
    """
    _require_same(reference, estimate, window)
    silent, energy = ~_sounds(reference, window), _mean_square(estimate, window) * reference.shape[-2] * window
    return torch.where(silent, 10 * torch.log10(energy + WIASS_FLOOR), torch.nan)


def eps_wiass(reference: Tensor, estimate: Tensor, window: int) -> Tensor:
    """Energy at predicted silence ``[*, S, W]`` in dB: what was lost where the estimate is exactly zero. Lower is
    better.

    `pes_wiass` with the signals' parts exchanged; same source, floor and errors.
    """
    return pes_wiass(estimate, reference, window)


def pes_htmd(reference: Tensor, estimate: Tensor, sample_rate: int, window: int | None = None) -> Tensor:
    """Predicted energy at silence after HTMD-Net ``[*, S, W]`` in dB of ``[*, S, C, T]`` twice; lower is better.

    ``20 max(log10 RMS(e), -100)`` of each window of `window` samples (None: 0.186 s, which is 4,096 samples at 22,050
    Hz) of which at most half is voice, see `voice_activity`; NaN in the others. An exactly silent estimate is -2000 dB,
    which ruins means: take medians.

    Garoufis, Zlatintsi and Maragos, "HTMD-Net: a hybrid masking-denoising approach to time-domain monaural singing
    voice separation", EUSIPCO 2021. Their detector's frames are cut the same way; whether it ran over songs or windows
    is not said, here it runs over the whole signal once.

    Raises:
        ShapeError: not two tensors of one shape, a window below one sample, or a sample rate that cannot be resampled.
    """
    window = max(1, round(HTMD_SECONDS * sample_rate)) if window is None else window
    _require_same(reference, estimate, window)
    level = 10 * torch.log10(_mean_square(estimate, window)).clamp(min=2 * HTMD_DECADES)
    voiced = voice_activity(reference, sample_rate)
    frames = torch.arange(reference.shape[-1], device=reference.device) * VAD_RATE // (VAD_STEP * sample_rate)
    share = torch.stack([_windows(row[frames].float(), window).mean(-1) for row in voiced.flatten(0, -2)])
    return torch.where(share.reshape(level.shape) <= VOICED, level, torch.nan)


def voice_activity(signal: Tensor, sample_rate: int) -> Tensor:
    """Where a voice is heard: bool ``[*, K]`` of ``[*, C, T]``, a value each 20 ms; a last frame is padded with zeros.

    WebRTC's detector in its strictest mode at 16 kHz. It was made for speech and takes much singing, and some music,
    for voice. It adapts to the level, so that the answer for a frame depends on the ones before.
    """
    rows = []
    for channels in signal.detach().reshape(-1, *signal.shape[-2:]):
        mono = resample(channels.mean(0).cpu().numpy(), sample_rate, VAD_RATE)
        pcm = (np.clip(np.pad(mono, (0, -mono.size % VAD_STEP)), -1, 1) * 32767).astype("<i2")
        detector = webrtcvad.Vad(VAD_MODE)
        rows.append([detector.is_speech(frame.tobytes(), VAD_RATE) for frame in pcm.reshape(-1, VAD_STEP)])
    return torch.tensor(rows, dtype=torch.bool, device=signal.device).reshape(*signal.shape[:-2], -1)


def vad_agreement(reference: Tensor, estimate: Tensor, sample_rate: int) -> Tensor:
    """Percent ``[*, S]`` of 20 ms frames in which `voice_activity` says the same of ``[*, S, C, T]`` twice; higher is
    better.

    After HTMD-Net's evaluation (see `pes_htmd`). Two silent signals agree to 100 %. Errors as in `pes_htmd`.
    """
    _require_same(reference, estimate, 1)
    return 100 * (voice_activity(reference, sample_rate) == voice_activity(estimate, sample_rate)).double().mean(-1)


def silent_share(reference: Tensor, window: int, hop: int | None = None) -> Tensor:
    """Percent ``[*, S]`` of windows, cut as BSS-eval cuts them (`windows`), in which ``[*, S, C, T]`` is exactly zero.

    Raises:
        ShapeError: as in `pes_wiass`.
    """
    _require_same(reference, reference, window)
    silent = [~(reference[..., a:b] != 0).any(-1).any(-1) for a, b in windows(reference.shape[-1], window, hop)]
    return 100 * torch.stack(silent, -1).double().mean(-1)


def _windows(x: Tensor, window: int) -> Tensor:
    """``[*, T]`` -> ``[*, W, window]`` without what is left."""
    count = x.shape[-1] // window
    return x[..., : count * window].reshape(*x.shape[:-1], count, window)


def _sounds(x: Tensor, window: int) -> Tensor:
    """``[*, C, T]`` -> bool ``[*, W]``."""
    return (_windows(x, window) != 0).any(-1).any(-2)


def _mean_square(x: Tensor, window: int) -> Tensor:
    """``[*, C, T]`` -> float64 ``[*, W]``; channel by channel, because squares take twice the memory."""
    return torch.stack([_windows(c, window).double().square().mean(-1) for c in x.unbind(-2)]).mean(0)


def _require_same(reference: Tensor, estimate: Tensor, window: int) -> None:
    if reference.shape != estimate.shape or reference.ndim < 3 or 0 in reference.shape[-3:] or window < 1:
        raise ShapeError(
            "Measure silence",
            f"{list(reference.shape)} and {list(estimate.shape)} in windows of {window} samples",
            "Pass reference and estimate as [sources, channels, samples] of one shape and a window of at least one sample",
        )
