"""What memory and disentanglement are for: conversations without voices that change tracks, and data unlike the training's.

    python -m benchmarks.conversation --data DIR [--model NAME_OR_FOLDER] [--runs RUNS] [--minutes 10]

**Conversations**: two unseen speakers take turns, overlap and pause for up to several seconds, for so many minutes; the model
separates them chunk by chunk through the engine, with and without its memory, with and without the engine's own stitching
(`engine.stitch`). A second counts as *swapped* if the tracks are in the other order there than in most seconds; seconds in
which the order cannot be told are counted apart.

**Sets**: SI-SDRi of the runs of `earshot claims` (RUNS) on training speakers, on unseen ones, and out of distribution: other
languages, noise, and one voice far below the other. The gap is what is lost from training speakers to unseen ones; every
figure has an interval over seeds and pairs of speakers.

DIR is the folder that training takes (docs/training.md). What is measured is kept in `conversation.json` beside this file,
piece by piece: stop it at any time. `section` makes the lines for docs/results.md of it.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from separation.audio import open_reader, resample
from separation.datasets.packages import read_prompts
from separation.datasets.speech import read_librispeech, read_speakers
from separation.datasets.tracks import Track
from separation.engine import Options, separate
from separation.hub import load
from separation.metrics import si_sdr
from separation.models import build
from separation.signals import Samples, Signal
from separation.statistics import Interval, crossed_bootstrap
from separation.training.claims import SEEDS, run_folder
from separation.training.conversations import ConversationMixer
from separation.training.data import DATA, KEPT_FOR_TEST
from separation.training.mixing import Mixer, SpeakerMixer
from separation.training.pools import load_pool
from separation.training.small import SMALL

KEPT = Path(__file__).with_name("conversation.json")
COMMAND = "python -m benchmarks.conversation --data DIR --model MODEL --runs RUNS"
VARIANTS = {
    "full": "all of it",
    "no-kl": "without the variational prior",
    "no-dependence": "without the penalty on dependence",
    "no-memory": "without the memory",
    "pit": "plain PIT",
}
SETS = {
    "training": "training speakers",
    "unseen": "unseen speakers",
    "languages": "French, Italian and Russian prompts",
    "noise": "unseen speakers in pink noise, 10 dB below",
    "levels": "unseen speakers, one 12 dB below the other",
}
EXAMPLES = 60
"""Of a set, spread over its clusters."""
SEED = 40_000_000
"""Far from those of training, validation and test."""
NOISE_DB, LEVEL_DB = -10.0, -12.0
OVERLAP = 0.35
"""Part of the turns that begin before the one before is over."""
LONGEST_OVERLAP, LONGEST_PAUSE, LONGEST_TURN = 1.5, 6.0, 6.0
"""Seconds."""
SAME = 0.25
"""Part of the turns after which the same speaker goes on."""
CLEAR = 0.2
"""Least difference between the two orders, of the sum of likenesses, for a second to be judged."""
SPOKEN_DB = -35.0
"""A voice speaks in a second that is no further below its loudest one."""
CONDITIONS = {
    "memory": (True, False),
    "memory and stitching": (True, True),
    "stitching": (False, True),
    "neither": (False, False),
}
"""What keeps the order: whether the model's memory, and whether the engine's stitching."""
TOLD = 3
"""Conversations of each pair."""

Kept = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", help="a bundled model or a folder; its conversations are measured")
    parser.add_argument("--runs", type=Path, help="of `earshot claims`; the sets are measured for each run")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--keep", type=Path, default=KEPT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept: Kept = json.loads(options.keep.read_text()) if options.keep.exists() else {"conversations": {}, "sets": {}}

    def keep(part: str, name: str, measure: Callable[[], Any]) -> None:
        if name not in kept[part]:
            kept[part][name] = measure()
            options.keep.write_text(json.dumps(kept, indent=1) + "\n")
        print(name, summary(kept[part][name]), flush=True)

    if options.model:
        model: Any = load(options.model)
        for pair, said in unseen_pairs(options.data, model.spec.sample_rate).items():
            for told in range(TOLD):
                sources = conversation(said, options.minutes * 60, model.spec.sample_rate, np.random.default_rng(told))
                for condition, (memory, stitched) in CONDITIONS.items():
                    if memory and not model.spec.stateful:
                        continue
                    separator = variant(model, memory=memory, stitched=stitched)
                    name = f"{model.card.name} | {pair} | {told} | {condition}"
                    keep("conversations", name, lambda s=separator, x=sources: judged(s, x))  # type: ignore[misc]
    if options.runs:
        for run in [f"disentangled/{name}@conversations" for name in VARIANTS]:
            for seed in range(SEEDS):
                folder = run_folder(run, seed, options.runs)
                if (folder / "best.safetensors").exists():
                    keep("sets", f"{run} | {seed}", lambda r=run, f=folder: on_sets(r, f, options))  # type: ignore[misc]
    print("\n".join(section(kept)))


# -- conversations


def unseen_pairs(data: Path, rate: int) -> dict[str, dict[str, list[Samples]]]:
    """The utterances of each of two speakers, for both pairs kept for testing: ``{pair: {speaker: [[T], …]}}``."""
    tsp = read_speakers(data / "tsp", "tsp")
    libri = read_librispeech(data / "librispeech")["validation"]
    pairs = {
        "TSP, FB with MD": {name: tsp[name] for name in ("FB", "MD")},
        "LibriSpeech, 367 with 2609": {
            name: [track for track in libri if track.labels["speaker"] == name] for name in sorted(KEPT_FOR_TEST)
        },
    }
    return {
        pair: {name: [spoken(track, rate) for track in tracks] for name, tracks in speakers.items()}
        for pair, speakers in pairs.items()
    }


def spoken(track: Track, rate: int) -> Samples:
    """An utterance ``[T]`` at a rate and at one level where it sounds, at most `LONGEST_TURN` long."""
    with open_reader(track.stems["speech"]) as reader:
        x = resample(reader.read(0, reader.length).mean(0), reader.sample_rate, rate)
    loud = np.flatnonzero(np.abs(x) > 0.05 * np.abs(x).max())
    x = x[loud[0] : loud[-1] + 1][: round(LONGEST_TURN * rate)]
    return (0.05 * x / np.sqrt(np.square(x).mean())).astype(np.float32)


def conversation(said: Mapping[str, Sequence[Samples]], seconds: float, rate: int, rng: np.random.Generator) -> Samples:
    """Two speakers who take turns, interrupt each other and pause, float32 ``[2, T]``: each alone.

    Utterances come in random order, and again when all were said.
    """
    out = np.zeros((2, round(seconds * rate)), np.float32)
    left: list[list[int]] = [[], []]
    utterances = list(said.values())
    at, speaker = 0, int(rng.integers(2))
    while True:
        if not left[speaker]:
            left[speaker] = rng.permutation(len(utterances[speaker])).tolist()
        piece = utterances[speaker][left[speaker].pop()]
        if at + piece.size > out.shape[1]:
            return out
        out[speaker, at : at + piece.size] += piece
        changes = rng.random() >= SAME
        if changes and rng.random() < OVERLAP:
            step = -min(float(rng.uniform(0.3, LONGEST_OVERLAP)), 0.8 * piece.size / rate)
        else:
            step = float(rng.uniform(0.2, 1.5) if rng.random() < 0.7 else rng.uniform(1.5, LONGEST_PAUSE))
        at += piece.size + round(step * rate)
        speaker = 1 - speaker if changes else speaker


class Unstitched:
    """A separator whose tracks the engine takes as they come."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.spec = replace(model.spec, permutation_invariant=False)

    def separate(self, mixture: torch.Tensor, side: Any = {}, state: Any = None) -> tuple[torch.Tensor, Any]:
        estimates: tuple[torch.Tensor, Any] = self._model.separate(mixture, side, state)
        return estimates


