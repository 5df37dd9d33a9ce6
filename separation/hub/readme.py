"""`README.md` of a model folder: the card as the Hub shows it, written from `config.json` so that the two agree.

The front matter is what the Hub searches by (https://huggingface.co/docs/hub/model-cards). Nothing here is read back.
"""

import json
from collections.abc import Iterable

from separation.hub.card import Card, Score

_HUB_LICENCES = frozenset({
    "mit", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0",
    "unlicense", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0",
    "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
})  # fmt: skip
"""The identifiers of https://huggingface.co/docs/hub/repositories-licenses that models of this field use."""


def write(card: Card) -> str:
    """Markdown with YAML front matter."""
    size = f", {card.weights.parameters:,} parameters" if card.weights else ""
    sections = [
        _front_matter(card),
        f"# {_line(card.title)}\n\n{card.summary}",
        f"- **Gives**: {', '.join(card.sources)}, at {card.sample_rate:,} Hz\n"
        f"- **Architecture**: {card.architecture}{size}",
        f'## Use\n\n```python\nimport separation\n\nmodel = separation.load("{card.name}")\n```\n\n'
        "For a copy of this folder give its path, for a repository on the Hub `owner/name`.",
    ]
    if card.weaknesses:
        sections.append("## What it is bad at\n\n" + _bullets(card.weaknesses))
    if card.scores:
        sections.append("## Scores\n\n" + _scores(card.scores))
    if card.trained_on:
        sections.append("## Trained on\n\n" + _bullets(card.trained_on))
    by = f"\n\nBy {', '.join(card.authors)}." if card.authors else ""
    sections.append(f"## Licence and citation\n\n{card.licence}{by}\n\n{card.citation}")
    return "\n\n".join(sections) + "\n"


def _front_matter(card: Card) -> str:
    known = card.licence.lower() in _HUB_LICENCES
    fields: dict[str, str | list[str]] = {"license": card.licence.lower() if known else "other"}
    if not known:
        fields["license_name"] = _line(card.licence)
    fields |= {
        "library_name": "earshot",
        "pipeline_tag": "audio-to-audio",
        "tags": ["source-separation", card.task, card.architecture],
    }
    # A JSON value is a YAML value, quoted where it must be.
    return "---\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in fields.items()) + "---"


def _scores(scores: tuple[Score, ...]) -> str:
    rows = ["| metric | value | interval | data | note |", "|---|---|---|---|---|"]
    for score in scores:
        interval = "" if score.interval is None else f"{score.interval[0]:g} to {score.interval[1]:g}"
        cells = (score.metric, f"{score.value:g} {score.unit}", interval, score.data, score.note or "")
        rows.append("| " + " | ".join(_line(cell).replace("|", "\\|") for cell in cells) + " |")
    commands = sorted({f"`{score.command}`" for score in scores if score.command})
    return "\n".join(rows) + (f"\n\nMeasured by:\n\n{_bullets(commands)}" if commands else "")


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_line(line)}" for line in lines)


def _line(text: str) -> str:
    return " ".join(text.split())
