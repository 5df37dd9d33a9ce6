"""Dynamic mixing: pure functions of (seed, step, index), never NaN, and distributed as the docstrings say."""

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from separation.errors import DataError
from separation.training import mixing
from separation.training.mixing import LEVEL_JITTER_DB, SPEEDS, Mixer, SpeakerMixer, VocalMixer, draw, normalise
from separation.training.pools import Pool

LENGTH = 4000
EXAMPLE = (1, 2, 5)  # seed, step, index
FUZZED = 400
PITCH = ({"voice": "low"}, {"voice": "high"})


def ragged(*stems: str, seed: int = 0) -> Pool:
    """Six groups of two, noise with pauses: some shorter than an example, one empty, one digitally silent."""
    rng = np.random.default_rng(seed)
    sizes = [int(rng.integers(500, 20_000)) for _ in range(10)] + [0, 5000]
    recordings = {stem: [sound(rng, size) for size in sizes] for stem in stems}
    for stem in stems:
        for i, size in enumerate(sizes):
            recordings[stem][i][np.sin(np.arange(size) / 700) < -0.3] = 0
        recordings[stem][-1][:] = 0
    return Pool(recordings, {f"g{i}": [2 * i, 2 * i + 1] for i in range(6)}, [PITCH[i // 2 % 2] for i in range(12)])


def dense(groups: int, *stems: str, size: int = 30_000) -> Pool:
    """One recording a group, long and without pauses."""
    rng = np.random.default_rng(0)
    recordings = {stem: [sound(rng, size) for _ in range(groups)] for stem in stems or ("vocals", "accompaniment")}
    return Pool(recordings, {f"g{i}": [i] for i in range(groups)}, [PITCH[i % 2] for i in range(groups)])


def sound(rng: np.random.Generator, size: int) -> NDArray[np.int16]:
    return np.clip(3000 * rng.standard_normal(size), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("aligned", [0.0, 1.0])
def test_only_recordings_of_the_groups_are_drawn(aligned: float) -> None:
    pool = dense(4)
    for stems in pool.stems.values():
        for i, recording in enumerate(stems):
            recording[:] = 0 if i == 2 else 5000
    only = Pool(pool.stems, {"g2": pool.groups["g2"]}, pool.labels)
    mixer = VocalMixer(only, None, None, LENGTH, aligned=aligned, voiceless=0.0, second_voice=0.0)
    assert only.drawn == [2] and pool.drawn == [0, 1, 2, 3]
    assert not any(mixer.example(0, 0, i).any() for i in range(12))


@cache
def vocals() -> VocalMixer:
    return VocalMixer(ragged("vocals", "accompaniment"), ragged("speech", seed=1), ragged("music", seed=2), LENGTH)


@cache
def karaoke() -> VocalMixer:
    return VocalMixer(ragged("vocals", "accompaniment"), None, None, LENGTH, aligned=1.0, voiceless=0.0)


@cache
def speakers() -> SpeakerMixer:
    return SpeakerMixer(ragged("speech"), LENGTH)


MIXERS: dict[str, Callable[[], Mixer]] = {"vocals": vocals, "karaoke": karaoke, "speakers": speakers}
each_mixer = pytest.mark.parametrize("mixer", [make() for make in MIXERS.values()], ids=list(MIXERS))


@each_mixer
def test_an_example_is_a_pure_function_of_seed_step_and_index(mixer: Mixer) -> None:
    first = mixer.example(*EXAMPLE)
    assert first.any()
    mixer.example(9, 9, 9)
    np.random.default_rng().random()
    assert np.array_equal(first, mixer.example(*EXAMPLE))


@each_mixer
@pytest.mark.parametrize("other", [(2, 2, 5), (1, 3, 5), (1, 2, 6), (5, 2, 1), (2, 1, 5)])
def test_any_other_seed_step_or_index_gives_another_example(mixer: Mixer, other: tuple[int, int, int]) -> None:
    assert not np.array_equal(mixer.example(*EXAMPLE), mixer.example(*other))


def test_the_recordings_are_not_changed() -> None:
    mixer = vocals()
    before = [recording.copy() for recording in mixer.pairs.stems["vocals"]]
    for index in range(50):
        mixer.example(0, 0, index)
    assert all(np.array_equal(a, b) for a, b in zip(before, mixer.pairs.stems["vocals"], strict=True))


@each_mixer
def test_fuzz_shape_finite_and_level(mixer: Mixer) -> None:
    """The mixture's deviation is one, jittered by a normal number of decibels, whatever came out of the pools."""
    levels = []
    for index in range(FUZZED):
        stems = mixer.example(0, index // 7, index % 7)
        assert stems.shape == (len(mixer.sources), mixer.length)
        assert stems.dtype == np.float32
        assert np.isfinite(stems).all()
        deviation = float(stems.sum(0).std())
        if deviation > 0:  # two crops of silence are silence
            levels.append(20 * np.log10(deviation))
    assert len(levels) > 0.75 * FUZZED
    assert np.abs(levels).max() < 5 * LEVEL_JITTER_DB
    assert np.mean(levels) == pytest.approx(0, abs=4 * LEVEL_JITTER_DB / np.sqrt(FUZZED))
    assert np.std(levels) == pytest.approx(LEVEL_JITTER_DB, rel=0.2)


@pytest.mark.parametrize("share", [0.0, 0.15, 1.0])
def test_the_declared_share_has_no_voice_at_all(share: float) -> None:
    """Else a model never learns to say nothing."""
    mixer = VocalMixer(dense(5), None, None, LENGTH, voiceless=share)
    silent = [not mixer.example(0, 0, i)[0].any() for i in range(FUZZED)]
    assert np.mean(silent) == pytest.approx(share, abs=3 * np.sqrt(share * (1 - share) / FUZZED) + 1e-9)
    assert all(mixer.example(0, 0, i)[1].any() for i in range(50)), "the music stays"


def test_voices_come_at_many_levels() -> None:
    mixer = VocalMixer(dense(5), None, None, LENGTH, voiceless=0.0, aligned=0.0, second_voice=0.0)
    ratios = []
    for index in range(FUZZED):
        voice, music = mixer.example(0, 0, index)
        ratios.append(20 * np.log10(voice.std() / music.std()))
    assert np.mean(ratios) == pytest.approx(0, abs=1.5)
    assert 3 < np.std(ratios) < 8


def test_half_of_the_voices_are_turned_over() -> None:
    """Seen on a recording that is all positive."""
    recordings = dense(2)
    recordings.stems["vocals"] = [np.abs(recording) for recording in recordings.stems["vocals"]]
    mixer = VocalMixer(recordings, None, None, LENGTH, aligned=1.0, voiceless=0.0)
    positive = [mixer.example(0, 0, i)[0].mean() > 0 for i in range(FUZZED)]
    assert np.mean(positive) == pytest.approx(0.5, abs=0.08)


def test_aligned_pairs_stay_aligned() -> None:
    """Voice and music of one clip are cut at the same place and played at the same speed, also when that is not one."""
    recordings = dense(3)
    recordings.stems["accompaniment"] = [recording.copy() for recording in recordings.stems["vocals"]]
    mixer = VocalMixer(recordings, None, None, LENGTH, aligned=1.0, voiceless=0.0)
    for index in range(60):
        voice, music = mixer.example(0, 0, index)
        assert abs(np.corrcoef(voice, music)[0, 1]) > 0.999


def test_remixes_go_across_songs() -> None:
    recordings = dense(6)
    recordings.stems["accompaniment"] = [recording.copy() for recording in recordings.stems["vocals"]]
    mixer = VocalMixer(recordings, None, None, LENGTH, aligned=0.0, voiceless=0.0)
    correlations = [abs(np.corrcoef(mixer.example(0, 0, i))[0, 1]) for i in range(60)]
    assert np.median(correlations) < 0.1


def test_without_speech_and_music_pools_only_the_pairs_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = record_draws(monkeypatch)
    mixer = VocalMixer(dense(4), None, None, LENGTH, aligned=0.0)
    for index in range(50):
        mixer.example(0, 0, index)
    assert {stem for stem, _ in drawn} == {"vocals", "accompaniment"}
    drawn.clear()
    for index in range(200):
        vocals().example(0, 0, index)
    counts = Counter(stem for stem, _ in drawn)
    assert counts["speech"] / (counts["speech"] + counts["vocals"]) == pytest.approx(vocals().spoken, abs=0.12)
    assert counts["music"] / (counts["music"] + counts["accompaniment"]) == pytest.approx(
        vocals().foreign_music, abs=0.12
    )


def record_draws(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    drawn: list[tuple[str, str | None]] = []
    real = mixing.draw

    def recording(pool: Pool, stem: str, rng: Any, length: int, **options: Any) -> Any:
        drawn.append((stem, options.get("group")))
        return real(pool, stem, rng, length, **options)

    monkeypatch.setattr(mixing, "draw", recording)
    return drawn


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_two_different_people_talk_and_the_declared_share_are_high_and_low(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = record_draws(monkeypatch)
    mixer = SpeakerMixer(ragged("speech"), LENGTH, high_low=share)
    for index in range(FUZZED):
        mixer.example(0, 0, index)
    pairs = list(zip(drawn[::2], drawn[1::2], strict=True))
    assert len(pairs) == FUZZED
    assert all(one != two for (_, one), (_, two) in pairs)
    opposite = [int(str(one)[1:]) % 2 != int(str(two)[1:]) % 2 for (_, one), (_, two) in pairs]
    expected = share + (1 - share) * 3 / 5  # of the five others three are of the other kind
    assert np.mean(opposite) == pytest.approx(expected, abs=0.09 if share < 1 else 0)
    assert len({group for _, group in drawn}) == 6, "everyone speaks"


def test_where_all_voices_are_low_any_two_talk() -> None:
    recordings = dense(3, "speech")
    alike = Pool(recordings.stems, recordings.groups, [{"voice": ""}] * 3)
    assert np.isfinite(SpeakerMixer(alike, LENGTH, high_low=1.0).example(0, 0, 0)).all()


def test_one_speaker_cannot_be_mixed() -> None:
    with pytest.raises(DataError, match="Mix two speakers: 1 in the data"):
        SpeakerMixer(dense(1, "speech"), LENGTH)


def test_the_levels_of_two_speakers_stay_within_the_declared_range() -> None:
    mixer = SpeakerMixer(dense(4, "speech"), LENGTH, level_db=2.5)
    ratios = [20 * np.log10(np.divide(*mixer.example(0, 0, i).std(1))) for i in range(100)]
    assert np.abs(ratios).max() < 2.5 + 0.2
    assert np.std(ratios) == pytest.approx(5 / np.sqrt(12), rel=0.2)  # uniform


@pytest.mark.parametrize("speed", [Fraction(1), *SPEEDS])
def test_a_crop_at_any_speed_has_the_length_and_the_pitch(speed: Fraction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixing, "_speed", lambda rng, probability: speed)
    tone = (10_000 * np.sin(2 * np.pi * 0.05 * np.arange(40_000))).astype(np.int16)
    out = draw(Pool({"s": [tone]}, {"g": [0]}, [{}]), "s", np.random.default_rng(0), LENGTH, speed=1.0)
    assert out.shape == (LENGTH,)
    assert out.dtype == np.float32
    peak = np.abs(np.fft.rfft(out[100:-100] * np.hanning(LENGTH - 200))).argmax() / (LENGTH - 200)
    assert peak == pytest.approx(0.05 * float(speed), abs=5e-4)
    assert np.abs(out[-50:]).max() > 0.2, "the end of the example is sound, not padding"


def test_short_recordings_are_joined_with_pauses() -> None:
    ones = np.full(600, 16384, np.int16)
    out = draw(Pool({"s": [ones]}, {"g": [0]}, [{}]), "s", np.random.default_rng(0), 40_000)
    assert set(np.unique(out)) == {0.0, 0.5}
    assert len(np.flatnonzero(np.diff(out) > 0)) >= 3


def test_normalise_scales_all_stems_alike_and_leaves_silence_silent() -> None:
    rng = np.random.default_rng(0)
    stems = rng.standard_normal((3, 1000)).astype(np.float32)
    ratio = normalise(stems, rng) / stems
    assert ratio.std() < 1e-5
    silence = normalise(np.zeros((2, 1000), np.float32), rng)
    assert not silence.any()
