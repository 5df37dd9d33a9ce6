"""Keep what the runs of `earshot claims` say, and write it into `docs/results.md`.

    python -m benchmarks.claims --runs DIR [--seeds 3]

DIR is the folder of `earshot claims DIR --data …`. Only finished runs count; a claim without enough of them is undecided, and
the page says so. The figures are kept in `claims.json` beside this file, so that the page can be written without the runs.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from benchmarks.results import CLAIMS as KEPT
from benchmarks.results import write_page
from separation.models import build
from separation.statistics import crossed_bootstrap
from separation.training.claims import CLAIMS, as_record, curve_of, judge, run_folder
from separation.training.recipe import Recipe
from separation.training.small import SMALL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    systems = [row for name, recipe in SMALL.items() if (row := system(name, recipe, options.runs, options.seeds))]
    claims = as_record(judge(CLAIMS, options.runs, seeds=options.seeds))
    KEPT.write_text(json.dumps({"systems": systems, "claims": claims}, indent=2, ensure_ascii=False) + "\n")
    write_page()
    for row in systems:
        print(
            f"{row['name']:44s} {row['gain'][0]:6.2f} [{row['gain'][1]:.2f}, {row['gain'][2]:.2f}] dB, {row['seeds']} seeds"
        )
    for claim in claims:
        print(f"{claim['claim']['name']:32s} {claim['verdict']} {claim['why']}")


def system(name: str, recipe: Recipe, runs: Path, seeds: int) -> Mapping[str, Any] | None:
    """A line of the table: size, what it heard, and SI-SDR over the mixture's with an interval over seeds and clusters."""
    done = [seed for seed in range(seeds) if (run_folder(name, seed, runs) / "scores.json").exists()]
    if not done:
        return None
    gains, judges, things = [], [], []
    for seed in done:
        found = _si_sdr(json.loads((run_folder(name, seed, runs) / "scores.json").read_text())["scores"])
        gains += [gain for _, gain in found]
        judges += [str(seed)] * len(found)
        things += [cluster for cluster, _ in found]
    with torch.device("meta"):
        model = build(recipe.architecture, recipe.arguments)
    curves = [curve_of(run_folder(name, seed, runs), recipe) for seed in done]
    return {
        "name": name,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "hours": recipe.steps * recipe.batch * recipe.length / recipe.arguments["sample_rate"] / 3600,
        "seeds": len(done),
        "flat": all(curve.flat for curve in curves),
        "gain": [round(value, 3) for value in crossed_bootstrap(gains, judges, things)],
        "mixture": round(fmean(_mixture(runs, name, done)), 3),
        "clusters": len(set(things)),
    }


def _si_sdr(scores: Sequence[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """The gain over the mixture of each example, the mean over sources, with its cluster."""
    values: dict[tuple[str, int], dict[str, float]] = {}
    for row in scores:
        if row["metric"] == "si_sdr":
            values.setdefault((row["cluster"], row["example"]), {})[row["source"]] = row["value"]
    found = []
    for (cluster, _), by_source in values.items():
        gains = [
            value - by_source[f"mixture:{source}"]
            for source, value in by_source.items()
            if f"mixture:{source}" in by_source
        ]
        if gains:
            found.append((cluster, fmean(gains)))
    return found


def _mixture(runs: Path, name: str, seeds: Sequence[int]) -> list[float]:
    return [
        row["value"]
        for seed in seeds
        for row in json.loads((run_folder(name, seed, runs) / "scores.json").read_text())["scores"]
        if row["metric"] == "si_sdr" and row["source"].startswith("mixture:")
    ]


if __name__ == "__main__":
    main()
