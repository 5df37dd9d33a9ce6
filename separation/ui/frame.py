"""What every page shares: what it is given, the header, and how an error is shown.

Pages never look anything up: `Services` is made once by `server` (or by a test, with fakes) and handed to them.
"""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

import gradio as gr

from separation.engine.jobs import JobStore
from separation.engine.workers import Load, Workers
from separation.errors import SeparationError, UnknownModel
from separation.hub import Card, Installed, LearningCurves, Survey
from separation.ratings import ClipFolder, ClipStore, Store
from separation.settings import Settings
from separation.ui.taught import is_taught

P = ParamSpec("P")
R = TypeVar("R")
_log = logging.getLogger(__name__)

DEFAULT_MODEL = "vocals"
"""What a first visitor separates with."""

PAGES = (
    ("Separate", "./", ""),
    ("Learn", "./learn", "learn"),
    ("Compare", "./compare", "compare"),
    ("Listen", "./listen", "listen"),
    ("Evaluate", "./evaluate", "evaluate"),
    ("Models", "./models", "models"),
)
"""What the header links to: title, address relative to the page's root, route. Compare and Listen are pages of our own,
not Gradio's."""

OWNER_PAGES = (("Studies", "./studies", "studies"), ("Ratings", "./ratings", "ratings"))
"""The same for pages that are of use to the owner only; they are no pages of Gradio's."""

_MARK = (
    '<svg viewBox="0 0 34 34" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" '
    'aria-hidden="true"><path d="M3 17h5M8 17C13 17 13 8 18 8M8 17C13 17 13 26 18 26"/>'
    '<path d="M22 5v6M26 3v10M30 6v4M22 23v6M26 21v10M30 24v4"/></svg>'
)


class Hub(Protocol):
    """`separation.hub`, as far as the pages use it."""

    @property
    def load(self) -> Load: ...

    def bundled(self) -> list[Card]: ...

    def describe(self, name: str) -> Card: ...

    def fetch_size(self, name: str) -> int: ...

    def survey(self, name: str) -> Survey: ...

    def installed(self) -> list[Installed]: ...

    def remove(self, name: str) -> int: ...

    def read_curves(self, card: Card) -> LearningCurves | None: ...


@dataclass(frozen=True)
class Services:
    """Everything the pages work with.

    Args:
        settings: what the owner has set.
        store: the jobs.
        workers: who runs them.
        hub: where models come from.
        examples: folder of bundled examples.
        ratings: what people said.
        clips: the audio of it that they allowed to be kept.
    """

    settings: Settings
    store: JobStore
    workers: Workers
    hub: Hub
    examples: Path
    ratings: Store
    clips: ClipStore

    def bundled(self) -> dict[str, Card]:
        """The cards of the bundled models by name, the default first."""
        cards = {card.origin.name: card for card in self.hub.bundled()}
        return dict(sorted(cards.items(), key=lambda entry: entry[0] != DEFAULT_MODEL))

    def card(self, name: str) -> Card:
        """The card of a bundled model, a repository, or a model that was taught here; never of a folder of this machine.

        Raises:
            UnknownModel: neither; `separation.errors` has the rest.
        """
        bundled = self.bundled()
        if name in bundled:
            return bundled[name]
        if is_taught(name):
            return self.hub.describe(name)
        if name.count("/") != 1 or name.startswith((".", "/", "~")) or Path(name).exists():
            raise UnknownModel(
                f"Open the model {name}",
                "it is neither bundled nor a repository",
                f"Choose one of {', '.join(bundled)}, or write a repository of the Hugging Face Hub as owner/name",
            )
        return self.hub.describe(name)


def open_ratings(settings: Settings) -> tuple[Store, ClipStore]:
    """Where an installation keeps ratings, and the audio that goes with them.

    Raises:
        RatingError: the database cannot be opened.
    """
    return Store(settings.database_url), ClipFolder(settings.clips)


def header(current: str, *, owner: bool = False) -> gr.HTML:
    """The header with the page `current` marked as open; with the owner's pages if there is one."""
    return gr.HTML(header_html(current, owner=owner), apply_default_css=False, elem_classes=["earshot-plain"])


def header_html(current: str, *, owner: bool = False) -> str:
    """The same for pages that are not Gradio's."""
    links = "".join(
        f'<a href="{address}"{" aria-current=page" if title == current else ""}>{title}</a>'
        for title, address, _ in (*PAGES, *(OWNER_PAGES if owner else ()))
    )
    return (
        f'<header class="earshot-header"><a class="earshot-brand" href="./">{_MARK}Earshot</a>'
        f'<p class="earshot-tagline">Hear, see and rate sound separation</p>'
        f'<nav class="earshot-nav" aria-label="Pages">{links}</nav></header>'
    )


def step(number: int, title: str) -> gr.HTML:
    """The heading of one step of a page."""
    return gr.HTML(
        f'<h2 class="earshot-step"><b aria-hidden="true">{number}</b>{escape(title)}</h2>',
        apply_default_css=False,
        elem_classes=["earshot-plain"],
    )


def quiet(text: str) -> str:
    """A paragraph of secondary text."""
    return f'<p class="earshot-quiet">{escape(text)}</p>'


def toast(error: SeparationError) -> gr.Error:
    """The error as a toast of three parts: what was asked, what was found, and what to do."""
    asked, found, advice = (escape(_sentence(part)) for part in (error.asked, error.found, error.advice))
    # Gradio shows no title of its own for grouped toasts, so all three parts are in the message.
    message = f'<span class="earshot-toast"><b>{asked}</b><span>{found}</span><span>{advice}</span></span>'
    return gr.Error(message, duration=30, print_exception=False)


def with_toasts(handler: Callable[P, R]) -> Callable[P, R]:
    """Decorate a handler: an error meant for the user becomes a toast, any other a calm one and a line in the log."""

    @functools.wraps(handler)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        except SeparationError as error:
            raise toast(error) from error
        except gr.Error:
            raise
        except Exception as error:
            _log.exception("A handler of the page failed")
            calm = SeparationError(
                "Answer you",
                "something unexpected went wrong inside the program",
                "Try again; nothing you chose is lost. The owner's log has the details",
            )
            raise toast(calm) from error

    return wrapped


def spoken(seconds: float) -> str:
    """A time as people say it.

    >>> spoken(0.4), spoken(11.6), spoken(200), spoken(5400)
    ('1 s', '12 s', '3 min', '1.5 h')
    """
    if seconds < 99:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def clock(seconds: float) -> str:
    """A position or length as minutes and seconds.

    >>> clock(75.2), clock(3661)
    ('1:15', '1:01:01')
    """
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
