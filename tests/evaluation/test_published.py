"""The figures on the cards, on small folders made here: whole test sides, no training material, known models."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from benchmarks import results
from separation.datasets import packages
from separation.errors import DataError
from separation.evaluation import published
from separation.evaluation.published import speaker_pairs, vocals_mir1k, vocals_outside
from separation.hub import bundled
from separation.models import Spec

RATE = 16000


class HalfOfEverything:
    """Every source is half the mixture: no gain at all."""

    def __init__(self, *sources: str, rate: int = RATE) -> None:
        self.spec = Spec(rate, None, sources, 2.0, 0.1)

    def separate(self, mixture, side={}, state=None):
        return torch.stack([mixture / 2] * 2, 1), None


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, samples, rate)


@pytest.fixture
def mir1k(tmp_path, rng) -> Path:
    for clip in ("bug/bug_1_01", "bug/bug_2_01", "annar/annar_1_01", "annar/annar_4_01", "amy/amy_1_01"):
        for half in ("voice", "music"):
            write(tmp_path / "mir1k" / f"{clip}.{half}.wav", 0.1 * rng.standard_normal(RATE))
    return tmp_path


def test_mir1k_measures_the_test_side_only(mir1k, tmp_path):
    seen = []
    rows = vocals_mir1k(["oracle:mixture", "oracle:irm2"], mir1k, tmp_path / "out", progress=seen.append)
    assert seen[-1].total == 2 * 3  # bug_1_01, bug_2_01 and annar_1_01
    for model, lines in rows.items():
        assert [row.metric for row in lines] == ["GNSDR (BSS-eval v3)", "SI-SDRi"]
        for row in lines:
            assert row.mean == pytest.approx(0, abs=1e-6) if model == "oracle:mixture" else row.mean > 3
            assert (row.clips, row.clusters) == (3, "3 songs")
    assert rows["oracle:irm2"][0].low <= rows["oracle:irm2"][0].mean <= rows["oracle:irm2"][0].high


def test_mir1k_with_a_broken_clip_gives_no_figure(mir1k, tmp_path):
    (mir1k / "mir1k" / "bug" / "bug_1_01.voice.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="bug_1_01"):
        vocals_mir1k(["oracle:mixture"], mir1k, tmp_path / "out")


def test_outside_measures_voices_and_silence(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(published, "OUTSIDE_SECONDS", 4.0)
    write(tmp_path / "csd_nino_dios" / "nino_Soprano_105.flac", 0.1 * rng.standard_normal(3 * RATE))
    write(tmp_path / "csd_nino_dios" / "nino_Bajos_104.flac", 0.1 * rng.standard_normal(3 * RATE))
    root = tmp_path / "debian"
    music = ("hyperrogue/music", "planetblupi/music", "games/asc/music", "games/hedgewars/Data/Music",
             "games/wesnoth/1.16/data/core/music")  # fmt: skip
    for folder in music:
        for name in "ab":
            write(root / "usr/share" / folder / f"{name}.wav", 0.1 * rng.standard_normal(RATE), 44100)
    for pack in ("sectoid", "muldjord"):
        for stem in ("guitar", "song"):
            path = root / "usr/share/games/fretsonfire/data/songs" / pack / "one" / f"{stem}.ogg"
            write(path, 0.1 * rng.standard_normal(RATE), 44100)
    for name in packages.SPEAKING:
        write(root / packages.CHARACTERS / name / "Hello.ogg", 0.1 * rng.standard_normal(RATE), 44100)
    floor = vocals_outside("oracle:mixture", tmp_path)
    assert [row.mean for row in floor] == [pytest.approx(0, abs=1e-6)] * 4
    rows = vocals_outside(HalfOfEverything("vocals", "accompaniment", rate=44100), tmp_path)
    assert [(row.task, row.clips) for row in rows] == [
        ("choir solos", 6), ("choir solos", 6), ("44.1 kHz speech", 39), ("44.1 kHz speech", 39)
    ]  # fmt: skip
    assert rows[0].mean == pytest.approx(0, abs=1e-3)
    assert rows[1].mean == pytest.approx(6.02, abs=0.01)  # half is 6 dB quieter, where nobody sings too


class Perfect:
    """Knows the references; gives them in the wrong order."""

    spec = Spec(8000, None, ("speaker 1", "speaker 2"), 30.0, 0.1)

    def __init__(self, references: list[np.ndarray]) -> None:
        self.references = references

    def separate(self, mixture, side={}, state=None):
        raise AssertionError("replaced in the test")


def test_speaker_pairs_take_the_better_order(tmp_path, rng, monkeypatch):
    for name in ("FB", "MD"):
        for i in range(2):
            write(tmp_path / "tsp" / name / f"{i}.wav", 0.1 * rng.standard_normal(8000), 8000)
    for speaker in ("367", "2609"):
        write(
            tmp_path / "librispeech/validation" / speaker / f"{speaker}-1-0000.wav",
            0.1 * rng.standard_normal(8000),
            8000,
        )
    parts: list[np.ndarray] = []
    at_level = published._at_level
    monkeypatch.setattr(published, "_at_level", lambda x: parts.append(at_level(x)) or parts[-1])

    def swapped(model, signal, options):
        second, first = parts[-1], parts[-2]
        noisy = {"speaker 1": second, "speaker 2": first}
        return {
            name: published.Signal((x + 0.01 * rng.standard_normal(x.size))[None], 8000) for name, x in noisy.items()
        }

    monkeypatch.setattr(published, "separate", swapped)
    rows = speaker_pairs(Perfect([]), tmp_path)
    assert [row.clips for row in rows] == [2, 1]
    assert all(row.mean == pytest.approx(20, abs=1) for row in rows)


def test_the_page_of_results_is_what_the_cards_and_yardsticks_say():
    yardsticks = json.loads(results.YARDSTICKS.read_text(encoding="utf-8"))
    assert results.PAGE.read_text(encoding="utf-8") == results.whole_page()
    assert {card.name for card in bundled()} == set(yardsticks)
    for name, models in yardsticks.items():
        assert set(models) == set(results.BESIDE)
        scores = next(card.scores for card in bundled() if card.name == name)
        for rows in models.values():
            assert [(row["metric"], row["data"]) for row in rows] == [(score.metric, score.data) for score in scores]
