"""UMSS: voices told apart by their pitch, by a model of how a voice is made. It learns from mixtures alone.

K. Schulze-Forster, G. Richard, L. Kelley, C. S. J. Doire, R. Badeau, "Unsupervised music source separation using
differentiable parametric source models", TASLP 2023, arXiv 2201.09592. Every voice is synthesised from its pitch (a buzz of
equal harmonics, some breath, an all-pole vocal tract: `transforms.source_filter`); a network reads from the mixture how loud
they are and what the tract is like, such that the voices together sound like the mixture (`training.objectives.Resynthesis`).
What is delivered is not the synthesis but the mixture under soft masks made from it (section III-E).

The network gets one description of the mixture for all voices, and one decoder serves them: voices differ by their pitch alone.
So there may be any number of them. Two that sing the same note cannot be told apart, and a wrong pitch is followed.

Sizes are the paper's: 5,573,961 parameters. Different from the released code: frames are centred at ``k * hop`` as the pitch
is (there, those of the filter begin at it); where a voice is unvoiced its harmonics are silent; the level is not learned, for
neither is it heard: the spectrum is normalised before the network.
"""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from separation.models.protocol import Inside, Spec, State, separate_by_masks
from separation.models.voices import PITCH, pitch_of
from separation.transforms import STFT
from separation.transforms import source_filter as sf

QUIET = 1e-5
"""Of a magnitude, before its logarithm is taken."""
SHARES = 1e-8
"""Magnitude below which all voices together count as silent, and share equally. It keeps gradients finite, too."""
LEVEL = 0.1
"""Deviation of what the source model makes, about; a mixture is brought to it. That of recorded music, for which the network's
outputs were scaled."""
LOWEST_HZ, HIGHEST_HZ = 20.0, 8000.0
"""Range of pitch, mapped to 0 to 1 for the network."""
ROLL_OFF_POINTS = 65
ENVELOPE_BINS = 129
"""Of the vocal tract's envelope where it is shown."""


class Controls(NamedTuple):
    """What the network says of each voice.

    Args:
        amplitude: of the harmonics together, ``[B, S, K]``.
        noise: gain of the breath, ``[B, S, K]``.
        tract: all-pole coefficients, float64 ``[B, S, K, P]``.
        colour: gains of the breath's filter from 0 to half the rate, ``[B, S, M]``.
    """

    amplitude: Tensor
    noise: Tensor
    tract: Tensor
    colour: Tensor


