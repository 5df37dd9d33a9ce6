"""How well the voices of a mixture are found, against each voice tracked alone; and how fast.

    python -m benchmarks.pitch STEM STEM [STEM …] [--seconds S]

The stems are mixed as they are. The reference is `track_stem` (pYIN) of each, which is not the truth: it makes octave errors
of its own. Precision, recall and accuracy are mir_eval's for multiple pitches, within half a semitone, whoever sings; *whose*
is the part of each voice's voiced moments at which its own track is right, which is what a model of voices goes by.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from mir_eval.multipitch import metrics

from separation.audio import open_reader, resample
from separation.signals import Signal
from separation.transforms import track_mixture, track_stem
from separation.transforms.pitch import HOP, RATE

RIGHT = 50.0
"""Cents by which a pitch may be off."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stems", nargs="+", type=Path, help="voices that sing together, the highest first")
    parser.add_argument("--seconds", type=float, default=None, help="of each; all by default")
    options = parser.parse_args()
    voices = [_read(path, options.seconds) for path in options.stems]
    length = min(map(len, voices))
    true = np.stack([track_stem(Signal(voice[None, :length], RATE)).hz for voice in voices])
    mixture = Signal(sum(voice[:length] for voice in voices)[None], RATE)  # type: ignore[index]
    started = time.perf_counter()
    found = np.stack([track.hz for track in track_mixture(mixture, len(voices))])
    seconds = time.perf_counter() - started
    times = np.arange(true.shape[1]) * HOP / RATE
    precision, recall, accuracy, *_ = metrics(times, [f[f > 0] for f in true.T], times, [f[f > 0] for f in found.T])
    print(f"precision {precision:.3f} · recall {recall:.3f} · accuracy {accuracy:.3f}")
    for path, reference, estimate in zip(options.stems, true, found, strict=True):
        both = (reference > 0) & (estimate > 0)
        cents = np.abs(1200 * np.log2(estimate[both] / reference[both]))
        whose, off = (cents < RIGHT).sum() / (reference > 0).sum(), np.median(cents[cents < RIGHT])
        print(f"{path.stem}: whose {whose:.3f} · then off by {off:.0f} cents (median)")
    print(f"{length / RATE / seconds:.1f} × real time")


def _read(path: Path, seconds: float | None) -> np.ndarray:
    with open_reader(path) as reader:
        length = reader.length if seconds is None else min(reader.length, round(seconds * reader.sample_rate))
        return resample(reader.read(0, length).mean(0), reader.sample_rate, RATE)


if __name__ == "__main__":
    main()
