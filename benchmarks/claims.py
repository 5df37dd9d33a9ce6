"""Keep what the runs of `earshot claims` say, and write it into `docs/results.md`.

    python -m benchmarks.claims --runs DIR [--seeds 3]

DIR is the folder of `earshot claims DIR --data …`. Only finished runs count; a claim without enough of them is undecided, and
the page says so. The figures are kept in `claims.json` beside this file and as pictures in `docs/figures`, so that the page
can be written without the runs.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from safetensors.torch import load_file
from scipy.stats import spearmanr

from benchmarks.pictures import save_svgs
from benchmarks.results import CLAIMS as KEPT
from benchmarks.results import FIGURES, write_page
from separation.engine.latents import basis
from separation.models import build
from separation.statistics import crossed_bootstrap
from separation.training.claims import CLAIMS, as_record, curve_of, judge, run_folder
from separation.training.recipe import Recipe
from separation.training.small import SMALL
from separation.visualisation.basis import spectra_png
from separation.visualisation.figures import Axis, Figure, curves, equals, scatter

GROUPS = {"vocals-in-time": ("htmd-net/", "wave-u-net/", "conv-tasnet/")}
"""Systems that share a picture of learning curves although their names begin differently."""
GAIN = Axis("SI-SDR over the mixture's, validation", "dB")
LATENT, DECODED = Axis("SI-SDR of the latents", "dB"), Axis("SI-SDR of what the decoder makes of them", "dB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    done = {name: seeds for name in SMALL if (seeds := finished(name, options.runs, options.seeds))}
    systems = [system(name, SMALL[name], options.runs, seeds) for name, seeds in done.items()]
    claims = as_record(judge(CLAIMS, options.runs, seeds=options.seeds))
    bounds = [
        bound(name, options.runs, seeds)
        for name, seeds in done.items()
        if "two-step/" in name and "transform" not in name
    ]
    pictures = learning_curves(options.runs, done)
    if bounds:
        pictures["bound"] = equals(scatter({row["name"]: row.pop("points") for row in bounds}, LATENT, DECODED))
    save_svgs(pictures, FIGURES)
    sheets = transforms(options.runs, done)
    kept = {"systems": systems, "claims": claims, "bounds": bounds, "curves": sorted(pictures), "transforms": sheets}
    KEPT.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
    write_page()
    for row in systems:
        mean, low, high = row["gain"]
        print(f"{row['name']:44s} {mean:6.2f} [{low:.2f}, {high:.2f}] dB, {row['seeds']} seeds")
    for claim in claims:
        print(f"{claim['claim']['name']:32s} {claim['verdict']} {claim['why']}")


def finished(name: str, runs: Path, seeds: int) -> list[int]:
    """The seeds of a system that are trained and measured."""
    return [seed for seed in range(seeds) if (run_folder(name, seed, runs) / "scores.json").exists()]


def system(name: str, recipe: Recipe, runs: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """A line of the table: size, what it heard, how long it took, and SI-SDR over the mixture's with an interval over seeds
    and clusters, beside what masks of its own space and of the STFT can do at best."""
    gains, judges, things = [], [], []
    beside: dict[str, list[float]] = {}
    for seed in seeds:
        for cluster, by_kind in _gains(_scores(run_folder(name, seed, runs))):
            gains.append(by_kind.pop(""))
            judges.append(str(seed))
            things.append(cluster)
            for kind, value in by_kind.items():
                beside.setdefault(kind, []).append(value)
    with torch.device("meta"):
        model = build(recipe.architecture, recipe.arguments)
    return {
        "name": name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "hours": recipe.steps * recipe.batch * recipe.length / recipe.arguments["sample_rate"] / 3600,
        "minutes": round(median(_seconds(run_folder(name, seed, runs)) for seed in seeds) / 60, 1),
        "seeds": len(seeds),
        "flat": all(curve_of(run_folder(name, seed, runs), recipe).flat for seed in seeds),
        "gain": [round(value, 3) for value in crossed_bootstrap(gains, judges, things)],
        "clusters": len(set(things)),
        **{kind: round(fmean(values), 3) for kind, values in beside.items()},
    }


def bound(name: str, runs: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """How often the latent SI-SDR of a Two-Step model is above that of what it decodes to, and how well they go together."""
    points: dict[str, tuple[float, float]] = {}
    for seed in seeds:
        sides: dict[str, dict[str, float]] = {}
        for row in _scores(run_folder(name, seed, runs)):
            if row["metric"] in ("latent_si_sdr", "decoded_si_sdr"):
                key = f"{row['cluster']}, example {row['example']}, {row['source']}, seed {seed}"
                sides.setdefault(key, {})[row["metric"]] = row["value"]
        points |= {key: (side["latent_si_sdr"], side["decoded_si_sdr"]) for key, side in sides.items()}
    latent, decoded = zip(*points.values(), strict=True)
    return {
        "name": name,
        "count": len(points),
        "violations": sum(a > b for a, b in points.values()) / len(points),
        "worst": round(max(a - b for a, b in points.values()), 3),
        "rank": round(float(spearmanr(latent, decoded).statistic), 3),
        "points": points,
    }


def learning_curves(runs: Path, done: Mapping[str, Sequence[int]]) -> dict[str, Figure]:
    """The validation curves, a picture a group of systems that learned from the same data."""
    groups: dict[str, dict[str, list[list[tuple[int, float]]]]] = {}
    for name, seeds in done.items():
        family, data = name.split("/")[0], name.partition("@")[2]
        shared = next((group for group, names in GROUPS.items() if name.startswith(names)), f"{family}-{data}")
        found = [curve_of(run_folder(name, seed, runs), SMALL[name]).points for seed in seeds]
        groups.setdefault(shared.replace("_", "-"), {})[name] = found
    return {f"curves-{group}": curves(lines, GAIN) for group, lines in groups.items()}


def transforms(runs: Path, done: Mapping[str, Sequence[int]]) -> list[str]:
    """Pictures of the basis functions' spectra of Two-Step's transforms and of the joint baseline's; their names."""
    names = []
    for name, seeds in done.items():
        if not name.startswith(("two-step/transform", "two-step/joint")):
            continue
        model: Any = build(SMALL[name].architecture, SMALL[name].arguments)
        model.load_state_dict(load_file(run_folder(name, seeds[0], runs) / "best.safetensors"))
        names.append(f"basis-{name.replace('/', '-').replace('@', '-').replace('_', '-')}")
        (FIGURES / f"{names[-1]}.png").write_bytes(spectra_png(basis(model.eval())))
    return names


