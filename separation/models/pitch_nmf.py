"""Voices told apart by their pitch with no training: non-negative factors of a source and a filter. The baseline of UMSS.

The magnitudes of the mixture are explained, bin by bin, by what voices of known pitch can make:

    V = Σ_j (W G_j) ∘ (Γ Φ_j A_j)  +  Γ B

W are combs, one every tenth of a semitone: the main lobe of the window at each multiple of the pitch, all equally high. G_j
says how loud the combs around the given pitch are in a frame; all others are off, which is all that is known of a voice. Γ are
smooth bumps over frequency, of which Φ_j makes a few shapes of the vocal tract a voice, and A_j says when. Γ B is what is not
voiced (breath, consonants, reverberation), and belongs to all voices equally.

This is the source-filter model of J.-L. Durrieu, G. Richard, B. David, C. Févotte, "Source/filter model for unsupervised main
melody extraction from polyphonic audio signals", TASLP 18(3), 2010, section III, with the pitch given instead of sought, for
several voices, on magnitudes under the generalised Kullback-Leibler divergence; Γ B is ours. The factors are updated in turn by
multiplication, the model computed anew each time, so that the divergence never rises (C. Févotte, J. Idier, "Algorithms for
nonnegative matrix factorization with the beta-divergence", Neural Computation 23(9), 2011, section 4). It is the same kind of
baseline as that of the UMSS paper, whose code is not public: its figures are not to be set beside these.
"""

from collections.abc import Mapping, Sequence
from math import ceil, log2
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from separation.models.protocol import Spec, State, separate_by_masks
from separation.models.voices import PITCH, pitch_of
from separation.transforms import STFT

STEPS_AN_OCTAVE = 120
LOWEST_HZ, HIGHEST_HZ = 40.0, 2000.0
"""Range of the combs; a pitch outside gets the nearest."""
TINY = 1e-12
"""Keeps quotients finite where there is nothing."""
BREATH = 0.1
"""Of the mixture's magnitude is explained by what is not voiced, to begin with."""


class Factors(NamedTuple):
    """The unknowns; ``[B, S, ...]`` but for the last.

    Args:
        gains: G, of the combs near the pitch ``[B, S, P, K]``.
        shapes: Φ, ``[B, S, M, R]``.
        times: A, ``[B, S, R, K]``.
        breath: B, ``[B, M, K]``.
    """

    gains: Tensor
    shapes: Tensor
    times: Tensor
    breath: Tensor


