"""Oracles: separators that are told the true sources, and so show how far a way of separating can go at best. And the floor.

An oracle gets the references as side information and makes from them the best mask of its kind; what its estimates lack is
what that kind of mask cannot do. None of them is a ceiling for another kind: on MUSDB18 the best models of waveforms and of
complex spectrograms pass `irm2` on drums and bass. `mixture`, the mixture as every estimate, is what doing nothing scores.

All channels are kept, at the recording's own rate. The STFT is that of the SiSEC 2018 oracles (Stöter, Liutkus and Ito, The
2018 Signal Separation Evaluation Campaign, 2018, arXiv:1804.06267): 2048 samples with a hop of half that at 44.1 kHz, and at
other rates the power of two nearest to the same 46 ms. Chunks begin on the grid of the frames, so that they see what one
pass over the recording would see.

`ibm1 ibm2 irm1 irm2` keep the law of latent separators: real masks on a latent. `mwf` mixes the channels and `cirm` turns
phases: neither is a real mask, so they have no `masks`, and nor has `mixture`, which has no latent.

With x the mixture, s_j the references and X, S_j their STFTs, in each channel, bin and frame:

    ibm1, ibm2   M_j = 1 where (|S_j| / |X|)^a >= 1/2, else 0; a = 1, 2. A bin can belong to no source, or to several.
    irm1, irm2   M_j = |S_j|^a / Σ_i |S_i|^a; a = 1, 2
    cirm         M_j = S_j / X, its magnitude bounded by `BOUND`; no compression
    mwf          Ŝ_j = v_j R_j (Σ_i v_i R_i)^-1 X, over channels; see `WienerOracle`
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import log2
from typing import Any, cast

import torch
from torch import Tensor, nn

from separation.errors import ShapeError, UnknownModel
from separation.models.protocol import LatentSeparator, Separator, Spec, State, separate_by_masks
from separation.models.two_step import LearnedTransform, TwoStep, oracle_masks
from separation.transforms import STFT

WINDOW = 2048 / 44100
"""Seconds of the analysis window: 46 ms."""

THRESHOLD = 0.5
"""Part of the mixture from which on a binary mask gives a bin to a source."""

BOUND = 1.0
"""Greatest magnitude of the complex mask. Without one the references come back to the bit and nothing is learned; 1 is what
networks with a bounded complex mask can do (DCCRN and its like), turning phases but raising nothing."""

NEIGHBOURS = 128
"""Frames (a power of two; 3 s at 44.1 kHz) over which the multichannel Wiener filter averages covariances between channels."""

LOADING = 1e-9
"""Of the mean power over channels, added to the diagonal of the mixture's covariance before it is inverted."""

QUIET = 1e-15
"""Power of a bin, added there too, so that silence can be inverted."""

PREFIX = "oracle:"

ORACLES: dict[str, str] = {
    "mixture": "The floor: the mixture itself as every source. What a separator scores that does nothing.",
    "ibm1": "Ideal binary mask of magnitudes: a source keeps the bins in which it has at least half of the mixture's.",
    "ibm2": "Ideal binary mask of powers: a source keeps the bins in which it has at least half of the mixture's.",
    "irm1": "Ideal ratio mask of magnitudes: each bin is shared as the sources' magnitudes are.",
    "irm2": "Ideal ratio mask of powers: each bin is shared as the sources' powers are (the Wiener filter of one channel).",
    "mwf": "Multichannel Wiener filter: shared by the sources' powers and by where they lie between the channels.",
    "cirm": f"Ideal complex ratio mask, its magnitude at most {BOUND:g}: bins are shared and their phases put right.",
}
"""What there is, and in a sentence what it is."""

SISEC = (
    "F.-R. Stöter, A. Liutkus, N. Ito, The 2018 Signal Separation Evaluation Campaign, LVA/ICA 2018, arXiv:1804.06267"
)


def oracle_name(model: str) -> str | None:
    """``"irm2"`` for ``"oracle:irm2"``, None for the name of an ordinary model.

    Raises:
        UnknownModel: it is meant to be an oracle, and there is none of that name.

    >>> oracle_name("oracle:irm2"), oracle_name("vocals")
    ('irm2', None)
    """
    if not model.startswith(PREFIX):
        return None
    name = model.removeprefix(PREFIX)
    if name not in ORACLES:
        raise UnknownModel(
            f"Use the oracle {name!r}",
            "there is none of that name",
            f"Use one of {', '.join(PREFIX + n for n in ORACLES)}",
        )
    return name


