"""Two speakers learned apart from twenty seconds each, then separated: the experiment of the auto-encoders' paper.

    python -m benchmarks.speech_pairs --data DIR --output FILE [--systems ccae,nae] [--components 10,80] [--pairs 20] [--keep]

After Venkataramani, Subakan and Smaragdis, Neural network alternatives to convolutive audio models for source separation, MLSP
2017, section 4: a woman and a man, ten sentences each; the two that are nearest in length are the test, the other nine teach,
cut to the shorter of both; everything at unit deviation, so that the mixture is at 0 dB; BSS-eval without filters (one tap).
DIR holds `tsp/`, a folder a speaker, women's F…, men's M…; in TSP each has sentences of its own. Pairs go through all women and
men, and then again with the next ten sentences. A pair's number is the mean of its two voices.

Auto-encoders separate a mixture twice: as they ship, with `restraint`, and as published, without it (see `models.nae`).
Learning is the same.

FILE gets a line of JSON for each system, number of components and pair; what it has already is not measured again, so the run
can be stopped at any time. Pairs come one after the other, so that every beginning of a run has all systems on the same pairs.
With `--keep` the numbers go to `speech_pairs.json` beside this file, which the page of results and the violins are made of.

Not the paper's data: that is TIMIT, which costs money; and its numbers were read off its figure by eye (0.3 dB).
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from separation.audio import resample
from separation.datasets import Track, open_stem
from separation.datasets.speech import read_speakers
from separation.engine import Options, separate
from separation.errors import DataError
from separation.metrics import bss_eval_v3
from separation.models.components import SAMPLE_RATE, ComponentModel, rebuilt
from separation.signals import Samples, Signal
from separation.statistics import MedianInterval, bootstrap_median, paired
from separation.training.learning import SYSTEMS, learn, system_named
from separation.visualisation.figures import Axis, Figure, distribution

KEPT = Path(__file__).with_name("speech_pairs.json")
COMMAND = "python -m benchmarks.speech_pairs --data DIR --output FILE --keep"
SENTENCES = 10
"""Of each speaker in a pair; one of them is the test."""
COMPONENTS = tuple(range(10, 101, 10))
METRICS = ("sdr", "sir", "sar")
PUBLISHED: Mapping[str, Any] = {"restraint": 0.0}
"""Arguments that a model ships without, if it has them, and the paper's has."""

PAPER: Mapping[str, Mapping[int, float]] = {
    "nae": dict(zip(COMPONENTS, (3.8, 3.6, 3.6, 3.2, 3.2, 3.2, 2.5, 2.8, 3.3, 2.8), strict=True)),
    "ccae": dict(zip(COMPONENTS, (5.6, 5.9, 6.1, 5.8, 5.8, 5.5, 5.3, 6.3, 5.2, 5.6), strict=True)),
    "rcae": dict(zip(COMPONENTS, (3.5, 4.9, 4.4, 3.0, 5.1, 4.9, 2.9, 5.0, 3.4, 4.7), strict=True)),
}
"""Its median SDR in dB, read off its figure. It gives none for NMF and convolutive NMF."""
CLAIMED_DB, AHEAD_DB = 6.3, 2.0
"""What the paper's convolutive auto-encoder reaches at its best, and by how much it should lead that of one frame."""

Scores = dict[str, dict[str, dict[str, list[float]]]]
"""``{system: {components: {metric: a number a pair}}}``, as JSON has it; a system may be ``ccae (published)``."""


@dataclass(frozen=True)
class Pair:
    """A woman and a man: what they say in the test, and what teaches.

    Args:
        number: of the pair, from 0.
        names: of the speakers.
        tests: the sentence of each, at unit deviation, the shorter one followed by silence: ``[2, T]``.
        clips: of each, to learn from.
    """

    number: int
    names: tuple[str, str]
    tests: Samples
    clips: tuple[Signal, Signal]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--systems", type=_listed, default=list(SYSTEMS))
    parser.add_argument("--components", type=_listed, default=list(COMPONENTS))
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help=f"write {KEPT.name}")
    options = parser.parse_args()
    components = [int(number) for number in options.components]
    for line in measure(options.data, options.output, options.systems, components, options.pairs):
        print(
            f"pair {line['pair']:2d} {line['system']:9s} K {line['components']:3d}  SDR {line['sdr']:6.2f} dB  "
            f"learned in {line['learning']:.0f} s, separated in {line['separating']:.0f} s"
        )
    scores = gathered(read(options.output))
    if options.keep:
        KEPT.write_text(json.dumps(scores) + "\n")
    print("\n".join(section(scores)))


