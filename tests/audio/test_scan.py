"""The first pass over a recording."""

import numpy as np
import pytest
from audio_files import music

from separation.audio import BLOCK, ArrayReader, scan
from separation.errors import Cancelled, NonFiniteAudio
from separation.signals import Samples, Signal


def _reader(samples: Samples, sample_rate: int = 1000) -> ArrayReader:
    return ArrayReader(Signal(samples, sample_rate), "take.wav")


@pytest.mark.parametrize("length", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_figures_are_those_of_the_whole(length: int, offset: float) -> None:
    sound = music(length) + np.float32(offset)
    figures = scan(_reader(sound))
    mid = sound.astype(np.float64).mean(axis=0)
    assert figures.mean == pytest.approx(mid.mean(), rel=1e-12, abs=1e-15)
    assert figures.deviation == pytest.approx(mid.std(), rel=1e-9, abs=1e-12)
    assert figures.peak == np.abs(sound).max()
    assert not figures.silent


@pytest.mark.parametrize(("level", "silent"), [(0.0, True), (9e-7, True), (2.0**-15, False)])
def test_silence(level: float, silent: bool) -> None:
    figures = scan(_reader(np.full((2, 100), level, np.float32)))
    assert figures.silent is silent and figures.deviation == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_what_is_not_a_number_is_named_with_time_and_channel(value: float, word: str) -> None:
    sound = music(BLOCK + 5000, 3)
    sound[1, BLOCK + 928] = value
    sound[0, BLOCK + 929] = value
    with pytest.raises(NonFiniteAudio, match=f"at 132.000 s in channel 2 is {word}") as caught:
        scan(_reader(sound))
    assert caught.value.asked == "Read take.wav"


def test_a_scan_can_be_cancelled() -> None:
    answers = iter([False, True])
    with pytest.raises(Cancelled, match=r"take\.wav"):
        scan(_reader(music(3 * BLOCK)), cancelled=lambda: next(answers))