def build_oracle(name: str, *, sources: Sequence[str], sample_rate: int) -> Separator:
    """An oracle for recordings with these sources.

    Args:
        name: one of `ORACLES`.
        sources: names of the references, in the order in which they will be given.
        sample_rate: Hz of the recording; an oracle is built for one rate.

    Raises:
        UnknownModel: no such oracle.
        ShapeError: no sources, or one twice.

    >>> build_oracle("irm2", sources=["vocals", "accompaniment"], sample_rate=44100).spec.needs
    ('references',)
    """
    oracle_name(PREFIX + name)
    oracle = _BUILD[name](sources=sources, sample_rate=sample_rate)
    assert oracle.spec is not None  # made from the arguments on each call, which checks them
    return cast(Separator, oracle.eval())


def own_ceiling(model: LatentSeparator, mixture: Tensor, references: Tensor) -> Tensor:
    """How far masks can go in a model's own latent space: its encoder and decoder, the masks told by the true sources.

    What the references lack of the mixture counts as one more source, for a model that gives some of the sources only.

    Two-Step's masks are the softmax of the sources' latents, as its first step is trained with (Tzinis et al. 2020, section
    2.1); of all others the shares of the latents' magnitudes. A stage after the mask has no part in it.

    Args:
        mixture: ``[B, C, T]``.
        references: ``[B, S, C, T]``.

    Returns:
        ``[B, S, C, T]``.
    """
    rest = mixture - references.sum(1)
    *latents, other = (model.encode(one) for one in (*references.unbind(1), rest))
    if isinstance(model, (TwoStep, LearnedTransform)):  # whose softmax would give to a silent rest, and which give all
        masks = oracle_masks(torch.stack(latents, 1), "softmax")
    else:
        amounts = torch.stack([*latents, other], 1).abs()
        masks = (amounts / amounts.sum(1, keepdim=True).clamp_min(torch.finfo(amounts.dtype).tiny))[:, :-1]
    return model.decode(masks * model.encode(mixture).unsqueeze(1), mixture.shape[-1])


