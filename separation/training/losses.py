"""Losses: what a model is trained on. Lower is better; each takes the reference before the estimate.

Silence has a defined value. For a silent reference the projection of SI-SDR and the ratio of SNR do not exist; what is
wanted then is a quiet estimate, so the loss becomes the estimate's level below the *mixture*, with the same floor
(after Wisdom et al., "What's all the fuss about free universal sound separation data?", ICASSP 2021).
"""

from collections.abc import Callable
from itertools import permutations

import torch
from torch import Tensor

EPSILON = 1e-8
SILENT = 1e-4  # a reference this far below the mixture, in energy, counts as silent
STFT_SIZES = (256, 512, 1024, 2048)
SCALES = (2048, 1024, 512, 256, 128, 64)
MUSIC = 0.1  # deviation of recorded music, about
LOG_FLOOR, SQUARE_FLOOR = 1e-5, 1e-10

PairLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


def snr(reference: Tensor, estimate: Tensor, mixture: Tensor, *, limit_db: float = 30.0) -> Tensor:
    """Negative signal-to-noise ratio in dB, soft-limited: ``[*, T]`` three times -> ``[*]``.

    ``10 log10(|s - e|^2 + tau |s|^2) - 10 log10 |s|^2``, tau = 10^(-limit_db / 10); |s| becomes |mixture| where s is
    silent.
    """
    error = (reference - estimate).square().sum(-1)
    return _ratio_db(error, _reference_energy(reference, mixture), limit_db)


def si_sdr(reference: Tensor, estimate: Tensor, mixture: Tensor, *, limit_db: float = 30.0) -> Tensor:
    """Negative scale-invariant SDR in dB, soft-limited, means removed: ``[*, T]`` three times -> ``[*]``.

    Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019. Silent references: as `snr`.
    """
    reference, estimate, mixture = (x - x.mean(-1, keepdim=True) for x in (reference, estimate, mixture))
    energy = reference.square().sum(-1, keepdim=True)
    silent = energy.squeeze(-1) <= SILENT * mixture.square().sum(-1)
    scale = (estimate * reference).sum(-1, keepdim=True) / (energy + EPSILON)
    target = scale * reference
    error = (target - estimate).square().sum(-1) + EPSILON  # a silent estimate is 0 dB, not a perfect one
    active = _ratio_db(error, target.square().sum(-1) + EPSILON, limit_db)
    return torch.where(silent, snr(reference, estimate, mixture, limit_db=limit_db), active)


def latent_si_sdr(reference: Tensor, estimate: Tensor, mixture: Tensor) -> Tensor:
    """Negative scale-invariant SDR of latents laid out as one vector, in dB; means stay: ``[*, D]`` -> ``[*]``.

    Tzinis et al., "Two-step sound source separation", ICASSP 2020, section 2.2. `mixture` is not used: the softmax targets of a
    silent source are not silent.
    """
    energy = reference.square().sum(-1, keepdim=True)
    scale = (estimate * reference).sum(-1, keepdim=True) / (energy + EPSILON)
    target = scale * reference
    error = (target - estimate).square().sum(-1) + EPSILON
    return 10 * torch.log10(error / (target.square().sum(-1) + EPSILON))


def snr_windows(reference: Tensor, estimate: Tensor, mixture: Tensor, *, window: int = 8000) -> Tensor:
    """The mean of `snr` over windows of `window` samples: pauses count as much as loud bars do.

    What is left over at the end does not count; a signal shorter than a window is one window.
    """
    window = min(window, reference.shape[-1])
    cut = reference.shape[-1] // window * window
    whole = (x.expand_as(reference)[..., :cut] for x in (reference, estimate, mixture))
    parts = [x.reshape(*x.shape[:-1], -1, window) for x in whole]
    quiet = parts[2].square().sum(-1) <= SILENT * parts[2].square().sum(-1).mean(-1, keepdim=True)
    loss = torch.where(quiet, 0.0, snr(parts[0], parts[1], parts[2]))
    return loss.mean(-1)


def l1(reference: Tensor, estimate: Tensor, mixture: Tensor) -> Tensor:
    """Mean absolute error: ``[*, T]`` -> ``[*]``."""
    return (reference - estimate).abs().mean(-1)


def mse(reference: Tensor, estimate: Tensor, mixture: Tensor) -> Tensor:
    """Mean squared error: ``[*, T]`` -> ``[*]``."""
    return (reference - estimate).square().mean(-1)


