"""Energy ratios: known answers, laws, edges, and independent implementations."""

import fast_bss_eval
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separation.errors import ShapeError
from separation.metrics import latent_si_sdr, ratios, si_bss, si_sdr, snr
from tests.metrics.metric_signals import at_level, noise, orthogonal

SHAPE = (2, 2, 4000)


@pytest.fixture
def reference() -> torch.Tensor:
    return orthogonal(SHAPE, seed=1)


@pytest.mark.parametrize("metric", [si_sdr, snr])
def test_known_noise_gives_its_level(metric, reference):
    error = at_level(orthogonal(SHAPE, reference), reference, -20)
    assert metric(reference, reference + error).tolist() == pytest.approx([20, 20], abs=1e-9)


@pytest.mark.parametrize("metric", [si_sdr, snr])
def test_a_perfect_estimate_is_infinite_and_a_silent_reference_undefined(metric, reference):
    assert metric(reference, reference).isposinf().all()
    assert metric(torch.zeros(SHAPE), reference).isnan().all()


def test_a_silent_estimate_is_undefined_for_si_sdr_and_0_db_for_snr(reference):
    silence = torch.zeros_like(reference)
    assert si_sdr(reference, silence).isnan().all()
    assert snr(reference, silence).tolist() == [0, 0]
    assert all(part.isnan().all() for part in si_bss(reference, silence))


def test_a_constant_is_silence_without_its_mean(reference):
    constant = torch.full(SHAPE, 0.1)
    assert si_sdr(constant, reference).isnan().all() and si_sdr(reference, constant).isnan().all()
    assert snr(constant, reference).isfinite().all()


@pytest.mark.parametrize("metric", [si_sdr, snr, lambda r, e: si_bss(r, e).si_sar])
def test_more_noise_never_scores_higher(metric, reference):
    error = noise(*SHAPE, seed=3)
    scores = torch.stack([metric(reference, reference + level * error) for level in (0.01, 0.1, 0.5, 1, 3)])
    assert (scores.diff(dim=0) < 0).all()


def test_gain_and_offset_are_forgiven_by_si_sdr_but_not_by_snr(reference):
    estimate = reference + 0.3 * noise(*SHAPE, seed=3)
    assert si_sdr(reference, -3 * estimate + 5) == pytest.approx(si_sdr(reference, estimate))
    assert si_sdr(7 * reference, estimate) == pytest.approx(si_sdr(reference, estimate))
    assert snr(reference, 3 * reference).tolist() == pytest.approx([-6.0206] * 2, abs=1e-4)


def test_a_delay_costs_everything(reference):
    assert (si_sdr(reference, reference.roll(1, -1)) < -10).all()
    assert (si_bss(reference, reference.roll(1, -1)).si_sar < -10).all()


def test_swapped_estimates_are_all_interference(reference):
    scores = si_bss(reference, reference.flip(0) + 0.1 * reference)
    assert scores.si_sir.tolist() == pytest.approx(scores.si_sdr.tolist())
    assert (scores.si_sdr < -15).all() and scores.si_sar.isposinf().all()


@settings(max_examples=25, deadline=None)
@given(
    sources=st.integers(1, 4), channels=st.integers(1, 2), length=st.integers(20, 300), seed=st.integers(0, 999),
    leak=st.floats(0.01, 2), level=st.floats(0.01, 2),
)  # fmt: skip
def test_the_parts_of_si_sdr_add_up(sources, channels, length, seed, leak, level):
    reference = noise(sources, channels, length, seed=seed)
    estimate = reference + leak * reference.sum(0) + level * noise(sources, channels, length, seed=seed + 1)
    scores = si_bss(reference, estimate)
    assert torch.equal(scores.si_sdr, si_sdr(reference, estimate))
    power = [10 ** (-part / 10) for part in scores]
    assert torch.allclose(power[0], power[1] + power[2], rtol=1e-6)


def test_a_source_without_company_has_no_interference(reference):
    alone = si_bss(reference[:1], reference[:1] + noise(*SHAPE, seed=3)[:1])
    assert alone.si_sir.isposinf().all() and torch.allclose(alone.si_sar, alone.si_sdr)
    both = torch.cat([reference[:1], torch.zeros_like(reference[:1])])
    with_silence = si_bss(both, reference + noise(*SHAPE, seed=3))
    assert with_silence.si_sir[0].isposinf() and with_silence.si_sir[1].isnan()


