"""What a study is made of: the vocabulary of the room, as strict records, and what goes without saying.

The line below a field is its description in docs/study-file.md. Reading and writing the file: `study`; what must fit together:
`rules`.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Text = str | dict[str, str]
"""Words for the listener: one text, or one a language (``{"en": …, "de": …}``). Plain text; an empty line parts paragraphs."""
Kind = Literal["mushra", "bs1116", "ab", "abx", "acr", "dcr", "ccr", "p835", "ranking", "scale", "text", "marks"]
KINDS: tuple[Kind, ...] = (
    "mushra", "bs1116", "ab", "abx", "acr", "dcr", "ccr", "p835", "ranking", "scale", "text", "marks",
)  # fmt: skip
MULTIPLE: tuple[Kind, ...] = ("mushra", "scale", "ranking")
"""Kinds that show all conditions of an item on one page."""
PAIRED: tuple[Kind, ...] = ("bs1116", "ab", "abx", "ccr")
"""Kinds that show two. All others show one."""
CLOSED: tuple[Kind, ...] = ("acr", "p835", "ccr", "abx")
"""Kinds at which the target is never open beside what is judged."""
REFERENCE, MIXTURE = "reference", "mixture"
"""Conditions that every item may have beside systems and anchors: the target itself, and the mixture it is in."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class System(_Strict):
    """A condition under test: a model of ours run on the mixtures, or files of anybody's. No listener ever gets its id."""

    id: Slug
    """Its name in results."""
    label: str = ""
    """What the report calls it; empty: the id."""
    model: str = ""
    """A model to run on the mixtures: a bundled name, a folder, or `owner/name[@revision]`. Either this or `files`."""
    files: str | dict[str, str] = ""
    """Audio files: a pattern such as `ours/{item}.wav`, or a file an item."""


class Anchor(_Strict):
    """A condition made by us from mixture and target (`audio/anchors.py`)."""

    id: Slug
    """Its name in results."""
    kind: Literal["low_pass", "mixture", "interference", "artefacts", "distorted", "ratio_mask"]
    """What is made: the target low-passed; the mixture; the target with the rest of the mixture under it; the target with
    musical noise; the target low-passed and with holes; the best that a ratio mask can do."""
    cut_hz: float | None = Field(default=None, gt=0)
    """Of `low_pass` and `distorted`: all above goes; empty: 3500. MUSHRA needs 3500 and 7000."""
    level_db: float | None = Field(default=None, ge=-60, le=60)
    """How far the target lies above what is added: of `interference` the rest of the mixture, of `artefacts` the noise."""
    share: float | None = Field(default=None, gt=0, lt=1)
    """Of `artefacts` and `distorted`: the share of time-frequency points set to zero."""


class Item(_Strict):
    """A piece of audio. Paths are relative to the study's file."""

    id: Slug
    """Its name in results; stands for `{item}` in the patterns of systems."""
    mixture: str = ""
    """The recording that models separate; needed by models and most anchors."""
    target: str = ""
    """What the separated source should sound like; needed by MUSHRA, BS.1116, DCR and most anchors."""
    source: str = ""
    """Which source of a model's is under test, e.g. `vocals`; empty: its first."""
    start: float = Field(default=0.0, ge=0)
    """Seconds into the files where the item begins."""
    duration: float | None = Field(default=None, gt=0, le=600)
    """Seconds; empty: to the end. BS.1534 asks for about 10 s, at most 12."""
    group: str = ""
    """Song or speaker: what results generalise over, and what "one song once" counts. Empty: the item is its own."""


class Question(_Strict):
    """What is asked about every item."""

    id: Slug
    """Its name in results."""
    kind: Kind
    """The kind of question; see the table above."""
    attribute: Literal["overall", "target", "others", "artefacts"] = "overall"
    """What is judged: overall quality; how well the target is kept; how well other sounds are suppressed; freedom from
    artificial noise. One a question."""
    title: Text = ""
    """Heading of the page; empty: a default in the listener's language."""
    text: Text = ""
    """What is asked; empty: a default in the listener's language."""
    references: tuple[Literal["target", "mixture"], ...] = ("target",)
    """What can be heard openly beside the sounds that are judged, as far as an item has it. With `acr`, `p835`, `ccr` and
    `abx` the target never is."""
    conditions: tuple[Slug, ...] = ()
    """Ids of systems and anchors, `reference`, `mixture`. Empty: all that fit the kind."""
    items: tuple[Slug, ...] = ()
    """Ids of items; empty: all that are not gold."""
    hidden_reference: bool = True
    """`mushra` and `scale`: the target is also among the sounds to judge."""
    tie: bool = True
    """`ab`: "no difference" can be answered."""
    both_bad: bool = True
    """`ab`: "both are bad" can be answered."""
    comment: bool = False
    """A field for remarks on every page."""
    marks: bool = False
    """Regions of the waveform can be marked beside the answer."""
    views: bool = False
    """Waveform and spectrogram may be opened before the answer; they bias, so it is recorded."""
    switching: Literal["bs1534", "crossfade"] = "bs1534"
    """Between sounds: out, then in, as BS.1534 wants; or a crossfade, which it forbids."""
    must_play: bool = True
    """Every sound must have been played before the page can be left."""
    must_move: bool = True
    """Every slider must have been moved before the page can be left."""
    plays: int | None = Field(default=None, ge=1)
    """How often a sound can be played at most; empty: any number of times."""