class UMSS(nn.Module):
    """Differentiable source-filter model.

    Args:
        sources: names of the voices; any number.
        sample_rate: Hz.
        hop_length: samples between frames, of the pitch too.
        n_fft: of the masks' STFT, in samples.
        latent, encoder, decoder: widths of the network.
        harmonics: at most.
        order: of the vocal tract; even.
        noise_bands: gains of the breath's filter.
        seed: of the breath, which is the same in every call but not in training.
        segment, context: seconds, see `Spec`.

    Shape:
        `encode`: ``[B, C, T]`` -> complex ``[B, C, F, K]``.
        `masks`: with ``side["pitch"]`` ``[B, S, K]`` in Hz -> ``[B, S, 1, F, K]``, which sum to one over the voices.
    """

    citation = (
        "K. Schulze-Forster, G. Richard, L. Kelley, C. S. J. Doire, R. Badeau, Unsupervised music source separation using "
        "differentiable parametric source models, TASLP 2023, arXiv 2201.09592"
    )
    rolls_off: Tensor

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("soprano", "alto", "tenor", "bass"),
        sample_rate: int = 16000,
        hop_length: int = 256,
        n_fft: int = 2048,
        latent: int = 128,
        encoder: int = 256,
        decoder: int = 512,
        harmonics: int = 101,
        order: int = 20,
        noise_bands: int = 40,
        seed: int = 0,
        segment: float = 8.0,
        context: float = 1.0,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "sources": list(sources), "sample_rate": sample_rate, "hop_length": hop_length, "n_fft": n_fft, "latent": latent,
            "encoder": encoder, "decoder": decoder, "harmonics": harmonics, "order": order, "noise_bands": noise_bands,
            "seed": seed, "segment": segment, "context": context,
        }  # fmt: skip
        if order % 2 or order < 2:
            raise ValueError(f"an all-pole filter of order {order}: it must be even, and 2 at least")
        if n_fft < 2 * hop_length:
            raise ValueError(f"an n_fft of {n_fft} is less than two hops of {hop_length} samples")
        self.stft, self.fine = STFT(n_fft, hop_length), STFT(2 * hop_length, hop_length)
        self.encoder = Encoder(hop_length + 1, encoder, latent)
        self.decoder = Decoder(latent, decoder, order, noise_bands)
        self.register_buffer("rolls_off", sf.roll_off(ROLL_OFF_POINTS, sample_rate), persistent=False)

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
        return self.inside(z, side, state).masks

    def inside(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Inside:
        """The masks, and of each voice what a person may see (`protocol.InsideSeparator`).

        ``pitch`` (Hz, 0 where unvoiced), ``amplitude`` of the harmonics together and gain of the ``noise``, each
        ``[B, S, K]``, and the ``envelope`` of the vocal tract from 0 to half the rate, in dB ``[B, S, ENVELOPE_BINS, K]``.
        """
        heard = self.stft.inverse(z.mean(1), (z.shape[-1] - 1) * self.pitch_hop)
        pitch = pitch_of(self, side, len(z), z.shape[-1])
        controls = self.controls(heard, pitch)
        made = self.stft(self.voices(controls, pitch))
        amounts = (made.real.square() + made.imag.square() + (SHARES / made.shape[1]) ** 2).sqrt()
        masks = (amounts / amounts.sum(1, keepdim=True)).unsqueeze(2)
        envelope = 20 * torch.log10(sf.envelope(controls.tract.detach(), ENVELOPE_BINS)).transpose(-2, -1)
        seen = {
            "pitch": pitch,
            "amplitude": controls.amplitude,
            "noise": controls.noise,
            "envelope": envelope.to(heard),
        }
        return Inside(masks, None, seen)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        return self.stft.inverse(latents, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return stems

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return separate_by_masks(self, mixture, side, state), None

    def synthesise(self, mixture: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """The voices as the source models make them, at the mixture's level: ``[B, C, T]`` -> ``[B, S, 1, T]``.

        From the mean of the channels. Learning goes through here, and no phase is the mixture's.
        """
        heard, length = mixture.mean(1), mixture.shape[-1]
        heard = nn.functional.pad(heard, (0, -length % self.pitch_hop))
        pitch = pitch_of(self, side, len(mixture), 1 + heard.shape[-1] // self.pitch_hop)
        level = mixture.mean(1).std(-1, correction=0) / LEVEL
        made = self.voices(self.controls(heard, pitch), pitch) * level[:, None, None]
        return made[..., :length].unsqueeze(2)

    def controls(self, mixture: Tensor, pitch: Tensor) -> Controls:
        """Read each voice's parameters: mixture ``[B, T]``, T a multiple of the hop, Hz ``[B, S, K]``."""
        level = mixture.std(-1, keepdim=True, correction=0).clamp_min(QUIET) / LEVEL
        spectrum = torch.log(self.fine(mixture / level).abs() + QUIET)
        heads = self.decoder(self.encoder(spectrum.transpose(1, 2)), relative_pitch(pitch))
        amplitude, noise, tract, colour = (head.float() for head in heads)  # they may be half as long on a GPU
        return Controls(
            sf.exp_sigmoid(amplitude) * (pitch > 0),
            sf.exp_sigmoid(noise, 1.0),
            sf.coefficients(sf.line_spectral_frequencies(tract)),
            sf.exp_sigmoid(2.5 * colour),
        )

    def voices(self, controls: Controls, pitch: Tensor) -> Tensor:
        """Synthesise: with pitch in Hz ``[B, S, K]`` -> ``[B, S, (K - 1) * hop]`` at a level of about `LEVEL`."""
        hop, rate = self.pitch_hop, self.arguments["sample_rate"]
        with torch.no_grad():
            buzz = sf.buzz(pitch, hop, rate, self.arguments["harmonics"])
        harmonic = sf.filtered(sf.voiced(buzz, controls.amplitude), sf.impulse_response(self.rolls_off))
        breath = sf.filtered(self._noise(pitch), sf.impulse_response(controls.colour))
        return sf.vocal_tract(harmonic + breath * sf.upsample(controls.noise, hop), controls.tract, hop)

    def _noise(self, pitch: Tensor) -> Tensor:
        """White noise in [-1, 1): a stretch a voice, for all of a batch the same but in training."""
        length = (pitch.shape[-1] - 1) * self.pitch_hop
        if self.training:
            return 2 * torch.rand((*pitch.shape[:2], length), device=pitch.device) - 1
        generator = torch.Generator().manual_seed(self.arguments["seed"])
        return (2 * torch.rand((pitch.shape[1], length), generator=generator) - 1).to(pitch.device)


class Encoder(nn.Module):
    """The mixture's log-magnitudes ``[B, K, F]`` -> what all voices are read from, ``[B, K, latent]``.

    Normalised by one mean and deviation an example, so that its level says nothing; then a gain and an offset a bin.
    """

    def __init__(self, bins: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(bins))
        self.shift = nn.Parameter(torch.zeros(bins))
        self.first = nn.GRU(bins, hidden, batch_first=True)
        self.second = nn.GRU(hidden, hidden, batch_first=True)
        self.third = nn.GRU(hidden, hidden, batch_first=True)
        self.out = nn.Linear(hidden, latent)

    def forward(self, spectrum: Tensor) -> Tensor:
        mean = spectrum.mean((1, 2), keepdim=True)
        deviation = spectrum.std((1, 2), keepdim=True, correction=0).clamp_min(QUIET)
        h = (spectrum - mean) / deviation * self.scale + self.shift
        second = self.second(self.first(h)[0])[0]
        latent: Tensor = self.out(self.third(second)[0] + second)
        return latent


class Decoder(nn.Module):
    """What all voices share: the latent ``[B, K, latent]`` and relative pitch ``[B, S, K]`` -> free numbers of each voice.

    Amplitude and noise gain ``[B, S, K]``, vocal tract ``[B, S, K, P + 1]``, colour of the noise ``[B, S, M]``.
    """

    def __init__(self, latent: int, hidden: int, order: int, noise_bands: int) -> None:
        super().__init__()
        self.of_pitch, self.of_latent = perceptron(1, hidden), perceptron(latent, hidden)
        self.recurrent = nn.GRU(2 * hidden, hidden, batch_first=True)
        self.joint = perceptron(hidden, hidden)
        self.amplitude, self.noise = nn.Linear(hidden, 1), nn.Linear(hidden, 1)
        self.tract = nn.Linear(hidden, order + 1)
        self.colour = nn.GRU(hidden, noise_bands, batch_first=True)

    def forward(self, latent: Tensor, pitch: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        batch, sources, frames = pitch.shape
        heard = self.of_latent(latent).unsqueeze(1).expand(-1, sources, -1, -1)
        both = torch.cat([self.of_pitch(pitch.unsqueeze(-1)), heard], -1).flatten(0, 1)
        h = self.joint(self.recurrent(both)[0])
        colour = self.colour(h)[0][:, -1]
        shape = (batch, sources, frames)
        return (
            self.amplitude(h).reshape(shape),
            self.noise(h).reshape(shape),
            self.tract(h).reshape(*shape, -1),
            colour.reshape(batch, sources, -1),
        )


def perceptron(inputs: int, hidden: int) -> nn.Sequential:
    """Three layers: linear, layer norm, leaky ReLU."""
    layers: list[nn.Module] = []
    for width in (inputs, hidden, hidden):
        layers += [nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.LeakyReLU()]
    return nn.Sequential(*layers)


def relative_pitch(hz: Tensor) -> Tensor:
    """0 at 20 Hz (and where unvoiced) to 1 at 8 kHz, even in octaves."""
    return torch.log(hz.clamp(LOWEST_HZ, HIGHEST_HZ) / LOWEST_HZ) / log(HIGHEST_HZ / LOWEST_HZ)
