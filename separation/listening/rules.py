"""What in a study must fit together: ids that are there, sounds that can be made, numbers that can be met.

Only what is impossible or untrue in the file itself; what is unwise, and all that needs the audio, is for `checks`. Whether
there are listeners enough is for `plans`.
"""

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from separation.listening.parts import (
    MIXTURE,
    MULTIPLE,
    PAIRED,
    REFERENCE,
    Anchor,
    Gold,
    Item,
    Page,
    Question,
    Study,
    Text,
    conditions_of,
    has,
    items_of,
    missing_for,
    wanted_of,
)
from separation.listening.scales import SCALES
from separation.listening.wording import LANGUAGES
from separation.listening.yaml_lines import Path

MOST_SIGNALS = 12
"""Sounds on a page of `mushra`, hidden reference and anchors included (BS.1534-3, 5.3)."""
Wrong = Iterator[tuple[Path, str]]


def inconsistencies(study: Study) -> Wrong:
    """All that does not fit: (path of the part, what was found and what to do)."""
    yield from _names(study)
    for place, system in enumerate(study.systems):
        if bool(system.model) == bool(system.files):
            found = "both `model` and `files`" if system.model else "neither `model` nor `files`"
            yield ("systems", place), f"{found}: a system is either a model or files"
        yield from _files(study, place)
    for place, anchor in enumerate(study.anchors):
        yield from _anchor(anchor, ("anchors", place))
    for place, question in enumerate(study.questions):
        yield from _question(study, question, ("questions", place))
    yield from _pages(study)
    for place, gold in enumerate(study.gold):
        yield from _gold(study, gold, ("gold", place))
    yield from _assignment(study)
    yield from _languages(study)


def _names(study: Study) -> Wrong:
    lists = {
        "items": [item.id for item in study.items],
        "questions": [question.id for question in study.questions],
        "systems": [system.id for system in study.systems],
        "anchors": [anchor.id for anchor in study.anchors],
    }
    for name, ids in lists.items():
        for place, id in enumerate(ids):
            if id in ids[:place]:
                yield (name, place, "id"), f"`{id}` is the id of two {name}; give one another"
    conditions = lists["systems"] + lists["anchors"]
    for name in ("systems", "anchors"):
        for place, id in enumerate(lists[name]):
            if id in (REFERENCE, MIXTURE):
                yield (name, place, "id"), f"`{id}` means the {id} of every item; choose another id"
            elif name == "anchors" and id in lists["systems"]:
                yield (name, place, "id"), f"`{id}` is also a system; choose another id"
    if not conditions:
        yield ("systems",), "no system and no anchor: there is nothing to judge"


def _files(study: Study, place: int) -> Wrong:
    files, items = study.systems[place].files, [item.id for item in study.items]
    if isinstance(files, dict):
        for id in files:
            yield from _known(("systems", place, "files", id), id, items, "item")
    elif files and "{item}" not in files and len(items) > 1:
        yield (
            ("systems", place, "files"),
            f"`{files}` is one file for {len(items)} items; write `{{item}}` where the id goes",
        )


def _anchor(anchor: Anchor, path: Path) -> Wrong:
    allowed = {
        "low_pass": {"cut_hz"},
        "distorted": {"cut_hz", "share"},
        "interference": {"level_db"},
        "artefacts": {"level_db", "share"},
    }.get(anchor.kind, set())
    for name in ("cut_hz", "level_db", "share"):
        if getattr(anchor, name) is not None and name not in allowed:
            yield (*path, name), f"`{name}` means nothing to an anchor of kind `{anchor.kind}`; leave it out"


def _question(study: Study, question: Question, path: Path) -> Wrong:
    known = [*(one.id for one in study.systems), *(one.id for one in study.anchors), REFERENCE, MIXTURE]
    for name, ids, allowed in (
        ("conditions", question.conditions, known),
        ("items", question.items, [item.id for item in study.items]),
    ):
        for place, id in enumerate(ids):
            yield from _known((*path, name, place), id, allowed, name.removesuffix("s"))
            if id in ids[:place]:
                yield (*path, name, place), f"`{id}` stands here twice"
    if question.items and any(gold.question == question.id and gold.item in question.items for gold in study.gold):
        yield (*path, "items"), "an item of gold trials cannot be a test item of the same question; take it out here"
    items = items_of(study, question)
    if not items:
        yield path, f"`{question.id}` has no item to ask about: none has its conditions, or all are gold"
        return
    lacking = list(_lacking(study, question, items, path))
    yield from lacking
    if lacking:
        return
    yield from _signals(study, question, items, path)
    if question.kind == "mushra":
        yield from _mushra(study, question, items, path)