def variant(model: Any, *, memory: bool, stitched: bool) -> Any:
    """The same weights, with or without memory, with or without the engine's stitching."""
    if model.arguments.get("memory", False) != memory:
        without = type(model)(**{**model.arguments, "memory": memory}).eval()
        without.load_state_dict(model.state_dict())
        model = without
    return model if stitched else Unstitched(model)


def judged(separator: Any, sources: Samples) -> dict[str, float]:
    """Seconds in which somebody speaks, in which the order is unclear, and that are swapped."""
    rate = separator.spec.sample_rate
    stems = separate(separator, Signal(sources.sum(0, keepdims=True), rate), Options(device="cpu"))
    tracks = np.stack([stem.samples[0] for stem in stems.values()])
    return swapped(tracks, sources, rate)


def swapped(tracks: NDArray[np.floating], sources: NDArray[np.floating], rate: int) -> dict[str, float]:
    """What a listener to one track would notice, second by second.

    In a second with one voice the track it is in decides; with two, which track is more like which voice.

    >>> a, b = np.random.default_rng(0).standard_normal((2, 40)).astype(np.float32)
    >>> both = np.stack([a, b])
    >>> swapped(np.concatenate([both[:, :30], both[::-1, 30:]], 1), both, 10)
    {'spoken': 4, 'unclear': 0, 'swapped': 1, 'changes': 1}
    """
    count = sources.shape[1] // rate
    x, y = (part[:, : count * rate].reshape(2, count, rate).astype(np.float64) for part in (sources, tracks))
    energy = np.square(x).sum(-1)
    speaks = energy > 10 ** (SPOKEN_DB / 10) * energy.max(1, keepdims=True)
    x = x * speaks[..., None]
    products = np.abs(np.einsum("ikt,jkt->kij", x, y))
    scale = np.sqrt(np.square(x).sum(-1).sum(0) * np.square(y).sum(-1).sum(0)) + 1e-12
    straight, crossed = ((products[:, 0, i] + products[:, 1, 1 - i]) / scale for i in (0, 1))
    spoken = speaks.any(0)
    clear = spoken & (np.abs(straight - crossed) >= CLEAR)
    order = (straight > crossed)[clear]
    wrong = min(int(order.sum()), int((~order).sum()))
    return {
        "spoken": int(spoken.sum()),
        "unclear": int((spoken & ~clear).sum()),
        "swapped": wrong,
        "changes": int((order[1:] != order[:-1]).sum()),
    }


