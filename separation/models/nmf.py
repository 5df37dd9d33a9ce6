"""Non-negative matrix factorisation: a source is a dictionary of spectra, a mixture is what their activations add up to.

    X + ε ≈ Λ = W H + ε,   X [F, T] magnitudes, W [F, K] dictionary, H [K, T] activations, all non-negative

(Lee and Seung, Algorithms for non-negative matrix factorization, NIPS 2000; for sounds Smaragdis and Brown, WASPAA 2003). The
objective is a β-divergence (Févotte and Idier, Algorithms for nonnegative matrix factorization with the β-divergence, Neural
Computation 23(9), 2011): Kullback-Leibler's (β = 1, the default), the squared Euclidean distance (β = 2) or that of Itakura
and Saito (β = 0), and a price on activations, p Σ_k ‖W_k‖ Σ_t H_kt. With the norm of a patch in it, activations cannot be made
cheap by making patches loud (Le Roux, Weninger and Hershey, Sparse NMF, half-baked or well done?, 2015); p is `sparsity` times
the mean of X to the power of β - 1, which makes `sparsity` a pure number, whatever the level and the objective.

Updates alternate: H, then Λ anew, then W, then Λ anew. Each takes the minimum of a bound of the objective that touches it where
we stand (Févotte and Idier, section 4), so none can raise it:

    H <- H * [(W^T (X Λ^(β-2))) / (W^T Λ^(β-1) + p ‖W_k‖)]^γ,    γ = 1/2 for β = 0, otherwise 1
    W <- W * [((X Λ^(β-2)) H^T) / (Λ^(β-1) H^T + p W_k Σ_t H_kt)]^γ,  then every ‖W_k‖ = 1 and H_k louder by what it was

Where there is a price, γ = 1 / (3 - β) for W: the norm is bounded by a square (‖w‖ <= (‖w‖² / ‖w°‖ + ‖w°‖) / 2), and so is what
is linear. Simultaneous updates, as in the PLCA of the paper's code, can overshoot.

Supervised: a dictionary a source from its clips; on a mixture only H is fitted, a convex problem for KL and Euclidean.
Semi-supervised: the source `unknown` has no clips, and its dictionary is fitted to every chunk beside the others. It needs
fewer components than what is known, about eight, or it explains the known sources as well.
Blind: learn one dictionary from the recording itself, and let `divided` group its components by their timbre; what comes out is
an ordinary model, so that parts keep their order over all chunks. Timbre is a first guess and no more: on recordings it is
often wrong, while a person who moves the components by ear can separate well with the same dictionary.

Magnitudes for every objective, so that components of one can be set beside those of another. Not here: patches of several
frames (`convolutive_nmf`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from scipy.cluster.hierarchy import cut_tree, linkage
from scipy.fft import dct
from torch import Tensor, nn

from separation.errors import ModelError
from separation.models.components import (
    CONTEXT,
    HOP_LENGTH,
    N_FFT,
    SAMPLE_RATE,
    SEGMENT,
    ComponentModel,
    Part,
    Step,
    rebuilt,
)

OBJECTIVES: Mapping[str, int] = {"kl": 1, "euclidean": 2, "itakura_saito": 0}
"""Names of the objectives, and their β."""

FLOOR = 1.2e-7
"""ε: what is added to magnitudes and model, 160 dB below a signal of unit deviation; also in the paper's code. The
Euclidean distance divides by neither, and has none."""
LEAST = 1e-20
"""Of a factor. Far below ε, and above what processors are slow with."""

SPARSITY = 1.0
"""The price of activations unless somebody says otherwise: on speech worth a decibel of separation or more. 0 is plain NMF."""

MEL_BANDS = 40
AUDIBLE = 10 ** (-40 / 20)
"""Of the loudest band of a spectrum: what lies further below plays no part in its timbre."""
CEPSTRA = slice(1, 13)
"""Of the cosine transform of a patch in mel bands: its timbre, without its level."""


class Factorisation:
    """Magnitudes as a dictionary times activations, and the updates of both; nothing is allocated from step to step.

    Args:
        magnitudes: ``[B, F, T]``, every item factorised on its own.
        dictionary: the start, ``[B or 1, F, K L]``, frames of a patch beside each other; not changed itself.
        activations: the start, ``[B, K, T]``, not changed either.
        frames: L.
        objective: one of `OBJECTIVES`.
        sparsity: price of activations.
        free: the components whose patches are fitted, too; none by default. Needs a dictionary for every item.
    """

    def __init__(
        self,
        magnitudes: Tensor,
        dictionary: Tensor,
        activations: Tensor,
        *,
        frames: int = 1,
        objective: str = "kl",
        sparsity: float = 0.0,
        free: slice = slice(0),
    ) -> None:
        self.beta, self.frames = OBJECTIVES[objective], frames
        self._floor = magnitudes.new_full((1, 1, 1), 0.0 if self.beta == 2 else FLOOR)
        self.observed = magnitudes + self._floor
        self._price = sparsity * self.observed.mean((1, 2)) ** (self.beta - 1) if sparsity else None
        self.activations = activations.clone()
        self._free = slice(*(k * frames for k in free.indices(activations.shape[1])[:2]))
        self._fits = self._free.stop > self._free.start
        self.dictionary = dictionary.clone() if self._fits else dictionary
        self._each = self.dictionary.expand(len(magnitudes), -1, -1)
        self._stack = Stack(self.activations, frames)
        self._model, self._ratio = torch.empty_like(self.observed), torch.empty_like(self.observed)
        self._stale = True
        if self._fits:
            self._normalise()

    def step(self) -> None:
        """One update of the activations, and of what is free of the dictionary."""
        self._step_activations()
        self._stale = True
        if self._fits:
            self._step_dictionary()
            self._normalise()
            self._stale = True

    def model(self) -> Tensor:
        """Λ ``[B, F, T]`` as the factors are now; overwritten by what follows."""
        if self._stale:
            torch.baddbmm(self._floor, self._each, self._stack.fill(), out=self._model)
            self._stale = False
        return self._model

    def loss(self) -> Tensor:
        """The objective of every item ``[B]``, the divergence and the price, as a mean over bins and frames."""
        observed, model = self.observed, self.model()
        if self.beta == 2:
            distance = torch.sub(observed, model, out=self._ratio).square_().sum((1, 2)) / 2
        else:
            torch.div(observed, model, out=self._ratio)
            if self.beta == 1:
                distance = model.sum((1, 2)) - observed.sum((1, 2))
                distance += torch.mul(self._ratio.log_(), observed, out=self._ratio).sum((1, 2))
            else:
                distance = self._ratio.sum((1, 2)) - self._ratio.log_().sum((1, 2)) - self._ratio[0].numel()
        if self._price is not None:
            distance += self._price * (self._norms() * self.activations.sum(2)).sum(1)
        return distance / observed[0].numel()

    def _step_activations(self) -> None:
        transposed = self._each.transpose(1, 2)
        up = self._stack.fold(transposed @ self._up())
        if self.beta == 1:
            down = self._stack.fold(self.dictionary.sum(1).unsqueeze(2).expand(-1, -1, self.observed.shape[2]))
        elif self.beta == 2 and self.frames == 1:  # W^T (W H) in the order that costs nothing
            down = (transposed @ self._each) @ self.activations
        else:
            down = self._stack.fold(transposed @ self._down())
        if self._price is not None:
            down = down + (self._price[:, None] * self._norms()).unsqueeze(2)
        factor = up.div_(down.clamp_min(LEAST))
        self.activations.mul_(factor.sqrt_() if self.beta == 0 else factor).clamp_min_(LEAST)

    def _step_dictionary(self) -> None:
        patches = self.dictionary[..., self._free]
        every = self._stack.fill()
        rows = every[:, self._free].transpose(1, 2)
        up = self._up() @ rows
        exponent = 1 / 2 if self.beta == 0 else 1.0
        if self.beta == 1:
            down = rows.sum(1, keepdim=True).expand_as(up)
        elif self.beta == 2:  # (W H) H^T, likewise
            down = self._each @ (every @ rows)
        else:
            down = self._down() @ rows
        if self._price is not None:
            loud = self._price[:, None] * self.activations.sum(2)
            down = down + loud.repeat_interleave(self.frames, 1)[:, None, self._free] * patches
            exponent = 1 / (3 - self.beta)
        factor = up.div_(down.clamp_min(LEAST))
        patches.mul_(factor if exponent == 1 else factor.pow_(exponent)).clamp_min_(LEAST)

    def _up(self) -> Tensor:
        """X Λ^(β-2), where a part of the model should be louder."""
        if self.beta == 2:
            return self.observed
        torch.div(self.observed, self.model(), out=self._ratio)
        return self._ratio if self.beta == 1 else self._ratio.div_(self._model)

    def _down(self) -> Tensor:
        """Λ^(β-1), where it should be softer; for β = 1 it is one everywhere."""
        return self.model() if self.beta == 2 else torch.reciprocal(self.model(), out=self._ratio)

    def _norms(self) -> Tensor:
        """Of every patch: ``[B or 1, K]``."""
        return self.dictionary.square().sum(1).view(len(self.dictionary), -1, self.frames).sum(2).sqrt()

    def _normalise(self) -> None:
        """The free patches to unit norm, their activations louder by as much: the model and the price stay the same."""
        norms = self._norms().clamp_min(LEAST)
        first, last = self._free.start // self.frames, self._free.stop // self.frames
        self.dictionary[..., self._free] /= norms[:, first:last].repeat_interleave(self.frames, 1).unsqueeze(1)
        self.activations[:, first:last] *= norms[:, first:last].unsqueeze(2)


class Stack:
    """Activations ``[*, K, T]`` and their later selves, as the rows ``[*, K L, T]`` that a dictionary of patches multiplies.

    Row ``k L + l`` holds the activations of component k shifted to the right by l frames, with zeros before the first. With
    one frame a patch it holds the activations themselves, and nothing is copied.
    """

    def __init__(self, activations: Tensor, frames: int) -> None:
        self._activations, self._frames = activations, frames
        shape = (*activations.shape[:-1], frames, activations.shape[-1])
        self._rows = activations if frames == 1 else activations.new_zeros(shape)

    def fill(self) -> Tensor:
        """The rows as the activations are now: ``[*, K L, T]``."""
        if self._frames == 1:
            return self._rows
        length = self._activations.shape[-1]
        for shift in range(min(self._frames, length)):
            self._rows[..., shift, shift:] = self._activations[..., : length - shift]
        return self._rows.flatten(-3, -2)

    def fold(self, rows: Tensor) -> Tensor:
        """The transpose of `fill`: rows ``[*, K L, T]``, shifted to the left, and summed over their shifts to ``[*, K, T]``."""
        if self._frames == 1:
            return rows
        length = rows.shape[-1]
        parts = rows.reshape(*rows.shape[:-2], -1, self._frames, length)
        total: Tensor = parts[..., 0, :].clone()
        for shift in range(1, min(self._frames, length)):
            total[..., : length - shift] += parts[..., shift, shift:]
        return total


class Linear(Part):
    """A part whose components add up: patches and nothing else.

    Args:
        components, frames: see `Part`.
    """

    def render(self, activations: Tensor) -> Tensor:
        rendered: Tensor = matrix(self.patches()) @ Stack(activations, self.frames).fill()
        return rendered

    def each(self, activations: Tensor) -> Tensor:
        rows = Stack(activations, self.frames).fill()
        alone: Tensor = self.patches() @ rows.view(*activations.shape[:-1], self.frames, -1)
        return alone

    def grouped(self, activations: Tensor, groups: Tensor) -> Tensor:
        rows = Stack(activations.unsqueeze(-3) * groups.unsqueeze(-1), self.frames).fill()
        rendered: Tensor = matrix(self.patches()).unsqueeze(-3) @ rows
        return rendered


class Dictionary(Linear):
    """A dictionary that is learned from clips. The weights are its patches; their signs and norms count nothing.

    Args:
        components, frames: see `Part`.
        bins: F.
        objective, sparsity: see `Factorisation`.
    """

    def __init__(self, components: int, frames: int, bins: int, *, objective: str, sparsity: float) -> None:
        super().__init__(components, frames)
        self.dictionary = nn.Parameter(torch.rand(components, bins, frames))
        self.objective, self.sparsity = objective, sparsity

    def patches(self) -> Tensor:
        """``[K, F, L]``, each of norm one."""
        return _unit_norm(self.dictionary.abs())

    def learn(self, magnitudes: Tensor, *, steps: int, generator: torch.Generator) -> Iterator[Step]:
        """See `Part`. It begins anew: from random patches, which all sound all the time."""
        observed = magnitudes.detach().unsqueeze(0)
        patches = torch.rand(self.dictionary.shape, generator=generator).to(self.dictionary)
        start = matrix(patches).unsqueeze(0)
        activations = torch.rand(1, self.components, observed.shape[2], generator=generator).to(observed)
        with torch.no_grad():
            work = Factorisation(
                observed, start, activations * _level(observed, start), frames=self.frames, objective=self.objective,
                sparsity=self.sparsity, free=slice(self.components),
            )  # fmt: skip
        for step in range(1, steps + 1):
            with torch.no_grad():
                work.step()
                self.dictionary.copy_(patches_of(work.dictionary[0], self.frames))
                loss = float(work.loss())
            yield Step(step, steps, loss)


class Unknown(Linear):
    """A source that nobody taught: its patches are found in each mixture.

    Args:
        components, frames: see `Part`.
        bins: F.
        found: those of mixtures, ``[B, K, F, L]``; None before any was heard: then every patch is flat.
    """

    found: Tensor

    def __init__(self, components: int, frames: int, bins: int, found: Tensor | None = None) -> None:
        super().__init__(components, frames)
        flat = torch.ones(components, bins, frames) / (bins * frames) ** 0.5
        self.register_buffer("found", flat if found is None else found, persistent=False)

    def patches(self) -> Tensor:
        return self.found

    def learn(self, magnitudes: Tensor, *, steps: int, generator: torch.Generator) -> Iterator[Step]:
        raise ModelError(
            "Learn a source", "it is the unknown one, which is found in each mixture", "Teach one of the others"
        )


class DictionaryModel(ComponentModel):
    """What NMF and convolutive NMF share: dictionaries side by side, fitted to a mixture together.

    Args:
        objective: one of `OBJECTIVES`.
        sparsity: price of activations, in learning and in fitting.
        unknown: name of the source without clips; None if every source has some. Its components cannot be moved or muted,
            since every chunk has others.
        seed: of the start of what is unknown.
        frames: of a patch.
        **more: see `ComponentModel`.
    """

    own = {"unknown": None}  # noqa: RUF012  (read only)

    def __init__(
        self, *, objective: str, sparsity: float, unknown: str | None, seed: int, frames: int = 1, **more: Any
    ) -> None:
        super().__init__(objective=objective, sparsity=sparsity, unknown=unknown, seed=seed, **more)
        if objective not in OBJECTIVES:
            raise ValueError(f"there is no objective {objective!r}; choose from {', '.join(OBJECTIVES)}")
        if sparsity < 0 or frames < 1:
            raise ValueError(f"a sparsity of {sparsity} (0 or more), patches of {frames} frames (1 or more)")
        names = self.arguments["sources"]
        if unknown is not None and (unknown not in names or len(names) < 2):
            raise ValueError(f"the unknown source {unknown!r} must be one of two or more, not of {', '.join(names)}")
        self.frames = frames
        self._unknown = None if unknown is None else names.index(unknown)
        self.parts = nn.ModuleList(
            Unknown(count, frames, self.bins)
            if source == self._unknown
            else Dictionary(count, frames, self.bins, objective=objective, sparsity=sparsity)
            for source, count in enumerate(self.counts)
        )
        touched = {int(k) for k in self.arguments["moved"]} | set(self.arguments["muted"])
        nameless = sorted(touched & set(self._span))
        if nameless:
            raise ValueError(f"component {nameless[0]} is of the unknown source {unknown}, which has others each time")

    @property
    def _span(self) -> range:
        """Component indices of the unknown source; empty if there is none."""
        if self._unknown is None:
            return range(0)
        first = sum(self.counts[: self._unknown])
        return range(first, first + self.counts[self._unknown])

    def fit(self, magnitudes: Tensor) -> list[Tensor]:
        return self.explain(magnitudes)[1]

    def explain(self, magnitudes: Tensor) -> tuple[Sequence[Part], list[Tensor]]:
        work = self._factorised(magnitudes)
        parts = self.taught
        if self._unknown is not None:
            columns = _columns(self._span, self.frames)
            found = patches_of(work.dictionary[..., columns], self.frames)
            parts[self._unknown] = Unknown(len(self._span), self.frames, self.bins, found)
        return parts, list(torch.split(work.activations, list(self.counts), 1))

    @torch.no_grad()
    def _factorised(self, magnitudes: Tensor) -> Factorisation:
        """The mixtures ``[B, F, T]`` as all dictionaries times activations; what is unknown is fitted, too."""
        span = self._span
        dictionary = torch.cat([matrix(part.patches()) for part in self.taught], 1).unsqueeze(0)
        if span:
            generator = torch.Generator().manual_seed(self.arguments["seed"])
            start = torch.rand(len(span), self.bins, self.frames, generator=generator).to(dictionary)
            dictionary[..., _columns(span, self.frames)] = matrix(_unit_norm(start))
            dictionary = dictionary.expand(len(magnitudes), -1, -1)
        flat = magnitudes.new_ones(len(magnitudes), sum(self.counts), magnitudes.shape[2])
        work = Factorisation(
            magnitudes, dictionary, flat * _level(magnitudes, dictionary), frames=self.frames,
            objective=self.arguments["objective"], sparsity=self.arguments["sparsity"],
            free=slice(span.start, span.stop),
        )  # fmt: skip
        for _ in range(self.arguments["steps"]):
            work.step()
        return work


class NMF(DictionaryModel):
    """Non-negative matrix factorisation. See the file's docstring.

    Args:
        sources: names.
        components: of every source, or one number a source.
        steps: of fitting a mixture.
        objective, sparsity, unknown, seed: see `DictionaryModel`.
        moved, muted, sample_rate, n_fft, hop_length, segment, context: see `ComponentModel`.
    """

    citation = (
        "D. D. Lee, H. S. Seung, Algorithms for non-negative matrix factorization, NIPS 2000; C. Févotte, J. Idier, Algorithms "
        "for nonnegative matrix factorization with the β-divergence, Neural Computation 23(9), 2011; S. Venkataramani, "
        "Y. C. Subakan, P. Smaragdis, Neural network alternatives to convolutive audio models, MLSP 2017"
    )

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("voice", "other"),
        components: int | Sequence[int] = 40,
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
            sources=sources, components=components, steps=steps, objective=objective, sparsity=sparsity, unknown=unknown,
            seed=seed, moved=moved, muted=muted, sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length,
            segment=segment, context=context,
        )  # fmt: skip


Model = TypeVar("Model", bound=DictionaryModel)


def divided(model: Model, sources: int) -> Model:
    """Blind separation: the components of a model that heard a mixture, grouped by timbre into sources of their own.

    Args:
        model: learned from the recording that is to be separated (or of several sources, whose components are pooled).
        sources: how many to make; they are called ``part 1``, ``part 2``, and so on, from the darkest to the brightest.

    Raises:
        ModelError: there are fewer components than sources, or the model has an unknown source.

    >>> divided(NMF(sources=["all"], components=6), 2).spec.sources
    ('part 1', 'part 2')
    """
    asked = f"Divide {sum(model.counts)} components into {sources} sources"
    if model.arguments["unknown"] is not None:
        found = f"those of {model.arguments['unknown']} are found in each mixture"
        raise ModelError(asked, found, "Learn from the recording")
    if not 1 <= sources <= sum(model.counts):
        raise ModelError(asked, "each needs one at least", "Learn more components, or ask for fewer sources")
    patches = model.components().patches
    spectra = patches.mean(2)
    groups = clusters(spectra, sources, model.arguments["sample_rate"])
    places = torch.arange(spectra.shape[1], dtype=spectra.dtype)
    bright = [float((spectra[groups == g] @ places).sum() / spectra[groups == g].sum()) for g in range(sources)]
    members = [(groups == g).nonzero().flatten() for g in sorted(range(sources), key=bright.__getitem__)]
    changes = {
        "sources": [f"part {number}" for number in range(1, sources + 1)],
        "components": [len(indices) for indices in members],
        "moved": {},
        "muted": [],
    }
    return rebuilt(model, changes, {f"parts.{i}.dictionary": patches[indices] for i, indices in enumerate(members)})


def clusters(spectra: Tensor, count: int, sample_rate: int) -> Tensor:
    """Group spectra by timbre: ``[K, F]`` -> the group of each, ``[K]`` (long) from 0 to `count` - 1.

    Ward's clustering of mel cepstra without their level (after Spiertz and Gnann, Source-filter based clustering for monaural
    blind source separation, DAFx 2009, who take k-means, which depends on its start).
    """
    bands = spectra @ mel_bands(spectra.shape[1], sample_rate).T
    heard = torch.maximum(bands, AUDIBLE * bands.amax(1, keepdim=True)) + FLOOR
    cepstra = dct(heard.log().double().numpy(), axis=1, norm="ortho")[:, CEPSTRA]
    if count == 1 or len(cepstra) == 1:  # what cannot be divided
        return torch.zeros(len(cepstra), dtype=torch.long)
    return torch.from_numpy(cut_tree(linkage(cepstra, "ward"), n_clusters=count)[:, 0].astype("int64"))


def mel_bands(bins: int, sample_rate: int) -> Tensor:
    """Triangles as wide as the ear's, each with one as its largest weight: ``[MEL_BANDS, F]``."""
    top = 2595 * torch.log10(torch.tensor(1 + sample_rate / 2 / 700))
    edges = 700 * (10 ** (torch.linspace(0, float(top), MEL_BANDS + 2) / 2595) - 1)
    width = sample_rate / 2 / (bins - 1)
    rising = edges.diff().clamp_min(width)  # no narrower than a bin, so that no band is empty
    places = torch.arange(bins) * width
    centres = edges[1:-1].unsqueeze(1)
    return torch.where(
        places < centres, 1 - (centres - places) / rising[:-1].unsqueeze(1), 1 - (places - centres) / rising[1:].unsqueeze(1)
    ).clamp_min(0)  # fmt: skip


def matrix(patches: Tensor) -> Tensor:
    """Patches ``[*, K, F, L]`` -> the dictionary ``[*, F, K L]`` that `Stack` has the rows for."""
    return patches.transpose(-3, -2).flatten(-2)


def patches_of(dictionary: Tensor, frames: int) -> Tensor:
    """The inverse of `matrix`: ``[*, F, K L]`` -> ``[*, K, F, L]``."""
    return dictionary.reshape(*dictionary.shape[:-1], -1, frames).transpose(-3, -2)


def _unit_norm(patches: Tensor) -> Tensor:
    """``[K, F, L]``, each of norm one."""
    return patches / patches.square().sum((1, 2), keepdim=True).sqrt().clamp_min(LEAST)


def _columns(components: range, frames: int) -> slice:
    """Where components lie in a dictionary."""
    return slice(components.start * frames, components.stop * frames)


def _level(magnitudes: Tensor, dictionary: Tensor) -> Tensor:
    """Activations ``[B, 1, 1]``, the same for all components, with which a dictionary is as loud as the magnitudes."""
    level: Tensor = magnitudes.sum((1, 2)) / (dictionary.sum((1, 2)) * magnitudes.shape[2]).clamp_min(LEAST)
    return level[:, None, None]
