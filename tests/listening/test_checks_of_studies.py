"""The check finds what would spoil a study, says it with numbers, and is silent about a good one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import freqz
from study_sounds import RATE, Models, noise, recording, study_of, write

from separation.audio.anchors import low_pass, low_pass_taps
from separation.listening.checks import Finding, check, removed_db
from separation.listening.materials import prepare
from separation.listening.parts import Anchor, Question, Study, System

SIX = ("one", "two", "three", "four", "five", "six")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    for number, name in enumerate(SIX):
        recording(folder, name, number)
    return folder


def found(study: Study, base: Path, models: Models | None = None) -> list[Finding]:
    return check(study, prepare(study, base, base.parent / "small", separate=models or Models()))


def at(findings: list[Finding], level: str) -> str:
    return "\n".join(f"{one.where}: {one.text}" for one in findings if one.level == level)


def test_a_good_study_has_nothing_but_notes(base: Path) -> None:
    findings = found(study_of(*SIX), base)
    assert {one.level for one in findings} == {"note"}
    assert "low-passed at 3,500 Hz (as BS.1534-3 asks)" in at(findings, "note")
    assert "It takes away, of the energy of each item: one -" in at(findings, "note")


def test_audio_of_another_version_is_refused(base: Path) -> None:
    study = study_of(*SIX)
    prepared = prepare(study, base, base.parent / "small", separate=Models())
    (only,) = check(study_of(*SIX, seed=3), prepared)
    assert only.level == "error" and "Build it again" in only.text


@pytest.mark.parametrize("loudness", ["target", "bs1770"])
def test_what_a_low_pass_takes_away_is_measured(base: Path, loudness: str) -> None:
    """Of white noise the mean of what the filter lacks, over frequency. A gain afterwards does not count."""
    for name in ("target.wav", "mixture.wav"):
        white = np.random.default_rng(0).standard_normal((1, 2 * RATE)).astype(np.float32) * np.float32(0.05)
        write(base / "one" / name, white)
    prepared = prepare(study_of("one", loudness=loudness), base, base.parent / "small", separate=Models())
    for name, cut_hz in (("mid", 7000.0), ("low", 3500.0)):
        taps = low_pass_taps(RATE, cut_hz)
        lacking = 1 - np.abs(freqz(taps, worN=4096)[1])
        assert removed_db(prepared, "one", name) == pytest.approx(10 * np.log10(np.mean(lacking**2)), abs=0.3)


def test_anchors_that_take_nothing_away_are_no_mushra_until_they_are_scaled(base: Path) -> None:
    """As with a model of 8 kHz: there is nothing above 4 kHz, and next to nothing above 2."""
    for name in SIX:
        target = low_pass(noise(1), RATE, 2000.0)
        write(base / name / "target.wav", target)
        write(base / name / "mixture.wav", target + noise(2))
    errors = at(found(study_of(*SIX), base), "error")
    assert "mid: It takes away less than -25 dB of 6 of 6 items (one -" in errors and "This is not MUSHRA" in errors
    cuts = [float(rest.partition(" ")[0]) for rest in errors.split("cut_hz: ")[1:3]]
    assert {one.cuts for one in found(study_of(*SIX), base) if one.level == "error"} == {tuple(cuts)}
    assert 0 < cuts[0] < cuts[1] < 2000

    scaled = tuple(Anchor(id=name, kind="low_pass", cut_hz=cut) for name, cut in zip(("low", "mid"), cuts, strict=True))
    findings = found(study_of(*SIX, anchors=scaled), base)
    assert at(findings, "error") == ""
    assert "here they are at" in at(findings, "warning")
    assert "takes away less" not in at(findings, "warning")
    assert "not BS.1534-3): linear-phase" in at(findings, "note")


def test_systems_of_different_bandwidth_are_told_with_a_common_band(base: Path) -> None:
    write(base / "narrow" / "one.wav", low_pass(noise(0), RATE, 3300.0))
    write(base / "wide" / "one.wav", noise(0, slope_hz=8000.0))
    study = study_of(
        "one", systems=(System(id="narrow", files="narrow/{item}.wav"), System(id="wide", files="wide/{item}.wav"))
    )
    warnings = at(found(study, base), "warning")
    assert "narrow 3," in warnings and "sample_rate: 8000" in warnings
    assert "different frequencies" not in at(found(replaced(study, sample_rate=8000), base), "warning")


def replaced(study: Study, **more: object) -> Study:
    return study.model_copy(update=more)


def test_the_wrong_file_twice_is_an_error(base: Path) -> None:
    write(base / "a" / "one.wav", noise(5))
    study = study_of("one", systems=(System(id="x", files="a/one.wav"), System(id="y", files="a/{item}.wav")))
    assert "x and y are the same to the bit" in at(found(study, base), "error")
    study = study_of("one", systems=(System(id="x", files="a/one.wav"), System(id="y", files="one/target.wav")))
    assert "y is the reference itself" in at(found(study, base), "error")


def test_flags_of_the_audio_are_warnings_and_removed_lags_are_notes(base: Path) -> None:
    findings = found(study_of("one"), base, Models(late=700))
    assert "one: good: It comes 700 samples" in at(findings, "warning")
    findings = found(study_of("two"), base, Models(late=-4))
    assert "two: good: It came 4 samples early; that was removed." in at(findings, "note")


def test_few_items_and_scales_of_ones_own_are_told(base: Path) -> None:
    many = tuple(System(id=f"s{number}", files=f"s{number}/{{item}}.wav") for number in range(5))
    for number, system in enumerate(many):
        write(base / system.id / "one.wav", noise(20 + number))
    question = Question(id="quality", kind="mushra", attribute="target")
    findings = found(study_of("one", systems=many, questions=(question,)), base)
    assert "It has 1 item;" in at(findings, "warning") and "8 for 5 systems" in at(findings, "warning")
    assert "It asks for `target`" in at(findings, "note")


def test_lengths_are_told(base: Path) -> None:
    recording(base, "long", 3, seconds=13.0)
    recording(base, "short", 4, seconds=0.45)
    findings = found(study_of("long", "short"), base)
    assert "long: It has 13.0 s" in at(findings, "warning") and "short: It has 0.45 s" in at(findings, "error")


def test_errors_come_first(base: Path) -> None:
    write(base / "same" / "one.wav", noise(5))
    systems = (System(id="late", model="half"), *(System(id=name, files="same/{item}.wav") for name in "xy"))
    findings = found(study_of("one", systems=systems), base, Models(late=700))
    levels = [one.level for one in findings]
    assert levels == sorted(levels, key=["error", "warning", "note"].index) and len(set(levels)) > 1
    assert replace(findings[0], level="note") != findings[0]
