"""A study: the YAML file that says what is asked about which recordings, of whom, in which order.

Written by a person or by the page's form, never changed by a program once listeners have come: results name its hash.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Text = str | dict[str, str]
"""Words for the listener: one text, or one a language (``{"en": …, "de": …}``). Plain text; an empty line parts paragraphs."""
KINDS = (
    "mushra", "bs1116", "ab", "abx", "acr", "dcr", "ccr", "p835", "ranking", "scale", "text", "marks",
)  # fmt: skip
REFERENCE, MIXTURE = "reference", "mixture"
"""Conditions that every item may have beside systems and anchors: the target itself, and the mixture it is in."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class System(_Strict):
    """A condition under test: a model of ours run on the mixtures, or files of anybody's. No listener ever gets its id."""

    id: Slug
    label: str = ""  # for the report; empty: the id
    model: str = ""  # a name for `hub.load`; or
    files: str | dict[str, str] = ""  # a pattern such as "ours/{item}.wav", or a file an item


class Anchor(_Strict):
    """A condition made by us from mixture and target (`audio/anchors.py`)."""

    id: Slug
    kind: Literal["low_pass", "mixture", "interference", "artefacts", "distorted", "ratio_mask"]
    cut_hz: float | None = None  # low_pass and distorted
    level_db: float | None = None  # interference: target to interference; artefacts: target to artefacts
    share: float | None = None  # artefacts: of time-frequency points set to zero


class Item(_Strict):
    """A piece of audio. Paths are relative to the study's file."""

    id: Slug
    mixture: str = ""
    target: str = ""
    source: str = ""  # which source of a model's is under test, e.g. "vocals"
    start: float = 0.0  # seconds
    duration: float | None = None  # seconds; None: to the end
    group: str = ""  # song or speaker: the cluster of generalisation, and of "one song once"


class Question(_Strict):
    """What is asked about every item."""

    id: Slug
    kind: Literal["mushra", "bs1116", "ab", "abx", "acr", "dcr", "ccr", "p835", "ranking", "scale", "text", "marks"]
    attribute: Literal["overall", "target", "others", "artefacts"] = "overall"
    title: Text = ""
    text: Text = ""
    references: tuple[Literal["target", "mixture"], ...] = ("target",)  # open ones
    conditions: tuple[Slug, ...] = ()  # systems, anchors, "reference", "mixture"; empty: all that fit the kind
    items: tuple[Slug, ...] = ()  # empty: all
    hidden_reference: bool = True  # mushra
    tie: bool = True  # ab
    both_bad: bool = True  # ab
    comment: bool = False
    marks: bool = False  # region marks on the waveform beside the answer
    views: bool = False  # waveform and spectrogram may be opened before the answer
    switching: Literal["bs1534", "crossfade"] = "bs1534"
    must_play: bool = True
    must_move: bool = True
    plays: int | None = None  # at most; None: any number


class Page(_Strict):
    """One page of the test, in order. ``trials`` stands for all trials, ``training`` for the training session."""

    kind: Literal[
        "consent", "demographics", "level", "headphones", "instructions", "training", "trials", "questionnaire", "end"
    ]
    title: Text = ""
    text: Text = ""
    fields: tuple["Ask", ...] = ()  # demographics, questionnaire
    required: bool = True
    items: tuple[Slug, ...] = ()  # training: which items
    redirect: str = ""  # end: where the listener is sent with the completion code; "{code}" stands for it


class Ask(_Strict):
    """A question of a form."""

    name: Slug
    kind: Literal["choice", "choices", "text", "number", "check"]
    label: Text
    options: tuple[Text, ...] = ()
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None


class Assignment(_Strict):
    """Who gets what, in which order (`plans`)."""

    design: Literal["full", "latin", "williams", "incomplete", "random"] = "latin"
    listeners: int = 20
    items_per_listener: int | None = None  # None: all
    systems_per_trial: int | None = None  # None: all
    repeats: float = 0.1  # share of test trials that come twice
    repeat_gap: int = 3  # trials between them at least
    one_song_once: bool = False
    lease_minutes: float = 60.0  # an abandoned place is given to somebody else after this long without a sign of life


class Gold(_Strict):
    """A trial whose answer is known; the listener's page does not know which ones they are."""

    item: Slug
    question: Slug
    trap: bool = False  # the audio itself says what to answer
    expect: dict[str, float | str]  # condition (or "" where there is none) -> answer
    tolerance: float = 0.0


class Screening(_Strict):
    """A rule by name with its numbers (`screening.RULES`); what it removes can always be seen with and without it."""

    rule: Slug
    numbers: dict[str, float] = {}


class Study(_Strict):
    """The whole file."""

    format: Literal["earshot-study/1"] = "earshot-study/1"
    name: Slug
    title: Text
    contact: str = ""
    languages: tuple[str, ...] = ("en",)
    seed: int = 0
    systems: tuple[System, ...]
    anchors: tuple[Anchor, ...] = ()
    items: tuple[Item, ...]
    questions: tuple[Question, ...]
    pages: tuple[Page, ...] = ()  # empty: consent, instructions, level, headphones, training, trials, end
    loudness: Literal["target", "bs1770", "none"] = "target"
    sample_rate: int | None = None  # of what is served; None: the highest of the items'
    assignment: Assignment = Assignment()
    gold: tuple[Gold, ...] = ()
    screening: tuple[Screening, ...] = ()
    statistics: dict[str, float | str | bool] = {}
    completion_code: str = ""  # empty: one is drawn when the study is made
