"""Two takes made comparable: the target equally loud, the same source by one name, nothing clipping."""

import math
from pathlib import Path

import numpy as np
import pytest

from separation.audio import Writer
from separation.audio.loudness import component, loudness
from separation.listening.arena import Side, System
from separation.signals import Samples
from separation.ui.matched import PEAK, Prepared, levelled, prepare, samples_16
from separation.ui.takes import Recording

RATE, SECONDS = 16000, 2
SOURCES = ("one", "two")
SYSTEMS: dict[Side, System] = {"left": System("a", "A", "a", {}), "right": System("b", "B", "b", {})}


def noise(seed: int, level: float = 0.1) -> Samples:
    return (level * np.random.default_rng(seed).normal(0, 1, (1, RATE * SECONDS))).astype(np.float32)


def write(path: Path, samples: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, RATE, 1, bit_depth="32f") as writer:
        writer.write(samples)


def recording(
    folder: Path, left: dict[str, Samples], right: dict[str, Samples], references: dict[str, Samples]
) -> Recording:
    """With complete takes by both systems, whose residuals are silent."""
    made = Recording(
        "id", folder, "task", "name", "", "", False, 0.0, RATE, 1, RATE * SECONDS, tuple(references), "", "", 0.0
    )  # fmt: skip
    write(made.mixture, noise(9))
    for name, samples in references.items():
        write(made.reference(name), samples)
    for side, tracks in (("left", left), ("right", right)):
        for name, samples in {**tracks, "residual": np.zeros_like(noise(0))}.items():
            write(made.take(SYSTEMS["left" if side == "left" else "right"]) / f"{name}.wav", samples)
    return made


def played(prepared: Prepared, role: str) -> Samples:
    return levelled(prepared[role].sound, prepared[role].gain).samples


def test_where_the_target_is_known_it_is_equally_loud_whatever_bleeds(tmp_path: Path) -> None:
    """A stem with much bleed is louder by BS.1770: matched by that its target would be quieter than the other's."""
    one, two = noise(1), noise(2)
    made = recording(
        tmp_path, {"one": 0.5 * one + two, "two": two}, {"one": 0.3 * one, "two": 2 * two}, {"one": one, "two": two}
    )
    prepared = prepare(made, SYSTEMS, SOURCES)
    for name, target in (("one", one), ("two", two)):
        levels = [abs(component(target, played(prepared, f"{side}:{name}"))) for side in ("left", "right")]
        assert 20 * math.log10(levels[0] / levels[1]) == pytest.approx(0, abs=0.01)
    assert loudness(played(prepared, "left:one"), RATE) > loudness(played(prepared, "right:one"), RATE) + 2


def test_without_a_target_the_louder_side_comes_down(tmp_path: Path) -> None:
    one, two = noise(1), noise(2, 0.05)
    prepared = prepare(
        recording(tmp_path, {"one": one, "two": two}, {"one": 0.4 * one, "two": 2 * two}, {}), SYSTEMS, SOURCES
    )
    for name in SOURCES:
        levels = [loudness(played(prepared, f"{side}:{name}"), RATE) for side in ("left", "right")]
        assert levels[0] == pytest.approx(levels[1], abs=0.01)
    assert max(one.gain for one in prepared.values()) == 1.0
    assert not any(one.flag for one in prepared.values())


def test_silence_gets_no_gain_and_a_flag(tmp_path: Path) -> None:
    silent = np.zeros_like(noise(0))
    prepared = prepare(
        recording(tmp_path, {"one": silent, "two": noise(1)}, {"one": noise(2), "two": noise(3)}, {}), SYSTEMS, SOURCES
    )
    assert prepared["left:one"].gain == prepared["right:one"].gain == 1.0
    assert "silent" in prepared["left:one"].flag and "silent" in prepared["right:one"].flag


@pytest.mark.parametrize("known", [True, False])
def test_outputs_without_an_order_get_the_same_names(tmp_path: Path, known: bool) -> None:
    one, two = noise(1), noise(2)
    references = {"one": one, "two": two} if known else {}
    made = recording(tmp_path, {"one": one, "two": two}, {"one": two, "two": -one}, references)
    prepared = prepare(made, SYSTEMS, SOURCES, permuted=True)
    for name, sound in (("one", one), ("two", two)):
        for side in ("left", "right"):
            assert abs(np.corrcoef(played(prepared, f"{side}:{name}")[0], sound[0])[0, 1]) > 0.99


def test_one_common_gain_keeps_everything_from_clipping(tmp_path: Path) -> None:
    loud, soft = noise(1, 0.9), noise(2)
    made = recording(tmp_path, {"one": loud, "two": soft}, {"one": loud, "two": soft}, {})
    prepared = prepare(made, SYSTEMS, SOURCES)
    gains = {one.gain for one in prepared.values()}
    assert len(gains) == 1 and gains.pop() < 1
    assert max(float(np.abs(played(prepared, role)).max()) for role in prepared) == pytest.approx(PEAK)


def test_what_is_sent_is_what_was_prepared(tmp_path: Path) -> None:
    made = recording(tmp_path, {"one": noise(1), "two": noise(2)}, {"one": noise(3), "two": noise(4)}, {})
    one = prepare(made, SYSTEMS, SOURCES)["right:two"]
    sent = np.frombuffer(samples_16(tmp_path / one.file, one.gain), "<i2") / 32768
    assert np.abs(sent - one.sound.samples[0] * one.gain).max() <= 0.5 / 32768 + 1e-7
