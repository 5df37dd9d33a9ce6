"""How `models.disentangled` learns: separation in any order, a variational prior, independence between blocks, and memory.

K. Helwani, M. Togami, P. Smaragdis, M. Goodwin, ICASSP Workshops 2024, arXiv 2402.06683, name these parts; their formulas
are not public, so that those below are our proposal. An example is heard as `CHUNKS` consecutive chunks of the same sources,
as the engine would hand them over. The loss is the sum of

    separation    sum_ij P_ij snr(s_i, ŝ_j) / S, P = `sinkhorn` of the negative costs over a temperature that falls from
                  `HOTTEST_DB` to `COLDEST_DB`: doubly stochastic at first, in the end the permutation of PIT
    mixture       snr(x, sum_j ŝ_j): the estimates add up
    kl            KL(q(z_t | x) || prior) a frame and block. The prior of the frames in which a source sounds is what was
                  remembered of it before this stretch (in the first, the stranger's); of the others it is N(0, 1)
    dependence    `dependence` between the blocks, and only between them
    memory        -log p(order) of every stretch but the first: how sure the memory is, by the blocks' divergence from it, of
                  the order that separates the chunk best; counts as far as another order would be heard

each but the first with the weight that the recipe gives it. Relatives: SinkPIT (arXiv 2010.11871) for the permutation; the
dependence is the criterion of block-wise blind source separation (TRINICON).
"""

from collections.abc import Mapping
from math import ceil, log2
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from separation.errors import DataError
from separation.metrics.dependence import block_dependence
from separation.models.disentangled import (
    Memory,
    Posterior,
    activity,
    drawn,
    evidence,
    gaussian_kl,
    heard,
    loudest,
    orders,
    prices,
    prior,
    remembered,
    taken,
)
from separation.training.losses import snr

SHARED = ("encoder.", "norm.", "enter.", "tcn.", "decoder.")
"""Beginnings of the names of what `network_of` takes."""
TERMS = ("mixture", "kl", "dependence", "memory")
CHUNKS = 2
HOTTEST_DB, COLDEST_DB = 0.25, 0.02
"""Temperature of the permutation, in the unit of the costs, at the first step and in the end. From about 1 dB on, all estimates
become the same: whoever does not commit to an order does best with that."""
HALVED = 200
"""Steps in which it halves."""
ROUNDS = 6
"""Normalisations of rows and columns at each temperature of `sinkhorn`."""
HALVINGS = 12
"""Temperatures above its own that it goes through at most."""
AUDIBLE_DB = 6.0
"""Difference of two orders in the mean cost of a source from which on the memory must know the right one."""


