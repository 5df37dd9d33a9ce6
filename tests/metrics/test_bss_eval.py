"""BSS-eval: the peers' numbers on every kind of signal, what is known without a peer, silence, order, windows, limits."""

from itertools import permutations

import fast_bss_eval
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mir_eval import separation as mir_eval
from torch import Tensor

from benchmarks.metrics import difference_db, museval_metrics
from separation.errors import NonFiniteAudio, ShapeError
from separation.metrics import bss_eval_v3, bss_eval_v4, windows, with_rest
from separation.metrics.bss_eval import frames, scores

museval = museval_metrics()
assert museval is not None, "museval is in requirements-dev.txt"

CLOSE_DB = 0.01
KINDS = ("music", "speech", "noise", "nearly silent", "16 bit", "far apart")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:divide by zero"),
]


def signals(kind: str, shape: tuple[int, int, int], seed: int) -> tuple[Tensor, Tensor]:
    """References ``[S, C, T]`` of a kind, and estimates that leak, ring and hiss; the noise floor of a recording, -80 dB."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(shape[-1], dtype=torch.float64)
    noise, floor, hiss = torch.randn(3, *shape, generator=generator, dtype=torch.float64)
    if kind == "music":
        pitch = 0.01 * 2 ** (2 * torch.rand(*shape[:2], 1, generator=generator, dtype=torch.float64))
        reference = sum(torch.sin(2 * torch.pi * k * pitch * time) / k for k in range(1, 6)) * torch.exp(
            -time % 700 / 300
        )
    elif kind == "speech":
        reference = torch.nn.functional.avg_pool1d(noise, 5, 1, 2) * (torch.sin(time / 150 + noise[:, :1, :1]) > -0.5)
    else:
        reference = noise
    level = {"nearly silent": 1e-8, "far apart": 1.0}.get(kind, 0.1)
    reference = level * (reference + 1e-4 * floor)
    if kind == "far apart":
        reference = reference * (10.0 ** -torch.arange(shape[0], dtype=torch.float64))[:, None, None]
    leak = 0.2 * reference.flip(0) + 0.1 * reference.roll(3, -1)
    estimate = 0.8 * reference + leak + 0.03 * level * hiss
    if kind == "16 bit":
        reference, estimate = ((x * 32768).round() / 32768 for x in (reference, estimate))
    return reference, estimate


def peer_v4(reference, estimate, *, window=None, hop=None, taps=512, filters="whole", permutation=False, sources=False):
    axes = [np.asarray(x, np.float64).transpose(0, 2, 1) for x in (reference, estimate)]
    with np.errstate(all="ignore"):
        return museval.bss_eval(
            *axes, window=window or np.inf, hop=hop or window or np.inf, compute_permutation=permutation, filters_len=taps,
            framewise_filters=filters == "window", bsseval_sources_version=sources,
        )  # fmt: skip


@st.composite
def cases(draw, kinds=KINDS):
    """References, estimates and arguments. Every window has as many samples of each source as there are delays, or none."""
    sources, channels, taps = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.sampled_from([1, 2, 8, 33]))
    least = sources * channels * taps
    length = draw(st.integers(max(20, least), 1500))
    reference, estimate = signals(draw(st.sampled_from(kinds)), (sources, channels, length), draw(st.integers(0, 99)))
    for _ in range(draw(st.integers(0, 2))):
        start, source = draw(st.integers(0, length - 1)), draw(st.integers(0, sources - 1))
        draw(st.sampled_from([reference, estimate]))[source, :, start : start + length // 3] = 0
    how = dict(taps=taps, filters=draw(st.sampled_from(["whole", "window"])))
    if draw(st.booleans()):
        how |= dict(window=draw(st.integers(max(length // 3 + 1, least), length + 5)))
        how |= dict(hop=draw(st.integers(how["window"] // 2 + 1, how["window"] + 3)))
    for start, stop in [(0, length), *windows(length, how.get("window"), how.get("hop"))]:
        heard = (reference[..., start:stop] != 0).any(1).sum(-1)
        assume(bool(((heard == 0) | (heard >= least)).all()))
    assume(bool((reference != 0).any(-1).any(-1).all()) and bool((estimate != 0).any(-1).any(-1).all()))
    return reference, estimate, how


def test_windows_further_apart_than_they_are_long() -> None:
    x = torch.randn(2, 1, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert windows(20, 9, 12) == [(0, 9)]
    found = bss_eval_v4(x, x + 0.1 * x.flip(0), window=9, hop=12, taps=1)
    assert found.sdr.shape == (2, 1)
    assert bss_eval_v4(x, x + 0.1 * x.flip(0), window=5, hop=8, taps=1).sdr.shape == (2, 2)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(cases())
def test_v4_is_musevals(case):
    reference, estimate, how = case
    found = bss_eval_v4(reference, estimate, **how)
    assert difference_db(found[:4], peer_v4(reference, estimate, **how)[:4]) < CLOSE_DB


@settings(max_examples=60, deadline=None, derandomize=True)
@given(cases(kinds=[kind for kind in KINDS if kind != "nearly silent"]))
def test_v3_is_the_sources_version_of_museval_for_any_channels(case):
    reference, estimate, how = case
    found = bss_eval_v3(reference, estimate, **how)
    sdr, _, sir, sar, _ = peer_v4(reference, estimate, sources=True, **how)
    assert difference_db([found.sdr, found.sir, found.sar], [sdr, sir, sar]) < CLOSE_DB


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.sampled_from(KINDS), st.integers(2, 4), st.integers(40, 1500), st.integers(0, 99), st.sampled_from([2, 16, 64])
)
def test_v3_is_fast_bss_evals(kind, sources, length, seed, taps):
    length = max(length, sources * taps)  # with fewer samples than delays every residual is a rounding error
    reference, estimate = signals(kind, (sources, 1, length), seed)
    if kind == "nearly silent":
        reference, estimate = 1e4 * reference, 1e4 * estimate  # below 1e-6 it takes signals for silent
    found = bss_eval_v3(reference, estimate.flip(0), taps=taps, permutation=True)
    *expected, order = fast_bss_eval.bss_eval_sources(
        reference[:, 0].numpy(), estimate.flip(0)[:, 0].numpy(), filter_length=taps
    )
    assert difference_db([x[:, 0] for x in (found.sdr, found.sir, found.sar)], expected) < CLOSE_DB
    assert found.permutation.tolist() == order.tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", [False, True])
def test_v3_is_mir_evals(kind, order):
    reference, estimate = signals(kind, (2, 1, 3000), seed=5)
    estimate = estimate.flip(0) if order else estimate
    *expected, best = mir_eval.bss_eval_sources(
        reference[:, 0].numpy(), estimate[:, 0].numpy(), compute_permutation=order
    )
    found = bss_eval_v3(reference, estimate, permutation=order)
    assert difference_db([x[:, 0] for x in (found.sdr, found.sir, found.sar)], expected) < CLOSE_DB
    assert found.permutation.tolist() == best.tolist()


def test_v3_with_windows_is_mir_evals_framewise():
    reference, estimate = signals("speech", (2, 1, 3000), seed=6)
    estimate[0, 0, :1200] = 0
    *expected, _ = mir_eval.bss_eval_sources_framewise(
        reference[:, 0].numpy(), estimate[:, 0].numpy(), window=1000, hop=700
    )
    found = bss_eval_v3(reference, estimate, window=1000, hop=700)
    assert np.isnan(expected[0][:, 0]).all() and np.isfinite(expected[0][:, 1:]).all()
    assert difference_db([found.sdr, found.sir, found.sar], expected) < CLOSE_DB


def test_v3_on_the_fixture_of_fast_bss_eval():
    random = np.random.RandomState(1)  # its test_accuracy, which draws like this and asks mir_eval
    for _ in range(3):
        reference = random.randn(1, 2, 1600)
        mixing = np.eye(2) + 0.5 * random.randn(1, 2, 2)
        estimate = mixing @ reference + 0.1 * random.randn(1, 2, 1600)
        *expected, order = mir_eval.bss_eval_sources(reference[0], estimate[0])
        found = bss_eval_v3(*(torch.from_numpy(x[0])[:, None] for x in (reference, estimate)), permutation=True)
        np.testing.assert_allclose([x[:, 0] for x in (found.sdr, found.sir, found.sar)], expected, atol=1e-5)
        assert found.permutation.tolist() == order.tolist()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("filters", ["whole", "window"])
def test_v4_on_the_fixture_of_museval(channels, filters):
    random = np.random.RandomState(
        0
    )  # its test_bsseval: two sources, 2000 samples from 0 to 1, windows as long, 512 taps
    reference, estimate = (torch.from_numpy(random.random_sample((2, channels, 2000))) for _ in range(2))
    found = bss_eval_v4(reference, estimate, window=2000, hop=2000, filters=filters)
    assert difference_db(found[:4], peer_v4(reference, estimate, window=2000, hop=2000, filters=filters)[:4]) < CLOSE_DB


def test_the_published_figures_of_images_and_sources():
    reference, _ = signals("noise", (2, 2, 4000), seed=1)
    images, sources = bss_eval_v4(reference, 3 * reference, taps=32), bss_eval_v3(reference, 3 * reference, taps=32)
    torch.testing.assert_close(
        images.sdr, torch.full((2, 1), -20 * np.log10(2.0)), atol=1e-6, rtol=0, check_dtype=False
    )
    assert (sources.sdr > 100).all() and (images.sir > 100).all() and (images.sar > 100).all()


def test_a_delay_below_the_taps_is_forgiven_by_v3_and_counts_as_spatial_distortion_in_v4():
    reference, _ = signals("noise", (2, 1, 4000), seed=2)
    late = torch.nn.functional.pad(reference, (7, 0))[..., :4000]
    late[..., -7:] = 0
    v3, v4 = bss_eval_v3(reference, late, taps=16), bss_eval_v4(reference, late, taps=16)
    assert (v3.sdr > 20).all()
    assert (v4.sdr < 0).all() and (v4.isr < 0).all() and (v4.sar > 20).all()
    assert (bss_eval_v3(reference, late, taps=7).sdr < 0).all()


def test_interference_lowers_sir_and_noise_lowers_sar():
    reference, _ = signals("noise", (2, 1, 8000), seed=3)
    hiss = torch.randn(reference.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    leaky = [bss_eval_v4(reference, reference + g * reference.flip(0), taps=4).sir for g in (0.01, 0.1, 1.0)]
    noisy = [bss_eval_v4(reference, reference + g * hiss, taps=4).sar for g in (0.001, 0.01, 0.1)]
    for values in (leaky, noisy):
        assert (values[0] > values[1] + 10).all() and (values[1] > values[2] + 10).all()


@pytest.mark.parametrize("metric", [bss_eval_v3, bss_eval_v4])
def test_one_source_has_infinite_sir(metric):
    reference, estimate = signals("noise", (1, 2, 500), seed=4)
    assert metric(reference, estimate, taps=4).sir.isposinf().all()


@pytest.mark.parametrize("metric", [bss_eval_v3, bss_eval_v4])
@pytest.mark.parametrize("which", ["reference", "estimate"])
def test_silence_is_nan_for_all_sources_of_its_windows_only(metric, which):
    reference, estimate = signals("noise", (2, 2, 900), seed=7)
    {"reference": reference, "estimate": estimate}[which][1, :, 300:600] = 0
    for filters in ("whole", "window"):
        scored = metric(reference, estimate, window=300, taps=8, filters=filters)
        for values in (scored.sdr, scored.sir, scored.sar):
            assert values.isnan().tolist() == [[False, True, False]] * 2


@pytest.mark.parametrize("metric", [bss_eval_v3, bss_eval_v4])
def test_a_source_that_is_silent_throughout_is_nan_where_the_peers_refuse(metric):
    reference, estimate = signals("noise", (2, 2, 400), seed=8)
    estimate[0] = 0
    with pytest.raises(ValueError, match="non-silent"):
        peer_v4(reference, estimate, taps=4)
    scored = metric(reference, estimate, window=200, taps=4, permutation=True)
    assert scored.sdr.isnan().all() and scored.sir.isnan().all()
    assert scored.permutation.flatten().tolist() == [0, 1] * (scored.permutation.numel() // 2)


def test_opposite_channels_count_as_silence_as_in_museval():
    reference, estimate = signals("noise", (2, 2, 600), seed=9)
    reference[0, 1, :300] = -reference[0, 0, :300]
    expected = peer_v4(reference, estimate, window=300, taps=4)
    assert np.isnan(expected[0][:, 0]).all()
    assert difference_db(bss_eval_v4(reference, estimate, window=300, taps=4)[:4], expected[:4]) < CLOSE_DB


@pytest.mark.parametrize("sources", [2, 4])
def test_the_order_is_the_best_of_all_by_mean_sir(sources):
    reference, estimate = signals("noise", (sources, 1, 900), seed=sources)
    shuffled = torch.randperm(sources, generator=torch.Generator().manual_seed(1))
    found = bss_eval_v4(reference, estimate[shuffled], window=300, taps=4, permutation=True)
    best = max(
        permutations(range(sources)),
        key=lambda p: bss_eval_v4(reference, estimate[shuffled][list(p)], window=300, taps=4).sir.mean(),
    )
    assert tuple(found.permutation.tolist()) == best
    expected = bss_eval_v4(reference, estimate[shuffled][list(best)], window=300, taps=4)
    for a, b in zip(found[:4], expected[:4], strict=True):
        torch.testing.assert_close(a, b)


def test_filters_of_each_window_give_each_window_its_order():
    reference, estimate = signals("noise", (2, 1, 900), seed=11)
    estimate[..., 300:600] = estimate.flip(0)[..., 300:600].clone()
    found = bss_eval_v4(reference, estimate, window=300, taps=4, filters="window", permutation=True)
    expected = peer_v4(reference, estimate, window=300, taps=4, filters="window", permutation=True)
    assert found.permutation.tolist() == [[0, 1], [1, 0], [0, 1]] == expected[4].T.tolist()
    assert difference_db(found[:4], expected[:4]) < CLOSE_DB


def test_windows_without_a_value_do_not_decide_the_order():
    reference, estimate = signals("noise", (2, 1, 900), seed=12)
    estimate = estimate.flip(0)
    estimate[0, :, :300] = 0
    assert bss_eval_v4(reference, estimate, window=300, taps=4, permutation=True).permutation.tolist() == [1, 0]


@given(st.integers(1, 300), st.integers(1, 320), st.integers(1, 320))
def test_windows_are_musevals(length, window, hop):
    expected = [(cut.start, cut.stop) for cut in museval.Framing(window, hop, length)]
    assert windows(length, window, hop) == expected


def test_windows_of_none_are_the_whole():
    assert windows(10, None) == windows(10, 10) == windows(10, 11, 3) == [(0, 10)]
    for wrong in ((0, None, None), (5, 0, None), (5, 2, 0)):
        with pytest.raises(ShapeError, match="below one sample"):
            windows(*wrong)


@pytest.mark.parametrize("filters", ["whole", "window"])
@pytest.mark.parametrize("permutation", [False, True])
def test_leading_axes_and_float32(filters, permutation):
    reference, estimate = (x.unflatten(0, (2, 3, 2)).float() for x in signals("noise", (12, 2, 300), seed=13))
    how = dict(window=140, taps=3, filters=filters, permutation=permutation)
    found = bss_eval_v4(reference, estimate, **how)
    assert found.sdr.shape == (2, 3, 2, 2) and found.sdr.dtype == torch.float64
    one = bss_eval_v4(reference[1, 2].double(), estimate[1, 2].double(), **how)
    for all_of_them, single in zip(found, one, strict=True):
        torch.testing.assert_close(all_of_them[1, 2], single, rtol=0, atol=0)


@pytest.mark.parametrize("filters", ["whole", "window"])
def test_the_result_does_not_depend_on_how_much_is_held_at_a_time_or_by_how_many(filters, monkeypatch):
    reference, estimate = signals("music", (2, 2, 5000), seed=14)
    how = dict(window=1500, hop=700, taps=5, filters=filters, permutation=True)
    at_once = bss_eval_v4(reference, estimate, **how)
    for module in (frames, scores):
        monkeypatch.setattr(module, "SAMPLES", 1)
    monkeypatch.setattr(scores, "MATRIX", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        in_pieces = bss_eval_v4(reference, estimate, **how)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    for a, b in zip(at_once, in_pieces, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_inputs_are_left_alone():
    reference, estimate = signals("noise", (2, 1, 200), seed=15)
    copies = reference.clone(), estimate.clone()
    scored = bss_eval_v4(reference.requires_grad_(), estimate, taps=2)
    assert not scored.sdr.requires_grad
    assert torch.equal(reference, copies[0]) and torch.equal(estimate, copies[1])


@pytest.mark.parametrize("case", ["both channels alike", "an empty channel", "a source twice"])
def test_where_filters_are_not_unique_projections_are(case):
    reference, estimate = signals("noise", (2, 2, 1500), seed=16)
    if case == "both channels alike":
        reference = reference[:, :1].expand(-1, 2, -1)
    elif case == "an empty channel":
        reference[0, 1] = 0
    else:
        reference = reference[:1].expand(2, -1, -1)
    expected = peer_v4(reference, estimate, window=700, taps=16)
    assert difference_db(bss_eval_v4(reference, estimate, window=700, taps=16)[:4], expected[:4]) < CLOSE_DB


def test_pure_tones_have_finite_scores():
    time = torch.arange(3000, dtype=torch.float64)
    reference = torch.stack([torch.sin(0.1 * time), torch.sin(0.17 * time)])[:, None]
    estimate = reference + 0.1 * reference.flip(0) + 0.01 * torch.sin(0.31 * time)
    scored = bss_eval_v4(reference, estimate, taps=64)
    assert all(values.isfinite().all() for values in scored[:4])
    # two taps turn a tone into any other of its frequency; what little else 64 taps reach is at the ends
    torch.testing.assert_close(scored.sir, torch.full((2, 1), 20.0), atol=0.5, rtol=0, check_dtype=False)


def test_the_rest_of_the_mixture_is_one_more_source():
    reference, estimate = signals("noise", (3, 2, 400), seed=17)
    mixture = reference.sum(0)
    both = with_rest(reference[:1], estimate[:1], mixture)
    torch.testing.assert_close(both[0], torch.stack([reference[0], reference[1] + reference[2]]))
    torch.testing.assert_close(both[1], torch.stack([estimate[0], mixture - estimate[0]]))
    scored = bss_eval_v4(*both, taps=4)
    assert scored.sir.isfinite().all() and scored.sdr.shape == (2, 1)


@pytest.mark.parametrize("delay", [0, 7, 200])
def test_other_sources_do_not_enter_the_sdr_of_v3(delay):
    reference, estimate = signals("noise", (2, 1, 4000), seed=18)
    estimate = estimate.roll(delay, -1)
    expected = mir_eval.bss_eval_sources(reference[:, 0].numpy(), estimate[:, 0].numpy(), compute_permutation=False)[0]
    found = [float(bss_eval_v3(s[None], e[None]).sdr) for s, e in zip(reference, estimate, strict=True)]
    assert found == pytest.approx(list(expected), abs=CLOSE_DB)


@pytest.mark.parametrize("metric", [bss_eval_v3, bss_eval_v4])
def test_what_cannot_be_scored_is_refused(metric):
    x = torch.ones(2, 1, 10)
    with pytest.raises(ShapeError, match=r"\[2, 1, 10\], estimates of shape \[2, 1, 9\]"):
        metric(x, x[..., 1:])
    with pytest.raises(ShapeError, match="not empty"):
        metric(x[..., :0], x[..., :0])
    with pytest.raises(ShapeError, match="0 taps"):
        metric(x, x, taps=0)
    with pytest.raises(ShapeError, match="everything"):
        metric(x, x, filters="everything")
    with pytest.raises(NonFiniteAudio, match="NaN or infinity in the estimates"):
        metric(x, x / 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("filters", ["whole", "window"])
@pytest.mark.parametrize("permutation", [False, True])
def test_cuda_gives_what_the_cpu_gives(filters, permutation):
    reference, estimate = signals("music", (2, 2, 20_000), seed=19)
    reference[:, :, :4000] = 0
    how = dict(window=4000, taps=64, filters=filters, permutation=permutation)
    for metric in (bss_eval_v3, bss_eval_v4):
        cpu, cuda = metric(reference, estimate, **how), metric(reference.cuda(), estimate.cuda(), **how)
        for a, b in zip(cpu, cuda, strict=True):
            if a is not None:
                torch.testing.assert_close(a, b.cpu(), rtol=0, atol=1e-6, equal_nan=True)
