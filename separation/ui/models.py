"""The Models page: what is here, and any repository of the Hub, its size shown before anything is fetched."""

from html import escape
from urllib.parse import quote

import gradio as gr

from separation.hub import Card, Score
from separation.ui.frame import Services, quiet, with_toasts


class ModelsPage:
    """The page's components and what happens between them.

    Args:
        services: what it works with.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def build(self) -> None:
        """Put the components into the page that is being built."""
        cards = "".join(model_card(card, name) for name, card in self._services.bundled().items())
        gr.HTML(
            f'<div class="earshot-models">{cards}</div>' if cards else quiet("No model is bundled here."),
            apply_default_css=False,
            elem_classes=["earshot-plain"],
        )
        with gr.Column(elem_classes=["earshot-card", "earshot-open"]):
            gr.HTML(
                '<h2 class="earshot-step">Open a model from the Hugging Face Hub</h2>'
                + quiet(
                    "Only models in Earshot's own format run here. You see its card and size before it is fetched."
                ),
                apply_default_css=False,
                elem_classes=["earshot-plain"],
            )
            with gr.Row(elem_classes=["earshot-ask"]):
                name = gr.Textbox(
                    label="Repository", placeholder="owner/name or owner/name@revision", scale=5, max_lines=1
                )
                look = gr.Button("Show its card", scale=1, min_width=150)
            found = gr.HTML(apply_default_css=False, elem_classes=["earshot-plain"])
        gr.on([look.click, name.submit], self.look, name, found, api_visibility="private", show_progress_on=look)

    @with_toasts
    def look(self, name: str) -> str:
        """The card of a repository and what fetching it would take."""
        card = self._services.card(name.strip())
        return model_card(card, name.strip(), self._services.hub.fetch_size(name.strip()))


def model_card(card: Card, name: str, size: int | None = None) -> str:
    """A card as HTML.

    Args:
        name: with which the Separate page opens the model.
        size: bytes to fetch first; None where that does not arise.
    """
    facts: list[tuple[str, str]] = [
        ("Gives", ", ".join(card.sources)),
        ("Hears", f"up to {card.sample_rate / 2000:g} kHz"),
        ("Trained on", "; ".join(card.trained_on)),
        ("Licence", card.licence),
    ]
    if card.weights is not None:
        facts.append(
            ("Size", f"{card.weights.parameters / 1e6:.2g} million parameters, {_megabytes(card.weights.bytes)}")
        )
    if size is not None:
        facts.append(("To fetch", _megabytes(size) if size else "nothing, it is here already"))
    rows = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in facts)
    scores = "".join(map(_score, card.scores))
    weak = "".join(f"<li>{escape(weakness)}</li>" for weakness in card.weaknesses)
    return (
        f'<article class="earshot-model"><h2>{escape(card.title)}</h2><p>{escape(card.summary)}</p><dl>{rows}</dl>'
        + (f'<ul class="earshot-scores" aria-label="Scores">{scores}</ul>' if scores else "")
        + (f"<div><p><strong>Weak at</strong></p><ul>{weak}</ul></div>" if weak else "")
        + f'<details><summary>Cite</summary><p class="earshot-quiet">{escape(card.citation)}</p></details>'
        + f'<a class="earshot-use" href="./?model={quote(name, safe="")}">Use it</a></article>'
    )


def _score(score: Score) -> str:
    """One score: the number first, what it is, and in small print how sure it is and on what."""
    interval = "" if score.interval is None else f"{score.interval[0]:g} to {score.interval[1]:g} {score.unit}; "
    note = f"; {score.note}" if score.note else ""
    return (
        f"<li><strong>{score.value:.1f} {escape(score.unit)}</strong><span>{escape(score.metric)}"
        f"<small>{escape(interval + score.data + note)}</small></span></li>"
    )


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 1e6:.1f} MB"
