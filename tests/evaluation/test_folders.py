"""Two folders compared by names: the numbers, the JSON, and every way in which folders do not fit together."""

import json

import numpy as np
import pytest
import torch
from small_data import RATE, noise, write

from separation.errors import DataError, ShapeError
from separation.evaluation import document, evaluate_folders, evaluated
from separation.metrics import REASONS, bss_eval_v4, si_sdr, snr

SOURCES = ("bass", "vocals")


@pytest.fixture
def folders(tmp_path):
    """References, and estimates of which each has a tenth of another noise in it."""
    for name in SOURCES:
        write(tmp_path / "reference" / f"{name}.wav", noise(name, 3.0))
        write(tmp_path / "estimate" / f"{name}.wav", noise(name, 3.0) + 0.1 * noise(f"error {name}", 3.0))
    return tmp_path / "reference", tmp_path / "estimate"


def tensors(folder: str) -> torch.Tensor:
    error = 0.1 if folder == "estimate" else 0.0
    return torch.from_numpy(np.stack([noise(n, 3.0) + error * noise(f"error {n}", 3.0) for n in SOURCES]))


def test_one_track_has_exactly_the_promised_form(folders):
    result = document(evaluated(*folders))
    assert set(result) == {"sources", "left_out", "notes"}
    assert list(result["sources"]) == list(SOURCES)
    for numbers in result["sources"].values():
        assert list(numbers) == ["si_sdr", "snr", "bss_eval_v4", "bss_eval_v3"]
        assert list(numbers["bss_eval_v4"]) == ["SDR", "ISR", "SIR", "SAR"]
        assert list(numbers["bss_eval_v3"]) == ["SDR", "SIR", "SAR"]
    assert result["left_out"] == {} and result["notes"] == []
    json.dumps(result, allow_nan=False)


def test_the_numbers_are_those_of_the_metrics(folders):
    sources = document(evaluated(*folders))["sources"]
    reference, estimate = tensors("reference"), tensors("estimate")
    v4 = bss_eval_v4(reference, estimate, window=RATE, hop=RATE)
    for i, name in enumerate(SOURCES):
        assert sources[name]["si_sdr"] == pytest.approx(si_sdr(reference, estimate)[i].item(), abs=1e-3)
        assert sources[name]["snr"] == pytest.approx(snr(reference, estimate)[i].item(), abs=1e-3)
        assert sources[name]["bss_eval_v4"]["SDR"] == pytest.approx(v4.sdr[i].median().item(), abs=1e-3)
        assert sources[name]["bss_eval_v4"]["ISR"] == pytest.approx(v4.isr[i].median().item(), abs=1e-3)


def test_the_series_if_asked(folders):
    series = document(evaluated(*folders, window=1.0, hop=0.5), segments=True)["segments"]["vocals"]
    assert [w["start"] for w in series["bss_eval_v4"]["SDR"]] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert all(w["duration"] == 1.0 and w["value"] > 10 for w in series["si_sdr"])


def test_silence_is_null_with_a_count_and_never_averaged(folders):
    reference, estimate = folders
    half = noise("vocals", 3.0)
    half[:, RATE:] = 0
    write(reference / "vocals.wav", half)
    result = document(evaluated(reference, estimate), segments=True)
    windows = result["segments"]["vocals"]["bss_eval_v4"]["SDR"]
    assert [w["value"] is None for w in windows] == [False, True, True]
    assert windows[1]["reason"] == "silent reference"
    assert result["left_out"]["vocals"]["bss_eval_v4"]["SDR"] == {"silent reference": 2}
    assert result["sources"]["vocals"]["bss_eval_v4"]["SDR"] == windows[0]["value"]
    write(reference / "vocals.wav", 0 * half)
    result = document(evaluated(reference, estimate))
    assert result["sources"]["vocals"]["si_sdr"] is None
    assert result["left_out"]["vocals"]["si_sdr"] == {"silent reference": 1}
    json.dumps(result, allow_nan=False)


def test_a_perfect_estimate_is_null_and_says_why(folders):
    reference, _ = folders
    result = document(evaluated(reference, reference))
    assert result["sources"]["vocals"]["snr"] is None
    ((reason, count),) = result["left_out"]["vocals"]["snr"].items()
    assert reason in REASONS and count == 1


def test_a_mixture_gives_gains_and_is_no_source(folders):
    reference, estimate = folders
    write(reference / "mixture.wav", noise("bass", 3.0) + noise("vocals", 3.0))
    write(estimate / "mixture.wav", noise("bass", 3.0))
    result = document(evaluated(reference, estimate))
    assert set(result["sources"]) == set(SOURCES)
    numbers = result["sources"]["vocals"]
    assert numbers["si_sdr_gain"] == pytest.approx(numbers["si_sdr"], abs=0.5)  # the mixture is at about 0 dB


def test_other_metrics_are_further_keys(folders):
    numbers = document(evaluated(*folders, metrics=["silent_share", "bss_eval_v3"]))["sources"]["vocals"]
    assert list(numbers) == ["silent_share", "bss_eval_v3"]
    with pytest.raises(ShapeError, match="no metric is called 'sdr'"):
        evaluated(*folders, metrics=["sdr"])


