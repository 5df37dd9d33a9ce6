"""The benchmark of choirs: a run that can be stopped, seconds that count, and what the page says of its numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import choir as benchmark
from benchmarks.choir import (
    BASELINE,
    CEILING,
    FLOOR,
    PER_FILE,
    Mix,
    ideal,
    measure,
    read,
    scores,
    section,
    separated,
    summary,
)
from separation.metrics import si_sdr
from separation.models import build, with_voices
from separation.transforms import source_filter as sf

HOP, RATE = benchmark.HOP, benchmark.RATE
NET = {"latent": 6, "encoder": 8, "decoder": 8, "order": 4, "noise_bands": 4}


def mix(voices: tuple[str, ...] = ("soprano", "bass"), seconds: int = 8) -> Mix:
    """Buzzing voices a fifth apart; the last one is silent for the last second."""
    frames = 1 + seconds * RATE // HOP
    pitch = torch.stack([torch.full((frames,), 440 * (2 / 3) ** i) for i in range(len(voices))])
    pitch[-1, (seconds - 1) * RATE // HOP - 1 :] = 0
    return Mix("quartet 3", voices, sf.voiced(sf.buzz(pitch, HOP, RATE), (pitch > 0).float()), pitch)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on one quartet and one pair, with a model of random weights that is called ``tiny``."""
    torch.manual_seed(0)
    model: Any = build("umss", NET)
    monkeypatch.setattr(benchmark, "mixes", lambda data, cache: iter([mix(benchmark.VOICES, 4), mix(seconds=4)]))
    monkeypatch.setattr(benchmark, "load", lambda folder: model.eval())
    monkeypatch.setattr(benchmark, "BASELINE_ARGUMENTS", {"steps": 3, "bumps": 6, "shapes": 1, "near": 0})
    monkeypatch.setattr(benchmark, "fitted", lambda mix, pitch, steps: with_voices(model, mix.voices))
    return tmp_path / "run"


def test_a_run_measures_every_system_once_and_goes_on_where_it_was_stopped(folder: Path) -> None:
    wanted: dict[str, Any] = {"models": {"tiny": folder}, "told": ["stems"], "seeds": range(2), "per_file": 3}
    some = measure(folder, folder, **wanted)
    first = [next(some) for _ in range(3)]
    some.close()
    with (folder / "scores.jsonl").open("a") as file:
        file.write('{"system": "cut of')
    assert read(folder) == first
    (folder / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in first))
    rest = list(measure(folder, folder, **wanted))
    assert first + rest == read(folder)
    measured = [(line["system"], line["seed"], len(line["voices"])) for line in first + rest]
    assert len(set(measured)) == len(measured) == 2 * 5 + 2
    assert {system for system, _, _ in measured} == {FLOOR, CEILING, BASELINE, PER_FILE, "tiny"}
    assert {voices for system, _, voices in measured if system == PER_FILE} == {4}
    assert list(measure(folder, folder, **wanted)) == []
    rows = {(row["system"], row["voices"]): row for row in summary(first + rest)}
    assert rows[BASELINE, 2]["mean"] > rows["tiny", 2]["mean"] and rows[CEILING, 2]["mean"] > rows[FLOOR, 2]["mean"]
    assert rows["tiny", 4]["seeds"] == 2


def test_pitch_found_in_a_mixture_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duet, calls = mix(seconds=4), []

    class Track:
        def on_grid(self, hop: float, start: float, count: int) -> Any:
            calls.append((hop, start, count))
            return np.full(count, 100.0, np.float32)

    monkeypatch.setattr(benchmark, "track_mixture", lambda signal, voices: [Track()] * voices)
    folder.mkdir()
    found, again = benchmark.found_in(duet, folder), benchmark.found_in(duet, folder)
    assert found.shape == duet.pitch.shape and torch.equal(found, again)
    assert calls == [(HOP / RATE, 0.0, duet.pitch.shape[-1])] * 2


def test_excerpts_are_separated_by_their_own_pitch() -> None:
    duet = mix()
    model = with_voices(build("pitch_nmf", {"steps": 4, "bumps": 6, "shapes": 1}), duet.voices)
    made = separated(model, duet.mixture, duet.pitch)
    frames = benchmark.EXCERPT // HOP
    alone = separated(model, duet.mixture[:, benchmark.EXCERPT :], duet.pitch[:, frames:])
    assert made.shape == duet.stems.shape
    torch.testing.assert_close(made[:, benchmark.EXCERPT :], alone, atol=1e-4, rtol=1e-3)


def test_seconds_of_silence_have_no_score() -> None:
    duet = mix()
    values = scores(duet.stems, ideal(duet))
    assert len(values) == 2 and all(len(voice) == 4 for excerpt in values for voice in excerpt)
    assert values[1][1][3] is None
    assert all(value is not None and value > 10 for voice in values[0] for value in voice)
    leaking, second = duet.stems + 0.1 * duet.stems.flip(0), slice(5 * RATE, 6 * RATE)
    expected = si_sdr(duet.stems[:, None, second], leaking[:, None, second])
    assert [voice[1] for voice in scores(duet.stems, leaking)[1]] == pytest.approx(expected.tolist(), abs=1e-3)


def line(system: str, value: float, quartet: str, **changes: Any) -> dict[str, Any]:
    seconds = [[[value, value + 2, None, None], [value, value, value, value]]] * 3
    made = {
        "system": system,
        "f0": "stems",
        "seed": 0,
        "quartet": quartet,
        "voices": ["alto", "bass"],
        "scores": seconds,
    }
    return {**made, **changes}


def test_the_summary_compares_each_singer_in_each_excerpt_with_the_baseline() -> None:
    lines = [line(BASELINE, 5.0, "quartet 3"), line(BASELINE, 6.0, "quartet 4")]
    lines += [line("umss", 6.0 + seed, "quartet 3", seed=seed) for seed in (0, 1)] + [line("umss", 7.5, "quartet 4")]
    rows = {row["system"]: row for row in summary(lines)}
    assert rows[BASELINE]["above"] is None and rows[BASELINE]["mean"] == pytest.approx(
        (5 * 5 + 7 + 5 * 6 + 8) / 12, abs=1e-3
    )
    assert rows["umss"]["above"][0] == pytest.approx(1.5) and rows["umss"]["above"][1] > 0
    assert rows["umss"]["seconds"] == 54 and rows["umss"]["seeds"] == 2
    text = "\n".join(section(list(rows.values())))
    assert "| umss | stems | 2 |" in text and "+1.50 [" in text and "6.91" in text
    assert section([]) == []