def _lacking(study: Study, question: Question, items: Sequence[Item], path: Path) -> Wrong:
    """Targets and conditions that some items lack: every system is judged on the same items (BS.1534-3, 5.2)."""
    if question.kind in ("mushra", "bs1116", "dcr"):
        without = [item.id for item in items if not item.target]
        if without:
            yield path, f"`{question.kind}` needs the `target` of every item; {_listed(without)} has none"
            return
    anchors = {anchor.id: anchor for anchor in study.anchors}
    for id in wanted_of(study, question):
        if id == REFERENCE and REFERENCE not in question.conditions:
            continue
        lacking = [item for item in items if not has(study, item, id)]
        if lacking:
            needs = {name for item in lacking for name in missing_for(anchors[id], item)} if id in anchors else set()
            why = f": it needs their {' and '.join(sorted(needs))}" if needs else ""
            yield (
                path,
                f"`{id}` is missing for {_listed([item.id for item in lacking])}{why}; add it, or name other `items`",
            )


def _signals(study: Study, question: Question, items: Sequence[Item], path: Path) -> Wrong:
    least = 2 if question.kind in MULTIPLE or question.kind in PAIRED else 1
    for item in items:
        conditions = conditions_of(study, question, item)
        if len(conditions) < least:
            found = _listed(conditions) if conditions else "none"
            yield path, f"`{question.kind}` compares at least {least} conditions; {item.id} has {found}"
            return
        shown = len(conditions) - _left_out(study, conditions)
        if shown < least:
            found = f"{study.assignment.systems_per_trial} systems a trial leave {shown} to compare of {item.id}"
            yield ("assignment", "systems_per_trial"), f"{found}; `{question.id}` needs {least}"
            return
        if question.kind == "mushra" and shown > MOST_SIGNALS:
            room = MOST_SIGNALS - (len(conditions) - _systems(study, conditions))
            found = f"{shown} sounds on a page; BS.1534-3 allows {MOST_SIGNALS} with reference and anchors"
            yield path, f"{found}. Set assignment.systems_per_trial to {room} or less, or ask in two questions"
            return


def _systems(study: Study, conditions: Iterable[str]) -> int:
    return len({system.id for system in study.systems} & set(conditions))


def _left_out(study: Study, conditions: Iterable[str]) -> int:
    systems = _systems(study, conditions)
    return systems - min(systems, study.assignment.systems_per_trial or systems)


def _mushra(study: Study, question: Question, items: Sequence[Item], path: Path) -> Wrong:
    """BS.1534-3 without its reference or anchors must not be called MUSHRA (5.1, 5.3)."""
    advice = "add what is missing, or write `kind: scale`, which asks in the same way and is not BS.1534"
    if "target" not in question.references:
        yield (*path, "references"), f"MUSHRA needs the `target` open: {advice}"
    conditions = conditions_of(study, question, items[0])
    if REFERENCE not in conditions:
        yield path, f"MUSHRA needs the hidden reference: {advice}"
    cuts = {
        anchor.cut_hz or 3500.0 for anchor in study.anchors if anchor.id in conditions and anchor.kind == "low_pass"
    }
    if len(cuts) < 2:
        found = f"found {_listed(f'{cut:g} Hz' for cut in sorted(cuts))}" if cuts else "found none"
        yield path, f"MUSHRA needs two low-passed anchors, 3500 and 7000 Hz; {found}: {advice}"
    if question.switching == "crossfade":
        yield (*path, "switching"), "BS.1534-3 forbids a crossfade between sounds; write `bs1534`"


def _pages(study: Study) -> Wrong:
    kinds = Counter(page.kind for page in study.pages)
    if study.pages and not kinds["trials"]:
        yield ("pages",), "no page of kind `trials`: nobody would be asked anything; add `- kind: trials`"
    seen: list[str] = []
    items, names = [item.id for item in study.items], Counter[str]()
    for place, page in enumerate(study.pages):
        path: Path = ("pages", place)
        if page.kind in seen and page.kind not in ("instructions", "questionnaire", "demographics"):
            yield (*path, "kind"), f"a second page of kind `{page.kind}`; there can be one"
        if page.kind == "training" and "trials" in seen:
            yield (*path, "kind"), "training after the trials; put it before them"
        if page.kind == "end" and place < len(study.pages) - 1:
            yield (*path, "kind"), "the end must be the last page"
        seen.append(page.kind)
        for number, id in enumerate(page.items):
            yield from _known((*path, "items", number), id, items, "item")
        yield from _page(page, path)
        for number, ask in enumerate(page.fields):
            names[ask.name] += 1
            if names[ask.name] == 2:
                yield (*path, "fields", number, "name"), f"`{ask.name}` is asked twice; give one another name"