def test_sources_that_repeat_each_other_do_not_break_the_projection(reference):
    twice = torch.cat([reference, reference[:1]])
    estimate = twice + 0.5 * noise(3, *SHAPE[1:], seed=4)
    scores = si_bss(twice, estimate)
    assert scores.si_sar[:2].tolist() == pytest.approx(si_bss(reference, estimate[:2]).si_sar.tolist())


def test_channels_are_one_signal(reference):
    estimate = reference + 0.3 * orthogonal(SHAPE, seed=3)  # without means, which are taken from each channel
    in_a_row = [x.flatten(-2).unsqueeze(-2) for x in (reference, estimate)]
    assert si_sdr(reference, estimate) == pytest.approx(si_sdr(*in_a_row))
    assert snr(reference, estimate) == pytest.approx(snr(*in_a_row))


def test_the_length_of_blocks_does_not_matter(reference, monkeypatch):
    estimate = (reference + 0.3 * reference.flip(0) + 0.3 * noise(*SHAPE, seed=3)).float()
    expected = torch.stack([*si_bss(reference, estimate), snr(reference, estimate)])
    monkeypatch.setattr(ratios, "BLOCK", 1001)
    assert torch.allclose(torch.stack([*si_bss(reference, estimate), snr(reference, estimate)]), expected, rtol=1e-9)


def test_leading_axes_are_kept(reference):
    many = noise(3, 1, *SHAPE)
    assert si_sdr(many, many + noise(3, 1, *SHAPE, seed=2)).shape == (3, 1, 2)
    estimate = many + noise(3, 1, *SHAPE, seed=2)
    assert si_bss(many, estimate).si_sir[2, 0] == pytest.approx(si_bss(many[2, 0], estimate[2, 0]).si_sir)


def test_high_scores_are_exact_in_float64(reference):
    error = at_level(orthogonal(SHAPE, reference), reference, -180)
    assert snr(reference, reference + error).tolist() == pytest.approx([180, 180], abs=1e-3)


def test_latents_keep_their_means(reference):
    z = noise(2, 16, 30).abs()
    e = z + 1
    inner = (z * e).sum((-2, -1)) / z.square().sum((-2, -1))
    target = inner[:, None, None] * z
    expected = 10 * torch.log10(target.square().sum((-2, -1)) / (e - target).square().sum((-2, -1)))
    assert latent_si_sdr(z, e) == pytest.approx(expected)
    assert (si_sdr(z, e) - latent_si_sdr(z, e)).abs().min() > 1


def test_complex_latents_are_twice_as_many_real_numbers():
    z, e = (torch.complex(noise(2, 8, 20, seed=a), noise(2, 8, 20, seed=a + 1)) for a in (0, 5))
    flat = [torch.cat([x.real, x.imag], -1) for x in (z, e)]
    assert latent_si_sdr(z, e) == pytest.approx(latent_si_sdr(*flat))
    assert latent_si_sdr(z, e).dtype == torch.float64


def test_si_sdr_and_si_sir_are_fast_bss_evals():
    reference = noise(3, 5000) + 0.3
    estimate = reference + 0.4 * reference.roll(1, 0) + 0.3 * noise(3, 5000, seed=1)
    expected = fast_bss_eval.si_bss_eval_sources(reference, estimate, zero_mean=True, compute_permutation=False)
    scores = si_bss(reference[:, None], estimate[:, None])
    assert scores.si_sdr == pytest.approx(expected[0], abs=1e-3)
    # its SAR is that of BSS-eval, which counts interference as signal
    assert scores.si_sir == pytest.approx(expected[1], abs=1e-3)


def test_si_sdr_is_asteroids():
    losses = pytest.importorskip("asteroid.losses.sdr")
    reference, estimate = noise(4, 3000), noise(4, 3000) + 0.5 * noise(4, 3000, seed=1)
    expected = -losses.SingleSrcNegSDR("sisdr")(estimate, reference)
    assert si_sdr(reference[:, None], estimate[:, None]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("metric", [si_sdr, snr, si_bss, latent_si_sdr])
@pytest.mark.parametrize(("first", "second"), [((2, 1, 9), (2, 1, 8)), ((9,), (9,)), ((1, 1, 0), (1, 1, 0))])
def test_wrong_shapes_are_named(metric, first, second):
    with pytest.raises(ShapeError, match=r"\[sources, channels, samples\]"):
        metric(torch.ones(first), torch.ones(second))