def measure(
    data: Path, output: Path, systems: Sequence[str], components: Sequence[int], count: int
) -> Iterator[dict[str, Any]]:
    """Measure what is not in `output` yet, and add it there line by line.

    Raises:
        DataError: there is no such speech, or not enough of it.
        ModelError: no such system.
    """
    for system in systems:
        system_named(system)
    output.parent.mkdir(parents=True, exist_ok=True)
    done = {(line["system"], line["components"], line["pair"]) for line in read(output)}
    speakers = read_speakers(data / "tsp", "tsp")
    for number in range(count):
        wanted = [(s, k) for k in components for s in systems if (s, k, number) not in done]
        if not wanted:
            continue
        pair = make_pair(speakers, number)
        for system, k in wanted:
            line = {"system": system, "components": k, "pair": number, "speakers": pair.names, **score(system, k, pair)}
            with output.open("a") as file:
                file.write(json.dumps(line) + "\n")
            yield line


def make_pair(speakers: Mapping[str, Sequence[Track]], number: int) -> Pair:
    """The pair of this number: all women with all men, then again with the next ten sentences.

    Raises:
        DataError: there are not as many pairs.
    """
    women, men = ([n for n in sorted(speakers) if speakers[n][0].labels["voice"] == v] for v in ("high", "low"))
    block, place = divmod(number, max(1, len(women) * len(men)))
    chosen = [women[place % len(women)], men[place // len(women)]] if women and men else []
    taken = [list(speakers[name])[SENTENCES * block : SENTENCES * (block + 1)] for name in chosen]
    if not taken or min(map(len, taken)) < SENTENCES:
        raise DataError(
            f"Make pair {number + 1} of a woman and a man",
            f"there are {len(women)} women and {len(men)} men with {min(map(len, speakers.values()))} sentences or more",
            f"Ask for fewer pairs; each needs {SENTENCES} sentences of each speaker",
        )
    sentences = [[_read(track) for track in tracks] for tracks in taken]
    first, second = nearest([[len(sentence) for sentence in each] for each in sentences])
    tests = [sentences[0].pop(first), sentences[1].pop(second)]
    longest = max(map(len, tests))
    teaching = [np.concatenate(each) for each in sentences]
    shortest = min(map(len, teaching))
    return Pair(
        number,
        (chosen[0], chosen[1]),
        np.stack([unit(np.pad(test, (0, longest - len(test)))) for test in tests]),
        (Signal(teaching[0][None, :shortest], SAMPLE_RATE), Signal(teaching[1][None, :shortest], SAMPLE_RATE)),
    )


def nearest(lengths: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Of two speakers' sentences the two that are nearest in length.

    >>> nearest([[10, 70, 30], [50, 12, 90]])
    (0, 1)
    """
    apart = np.abs(np.subtract.outer(*map(np.asarray, lengths)))
    first, second = np.unravel_index(apart.argmin(), apart.shape)
    return int(first), int(second)


def unit(samples: Samples) -> Samples:
    """Without mean, with unit deviation."""
    centred = samples - samples.mean()
    level: Samples = centred / centred.std()
    return level


def score(system: str, components: int, pair: Pair) -> dict[str, Any]:
    """Learn both voices, separate their sum: what a line says beside its names. Times in seconds."""
    began = time.perf_counter()
    losses: dict[str, float] = {}
    model = learn(
        system,
        {name: [clip] for name, clip in zip(pair.names, pair.clips, strict=True)},
        components=components,
        seed=pair.number,
        progress=lambda at: losses.__setitem__(at.source, at.loss),
    )
    learned = time.perf_counter()
    found = _separated(model, pair)
    separated = time.perf_counter()
    if PUBLISHED.keys() <= model.arguments.keys():
        found["published"] = _separated(rebuilt(model, PUBLISHED, model.state_dict()), pair)
    return {
        **found,
        "loss": list(losses.values()),
        "seconds": pair.clips[0].duration,
        "learning": round(learned - began, 1),
        "separating": round(separated - learned, 1),
    }


def _separated(model: ComponentModel, pair: Pair) -> dict[str, Any]:
    """The mean of both voices by metric, and each."""
    stems = separate(model, Signal(pair.tests.sum(0, keepdims=True), SAMPLE_RATE), Options(device="cpu"))
    estimates = np.stack([stems[name].samples for name in pair.names])
    found = bss_eval_v3(torch.from_numpy(pair.tests[:, None]), torch.from_numpy(estimates), taps=1)
    each = {name: getattr(found, name)[:, 0].tolist() for name in METRICS}
    return {**{name: float(np.mean(values)) for name, values in each.items()}, "each": each}


def read(output: Path) -> list[dict[str, Any]]:
    """What has been measured; a line that was cut off when a run was stopped is removed."""
    if not output.is_file():
        return []
    text = output.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        output.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def gathered(lines: Sequence[Mapping[str, Any]]) -> Scores:
    """The numbers alone, systems as on the command line, what was published after what ships, pairs in order."""
    scores: Scores = {}
    for line in sorted(lines, key=lambda line: (list(SYSTEMS).index(line["system"]), line["components"], line["pair"])):
        found = {line["system"]: line}
        if "published" in line:
            found[f"{line['system']} (published)"] = line["published"]
        for system, numbers in found.items():
            by_metric = scores.setdefault(system, {}).setdefault(str(line["components"]), {})
            for metric in METRICS:
                by_metric.setdefault(metric, []).append(round(numbers[metric], 2))
    return scores


def title(system: str) -> str:
    """Of a system in `Scores`, for people.

    >>> title("nmf")
    'NMF'
    """
    name, _, how = system.partition(" ")
    return f"{SYSTEMS[name].title} {how}".strip()


def best(scores: Scores, system: str) -> int:
    """The number of components with the highest median SDR."""
    return int(max(scores[system], key=lambda k: np.median(scores[system][k]["sdr"])))


def violins(scores: Scores, metric: str = "sdr", components: Sequence[int] | None = None) -> Figure:
    """A violin over pairs for each system and number of components, as in the paper's figure.

    Args:
        components: which numbers; None for the best of each system.
    """
    rows = {
        f"{title(system)}, K = {k}": (place, {f"pair {n}": v for n, v in enumerate(by_k[str(k)][metric], 1)})
        for place, (system, by_k) in enumerate(scores.items())
        for k in ([best(scores, system)] if components is None else components)
        if str(k) in by_k
    }
    return distribution(
        {name: values for name, (_, values) in rows.items()}, Axis(f"{metric.upper()} without filters", "dB"),
        kind="violin", looks={name: place for name, (place, _) in rows.items()},
    )  # fmt: skip


def section(scores: Scores) -> list[str]:
    """The lines of docs/results.md."""
    if not scores:
        return []
    counts = sorted({int(k) for by_k in scores.values() for k in by_k})
    lines = [
        "## Two speakers, learned from twenty seconds each",
        "",
        f"Written by `{COMMAND}`; do not edit.",
        "A woman and a man at 0 dB, nine sentences each to learn from, one each to separate: median SDR in dB over pairs",
        "(BSS-eval v3 with one tap, mean of both voices) with a 95 % bootstrap interval over pairs. They are of two women and",
        "two men (TSP), so the intervals say nothing of other speakers. In brackets what the paper reports on TIMIT (MLSP",
        "2017, 20 pairs of other speakers, read off its figure to 0.3 dB). The best K of each system, in bold, was chosen on",
        "these same pairs. Published is the paper's descent; ours puts a price on latents besides.",
        "",
        f"| K | {' | '.join(map(title, scores))} |",
        "|---|" + "---|" * len(scores),
    ]
    for k in counts:
        lines.append(f"| {k} | {' | '.join(_cell(scores, system, k) for system in scores)} |")
    lines += ["", "| system | best K | pairs | SDR | SIR | SAR |", "|---|---|---|---|---|---|"]
    for system in scores:
        at = scores[system][str(best(scores, system))]
        numbers = [_interval(bootstrap_median(at[metric])) for metric in METRICS]
        lines.append(f"| {title(system)} | {best(scores, system)} | {len(at['sdr'])} | {' | '.join(numbers)} |")
    return [*lines, "", *_verdicts(scores), ""]


def _verdicts(scores: Scores) -> list[str]:
    """What the paper says of its convolutive auto-encoder, and whether it is so here, as published and as shipped."""
    lines = []
    for one, other in (("ccae (published)", "nae (published)"), ("ccae", "nae")):
        if one not in scores:
            continue
        k = best(scores, one)
        found = bootstrap_median(scores[one][str(k)]["sdr"])
        met = "holds" if found.median >= CLAIMED_DB else "does not hold"
        lines.append(f"- {title(one)}: reaches {CLAIMED_DB} dB at its best K: {met}, {_interval(found)} dB at K = {k}.")
        if other not in scores:
            continue
        least = best(scores, other)
        ours, theirs = scores[one][str(k)]["sdr"], scores[other][str(least)]["sdr"]
        both = min(len(ours), len(theirs))
        gap = paired(ours[:both], theirs[:both])
        ahead = "holds" if gap.difference >= AHEAD_DB else "does not hold"
        lines.append(
            f"- {title(one)}: {AHEAD_DB:g} dB above {title(other)} at its best: {ahead}, median difference of {both} pairs "
            f"{gap.difference:+.2f} [{gap.low:+.2f}, {gap.high:+.2f}] dB at K = {k} and {least}."
        )
    return lines


def _cell(scores: Scores, system: str, k: int) -> str:
    if str(k) not in scores[system]:
        return ""
    text = _interval(bootstrap_median(scores[system][str(k)]["sdr"]))
    text = f"**{text}**" if k == best(scores, system) else text
    name, _, published = system.partition(" ")
    return f"{text} ({PAPER[name][k]:.1f})" if published and k in PAPER[name] else text


def _interval(found: MedianInterval) -> str:
    """Median and interval; of one pair the median alone."""
    spread = "" if np.isnan(found.low) else f" [{found.low:.1f}, {found.high:.1f}]"
    return f"{found.median:.2f}{spread}"


def _read(track: Track) -> Samples:
    """A sentence as one channel at the models' rate: ``[T]``."""
    (name,) = track.stems
    with open_stem(track, name) as reader:
        samples, rate = reader.read(0, reader.length).mean(0), reader.sample_rate
    brought: Samples = resample(samples, rate, SAMPLE_RATE)
    return brought


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


if __name__ == "__main__":
    main()