def _page(page: Page, path: Path) -> Wrong:
    belongs = {"fields": ("demographics", "questionnaire"), "items": ("training",), "redirect": ("end",)}
    for name, kinds in belongs.items():
        if getattr(page, name) and page.kind not in kinds:
            yield (*path, name), f"`{name}` belongs on a page of kind {_listed(kinds)}, not `{page.kind}`"
    if page.kind in belongs["fields"] and not page.fields:
        yield path, f"a page of kind `{page.kind}` without `fields` asks nothing"
    for number, ask in enumerate(page.fields):
        at = (*path, "fields", number)
        if ask.kind in ("choice", "choices") and len(ask.options) < 2:
            yield at, f"`{ask.name}` is a {ask.kind} among {len(ask.options)} options; give at least two"
        if ask.kind not in ("choice", "choices") and ask.options:
            yield (*at, "options"), f"`options` mean nothing to a field of kind `{ask.kind}`"
        if ask.minimum is not None and ask.maximum is not None and ask.minimum > ask.maximum:
            yield at, f"a minimum of {ask.minimum:g} above the maximum of {ask.maximum:g}"


def _gold(study: Study, gold: Gold, path: Path) -> Wrong:
    questions = {question.id: question for question in study.questions}
    yield from _known((*path, "item"), gold.item, [item.id for item in study.items], "item")
    yield from _known((*path, "question"), gold.question, list(questions), "question")
    item = next((one for one in study.items if one.id == gold.item), None)
    question = questions.get(gold.question)
    if item is None or question is None:
        return
    at = (*path, "expect")
    if question.kind in ("abx", "marks"):
        yield (
            (*path, "question"),
            f"`{question.kind}` has no answer to expect"
            + (": of every ABX trial the right answer is known" if question.kind == "abx" else ""),
        )
    elif question.kind == "text":
        if list(gold.expect) != [""] or not isinstance(gold.expect[""], str):
            yield at, 'of a text the expected words stand under `""`'
    else:
        yield from _expected(study, gold, question, item, at)


def _expected(study: Study, gold: Gold, question: Question, item: Item, path: Path) -> Wrong:
    conditions = conditions_of(study, question, item)
    for id in gold.expect:
        yield from _known((*path, id), id, conditions, "condition")
    low, high = SCALES[question.kind]
    for id, value in gold.expect.items():
        if isinstance(value, str) or not low <= value <= (len(conditions) if question.kind == "ranking" else high):
            yield (*path, id), f"found {value!r}; an answer to `{question.kind}` is a number from {low:g} to {high:g}"
    if question.kind in PAIRED and question.kind != "bs1116":
        values = [value for value in gold.expect.values() if not isinstance(value, str)]
        if len(gold.expect) != 2 or sum(values) != 0:
            yield path, "of a pair both conditions are given, as each is judged: `{a: 1, b: -1}`"
    elif not gold.expect:
        yield path, "nothing is expected; give a condition and its right answer"


def _assignment(study: Study) -> Wrong:
    assignment = study.assignment
    path: Path = ("assignment", "systems_per_trial")
    wanted, there = assignment.systems_per_trial, len(study.systems)
    if assignment.design == "incomplete" and wanted is None:
        yield ("assignment", "design"), "incomplete blocks need `systems_per_trial`"
    if wanted is not None and wanted > there:
        yield path, f"{wanted} systems a trial, but there are {there}"


def _languages(study: Study) -> Wrong:
    for place, language in enumerate(study.languages):
        yield from _known(("languages", place), language, LANGUAGES, "language")
        if language in study.languages[:place]:
            yield ("languages", place), f"`{language}` stands here twice"
    for path, text in texts_of(study):
        if isinstance(text, dict):
            for language in text:
                yield from _known((*path, language), language, study.languages, "language of the study")
            if study.languages[0] not in text:
                yield path, f"no text in `{study.languages[0]}`, the first language of the study"


def texts_of(study: Study) -> Iterator[tuple[Path, Text]]:
    """All words of a study's own for listeners, with where they stand."""
    yield ("title",), study.title
    for place, question in enumerate(study.questions):
        yield ("questions", place, "title"), question.title
        yield ("questions", place, "text"), question.text
    for place, page in enumerate(study.pages):
        yield ("pages", place, "title"), page.title
        yield ("pages", place, "text"), page.text
        for number, ask in enumerate(page.fields):
            yield ("pages", place, "fields", number, "label"), ask.label
            for option, text in enumerate(ask.options):
                yield ("pages", place, "fields", number, "options", option), text


def _known(path: Path, id: str, allowed: Sequence[str], what: str) -> Wrong:
    if id not in allowed:
        near = difflib.get_close_matches(id, allowed, n=1)
        hint = f"is `{near[0]}` meant?" if near else f"there are {_listed(allowed)}"
        yield path, f"`{id}` is no {what}; {hint}"


def _listed(ids: Iterable[str], most: int = 8) -> str:
    """
    >>> _listed(["a", "b"]), _listed("abcdefghij", 3)
    ('`a`, `b`', '`a`, `b`, `c` and 7 more')
    """
    names = [f"`{id}`" for id in ids]
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"
