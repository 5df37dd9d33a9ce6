"""NMF: no update raises the objective, the peer's numbers from the same start, and sources that come apart, taught or not."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import non_negative_factorization
from torch import Tensor

from separation.engine import Options, separate
from separation.errors import ConfigError, ModelError
from separation.metrics import si_sdr
from separation.models import build
from separation.models.components import with_surgery
from separation.models.nmf import (
    FLOOR,
    NMF,
    OBJECTIVES,
    Dictionary,
    Factorisation,
    clusters,
    divided,
    matrix,
    mel_bands,
)
from separation.signals import Signal

RATE = 8000
SMALL: dict[str, Any] = {"sample_rate": RATE, "n_fft": 256, "hop_length": 64, "steps": 40}
some = settings(max_examples=80, deadline=None, derandomize=True)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def objective(work: Factorisation, name: str, sparsity: float) -> float:
    """Written anew from the definition, in double precision, of what `work` has found of its first item."""
    frames = work.frames
    x = work.observed[0].double().numpy()
    dictionary, activations = work.dictionary[0].double().numpy(), work.activations[0].double().numpy()
    patches = dictionary.reshape(len(x), -1, frames)
    model = np.full_like(x, FLOOR)
    for component, row in enumerate(activations):
        for shift in range(min(frames, len(row))):
            model[:, shift:] += np.outer(patches[:, component, shift], row[: len(row) - shift])
    if name == "kl":
        distance = x * np.log(x / model) - x + model
    elif name == "euclidean":
        distance = (x - model) ** 2 / 2
    else:
        distance = x / model - np.log(x / model) - 1
    price = sparsity * x.mean() ** (OBJECTIVES[name] - 1)
    norms = np.sqrt((patches**2).sum((0, 2)))
    return float(distance.sum() + price * (norms * activations.sum(1)).sum())


@some
@given(
    st.sampled_from(sorted(OBJECTIVES)),
    st.sampled_from([0.0, 0.3, 3.0]),
    st.sampled_from([slice(0), slice(0, 5), slice(2, 4)]),
    st.sampled_from([1, 3]),
    st.floats(-3, 3),
    st.integers(0, 10_000),
)
def test_no_step_raises_the_objective(
    name: str, sparsity: float, free: slice, frames: int, level: float, seed: int
) -> None:
    """All objectives, with and without a price; nothing of the dictionary free, all of it, or a part; any level."""
    x = 10**level * rand(1, 12, 20, seed=seed) * (rand(1, 12, 20, seed=seed + 1) > 0.3)
    start, rows = rand(1, 12, 5 * frames, seed=seed + 2), rand(1, 5, 20, seed=seed + 3)
    work = Factorisation(x, start, rows, frames=frames, objective=name, sparsity=sparsity, free=free)
    values = [objective(work, name, sparsity)]
    for _ in range(15):
        work.step()
        values.append(objective(work, name, sparsity))
    assert all(after <= before * (1 + 1e-6) for before, after in pairwise(values)), values
    assert values[-1] < values[0]


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
@pytest.mark.parametrize("sparsity", [0.0, 0.5])
def test_the_loss_that_is_reported_is_the_objective(name: str, sparsity: float) -> None:
    x = rand(2, 9, 30)
    work = Factorisation(
        x, rand(2, 9, 4, seed=1), rand(2, 4, 30, seed=2), objective=name, sparsity=sparsity, free=slice(4)
    )
    for _ in range(3):
        work.step()
    assert float(work.loss()[0]) == pytest.approx(objective(work, name, sparsity) / (9 * 30), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "theirs"), [("kl", "kullback-leibler"), ("euclidean", "frobenius"), ("itakura_saito", "itakura-saito")]
)
def test_scikit_learn_gets_to_the_same_objective_from_the_same_start(name: str, theirs: str) -> None:
    """scikit-learn updates its first factor first, so that is our activations: it factorises the transpose."""
    x, patches, rows = 0.1 + rand(40, 60), 0.1 + rand(40, 6, seed=1), 0.1 + rand(6, 60, seed=2)
    work = Factorisation(x[None], patches[None], rows[None], objective=name, free=slice(6))
    for _ in range(30):
        work.step()
    first, second, _ = non_negative_factorization(
        x.T.double().numpy(), W=np.ascontiguousarray(rows.T.double().numpy()), H=patches.T.double().numpy(),
        n_components=6, init="custom", solver="mu", beta_loss=theirs, max_iter=30, tol=0,
    )  # fmt: skip
    np.testing.assert_allclose((work.dictionary @ work.activations)[0], (first @ second).T, rtol=2e-3)
    peer = Factorisation(
        x[None], torch.from_numpy(second.T[None]).float(), torch.from_numpy(first.T[None]).float(), objective=name
    )
    assert float(work.loss()[0]) == pytest.approx(float(peer.loss()[0]), rel=1e-4)


def test_sparsity_is_a_pure_number_whatever_the_level() -> None:
    x, start, rows = rand(1, 20, 40), rand(1, 20, 8, seed=1), rand(1, 8, 40, seed=2)
    for name in OBJECTIVES:
        quiet, loud = (
            Factorisation(gain * x, start, gain * rows, objective=name, sparsity=1.0, free=slice(8))
            for gain in (0.1, 1000)
        )
        for _ in range(10):
            quiet.step(), loud.step()
        torch.testing.assert_close(quiet.dictionary, loud.dictionary, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(1e4 * quiet.activations, loud.activations, rtol=1e-3, atol=1e-1)


def test_a_price_makes_activations_fewer() -> None:
    """And not just softer: the share of those that matter, at whatever level, becomes smaller."""
    x, start, rows = rand(1, 30, 60), rand(1, 30, 20, seed=1), rand(1, 20, 60, seed=2)
    shares = []
    for sparsity in (0.0, 1.0, 10.0):
        work = Factorisation(x, start, rows, sparsity=sparsity, free=slice(20))
        for _ in range(100):
            work.step()
        shares.append(float((work.activations > 0.05 * work.activations.max()).float().mean()))
    assert shares[0] > shares[1] > shares[2]


def test_what_was_made_of_a_dictionary_is_found_again() -> None:
    """Four spectra that do not overlap, on and off at random: learned to the last one, in any order."""
    spectra = torch.zeros(4, 32)
    for index in range(4):
        spectra[index, 8 * index : 8 * index + 8] = 0.2 + rand(8, seed=index)
    x = spectra.T @ (rand(4, 200, seed=9) * (rand(4, 200, seed=10) > 0.5))
    part = Dictionary(4, 1, 32, objective="kl", sparsity=0.1)
    steps = list(part.learn(x, steps=200, generator=torch.Generator().manual_seed(0)))
    assert [step.step for step in steps] == list(range(1, 201))
    assert steps[-1].loss < 0.2 * steps[0].loss
    alike = (spectra / spectra.norm(dim=1, keepdim=True)) @ part.patches()[:, :, 0].detach().T
    assert alike.max(1).values.min() > 0.99
    assert sorted(alike.argmax(1).tolist()) == [0, 1, 2, 3]


def test_learning_is_the_same_for_the_same_seed_and_keeps_what_it_had_when_it_is_stopped() -> None:
    x = rand(17, 50)
    parts = [Dictionary(3, 2, 17, objective="kl", sparsity=1.0) for _ in range(3)]
    for part, seed in zip(parts, (1, 1, 2), strict=True):
        list(part.learn(x, steps=5, generator=torch.Generator().manual_seed(seed)))
    assert torch.equal(parts[0].dictionary, parts[1].dictionary)
    assert not torch.equal(parts[0].dictionary, parts[2].dictionary)
    learning = parts[2].learn(x, steps=5, generator=torch.Generator().manual_seed(1))
    for _ in range(5):
        next(learning)
    learning.close()
    assert torch.equal(parts[0].dictionary, parts[2].dictionary)
    torch.testing.assert_close(parts[2].patches(), parts[2].dictionary)
    torch.testing.assert_close(parts[2].patches().square().sum((1, 2)), torch.ones(3))


def test_half_precision_is_not_for_fits() -> None:
    model = NMF(components=3, **SMALL).eval()
    with torch.no_grad():
        z = model.encode(mixture(0.5).sum(0)[None, None])
        expected = model.masks(z)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(model.masks(z), expected)


def test_signs_and_norms_of_stored_patches_count_nothing() -> None:
    one = NMF(components=2, **SMALL)
    other = NMF(components=2, **SMALL)
    other.load_state_dict({name: -7 * tensor for name, tensor in one.state_dict().items()})
    torch.testing.assert_close(one.components().patches, other.components().patches)


# Sounds that NMF can tell apart: each note has a spectrum of its own, and no two tunes have their notes together.


def tune(fundamentals: tuple[float, ...], seconds: float, seed: int) -> Tensor:
    """Notes with decaying harmonics, in an order of their own and 0.1 s long, or longer where they are deep: ``[T]``."""
    rng = np.random.default_rng(seed)
    time = np.arange(int((0.1 + 5 / fundamentals[0]) * RATE)) / RATE
    notes = [
        sum(np.sin(2 * np.pi * f * k * time + rng.uniform(0, 6)) / k for k in range(1, 6)) * np.hanning(len(time))
        for f in rng.choice(fundamentals, int(seconds * RATE / len(time)) + 1)
    ]
    return torch.from_numpy(np.concatenate(notes).astype(np.float32)[: int(seconds * RATE)])


DARK, BRIGHT = (110.0, 147.0, 185.0), (830.0, 1109.0, 1397.0)


def mixture(seconds: float, seed: int = 7) -> Tensor:
    """``[2, T]``: the dark tune and the bright one, equally loud."""
    tunes = torch.stack([tune(DARK, seconds, seed), tune(BRIGHT, seconds, seed + 1)])
    return tunes / tunes.std(1, keepdim=True)


def taught(cls: type[Any] = NMF, **arguments: Any) -> Any:
    model = cls(**{"sources": ["dark", "bright"], "components": 4, **SMALL, **arguments})
    for part, notes, seed in zip(model.taught, (DARK, BRIGHT), (1, 2), strict=True):
        if any(True for _ in part.parameters()):
            clip = model.gather([tune(notes, 3.0, seed)])
            list(part.learn(clip, steps=60, generator=torch.Generator().manual_seed(0)))
    return model.eval()


def scores(model: Any, references: Tensor) -> list[float]:
    with torch.no_grad():
        estimates, _ = model.separate(references.sum(0)[None, None])
    return [float(v) for v in si_sdr(references.unsqueeze(1).double(), estimates[0].double())]


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_two_taught_sources_come_apart(name: str) -> None:
    assert min(scores(taught(objective=name), mixture(2.0))) > 25


@pytest.mark.parametrize("unknown", ["dark", "bright"])
def test_one_taught_source_is_enough(unknown: str) -> None:
    """And the stems have the names of their sources, whichever was taught."""
    assert min(scores(taught(unknown=unknown), mixture(2.0))) > 9


def test_what_is_unknown_has_no_weights_and_cannot_be_taught_named_or_joined() -> None:
    model = taught(unknown="bright")
    assert [name for name, _ in model.named_parameters()] == ["parts.0.dictionary"]
    assert model.components().patches.shape == (8, 129, 1)
    flat = model.components().patches[4:]
    torch.testing.assert_close(flat, flat[:1, :1].expand_as(flat))
    with pytest.raises(ModelError, match="it is the unknown one"):
        model.taught[1].learn(torch.ones(129, 10), steps=1, generator=torch.Generator())
    with pytest.raises(ModelError, match="component 5 is of the unknown source bright, which has others each time"):
        with_surgery(model, {5: 0}, [])
    with pytest.raises(ModelError, match="component 4 is of the unknown source"):
        with_surgery(model, {}, [4])
    assert with_surgery(model, {0: 1}, [3]).arguments["moved"] == {"0": 1}
    with pytest.raises(ModelError, match="those of bright are found in each mixture"):
        divided(model, 2)


def test_the_unknown_is_found_in_the_same_way_again_and_from_another_seed_in_another() -> None:
    model, x = taught(unknown="bright"), mixture(1.0).sum(0)[None, None]
    other = NMF(**{**model.arguments, "seed": 1}).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        again = model.separate(x)[0]
        assert torch.equal(model.separate(x)[0], again)
        assert not torch.equal(other.separate(x)[0], again)
        parts, activations = model.explain(model.magnitudes(model.encode(x)))
        share = model.spread(activations, parts)
    assert parts[0] is model.parts[0]
    assert parts[1].patches().shape == (1, 4, 129, 1)
    assert share.shape[1] == 8


def blind(seconds: float) -> tuple[Any, Tensor]:
    references = mixture(seconds)
    heard = NMF(sources=["all"], components=8, **SMALL, segment=2.0, context=0.25)
    part = heard.taught[0]
    list(part.learn(heard.gather([references.sum(0)]), steps=100, generator=torch.Generator().manual_seed(0)))
    return divided(heard, 2).eval(), references


def test_components_of_a_mixture_are_grouped_by_timbre_from_dark_to_bright() -> None:
    model, references = blind(4.0)
    assert model.spec.sources == ("part 1", "part 2")
    assert sum(model.counts) == 8
    assert min(scores(model, references)) > 6


def test_parts_keep_their_order_over_the_chunks_of_a_long_file() -> None:
    """Nobody taught this model which part is which, and yet no chunk swaps them: the dictionary is one for the whole file."""
    model, references = blind(12.0)
    assert not model.spec.permutation_invariant
    signal = Signal(references.sum(0, keepdim=True).numpy(), RATE)
    stems = separate(model, signal, Options(device="cpu"))
    found = torch.stack([torch.from_numpy(stem.samples[0]) for stem in stems.values()])
    for start in range(0, 12 * RATE, RATE):
        second = slice(start, start + RATE)
        right = si_sdr(references[:, None, second].double(), found[:, None, second].double())
        wrong = si_sdr(references[:, None, second].double(), found.flip(0)[:, None, second].double())
        assert (right > wrong + 10).all(), f"at {start // RATE} s"


def test_dividing_pools_what_several_sources_learned() -> None:
    model = divided(taught(moved={"0": 1}, muted=[2]), 3)
    assert model.spec.sources == ("part 1", "part 2", "part 3")
    assert sum(model.counts) == 8
    assert model.arguments["moved"] == {}
    assert model.arguments["muted"] == []
    everything = taught().components().patches.flatten(1)
    assert all((everything == patch).all(1).any() for patch in model.components().patches.flatten(1))


@pytest.mark.parametrize("sources", [0, 9])
def test_there_must_be_a_component_for_every_part(sources: int) -> None:
    with pytest.raises(ModelError, match=f"Divide 8 components into {sources} sources.*Learn more components"):
        divided(taught(), sources)


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_there_are_as_many_groups_as_asked_for_even_of_equal_spectra(count: int) -> None:
    same = torch.ones(6, 129)
    assert sorted(set(clusters(same, count, RATE).tolist())) == list(range(count))
    assert clusters(torch.ones(1, 129), 1, RATE).tolist() == [0]


@pytest.mark.parametrize(("bins", "rate"), [(513, 16000), (129, 8000), (33, 8000)])
def test_every_mel_band_hears_something_and_every_bin_between_is_heard(bins: int, rate: int) -> None:
    bands = mel_bands(bins, rate)
    assert bands.shape == (40, bins)
    assert bands.min() >= 0
    assert (bands.amax(1) > 0).all()
    assert (bands[:, 1:-1].sum(0) > 0).all()
    centroid = (bands @ torch.arange(bins, dtype=torch.float32)) / bands.sum(1)
    assert (centroid.diff() >= 0).all()


def test_a_matrix_of_patches_lies_component_by_component() -> None:
    patches = rand(3, 5, 2)
    laid = matrix(patches)
    assert laid.shape == (5, 6)
    for component in range(3):
        torch.testing.assert_close(laid[:, 2 * component : 2 * component + 2], patches[component])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objective": "l1"}, "no objective 'l1'; choose from kl, euclidean, itakura_saito"),
        ({"sparsity": -1.0}, r"a sparsity of -1\.0"),
        ({"unknown": "drums"}, "the unknown source 'drums' must be one of two or more, not of voice, other"),
        ({"sources": ["all"], "unknown": "all"}, "must be one of two or more"),
        ({"unknown": "voice", "muted": [3]}, "component 3 is of the unknown source voice"),
    ],
)
def test_impossible_arguments_say_why(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("nmf", arguments)
