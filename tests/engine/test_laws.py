"""Laws of the engine: they hold for any recording and any way of cutting it."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separation.audio import ArrayReader
from separation.engine import RESIDUAL, Options, Report, run, separate
from separation.models.protocol import Separator
from separation.signals import Signal
from tests.fakes import EdgeDamaging, Identity, MaskedSTFT, Splitter, Swapping, Track

RATE = 800
few = settings(max_examples=60, deadline=None, derandomize=True)


def tracks_of(separator: Separator, signal: Signal, options: Options) -> tuple[dict[str, np.ndarray], Report]:
    sinks = {name: Track() for name in (*separator.spec.sources, RESIDUAL)}
    report = run(separator, ArrayReader(signal), sinks, options=options)
    return {name: sink.samples for name, sink in sinks.items()}, report


def noise(channels: int, length: int, seed: int, rate: int = RATE) -> Signal:
    """Noise whose level wanders over 80 dB, so that rounding shows at every scale."""
    random = np.random.default_rng(seed)
    level = 10 ** (-4 * random.random((channels, 1 + length // 50)).repeat(50, axis=1)[:, :length])
    return Signal((random.standard_normal((channels, length)) * level).astype(np.float32), rate)


signals = st.builds(noise, st.integers(1, 4), st.integers(1, 6000), st.integers(0, 999))
cuts = st.fixed_dictionaries(
    {
        "segment": st.floats(0.25, 3.0),
        "fade": st.one_of(st.just(0.0), st.floats(0.0, 2.0)),
        "batch": st.integers(1, 5),
        "device": st.just("cpu"),
    }
)


@few
@given(signals, cuts, st.integers(1, 64), st.booleans())
def test_the_identity_is_bit_exact(signal: Signal, cut: dict, multiple: int, consistency: bool) -> None:
    separator = Identity(sample_rate=RATE, multiple_of=multiple)
    tracks, report = tracks_of(separator, signal, Options(**cut, consistency=consistency))
    assert np.array_equal(tracks["all"], signal.samples)
    assert not tracks[RESIDUAL].any()
    assert len({shape[-1] for shape in separator.shapes}) == 1, "more than one chunk shape"
    assert separator.shapes[0][-1] % multiple == 0
    assert report.calls == separator.calls == -(-report.chunks // cut["batch"]) >= report.minimal_calls


@few
@given(signals, cuts, st.sampled_from([300, 441, 799, 1000, 1600]))
def test_the_identity_at_another_rate_is_bit_exact_too(signal: Signal, cut: dict, model_rate: int) -> None:
    tracks, _ = tracks_of(Identity(sample_rate=model_rate), signal, Options(**cut))
    assert np.array_equal(tracks["all"], signal.samples)


@few
@given(signals, cuts, st.lists(st.floats(-1.5, 1.5, width=32), min_size=1, max_size=4))
def test_stems_and_residual_add_up_to_the_mixture(signal: Signal, cut: dict, gains: list[float]) -> None:
    separator = Splitter(*gains, sample_rate=RATE)
    scale = 1 + sum(map(abs, gains))
    rounding = len(gains) * 2.0**-22 * scale * np.abs(signal.samples) + 1e-38

    kept, _ = tracks_of(separator, signal, Options(**cut, consistency=True))
    raw, _ = tracks_of(separator, signal, Options(**cut, consistency=False))
    stems = sum(kept[name].astype(float) for name in separator.spec.sources)
    if len(gains) > 1:
        assert (np.abs(stems - signal.samples) <= rounding).all()
    everything = sum(track.astype(float) for track in raw.values())
    assert (np.abs(everything - signal.samples) <= rounding).all()
    assert np.array_equal(kept[RESIDUAL], raw[RESIDUAL]), "the residual is of the raw estimates in both cases"
    for gain, name in zip(gains, separator.spec.sources, strict=True):
        assert np.array_equal(raw[name], signal.samples * np.float32(gain)), "raw estimates are not touched"


@few
@given(signals, cuts, st.sampled_from([RATE, 441]))
def test_tracks_keep_length_rate_and_channels_and_the_input_is_not_touched(
    signal: Signal, cut: dict, model_rate: int
) -> None:
    before = signal.samples.copy()
    for name, stem in separate(Splitter(0.5, 0.25, sample_rate=model_rate), signal, Options(**cut)).items():
        assert stem.samples.shape == signal.samples.shape, name
        assert stem.sample_rate == signal.sample_rate
    assert np.array_equal(signal.samples, before)


@pytest.mark.parametrize("rate", [8000, 11025])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_batch_changes_nothing(rate: int, channels: int) -> None:
    signal = noise(channels, 70_000, 3, rate)
    results = [separate(MaskedSTFT(channels=1), signal, Options(batch=batch, device="cpu")) for batch in (1, 2, 7)]
    for other in results[1:]:
        for name, stem in results[0].items():
            assert np.abs(stem.samples - other[name].samples).max() < 1e-6


def test_the_segment_and_the_batch_of_a_report_are_json() -> None:
    _, report = tracks_of(Splitter(0.5, 0.5, sample_rate=RATE), noise(2, 2000, 0), Options(device="cpu"))
    found = asdict(report)
    assert found["tracks"] == ("source0", "source1", RESIDUAL)
    assert (found["sample_rate"], found["channels"], found["length"]) == (RATE, 2, 2000)
    assert (found["device"], found["precision"], found["messages"]) == ("cpu", "fp32", ())
    assert found["hop"] * found["chunks"] >= 2000 / RATE - 0.1


@pytest.mark.parametrize("rate", [RATE, 1000])
@pytest.mark.parametrize("fade", [0.0, 0.02, 0.1])
def test_context_as_long_as_the_damaged_edge_leaves_no_seam(rate: int, fade: float) -> None:
    signal = noise(1, 8 * rate, 5, rate)
    whole = EdgeDamaging(0.1, sample_rate=RATE, segment=60.0, context=0.25)
    chunked = EdgeDamaging(0.1, sample_rate=RATE, segment=1.0, context=0.25)
    options = Options(fade=fade, device="cpu")
    (one, report), (many, reports) = tracks_of(whole, signal, options), tracks_of(chunked, signal, options)
    assert (report.chunks, reports.chunks > 10) == (1, True)
    # Through the resampling filters the damage rings on, 100 dB down; at equal rates nothing of it is left.
    assert np.abs(one["all"] - many["all"]).max() <= (0 if rate == RATE else 1e-4)
    if rate == RATE:
        assert np.array_equal(many["all"], signal.samples)


def test_less_context_than_the_damaged_edge_is_heard_so_the_test_above_means_something() -> None:
    signal = noise(1, 8 * RATE, 5)
    tracks, _ = tracks_of(EdgeDamaging(0.1, sample_rate=RATE, context=0.05), signal, Options(device="cpu"))
    assert np.abs(tracks["all"] - signal.samples).max() > 0.5


def test_a_fade_never_reaches_into_the_context() -> None:
    signal = noise(1, 8 * RATE, 5)
    separator = EdgeDamaging(0.1, sample_rate=RATE, context=0.1)
    tracks, _ = tracks_of(separator, signal, Options(fade=5.0, device="cpu"))
    assert np.array_equal(tracks["all"], signal.samples)


def test_estimates_of_a_masking_model_hardly_depend_on_the_cuts() -> None:
    rate = 8000
    signal = noise(1, 6 * rate, 7, rate)
    long = separate(MaskedSTFT(segment=60.0, context=0.2), signal, Options(device="cpu"))
    short = separate(MaskedSTFT(segment=1.0, context=0.2), signal, Options(device="cpu"))
    for name, stem in long.items():
        difference = np.square(stem.samples - short[name].samples).sum() / np.square(stem.samples).sum()
        # Chunks shift the frames against the sound, so the estimates are close and not the same.
        assert difference < 0.1, name
        assert torch.isfinite(torch.from_numpy(short[name].samples)).all()


def test_a_swapping_model_comes_out_in_one_order() -> None:
    rate = 8000
    signal = noise(1, 12 * rate, 1, rate)
    for seed in range(3):
        separator = Swapping(seed=seed)
        found, report = tracks_of(separator, signal, Options(device="cpu"))
        assert 0 < sum(separator.flips) < len(separator.flips)
        spectra = [np.abs(np.fft.rfft(found[name][0])) for name in separator.spec.sources]
        border = len(spectra[0]) // 4
        below = [np.square(s[:border]).sum() / np.square(s).sum() for s in spectra]
        assert max(below) > 0.99 and min(below) < 0.01
        assert report.uncertain_boundaries == ()
