"""Pitch tracks: files as others write them, the grid of a model, one voice and several."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pitched_voices import RATE, sung

from separation.errors import Cancelled, DataError, ShapeError
from separation.signals import Signal
from separation.transforms import (
    MixtureTracker,
    PitchTrack,
    read_track,
    track_mixture,
    track_stem,
    voice_names,
    write_track,
)
from separation.transforms import multipitch as mp


def track(*hz: float, step: float = 0.01) -> PitchTrack:
    return PitchTrack(step * np.arange(len(hz)), np.array(hz))


def cents(found: np.ndarray, true: np.ndarray | float) -> np.ndarray:
    return 1200 * np.log2(np.maximum(found, 1) / true)


@pytest.mark.parametrize(
    "text",
    [
        "0.00,220\n0.01,0\n0.02,440\n",
        "time,f0\n0.00,220\n0.01,\n0.02,440\n",
        "﻿Time (sec);Frequency (Hz)\r\n0,00;220\r\n0,01;0\r\n0,02;440\r\n",
        "0.00\t220.0\n0.01\t-221.5\n0.02\t440.0\n",
        "# pyin\n0.00 220\n0.01 nan\n0.02 440\n\n",
        "time,frequency,confidence\n0.00,220,0.9\n0.01,311,0.2\n0.02,440,1\n",
        "frequency,voiced,time\n220,True,0\n330,False,0.01\n440,True,0.02\n",
        '"time","f0"\n"0.00","220"\n"0.01","0"\n"0.02","440"\n',
        "0.00,220,0.4,la\n0.01,0,0.1,\n0.02,440,0.2,la\n",
    ],
)
def test_files_as_others_write_them(text: str, tmp_path: Path) -> None:
    path = tmp_path / "alto.csv"
    path.write_text(text, encoding="utf-8")
    found = read_track(path)
    np.testing.assert_allclose(found.times, [0, 0.01, 0.02])
    np.testing.assert_allclose(found.hz, [220, 0, 440])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no line of numbers"),
        ("time,f0\n", "no line of numbers"),
        ("0.0,220\nla,la\n", "line 2 is 'la la'"),
        ("0.0,220\n0.1\n", "line 2"),
        ("0.1,220\n0.1,220\n", "value 2 is at 0.1 s"),
        ("-1,220\n0,220\n", "value 1 is at -1 s"),
        ("0,220\n0.1,9000\n", "9000 Hz at 0.100 s"),
        ("0,220\n0.1,inf\n", "inf Hz"),
        ("0,220,330\n0.1,220,330\n", "several pitches in a line"),
    ],
)
def test_files_that_are_no_track(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "alto.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"Read the pitch track alto.csv") as error:
        read_track(path)
    assert says in error.value.found


def test_what_is_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "voice.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="no text"):
        read_track(tmp_path / "voice.csv")
    with pytest.raises(DataError, match="cannot be opened"):
        read_track(tmp_path / "other.csv")
    with (tmp_path / "long.csv").open("wb") as file:
        file.truncate((8 << 20) + 1)
    with pytest.raises(DataError, match="more than 8 MB"):
        read_track(tmp_path / "long.csv")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.just(0.0), st.floats(20, 8000)), min_size=1, max_size=50), st.floats(0.002, 0.5))
def test_what_is_written_is_read_again(hz: list[float], step: float) -> None:
    written = track(*hz, step=step)
    with TemporaryDirectory() as folder:
        found = read_track(write_track(Path(folder) / "voice.csv", written))
    np.testing.assert_allclose(found.times, written.times, atol=1e-6)
    np.testing.assert_allclose(found.hz, written.hz, atol=1e-3)


def test_a_glide_is_even_in_cents_and_an_end_is_halfway() -> None:
    found = track(100, 200, 0, 0, 300, step=0.1).on_grid(0.025, 0.0, 17)
    np.testing.assert_allclose(found[:5], 100 * 2 ** (np.arange(5) / 4), rtol=1e-6)
    assert found[5] == 200  # as far as half the way to the unvoiced value
    np.testing.assert_array_equal(found[7:14], 0)
    np.testing.assert_array_equal(found[15:], 300)


def test_there_is_nothing_outside_and_in_holes() -> None:
    holed = PitchTrack(np.array([1.0, 1.1, 1.2, 5.0, 5.1]), np.array([200.0, 200, 200, 300, 300]))
    at = holed.at(np.array([0.0, 0.9, 0.96, 1.15, 1.24, 1.3, 3.0, 4.9, 4.96, 5.1, 5.2]))
    np.testing.assert_array_equal(at, np.array([0, 0, 200, 200, 200, 0, 0, 0, 300, 300, 0], np.float32))
    np.testing.assert_array_equal(PitchTrack(np.array([0.0]), np.array([99.0])).on_grid(0.016, 0.0, 3), [99, 0, 0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.just(0.0), st.floats(20, 8000)), min_size=1, max_size=30))
def test_its_own_grid_gives_back_a_track(hz: list[float]) -> None:
    np.testing.assert_allclose(track(*hz).on_grid(0.01, 0.0, len(hz)), hz, rtol=1e-4)


def test_one_voice_is_followed_and_its_rest_is_one() -> None:
    voice = sung(np.array([220, 0, 330]), 3.0, rate=22050)
    told: list[float] = []
    found = track_stem(Signal(np.stack([voice, voice]), 22050), progress=told.append)
    assert len(found.times) == 1 + int(np.ceil(3.0 * RATE / 256)) and found.step == pytest.approx(0.016)
    for start, true in ((0.1, 220.0), (2.1, 330.0)):
        middle = found.on_grid(0.05, start, 16)
        assert np.abs(cents(middle, true)).max() < 15
    assert not found.on_grid(0.05, 1.15, 14).any()
    assert told[-1] == 1.0


def test_silence_has_no_pitch_and_stopping_stops() -> None:
    silence = Signal(np.zeros((1, RATE)), RATE)
    assert track_stem(silence).voiced == 0
    assert [each.voiced for each in track_mixture(silence, 2)] == [0, 0]
    with pytest.raises(Cancelled):
        track_stem(silence, cancelled=lambda: True)


def chord() -> tuple[np.ndarray, np.ndarray]:
    """Three voices that move, and their pitches at six steps."""
    notes = np.array([[494, 523, 587, 587, 494, 494], [330, 349, 349, 311, 330, 0], [147, 131, 117, 123, 131, 147.0]])
    return np.stack([sung(line, 6.0, seed=i) for i, line in enumerate(notes)]), notes


def test_the_voices_of_a_chord_are_told_apart() -> None:
    voices, notes = chord()
    found = np.stack([each.hz for each in track_mixture(Signal(voices.sum(0)[None], RATE), 3)])
    middles = (np.arange(6) + 0.5) * 1.0
    at = np.round(middles * RATE / 256).astype(int)
    sings = notes > 0
    assert np.abs(cents(found[:, at], np.maximum(notes, 1)))[sings].max() < 30
    true = np.repeat(notes, len(found[0]) // 6, axis=1)
    right = np.abs(cents(found[:, : true.shape[1]], np.maximum(true, 1))) < 50
    assert right[true > 0].mean() > 0.9
    assert (found[1, at[-1] - 15 : at[-1] + 15] == 0).mean() > 0.9, "who rests is silent"


def test_blocks_are_joined_as_if_they_were_one(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = chord()[0].sum(0)[: 2 * RATE]
    whole = track_mixture(Signal(samples[None], RATE), 3)
    monkeypatch.setattr(mp, "_BLOCK", 40)
    tracker = MixtureTracker(3)
    for start in range(0, len(samples), 7000):
        tracker.push(samples[start : start + 7000])
    for one, other in zip(whole, tracker.finish(), strict=True):
        assert len(one.times) == len(other.times) == 1 + 2 * RATE // 256
        both = (one.hz > 0) & (other.hz > 0)
        assert both.mean() > 0.9 and np.median(np.abs(cents(one.hz[both], other.hz[both]))) < 2


def test_how_many_voices() -> None:
    assert voice_names(4) == ("soprano", "alto", "tenor", "bass") and voice_names(3)[-1] == "voice 3"
    for wrong in (0, 7):
        with pytest.raises(ShapeError, match="1 to 6"):
            MixtureTracker(wrong)


def test_voices_keep_their_order_and_candidates_go_to_the_nearest() -> None:
    """Two candidates for three voices: who was there before goes on."""
    hz = np.tile(np.array([500, 300, 100.0], np.float32), (40, 1))
    hz[20:, 1] = 0
    found = mp.follow(mp.Candidates(hz, np.where(hz > 0, 1, 0).astype(np.float32)), 3)
    np.testing.assert_array_equal(found[0], 500)
    np.testing.assert_array_equal(found[2], 100)
    np.testing.assert_array_equal(found[1, 20:], 0)
    with pytest.raises(Cancelled):
        mp.follow(mp.Candidates(hz, hz), 3, cancelled=lambda: True)
