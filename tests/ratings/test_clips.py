"""Clips: one sound, one id; what comes back is what was heard."""

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from separation.errors import RatingError
from separation.ratings import ClipFolder, clip_id
from separation.signals import Signal


def noise(seed: int, channels: int = 2, length: int = 500, rate: int = 44100) -> Signal:
    samples = np.random.default_rng(seed).uniform(-1.1, 1.1, (channels, length)).astype(np.float32)
    return Signal(samples, rate)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3000), st.sampled_from([8000, 44100, 48000]))
def test_what_was_heard_comes_back(tmp_path: Path, seed: int, channels: int, length: int, rate: int) -> None:
    store, signal = ClipFolder(tmp_path), noise(seed, channels, length, rate)
    clip = store.put(signal)
    back = store.get(clip)
    assert clip in store and clip == clip_id(signal) == clip_id(back)
    assert (back.sample_rate, back.samples.shape) == (rate, signal.samples.shape)
    assert np.abs(back.samples - np.clip(signal.samples, -1, 32767 / 32768)).max() <= 0.5 / 32768 + 1e-7


def test_the_id_is_the_hash_that_the_record_describes() -> None:
    signal = Signal(np.array([[0.0, 0.5], [-1.0, 2.0]], np.float32), 8000)
    data = struct.pack("<III", 8000, 2, 2) + struct.pack("<hhhh", 0, -32768, 16384, 32767)
    assert clip_id(signal) == hashlib.sha256(data).hexdigest()


def test_ids_tell_rates_channels_and_samples_apart() -> None:
    signal = noise(1)
    others = [
        Signal(signal.samples, 48000), Signal(signal.samples[:1], 44100), Signal(signal.samples[:, :-1], 44100),
        Signal(signal.samples.reshape(1, -1), 44100), noise(2),
    ]  # fmt: skip
    assert len({clip_id(s) for s in (signal, *others)}) == 6


def test_the_same_sound_is_kept_once_and_can_be_deleted(tmp_path: Path) -> None:
    store = ClipFolder(tmp_path)
    clip = store.put(noise(1))
    assert store.put(noise(1)) == clip
    assert len(list(tmp_path.rglob("*.flac"))) == 1
    store.delete(clip)
    store.delete(clip)
    assert clip not in store
    with pytest.raises(RatingError, match="is not kept here"):
        store.get(clip)


def test_a_clip_that_was_changed_on_disk_is_found_out(tmp_path: Path) -> None:
    store = ClipFolder(tmp_path)
    clip, other = store.put(noise(1)), store.put(noise(2))
    (theirs,), (mine,) = tmp_path.rglob(f"{other}.flac"), tmp_path.rglob(f"{clip}.flac")
    mine.write_bytes(theirs.read_bytes())
    with pytest.raises(RatingError, match="changed on disk"):
        store.get(clip)


def test_what_is_too_long_or_empty_or_no_id_is_refused(tmp_path: Path) -> None:
    store = ClipFolder(tmp_path)
    with pytest.raises(RatingError, match=r"lasts 61\.0 s"):
        store.put(Signal(np.zeros((1, 61 * 8000), np.float32), 8000))
    with pytest.raises(RatingError, match=r"lasts 0\.0 s"):
        store.put(Signal(np.zeros((1, 0), np.float32), 8000))
    for wrong in ("../../secret", "a" * 63, "A" * 64):
        with pytest.raises(RatingError, match="is not the id"):
            store.get(wrong)
