"""The protocols on small folders made here: whole test sides, no training material, the right numbers for known models."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from separation.evaluation import protocols, speaker_pairs, vocals_mir1k, vocals_outside
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


def test_mir1k_measures_the_test_side_only(mir1k):
    seen: list[str] = []
    rows = vocals_mir1k(HalfOfEverything("vocals", "accompaniment"), mir1k, progress=seen.append)
    assert {line.split(":")[0] for line in seen} == {"bug/bug_1_01", "bug/bug_2_01", "annar/annar_1_01"}
    assert [row.metric for row in rows] == ["GNSDR (BSS-eval v3)", "SI-SDRi"]
    for row in rows:
        assert row.mean == pytest.approx(0, abs=1e-3)  # half the mixture is as good as the mixture
        assert row.clips == 3
        assert row.clusters == "3 songs"


def test_outside_measures_voices_and_silence(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(protocols, "OUTSIDE_SECONDS", 4.0)
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
    for name in protocols.packages.SPEAKING:
        write(root / protocols.packages.CHARACTERS / name / "Hello.ogg", 0.1 * rng.standard_normal(RATE), 44100)
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
    at_level = protocols._at_level
    monkeypatch.setattr(protocols, "_at_level", lambda x: parts.append(at_level(x)) or parts[-1])

    def swapped(model, signal, options):
        second, first = parts[-1], parts[-2]
        noisy = {"speaker 1": second, "speaker 2": first}
        return {
            name: protocols.Signal((x + 0.01 * rng.standard_normal(x.size))[None], 8000) for name, x in noisy.items()
        }

    monkeypatch.setattr(protocols, "separate", swapped)
    rows = speaker_pairs(Perfect([]), tmp_path)
    assert [row.clips for row in rows] == [2, 1]
    assert all(row.mean == pytest.approx(20, abs=1) for row in rows)