def _scores(folder: Path) -> list[dict[str, Any]]:
    scores: list[dict[str, Any]] = json.loads((folder / "scores.json").read_text())["scores"]
    return scores


def _seconds(folder: Path) -> float:
    """Wall-clock seconds of training."""
    return float(json.loads((folder / "log.jsonl").read_text().splitlines()[-1])["seconds"])


def _gains(scores: Sequence[Mapping[str, Any]]) -> list[tuple[str, dict[str, float]]]:
    """``(cluster, {"": gain, "ceiling": …, "irm2": …, "mixture": …})`` of each example: the means over sources, in dB over the
    mixture's SI-SDR; of the mixture itself its SI-SDR."""
    values: dict[tuple[str, int], dict[str, dict[str, float]]] = {}
    for row in scores:
        if row["metric"] == "si_sdr":
            kind, _, source = row["source"].rpartition(":")
            values.setdefault((row["cluster"], row["example"]), {}).setdefault(kind, {})[source] = row["value"]
    found = []
    for (cluster, _), kinds in values.items():
        floor = kinds.get("mixture", {})
        gains = {}
        for kind, by_source in kinds.items():
            above = [
                v - (floor[source] if kind != "mixture" else 0) for source, v in by_source.items() if source in floor
            ]
            if above:
                gains[kind] = fmean(above)
        if "" in gains:
            found.append((cluster, gains))
    return found


if __name__ == "__main__":
    main()
