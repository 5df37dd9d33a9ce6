"""The recordings that come with the app, each a folder: `example.json`, the mixture, and true sources where there are some.

    {"title": "Guitar against the band", "description": "One sentence.", "file": "mixture.flac", "model": "vocals",
     "references": {"guitar": "guitar.flac"}, "credits": "Who, where from, licence"}

`title` and `file` are needed, the rest may be missing. A card on the page is drawn from it, outline included.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from separation.audio import open_reader, peaks_of
from separation.errors import DataError

POINTS = 72
"""Strokes of an outline."""


@dataclass(frozen=True)
class Example:
    """A bundled recording.

    Args:
        id: the folder's name.
        title: a few words.
        description: a sentence on what there is to hear.
        file: the mixture.
        model: the model that suits it; None for any.
        references: true sources by name.
        credits: who made it, and the licence.
        duration: seconds.
        outline: greatest magnitude of each stretch, 0 to 1.
    """

    id: str
    title: str
    description: str
    file: Path
    model: str | None
    references: dict[str, Path]
    credits: str
    duration: float
    outline: tuple[float, ...]


def read_examples(folder: Path) -> list[Example]:
    """All examples in `folder`, by name of their folder; none if it is not there.

    Raises:
        DataError: an `example.json` is broken or names a file that is missing.
    """
    return [_read(path.parent) for path in sorted(folder.glob("*/example.json"))]


def cards(examples: Sequence[Example]) -> str:
    """The cards as a `gr.HTML` template: a button each, pressed where its id is the component's value."""
    return f'<div class="earshot-examples">{"".join(_card(example) for example in examples)}</div>'


def _read(folder: Path) -> Example:
    asked = f"Read the example {folder.name}"
    try:
        fields = json.loads((folder / "example.json").read_text(encoding="utf-8"))
        paths = {"": folder / fields["file"]} | {
            name: folder / file for name, file in fields.get("references", {}).items()
        }
        title = str(fields["title"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            asked, f"its example.json is broken ({error!r})", "Write it as separation/ui/examples.py says"
        ) from error
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise DataError(asked, f"there is no {', '.join(missing)}", "Put the files beside example.json")
    with open_reader(paths[""]) as reader:
        outline = abs(peaks_of(reader.read(0, reader.length), POINTS).astype(int)).max(axis=1) / 127
        duration = reader.length / reader.sample_rate
    return Example(
        id=folder.name,
        title=title,
        description=str(fields.get("description", "")),
        file=paths.pop(""),
        model=fields.get("model"),
        references=paths,
        credits=str(fields.get("credits", "")),
        duration=duration,
        outline=tuple(float(value) for value in outline),
    )


def _card(example: Example) -> str:
    top = max(*example.outline, 0.01)
    strokes = "".join(
        f"M{2 * index + 1} {22 - 20 * value / top:.1f}V{22 + 20 * value / top:.1f}"
        for index, value in enumerate(example.outline)
    )
    outline = (
        f'<svg viewBox="0 0 {2 * POINTS} 44" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{strokes}" stroke="currentColor" stroke-width="1.1" stroke-linecap="round"/></svg>'
    )
    length = f"{example.duration:.0f} s"
    credit = f" · {example.credits}" if example.credits else ""
    pressed = f"${{value === '{_literal(example.id)}'}}"
    return (
        f'<button type="button" class="earshot-example" data-example="{_literal(example.id)}" aria-pressed="{pressed}">'
        f"{outline}<strong>{_literal(example.title)}</strong><span>{_literal(example.description)}</span>"
        f'<span class="earshot-length">{_literal(length + credit)}</span></button>'
    )


def _literal(text: str) -> str:
    """Text that neither HTML, nor a JavaScript template, nor Handlebars takes for anything else."""
    return escape(text).translate({ord(mark): f"&#{ord(mark)};" for mark in "`${}\\"})
