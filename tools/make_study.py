"""Make the audio of the bundled study again, from the bundled examples and lessons.

    python -m tools.make_study [--output assets/studies/voices-over-music]

Five excerpts of voices over music as ``items/ITEM/{mixture,target}.flac``, and what a small model makes of them that was
learned from 12 seconds of the woman's voice and of the lute, as ``systems/nmf/ITEM.flac``. What the other system makes of them,
and the anchors, are not here: the study's build makes them. `study.yaml` and the licence are kept by hand.
"""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile as sf

from separation.audio import resample
from separation.engine import separate
from separation.signals import Samples, Signal
from separation.training.learning import learn

ASSETS = Path(__file__).parents[1] / "assets"
RATE = 32000
"""Hz of the files: 16 kHz of sound in two thirds of the space."""
BAND_LEVEL = 0.8
"""Of the band against the voice over it, as root mean squares."""
CUTS: dict[str, tuple[tuple[float, float], ...]] = {"lute": ((0, 6), (6, 12), (12, 18)), "band": ((0, 6.5), (7, 13.5))}
"""Seconds of each recording that are items: ``lute-1``, ``lute-2`` …"""


def recordings() -> Iterator[tuple[str, Samples, Samples]]:
    """Name, mixture and target, each mono ``[1, T]`` at 44.1 kHz."""
    examples = ASSETS / "examples"
    yield "lute", _mono(examples / "voice-over-music/mixture.flac"), _mono(examples / "voice-over-music/vocals.flac")
    voice = _mono(examples / "two-speakers/speaker-1.flac")
    band = _mono(examples / "guitar-and-band/band.flac")[:, : voice.shape[1]]
    yield "band", voice + band * (BAND_LEVEL * np.std(voice) / np.std(band)).astype(np.float32), voice


def make(folder: Path) -> None:
    """Write all files."""
    lessons = ASSETS / "lessons"
    clips = {
        "voice": [_signal(lessons / "two-voices/woman.flac")],
        "music": [_signal(lessons / "voice-and-music/music.flac")],
    }
    model = learn("nmf", clips, seed=0)
    for name, mixture, target in recordings():
        estimate = separate(model, Signal(mixture, 44100))["voice"].samples
        for number, (start, stop) in enumerate(CUTS[name], 1):
            item = f"{name}-{number}"
            _write(folder / "items" / item / "mixture.flac", mixture, start, stop)
            _write(folder / "items" / item / "target.flac", target, start, stop)
            _write(folder / "systems" / "nmf" / f"{item}.flac", estimate, start, stop)
            logging.getLogger(__name__).info("%s", item)


def _write(path: Path, samples: Samples, start: float, stop: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cut = resample(samples, 44100, RATE)[:, round(start * RATE) : round(stop * RATE)]
    sf.write(path, cut.T.clip(-1, 1), RATE, format="FLAC", subtype="PCM_16", compression_level=1.0)


def _mono(path: Path) -> Samples:
    mean: Samples = _signal(path).samples.mean(axis=0, keepdims=True)
    return mean


def _signal(path: Path) -> Signal:
    samples, rate = sf.read(path, dtype="float32", always_2d=True)
    return Signal(samples.T, rate)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the audio of the bundled study.")
    parser.add_argument("--output", type=Path, default=ASSETS / "studies" / "voices-over-music")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    make(parser.parse_args().output)


if __name__ == "__main__":
    main()