def multi_resolution_spectral(reference: Tensor, estimate: Tensor, mixture: Tensor) -> Tensor:
    """Mean absolute difference of magnitudes over four STFT sizes, relative to the mixture's: ``[*, T]`` -> ``[*]``.

    The linear half of Yamamoto et al., "Parallel WaveGAN", ICASSP 2020, eq. 3-6.
    """
    total = torch.zeros(reference.shape[:-1], device=reference.device)
    for n_fft in STFT_SIZES:
        ref, est, mix = (_magnitude(x, n_fft) for x in (reference, estimate, mixture))
        total = total + (ref - est).abs().mean((-2, -1)) / (mix.mean((-2, -1)) + EPSILON)
    return total / len(STFT_SIZES)


def multi_scale_spectral(reference: Tensor, estimate: Tensor, mixture: Tensor) -> Tensor:
    """Mean absolute difference of magnitudes and of their logarithms, summed over six STFT sizes: ``[*, T]`` -> ``[*]``.

    Engel et al., "DDSP", ICLR 2020, eq. 4; sizes and floors of Schulze-Forster et al., TASLP 2023, section IV. The logarithm's
    floor makes it depend on the level, so all are brought to where the mixture has the level of recorded music.
    """
    level = mixture.std(-1, keepdim=True, correction=0).clamp_min(EPSILON) / MUSIC
    total = torch.zeros(reference.shape[:-1], device=reference.device)
    for n_fft in SCALES:
        ref, est = (_magnitude(x / level, n_fft, SQUARE_FLOOR) for x in (reference, estimate))
        logarithms = torch.log(ref + LOG_FLOOR) - torch.log(est + LOG_FLOOR)
        total = total + (ref - est).abs().mean((-2, -1)) + logarithms.abs().mean((-2, -1))
    return total


def permutation_invariant(loss: PairLoss) -> PairLoss:
    """The best assignment of estimates to references: ``[B, S, *, T]`` -> ``[B]``.

    Kolbaek et al., "Multitalker speech separation with utterance-level permutation invariant training", TASLP 2017. All
    S! orders are tried, which is right for the two or three sources of such models.
    """

    def best(reference: Tensor, estimate: Tensor, mixture: Tensor) -> Tensor:
        sources = reference.shape[1]
        pairs = [
            [loss(reference[:, i], estimate[:, j], mixture).reshape(len(reference), -1).mean(1) for j in range(sources)]
            for i in range(sources)
        ]
        orders = permutations(range(sources))
        costs = [torch.stack([pairs[i][j] for i, j in enumerate(order)]).mean(0) for order in orders]
        return torch.stack(costs).min(0).values

    return best


LOSSES: dict[str, PairLoss] = {
    "snr": snr,
    "si_sdr": si_sdr,
    "snr_windows": snr_windows,
    "l1": l1,
    "mse": mse,
    "multi_resolution_spectral": multi_resolution_spectral,
    "multi_scale_spectral": multi_scale_spectral,
}


def build(terms: dict[str, float], *, pit: bool) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The weighted sum of `terms`, ``[B, S, C, T]`` references and estimates, ``[B, C, T]`` mixture -> a scalar.

    With `pit` each term is permutation invariant, and every term chooses by the first one's order only if it is alone.
    """
    if pit and len(terms) != 1:
        raise ValueError("permutation-invariant training takes one loss: two could choose different orders")

    def total(reference: Tensor, estimate: Tensor, mixture: Tensor) -> Tensor:
        value = torch.zeros((), device=reference.device)
        for name, weight in terms.items():
            if pit:
                term = permutation_invariant(LOSSES[name])(reference, estimate, mixture)
            else:
                term = LOSSES[name](reference, estimate, mixture.unsqueeze(1))
            value = value + weight * term.mean()
        return value

    return total


def _reference_energy(reference: Tensor, mixture: Tensor) -> Tensor:
    energy, whole = reference.square().sum(-1), mixture.square().sum(-1).expand(reference.shape[:-1])
    return torch.where(energy > SILENT * whole, energy, whole) + EPSILON


def _ratio_db(error: Tensor, energy: Tensor, limit_db: float) -> Tensor:
    floor = 10 ** (-limit_db / 10) * energy
    return 10 * torch.log10((error + floor) / energy)


def _magnitude(x: Tensor, n_fft: int, floor: float = EPSILON) -> Tensor:
    window = torch.hann_window(n_fft, device=x.device)
    z = torch.stft(x.reshape(-1, x.shape[-1]), n_fft, n_fft // 4, window=window, return_complex=True)
    return (z.real.square() + z.imag.square() + floor).sqrt().reshape(*x.shape[:-1], *z.shape[-2:])