class PitchNMF(nn.Module):
    """Non-negative source-filter factors with the pitch given.

    Args:
        sources: names of the voices; any number.
        sample_rate: Hz.
        n_fft, hop_length: of the STFT, in samples; the pitch has a frame a hop.
        near: combs on each side of the pitch that may sound too.
        bumps: smooth functions over frequency.
        shapes: of the vocal tract, a voice.
        steps: times each factor is updated.
        seed: of the factors to begin with.
        segment, context: seconds, see `Spec`.

    Shape:
        `encode`: ``[B, C, T]`` -> complex ``[B, C, F, K]``.
        `masks`: with ``side["pitch"]`` ``[B, S, K]`` in Hz -> ``[B, S, 1, F, K]``, which sum to one over the voices.
    """

    citation = (
        "J.-L. Durrieu, G. Richard, B. David, C. Févotte, Source/filter model for unsupervised main melody extraction from "
        "polyphonic audio signals, IEEE TASLP 18(3), 2010; here with the pitch given"
    )
    combs: Tensor
    smooth: Tensor

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("soprano", "alto", "tenor", "bass"),
        sample_rate: int = 16000,
        n_fft: int = 2048,
        hop_length: int = 256,
        near: int = 1,
        bumps: int = 30,
        shapes: int = 6,
        steps: int = 30,
        seed: int = 0,
        segment: float = 8.0,
        context: float = 0.5,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "sources": list(sources), "sample_rate": sample_rate, "n_fft": n_fft, "hop_length": hop_length, "near": near,
            "bumps": bumps, "shapes": shapes, "steps": steps, "seed": seed, "segment": segment, "context": context,
        }  # fmt: skip
        if min(near, bumps - 2, shapes - 1, steps - 1) < 0:
            raise ValueError(f"{near} combs beside, {bumps} bumps, {shapes} shapes, {steps} steps: too few")
        self.stft = STFT(n_fft, hop_length)
        self.register_buffer("combs", combs(sample_rate, n_fft), persistent=False)
        self.register_buffer("smooth", smooth(bumps, sample_rate, n_fft), persistent=False)

    @property
    def spec(self) -> Spec:
        a = self.arguments
        return Spec(
            sample_rate=a["sample_rate"], channels=1, sources=tuple(a["sources"]), segment=a["segment"], context=a["context"],
            multiple_of=a["hop_length"], normalise=True, needs=(PITCH,), align=a["hop_length"],
        )  # fmt: skip

    @property
    def pitch_hop(self) -> int:
        """See `voices.PitchSeparator`."""
        return int(self.arguments["hop_length"])

    def encode(self, x: Tensor) -> Tensor:
        z: Tensor = self.stft(x)
        return z

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        magnitudes = z.mean(1).abs()
        near = self.near(pitch_of(self, side, len(z), z.shape[-1]))
        factors = self.fit(magnitudes, near)
        voices, breath = self.made(factors, near)
        amounts = voices + ((breath + TINY) / voices.shape[1]).unsqueeze(1)
        return (amounts / amounts.sum(1, keepdim=True)).unsqueeze(2)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        return self.stft.inverse(latents, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return stems

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return separate_by_masks(self, mixture, side, state), None

    def near(self, pitch: Tensor) -> Tensor:
        """The combs that may sound: Hz ``[B, S, K]`` -> ``[B, S, P, F, K]``, nothing where unvoiced."""
        place = STEPS_AN_OCTAVE * torch.log2(pitch.clamp_min(LOWEST_HZ) / LOWEST_HZ)
        beside = torch.arange(-self.arguments["near"], self.arguments["near"] + 1, device=pitch.device)
        index = (place.round().long().unsqueeze(2) + beside[:, None]).clamp(0, len(self.combs) - 1)
        return (self.combs[index] * (pitch > 0)[:, :, None, :, None]).transpose(-2, -1)

    def fit(self, magnitudes: Tensor, near: Tensor) -> Factors:
        """Explain the mixture's magnitudes ``[B, F, K]`` by combs ``[B, S, P, F, K]``; the same ones for the same input."""
        factors = self._begin(magnitudes, near)
        for _ in range(self.arguments["steps"]):
            factors = self._update(magnitudes, near, factors)
        return factors

    def made(self, factors: Factors, near: Tensor) -> tuple[Tensor, Tensor]:
        """The magnitudes of the voices ``[B, S, F, K]``, and of what is not voiced ``[B, F, K]``."""
        return _excitation(factors, near) * self._tract(factors), self.smooth @ factors.breath

    def _begin(self, magnitudes: Tensor, near: Tensor) -> Factors:
        batch, sources, beside, _, frames = near.shape
        bumps, shapes = self.arguments["bumps"], self.arguments["shapes"]
        generator = torch.Generator().manual_seed(self.arguments["seed"])
        random = 0.5 + torch.rand((sources, bumps, shapes), generator=generator).to(near)
        ones = torch.ones_like(magnitudes[:, :1])
        factors = Factors(
            ones.unsqueeze(1).expand(batch, sources, beside, frames),
            random.expand(batch, -1, -1, -1),
            ones.unsqueeze(1).expand(batch, sources, shapes, frames),
            BREATH * magnitudes.mean((1, 2), keepdim=True).expand(batch, bumps, frames),
        )
        voices, _ = self.made(factors, near)
        level = magnitudes.mean((1, 2)) / (voices.sum(1).mean((1, 2)) + TINY)
        return factors._replace(times=factors.times * level[:, None, None, None])

    def _update(self, magnitudes: Tensor, near: Tensor, factors: Factors) -> Factors:
        """Each factor in turn, the model computed anew in between. Numerators have the quotient X / V, denominators one."""
        tract = self._tract(factors).unsqueeze(2)
        wanted = self._quotient(magnitudes, factors, near).unsqueeze(2)
        gains = factors.gains * _ratio((near * (tract * wanted)).sum(-2), (near * tract).sum(-2))
        factors = factors._replace(gains=gains)

        excitation = _excitation(factors, near)
        wanted, backwards = excitation * self._quotient(magnitudes, factors, near), factors.times.transpose(-2, -1)
        shapes = factors.shapes * _ratio(self.smooth.T @ wanted @ backwards, self.smooth.T @ excitation @ backwards)
        factors = factors._replace(shapes=shapes)

        wanted = excitation * self._quotient(magnitudes, factors, near)
        backwards = (self.smooth @ factors.shapes).transpose(-2, -1)
        factors = factors._replace(times=factors.times * _ratio(backwards @ wanted, backwards @ excitation))

        wanted = self._quotient(magnitudes, factors, near).squeeze(1)
        breath = factors.breath * _ratio(self.smooth.T @ wanted, self.smooth.sum(0)[:, None])
        return factors._replace(breath=breath)

    def _quotient(self, magnitudes: Tensor, factors: Factors, near: Tensor) -> Tensor:
        """X / V ``[B, 1, F, K]``."""
        voices, breath = self.made(factors, near)
        return _ratio(magnitudes, voices.sum(1) + breath).unsqueeze(1)

    def _tract(self, factors: Factors) -> Tensor:
        return self.smooth @ (factors.shapes @ factors.times)


def combs(sample_rate: int, n_fft: int) -> Tensor:
    """The spectra ``[P, F]`` of equal harmonics from `LOWEST_HZ` up: the main lobe of a Hann window at each."""
    count = 1 + ceil(STEPS_AN_OCTAVE * log2(HIGHEST_HZ / LOWEST_HZ))
    pitch = LOWEST_HZ * 2 ** (torch.arange(count, dtype=torch.float64) / STEPS_AN_OCTAVE)
    hz = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    nearest = (hz / pitch[:, None]).round().clamp_min(1) * pitch[:, None]
    bins = (hz - nearest).abs() * n_fft / sample_rate
    lobe: Tensor = torch.sinc(bins) / torch.where(bins == 1, 1.0, 1 - bins.square())
    return (torch.where(bins == 1, 0.5, lobe) * (bins < 2)).float()


def smooth(bumps: int, sample_rate: int, n_fft: int) -> Tensor:
    """Overlapping bumps ``[F, M]`` that sum to one, as wide as they are on the mel scale (O'Shaughnessy 1987)."""
    mel = torch.log1p(torch.linspace(0, sample_rate / 2, n_fft // 2 + 1) / 700)
    place = mel / mel[-1] * (bumps - 1)
    distance = (place[:, None] - torch.arange(bumps)).abs().clamp_max(1)
    return torch.cos(distance * torch.pi / 2).square()


def _excitation(factors: Factors, near: Tensor) -> Tensor:
    return (near * factors.gains.unsqueeze(3)).sum(2)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    return above / (below + TINY)
