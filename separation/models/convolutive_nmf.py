"""Convolutive non-negative matrix factorisation: components that last, patches of several frames instead of spectra.

    X(f, t) + ε ≈ Λ(f, t) = Σ_k Σ_l W_k(f, l) H_k(t - l) + ε,    l = 0 .. L - 1

(Smaragdis, Convolutive speech bases and their application to supervised speech separation, TASLP 15(1), 2007, section II; the
model of section 2.2 of Venkataramani, Subakan and Smaragdis, MLSP 2017.) With the activations and their shifts in one matrix
of K L rows (`nmf.Stack`) it *is* NMF, and everything of `nmf` holds: objectives, price, supervised, semi-supervised and blind
use, updates that never raise the objective. Written out for KL, with ->l and <-l for a shift by l frames with zeros after it:

    W(l) <- W(l) * [(X / Λ) (H^{->l})^T] / [1 (H^{->l})^T]
    H    <- H * [Σ_l W(l)^T (X / Λ)^{<-l}] / [Σ_l W(l)^T 1^{<-l}]

This is the exact form: all shifts in one quotient, as the bound has them. The mean over l of the quotients, which is often used
for H, is another update, and can raise the objective.

Nothing sounds before its first frame and nothing is heard after the last: a patch that began before a chunk does not exist for
it. The chunk's context, which is thrown away, is longer than a patch. Patterns that must begin somewhere do not model silence
or what is held for long as well as spectra do.
"""

from collections.abc import Mapping, Sequence

from separation.models.components import CONTEXT, HOP_LENGTH, N_FFT, SAMPLE_RATE, SEGMENT
from separation.models.nmf import SPARSITY, DictionaryModel

FRAMES = 8
"""Of a patch: 0.18 s with the window. What the paper's auto-encoders have."""


class ConvolutiveNMF(DictionaryModel):
    """Convolutive NMF. See the file's docstring.

    Args:
        sources: names.
        components: of every source, or one number a source.
        frames: of a patch.
        steps: of fitting a mixture.
        objective, sparsity, unknown, seed: see `DictionaryModel`.
        moved, muted, sample_rate, n_fft, hop_length, segment, context: see `ComponentModel`.
    """

    citation = (
        "P. Smaragdis, Convolutive speech bases and their application to supervised speech separation, TASLP 15(1), 2007; "
        "S. Venkataramani, Y. C. Subakan, P. Smaragdis, Neural network alternatives to convolutive audio models, MLSP 2017"
    )

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("voice", "other"),
        components: int | Sequence[int] = 40,
        frames: int = FRAMES,
        steps: int = 100,
        objective: str = "kl",
        sparsity: float = SPARSITY,
        unknown: str | None = None,
        seed: int = 0,
        moved: Mapping[str, int] = {},
        muted: Sequence[int] = (),
        sample_rate: int = SAMPLE_RATE,
        n_fft: int = N_FFT,
        hop_length: int = HOP_LENGTH,
        segment: float = SEGMENT,
        context: float = CONTEXT,
    ) -> None:
        super().__init__(
            sources=sources, components=components, frames=frames, steps=steps, objective=objective, sparsity=sparsity,
            unknown=unknown, seed=seed, moved=moved, muted=muted, sample_rate=sample_rate, n_fft=n_fft,
            hop_length=hop_length, segment=segment, context=context,
        )  # fmt: skip
        self.arguments["frames"] = frames
