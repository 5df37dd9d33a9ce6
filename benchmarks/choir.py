"""Choirs separated by pitch: UMSS, trained and fitted to one file, against factors of the same pitch that learn nothing.

    python -m benchmarks.choir --data DIR --output FOLDER [--model NAME=MODEL_FOLDER …] [--f0 stems,mixture] [--seeds 5]
        [--per-file STEPS] [--keep]

After Schulze-Forster et al., TASLP 2023, section V: the test singers of the Choral Singing Dataset (DIR/csd_nino_dios), both
quartets and every pair of voices in them, in excerpts of 4 s one after the other; SI-SDR of what is delivered (masked) in each
second, a voice each; five seeds of the breath. A second in which the reference is silent has no score. The pitch is that of
each singer alone (`stems`, by pYIN), or found in the mixture of the whole piece. Intervals are over singers and excerpts, drawn
apart. Training and test share the song: there is one in this data.

FOLDER gets a line of JSON for each system, source of pitch, seed and mixture, in `scores.jsonl`; what is there already is not
measured again, so the run can be stopped at any time. With `--keep` the summary goes to `choir.json` beside this file.

Beside the models that are named, `pitch_nmf` is always measured, as are the mixture and an ideal ratio mask, which bound what
masks can do. With `--per-file` a model of random weights is fitted to each quartet's whole mixture, and to nothing else.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from separation.datasets.choral import VOICES
from separation.hub import load
from separation.metrics import si_sdr
from separation.models import PITCH, build, build_oracle, with_voices
from separation.signals import Signal
from separation.statistics import Interval, crossed_bootstrap
from separation.training import choir
from separation.training.data import DATA
from separation.training.per_file import optimise
from separation.transforms.multipitch import track_mixture

KEPT = Path(__file__).with_name("choir.json")
COMMAND = "python -m benchmarks.choir --data DIR --output FOLDER --model umss=FOLDER --per-file 600 --keep"
RATE, HOP = 16000, 256
EXCERPT = 4 * RATE
AT_ONCE = 4
"""Excerpts in a batch."""
SILENT_DB = -40.0
"""A second of a reference that is so far below the whole reference is silent."""
BASELINE, FLOOR, CEILING, PER_FILE = "pitch_nmf", "mixture", "oracle:irm1", "umss, fitted to the file"
BASELINE_ARGUMENTS: Mapping[str, Any] = {}
NOT_TOLD = "none"
"""The source of pitch of what needs none."""
PAPER = "UMSS, unsupervised 6.91 / 7.60; U-Net, supervised 4.44 / 5.71; the mixture -7.23"
"""Mean / median in dB of four voices with the pitch found in the mixture (Richard et al., arXiv 2401.16837, table 1b)."""


@dataclass(frozen=True)
class Mix:
    """Some voices of one quartet.

    Args:
        quartet: whose.
        voices: of `VOICES`, in their order.
        stems: ``[S, T]``, T a multiple of `EXCERPT`.
        pitch: of each alone, Hz ``[S, K]``.
    """

    quartet: str
    voices: tuple[str, ...]
    stems: Tensor
    pitch: Tensor

    @property
    def mixture(self) -> Tensor:
        """``[1, T]`` at unit deviation, as the engine hands it to a model."""
        total = self.stems.sum(0, keepdim=True)
        return total / total.std()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME=FOLDER", help="a trained model; may be repeated"
    )
    parser.add_argument("--f0", default="stems,mixture", help="where the pitch is from")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--per-file", type=int, default=0, metavar="STEPS", help="fit one to each quartet in so many steps"
    )
    parser.add_argument("--keep", action="store_true", help=f"write {KEPT.name}")
    options = parser.parse_args()
    models = {name: Path(folder) for name, _, folder in (each.partition("=") for each in options.model)}
    seeds = range(options.seeds)
    for line in measure(options.data, options.output, models, options.f0.split(","), seeds, options.per_file):
        values = [value for excerpt in line["scores"] for voice in excerpt for value in voice if value is not None]
        told = f"{line['system']:24s} f0 {line['f0']:8s} seed {line['seed']}  {line['quartet']}"
        print(f"{told} {'+'.join(line['voices']):28s} {fmean(values):6.2f} dB", flush=True)
    found = summary(read(options.output))
    if options.keep:
        KEPT.write_text(json.dumps(found, indent=2) + "\n")
    print("\n".join(section(found)))


def measure(
    data: Path, output: Path, models: Mapping[str, Path], told: Sequence[str], seeds: Sequence[int], per_file: int = 0
) -> Iterator[dict[str, Any]]:
    """Measure what is not in `output` yet, and add it there line by line.

    Raises:
        DataError: there is no such choir.
        ModelError: a folder holds no model.
    """
    output.mkdir(parents=True, exist_ok=True)
    done = {_key(line) for line in read(output)}
    loaded = {name: load(folder) for name, folder in models.items()}
    plan = [(FLOOR, NOT_TOLD, 0), (CEILING, NOT_TOLD, 0)]
    plan += [(BASELINE, f0, 0) for f0 in told]
    plan += [(name, f0, seed) for f0 in told for name in models for seed in seeds]
    plan += [(PER_FILE, f0, seed) for f0 in told for seed in seeds if per_file]
    for mix in mixes(data, output / "cache"):
        for system, f0, seed in plan:
            line = {"system": system, "f0": f0, "seed": seed, "quartet": mix.quartet, "voices": list(mix.voices)}
            if _key(line) in done or (system == PER_FILE and len(mix.voices) < len(VOICES)):
                continue
            if system == FLOOR:
                estimates = mix.mixture.expand_as(mix.stems)
            elif system == CEILING:
                estimates = ideal(mix)
            else:
                pitch = mix.pitch if f0 == "stems" else found_in(mix, output)
                model = loaded.get(system) or build(BASELINE, BASELINE_ARGUMENTS)
                if system == PER_FILE:
                    model = fitted(mix, pitch, per_file)
                estimates = separated(with_voices(model, mix.voices, seed=seed), mix.mixture, pitch)
            line["scores"] = scores(mix.stems, estimates)
            with (output / "scores.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
            yield line


def mixes(data: Path, cache: Path) -> Iterator[Mix]:
    """Each test quartet, and then the pairs of its voices."""
    sides = DATA["choir"](choir.RECIPES["umss"], data, cache)
    for quartet, mixer in sides.test.items():
        assert isinstance(mixer, choir.ChoirMixer)
        (recording,) = (member for group in mixer.singers.groups.values() for member in group)
        length = min(len(mixer.singers.stems[voice][recording]) for voice in VOICES) // EXCERPT * EXCERPT
        stems = {voice: mixer.singers.read(voice, recording, 0, length) for voice in VOICES}
        for count in (len(VOICES), 2):
            for voices in combinations(VOICES, count):
                pitch = [mixer.pitch[voice][recording][: 1 + length // HOP] for voice in voices]
                sung = np.stack([stems[voice] for voice in voices])
                yield Mix(quartet, voices, torch.from_numpy(sung), torch.from_numpy(np.stack(pitch)))


def found_in(mix: Mix, output: Path) -> Tensor:
    """The pitch of the voices as it is found in the mixture, Hz ``[S, K]``; kept, for finding takes a while."""
    kept = output / "found" / f"{mix.quartet} {'+'.join(mix.voices)}.npy"
    if not kept.exists():
        tracks = track_mixture(Signal(mix.mixture.numpy(), RATE), len(mix.voices))
        kept.parent.mkdir(exist_ok=True)
        np.save(kept, np.stack([track.on_grid(HOP / RATE, 0.0, mix.pitch.shape[-1]) for track in tracks]))
    return torch.from_numpy(np.load(kept))


def fitted(mix: Mix, pitch: Tensor, steps: int) -> Any:
    """A model of random weights after learning from one mixture."""
    torch.manual_seed(0)
    model: Any = build("umss", choir.RECIPES["umss"].arguments)
    return optimise(with_voices(model, mix.voices), mix.mixture, pitch, steps=steps)


@torch.no_grad()
def separated(model: Any, mixture: Tensor, pitch: Tensor) -> Tensor:
    """The voices ``[S, T]``, excerpt by excerpt."""
    heard = mixture.reshape(-1, 1, EXCERPT)
    frames = EXCERPT // HOP
    told = torch.stack([pitch[:, first : first + frames + 1] for first in range(0, frames * len(heard), frames)])
    batches = zip(torch.split(heard, AT_ONCE), torch.split(told, AT_ONCE), strict=True)
    made = [model.separate(few, {PITCH: of_these})[0][:, :, 0] for few, of_these in batches]
    return torch.cat(made).transpose(0, 1).flatten(1)


@torch.no_grad()
def ideal(mix: Mix) -> Tensor:
    """What the ideal ratio mask of magnitudes makes of it, ``[S, T]``."""
    oracle = build_oracle("irm1", sources=mix.voices, sample_rate=RATE)
    references = mix.stems[None, :, None] / mix.stems.sum(0).std()
    return oracle.separate(mix.mixture[None], {"references": references})[0][0, :, 0]


def scores(stems: Tensor, estimates: Tensor) -> list[list[list[float | None]]]:
    """SI-SDR in dB of each excerpt, voice and second; None where the voice is silent."""
    loud = stems.square().mean(-1) * 10 ** (SILENT_DB / 10)
    seconds = stems.reshape(len(stems), -1, RATE).transpose(0, 1)
    silent = seconds.square().mean(-1) <= loud
    values = si_sdr(seconds.unsqueeze(2), estimates.reshape(len(stems), -1, RATE).transpose(0, 1).unsqueeze(2))
    rounded = [
        [None if quiet or not isfinite(value) else round(value, 3) for value, quiet in zip(*row, strict=True)]
        for row in zip(values.T.tolist(), silent.T.tolist(), strict=True)
    ]
    each = EXCERPT // RATE
    return [[row[first : first + each] for row in rounded] for first in range(0, len(rounded[0]), each)]


def read(output: Path) -> list[dict[str, Any]]:
    """What has been measured; a line that was cut off by a kill does not count."""
    path, lines = output / "scores.jsonl", []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines


def summary(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each system, source of pitch and number of voices: mean, median, and how far it is above `BASELINE`.

    The interval and the difference are of means over seconds and seeds, a value for each singer in each excerpt of a mixture.
    """
    cells: dict[tuple[str, str, int], dict[tuple[str, str, int], list[float]]] = {}
    for line in lines:
        group = cells.setdefault((line["system"], line["f0"], len(line["voices"])), {})
        for number, excerpt in enumerate(line["scores"]):
            for voice, seconds in zip(line["voices"], excerpt, strict=True):
                place = (f"{line['quartet']} {voice}", "+".join(line["voices"]), number)
                group.setdefault(place, []).extend(value for value in seconds if value is not None)
    rows = []
    for (system, f0, voices), group in sorted(cells.items()):
        means = {place: fmean(values) for place, values in group.items() if values}
        baseline = {place: fmean(values) for place, values in cells.get((BASELINE, f0, voices), {}).items() if values}
        above = {place: mean - baseline[place] for place, mean in means.items() if place in baseline}
        every = [value for values in group.values() for value in values]
        rows.append(
            {
                "system": system,
                "f0": f0,
                "voices": voices,
                "mean": round(fmean(every), 3),
                "median": round(median(every), 3),
                "interval": _interval(means)[1:],
                "above": _interval(above) if above and system != BASELINE else None,
                "seconds": len(every),
                "seeds": len({line["seed"] for line in lines if (line["system"], line["f0"]) == (system, f0)}),
            }
        )
    return rows


