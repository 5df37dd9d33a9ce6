"""Losses: defined everywhere, equal to independent formulas, and with the invariances they are chosen for."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from separation.training import losses

LENGTH = 16_000
LIMIT_DB = 30.0
SINGLE = sorted(losses.LOSSES)
few = settings(max_examples=40, deadline=None, derandomize=True)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def limited(ratio_db: float, limit_db: float = LIMIT_DB) -> float:
    """A ratio in dB as the losses report it: negative, and bent towards the limit."""
    return float(10 * np.log10(10 ** (-ratio_db / 10) + 10 ** (-limit_db / 10)))


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("kinds", product(["silent", "loud"], repeat=3), ids="-".join)
def test_values_and_gradients_are_finite_whatever_is_silent(name: str, kinds: tuple[str, str, str]) -> None:
    """Reference, estimate, mixture."""
    signals = [torch.zeros(2, LENGTH) if kind == "silent" else noise(2, LENGTH, seed=i) for i, kind in enumerate(kinds)]
    signals[1].requires_grad_()
    value = losses.LOSSES[name](*signals)
    assert value.shape == (2,)
    assert torch.isfinite(value).all()
    value.sum().backward()
    assert signals[1].grad is not None
    assert torch.isfinite(signals[1].grad).all()


@pytest.mark.parametrize("name", ["snr", "si_sdr", "snr_windows"])
def test_for_a_silent_reference_quieter_is_better_down_to_the_limit(name: str) -> None:
    mixture, estimate = noise(1, LENGTH), noise(1, LENGTH, seed=1)
    values = [
        float(losses.LOSSES[name](torch.zeros(1, LENGTH), estimate * 10 ** (level / 20), mixture))
        for level in (20, 0, -10, -20, -30, -100)
    ]
    assert values == sorted(values, reverse=True)
    assert values[1] == pytest.approx(limited(0), abs=0.2)  # as loud as the mixture
    assert values[-1] == pytest.approx(-LIMIT_DB, abs=0.01)


@pytest.mark.parametrize("name", ["snr", "si_sdr", "snr_windows"])
def test_a_silent_estimate_is_worth_nothing_where_something_should_be(name: str) -> None:
    """Were it the best of all, training could end there."""
    reference = noise(1, LENGTH)
    value = float(losses.LOSSES[name](reference, torch.zeros(1, LENGTH), 2 * reference))
    assert value == pytest.approx(limited(0), abs=0.01)


@pytest.mark.parametrize("name", ["snr", "si_sdr", "snr_windows"])
def test_a_perfect_estimate_reaches_the_limit(name: str) -> None:
    reference = noise(3, LENGTH)
    value = losses.LOSSES[name](reference, reference, reference + noise(3, LENGTH, seed=1))
    torch.testing.assert_close(value, torch.full((3,), -LIMIT_DB), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", ["l1", "mse", "multi_resolution_spectral"])
def test_a_perfect_estimate_costs_nothing(name: str) -> None:
    reference = noise(3, LENGTH)
    assert torch.equal(losses.LOSSES[name](reference, reference, 2 * reference), torch.zeros(3))


@few
@given(st.integers(0, 10_000), st.floats(-20, 25), st.floats(0.01, 100))
def test_si_sdr_equals_the_formula_by_correlation(seed: int, level_db: float, gain: float) -> None:
    """Independent of ours: with rho the correlation coefficient, SI-SDR is rho^2 / (1 - rho^2)."""
    reference, error = noise(4000, seed=seed), noise(4000, seed=seed + 1)
    estimate = gain * (reference + 10 ** (-level_db / 20) * error) + 0.3
    rho = np.corrcoef(reference.double().numpy(), estimate.double().numpy())[0, 1]
    value = float(losses.si_sdr(reference, estimate, reference + error))
    assert value == pytest.approx(limited(10 * np.log10(rho**2 / (1 - rho**2))), abs=0.01)


@few
@given(st.integers(0, 10_000), st.floats(-20, 25))
def test_si_sdr_equals_fast_bss_eval(seed: int, level_db: float) -> None:
    fast_bss_eval = pytest.importorskip("fast_bss_eval", reason="pip install fast_bss_eval==0.1.4")
    reference, error = noise(1, 4000, seed=seed).double(), noise(1, 4000, seed=seed + 1).double()
    estimate = reference + 10 ** (-level_db / 20) * error
    theirs = fast_bss_eval.si_sdr(reference, estimate, zero_mean=True)
    value = float(losses.si_sdr(reference, estimate, reference + error))
    assert value == pytest.approx(limited(float(theirs)), abs=0.01)


@few
@given(st.floats(-20, 20), st.floats(0.01, 100))
def test_snr_is_the_ratio_that_was_mixed(level_db: float, scale: float) -> None:
    """And does not care how loud the whole is, which is what its silence threshold is relative to."""
    reference, error = noise(1, LENGTH), noise(1, LENGTH, seed=1)
    error = error * reference.norm() / error.norm() * 10 ** (-level_db / 20)
    value = float(losses.snr(scale * reference, scale * (reference + error), scale * (reference - error)))
    assert value == pytest.approx(limited(level_db), abs=0.01)


@pytest.mark.parametrize("gain", [0.1, 0.5, 3.0, -1.0])
def test_si_sdr_ignores_gain_and_offset_and_snr_does_not(gain: float) -> None:
    reference, mixture = noise(1, LENGTH), noise(1, LENGTH, seed=2)
    estimate = reference + 0.3 * noise(1, LENGTH, seed=1)
    one, two = (losses.si_sdr(reference, e, mixture) for e in (estimate, gain * estimate + 0.2))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-2)
    one, two = (losses.snr(reference, e, mixture) for e in (estimate, gain * estimate))
    assert float((one - two).abs()) > 1


@pytest.mark.parametrize("name", ["snr", "si_sdr", "snr_windows", "l1", "mse", "multi_resolution_spectral"])
def test_more_noise_never_costs_less(name: str) -> None:
    reference, error = noise(1, LENGTH), noise(1, LENGTH, seed=1)
    values = [float(losses.LOSSES[name](reference, reference + a * error, 2 * reference)) for a in (0, 0.1, 0.5, 1, 3)]
    assert values == sorted(values)
    assert values[-1] > values[0]


def test_snr_windows_counts_a_pause_as_much_as_a_loud_bar() -> None:
    """Noise in a pause of the source is nothing to `snr`; it is a quarter of the windows here."""
    reference = noise(1, 32_000)
    reference[:, :8000] = 0
    mixture = reference + noise(1, 32_000, seed=1)
    estimate = reference.clone()
    estimate[:, :8000] = 0.1 * mixture[:, :8000]
    assert float(losses.snr(reference, estimate, mixture)) < -23
    windows = float(losses.snr_windows(reference, estimate, mixture))
    assert windows == pytest.approx((3 * -LIMIT_DB + limited(20)) / 4, abs=0.05)


def test_snr_windows_leaves_out_where_the_mixture_is_silent() -> None:
    """Nothing can be said there: it costs nothing, and pulls nothing."""
    mixture = noise(1, 16_000)
    mixture[:, 8000:] = 0
    estimate = mixture.clone().requires_grad_()
    value = losses.snr_windows(0.5 * mixture, estimate + 0.1, mixture)
    loud = [x[:, :8000] for x in (0.5 * mixture, estimate + 0.1, mixture)]
    torch.testing.assert_close(value, losses.snr(*loud) / 2)
    value.sum().backward()
    assert estimate.grad is not None
    assert estimate.grad[:, :8000].all()
    assert not estimate.grad[:, 8000:].any()


@pytest.mark.parametrize("length", [1, 100, 7999])
def test_a_signal_shorter_than_a_window_is_one_window(length: int) -> None:
    reference, mixture = noise(2, length), noise(2, length, seed=1)
    estimate = reference + 0.1 * mixture
    assert torch.equal(losses.snr_windows(reference, estimate, mixture), losses.snr(reference, estimate, mixture))


def test_l1_and_mse_are_means() -> None:
    reference, estimate = torch.zeros(1, 4), torch.tensor([[1.0, -1.0, 3.0, -3.0]])
    assert float(losses.l1(reference, estimate, reference)) == 2
    assert float(losses.mse(reference, estimate, reference)) == 5


def test_the_spectral_loss_hears_magnitudes_only_and_is_relative_to_the_mixture() -> None:
    reference, mixture = noise(1, LENGTH), noise(1, LENGTH, seed=1)
    loss = losses.multi_resolution_spectral
    assert float(loss(reference, -reference, mixture)) == pytest.approx(0, abs=1e-6)
    half = float(loss(mixture, 0.5 * mixture, mixture))
    assert half == pytest.approx(0.5, abs=1e-3)
    assert float(loss(mixture * 3, 1.5 * mixture, mixture * 3)) == pytest.approx(half, abs=1e-3)


@pytest.mark.parametrize("sources", [2, 3])
@pytest.mark.parametrize("name", SINGLE)
def test_pit_finds_the_order_that_was_shuffled(sources: int, name: str) -> None:
    references = noise(1, sources, LENGTH)
    mixture = references.sum(1)
    loss = losses.permutation_invariant(losses.LOSSES[name])
    expected = loss(references, references, mixture)
    for order in permutations(range(sources)):
        torch.testing.assert_close(loss(references, references[:, list(order)], mixture), expected)


@few
@given(st.integers(0, 10_000), st.sampled_from([2, 3]))
def test_pit_is_the_least_over_all_orders_for_each_item_of_a_batch(seed: int, sources: int) -> None:
    references, estimates = noise(4, sources, 500, seed=seed), noise(4, sources, 500, seed=seed + 1)
    mixture = references.sum(1)
    value = losses.permutation_invariant(losses.snr)(references, estimates, mixture)
    for item in range(4):
        costs = [
            np.mean(
                [float(losses.snr(references[item, i], estimates[item, j], mixture[item])) for i, j in enumerate(p)]
            )
            for p in permutations(range(sources))
        ]
        assert float(value[item]) == pytest.approx(min(costs), abs=1e-4)


def test_pit_takes_channels() -> None:
    references = noise(2, 2, 1, 500)
    mixture = references.sum(1)
    value = losses.permutation_invariant(losses.si_sdr)(references, references.flip(1), mixture)
    torch.testing.assert_close(value, torch.full((2,), -LIMIT_DB), rtol=0, atol=1e-3)


def test_a_built_loss_is_the_weighted_sum_over_sources_and_channels() -> None:
    references, estimates = noise(3, 2, 1, LENGTH), noise(3, 2, 1, LENGTH, seed=1)
    mixture = references.sum(1)
    total = losses.build({"snr": 1.0, "l1": 0.3}, pit=False)(references, estimates, mixture)
    parts = [
        float(losses.snr(references[:, i], estimates[:, i], mixture).mean())
        + 0.3 * float(losses.l1(references[:, i], estimates[:, i], mixture).mean())
        for i in range(2)
    ]
    assert total.shape == ()
    assert float(total) == pytest.approx(np.mean(parts), abs=1e-4)


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("pit", [False, True])
def test_every_loss_can_be_built(name: str, pit: bool) -> None:
    references = noise(2, 2, 1, LENGTH)
    estimates = (0.5 * references + 0.1 * noise(2, 2, 1, LENGTH, seed=1)).requires_grad_()
    value = losses.build({name: 1.0}, pit=pit)(references, estimates, references.sum(1))
    value.backward()
    assert estimates.grad is not None
    assert estimates.grad.any()


def test_two_permutation_invariant_losses_are_refused() -> None:
    with pytest.raises(ValueError, match="could choose different orders"):
        losses.build({"snr": 1.0, "si_sdr": 1.0}, pit=True)