def test_several_tracks_and_their_summary(tmp_path):
    for track, level in (("a", 0.1), ("b", 0.01)):
        for name in SOURCES:
            write(tmp_path / "r" / track / f"{name}.wav", noise(name))
            write(tmp_path / "e" / track / f"{name}.wav", noise(name) + level * noise("error"))
    values = evaluate_folders(tmp_path / "r", tmp_path / "e", metrics=["snr"])
    assert list(values) == ["a", "b"]
    result = document(evaluated(tmp_path / "r", tmp_path / "e", metrics=["snr"]))
    each = [result["tracks"][track]["sources"]["vocals"]["snr"] for track in "ab"]
    assert each == [pytest.approx(20, abs=1), pytest.approx(40, abs=1)]
    assert result["summary"]["sources"]["vocals"]["snr"] == {
        "median": pytest.approx(sum(each) / 2), "mean": pytest.approx(sum(each) / 2), "tracks": 2, "left_out": 0
    }  # fmt: skip


def test_lengths_that_nearly_fit_are_evened_and_said(folders):
    reference, estimate = folders
    write(estimate / "bass.wav", noise("bass", 3.0)[:, :-100])
    write(estimate / "vocals.wav", np.pad(noise("vocals", 3.0), ((0, 0), (0, 64)), constant_values=0.5))
    result = evaluated(reference, estimate, metrics=["snr"])
    assert result.notes == [
        "estimate bass.wav: 100 samples of silence are added at its end",
        "estimate vocals.wav: 64 samples at its end are left out",
    ]
    numbers = {v.source: v.value for v in result.values["reference"] if v.start is None}
    assert numbers["bass"] > 15 and numbers["vocals"] is None  # the rest of the latter is perfect


def test_more_estimates_than_references_are_noted(folders):
    reference, estimate = folders
    write(estimate / "residual.wav", noise("r"))
    assert evaluated(reference, estimate, metrics=["snr"]).notes == ["left out, having no reference: residual.wav"]


def test_missing_estimates_are_named_with_what_is_there_instead(folders):
    reference, estimate = folders
    (estimate / "vocals.wav").rename(estimate / "voice.wav")
    with pytest.raises(DataError, match=r"no estimate of vocals.wav \(there is voice.wav\)"):
        evaluated(reference, estimate)


def test_a_missing_track_is_named(tmp_path):
    for track in "ab":
        write(tmp_path / "r" / track / "vocals.wav", noise("v"))
    write(tmp_path / "e" / "b" / "vocals.wav", noise("v"))
    write(tmp_path / "e" / "c" / "vocals.wav", noise("v"))
    with pytest.raises(DataError, match=r"no estimate of a/vocals.wav"):
        evaluated(tmp_path / "r", tmp_path / "e")


@pytest.mark.parametrize(
    ("seconds", "rate", "channels", "message"),
    [
        (3.0, 16000, 1, r"estimate vocals.wav has 16,000 Hz, reference bass.wav 8,000 Hz"),
        (3.0, RATE, 2, r"estimate vocals.wav has 2 channels, reference bass.wav 1"),
        (2.5, RATE, 1, r"estimate vocals.wav has 20,000 samples, reference bass.wav 24,000 \(0.500 s fewer\)"),
        (3.2, RATE, 1, r"estimate vocals.wav has 25,600 samples, reference bass.wav 24,000 \(0.200 s more\)"),
    ],
)
def test_what_does_not_fit_is_refused(seconds, rate, channels, message, folders):
    reference, estimate = folders
    write(estimate / "vocals.wav", noise("v", seconds, channels=channels, rate=rate), rate)
    with pytest.raises(DataError, match=message):
        evaluated(reference, estimate)


def test_references_must_be_of_one_length_to_the_sample(folders):
    reference, estimate = folders
    write(reference / "vocals.wav", noise("vocals", 3.0)[:, :-1])
    with pytest.raises(DataError, match=r"reference vocals.wav has 23,999 samples"):
        evaluated(reference, estimate)


def test_folders_that_cannot_be_compared(folders, tmp_path):
    reference, estimate = folders
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        evaluated(reference, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"there is no recording in .*empty"):
        evaluated(reference, tmp_path / "empty")
    with pytest.raises(DataError, match=r"reference holds recordings, .* holds folders of recordings"):
        evaluated(reference, tmp_path)
    write(estimate / "more.wav", noise("v")).rename(estimate / "vocals.ogg")
    with pytest.raises(DataError, match=r"vocals.wav is there in another format too"):
        evaluated(reference, estimate)
    (estimate / "vocals.ogg").unlink()
    write(estimate / "song" / "vocals.wav", noise("v"))
    with pytest.raises(DataError, match=r"holds recordings and folders of recordings \(song/\)"):
        evaluated(reference, estimate)
    only = tmp_path / "only"
    write(only / "mixture.wav", noise("v"))
    with pytest.raises(DataError, match=r"only has no reference beside the mixture"):
        evaluated(only, reference)
