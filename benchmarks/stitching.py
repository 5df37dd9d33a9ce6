"""How often two voices change tracks over a pause, and how often the engine says so.

    python -m benchmarks.stitching --data DIR [--model NAME] [--scenes N]

A scene is two voices that talk for 3 to 6 s, are both silent for 5 to 6 s, and talk again; no chunk hears both sides at
length. They are mixed, separated by the model chunk by chunk and put together by `engine.stitch`; what happened is read
off the true voices in the 2 s before and after the pause. A scene counts as *unclear*, and apart, where the model mixes
the two even there. The folder is the one that training takes (docs/training.md).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from separation.audio import open_reader, resample
from separation.datasets.speech import read_librispeech, read_speakers
from separation.datasets.tracks import Track
from separation.engine import Options
from separation.engine.chunks import Plan, plan
from separation.engine.stitch import Stitcher, arranged
from separation.hub import load
from separation.models import Separator
from separation.signals import Samples

NEAR = 2.0
"""Seconds on each side of the pause that are judged."""
CLEAR = 0.2
"""Least difference of correlations for the voices to count as told apart."""
KINDS = {"high and low": ("high", "low"), "two high": ("high", "high"), "two low": ("low", "low")}
Voices = dict[str, list[Samples]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="speakers")
    parser.add_argument("--scenes", type=int, default=60, help="of each kind")
    options = parser.parse_args()
    model = load(options.model)
    voices = gather(options.data, model.spec.sample_rate)
    random = np.random.default_rng(0)
    print(
        f"{'voices':14s} {'scenes':>6s} {'unclear':>8s} {'changed':>8s} {'of these marked':>16s} {'kept, but marked':>17s}"
    )
    for kind, pair in KINDS.items():
        results = [judge(model, *scene(voices, pair, model, random)) for _ in range(options.scenes)]
        clear = [result for result in results if result is not None]
        changed = [marked for different, marked in clear if different]
        kept = [marked for different, marked in clear if not different]
        unclear = len(results) - len(clear)
        print(
            f"{kind:14s} {len(results):6d} {unclear:8d} {len(changed):8d} {sum(changed):16d} {sum(kept):11d} of {len(kept)}"
        )


def gather(data: Path, sample_rate: int) -> dict[str, Voices]:
    """The utterances of every speaker, by how high the voice is; only speakers with half a minute or more."""
    found: dict[str, Voices] = {"high": {}, "low": {}}
    tracks: list[Track] = [track for part in read_librispeech(data / "librispeech").values() for track in part]
    tracks += [track for speaker in read_speakers(data / "tsp", "tsp").values() for track in speaker]
    for track in tracks:
        voice, speaker = track.labels["voice"], track.labels["speaker"]
        if voice in found:
            with open_reader(track.stems["speech"]) as reader:
                samples = resample(reader.read(0, reader.length).mean(0), reader.sample_rate, sample_rate)
            found[voice].setdefault(speaker, []).append(samples)
    return {
        voice: {name: said for name, said in speakers.items() if sum(map(len, said)) >= 12 * sample_rate}
        for voice, speakers in found.items()
    }


def scene(
    voices: dict[str, Voices], pair: tuple[str, str], model: Separator, random: np.random.Generator
) -> tuple[Samples, Plan, int, int]:
    """Two voices ``[2, T]``, the plan of their chunks, and where their pause begins and ends, in samples."""
    rate = model.spec.sample_rate
    while True:
        first, last, pause = (round(float(s) * rate) for s in (*random.uniform(3, 6, 2), random.uniform(5, 6)))
        layout = plan(model.spec, rate, first + pause + last, Options())
        starts = np.array([layout.start(index) for index in range(layout.count)])
        both = (starts < first - 0.3 * rate) & (starts + layout.model_length > first + pause + 0.3 * rate)
        if not both.any():
            break
    names = [str(random.choice(sorted(voices[pair[0]])))]
    names.append(str(random.choice([name for name in sorted(voices[pair[1]]) if name not in names])))
    parts = [two_stretches(voices[voice][name], first, last, random) for voice, name in zip(pair, names, strict=True)]
    silence = np.zeros(pause)
    sources = np.stack([np.concatenate([before, silence, after]) for before, after in parts])
    return sources.astype(np.float32), layout, first, first + pause


def two_stretches(
    said: Sequence[Samples], first: int, last: int, random: np.random.Generator
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Two stretches of a voice, from different utterances where there are several, at one level."""
    joined = np.concatenate([said[index] for index in random.permutation(len(said))])
    before, after = (np.pad(x, (0, n - len(x))) for x, n in ((joined[:first], first), (joined[-last:], last)))
    return 0.05 * before / before.std(), 0.05 * after / after.std()


def judge(model: Separator, sources: Samples, layout: Plan, pause: int, end: int) -> tuple[bool, bool] | None:
    """Whether the voices changed tracks, and whether that part was marked; None where it cannot be told."""
    padded = np.pad(sources.sum(0), (layout.context, layout.model_length)).astype(np.float32)
    deviation = float(padded.std())
    stitcher, tracks, marks = Stitcher(2, layout), np.zeros((2, layout.count * layout.stride + layout.fade)), []
    for index in range(layout.count):
        chunk = padded[layout.start(index) + layout.context :][: layout.model_length] / deviation
        with torch.no_grad():
            estimates = model.separate(torch.from_numpy(chunk)[None, None])[0][0].numpy() * np.float32(deviation)
        pieces, at = stitcher.pieces(estimates), index * layout.stride
        tracks[:, at : at + layout.stride + layout.fade] = arranged(estimates, pieces)[:, 0, layout.kept]
        marks += [at + max(0, piece.start - layout.context) for piece in pieces if not piece.sure]
    near = round(NEAR * layout.model_rate)
    before = order(tracks[:, pause - near : pause], sources[:, pause - near : pause])
    after = order(tracks[:, end : end + near], sources[:, end : end + near])
    if before is None or after is None:
        return None
    return before != after, any(pause - near <= mark <= end + near for mark in marks)


def order(tracks: NDArray[np.floating], sources: Samples) -> bool | None:
    """Whether the tracks are in the order of the sources; None where they are too much alike to say."""
    c = np.abs(np.corrcoef(tracks, sources)[:2, 2:])
    difference = float(c[0, 0] + c[1, 1] - c[0, 1] - c[1, 0])
    return None if abs(difference) < CLEAR else difference > 0


if __name__ == "__main__":
    main()