class Page(_Strict):
    """One page of the test, in order."""

    kind: Literal[
        "consent", "demographics", "level", "headphones", "instructions", "training", "trials", "questionnaire", "end"
    ]
    """`trials` stands for all trials, `training` for the training session."""
    title: Text = ""
    """Heading; empty: a default in the listener's language."""
    text: Text = ""
    """Words; empty: a default in the listener's language."""
    fields: tuple["Ask", ...] = ()
    """Of `demographics` and `questionnaire`: what is asked."""
    required: bool = True
    """Of `consent` and `headphones`: the test does not go on without."""
    items: tuple[Slug, ...] = ()
    """Of `training`: which items; empty: the first of every question."""
    redirect: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """Of `end`: where the listener is sent with the completion code; `{code}` stands for it."""


class Ask(_Strict):
    """A question of a form."""

    name: Slug
    """Its name in results."""
    kind: Literal["choice", "choices", "text", "number", "check"]
    """One of the options, any of them, words, a number, a tick."""
    label: Text
    """What is asked."""
    options: tuple[Text, ...] = ()
    """Of `choice` and `choices`; results hold the words that stand first."""
    required: bool = False
    """The page cannot be left without an answer."""
    minimum: float | None = None
    """Of `number`: the least."""
    maximum: float | None = None
    """Of `number`: the most."""


class Assignment(_Strict):
    """Who gets what, in which order (`plans`)."""

    design: Literal["full", "latin", "williams", "incomplete", "random"] = "latin"
    """How sounds are ordered on a page and pages in a session: `latin`: each equally often at each place; `williams`: and
    each equally often right after each other; `incomplete`: `latin` with only `systems_per_trial` systems of an item a
    listener; `full` and `random`: by lot."""
    listeners: int = Field(default=20, ge=1, le=2000)
    """How many places there are."""
    items_per_listener: int | None = Field(default=None, ge=1)
    """Items that a listener gets of each question, balanced over listeners; empty: all."""
    systems_per_trial: int | None = Field(default=None, ge=1)
    """Systems that a listener gets of an item, balanced over listeners; anchors and reference are always there. Empty: all."""
    repeats: float = Field(default=0.1, ge=0, le=0.5)
    """Share of trials that come twice, to see how far a listener agrees with herself. None with `one_song_once`."""
    repeat_gap: int = Field(default=3, ge=1, le=100)
    """Trials between the two at least."""
    one_song_once: bool = False
    """A listener never hears two items of one `group`, nor a song for two questions."""
    lease_minutes: float = Field(default=60.0, ge=1, le=100_000)
    """An abandoned place is given to somebody else after this long without a sign of life."""


class Gold(_Strict):
    """A trial whose answer is known; the listener's page does not know which ones they are.

    Its item is no test item of its question.
    """

    item: Slug
    """Id of the item."""
    question: Slug
    """Id of the question."""
    trap: bool = False
    """The audio itself says what to answer."""
    expect: dict[str, float | str]
    """Condition -> right answer. Of a pair both conditions, as each is judged (`{a: 1, b: -1}`); of `text` the words under
    `""`; of `p835` what all three scales should say."""
    tolerance: float = Field(default=0.0, ge=0)
    """How far from it is still right."""


class Screening(_Strict):
    """A rule by name with its numbers (`screening.RULES`); what it removes can always be seen with and without it."""

    rule: Slug
    """Name of the rule."""
    numbers: dict[str, float] = {}
    """Its numbers, by name; those not given have defaults."""


