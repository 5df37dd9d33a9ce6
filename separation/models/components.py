"""Models made of components: for every source a few pictures of sound, and when each of them sounds in a mixture.

What NMF, convolutive NMF and the auto-encoders that descend from them share (Venkataramani, Subakan and Smaragdis, Neural
network alternatives to convolutive audio models for source separation, MLSP 2017, arXiv:1709.07908): a front end, a part a
source that is learned from that source alone, soft masks, and surgery on components. In this family K counts components and
T frames; a component is a *patch* ``[F, L]`` of L frames (one for NMF) and a row of *activations* ``[T]``.

Front end (section 3.1 of the paper and its code): mono, 16 kHz, an STFT of 1024 samples with a hop of 256, the square root of
a periodic Hann window both ways, magnitudes, the mixture's phase. Clips have zero mean and unit deviation; a chunk of a
mixture has its magnitudes divided so that its deviation would be one, too. What is fitted to a chunk is a constant of its
gradient: no gradient passes through the magnitudes.

A component's share. `Part.each` says how much of the magnitudes of its source is due to each component, and these sum to
what the part gives with all of them (`Part.render`). A linear part (a dictionary) simply leaves the others out. A nonlinear
decoder does not add up, so there the decoder runs with one latent row at a time, and what comes out is scaled, bin by bin, so
that the sum is right (`shared`). A source's mask is the sum of the shares of the components that it owns, over the sum of
all shares. A muted component stays in that sum and belongs to nobody: its sound goes to the residual, not to the others.

Surgery (moving a component to another source, muting it) is nothing but other arguments with the same weights.

Not here: how any part learns or is fitted (one file a system), and where clips come from (`separation.training`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn

from separation.errors import ModelError
from separation.models.protocol import Spec, State, separate_by_masks
from separation.transforms import STFT

SAMPLE_RATE = 16000
N_FFT = 1024
HOP_LENGTH = 256
SEGMENT = 8.0
"""Seconds of a chunk: long enough for every component to be heard, short enough to be fitted at once."""
CONTEXT = 0.5
"""Seconds thrown away on each side: the window and the longest patch reach less far."""
SILENT = 1e-8
"""Deviation below which nothing is brought to unit deviation: it would only raise what is no sound."""


class Step(NamedTuple):
    """Where learning stands: `step` of `steps` is done, and the objective is now `loss`."""

    step: int
    steps: int
    loss: float


class Components(NamedTuple):
    """Every component of a model, counted over all sources in order.

    Args:
        sources: ``[K]`` (long), the index of the source that owns each, after any move.
        patches: ``[K, F, L]``, non-negative pictures.
        muted: ``[K]`` (bool).
    """

    sources: Tensor
    patches: Tensor
    muted: Tensor


class Part(nn.Module, ABC):
    """The model of one source.

    Args:
        components: how many (K).
        frames: of a patch (L).
    """

    def __init__(self, components: int, frames: int) -> None:
        super().__init__()
        self.components, self.frames = components, frames

    @abstractmethod
    def learn(self, magnitudes: Tensor, *, steps: int, generator: torch.Generator) -> Iterator[Step]:
        """Learn from ``[F, T]`` of this source alone: changes the weights in place, step by step.

        Args:
            magnitudes: as `ComponentModel.gather` gives them.
            steps: how many; one is yielded after each, and whoever stops asking stops the learning.
            generator: of all that is random, on the CPU.
        """

    @abstractmethod
    def patches(self) -> Tensor:
        """``[K, F, L]``, non-negative."""

    @abstractmethod
    def render(self, activations: Tensor) -> Tensor:
        """All components together: ``[*, K, T]`` -> ``[*, F, T]``, non-negative."""

    @abstractmethod
    def each(self, activations: Tensor) -> Tensor:
        """Each component's share: ``[*, K, T]`` -> ``[*, K, F, T]``, non-negative, with `render` as the sum over K."""

    def grouped(self, activations: Tensor, groups: Tensor) -> Tensor:
        """The shares of groups of components: ``[*, K, T]``, ``[G, K]`` of ones and zeros -> ``[*, G, F, T]``."""
        return torch.einsum("gk,...kft->...gft", groups, self.each(activations))


