"""Latent variational block-wise disentanglement: an over-determined latent with a block for each source, and a memory of each.

K. Helwani, M. Togami, P. Smaragdis, M. Goodwin, "Sound source separation using latent variational block-wise
disentanglement", ICASSP Workshops 2024, arXiv 2402.06683. What the public record says: a mixture is mapped to a latent with
more dimensions than there are sources, so that separation becomes over-determined as with several microphones; the latent
is cut into blocks, one a source, of which only different ones need be independent; a variational prior; a differentiable
permutation; a memory that tracks the statistics of each source.

Our proposal is everything else, because layers, sizes, formulas and figures are not public:

- The encoder is a learned basis of N functions; a Conv-TasNet-like network looks at it and gives ``q(z_t | x) = N(mean,
  variance)``, z_t = one block of D dimensions a source, S D < N.
- One decoder, shared by all blocks, turns a block into mask logits; the softmax over sources makes masks that add up to one, so
  that the estimates add up to what the encoder and the basis's decoder make of the mixture (mixture consistency). In eval z
  is the mean; in training it is drawn.
- The memory has no weights: for each source the running mean and mean square of its block over the frames in which it sounds,
  and for how many seconds it did. It begins with `STRANGER` seconds of a *stranger*: the moments that blocks had in training,
  all sources alike (N(0, 1) before that). The prior of a source is the Gaussian with the moments that are remembered: of
  somebody never heard, the stranger's.
- Order: a block belongs to the remembered source that it diverges from least. A chunk is first followed in stretches of about
  `STRETCH` seconds, each ordered by what was heard before it and then remembered, on the `WAYS` cheapest ways at once; with
  what is known at the end of the best, the order in every `PERIOD` seconds is the cheapest path through all S! orders (Viterbi,
  1967). A change of order costs `CHANGE` on both.

The training terms (`training.disentangling`) are ours in their formulas too. Not here: who is speaking. The memory tells
apart the voices that it has heard, and has no names for them.
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from separation.models.conv_tasnet import FRAMES_MULTIPLE, NORM_EPSILON, Pointwise, PReLU
from separation.models.protocol import Inside, Spec, State
from separation.models.two_step import TDCN

FEWEST_SOURCES, MOST_SOURCES = 2, 4
"""All orders of the sources are looked at, so that there must be few."""
STRANGER = 0.5
"""Seconds of anybody that a memory begins with."""
MET = 0.02
"""Part that each step of training adds to what is known of strangers."""
LONGEST = 30.0
"""Seconds of sound after which the memory forgets as it learns."""
STRETCH = 1.0
"""Seconds, about, that are remembered at once while a chunk is followed."""
WAYS = 16
"""Ways to order a chunk that are followed at once: who the second voice is may be clear only when both have spoken."""
PERIOD = 0.1
"""Seconds in which the order stays."""
EVIDENCE = 2.0
"""Seconds of one source over which the mean divergence counts once: what was learnt is to tell chunks of this length apart."""
CHANGE = 3.0
"""What a change of order costs in nats: the log odds that there is none."""
AS_IT_IS = 0.01
"""What another order than the network's costs at the start of a chunk: where nothing is known nothing is changed."""
QUIET = 1e-3
"""Part of the loudest period's energy at which a frame counts half."""
LOG_VARIANCE = (-10.0, 4.0)
"""Least and greatest."""
FIRST_LOG_VARIANCE = -4.0
"""What training begins with: noise far below the means."""
LEAST_VARIANCE = 1e-4
TINY = 1e-12

Memory = Mapping[str, Tensor]
"""``seconds [B, S]``, ``mean`` and ``square [B, S, D]`` of each block, ``level [B]``: energy of the loudest period so far.
Of the seconds `STRANGER` are those that it began with."""


class Posterior(NamedTuple):
    """``q(z | x)`` frame by frame: each ``[B, S, D, K]``."""

    mean: Tensor
    log_variance: Tensor


class Heard(NamedTuple):
    """What blocks were like over some frames, each of which counts as much as its source sounds in it.

    Args:
        seconds: of sound, ``[B, S, *]``.
        mean, square, log_variance: of what the posterior draws, and of itself, ``[B, S, D, *]``.
    """

    seconds: Tensor
    mean: Tensor
    square: Tensor
    log_variance: Tensor