# -- sets


@torch.no_grad()
def on_sets(run: str, folder: Path, options: argparse.Namespace) -> dict[str, list[tuple[str, float]]]:
    """SI-SDRi of a run on each of `SETS`: ``{set: [(cluster, dB), …]}``, the mean over both sources."""
    recipe = SMALL[run]
    model: Any = build(recipe.architecture, recipe.arguments).eval()
    model.load_state_dict(load_file(folder / "best.safetensors"))
    found: dict[str, list[tuple[str, float]]] = {}
    for name, cluster, stems, noise in mixtures(run, options.data, options.runs / "cache"):
        references = torch.from_numpy(stems).unsqueeze(1)
        mixture = references.sum(0) + torch.from_numpy(noise)
        estimates = model.separate(mixture[None])[0][0]
        gains = [gain(references, estimates[list(order)], mixture) for order in ((0, 1), (1, 0))]
        found.setdefault(name, []).append((cluster, round(max(gains), 3)))
    return found


def gain(references: torch.Tensor, estimates: torch.Tensor, mixture: torch.Tensor) -> float:
    untouched = mixture.expand_as(references)
    return float((si_sdr(references, estimates) - si_sdr(references, untouched)).mean())


def mixtures(run: str, data: Path, cache: Path) -> Iterator[tuple[str, str, Samples, Samples]]:
    """``(set, cluster, stems [2, T], noise [1, T])``: the same for every run."""
    recipe = SMALL[run]
    sides = DATA[recipe.data](recipe, data, cache)
    assert isinstance(sides.train, ConversationMixer)
    together: dict[str, Mixer] = {"": SpeakerMixer(sides.train.speech, recipe.length)}
    silence = np.zeros((1, recipe.length), np.float32)
    for name, mixers in {
        "training": together, "unseen": sides.test, "languages": prompts(recipe.length, data, cache),
        "noise": sides.test, "levels": sides.test,
    }.items():  # fmt: skip
        for cluster, mixer in mixers.items():
            for index in range(max(1, round(EXAMPLES / len(mixers)))):
                stems, noise = mixer.example(SEED, 0, index), silence
                if name == "levels":
                    level = np.sqrt(np.square(stems[0]).mean() / np.square(stems[1]).mean())
                    stems = np.stack([stems[0], stems[1] * np.float32(level * 10 ** (LEVEL_DB / 20))])
                if name == "noise":
                    noise = pink(stems.sum(0), np.random.default_rng([SEED, index]))
                # a cluster of training speakers is an example: there are hundreds of pairs
                yield name, cluster or str(index), stems, noise


def pink(mixture: Samples, rng: np.random.Generator) -> Samples:
    """Noise whose power falls by 3 dB an octave, `NOISE_DB` below a mixture ``[T]``: ``[1, T]``."""
    spectrum = np.fft.rfft(rng.standard_normal(mixture.size))
    noise = np.fft.irfft(spectrum / np.sqrt(np.arange(1, spectrum.size + 1)), mixture.size)
    level = 10 ** (NOISE_DB / 20) * np.sqrt(np.square(mixture).mean() / np.square(noise).mean())
    return (level * noise).astype(np.float32)[None]


def prompts(length: int, data: Path, cache: Path) -> dict[str, Mixer]:
    """Pairs of voices in languages that were not trained on, by their packages' languages."""
    voices = {name: tracks for name, tracks in read_prompts(data / "debian").items() if not name.startswith("en")}
    return {
        " + ".join(name[:2] for name in pair): SpeakerMixer(
            load_pool([track for name in pair for track in voices[name]], sample_rate=8000, group="speaker", cache=cache),
            length, level_db=2.5, speed=0.0,
        )
        for pair in combinations(sorted(voices), 2)
    }  # fmt: skip


