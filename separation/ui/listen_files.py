"""What a listener's browser gets that is the same for every study: two pages of HTML, a module, styles, words.

Files only: what is asked, of whom, and where answers go is `listen_routes` and the room `listening`. Nothing here names a
study's models, and nothing is made from what a client sends: a file that is not in `FILES` does not exist. Knows no Gradio.

The module says what a listener does by events (`separation.ratings.records`): ``given`` with a value, and ``did`` with

    what         of          at (s on the bar)   detail
    open         –           –                   {width, height, hidden}; a page was shown
    audio        –           –                   {rate, asked, base, output (latencies, s), channels}; once a page
    play         token       where               {way: "button" | "key"}
    pause        token       where               {why: "button" | "end" | "page" | "tab" | "stop" | "taken"}
    switch       token       where               {from: token, way: "button" | "key"}
    heard        token       –                   {seconds} since the last one: when it stops, and every 10 s
    seek         token       where               –
    loop         –           –                   {start, end} in seconds, or {} for the whole
    underrun     token       where               {seconds}; the clock of the sound stood still
    silent       token       –                   {state}; the browser plays nothing
    level        –           –                   {percent, gain}; it is locked from here on
    view         token       –                   {view: "pictures", shown}
    blur, focus, hidden, visible, offline, online    –    –    –
    failed       token       –                   {found}; a sound could not be fetched
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

LANGUAGES = ("en", "de", "fr", "es", "zh")
"""Languages of the interface; what a study itself says may come in any."""

_HERE = Path(__file__).parent
_FOLDER = _HERE / "listen"
_JS = "text/javascript"

FILES: dict[str, tuple[Path, str]] = {
    **{path.name: (path, _JS) for path in sorted(_FOLDER.glob("*.js"))},
    "dark.js": (_HERE / "owner" / "dark.js", _JS),
    "listen.css": (_FOLDER / "listen.css", "text/css"),
    "theme.css": (_HERE / "theme.css", "text/css"),
    **{f"{language}.json": (_FOLDER / "texts" / f"{language}.json", "application/json") for language in LANGUAGES},
}
"""``listen/-/FILE`` -> the file and its media type."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of both pages: no script but these files, whatever a study's texts hold."""


@dataclass(frozen=True)
class OpenStudy:
    """A line of the index.

    Args:
        name: as in ``listen/NAME``.
        title: for the listener.
        minutes: about how long it takes; None if nobody knows.
        languages: that its texts have.
    """

    name: str
    title: str
    minutes: int | None = None
    languages: tuple[str, ...] = ()


def page_html() -> str:
    """The page of ``listen/STUDY``: the same bytes for every study; the module asks for the rest."""
    return (_FOLDER / "listen.html").read_text(encoding="utf-8")


def index_html(studies: Sequence[OpenStudy], header: str = "") -> str:
    """The page of ``listen``: the open studies, or that there is none.

    Args:
        studies: that are open.
        header: HTML with the way to the other pages, where there are some.

    >>> "ears-1" in index_html([OpenStudy("ears-1", "Voices & <noise>", 12)])
    True
    """
    page = (_FOLDER / "index.html").read_text(encoding="utf-8")
    return page.replace("{{header}}", header).replace("{{studies}}", "".join(map(_line, studies)) or _NONE)


_NONE = '<li class="none" data-text="index.none">No listening test is open at the moment.</li>'


def _line(study: OpenStudy) -> str:
    languages = " · ".join(language.upper() for language in study.languages)
    minutes = "" if study.minutes is None else f'<span data-minutes="{study.minutes}">about {study.minutes} min</span>'
    return (
        f'<li><a href="listen/{escape(study.name)}"><b>{escape(study.title)}</b>'
        f"<small>{minutes}<span>{escape(languages)}</span></small></a></li>"
    )


def words(language: str) -> dict[str, str]:
    """The interface texts of a language, for who checks that none is missing."""
    texts: dict[str, str] = json.loads((_FOLDER / "texts" / f"{language}.json").read_text(encoding="utf-8"))
    return texts
