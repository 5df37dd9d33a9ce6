"""`measure` and `summarise`: every metric on perfect, silent, swapped and broken material; windows, reasons, JSON."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separation.errors import EmptyAudio, NonFiniteAudio, ShapeError
from separation.metrics import (
    DEFAULT,
    METRICS,
    REASONS,
    Value,
    assign,
    bss_eval_v3,
    bss_eval_v4,
    level_db,
    measure,
    resolve,
    si_sdr,
    snr,
    summarise,
    with_rest,
)
from separation.metrics import values as value_module
from tests.metrics.metric_signals import noise, speech_like

RATE = 8000
LENGTH = 3 * RATE
TAPS = 16
"""Of BSS-eval here, where its values do not matter: they have tests of their own."""
EVERY = tuple(name for name in METRICS if name != "pesq")

Sources = dict[str, torch.Tensor]


@pytest.fixture
def reference() -> Sources:
    return {"voice": speech_like(3, RATE).expand(2, -1).clone(), "music": 0.1 * noise(2, LENGTH)}


def mixed(sources: Sources) -> torch.Tensor:
    return torch.stack(list(sources.values())).sum(0)


def leaky(sources: Sources, leak: float = 0.2, level: float = 0.01) -> Sources:
    whole = mixed(sources)
    return {
        name: x + leak * (whole - x) + level * noise(*x.shape, seed=i + 5)
        for i, (name, x) in enumerate(sources.items())
    }


def table(values: list[Value]) -> dict[tuple[str, str, float | None], Value]:
    found = {(value.source, value.metric, value.start): value for value in values}
    assert len(found) == len(values), "the same value twice"
    return found


def whole(values: list[Value]) -> dict[tuple[str, str], float | str]:
    return {(v.source, v.metric): v.reason if v.value is None else v.value for v in values if v.start is None}


def assert_sound(values: list[Value]) -> None:
    for value in values:
        assert value.metric in METRICS and value.duration > 0
        assert (value.value is None) == bool(value.reason), value
        assert value.reason in ("", *REASONS), value
        assert value.value is None or math.isfinite(value.value), value
    json.dumps([value._asdict() for value in values], allow_nan=False)


def every(reference: Sources, estimate: Sources, **more) -> list[Value]:
    values = measure(reference, estimate, RATE, metrics=EVERY, taps=TAPS, **more)
    assert_sound(values)
    return values


def test_every_metric_of_a_usual_separation_has_a_value(reference):
    values = every(reference, leaky(reference), mixture=mixed(reference))
    missing = {(v.metric, v.reason) for v in values if v.start is None and v.value is None}
    assert missing == {
        ("pes_wiass", "reference sounds"),
        ("eps_wiass", "estimate sounds"),
        ("mask_entropy", "needs masks"),
    } | {m for m in missing if m == ("pes_htmd", "reference sounds")}
    assert {v.metric for v in values} == set(EVERY)
    assert list(dict.fromkeys(v.metric for v in values)) == list(EVERY), "in the order of the request"


def test_values_are_those_of_the_functions(reference):
    estimate, mixture = leaky(reference), mixed(reference)
    r, e = (torch.stack(list(x.values())) for x in (reference, estimate))
    found = table(
        measure(reference, estimate, RATE, mixture=mixture, metrics=EVERY[:14], taps=TAPS, window=1.0, hop=0.5)
    )
    v3, v4 = bss_eval_v3(r, e, taps=TAPS), bss_eval_v4(r, e, window=RATE, hop=RATE // 2, taps=TAPS)
    for i, name in enumerate(reference):
        assert found[name, "si_sdr", None].value == pytest.approx(si_sdr(r, e)[i].item())
        assert found[name, "bss_eval_v3.SIR", None].value == pytest.approx(v3.sir[i, 0].item())
        before = bss_eval_v3(r, mixture.expand_as(r), taps=TAPS).sdr[i, 0]
        assert found[name, "bss_eval_v3.NSDR", None].value == pytest.approx((v3.sdr[i, 0] - before).item())
        assert found[name, "si_sdr_gain", None].value == pytest.approx(
            (si_sdr(r, e) - si_sdr(r, mixture.expand_as(r)))[i].item()
        )
        for w in range(5):
            here = slice(w * RATE // 2, w * RATE // 2 + RATE)
            assert found[name, "bss_eval_v4.SAR", w / 2].value == pytest.approx(v4.sar[i, w].item())
            assert found[name, "si_sdr", w / 2].value == pytest.approx(si_sdr(r[..., here], e[..., here])[i].item())
            assert found[name, "snr", w / 2].duration == 1.0
            assert found[name, "bss_eval_v4.SDR", w / 2].value == pytest.approx(
                snr(r[..., here], e[..., here])[i].item(), abs=1e-6
            )
        assert (name, "si_sdr", 2.5) not in found and (name, "bss_eval_v4.SDR", None) not in found


def test_without_windows_everything_is_of_the_whole_signal(reference):
    values = every(reference, leaky(reference), mixture=mixed(reference), window=None)
    assert {v.start for v in values} == {None} and {v.duration for v in values} == {3.0}
    assert {v.metric for v in values} == set(EVERY)


def test_only_metrics_that_say_so_have_series(reference):
    values = every(reference, leaky(reference), mixture=mixed(reference))
    assert {v.metric for v in values if v.start is not None} == {n for n in EVERY if METRICS[n].per_window}


def test_a_perfect_estimate_has_no_error(reference):
    found = whole(every(reference, reference, mixture=mixed(reference), window=None))
    for name in reference:
        for metric in ("si_sdr", "snr", "bss_eval_v4.SDR", "si_sdr_gain", "snr_gain"):
            assert found[name, metric] == "no error"
        for metric in ("si_sir", "bss_eval_v3.SDR"):
            assert found[name, metric] == "no error" or float(found[name, metric]) > 100
        assert found[name, "vad_agreement"] == 100
        assert found[name, "stoi"] == pytest.approx(1)
        assert found[name, "log_spectral_distance"] == found[name, "multi_resolution_spectral_distance"] == 0
        assert found[name, "logwmse"] == pytest.approx(73.68, abs=0.01)
    assert found["", "null_db"] < -190


def test_the_mixture_as_estimate_gains_nothing(reference):
    mixture = mixed(reference)
    found = whole(every(reference, dict.fromkeys(reference, mixture), mixture=mixture, window=None))
    for name in reference:
        for metric in ("si_sdr_gain", "snr_gain", "bss_eval_v3.NSDR"):
            assert found[name, metric] == pytest.approx(0, abs=1e-9)
        assert found[name, "stem_similarity"] == pytest.approx(1)


def test_scaled_and_delayed_estimates_are_told_apart_as_the_cards_say(reference):
    names = ("si_sdr", "snr", "bss_eval_v3.SDR", "bss_eval_v4.SDR")
    noisy = leaky(reference, leak=0, level=0.005)
    scaled, delayed = {n: 3 * x for n, x in noisy.items()}, {n: x.roll(5, -1) for n, x in noisy.items()}
    base, gain, delay = (
        whole(measure(reference, e, RATE, metrics=names, taps=TAPS, window=None)) for e in (noisy, scaled, delayed)
    )
    for name in reference:
        assert gain[name, "si_sdr"] == pytest.approx(base[name, "si_sdr"])
        assert gain[name, "bss_eval_v3.SDR"] == pytest.approx(base[name, "bss_eval_v3.SDR"])
        assert [gain[name, "snr"], gain[name, "bss_eval_v4.SDR"]] == pytest.approx([-6.02] * 2, abs=0.1)
        assert delay[name, "bss_eval_v3.SDR"] == pytest.approx(base[name, "bss_eval_v3.SDR"], abs=1)
        assert delay[name, "si_sdr"] < base[name, "si_sdr"] - 10


def test_silence_has_a_reason_everywhere_and_never_a_nan(reference):
    reference["voice"][:, : RATE + 100] = 0
    estimate = leaky(reference, level=0)
    estimate["music"][:, 2 * RATE :] = 0
    found = table(every(reference, estimate, mixture=mixed(reference)))
    assert found["voice", "si_sdr", 0.0].reason == found["voice", "bss_eval_v4.SDR", 0.0].reason == "silent reference"
    assert found["music", "bss_eval_v4.SDR", 0.0].reason == "another source is silent"
    assert found["music", "si_sdr", 2.0].reason == found["music", "estimate_db", 2.0].reason == "silent estimate"
    assert found["music", "snr", 2.0].value == 0
    assert found["music", "si_sdr_gain", 0.0].reason == "perfect mixture"
    assert found["music", "si_sir", 0.0].reason == "no error", "nobody else sounds"
    assert found["voice", "pes_wiass", 0.0].value is not None
    assert found["voice", "pes_wiass", 1.0].reason == "reference sounds"
    assert found["music", "eps_wiass", 2.0].value is not None
    assert found["voice", "silent_share", None].value == pytest.approx(100 / 3)
    assert found["voice", "pes_wiass", None].value == found["voice", "pes_wiass", 0.0].value


def test_a_source_that_is_silent_throughout_is_no_crash(reference):
    reference["voice"] = torch.zeros_like(reference["voice"])
    found = whole(every(reference, leaky(reference), mixture=mixed(reference)))
    for metric in ("si_sdr", "snr", "si_sir", "bss_eval_v3.SDR", "stoi", "log_spectral_distance", "reference_db"):
        assert found["voice", metric] == "silent reference"
    assert found["voice", "logwmse"] > 0 and found["voice", "pes_htmd"] < 0
    assert found["music", "bss_eval_v3.SDR"] == "another source is silent"


def test_silent_estimates_and_a_silent_mixture(reference):
    silence = {name: torch.zeros_like(x) for name, x in reference.items()}
    found = whole(every(reference, silence, mixture=mixed(reference)))
    assert found["voice", "si_sdr"] == found["voice", "stem_similarity"] == "silent estimate"
    assert found["voice", "eps_wiass"] > 0 and found["", "null_db"] == found["", "residual_db"] == 0
    found = whole(every(silence, silence, mixture=0 * mixed(reference)))
    assert found["", "null_db"] == "silent mixture" and found["voice", "logwmse"] == "silent mixture"


def test_short_signals_have_one_window_or_say_why_not(reference):
    short = {name: x[:, : RATE // 4] for name, x in reference.items()}
    found = table(every(short, leaky(short), mixture=mixed(short)))
    assert found["voice", "si_sdr", 0.0].duration == 0.25
    assert found["voice", "si_sdr", 0.0].value == pytest.approx(found["voice", "si_sdr", None].value)
    assert found["voice", "pes_wiass", None].reason == "shorter than one window"
    assert found["voice", "stoi", None].reason == "too little speech"


@pytest.mark.parametrize("length", [1, 2, 50])
def test_a_handful_of_samples_has_values_or_reasons(length):
    reference = {"a": noise(1, length), "b": noise(1, length, seed=1)}
    found = every(reference, leaky(reference), mixture=mixed(reference))
    assert found and all((value.value is None) == bool(value.reason) for value in found)


def test_one_reference_and_a_mixture_make_two_sources(reference):
    mixture, estimate = mixed(reference), leaky(reference)
    r, e = reference["voice"][None], estimate["voice"][None]
    alone = whole(
        measure({"voice": r[0]}, {"voice": e[0]}, RATE, mixture=mixture, metrics=EVERY[:14], taps=TAPS, window=None)
    )
    expected = bss_eval_v4(*with_rest(r, e, mixture), taps=TAPS)
    assert alone["voice", "bss_eval_v4.SIR"] == pytest.approx(expected.sir[0, 0].item())
    assert {source for source, _ in alone} == {"voice"}
    without = whole(measure({"voice": r[0]}, {"voice": e[0]}, RATE, metrics=EVERY, taps=TAPS, window=None))
    assert without["voice", "bss_eval_v4.SIR"] == without["voice", "si_sir"] == "one source only"
    assert without["voice", "stem_similarity"] == "one source only"
    assert without["voice", "si_sdr_gain"] == without["", "residual_db"] == "no mixture"
    assert isinstance(without["voice", "bss_eval_v4.SDR"], float)


def test_without_references_what_needs_none_is_measured(reference):
    values = measure({}, leaky(reference), RATE, mixture=mixed(reference), metrics=EVERY)
    assert_sound(values)
    found = whole(values)
    assert found["voice", "si_sdr"] == found["music", "stoi"] == "no reference"
    assert found["", "null_db"] < 0 and found["voice", "stem_similarity"] > 0 and found["music", "estimate_db"] < 0


def test_estimates_without_a_reference_count_where_all_stems_do(reference):
    estimate = leaky(reference) | {"noise": 0.01 * noise(2, LENGTH, seed=8)}
    found = whole(measure(reference, estimate, RATE, mixture=mixed(reference), metrics=EVERY, taps=TAPS, window=None))
    assert (
        ("noise", "estimate_db") in found and ("noise", "stem_similarity") in found and ("noise", "si_sdr") not in found
    )
    left = mixed(reference) - torch.stack(list(estimate.values())).sum(0)
    expected = 10 * math.log10(left.square().sum() / mixed(reference).square().sum())
    assert found["", "null_db"] == found["", "residual_db"] == pytest.approx(expected)


def test_the_residual_track_is_the_residual_and_no_stem(reference):
    mixture, estimate = mixed(reference), leaky(reference)
    tracks = estimate | {"residual": 0.1 * mixture}
    found = whole(measure(reference, tracks, RATE, mixture=mixture, metrics=["residual_db", "null_db", "estimate_db"]))
    plain = whole(measure(reference, estimate, RATE, mixture=mixture, metrics=["null_db"]))
    assert found["", "residual_db"] == pytest.approx(-20) and found["", "null_db"] == plain["", "null_db"]
    assert ("residual", "estimate_db") not in found


def test_one_order_for_the_whole_signal_goes_for_every_metric_and_window(reference):
    estimate = leaky(reference)
    swapped = {"one": estimate["music"], "two": estimate["voice"]}
    assert assign(reference, swapped) == {"voice": "two", "music": "one"}
    arguments = dict(mixture=mixed(reference))
    assert every(reference, swapped, permutation=True, **arguments) == every(reference, estimate, **arguments)
    # in one window the other order would fit better: the order stays
    tail = slice(2 * RATE, 3 * RATE)
    flipped = {n: x.clone() for n, x in swapped.items()}
    flipped["one"][:, tail], flipped["two"][:, tail] = swapped["two"][:, tail], swapped["one"][:, tail]
    found = table(measure(reference, flipped, RATE, metrics=["si_sdr", "snr"], permutation=True))
    assert found["voice", "si_sdr", 0.0].value > 0 > found["voice", "si_sdr", 2.0].value


def test_more_estimates_than_references_may_be_assigned(reference):
    estimate = {"x": noise(2, LENGTH, seed=9), "y": reference["music"] + 0.01, "z": 0.1 * reference["voice"]}
    assert assign(reference, estimate) == {"voice": "z", "music": "y"}
    values = measure(reference, estimate, RATE, metrics=["estimate_db"], permutation=True, window=None)
    assert [value.source for value in values] == ["voice", "music", "x"]
    misnamed = {"voice": estimate["x"], "b": estimate["y"], "c": estimate["z"]}
    values = measure(reference, misnamed, RATE, metrics=["estimate_db"], permutation=True, window=None)
    assert [value.source for value in values] == ["voice", "music", "voice (left over)"]
    assert values[0].value == pytest.approx(level_db(estimate["z"]).item())


def test_numpy_and_tensors_give_the_same(reference):
    estimate = leaky(reference)
    arrays = [{name: x.float().numpy() for name, x in group.items()} for group in (reference, estimate)]
    tensors = [{name: x.float() for name, x in group.items()} for group in (reference, estimate)]
    assert measure(*arrays, RATE, metrics=["si_sdr", "snr"]) == measure(*tensors, RATE, metrics=["si_sdr", "snr"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_a_gpu_gives_the_same(reference):
    def on(device: str) -> list[Value]:
        groups = [{name: x.to(device) for name, x in group.items()} for group in (reference, leaky(reference))]
        return every(*groups, mixture=mixed(groups[0]))

    expected, found = on("cpu"), on("cuda")
    assert [v._replace(value=None) for v in found] == [v._replace(value=None) for v in expected]
    for a, b in zip(found, expected, strict=True):
        assert a.value == pytest.approx(b.value, abs=1e-6)


def test_nothing_that_is_passed_is_changed(reference):
    estimate, mixture = leaky(reference), mixed(reference)
    before = [x.clone() for x in (*reference.values(), *estimate.values(), mixture)]
    every(reference, estimate, mixture=mixture, permutation=True)
    after = (*reference.values(), *estimate.values(), mixture)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_how_windows_are_grouped_does_not_matter(reference, monkeypatch):
    names = [n for n, card in METRICS.items() if card.per_window and "bss" not in n]
    arguments = dict(mixture=mixed(reference), metrics=names, window=0.3, hop=0.1)
    expected = measure(reference, leaky(reference), RATE, **arguments)
    monkeypatch.setattr(value_module, "SAMPLES", 5000)
    found = measure(reference, leaky(reference), RATE, **arguments)
    assert [v._replace(value=None) for v in found] == [v._replace(value=None) for v in expected]
    numbers = [[v.value for v in values if v.value is not None] for values in (found, expected)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-9) and len(numbers[0]) > 100


def test_families_and_unknown_names():
    assert set(resolve(["bss_eval_v4", "bss_eval_v3"])) == {n for n in METRICS if n.startswith("bss_eval")}
    assert resolve(["snr", "snr"]) == ("snr",) and set(resolve(DEFAULT)) <= set(METRICS)
    with pytest.raises(ShapeError, match=r"no metric is called 'si_sd'.*si_sdr"):
        resolve(["si_sd"])
    with pytest.raises(ShapeError, match="no metric is called 'SDR'"):
        resolve(["SDR"])


BAD = [
    (lambda r, e: measure(r, {"voice": e["voice"]}, RATE), ShapeError, "no estimate of music; there is voice"),
    (lambda r, e: measure(r, {n: x[:, 1:] for n, x in e.items()}, RATE), ShapeError, r"estimate voice \[2, 23999\]"),
    (lambda r, e: measure(r, {n: x[:1] for n, x in e.items()}, RATE), ShapeError, "number of channels"),
    (lambda r, e: measure(r, e, RATE, mixture=e["voice"][0]), ShapeError, r"mixture \[24000\]"),
    (lambda r, e: measure(r, e, 0), ShapeError, "0 Hz"),
    (lambda r, e: measure(r, {n: x.long() for n, x in e.items()}, RATE), ShapeError, "int64"),
    (lambda r, e: measure(r, e, RATE, window=0.0), ShapeError, "0.0 s"),
    (lambda r, e: measure(r, e, RATE, window=math.nan), ShapeError, "nan s"),
    (lambda r, e: measure({}, {}, RATE), ShapeError, "none given"),
    (lambda r, e: measure(r, {"one": e["voice"]}, RATE, permutation=True), ShapeError, "1 estimates of 2 references"),
    (lambda r, e: measure({"a": torch.zeros(1, 0)}, {"a": torch.zeros(1, 0)}, RATE), EmptyAudio, "reference a holds no"),
    (lambda r, e: measure(r, e | {"music": e["music"] / 0}, RATE), NonFiniteAudio, "estimate music .* at 0.000 s"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_what_cannot_be_compared_is_named(reference, call, error, message):
    with pytest.raises(error, match=message):
        call(reference, leaky(reference))


@settings(max_examples=20, deadline=None)
@given(
    sources=st.integers(1, 3), channels=st.integers(1, 2), length=st.integers(1, 3000), seed=st.integers(0, 99),
    window=st.sampled_from([None, 0.01, 0.1, 1.0]), silence=st.floats(0, 1), with_mixture=st.booleans(),
)  # fmt: skip
def test_values_are_sound_whatever_comes(sources, channels, length, seed, window, silence, with_mixture):
    names = [name for name in EVERY if "bss" not in name and "wmse" not in name]
    reference = {f"s{i}": noise(channels, length, seed=seed + i) for i in range(sources)}
    for i, x in enumerate(reference.values()):
        x[:, i * length // 3 : int((i / 3 + silence) * length)] = 0
    estimate = {name: x.roll(length // 5, -1) for name, x in leaky(reference, level=0).items()}
    mixture = mixed(reference) if with_mixture else None
    assert_sound(measure(reference, estimate, RATE, mixture=mixture, metrics=names, window=window, hop=None))


def test_summaries_count_what_they_leave_out():
    numbers = [1.0, 2.0, 3.0, 4.0, 40.0]
    values = [Value("a", "snr", float(i), 1.0, x, "") for i, x in enumerate(numbers)]
    values += [Value("a", "snr", 9.0, 1.0, None, "silent reference")] * 3 + [
        Value("a", "snr", 9.0, 1.0, None, "no error")
    ]
    found = summarise(values)
    assert (found.median, found.mean, found.mad, found.count) == (3.0, 10.0, 1.0, 5)
    assert found.deviation == pytest.approx(np.std(numbers))
    assert found.left_out == {"silent reference": 3, "no error": 1}
    assert list(found.left_out) == ["silent reference", "no error"]
    json.dumps(asdict(found), allow_nan=False)


def test_a_summary_of_nothing_is_no_number():
    assert asdict(summarise([])) == dict(median=None, mean=None, mad=None, deviation=None, count=0, left_out={})
    lost = summarise([Value("a", "snr", None, 1.0, None, "silent reference")])
    assert lost.median is None and lost.count == 0 and lost.left_out == {"silent reference": 1}


def test_summaries_refuse_to_mix_kinds(reference):
    values = measure(reference, leaky(reference), RATE, metrics=["si_sdr"])
    with pytest.raises(ShapeError, match="si_sdr of a window, si_sdr of the whole signal"):
        summarise(values)
    assert summarise(v for v in values if v.start is not None).count == 6
    with pytest.raises(ShapeError, match="si_sdr of the whole signal, snr of the whole signal"):
        summarise(measure(reference, leaky(reference), RATE, metrics=["si_sdr", "snr"], window=None))