# -- the page


def summary(found: Any) -> str:
    """One line of what was just measured."""
    if "spoken" in found:
        share = 100 * found["swapped"] / max(1, found["spoken"] - found["unclear"])
        return f"{share:.1f} % of {found['spoken']} s swapped, {found['unclear']} s unclear, {found['changes']} changes"
    return ", ".join(f"{name} {fmean(value for _, value in rows):.2f} dB" for name, rows in found.items())


def section(kept: Kept) -> list[str]:
    """The lines for docs/results.md."""
    lines = ["## Disentanglement and memory", "", f"Written by `{COMMAND}`; do not edit.", ""]
    return [*lines, *_conversations(kept["conversations"]), *_sets(kept["sets"])]


def _conversations(kept: Mapping[str, Mapping[str, float]]) -> list[str]:
    if not kept:
        return []
    rows: dict[tuple[str, str, str], list[Mapping[str, float]]] = {}
    for name, found in kept.items():
        model, pair, _, condition = name.split(" | ")
        rows.setdefault((model, pair, condition), []).append(found)
    lines = [
        "Conversations of two unseen speakers: turns, overlaps, pauses of up to six seconds. A second is swapped if the voices "
        "are on the other tracks than most of the time; the order is kept by",
        "", "| model | speakers | kept by | seconds spoken | unclear | swapped |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for (model, pair, condition), found in rows.items():
        total = {key: sum(each[key] for each in found) for key in found[0]}
        clear = max(1, total["spoken"] - total["unclear"])
        each = [100 * one["swapped"] / max(1, one["spoken"] - one["unclear"]) for one in found]
        spread = f"{100 * total['swapped'] / clear:.1f} % ({min(each):.1f} to {max(each):.1f})"
        lines.append(f"| {model} | {pair} | {condition} | {total['spoken']:.0f} | {total['unclear']:.0f} | {spread} |")
    return [*lines, "", "In brackets: the best and the worst conversation.", ""]


def _sets(kept: Mapping[str, Mapping[str, Sequence[Sequence[Any]]]]) -> list[str]:
    runs: dict[str, dict[str, Mapping[str, Sequence[Sequence[Any]]]]] = {}
    for name, found in kept.items():
        run, seed = name.split(" | ")
        runs.setdefault(run.partition("/")[2].partition("@")[0], {})[seed] = found
    if not runs:
        return []
    lines = [
        "SI-SDRi in dB of the size *small*, with a 95 % interval over seeds and pairs of speakers; the gap is training "
        "speakers minus unseen ones.",
        "", f"| trained | seeds | {' | '.join(SETS.values())} | gap |", f"|---|---|{'---|' * (len(SETS) + 1)}",
    ]  # fmt: skip
    for variant, seeds in runs.items():
        cells = [_interval(_values(seeds, name)) for name in SETS]
        gap = fmean(row[0] for row in _values(seeds, "training")) - fmean(row[0] for row in _values(seeds, "unseen"))
        lines.append(f"| {VARIANTS[variant]} | {len(seeds)} | {' | '.join(cells)} | {gap:.2f} |")
    if "full" not in runs:
        return [*lines, ""]
    lines += [
        "", "What each part is worth: all of it minus the variant, on the same mixtures.", "",
        f"| without | {' | '.join(SETS.values())} |", f"|---|{'---|' * len(SETS)}",
    ]  # fmt: skip
    for variant, seeds in runs.items():
        if variant != "full":
            cells = [_interval(_differences(runs["full"], seeds, name)) for name in SETS]
            lines.append(f"| {VARIANTS[variant]} | {' | '.join(cells)} |")
    return [*lines, ""]


def _values(seeds: Mapping[str, Mapping[str, Sequence[Sequence[Any]]]], name: str) -> list[tuple[float, str, str]]:
    return [(value, seed, cluster) for seed, found in seeds.items() for cluster, value in found[name]]


def _differences(
    full: Mapping[str, Mapping[str, Sequence[Sequence[Any]]]],
    other: Mapping[str, Mapping[str, Sequence[Sequence[Any]]]],
    name: str,
) -> list[tuple[float, str, str]]:
    return [
        (one[1] - two[1], seed, one[0])
        for seed in full
        if seed in other
        for one, two in zip(full[seed][name], other[seed][name], strict=True)
    ]


def _interval(rows: Sequence[tuple[float, str, str]]) -> str:
    if not rows:
        return "no seed of both"
    values, seeds, clusters = (list(column) for column in zip(*rows, strict=True))
    found: Interval = crossed_bootstrap(values, seeds, clusters)
    return f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"


if __name__ == "__main__":
    main()