class Oracle(nn.Module):
    """What all share: the references as side information, any number of channels, no parameters.

    Args:
        sources: names of the references, in order.
        sample_rate: Hz.
    """

    citation = SISEC
    segment = 8.0  # seconds of a chunk

    def __init__(self, *, sources: Sequence[str], sample_rate: int, **more: Any) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"sources": list(sources), "sample_rate": sample_rate, **more}
        n_fft = window_length(sample_rate)
        self.stft = STFT(n_fft, n_fft // 2)

    @property
    def context(self) -> int:
        """Samples on each side that have a part in an estimate: those of a frame that reaches beyond a sample."""
        return self.stft.n_fft

    @property
    def spec(self) -> Spec:
        rate = self.arguments["sample_rate"]
        return Spec(
            sample_rate=rate, channels=None, sources=tuple(self.arguments["sources"]), segment=self.segment,
            context=self.context / rate, align=self.stft.hop_length, needs=("references",),
        )  # fmt: skip

    def truth(self, side: Mapping[str, Tensor], batch: int, channels: int) -> Tensor:
        """The STFT ``[B, S, C, F, K]`` of the references in the side information.

        Raises:
            ShapeError: there are none, or not those of every source and channel.
        """
        given, expected = side.get("references"), (batch, len(self.arguments["sources"]), channels)
        if given is None or tuple(given.shape[:-1]) != expected:
            raise ShapeError(
                f"Separate with {type(self).__name__}",
                "no references" if given is None else f"references of shape {tuple(given.shape)}",
                f"Give the true sources as side['references'], [batch, source, channel, sample], here {(*expected, 'T')}",
            )
        z: Tensor = self.stft(given)
        return z


class MixtureOracle(Oracle):
    """The mixture as the estimate of every source: the floor. The references are asked for, but not looked at."""

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return mixture.unsqueeze(1).repeat(1, len(self.arguments["sources"]), 1, 1), None


class MaskOracle(Oracle):
    """A real mask on the STFT, each channel on its own. See the formulas above.

    Args:
        binary: all or nothing, instead of shares.
        exponent: of the magnitudes: 1 or 2.
    """

    def __init__(self, *, binary: bool, exponent: int, **more: Any) -> None:
        super().__init__(binary=binary, exponent=exponent, **more)
        self.binary, self.exponent = binary, exponent

    def encode(self, x: Tensor) -> Tensor:
        z: Tensor = self.stft(x)
        return z

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        amounts = self.truth(side, *z.shape[:2]).abs() ** self.exponent
        if self.binary:
            # Multiplied out, so that nothing is divided by silence. A bin of nothing belongs to nobody.
            return ((amounts >= THRESHOLD * z.abs().unsqueeze(1) ** self.exponent) & (amounts > 0)).float()
        return amounts / amounts.sum(1, keepdim=True).clamp_min(torch.finfo(amounts.dtype).tiny)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        return self.stft.inverse(latents, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return stems

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return separate_by_masks(self, mixture, side, state), None


class ComplexOracle(Oracle):
    """The complex ratio mask S / X with a bounded magnitude: of all ``M X`` with ``|M| <= bound`` the nearest to S.

    Williamson, Wang and Wang, Complex ratio masking for monaural speech separation, TASLP 24(3), 2016, eq. 5. They compress
    the mask with a hyperbolic tangent (eq. 8) to train on it and undo that afterwards; here nothing is trained. The bound is
    ours: MoisesDB's "cIRM (clipped)" does not say which it has, so its figures are not to be set beside these.

    Args:
        bound: greatest magnitude of the mask.
    """

    def __init__(self, *, bound: float = BOUND, **more: Any) -> None:
        super().__init__(bound=bound, **more)
        self.bound = bound

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        truth = self.truth(side, *mixture.shape[:2])
        most = self.bound * self.stft(mixture).abs().unsqueeze(1)
        # M X is S where the bound lets it be, and else S made smaller: without the quotient S / X, whose X may be silent.
        shrink = most / torch.maximum(most, truth.abs()).clamp_min(torch.finfo(most.dtype).tiny)
        return self.stft.inverse(truth * shrink, mixture.shape[-1]), None


class WienerOracle(Oracle):
    """The multichannel Wiener filter of the local Gaussian model, with the true powers and covariances.

    In each bin and frame v_j is the mean of ``|S_j|^2`` over channels, and R_j = Σ S_j S_j^H / Σ v_j over `NEIGHBOURS` frames
    around it says where the source lies (Duong, Vincent and Gribonval, TASLP 18(7), 2010, section II; Liutkus, Badeau and
    Richard, Low bitrate informed source separation of realistic mixtures, ICASSP 2013). SiSEC takes one R_j for a whole song,
    which no engine of blocks ever holds, and of frames weighted alike. With one channel R_j = 1, and this is `irm2`.
    """

    segment = 12.0

    @property
    def context(self) -> int:
        return self.stft.n_fft + NEIGHBOURS // 2 * self.stft.hop_length

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        heard, truth = self.stft(mixture), self.truth(side, *mixture.shape[:2])
        if mixture.device.type == "mps":  # which has no float64
            heard, truth = heard.cpu(), truth.cpu()
        images = wiener(heard.to(torch.complex128), truth.to(torch.complex128))
        return self.stft.inverse(images.to(mixture.device, torch.complex64), mixture.shape[-1]), None


def wiener(mixture: Tensor, sources: Tensor) -> Tensor:
    """The filter of `WienerOracle` on latents: ``[B, C, F, K]``, ``[B, S, C, F, K]`` -> estimates like `sources`.

    Sources that lie in one place make the mixture's covariance all but singular: complex128.
    """
    models = covariances(sources).movedim((2, 3), (-2, -1))  # [B, S, F, K, C, C]
    total = models.sum(1)
    power = total.diagonal(dim1=-2, dim2=-1).real.mean(-1)[..., None, None]
    loaded = total + (LOADING * power + QUIET) * torch.eye(total.shape[-1], device=total.device)
    white = torch.linalg.solve(loaded, mixture.movedim(1, -1).unsqueeze(-1))  # [B, F, K, C, 1]
    images: Tensor = models @ white.unsqueeze(1)
    return images.squeeze(-1).movedim(-1, 2)


def covariances(z: Tensor) -> Tensor:
    """What the local Gaussian model says of sources: latents ``[*, C, F, K]`` -> v R ``[*, C, C, F, K]``."""
    power = z.abs().square().mean(-3)
    between = z.unsqueeze(-3) * z.unsqueeze(-4).conj()
    near = neighbours(power).clamp_min(torch.finfo(power.dtype).tiny)
    return neighbours(between) * (power / near).unsqueeze(-3).unsqueeze(-4)


def neighbours(x: Tensor) -> Tensor:
    """The sum over `NEIGHBOURS` frames around each along the last axis, zeros beyond the ends.

    By doubling: as many additions as the number has bits. Differences of running sums would leave noise where it is silent.
    """
    x = nn.functional.pad(x, (NEIGHBOURS // 2, NEIGHBOURS // 2 - 1))
    step = 1
    while step < NEIGHBOURS:
        x = x[..., :-step] + x[..., step:]
        step *= 2
    return x


def window_length(sample_rate: int) -> int:
    """Samples of the analysis window: the power of two nearest to `WINDOW`, as octaves are counted.

    >>> [window_length(rate) for rate in (8000, 16000, 22050, 44100, 48000)]
    [512, 1024, 1024, 2048, 2048]
    """
    return max(16, int(2 ** round(log2(WINDOW * sample_rate))))


_BUILD: Mapping[str, Callable[..., Oracle]] = {
    "mixture": MixtureOracle,
    "ibm1": partial(MaskOracle, binary=True, exponent=1),
    "ibm2": partial(MaskOracle, binary=True, exponent=2),
    "irm1": partial(MaskOracle, binary=False, exponent=1),
    "irm2": partial(MaskOracle, binary=False, exponent=2),
    "mwf": WienerOracle,
    "cirm": ComplexOracle,
}
