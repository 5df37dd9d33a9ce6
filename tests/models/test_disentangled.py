"""The blocks, their memory, and the order it keeps: closed forms, numbers drawn, and voices that change places in a stream."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from separation.errors import ConfigError
from separation.models import InsideSeparator, build
from separation.models.disentangled import (
    CHANGE,
    EVIDENCE,
    LONGEST,
    STRANGER,
    Disentangled,
    Memory,
    Posterior,
    activity,
    best_orders,
    evidence,
    gaussian_kl,
    heard,
    prior,
    remembered,
    taken,
)
from tests.contract import SMALL


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


@pytest.fixture
def model() -> Disentangled:
    torch.manual_seed(0)
    made = build("disentangled", SMALL["disentangled"]["memory"]).eval()
    assert isinstance(made, Disentangled)
    return made


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"basis": 96, "dimensions": 48}, "must have more than all blocks together"),
        ({"sources": ["alone"]}, "1 sources; it takes 2 to 4"),
        ({"sources": list("abcde")}, "5 sources; it takes 2 to 4"),
        ({"kernel": 21}, "must be even, not 21"),
        ({"width": 2}, "must be odd"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build("disentangled", arguments)


def test_estimates_add_up_to_what_the_basis_makes_of_the_mixture(model: Disentangled) -> None:
    mixture = noise(2, 1, 3000)
    with torch.no_grad():
        estimates, _ = model.separate(mixture)
        whole = model.decode(model.encode(mixture).unsqueeze(1), 3000)[:, 0]
    torch.testing.assert_close(estimates.sum(1), whole, atol=1e-5, rtol=1e-4)


def test_blocks_are_drawn_in_training_and_means_in_eval(model: Disentangled) -> None:
    mixture = noise(1, 1, 1600)
    with torch.no_grad():
        assert torch.equal(model.separate(mixture)[0], model.separate(mixture)[0])
        model.train()
        assert not torch.equal(model.separate(mixture)[0], model.separate(mixture)[0])


def test_the_divergence_is_the_mean_log_ratio_of_draws() -> None:
    mean, variance = torch.tensor(0.7), torch.tensor(0.4)
    q = torch.distributions.Normal(mean, variance.sqrt())
    p = torch.distributions.Normal(torch.tensor(-0.3), torch.tensor(1.5).sqrt())
    draws = mean + variance.sqrt() * noise(400_000)
    expected = (q.log_prob(draws) - p.log_prob(draws)).mean()
    found = gaussian_kl(mean, variance.log(), torch.tensor(-0.3), torch.tensor(1.5))
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=0)
    torch.testing.assert_close(found, torch.distributions.kl_divergence(q, p))


def posterior_of(values: Tensor) -> Posterior:
    return Posterior(values, torch.full_like(values, -6.0))


def nobody(dimensions: int, batch: int = 1) -> Memory:
    """The memory of somebody who has heard nothing, and to whom strangers are N(0, 1)."""
    shape = (batch, 2, dimensions)
    return {
        "seconds": torch.full(shape[:2], STRANGER), "mean": torch.zeros(shape), "square": torch.ones(shape),
        "level": torch.zeros(batch),
    }  # fmt: skip


def test_nothing_is_known_of_strangers_before_training(model: Disentangled) -> None:
    memory = model.empty_memory(3)
    assert all(torch.equal(memory[name], value) for name, value in nobody(6, 3).items())
    mean, variance = prior(memory)
    assert torch.equal(mean, torch.zeros(3, 2, 6)) and torch.equal(variance, torch.ones(3, 2, 6))


def test_strangers_become_what_blocks_are_like_in_training(model: Disentangled) -> None:
    values = noise(2, 2, 6, 3000) * 3 + 2
    values[:, 1] += 100  # and is not heard
    active = torch.tensor([1.0, 0.0]).view(1, 2, 1).expand(2, 2, 3000)
    for _ in range(300):
        model.meet(heard(posterior_of(values), active, model.frame))
    mean, variance = prior(model.empty_memory(1))
    torch.testing.assert_close(mean, torch.full((1, 2, 6), 2.0), atol=0.2, rtol=0)
    torch.testing.assert_close(variance, torch.full((1, 2, 6), 9.0), atol=0.6, rtol=0)


def test_the_prior_has_the_moments_of_what_was_heard_and_a_stranger() -> None:
    values, active = noise(1, 2, 3, 400, seed=1) * 2 + 1, torch.rand(1, 2, 400, generator=generator(2))
    frame, memory = 0.01, nobody(3)
    for part in range(4):  # in chunks, as it comes
        here = slice(100 * part, 100 * (part + 1))
        memory = remembered(memory, heard(posterior_of(values[..., here]), active[..., here], frame))
    torch.testing.assert_close(memory["seconds"], (active * frame).sum(-1) + STRANGER)
    for i in range(2):
        said, weights = values[0, i], active[0, i] * frame
        total = weights.sum() + STRANGER
        mean = (said * weights).sum(-1) / total
        square = ((said.square() + np.exp(-6.0)) * weights).sum(-1) + STRANGER
        torch.testing.assert_close(prior(memory)[0][0, i], mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(prior(memory)[1][0, i], square / total - mean**2, atol=1e-4, rtol=1e-4)


def test_a_source_that_is_silent_is_neither_learnt_nor_forgotten() -> None:
    memory = remembered(nobody(3), heard(posterior_of(noise(1, 2, 3, 50)), torch.ones(1, 2, 50), 0.1))
    later = remembered(memory, heard(posterior_of(noise(1, 2, 3, 50, seed=3) + 9), torch.zeros(1, 2, 50), 0.1))
    for name, value in memory.items():
        assert torch.equal(later[name], value), name


def test_what_was_long_ago_is_forgotten() -> None:
    one, other = torch.ones(1, 2, 3, 1000), -torch.ones(1, 2, 3, 1000)
    active, memory = torch.ones(1, 2, 1000), nobody(3)
    for values in [one] * 10 + [other] * 10:
        memory = remembered(memory, heard(posterior_of(values), active, 0.01))  # 10 s each
    assert torch.equal(memory["seconds"], torch.full((1, 2), LONGEST))
    assert float(memory["mean"].max()) < -0.8


def test_activity_is_a_share_and_silence_is_nobodys() -> None:
    energy = torch.tensor([[[4.0, 1.0, 0.0, 1e-9], [4.0, 3.0, 0.0, 3e-9]]])
    found = activity(energy, torch.tensor([8.0]))
    torch.testing.assert_close(found[0, :, :2].sum(0), torch.ones(2), atol=0.01, rtol=0)
    assert float(found[..., 2:].max()) < 1e-5


def test_the_way_through_all_orders_is_the_cheapest() -> None:
    costs = torch.rand(3, 3, 3, 5, generator=generator(4))
    orders = list(permutations(range(3)))
    ways = np.stack(np.meshgrid(*[range(6)] * 5), -1).reshape(-1, 5)
    found = best_orders(costs, 0.1)
    for item, cost in enumerate(costs.numpy()):
        each = np.array([[sum(cost[i, order[i], p] for i in range(3)) for p in range(5)] for order in orders])
        prices = each[ways, np.arange(5)].sum(1) + 0.1 * (ways[:, 1:] != ways[:, :-1]).sum(1)
        cheapest = ways[prices.argmin()]
        assert len(set(cheapest)) > 1, "an order that never changes proves little"
        assert [tuple(found[item, :, p].tolist()) for p in range(5)] == [orders[number] for number in cheapest]


def test_sources_are_taken_in_the_order_of_every_frame() -> None:
    x = noise(1, 2, 3, 5, 4)
    order = torch.tensor([[[0, 0, 1, 1], [1, 1, 0, 0]]])
    expected = torch.cat([x[..., :2], x.flip(1)[..., 2:]], -1)
    assert torch.equal(taken(x, order), expected)


class Flipping(Disentangled):
    """Two voices with blocks of their own, given in the order that `given` says: what a network does after a pause."""

    given: tuple[int, ...] = (0, 1)

    def posterior(self, z: Tensor) -> Posterior:
        frames, dimensions = z.shape[-1], self.arguments["dimensions"]
        voices = torch.tensor([1.5, -1.5]).view(1, 2, 1, 1).expand(len(z), 2, dimensions, frames)
        mean = voices + 0.7 * noise(len(z), 2, dimensions, frames, seed=frames)
        return posterior_of(mean[:, list(self.given)])


@pytest.fixture
def flipping() -> Flipping:
    torch.manual_seed(0)
    return Flipping(**SMALL["disentangled"]["memory"]).eval()


def test_the_order_of_the_voices_is_kept_with_the_memory_where_it_flips_without(flipping: Flipping) -> None:
    mixture = noise(1, 1, 8000)
    first, state = flipping.separate(mixture)
    assert state["seconds"].min() > 0.1
    flipping.given = (1, 0)
    without, _ = flipping.separate(mixture)
    with_memory, _ = flipping.separate(mixture, state=state)
    torch.testing.assert_close(without, first.flip(1))
    torch.testing.assert_close(with_memory, first)


def test_an_order_that_changes_within_a_chunk_is_put_right(flipping: Flipping, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the first one, of whose voices nothing is known before it."""
    mixture = noise(1, 1, 16000)
    first, state = flipping.separate(mixture)
    steady = flipping.posterior

    def changing(z: Tensor) -> Posterior:
        half = z.shape[-1] // 2 // flipping.period * flipping.period
        return Posterior(*(torch.cat([part[..., :half], part.flip(1)[..., half:]], -1) for part in steady(z)))

    for known in (None, state):
        with monkeypatch.context() as patch:
            patch.setattr(flipping, "posterior", changing)
            torch.testing.assert_close(flipping.separate(mixture, state=known)[0], first)
            patch.setitem(flipping.arguments, "memory", False)
            assert not torch.allclose(flipping.separate(mixture)[0], first, atol=0.1)


