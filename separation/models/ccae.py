"""Convolutive auto-encoders: the encoder and the decoder have filters of several frames, so that components are patterns.

    H(k, t) = g(c_k + Σ_f Σ_l V_k(f, l) X(f, t - l)),    Λ(f, t) = g(b_f + Σ_k Σ_l W_k(f, l) H(k, t - l)),    l = 0 .. L - 1

(CNN-CNN auto-encoder of section 2.2 of Venkataramani, Subakan and Smaragdis, Neural network alternatives to convolutive audio
models for source separation, MLSP 2017, arXiv:1709.07908.) Filters span all bins and move along time only, and nothing is heard
before it sounds. To convolutive NMF this is what the auto-encoders of one frame are to NMF, and all that is said in `nae`,
objective, separation, scale and components, holds here with L = 8.
"""

from collections.abc import Mapping, Sequence

from torch import nn

from separation.models.components import CONTEXT, HOP_LENGTH, N_FFT, SAMPLE_RATE, SEGMENT
from separation.models.nae import MOMENTUM, RATE, RESTRAINT, STEPS, AutoEncoderModel, FeedForward

FRAMES = 8
"""Of a filter: 0.18 s with the window."""


class CCAE(AutoEncoderModel):
    """Convolutive auto-encoders. See the file's docstring.

    Args:
        sources: names.
        components: of every source, or one number a source.
        frames: of a filter.
        steps: of the descent in a mixture.
        descend, restraint, bias, sparsity, basis_sparsity, rate, momentum: see `AutoEncoderModel`.
        moved, muted, sample_rate, n_fft, hop_length, segment, context: see `ComponentModel`.
    """

    citation = (
        "S. Venkataramani, Y. C. Subakan, P. Smaragdis, Neural network alternatives to convolutive audio models for source "
        "separation, MLSP 2017"
    )

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("voice", "other"),
        components: int | Sequence[int] = 40,
        frames: int = FRAMES,
        steps: int = STEPS,
        descend: str = "inputs",
        restraint: float = RESTRAINT,
        bias: bool = True,
        sparsity: float = 0.0,
        basis_sparsity: float = 0.0,
        rate: float = RATE,
        momentum: float = MOMENTUM,
        moved: Mapping[str, int] = {},
        muted: Sequence[int] = (),
        sample_rate: int = SAMPLE_RATE,
        n_fft: int = N_FFT,
        hop_length: int = HOP_LENGTH,
        segment: float = SEGMENT,
        context: float = CONTEXT,
    ) -> None:
        super().__init__(
            sources=sources, components=components, frames=frames, steps=steps, descend=descend, restraint=restraint,
            bias=bias, sparsity=sparsity, basis_sparsity=basis_sparsity, rate=rate, momentum=momentum, moved=moved,
            muted=muted, sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, segment=segment,
            context=context,
        )  # fmt: skip
        self.parts = nn.ModuleList(
            FeedForward(count, frames, self.bins, bias=bias, terms=self.terms) for count in self.counts
        )
