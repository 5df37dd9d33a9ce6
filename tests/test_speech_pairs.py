"""The benchmark of speech pairs: who is paired with whom, a run that can be stopped, and what the page says of its numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import speech_pairs
from benchmarks.speech_pairs import (
    Pair,
    best,
    gathered,
    make_pair,
    measure,
    nearest,
    read,
    section,
    violins,
)
from separation.audio import Writer
from separation.datasets.speech import read_speakers
from separation.errors import DataError, ModelError

RATE = 16000
SPEAKERS = {"FA": 200.0, "FB": 230.0, "MC": 110.0}
SENTENCES = 20


def corpus(folder: Path) -> Path:
    """Harmonic tones as sentences, 0.2 s and a little more each, every one of another length."""
    for speaker, hz in SPEAKERS.items():
        (folder / "tsp" / speaker).mkdir(parents=True)
        for number in range(SENTENCES):
            time = np.arange(3200 + 37 * number + int(hz)) / RATE
            wave = sum(np.sin(2 * np.pi * hz * (1 + number / 50) * n * time) / n for n in range(1, 6))
            with Writer(folder / "tsp" / speaker / f"{speaker}{number:02d}.wav", RATE, 1) as writer:
                writer.write(0.1 * np.asarray(wave, np.float32)[None])
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("speech"))


def line(system: str, components: int, pair: int, sdr: float) -> dict[str, object]:
    return {"system": system, "components": components, "pair": pair, "sdr": sdr, "sir": sdr + 3, "sar": 9.0}


def test_pairs_are_all_women_with_all_men_and_then_other_sentences(data: Path) -> None:
    speakers = read_speakers(data / "tsp", "tsp")
    pairs = [make_pair(speakers, number) for number in range(4)]
    assert [pair.names for pair in pairs] == [("FA", "MC"), ("FB", "MC")] * 2
    for pair in pairs:
        assert pair.tests.shape[0] == 2
        np.testing.assert_allclose(pair.tests.std(1), 1, atol=1e-4)
        np.testing.assert_allclose(pair.tests.mean(1), 0, atol=1e-4)
        assert pair.clips[0].length == pair.clips[1].length
        assert 8.5 * 0.2 < pair.clips[0].duration < 9.5 * 0.3
    assert pairs[0].clips[0].length < pairs[2].clips[0].length  # later sentences are longer ones
    with pytest.raises(DataError, match=r"pair 5.*2 women and 1 men with 20 sentences"):
        make_pair(speakers, 4)


def test_the_test_is_not_among_what_teaches(data: Path) -> None:
    speakers = read_speakers(data / "tsp", "tsp")
    pair = make_pair(speakers, 0)
    for test, clip in zip(pair.tests, pair.clips, strict=True):
        start = test[:2000] / np.linalg.norm(test[:2000])
        windows = np.lib.stride_tricks.sliding_window_view(clip.samples[0], 2000)[::10]
        alike = np.abs(windows @ start) / np.linalg.norm(windows, axis=1)
        assert float(alike.max()) < 0.999


def test_the_sentences_nearest_in_length_are_the_test() -> None:
    assert nearest([[10, 70, 30], [50, 68, 90]]) == (1, 1)
    assert nearest([[5, 5], [9, 6]]) == (0, 1)


def test_a_run_goes_on_where_it_was_stopped(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "runs" / "pairs.jsonl"
    first = list(measure(data, output, ["nmf"], [4], 1))
    assert "published" not in first[0]
    assert [(one["system"], one["components"], one["pair"]) for one in first] == [("nmf", 4, 0)]
    assert first[0]["sdr"] == pytest.approx(np.mean(first[0]["each"]["sdr"]))
    assert first[0]["sdr"] > 5  # tones an octave apart: learned, and separated
    assert first[0]["sir"] >= first[0]["sdr"]
    with output.open("a") as file:
        file.write('{"system": "nmf", "compon')  # killed while it wrote
    asked = []

    def score(system: str, components: int, pair: Pair) -> dict[str, float]:
        asked.append((system, components, pair.number))
        return {"sdr": 1.0}

    monkeypatch.setattr(speech_pairs, "score", score)
    again = list(measure(data, output, ["nmf", "nae"], [4], 2))
    assert asked == [("nae", 4, 0), ("nmf", 4, 1), ("nae", 4, 1)]
    assert [json.loads(text)["sdr"] for text in output.read_text().splitlines()] == [first[0]["sdr"], 1.0, 1.0, 1.0]
    assert read(output)[1:] == json.loads(json.dumps(again))


def test_auto_encoders_separate_as_they_ship_and_as_published(data: Path) -> None:
    pair = make_pair(read_speakers(data / "tsp", "tsp"), 0)
    found = speech_pairs.score("nae", 3, pair)
    assert found["published"]["sdr"] != found["sdr"]
    assert found["published"].keys() == {"sdr", "sir", "sar", "each"}
    assert len(found["loss"]) == 2


def test_unknown_systems_and_missing_speech_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such system"):
        next(measure(data, tmp_path / "out", ["magic"], [4], 1))
    with pytest.raises(DataError):
        next(measure(tmp_path, tmp_path / "out", ["nmf"], [4], 1))


def test_the_section_has_a_row_a_number_and_a_verdict_a_claim() -> None:
    lines = [line("ccae", k, pair, sdr + pair / 10) for k, sdr in ((10, 5.0), (80, 6.4)) for pair in range(3)]
    lines += [line("nae", 10, pair, 3.0 + pair / 5) for pair in range(3)]
    lines = [{**one, "published": {**one, "sdr": float(str(one["sdr"])) - 1}} for one in lines]
    lines += [line("nmf", 10, pair, 4.0) for pair in range(2)]
    scores = gathered(lines[::-1])
    assert list(scores) == ["nmf", "nae", "nae (published)", "ccae", "ccae (published)"]
    assert scores["ccae"]["80"]["sdr"] == [6.4, 6.5, 6.6]
    assert best(scores, "ccae") == 80
    text = "\n".join(section(scores))
    assert "| 10 | **4.00 [4.0, 4.0]** | **3.20 [3.0, 3.4]** | **2.20 [2.0, 2.4]** (3.8) | 5.10 [5.0, 5.2] |" in text
    assert "| 80 |  |  |  | **6.50 [6.4, 6.6]** | **5.50 [5.4, 5.6]** (6.3) |" in text
    assert "- Convolutive auto-encoder: reaches 6.3 dB at its best K: holds, 6.50 [6.4, 6.6] dB at K = 80." in text
    assert "- Convolutive auto-encoder (published): reaches 6.3 dB at its best K: does not hold, 5.50" in text
    assert "above Non-negative auto-encoder at its best: holds, median difference of 3 pairs +3.30" in text
    alone = "\n".join(section(gathered(lines[:6])))
    assert "reaches" in alone
    assert "above" not in alone
    assert section({}) == []


def test_violins_have_a_row_a_system_and_a_dot_a_pair() -> None:
    lines = [line(s, k, pair, k / 20 + pair) for s in ("nmf", "ccae") for k in (10, 80) for pair in range(3)]
    scores = gathered(lines)
    figure = violins(scores)
    assert [trace["type"] for trace in figure.spec["data"]] == ["violin", "violin"]
    assert len(figure.rows) == 6
    assert {row[0] for row in figure.rows} == {"NMF, K = 80", "Convolutive auto-encoder, K = 80"}
    every = violins(scores, "sir", components=[10, 80, 90])
    assert len(every.spec["data"]) == 4
    colours = [trace["marker"]["color"] for trace in every.spec["data"]]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    published = violins(gathered([{**line("nae", 40, 0, 4.0), "published": line("nae", 40, 0, 3.0)}]))
    assert [row[2] for row in published.rows] == [4.0, 3.0]
    assert figure.rows[0] == ("NMF, K = 80", "pair 1", 4.0)
    assert every.rows[0] == ("NMF, K = 10", "pair 1", 3.5)


def test_the_papers_figures_are_complete() -> None:
    assert all(list(values) == list(range(10, 101, 10)) for values in speech_pairs.PAPER.values())
    assert max(speech_pairs.PAPER["ccae"].values()) == speech_pairs.PAPER["ccae"][80] == speech_pairs.CLAIMED_DB