class ComponentModel(nn.Module, ABC):
    """A separator with a `Part` a source. Subclasses fill `parts` in the order of the sources, and say how to `fit` them.

    Args:
        sources: names.
        components: of every source, or one number a source.
        steps: of fitting a mixture.
        moved: ``{"COMPONENT INDEX": source index}``, components counted over all sources; strings, since JSON has no others.
        muted: indices of components that count in no source.
        sample_rate, n_fft, hop_length: of the front end: Hz, samples, samples.
        segment, context: seconds, see `Spec`.
        **more: the system's own arguments.

    Shape:
        `encode`: ``[B, C, T]`` -> complex ``[B, C, F, T']``.
        `masks`: -> ``[B, S, 1, F, T']`` from the channels' mean power; sums to one over S but for muted components.
    """

    own: Mapping[str, Any] = {}
    """Arguments of the system that say something of one model only, and what they are in a joined one."""

    parts: nn.ModuleList

    def __init__(
        self,
        *,
        sources: Sequence[str],
        components: int | Sequence[int],
        steps: int,
        moved: Mapping[str, int] = {},
        muted: Sequence[int] = (),
        sample_rate: int = SAMPLE_RATE,
        n_fft: int = N_FFT,
        hop_length: int = HOP_LENGTH,
        segment: float = SEGMENT,
        context: float = CONTEXT,
        **more: Any,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "sources": list(sources), "components": components if isinstance(components, int) else list(components),
            "steps": steps, "moved": dict(moved), "muted": list(muted), "sample_rate": sample_rate, "n_fft": n_fft,
            "hop_length": hop_length, "segment": segment, "context": context, **more,
        }  # fmt: skip
        self.counts = _counts(len(sources), components)
        if steps < 1:
            raise ValueError(f"a mixture is fitted in one step or more, not {steps}")
        self.stft = STFT(n_fft, hop_length, root=True)
        self.bins = n_fft // 2 + 1
        self._owners = _owners(self.counts, moved)
        _check_indices("muted", muted, sum(self.counts))

    @property
    def spec(self) -> Spec:
        a = self.arguments
        return Spec(
            sample_rate=a["sample_rate"], channels=1, sources=tuple(a["sources"]), segment=a["segment"],
            context=a["context"], multiple_of=a["hop_length"], partial=bool(a["muted"]),
        )  # fmt: skip

    @abstractmethod
    def fit(self, magnitudes: Tensor) -> list[Tensor]:
        """Find the activations of every part in a mixture: ``[B, F, T]`` -> a ``[B, K_s, T]`` a source.

        Deterministic: what is random is seeded from the arguments. A system that descends gradients opens
        `torch.enable_grad` itself.
        """

    def explain(self, magnitudes: Tensor) -> tuple[Sequence[Part], list[Tensor]]:
        """The parts that explain a mixture ``[B, F, T]``, and their activations.

        These are `parts`, as learned, unless a system fits a source that nobody taught it to the mixture itself.
        """
        return self.taught, self.fit(magnitudes)

    @property
    def taught(self) -> list[Part]:
        """`parts`, as what they are."""
        return cast(list[Part], list(self.parts))

    @property
    def homes(self) -> Tensor:
        """``[K]`` (long): the source that each component was learned for, whoever owns it now."""
        return torch.tensor([source for source, count in enumerate(self.counts) for _ in range(count)])

    def components(self) -> Components:
        """Every component, for views and surgery; without gradients, on the CPU."""
        with torch.no_grad():
            patches = torch.cat([part.patches().cpu() for part in self.taught])
        muted = torch.zeros(len(patches), dtype=torch.bool)
        muted[self.arguments["muted"]] = True
        return Components(torch.tensor(self._owners), patches, muted)

    def gather(self, clips: Sequence[Tensor]) -> Tensor:
        """Clips of one source, mono at the model's rate, each ``[T]`` -> magnitudes ``[F, T']`` to learn from, one by one.

        Each has zero mean and unit deviation; silent ones stay silent.
        """
        return torch.cat([self.stft(_unit(clip.to(self.stft.window))).abs() for clip in clips], -1)

    def magnitudes(self, z: Tensor) -> Tensor:
        """A chunk ``[B, C, F, T]`` -> ``[B, F, T]``, the channels' mean, as of a signal of unit deviation."""
        power = z.detach().abs().square().mean(1)
        deviation = (power.mean((1, 2), keepdim=True) / self.stft.window.square().sum()).sqrt()
        return power.sqrt() / torch.where(deviation > SILENT, deviation, 1.0)

    def spread(self, activations: Sequence[Tensor], parts: Sequence[Part] | None = None) -> Tensor:
        """Each component's share of the magnitudes: a ``[B, K_s, T]`` a source -> ``[B, K, F, T]``.

        Args:
            activations: as `fit` gives them.
            parts: if they are others than those that were taught; see `explain`.
        """
        return torch.cat([part.each(rows) for part, rows in zip(parts or self.taught, activations, strict=True)], 1)

    def encode(self, x: Tensor) -> Tensor:
        z: Tensor = self.stft(x)
        return z

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        # In half precision the small numbers of a fit are zero; the engine opens autocast around every model.
        with torch.autocast(z.device.type, enabled=False):
            amounts = self._amounts(*self.explain(self.magnitudes(z)))
        total = amounts.sum(1, keepdim=True)
        owned = amounts[:, :-1]
        tiny = torch.finfo(total.dtype).tiny
        return torch.where(total > 0, owned / total.clamp_min(tiny), 1 / owned.shape[1]).unsqueeze(2)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        return self.stft.inverse(latents, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return stems

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        return separate_by_masks(self, mixture, side, state), None

    def _amounts(self, parts: Sequence[Part], activations: Sequence[Tensor]) -> Tensor:
        """What every source owns, and at last what is muted: ``[B, S + 1, F, T]``."""
        sources, first = len(self.counts), 0
        owners = [sources if k in self.arguments["muted"] else owner for k, owner in enumerate(self._owners)]
        amounts: list[list[Tensor]] = [[] for _ in range(sources + 1)]
        for part, rows in zip(parts, activations, strict=True):
            mine = owners[first : first + part.components]
            first += part.components
            named = sorted(set(mine))
            if len(named) == 1:
                amounts[named[0]].append(part.render(rows))
                continue
            groups = torch.tensor([[float(owner == name) for owner in mine] for name in named]).to(rows)
            for name, amount in zip(named, part.grouped(rows, groups).unbind(1), strict=True):
                amounts[name].append(amount)
        nothing = torch.zeros_like(next(amount[0] for amount in amounts if amount))
        return torch.stack([sum(amount, nothing) for amount in amounts], 1)


def shared(alone: Tensor, whole: Tensor) -> Tensor:
    """Shares of a whole in proportion to what each gives alone; equal ones where none gives anything.

    Args:
        alone: ``[*, K, F, T]``, non-negative.
        whole: ``[*, F, T]``.

    Returns:
        ``[*, K, F, T]`` with `whole` as the sum over K.

    >>> shared(torch.tensor([[[1.0]], [[3.0]]]), torch.tensor([[2.0]])).flatten()
    tensor([0.5000, 1.5000])
    """
    total = alone.sum(-3, keepdim=True)
    part = torch.where(total > 0, alone / total.clamp_min(torch.finfo(total.dtype).tiny), 1 / alone.shape[-3])
    return part * whole.unsqueeze(-3)


Model = TypeVar("Model", bound=ComponentModel)


def with_surgery(model: Model, moved: Mapping[int, int] | Mapping[str, int], muted: Sequence[int]) -> Model:
    """The same weights with components moved and muted; earlier surgery is forgotten.

    Args:
        model: stays as it is.
        moved: component index -> index of the source that shall own it.
        muted: component indices.

    Raises:
        ModelError: there is no such component or source, or its components cannot be named before a mixture is heard.
    """
    changes = {"moved": {str(k): source for k, source in moved.items()}, "muted": sorted(set(muted))}
    try:
        return rebuilt(model, changes, model.state_dict())
    except ValueError as error:
        raise ModelError(
            "Move or mute components", str(error), f"Choose from {sum(model.counts)} components, counted from 0"
        ) from error


def joined(models: Sequence[tuple[ComponentModel, str]], names: Sequence[str] | None = None) -> ComponentModel:
    """A model of sources that were learned apart.

    Parts come as they were learned: surgery stays behind. What is not about parts (steps, segment) is the first model's.

    Args:
        models: of every source a model that knows it, and its name there.
        names: what the sources are called now; None keeps their names.

    Raises:
        ModelError: a model has no such source; two sources have one name; the models are of different systems, or cannot
            hear alike.
    """
    asked = "Join learned sources"
    names = [source for _, source in models] if names is None else list(names)
    first = models[0][0]
    for model, source in models:
        if source not in model.arguments["sources"]:
            found = f"there is no source called {source}"
            raise ModelError(asked, found, f"Choose from {', '.join(model.arguments['sources'])}")
        unlike = _unlike(first, model)
        if unlike:
            raise ModelError(asked, f"{source} was learned otherwise: {unlike}", "Learn all of them in one way")
        if not any(True for _ in model.parts[model.arguments["sources"].index(source)].parameters()):
            raise ModelError(asked, f"nobody taught {source}", "Join sources that were learned from clips")
    if len(set(names)) < len(names) or len(names) != len(models):
        raise ModelError(asked, f"they would be called {', '.join(names)}", "Give each source a name of its own")
    parts = [(model, model.arguments["sources"].index(source)) for model, source in models]
    tensors = {
        f"parts.{new}.{name}": tensor
        for new, (model, old) in enumerate(parts)
        for name, tensor in model.parts[old].state_dict().items()
    }
    changes = {"sources": names, "components": [model.counts[old] for model, old in parts], "moved": {}, "muted": []}
    return rebuilt(first, {**changes, **first.own}, tensors)


def rebuilt(model: Model, changes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Model:
    """The same kind of model with other arguments and copies of these weights."""
    with torch.random.fork_rng(devices=[]):  # random initial weights must not disturb the caller's generator
        again = type(model)(**{**model.arguments, **changes})
    again.load_state_dict(tensors, strict=True)
    return again.to(model.stft.window.device).train(model.training)


def _unlike(one: ComponentModel, other: ComponentModel) -> str:
    """In what two models were learned otherwise; empty if in nothing."""
    if type(one) is not type(other):
        return f"{type(other).__name__} instead of {type(one).__name__}"
    free = {"sources", "components", "steps", "moved", "muted", "segment", "context", *one.own}
    differ = [name for name in one.arguments if name not in free and one.arguments[name] != other.arguments[name]]
    return ", ".join(f"{name} {other.arguments[name]} instead of {one.arguments[name]}" for name in differ)


def _counts(sources: int, components: int | Sequence[int]) -> tuple[int, ...]:
    counts = (components,) * sources if isinstance(components, int) else tuple(components)
    if len(counts) != sources or any(count < 1 for count in counts):
        raise ValueError(f"{sources} sources need a number of components each, 1 or more, not {components}")
    return counts


def _owners(counts: Sequence[int], moved: Mapping[str, int]) -> list[int]:
    """The source that owns each component."""
    owners = [source for source, count in enumerate(counts) for _ in range(count)]
    indices = [int(key) for key in moved]
    _check_indices("moved", indices, len(owners))
    for index, source in zip(indices, moved.values(), strict=True):
        if not 0 <= source < len(counts):
            raise ValueError(f"component {index} is moved to source {source}, and there are {len(counts)}")
        owners[index] = source
    return owners


def _check_indices(what: str, indices: Sequence[int], count: int) -> None:
    unknown = [index for index in indices if not 0 <= index < count]
    if unknown:
        raise ValueError(f"component {unknown[0]} is {what}, and there are {count}")


def _unit(clip: Tensor) -> Tensor:
    """``[T]`` with zero mean and unit deviation."""
    deviation = clip.std(correction=0)
    return (clip - clip.mean()) / torch.where(deviation > SILENT, deviation, 1.0)
