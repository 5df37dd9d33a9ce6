"""The recordings that come with the app, each a folder: `example.json`, the mixture, and true sources where there are some.

    {"title": "A guitar with its band", "summary": "One sentence.", "mixture": "mixture.flac", "model": "vocals",
     "references": {"guitar": "guitar.flac"}, "order": 1,
     "credits": [{"what": "…", "author": "…", "licence": "…", "licence_url": "…", "source": "…"}]}

A card on the page is drawn from it, outline included.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from separation.audio import open_reader, peaks_of
from separation.errors import DataError

POINTS = 48
"""Strokes of an outline."""


@dataclass(frozen=True)
class Credit:
    """Who made a part of an example.

    Args:
        what: the part.
        author: its author.
        licence: its licence's short name.
        licence_url: its text.
        source: where it was taken from.
    """

    what: str
    author: str
    licence: str
    licence_url: str
    source: str


@dataclass(frozen=True)
class Example:
    """A bundled recording.

    Args:
        id: the folder's name.
        title: a few words.
        summary: a sentence on what there is to hear.
        mixture: the file to separate.
        model: the model that suits it.
        references: true sources by name.
        credits: what of it was made by whom, and under which licence.
        order: place on the page.
        duration: seconds.
        outline: greatest magnitude of each stretch, 0 to 1.
    """

    id: str
    title: str
    summary: str
    mixture: Path
    model: str
    references: dict[str, Path]
    credits: tuple[Credit, ...]
    order: int
    duration: float
    outline: tuple[float, ...]


def read_examples(folder: Path) -> list[Example]:
    """All examples in `folder`, in the order they ask for; none if it is not there.

    Raises:
        DataError: an `example.json` is broken or names a file that is missing.
    """
    return sorted((_read(path.parent) for path in folder.glob("*/example.json")), key=lambda one: (one.order, one.id))


def cards(examples: Sequence[Example]) -> str:
    """The cards as a `gr.HTML` template: a button each, pressed where its id is the component's value."""
    return f'<div class="earshot-examples">{"".join(_card(example) for example in examples)}</div>'


def credits_list(examples: Sequence[Example]) -> str:
    """Who made the examples, as an HTML list."""
    items = "".join(
        f"<li>{escape(example.title)}, {escape(credit.what)}: {escape(credit.author)}, "
        f'<a href="{escape(credit.licence_url)}" rel="noreferrer">{escape(credit.licence)}</a>, {escape(credit.source)}</li>'
        for example in examples
        for credit in example.credits
    )
    return f"<ul>{items}</ul>"


def _read(folder: Path) -> Example:
    asked = f"Read the example {folder.name}"
    try:
        fields = json.loads((folder / "example.json").read_text(encoding="utf-8"))
        mixture = folder / fields["mixture"]
        references = {str(name): folder / file for name, file in fields["references"].items()}
        credits = tuple(Credit(**credit) for credit in fields["credits"])
        words = str(fields["title"]), str(fields["summary"]), str(fields["model"]), int(fields["order"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        advice = "Write it as separation/ui/examples.py says"
        raise DataError(asked, f"its example.json is broken ({error!r})", advice) from error
    missing = [path.name for path in (mixture, *references.values()) if not path.is_file()]
    if missing:
        raise DataError(asked, f"there is no {', '.join(missing)}", "Put the files beside example.json")
    with open_reader(mixture) as reader:
        outline = abs(peaks_of(reader.read(0, reader.length), POINTS).astype(int)).max(axis=1) / 127
        duration = reader.length / reader.sample_rate
    title, summary, model, order = words
    strokes = tuple(float(value) for value in outline)
    return Example(folder.name, title, summary, mixture, model, references, credits, order, duration, strokes)


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
    pressed = f"${{value === '{_literal(example.id)}'}}"
    return (
        f'<button type="button" class="earshot-example" data-example="{_literal(example.id)}" aria-pressed="{pressed}">'
        f"{outline}<strong>{_literal(example.title)}<small>{example.duration:.0f} s</small></strong>"
        f"<span>{_literal(example.summary)}</span></button>"
    )


def _literal(text: str) -> str:
    """Text that neither HTML, nor a JavaScript template, nor Handlebars takes for anything else."""
    return escape(text).translate({ord(mark): f"&#{ord(mark)};" for mark in "`${}\\"})
