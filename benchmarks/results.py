"""Measure the bundled models, write the scores to their cards and `docs/results.md`.

    python -m benchmarks.results --data DIR [--model NAME] [--folder CANDIDATE]
    python -m benchmarks.results                       # the page again, from what this and other benchmarks have kept

The data folder is the one that training takes (docs/training.md); only the test sides of its splits are used. Nothing in
`docs/results.md` is written by hand.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from separation.evaluation.published import Row, speaker_pairs, vocals_mir1k, vocals_outside
from separation.hub import Card, bundled, describe, readme

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "results.md"
YARDSTICKS = Path(__file__).with_name("yardsticks.json")
"""What oracles and the floor score where the bundled models are measured; cards have no place for it."""
FIGURES = PAGE.parent / "figures"
CLAIMS = Path(__file__).with_name("claims.json")
"""What `benchmarks.claims` has kept of the papers' claims."""
COMMAND = "python -m benchmarks.results --data DIR"
CLAIMS_COMMAND = "earshot claims RUNS --data DIR && python -m benchmarks.claims --runs RUNS"
BESIDE = {
    "oracle:irm2": "ideal ratio mask (powers)",
    "oracle:ibm1": "ideal binary mask (magnitudes)",
    "oracle:mixture": "floor (the mixture)",
}
ONE_BY_ONE: dict[str, Callable[..., list[Row]]] = {"vocals": vocals_outside, "speakers": speaker_pairs}
PAPERS = {
    "two-step/transform": "not readable here",
    "two-step/latent@speakers": "16.10 dB SI-SDRi on WSJ0-2mix: 8.6 M parameters, 30 h of clean speech, days of GPU",
    "two-step/latent@sounds": "8.22 dB SI-SDRi on ESC-50 mixtures; ours are other sounds",
    "two-step/joint@speakers": "15.30 dB (Conv-TasNet) on WSJ0-2mix, as above",
    "two-step/joint@sounds": "7.74 dB (Conv-TasNet) on ESC-50 mixtures; ours are other sounds",
    "two-step/": "none for this material",
    "htmd-net/none-mse": "song-wise SDR 5.30 dB on MUSDB18 (BSS-eval v4, other data and metric)",
    "htmd-net/none-mae": "song-wise SDR 4.77 dB on MUSDB18",
    "htmd-net/mse-mse": "song-wise SDR 5.16 dB on MUSDB18",
    "htmd-net/mae-mae": "song-wise SDR 5.18 dB on MUSDB18",
    "htmd-net/mae-mse": "song-wise SDR 5.16 dB on MUSDB18",
    "htmd-net/mse-mae": "song-wise SDR 5.21 dB on MUSDB18",
    "conv-tasnet/htmd": "song-wise SDR 5.25 dB on MUSDB18",
    "wave-u-net/": "song-wise SDR 4.37 dB on MUSDB18 (M1)",
    "interleaved/": "its numbers are not in what could be read",
}
"""The papers' figures beside the claims' runs (systems at the papers' sizes, on their data)."""
PUBLISHED = """\
Published figures on MIR-1K, for orientation: MLRR 3.85, RNMF 4.97, DRNN 7.45, U-Net 7.43, SH-4stack 10.51 dB GNSDR. They train
on `abjones` and `amy` and test on the other 17 singers; ours trains on five singers (and on other voices and music) and tests
on two, because only eight singers are in our copy, and singers that share a backing track with training are left out. Our
copies are Vorbis-coded (32 dB median coding SNR), and the mixture is the sum of the decoded parts.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="without it, the page is written from what is kept")
    parser.add_argument("--model", choices=sorted(ONE_BY_ONE), help="measure this one only")
    parser.add_argument("--folder", type=Path, help="a candidate's folder; only printed")
    parser.add_argument("--processes", type=int, default=1, help="clips of MIR-1K at once")
    parser.add_argument("--verbose", action="store_true", help="a line a clip")
    options = parser.parse_args()
    if options.data is None:
        write_page()
        return
    for name in [options.model] if options.model else sorted(ONE_BY_ONE):
        chosen = str(options.folder or name)
        rows = measure(name, [chosen, *BESIDE], options.data, processes=options.processes, verbose=options.verbose)
        for model, lines in rows.items():
            for row in lines:
                interval = f"[{row.low:.2f}, {row.high:.2f}]"
                print(f"{model:16s} {row.task:32s} {row.metric:32s} {row.mean:6.2f} {interval} {row.data}")
        if options.folder is None:
            write_scores(next(card for card in bundled() if card.name == name), rows.pop(chosen))
            write_yardsticks(name, rows)
    if options.folder is None:
        write_page()


def measure(
    name: str, models: Sequence[str], data: Path, *, processes: int = 1, verbose: bool = False
) -> dict[str, list[Row]]:
    """Every figure of the card called `name`, of each of `models` (the card's own, a candidate, oracles)."""
    rows: dict[str, list[Row]] = {model: [] for model in models}
    if name == "vocals":
        with tempfile.TemporaryDirectory() as folder:
            rows |= vocals_mir1k(models, data, Path(folder) / "mir1k", processes=processes)
    for model in models:
        rows[model] = rows[model] + ONE_BY_ONE[name](model, data, progress=print if verbose else None)
    return rows


def write_page() -> None:
    """Write docs/results.md."""
    PAGE.write_text(whole_page())


def whole_page() -> str:
    """The text of docs/results.md, from what is kept: the cards, the yardsticks, the claims, and what else was measured."""
    from benchmarks import choir, conversation, speech_pairs

    claims = json.loads(CLAIMS.read_text()) if CLAIMS.exists() else {"systems": []}
    lines = [page(bundled(), json.loads(YARDSTICKS.read_text())), *claims_page(claims)]
    for measured in (choir, speech_pairs, conversation):
        if measured.KEPT.exists():
            lines += measured.section(json.loads(measured.KEPT.read_text()))
    return "\n".join(lines)


def write_yardsticks(name: str, rows: Mapping[str, Sequence[Row]]) -> None:
    """Keep what oracles and the floor score for the page."""
    kept = json.loads(YARDSTICKS.read_text()) if YARDSTICKS.exists() else {}
    kept[name] = {
        model: [
            {"metric": f"{row.metric}, {row.task}", "data": row.data, "value": round(row.mean, 2), "unit": row.unit}
            for row in lines
        ]
        for model, lines in rows.items()
    }
    YARDSTICKS.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def write_scores(card: Card, rows: list[Row]) -> None:
    """Put the rows into the `scores` of the card's config.json and its README.md; nothing else changes."""
    path = card.origin.folder / "config.json"
    config = json.loads(path.read_text())
    config["scores"] = [
        {
            "metric": f"{row.metric}, {row.task}",
            "value": round(row.mean, 2),
            "unit": row.unit,
            "interval": [round(row.low, 2), round(row.high, 2)],
            "data": row.data,
            "command": COMMAND,
            "note": f"{row.clips} clips, 95 % interval over {row.clusters}",
        }
        for row in rows
    ]
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    (path.parent / "README.md").write_text(readme.write(describe(card.name)))


def page(cards: Sequence[Card], yardsticks: Mapping[str, Any]) -> str:
    """What is said of the bundled models, from their cards and from what oracles and the floor score."""
    lines = [
        "# Results",
        "",
        f"Written by `{COMMAND}`; do not edit. Intervals are 95 % bootstraps over the clusters named.",
        "Oracles are told the true sources: a bound on what masks of their kind can do, not of others. The floor is the",
        "mixture itself as every source.",
        "",
    ]
    for card in cards:
        hours = (card.training.seconds_of_audio or 0) / 3600 if card.training else 0
        size = f"{card.weights.parameters:,} parameters" if card.weights else ""
        lines += [
            f"## {card.name}: {card.title}",
            "",
            f"{card.architecture}, {size}, {hours:.0f} h of mixtures heard in training (one seed).",
            "",
        ]
        lines += ["| metric | value | 95 % interval | data | clips |", "|---|---|---|---|---|"]
        for score in card.scores:
            interval = f"{score.interval[0]:.2f} to {score.interval[1]:.2f}" if score.interval else ""
            lines.append(
                f"| {score.metric} | {score.value:.2f} {score.unit} | {interval} | {score.data} | {score.note or ''} |"
            )
        lines += ["", *_beside(card, yardsticks.get(card.name, {})), ""]
        if card.name == "vocals":
            lines += [PUBLISHED]
    return "\n".join(lines)


def claims_page(kept: Mapping[str, Any]) -> list[str]:
    """The lines on the papers' claims: the verdicts, then every system that took part."""
    if not kept["systems"]:
        return []
    lines = [
        "## What the papers claim",
        "",
        f"Written by `{CLAIMS_COMMAND}`; do not edit.",
        "Systems are of the size *small* (`training/small.py`). Differences are first minus second, with a 95 % interval over",
        "seeds and clusters of test material drawn apart; fewer than three seeds a side, or a validation curve that still rose",
        "by more than 0.25 dB in its last fifth, decide nothing.",
        "",
        "| claim | of | metric | first | second | difference | seeds | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for outcome in kept["claims"]:
        claim, gap, means = outcome["claim"], outcome["difference"], outcome["means"]
        numbers = (
            ["", "", ""]
            if gap is None
            else [f"{v:.2f}" for v in means] + [f"{gap[0]:+.2f} [{gap[1]:+.2f}, {gap[2]:+.2f}]"]
        )
        verdict = f"{outcome['verdict']}{': ' + outcome['why'] if outcome['why'] else ''}"
        cells = [claim["says"], claim["paper"], claim["metric"], *numbers, str(outcome["seeds"]), verdict]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "All on one CPU core in bfloat16, beside other work: minutes are wall-clock, the median of the seeds. Oracles are in",
        "dB over the mixture, as the systems are: masks of a model's own latent space (no later stage) and the STFT's",
        "ideal ratio mask of powers on the same examples.",
        "",
        "| system | parameters | audio heard | minutes | seeds | SI-SDR over the mixture | own oracle | STFT oracle "
        "| mixture | clusters | curve | in the paper, and why not here |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in kept["systems"]:
        mean, low, high = row["gain"]
        curve = "flat" if row["flat"] else "still rising"
        lines.append(
            f"| {row['name']} | {row['parameters']:,} | {row['hours']:.1f} h | {row['minutes']:.0f} | {row['seeds']} "
            f"| {mean:.2f} [{low:.2f}, {high:.2f}] dB | {_number(row.get('ceiling'))} | {_number(row.get('irm2'))} "
            f"| {_number(row.get('mixture'))} | {row['clusters']} | {curve} | {_paper(row['name'])} |"
        )
    return [*lines, "", *_bounds(kept["bounds"]), *_pictures(kept)]


def _bounds(bounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Is latent SI-SDR at most time-domain SI-SDR, on trained front-ends? Measured."""
    if not bounds:
        return []
    lines = [
        "### The bound of Two-Step, measured",
        "",
        "The paper says that SI-SDR of latents bounds that of the signals from below. It is so where the encoder is a Parseval",
        "frame (a test holds it); on trained transforms it is a matter of measurement: masked latents against the targets of",
        "step 2, and what the decoder makes of the ones against what it makes of the others.",
        "",
        "| system | pairs | latent above decoded | by at most | rank correlation |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['name']} | {row['count']} | {row['violations']:.1%} | {row['worst']:.2f} dB | {row['rank']:.3f} |"
        for row in bounds
    ]
    return [*lines, "", "![Latent SI-SDR against decoded SI-SDR, a dot a source](figures/bound.svg)", ""]


def _pictures(kept: Mapping[str, Any]) -> list[str]:
    lines = ["### Learning curves", ""]
    for name in kept["curves"]:
        if name.startswith("curves-"):
            lines += [f"![{name.removeprefix('curves-')}](figures/{name}.svg)", ""]
    if kept["transforms"]:
        lines += [
            "### Basis functions",
            "",
            "Spectra of the encoders' basis functions, sorted, low frequencies below.",
            "",
        ]
    for name in kept["transforms"]:
        lines += [f"![{name.removeprefix('basis-')}](figures/{name}.png)", ""]
    return lines


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} dB"


def _paper(name: str) -> str:
    """What the paper has for a system, and what differs."""
    return next((words for start, words in PAPERS.items() if name.startswith(start)), "")


def _beside(card: Card, yardsticks: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """One table: the model, oracles and the floor on the same clips."""
    if not yardsticks:
        return []
    found = {model: {(r["metric"], r["data"]): f"{r['value']:.2f}" for r in rows} for model, rows in yardsticks.items()}
    lines = [
        f"| dB, higher is better | {card.name} | {' | '.join(BESIDE[model] for model in found)} |",
        "|---|---|" + "---|" * len(found),
    ]
    for score in card.scores:
        others = " | ".join(rows.get((score.metric, score.data), "") for rows in found.values())
        lines.append(f"| {score.metric} ({score.data}) | {score.value:.2f} | {others} |")
    return lines


if __name__ == "__main__":
    main()
