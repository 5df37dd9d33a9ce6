"""Small recordings and studies of them: noise that stands for voices and music, written to a folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile as sf

from separation.audio import open_reader
from separation.listening.parts import Anchor, Item, Question, Study, System
from separation.signals import Samples, Signal

RATE = 16000
SECONDS = 2.0
ANCHORS = (Anchor(id="low", kind="low_pass", cut_hz=3500), Anchor(id="mid", kind="low_pass", cut_hz=7000))


def noise(
    seed: int, seconds: float = SECONDS, *, rate: int = RATE, channels: int = 1, slope_hz: float = 6000.0
) -> Samples:
    """Noise that falls from `slope_hz` on, as voices do, and comes and goes."""
    length = round(seconds * rate)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal((channels, length)))
    spectrum /= 1 + (np.fft.rfftfreq(length, 1 / rate) / slope_hz) ** 2
    samples = np.fft.irfft(spectrum, length) * (0.6 + 0.4 * np.sin(np.arange(length) / rate * 7))
    return (0.1 * samples / samples.std()).astype(np.float32)


def write(path: Path, samples: Samples, rate: int = RATE) -> Path:
    """A float WAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, samples.T, rate, subtype="FLOAT")
    return path


def recording(folder: Path, name: str, seed: int, **more: float) -> None:
    """``NAME/{target,mixture}.wav``."""
    rate = int(more.get("rate", RATE))
    target, others = (noise(seed + part, **more) for part in (0, 100))  # type: ignore[arg-type]
    write(folder / name / "target.wav", target, rate)
    write(folder / name / "mixture.wav", target + others, rate)


def study_of(*items: str, **more: object) -> Study:
    """A MUSHRA test of two systems, by model, on items that `recording` made."""
    given: dict[str, object] = {
        "name": "small",
        "title": "Small",
        "systems": (System(id="good", model="half"), System(id="poor", model="tenth")),
        "anchors": ANCHORS,
        "items": tuple(
            Item(id=name, mixture=f"{name}/mixture.wav", target=f"{name}/target.wav", source="voice") for name in items
        ),
        "questions": (Question(id="quality", kind="mushra"),),
    }
    return Study(**(given | more))  # type: ignore[arg-type]


class Models:
    """A `Separate`: ``half`` and ``tenth`` keep that much of what is not the target, which lies beside the mixture."""

    def __init__(self, late: int = 0, change: Callable[[Samples], Samples] | None = None) -> None:
        self.asked: list[tuple[str, str, str, float, float]] = []
        self._late, self._change = late, change

    def __call__(self, model: str, mixture: Path, source: str, start: float, duration: float) -> Signal:
        self.asked.append((model, mixture.parent.name, source, start, duration))
        with open_reader(mixture) as heard, open_reader(mixture.with_name("target.wav")) as true:
            rate, first, length = (
                heard.sample_rate,
                round(start * heard.sample_rate),
                round(duration * heard.sample_rate),
            )
            target = true.read(0, true.length)
            estimate = target + np.float32({"half": 0.5, "tenth": 0.1}[model]) * (heard.read(0, heard.length) - target)
            estimate = np.roll(estimate if self._change is None else self._change(estimate), self._late, axis=1)
            return Signal(estimate[:, first : first + length], rate)