def test_stretches_are_even_and_leave_nothing_out(model: Disentangled) -> None:
    for frames in (1, 300, 1001, 1499, 2501):
        found = model.stretches(frames)
        assert [s.start for s in found[1:]] == [s.stop for s in found[:-1]]
        assert found[0].start == 0 and found[-1].stop == frames
        assert max(s.stop - s.start for s in found) <= 1.5 / model.frame


def test_turns_within_the_first_chunk_are_told_apart(model: Disentangled) -> None:
    """Two voices in turns, both in the network's first block: the second is a stranger, and gets a place of its own."""
    frames = round(1 / model.frame)
    turns = [torch.full((1, 2, 6, frames), value) for value in (1.5, -1.5, 1.5, -1.5)]
    posterior = posterior_of(torch.cat(turns, -1))
    active = torch.tensor([1.0, 0.0]).view(1, 2, 1).expand(1, 2, 4 * frames)
    order = model.order(posterior, active, {**nobody(6), "level": torch.ones(1)})
    middles = [int(order[0, 0, (2 * turn + 1) * frames // 2]) for turn in range(4)]
    assert middles == [0, 1, 0, 1]


def test_little_evidence_does_not_change_the_order() -> None:
    """Half the cost of a change in favour of the other order, in the middle of what speaks for this one."""
    costs = torch.zeros(1, 2, 2, 3)
    costs[..., 0, 1, [0, 2]] = 9 * CHANGE
    costs[..., 0, 0, 1] = CHANGE / 2
    assert torch.equal(best_orders(costs, CHANGE)[0, 0], torch.tensor([0, 0, 0]))
    costs[..., 0, 0, 1] = 3 * CHANGE
    assert torch.equal(best_orders(costs, CHANGE)[0, 0], torch.tensor([0, 1, 0]))


def test_evidence_is_the_mean_divergence_for_every_two_seconds_of_sound() -> None:
    values, active = noise(1, 2, 4, 300), torch.rand(1, 2, 300, generator=generator(6))
    log_variance = noise(1, 2, 4, 300, seed=7)
    memory = {**nobody(4), "mean": noise(1, 2, 4, seed=8), "square": noise(1, 2, 4, seed=8).square() + 0.5}
    found = evidence(heard(Posterior(values, log_variance), active, 0.01), memory)
    mean, variance = prior(memory)
    for i in range(2):
        for j in range(2):
            nats = gaussian_kl(values[0, j], log_variance[0, j], mean[0, i].unsqueeze(1), variance[0, i].unsqueeze(1))
            expected = (nats.sum(0) * active[0, j]).sum() * 0.01 / EVIDENCE
            torch.testing.assert_close(found[0, i, j], expected, rtol=1e-4, atol=1e-4)
    silent = evidence(heard(Posterior(values, log_variance), torch.zeros(1, 2, 300), 0.01), memory)
    assert torch.equal(silent, torch.zeros(1, 2, 2))


def test_a_stretch_that_is_a_little_like_a_change_is_none() -> None:
    """Five turns of two voices in the network's first block; the first voice once sounds a little like somebody else."""
    torch.manual_seed(0)
    model = Disentangled(**SMALL["disentangled"]["memory"])
    frames = round(1 / model.frame)
    turns = [torch.full((1, 2, 6, frames), value) for value in (0.8, 0.1, 0.8, -0.8, -0.8, 0.8)]
    posterior = posterior_of(torch.cat(turns, -1))
    active = torch.tensor([1.0, 0.0]).view(1, 2, 1).expand(1, 2, 6 * frames)
    order = model.order(posterior, active, {**nobody(6), "level": torch.ones(1)})
    middles = [int(order[0, 0, (2 * turn + 1) * frames // 2]) for turn in range(6)]
    assert middles == [0, 0, 0, 1, 1, 0]


def test_silence_in_the_latent_is_what_leads_to_no_sound(model: Disentangled) -> None:
    """Loudness is that of what is heard: a latent that the decoder makes nothing of is silent, however large."""
    with torch.no_grad():
        z = model.encode(noise(1, 1, 800))
        masks = model.masks(z)
        alone = model.energy(masks, z)
        model.decoder.weight[:12] = 0
        masks[:, 0, :, 12:], masks[:, 1, :, :12] = 0, 0
        energy = model.energy(masks, z)
    assert float(alone.min(-1).values.min()) >= 0 and float(alone.max()) > 0
    assert float(energy[:, 0].max()) == 0 and float(energy[:, 1].max()) > 0


def test_the_memory_goes_on_as_one_pass_would(model: Disentangled) -> None:
    """The state is all that passes: a model that was loaded anew goes on with it."""
    again = Disentangled(**model.arguments).eval()
    again.load_state_dict(model.state_dict())
    chunks = noise(3, 1, 1, 4000)
    with torch.no_grad():
        state = model.separate(chunks[0])[1]
        expected = model.separate(chunks[1], state=state)
        found = again.separate(chunks[1], state={name: value.clone() for name, value in state.items()})
    assert torch.equal(found[0], expected[0])
    assert all(torch.equal(found[1][name], value) for name, value in expected[1].items())
    assert float(expected[1]["seconds"].sum()) > float(state["seconds"].sum())


def test_without_a_memory_there_is_no_state() -> None:
    model: Any = build("disentangled", SMALL["disentangled"]["three"]).eval()
    assert not model.spec.stateful
    assert model.separate(noise(1, 1, 900))[1] is None


def test_what_is_seen_belongs_to_the_masks(model: Disentangled) -> None:
    assert isinstance(model, InsideSeparator)
    with torch.no_grad():
        z = model.encode(noise(2, 1, 2000))
        inside = model.inside(z)
        assert torch.equal(inside.masks, model.masks(z))
        assert torch.equal(inside.masks, model.masks_of(inside.seen["mean"]))
    frames, size = z.shape[-1], model.arguments["dimensions"]
    shapes = {name: tuple(value.shape) for name, value in inside.seen.items()}
    assert shapes == {
        "mean": (2, 2, size, frames), "variance": (2, 2, size, frames), "active": (2, 2, 1, frames),
        "memory_mean": (2, 2, size, 1), "memory_variance": (2, 2, size, 1), "memory_seconds": (2, 2, 1, 1),
    }  # fmt: skip
    assert all(torch.isfinite(value).all() for value in inside.seen.values())
