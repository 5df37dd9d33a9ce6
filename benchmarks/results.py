"""Measure the bundled models, write the scores to their cards and `docs/results.md`.

    python -m benchmarks.results --data DIR [--model NAME] [--only-print]

The data folder is the one that training takes (docs/training.md); only the test sides of its splits are used. Nothing in
`docs/results.md` is written by hand.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from separation.evaluation import Row, speaker_pairs, vocals_mir1k, vocals_outside
from separation.hub import Card, bundled, describe, load, readme
from separation.models import Separator

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "results.md"
COMMAND = "python -m benchmarks.results --data DIR"
PROTOCOLS: dict[str, tuple[Callable[..., list[Row]], ...]] = {
    "vocals": (vocals_mir1k, vocals_outside),
    "speakers": (speaker_pairs,),
}
PUBLISHED = """\
Published figures on MIR-1K, for orientation: MLRR 3.85, RNMF 4.97, DRNN 7.45, U-Net 7.43, SH-4stack 10.51 dB GNSDR. They train
on `abjones` and `amy` and test on the other 17 singers; ours trains on five singers (and on other voices and music) and tests
on two, because only eight singers are in our copy, and singers that share a backing track with training are left out. Our
copies are Vorbis-coded (32 dB median coding SNR), and the mixture is the sum of the decoded parts.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", choices=sorted(PROTOCOLS), help="measure this one only")
    parser.add_argument("--folder", type=Path, help="a candidate's folder; only printed")
    parser.add_argument("--verbose", action="store_true", help="a line a clip")
    options = parser.parse_args()
    names = [options.model] if options.model else sorted(PROTOCOLS)
    for name in names:
        rows = measure(load(options.folder or name), name, options.data, verbose=options.verbose)
        for row in rows:
            print(
                f"{name:10s} {row.task:32s} {row.metric:32s} {row.mean:6.2f} [{row.low:.2f}, {row.high:.2f}] {row.data}"
            )
        if options.folder is None:
            write_scores(next(card for card in bundled() if card.name == name), rows)
    if options.folder is None:
        PAGE.write_text(page(bundled()))


def measure(model: Separator, name: str, data: Path, *, verbose: bool = False) -> list[Row]:
    """Every protocol of the model called `name`."""
    progress = print if verbose else None
    return [row for protocol in PROTOCOLS[name] for row in protocol(model, data, progress=progress)]


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


def page(cards: list[Card]) -> str:
    """The text of docs/results.md, from the cards alone."""
    lines = [
        "# Results",
        "",
        f"Written by `{COMMAND}`; do not edit. Intervals are 95 % bootstraps over the clusters named.",
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
        lines.append("")
        if card.name == "vocals":
            lines += [PUBLISHED]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