def section(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The part of docs/results.md about choirs."""
    if not rows:
        return []
    lines = [
        "## Choirs: voices separated by their pitch",
        "",
        f"`{COMMAND}`. Singers 3 and 4 of each voice of the Choral Singing Dataset (Niño Dios), whom no training has heard; "
        "all sing the one song that the training singers sing. SI-SDR of masked voices in seconds of 4 s excerpts; 95 % "
        "intervals over singers × excerpts.",
        "",
        f"| system | pitch from | voices | mean dB | median | interval of the mean | above {BASELINE} |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: (-row["voices"], row["f0"], -row["mean"])):
        low, high = row["interval"]
        above = "" if row["above"] is None else "{:+.2f} [{:+.2f}, {:+.2f}]".format(*row["above"])
        figures = f"{row['mean']:.2f} | {row['median']:.2f} | [{low:.2f}, {high:.2f}]"
        lines.append(f"| {row['system']} | {row['f0']} | {row['voices']} | {figures} | {above} |")
    seeds = max(row["seeds"] for row in rows)
    return [
        *lines,
        "",
        "Each model from one run of training, at a fifth of the paper's parameters and in under an hour of one core; breath "
        f"from {seeds} {'seed' if seeds == 1 else 'seeds'}. {' '.join(_verdicts(rows))}",
        "",
        f"Published, four voices, pitch from the mixture, mean / median: {PAPER}. Other singers, three pieces, trained on 91 "
        "minutes of other music (Schulze-Forster et al., TASLP 2023; Richard et al., arXiv 2401.16837).",
        "",
    ]


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whether UMSS is above factors of the same pitch, as its authors find; one run of training decides nothing more."""
    words = []
    for row in rows:
        if row["system"] == "umss" and row["above"] is not None:
            _, low, high = row["above"]
            said = "is above" if low > 0 else "is below" if high < 0 else "cannot be told from"
            words.append(f"With {row['voices']} voices and the pitch from {row['f0']}, umss {said} {BASELINE}.")
    return words


def _key(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return (line["system"], line["f0"], line["seed"], line["quartet"], *line["voices"])


def _interval(values: Mapping[tuple[str, str, int], float]) -> Interval:
    """The mean over places, with an interval over singers and excerpts."""
    singers, excerpts = [place[0] for place in values], [str(place[2]) for place in values]
    return Interval(*(round(value, 3) for value in crossed_bootstrap(list(values.values()), singers, excerpts)))


if __name__ == "__main__":
    main()