class Disentangled(nn.Module):
    """Latent variational block-wise disentanglement.

    Args:
        sources: names of the outputs, two to four.
        sample_rate: Hz.
        basis: number of basis functions (N), more than the dimensions of all blocks together.
        kernel: their length in samples; the hop is half of it.
        dimensions: of the block of a source (D).
        decoder: hidden channels of the shared decoder.
        bottleneck, hidden, width, blocks, repeats: of the network, as in `ConvTasNet`; `blocks` are its temporal blocks.
        memory: keep statistics of the sources from chunk to chunk, and their order by them.
        permutation_invariant: which source comes first is arbitrary.
        segment, context: seconds, see `Spec`.

    Shape:
        `encode`: ``[B, C, T]`` -> ``[B, C, N, K]``; `masks`: -> ``[B, S, 1, N, K]``, which sum to one over the sources.
    """

    stranger_mean: Tensor
    stranger_variance: Tensor

    citation = "K. Helwani, M. Togami, P. Smaragdis, M. Goodwin, ICASSP Workshops 2024, arXiv 2402.06683"

    def __init__(
        self,
        *,
        sources: Sequence[str] = ("speaker 1", "speaker 2"),
        sample_rate: int = 8000,
        basis: int = 256,
        kernel: int = 32,
        dimensions: int = 48,
        decoder: int = 128,
        bottleneck: int = 128,
        hidden: int = 256,
        width: int = 3,
        blocks: int = 8,
        repeats: int = 2,
        memory: bool = True,
        permutation_invariant: bool = True,
        segment: float = 8.0,
        context: float = 1.0,
    ) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {
            "sources": list(sources), "sample_rate": sample_rate, "basis": basis, "kernel": kernel,
            "dimensions": dimensions, "decoder": decoder, "bottleneck": bottleneck, "hidden": hidden, "width": width,
            "blocks": blocks, "repeats": repeats, "memory": memory, "permutation_invariant": permutation_invariant,
            "segment": segment, "context": context,
        }  # fmt: skip
        if not FEWEST_SOURCES <= len(sources) <= MOST_SOURCES:
            raise ValueError(f"{len(sources)} sources; it takes {FEWEST_SOURCES} to {MOST_SOURCES}")
        if basis <= len(sources) * dimensions:
            found = f"{len(sources)} blocks of {dimensions} dimensions"
            raise ValueError(f"{basis} basis functions for {found}: the latent must have more than all blocks together")
        if kernel < 2 or kernel % 2:
            raise ValueError(f"the basis functions overlap by half, so their length must be even, not {kernel}")
        if width % 2 == 0:
            raise ValueError(f"depthwise kernels must be odd to stay aligned, not {width}")
        self.hop_length = kernel // 2
        geometry: dict[str, Any] = {"stride": self.hop_length, "padding": self.hop_length, "bias": False}
        self.encoder = nn.Conv1d(1, basis, kernel, **geometry)
        self.norm = nn.GroupNorm(1, basis, eps=NORM_EPSILON)
        self.enter = Pointwise(basis, bottleneck)
        self.network = TDCN(bottleneck, hidden, width, blocks, repeats)
        self.leave = nn.Sequential(PReLU(), Pointwise(bottleneck, 2 * len(sources) * dimensions))
        self.block_decoder = nn.Sequential(Pointwise(dimensions, decoder), PReLU(), Pointwise(decoder, basis))
        self.decoder = nn.ConvTranspose1d(basis, 1, kernel, **geometry)
        self.register_buffer("stranger_mean", torch.zeros(dimensions))
        self.register_buffer("stranger_variance", torch.ones(dimensions))

    @property
    def spec(self) -> Spec:
        a = self.arguments
        return Spec(
            sample_rate=a["sample_rate"], channels=1, sources=tuple(a["sources"]), segment=a["segment"],
            context=a["context"], multiple_of=self.hop_length * FRAMES_MULTIPLE, align=self.hop_length,
            permutation_invariant=a["permutation_invariant"], silent_ends=True, normalise=True, stateful=a["memory"],
        )  # fmt: skip

    @property
    def frame(self) -> float:
        """Seconds from one frame to the next."""
        return float(self.hop_length / self.arguments["sample_rate"])

    def encode(self, x: Tensor) -> Tensor:
        batch, channels, length = x.shape
        x = nn.functional.pad(x.reshape(-1, 1, length), (0, -length % self.hop_length))
        z = torch.relu(self.encoder(x))
        return z.reshape(batch, channels, *z.shape[-2:])

    def posterior(self, z: Tensor) -> Posterior:
        """Latent ``[B, C, N, K]`` -> the blocks, in the network's own order."""
        h = self.leave(self.network(self.enter(self.norm(z.mean(1)))))
        sources, dimensions = len(self.arguments["sources"]), self.arguments["dimensions"]
        mean, log_variance = h.float().reshape(len(z), sources, 2, dimensions, -1).unbind(2)
        return Posterior(mean, (log_variance + FIRST_LOG_VARIANCE).clamp(*LOG_VARIANCE))

    def masks_of(self, blocks: Tensor) -> Tensor:
        """Blocks ``[B, S, D, K]`` -> masks ``[B, S, 1, N, K]``: each block decoded alone, then shares of the sources."""
        logits = self.block_decoder(blocks.flatten(0, 1))
        return torch.softmax(logits.float().reshape(*blocks.shape[:2], *logits.shape[1:]), 1).unsqueeze(2)

    def inside(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Inside:
        """Masks in the order of the memory, the memory after this chunk, and what is seen of both.

        Seen, in the order of the masks: the blocks' ``mean`` and ``variance [B, S, D, K]``, ``active [B, S, 1, K]`` (0 to 1),
        ``memory_mean`` and ``memory_variance [B, S, D, 1]`` after the chunk, ``memory_seconds [B, S, 1, 1]``.
        """
        posterior = self.posterior(z)
        masks = self.masks_of(drawn(posterior) if self.training else posterior.mean)
        energy = self.energy(masks, z)
        known: Memory = self.empty_memory(len(z)) if state is None else state
        known = {**known, "level": torch.maximum(known["level"], loudest(energy, self.period))}
        active = activity(energy, known["level"])
        if self.arguments["memory"]:
            order = self.order(posterior, active, known)
            masks, active = taken(masks, order), taken(active, order)
            posterior = Posterior(*(taken(part, order) for part in posterior))
        known = remembered(known, heard(posterior, active, self.frame))
        mean, variance = prior(known)
        seen = {
            "mean": posterior.mean, "variance": posterior.log_variance.exp(), "active": active.unsqueeze(2),
            "memory_mean": mean.unsqueeze(-1), "memory_variance": variance.unsqueeze(-1),
            "memory_seconds": (known["seconds"] - STRANGER)[..., None, None],
        }  # fmt: skip
        return Inside(masks, known if self.arguments["memory"] else None, seen)

    def masks(self, z: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> Tensor:
        return self.inside(z, side, state).masks

    def energy(self, masks: Tensor, z: Tensor) -> Tensor:
        """How loud each source is in each frame, ``[B, S, K]``: the energy of what the decoder makes of the frame alone.

        Not of the latent, of which a good part leads to nothing that is heard: there are more basis functions than samples.
        """
        frames = torch.einsum("bsnk,nl->bslk", masks[:, :, 0] * z.mean(1, keepdim=True), self.decoder.weight[:, 0])
        return frames.square().sum(2)

    def decode(self, latents: Tensor, length: int) -> Tensor:
        lead = latents.shape[:-2]
        x: Tensor = self.decoder(latents.reshape(-1, *latents.shape[-2:]))
        return x[..., :length].reshape(*lead, length)

    def refine(self, stems: Tensor, mixture: Tensor) -> Tensor:
        return stems

    def separate(self, mixture: Tensor, side: Mapping[str, Tensor] = {}, state: State = None) -> tuple[Tensor, State]:
        z = self.encode(mixture)
        inside = self.inside(z, side, state)
        return self.decode(inside.masks * z.unsqueeze(1), mixture.shape[-1]), inside.state

    @property
    def period(self) -> int:
        """Frames in which the order stays."""
        return max(1, round(PERIOD / self.frame))

    def stretches(self, frames: int) -> list[slice]:
        """What of so many frames is remembered at once, in order: of `STRETCH` seconds or as near as they come even."""
        count = max(1, round(frames * self.frame / STRETCH))
        return [slice(frames * number // count, frames * (number + 1) // count) for number in range(count)]

    def empty_memory(self, batch: int) -> Memory:
        """What is known of so many times all sources before anything was heard."""
        mean = self.stranger_mean.expand(batch, len(self.arguments["sources"]), -1)
        return {
            "seconds": torch.full_like(mean[..., 0], STRANGER), "mean": mean,
            "square": self.stranger_variance + mean.square(), "level": mean.new_zeros(batch),
        }  # fmt: skip

    @torch.no_grad()
    def meet(self, blocks: Heard) -> None:
        """Learn what strangers are like, from any sources."""
        weights = (blocks.seconds / (blocks.seconds.sum() + TINY)).unsqueeze(2)
        square = self.stranger_variance + self.stranger_mean.square()
        square = square.lerp((weights * blocks.square).sum((0, 1)), MET)
        self.stranger_mean.lerp_((weights * blocks.mean).sum((0, 1)), MET)
        self.stranger_variance.copy_((square - self.stranger_mean.square()).clamp_min(LEAST_VARIANCE))

    @torch.no_grad()
    def order(self, posterior: Posterior, active: Tensor, memory: Memory) -> Tensor:
        """The block that belongs to each remembered source in each frame, ``[B, S, K]``.

        Args:
            posterior: of a chunk, in the network's order.
            active: how much each block's source sounds, ``[B, S, K]``.
            memory: of what was before the chunk.
        """
        memory = self._followed(posterior, active, memory)
        frames = active.shape[-1]
        mean, log_variance, active = (
            nn.functional.pad(x, (0, -frames % self.period)).reshape(*x.shape[:-1], -1, self.period)
            for x in (*posterior, active)
        )
        periods = heard(Posterior(mean, log_variance), active, self.frame)
        return best_orders(evidence(periods, memory), CHANGE).repeat_interleave(self.period, -1)[..., :frames]

    def _followed(self, posterior: Posterior, active: Tensor, memory: Memory) -> Memory:
        """The memory after a chunk that was ordered stretch by stretch, each by what was heard before it.

        Each way has a memory of its own, and pays for what that did not expect: whoever takes two voices for one pays with
        every turn, whoever takes one for two is soon no better off.
        """
        batch, sources = active.shape[:2]
        every = orders(sources, active.device)
        total, before = active.new_zeros(batch, 1), torch.zeros(batch, 1, dtype=torch.long, device=active.device)
        item = torch.arange(batch, device=active.device).unsqueeze(1)
        for number, here in enumerate(self.stretches(active.shape[-1])):
            ways = total.shape[1]
            new = heard(Posterior(*(part[..., here] for part in posterior)), active[..., here], self.frame)
            new = Heard(*(part.repeat_interleave(ways, 0) for part in new))
            price = prices(evidence(new, memory)).reshape(batch, ways, -1)
            other = torch.arange(len(every), device=active.device) != before.unsqueeze(-1)
            price = total.unsqueeze(-1) + price + other * (CHANGE if number else AS_IT_IS)
            total, best = price.flatten(1).sort(dim=1, stable=True)
            total, best = total[:, :WAYS], best[:, :WAYS]
            before, rows = best % len(every), (item * ways + best // len(every)).flatten()
            order = every[before].flatten(0, 1)
            own = Heard(*(taken(part[rows].unsqueeze(-1), order.unsqueeze(-1)).squeeze(-1) for part in new))
            memory = remembered({name: value[rows] for name, value in memory.items()}, own)
        first = item.flatten() * total.shape[1]
        return {name: value[first] for name, value in memory.items()}


def drawn(posterior: Posterior) -> Tensor:
    """A sample of every block, through which gradients reach mean and variance."""
    return posterior.mean + (0.5 * posterior.log_variance).exp() * torch.randn_like(posterior.mean)


def gaussian_kl(mean: Tensor, log_variance: Tensor, prior_mean: Tensor, prior_variance: Tensor) -> Tensor:
    """``KL(N(mean, variance) || N(prior_mean, prior_variance))`` of each dimension, in nats.

    >>> gaussian_kl(torch.tensor(1.0), torch.tensor(0.0), torch.tensor(0.0), torch.tensor(1.0))
    tensor(0.5000)
    """
    ratio = (log_variance.exp() + (mean - prior_mean).square()) / prior_variance
    return 0.5 * (prior_variance.log() - log_variance + ratio - 1)


def activity(energy: Tensor, level: Tensor) -> Tensor:
    """How much of each frame a source is, 0 to 1: its part of the energy, less where hardly anybody sounds.

    Args:
        energy: of each source in each frame, ``[B, S, K]``.
        level: of the loudest period, ``[B]``.
    """
    return energy / (energy.sum(1, keepdim=True) + QUIET * level.view(-1, 1, 1) + TINY)


def loudest(energy: Tensor, period: int) -> Tensor:
    """The mean energy of a frame in the loudest period of all sources ``[B, S, K]`` together, ``[B]``."""
    total = energy.sum(1)
    return nn.functional.avg_pool1d(total.unsqueeze(1), min(period, total.shape[-1]), ceil_mode=True).amax((1, 2))


def heard(posterior: Posterior, active: Tensor, frame: float) -> Heard:
    """Blocks ``[B, S, D, *, K]`` over the last axis.

    Args:
        posterior: of the frames.
        active: 0 to 1, ``[B, S, *, K]``.
        frame: seconds from one to the next.
    """
    counted = active.sum(-1)
    weights = (active / (counted + TINY).unsqueeze(-1)).unsqueeze(2)
    square = posterior.mean.square() + posterior.log_variance.exp()
    moments = ((weights * part).sum(-1) for part in (posterior.mean, square, posterior.log_variance))
    return Heard(frame * counted, *moments)


def remembered(memory: Memory, blocks: Heard) -> Memory:
    """The memory after some more blocks ``[B, S, D]``, which are in the order of its sources."""
    total = memory["seconds"] + blocks.seconds
    part = (blocks.seconds / total).unsqueeze(-1)
    return {
        **memory,
        "seconds": total.clamp_max(LONGEST),
        "mean": memory["mean"] + part * (blocks.mean - memory["mean"]),
        "square": memory["square"] + part * (blocks.square - memory["square"]),
    }


def prior(memory: Memory) -> tuple[Tensor, Tensor]:
    """Mean and variance of each source's block as it is remembered, ``[B, S, D]``."""
    return memory["mean"], (memory["square"] - memory["mean"].square()).clamp_min(LEAST_VARIANCE)


def evidence(blocks: Heard, memory: Memory) -> Tensor:
    """What speaks against giving block j to the remembered source i, ``[B, S (i), S (j), *]``.

    How far what block j drew is from the source's prior, in nats, for each `EVIDENCE` seconds of sound: `gaussian_kl`, the mean
    over the frames, which is known from their moments.
    """
    more = [1] * (blocks.mean.ndim - 3)
    mean, variance = (part.reshape(*part.shape[:2], 1, -1, *more) for part in prior(memory))
    seen, square, log_variance = (part.unsqueeze(1) for part in blocks[1:])
    ratio = (square - 2 * mean * seen + mean.square()) / variance
    nats = 0.5 * (variance.log() - log_variance + ratio - 1).sum(3)
    return nats * blocks.seconds.unsqueeze(1) / EVIDENCE


def orders(sources: int, device: torch.device) -> Tensor:
    """All orders, ``[S!, S]``: the block that each source gets. The first leaves everything as it is."""
    return torch.tensor(list(permutations(range(sources))), device=device)


def prices(costs: Tensor) -> Tensor:
    """What each of `orders` costs in all: ``[B, S (source), S (block), *]`` -> ``[B, S!, *]``."""
    sources = costs.shape[1]
    return costs[:, torch.arange(sources, device=costs.device), orders(sources, costs.device)].sum(2)


def best_orders(costs: Tensor, change: float) -> Tensor:
    """The cheapest way through all orders, ``[B, S, P]``: the block that belongs to each source in each period.

    Args:
        costs: of giving block j to source i in a period, ``[B, S (i), S (j), P]``.
        change: what another order than in the period before costs besides.

    >>> best_orders(torch.tensor([[[[0.0, 0.0, 9.0], [3.0, 3.0, 0.0]], [[3.0, 3.0, 0.0], [0.0, 0.0, 9.0]]]]), 4.0)
    tensor([[[0, 0, 1],
             [1, 1, 0]]])
    """
    every, each = orders(costs.shape[1], costs.device), prices(costs)
    total, before = each[..., 0], []
    total = torch.cat([total[:, :1], total[:, 1:] + AS_IT_IS], 1)
    for period in range(1, costs.shape[-1]):
        best, at = total.min(1, keepdim=True)
        changed = best + change < total
        before.append(torch.where(changed, at, torch.arange(len(every), device=costs.device)))
        total = torch.where(changed, best + change, total) + each[..., period]
    path = [total.argmin(1, keepdim=True)]
    for came in reversed(before):
        path.append(came.gather(1, path[-1]))
    return every[torch.cat(path[::-1], 1)].transpose(1, 2)


def taken(x: Tensor, order: Tensor) -> Tensor:
    """Sources ``[B, S, *, K]`` in another order in every frame: ``order [B, S, K]`` says which is taken."""
    index = order.view(*order.shape[:2], *[1] * (x.ndim - 3), -1).expand_as(x)
    return x.gather(1, index)