class Disentangling:
    """The objective above.

    Args:
        weights: of `TERMS`; what is left out is 0.

    Raises:
        DataError: a term is not known.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        unknown = sorted(set(weights) - set(TERMS))
        if unknown:
            found = f"there is no term {', '.join(unknown)}"
            raise DataError("Train a disentangled model", found, f"Give weights to {', '.join(TERMS)} only")
        self._weight = {term: weights.get(term, 0.0) for term in TERMS}

    def __call__(
        self, model: Any, references: Tensor, mixture: Tensor, step: int = 0, side: Mapping[str, Tensor] = {}
    ) -> Tensor:
        weight = self._weight
        sound, truth = chunked(mixture), chunked(references)
        z = model.encode(sound)
        posterior: Posterior = model.posterior(z)
        masks = model.masks_of(drawn(posterior))
        estimates = model.decode(masks * z.unsqueeze(1), sound.shape[-1]).float()
        with torch.autocast(sound.device.type, enabled=False):  # logarithms and covariances need all their digits
            costs = snr(truth.unsqueeze(2), estimates.unsqueeze(1), sound[:, None, None]).mean(-1)
            loss = separation(costs, temperature(step))
            if weight["mixture"]:
                loss = loss + weight["mixture"] * snr(sound, estimates.sum(1), sound).mean()
            if weight["dependence"]:
                loss = loss + weight["dependence"] * dependence(posterior.mean)
            if weight["kl"] or weight["memory"]:
                energy = model.energy(masks.detach(), z.detach().float())
                kl, surprise = _remembering(model, posterior, energy.detach(), costs.detach(), bool(weight["memory"]))
                loss = loss + weight["kl"] * kl + weight["memory"] * surprise
        return loss


def network_of(conv_tasnet: Path, output: Path) -> Path:
    """The part of a Conv-TasNet that a disentangled model of the same sizes may start from, as a file.

    Encoder, network and decoder are the same, and take most of the training; what makes blocks and masks of them is new.

    Args:
        conv_tasnet: weights of a `ConvTasNet` without a skip path, such as those of the bundled ``speakers``.
        output: where to; ``initial`` of `training.train`.
    """
    weights = load_file(conv_tasnet)
    save_file(
        {name.replace("tcn.", "network.blocks."): x for name, x in weights.items() if name.startswith(SHARED)}, output
    )
    return output


def chunked(x: Tensor) -> Tensor:
    """Consecutive chunks as items of the batch, all first ones first: ``[B, *, T]`` -> ``[CHUNKS B, *, T / CHUNKS]``."""
    length = x.shape[-1] // CHUNKS
    return torch.cat([x[..., at : at + length] for at in range(0, CHUNKS * length, length)])


def separation(costs: Tensor, temperature: float) -> Tensor:
    """The mean cost a source under the soft assignment of ``costs [B, S, S]``, a scalar.

    The least value of ``<P, costs> + temperature <P, log P>`` over doubly stochastic P has P as its gradient (envelope
    theorem): P itself needs none.
    """
    assigned = sinkhorn(costs.detach(), temperature)
    return (assigned * costs).sum((1, 2)).mean() / costs.shape[1]


def temperature(step: int) -> float:
    """Of the permutation at a step of the run.

    >>> [round(temperature(step), 3) for step in (0, 200, 10_000)]
    [0.25, 0.125, 0.02]
    """
    return float(max(COLDEST_DB, HOTTEST_DB * 0.5 ** (step / HALVED)))


def sinkhorn(costs: Tensor, temperature: float) -> Tensor:
    """The doubly stochastic matrix that minimises ``<P, costs> + temperature <P, log P>``: ``[*, S, S]`` -> the same.

    Rows and columns are normalised in turn, in logarithms (Sinkhorn and Knopp, 1967; Cuturi, NeurIPS 2013, eq. 2). Where the
    temperature is low that alone takes thousands of rounds, so it starts as high as the costs differ, and is halved
    with what was found as the next start. As it goes to 0, P goes to the assignment of Kuhn (1955).

    >>> sinkhorn(torch.tensor([[1.0, 5.0], [2.0, 9.0]]), 0.1).round()
    tensor([[0., 1.],
            [1., 0.]])
    """
    spread = float((costs.amax() - costs.amin()).detach())
    halvings = min(HALVINGS, max(0, ceil(log2(max(spread, temperature) / temperature))))
    columns = torch.zeros_like(costs[..., :1, :])
    rows = torch.zeros_like(costs[..., :1])
    for halving in range(halvings, -1, -1):
        hot = temperature * 2**halving
        for _ in range(ROUNDS):
            columns = -hot * torch.logsumexp((rows - costs) / hot, -2, keepdim=True)
            rows = -hot * torch.logsumexp((columns - costs) / hot, -1, keepdim=True)
    return ((rows + columns - costs) / temperature).exp()


def dependence(blocks: Tensor) -> Tensor:
    """How much the blocks ``[B, S, D, K]`` tell of each other over the batch and time, in nats; a scalar."""
    values = blocks.flatten(1, 2).transpose(0, 1).flatten(1)
    values = values - values.mean(1, keepdim=True)
    return block_dependence(values @ values.T / values.shape[1], blocks.shape[2])


def _remembering(
    model: Any, posterior: Posterior, energy: Tensor, costs: Tensor, remember: bool
) -> tuple[Tensor, Tensor]:
    """The terms "kl" and "memory", scalars.

    Args:
        model: whose frames these are.
        posterior: of all chunks, as `chunked` puts them.
        energy: of each source in each frame, ``[CHUNKS B, S, K]``.
        costs: ``[CHUNKS B, S (true), S (estimated)]``.
        remember: the prior knows what was heard before.
    """
    means, log_variances, energies = (x.chunk(CHUNKS) for x in (posterior.mean, posterior.log_variance, energy))
    memory: Memory = model.empty_memory(len(means[0]))
    sure = energy.new_ones(len(means[0]))
    kl: list[Tensor] = []
    surprises: list[Tensor] = []
    for mean, log_variance, energy, cost in zip(means, log_variances, energies, costs.chunk(CHUNKS), strict=True):
        right, gap = _best_order(cost)
        sure = torch.minimum(sure, (gap / AUDIBLE_DB).clamp_max(1))
        memory = {**memory, "level": torch.maximum(memory["level"], loudest(energy, model.period))}
        active = activity(energy, memory["level"])
        for here in model.stretches(mean.shape[-1]):
            blocks, sounding = Posterior(mean[..., here], log_variance[..., here]), active[..., here]
            if remember and kl:  # the first has nothing before it
                against = evidence(heard(blocks, sounding, model.frame), memory)
                surprises.append((sure * _nats(against, right)).mean())
            order = right.unsqueeze(-1).expand_as(sounding)
            own, sounding = Posterior(*(taken(part, order) for part in blocks)), taken(sounding, order)
            kl.append(_kl(own, sounding, memory))
            if remember:
                moments = heard(own, sounding, model.frame)
                memory = remembered(memory, moments)
                model.meet(moments)
    surprise = torch.stack(surprises).mean() if surprises else energy.new_zeros(())
    return torch.stack(kl).mean(), surprise


def _kl(posterior: Posterior, active: Tensor, memory: Memory) -> Tensor:
    """Divergence from the prior in nats, the mean over frames and blocks."""
    mean, variance = (part.unsqueeze(-1) for part in prior(memory))
    known = gaussian_kl(posterior.mean, posterior.log_variance, mean, variance).sum(2)
    usual = gaussian_kl(posterior.mean, posterior.log_variance, torch.zeros_like(mean), torch.ones_like(mean)).sum(2)
    return (active * known + (1 - active) * usual).mean()


def _best_order(costs: Tensor) -> tuple[Tensor, Tensor]:
    """The estimate of each source in the cheapest order ``[B, S]``, and by how much the next order is dearer ``[B]``."""
    sources = costs.shape[1]
    best = (prices(costs) / sources).topk(2, largest=False)
    return orders(sources, costs.device)[best.indices[:, 0]], best.values[:, 1] - best.values[:, 0]


def _nats(evidence: Tensor, right: Tensor) -> Tensor:
    """``-log p(right)``, where p of an order falls with its evidence ``[B, S (remembered), S (block)]``; ``[B]``."""
    number = (orders(evidence.shape[1], evidence.device) == right.unsqueeze(1)).all(2).float().argmax(1, keepdim=True)
    return -torch.log_softmax(-prices(evidence), 1).gather(1, number)[:, 0]