class Study(_Strict):
    """The whole file."""

    format: Literal["earshot-study/1"] = "earshot-study/1"
    """Says that this is a study, and of which version."""
    name: Slug
    """Name in addresses (`/listen/NAME`) and folders."""
    title: Text
    """What the listener reads above every page."""
    contact: str = ""
    """Whom a listener can write to."""
    languages: tuple[str, ...] = Field(default=("en",), min_length=1)
    """Languages of the pages, the first one by default: `en`, `de`, `fr`, `es`, `zh`."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """All lots are drawn from it: the same file gives the same plan."""
    systems: tuple[System, ...] = Field(max_length=200)
    """What is tested."""
    anchors: tuple[Anchor, ...] = Field(default=(), max_length=20)
    """What is made to compare with."""
    items: tuple[Item, ...] = Field(min_length=1, max_length=1000)
    """What is heard."""
    questions: tuple[Question, ...] = Field(min_length=1, max_length=30)
    """What is asked, in this order: a listener answers all trials of one before the next."""
    pages: tuple[Page, ...] = Field(default=(), max_length=60)
    """Pages in order; empty: consent, instructions, level, headphones, training, trials, end."""
    loudness: Literal["target", "bs1770", "none"] = "target"
    """How sounds are matched: by the target that is in them; by BS.1770 loudness; or left as they are."""
    sample_rate: int | None = Field(default=None, ge=8000, le=192_000)
    """Hz of what is served; empty: the highest of the items'."""
    assignment: Assignment = Assignment()
    """Who gets what."""
    gold: tuple[Gold, ...] = Field(default=(), max_length=60)
    """Trials whose answer is known."""
    screening: tuple[Screening, ...] = ()
    """Rules that the report uses at first."""
    statistics: dict[str, float | str | bool] = {}
    """What the analysis should know, by name."""
    completion_code: str = Field(default="", max_length=64)
    """What a listener gets at the end; empty: one is drawn when the study is made."""

    def item(self, id: str) -> Item:
        """The item of an id. Raises `KeyError`."""
        return _the(self.items, id)

    def question(self, id: str) -> Question:
        """The question of an id. Raises `KeyError`."""
        return _the(self.questions, id)


_Part = TypeVar("_Part", Item, Question)


def _the(parts: tuple[_Part, ...], id: str) -> _Part:
    for part in parts:
        if part.id == id:
            return part
    raise KeyError(id)


def words(text: Text, language: str) -> str:
    """The text in a language, or in its first one.

    >>> words({"en": "Thanks", "de": "Danke"}, "de"), words({"en": "Thanks"}, "fr"), words("Hi", "zh")
    ('Danke', 'Thanks', 'Hi')
    """
    return text if isinstance(text, str) else text.get(language, next(iter(text.values()), ""))


def conditions_of(study: Study, question: Question, item: Item) -> tuple[str, ...]:
    """What is judged of an item, in the file's order: the question's conditions, as far as the item has them.

    Without any, all that fit the kind: anchors where scales are used; the reference, if the item has one, with which `ccr` and
    `abx` compare. `bs1116` always has the hidden reference, `mushra` and `scale` as the question says.
    """
    return tuple(id for id in wanted_of(study, question) if has(study, item, id))


def wanted_of(study: Study, question: Question) -> tuple[str, ...]:
    """What should be judged of every item, whether or not it has it."""
    hidden = question.kind == "bs1116" or (question.kind in ("mushra", "scale") and question.hidden_reference)
    if question.conditions:
        return question.conditions + ((REFERENCE,) if hidden and REFERENCE not in question.conditions else ())
    systems, anchors = tuple(one.id for one in study.systems), tuple(one.id for one in study.anchors)
    if question.kind in ("ab", "ranking", "text", "marks"):
        return systems
    if question.kind in ("ccr", "abx"):
        return (REFERENCE, *systems)
    return systems + (() if question.kind == "bs1116" else anchors) + ((REFERENCE,) if hidden else ())


def has(study: Study, item: Item, condition: str) -> bool:
    """Whether there is, or can be made, what a condition is of an item."""
    if condition in (REFERENCE, MIXTURE):
        return bool(item.target if condition == REFERENCE else item.mixture)
    for system in study.systems:
        if system.id == condition:
            return item.id in system.files if isinstance(system.files, dict) else bool(system.files or item.mixture)
    return any(anchor.id == condition and not missing_for(anchor, item) for anchor in study.anchors)


def missing_for(anchor: Anchor, item: Item) -> list[str]:
    """What an item lacks for an anchor to be made: ``["target"]``, ``["mixture"]``, both, or nothing."""
    needs = {"mixture": ("mixture",), "interference": ("mixture", "target"), "ratio_mask": ("mixture", "target")}
    return [name for name in needs.get(anchor.kind, ("target",)) if not getattr(item, name)]


def references_of(question: Question, item: Item) -> tuple[Literal["target", "mixture"], ...]:
    """What is open beside the judged sounds of an item."""
    return tuple(
        role
        for role in question.references
        if getattr(item, role) and not (role == "target" and question.kind in CLOSED)
    )


def items_of(study: Study, question: Question) -> tuple[Item, ...]:
    """The items that a question is asked about, in the file's order; not its gold."""
    gold = {one.item for one in study.gold if one.question == question.id}
    return tuple(
        item
        for item in study.items
        if item.id not in gold
        and (not question.items or item.id in question.items)
        and conditions_of(study, question, item)
    )


def pages_of(study: Study) -> tuple[Page, ...]:
    """The pages of a study, in order, with those that go without saying; the last one is its end."""
    pages = study.pages or tuple(
        Page(kind=kind) for kind in ("consent", "instructions", "level", "headphones", "training", "trials")
    )
    return pages if pages[-1].kind == "end" else (*pages, Page(kind="end"))
