"""Pools: what was decoded is what was there, once; what cannot be decoded is named before training starts."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from separation.datasets import Track
from separation.errors import DataError
from separation.training import pools
from separation.training.pools import Pool, load_pool
from tests.datasets.tiny_corpora import wav


def tracks_of(folder: Path, count: int = 3, **options: int) -> list[Track]:
    return [
        Track(f"t{i}", {"speech": wav(folder / f"{i}.wav", **options)}, labels={"speaker": "ab"[i % 2]})
        for i in range(count)
    ]


def load(tracks: list[Track], folder: Path, sample_rate: int = 8000) -> Pool:
    return load_pool(tracks, sample_rate=sample_rate, group="speaker", cache=folder / "cache")


def test_a_pool_holds_the_samples_in_16_bit(tmp_path: Path) -> None:
    tracks = tracks_of(tmp_path)
    pool = load(tracks, tmp_path)
    expected, _ = sf.read(tracks[1].stems["speech"], dtype="float32")
    assert len(pool) == 3
    assert pool.stems["speech"][1].dtype == np.int16
    assert np.abs(pool.read("speech", 1, 0, len(expected)) - expected).max() < 1 / 16_384


def test_reading_past_the_end_gives_silence(tmp_path: Path) -> None:
    pool = load(tracks_of(tmp_path), tmp_path)
    size = len(pool.stems["speech"][0])
    tail = pool.read("speech", 0, size - 10, 50)
    assert tail.dtype == np.float32
    assert tail[:10].all()
    assert not tail[10:].any()
    assert not pool.read("speech", 0, size + 5, 20).any()


def test_recordings_are_grouped_by_label_or_by_name(tmp_path: Path) -> None:
    tracks = tracks_of(tmp_path)
    assert load(tracks, tmp_path).groups == {"a": [0, 2], "b": [1]}
    pool = load_pool(tracks, sample_rate=8000, group="colour", cache=tmp_path / "cache")
    assert pool.groups == {"t0": [0], "t1": [1], "t2": [2]}


def test_stereo_becomes_the_mean_of_its_channels(tmp_path: Path) -> None:
    track = tracks_of(tmp_path, 1, channels=2)[0]
    expected, _ = sf.read(track.stems["speech"], dtype="float32")
    pool = load([track], tmp_path)
    assert np.abs(pool.read("speech", 0, 0, len(expected)) - expected.mean(1)).max() < 1 / 16_384


def test_other_rates_are_resampled(tmp_path: Path) -> None:
    path, rate = tmp_path / "tone.wav", 44_100
    sf.write(path, 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate), rate)
    pool = load([Track("tone", {"speech": path})], tmp_path)
    tone = pool.read("speech", 0, 0, 8000)
    assert len(pool.stems["speech"][0]) == 8000
    assert int(np.abs(np.fft.rfft(tone)).argmax()) == 440
    assert np.abs(tone[100:-100]).max() == pytest.approx(0.5, abs=0.01)


def test_louder_than_full_scale_is_clipped_not_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    sf.write(path, np.array([1.5, -1.5, 0.5] * 100), 8000, subtype="FLOAT")
    samples = load([Track("loud", {"speech": path})], tmp_path).read("speech", 0, 0, 3)
    assert samples == pytest.approx([1, -1, 0.5], abs=1e-3)


def test_each_file_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = tracks_of(tmp_path)
    first = load(tracks, tmp_path)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 3
    with monkeypatch.context() as patch:
        patch.setattr(pools, "open_path", lambda path: pytest.fail(f"{path} was decoded again"))
        second = load(tracks, tmp_path)
    assert all(np.array_equal(a, b) for a, b in zip(first.stems["speech"], second.stems["speech"], strict=True))


def test_a_file_that_changed_is_decoded_again(tmp_path: Path) -> None:
    tracks = tracks_of(tmp_path, 1)
    load(tracks, tmp_path)
    wav(tmp_path / "0.wav", seconds=0.5)
    assert len(load(tracks, tmp_path).stems["speech"][0]) == 4000


def test_another_rate_does_not_take_the_kept_audio(tmp_path: Path) -> None:
    tracks = tracks_of(tmp_path, 1)
    assert len(load(tracks, tmp_path).stems["speech"][0]) == 2400
    assert len(load(tracks, tmp_path, 4000).stems["speech"][0]) == 1200


def test_broken_files_are_named_one_by_one(tmp_path: Path) -> None:
    tracks = tracks_of(tmp_path, 4)
    (tmp_path / "1.wav").write_bytes(b"this is not audio")
    (tmp_path / "3.wav").unlink()
    with pytest.raises(DataError) as failure:
        load(tracks, tmp_path)
    assert str(tmp_path / "1.wav") in failure.value.found
    assert str(tmp_path / "3.wav") in failure.value.found
    assert "0.wav" not in failure.value.found
    assert "4 recordings" in failure.value.asked


def test_many_broken_files_are_counted(tmp_path: Path) -> None:
    tracks = tracks_of(tmp_path, pools.LISTED + 7)
    for track in tracks:
        track.stems["speech"].write_bytes(b"this is not audio")
    with pytest.raises(DataError, match="and 7 more"):
        load(tracks, tmp_path)
