"""What is wrong with a study before anybody listens, measured on the audio that listeners would get.

The rules are those of ITU-R BS.1534-3 (as notes of others quote it: its text is not free to copy) and a few of ours: an anchor
that takes nothing away is no anchor, systems of different bandwidth are told apart by their treble alone, and two systems that
sound the same to the bit are one.

What must fit together in the file is not looked at here: `rules` says that line by line, without any audio.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, inf, log10
from statistics import median
from typing import Literal

import numpy as np

from separation.audio.anchors import CUTS_HZ, STOP
from separation.audio.bandwidth import energy_above
from separation.listening.parts import REFERENCE, Anchor, Question, Study, conditions_of, items_of
from separation.listening.prepared import Prepared
from separation.listening.study import study_hash

AUDIBLE_DB = -25.0
"""What an anchor takes away must have at least this much of the item's energy; less is next to nothing to hear."""
LONGEST, SHORTEST = 12.0, 0.5
"""Seconds of an item: the standard's upper end, and its shortest loop."""
FEWEST_ITEMS = 5
ITEMS_A_SYSTEM = 1.5
WIDER = 1.25
"""Ratio of bandwidths from which on two systems are told apart by their treble."""
RATES = 8000, 11025, 16000, 22050, 32000
"""Hz that every browser plays; half of it is the band that is left."""
SAME_HZ = 50.0
"""Proposed cut-offs are multiples of this."""


@dataclass(frozen=True)
class Finding:
    """One thing to know.

    Args:
        level: an ``error`` should keep a study from being launched, a ``warning`` belongs into its report, a ``note`` is
            a fact.
        where: what it is about: a question, item, condition or anchor; "" for the whole study.
        text: sentences with numbers.
        cuts: Hz of the low and the mid anchor that would mend it; empty: nothing is proposed.
    """

    level: Literal["error", "warning", "note"]
    where: str
    text: str
    cuts: tuple[float, ...] = ()


def check(study: Study, prepared: Prepared) -> list[Finding]:
    """Everything there is to know before a study is launched, errors first.

    Args:
        study: what was asked for.
        prepared: what was made of it.
    """
    if prepared.hash != study_hash(study):
        return [Finding("error", "", "The audio was made from another version of the study. Build it again.")]
    found = [
        *_items(study, prepared),
        *_sounds(study, prepared),
        *_same(study, prepared),
        *_anchors(study, prepared),
        *_bandwidths(study, prepared),
        *(finding for question in study.questions for finding in _question(study, question)),
    ]
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def removed_db(prepared: Prepared, item: str, anchor: str) -> float:
    """Energy of what an anchor lacks of the reference, relative to the reference, in dB; ``-inf`` for nothing or silence."""
    whole = prepared.samples(prepared.find(item, REFERENCE)).astype(np.float64)
    stimulus = prepared.find(item, anchor)
    lacking = whole - prepared.samples(stimulus) * 10 ** (-stimulus.gain_db / 20)
    energy = float((whole**2).sum())
    # Half a step of 16 bits on each side is rounding, not a difference.
    gone = float((np.where(np.abs(lacking) * 32768 > 1.01, lacking, 0) ** 2).sum())
    return 10 * log10(gone / energy) if gone > 0 and energy > 0 else -inf


def _items(study: Study, prepared: Prepared) -> Iterator[Finding]:
    for name, item in prepared.items.items():
        if item.duration < SHORTEST:
            text = f"It has {item.duration:.2f} s: too short to loop ({SHORTEST:g} s)."
            yield Finding("error", name, text)
        elif item.duration > LONGEST:
            text = (
                f"It has {item.duration:.1f} s. BS.1534-3 asks for about 10 s and at most {LONGEST:g} s, or for a reason "
                "in the report."
            )
            yield Finding("warning", name, text)
    if prepared.gain_db < 0:
        text = f"Everything is played {-prepared.gain_db:.1f} dB lower than it is, so that nothing clips; the relations stay."
        yield Finding("note", "", text)


def _sounds(study: Study, prepared: Prepared) -> Iterator[Finding]:
    """What was noted when the audio was made."""
    for stimulus in prepared.stimuli:
        where = f"{stimulus.item}: {stimulus.condition}"
        for flag in stimulus.flags:
            yield Finding("warning", where, f"{flag[:1].upper()}{flag[1:]}.")
        if stimulus.lag:
            late = "late" if stimulus.lag > 0 else "early"
            text = f"It came {abs(stimulus.lag)} sample{'s' * (abs(stimulus.lag) > 1)} {late}; that was removed."
            yield Finding("note", where, text)


def _same(study: Study, prepared: Prepared) -> Iterator[Finding]:
    """Conditions that nobody can tell apart, because they are the same samples."""
    systems = {system.id for system in study.systems}
    by_audio = defaultdict(list)
    for stimulus in prepared.stimuli:
        by_audio[stimulus.item, stimulus.sha256].append(stimulus.condition)
    for (item, _), names in by_audio.items():
        ours = [name for name in names if name in systems]
        if len(ours) > 1:
            yield Finding(
                "error", item, f"{' and '.join(ours)} are the same to the bit: one of them is the wrong file."
            )
        elif ours and REFERENCE in names:
            yield Finding("error", item, f"{ours[0]} is the reference itself, to the bit.")


def _anchors(study: Study, prepared: Prepared) -> Iterator[Finding]:
    """What each anchor is, and what the low-passes take away from each item."""
    low_passes = {anchor.id: anchor for anchor in study.anchors if anchor.kind == "low_pass"}
    for anchor in study.anchors:
        yield Finding("note", anchor.id, prepared.anchors.get(anchor.id, ""))
    have = {(stimulus.item, stimulus.condition) for stimulus in prepared.stimuli}
    for name, anchor in low_passes.items():
        items = [item for item in prepared.items if {(item, name), (item, REFERENCE)} <= have]
        taken = {item: removed_db(prepared, item, name) for item in items}
        if not taken:
            continue
        numbers = ", ".join(f"{item} {_said(value)}" for item, value in taken.items())
        weak = [item for item, value in taken.items() if value < AUDIBLE_DB]
        if not weak:
            yield Finding("note", name, f"It takes away, of the energy of each item: {numbers}.")
            continue
        cuts = _proposed(prepared, items)
        standard, most = _cut(anchor) in CUTS_HZ, 2 * len(weak) >= len(taken)
        text = (
            f"It takes away less than {AUDIBLE_DB:g} dB of {len(weak)} of {len(taken)} items ({numbers}): next to nothing "
            f"is missing, and it cannot hold the scale.{' This is not MUSHRA.' if standard and most else ''} "
            f"{_proposal(cuts)}"
        )
        level: Literal["error", "warning"] = "error" if standard and most and _of_mushra(study, name) else "warning"
        yield Finding(level, name, text, cuts if len(low_passes) == len(cuts) else ())


def _proposed(prepared: Prepared, items: list[str]) -> tuple[float, ...]:
    """Cut-offs in the standard's proportion at which both anchors take enough away from every item; none if there are none."""
    edges = []
    for item in items:
        reference = prepared.find(item, REFERENCE)
        hertz, share = energy_above(prepared.samples(reference), prepared.items[item].sample_rate)
        enough = np.flatnonzero(share >= 10 ** (AUDIBLE_DB / 10))
        edges.append(float(hertz[enough[-1]]) if share[0] > 0 else inf)
    cut = floor(min(edges) / STOP / SAME_HZ) * SAME_HZ
    return (floor(cut / 2 / SAME_HZ) * SAME_HZ, cut) if 2 * SAME_HZ < cut < inf else ()


def _proposal(cuts: tuple[float, ...]) -> str:
    if not cuts:
        return "No cut-off would do for all of them: choose items with more treble."
    low, mid = cuts
    return (
        f"Write cut_hz: {low:g} and cut_hz: {mid:g} for the low and the mid anchor: the mid one then takes {AUDIBLE_DB:g} dB "
        "of the item with the least treble. The report calls them scaled, not BS.1534-3. Or choose items with more treble."
    )


def _bandwidths(study: Study, prepared: Prepared) -> Iterator[Finding]:
    """Systems that go up to different frequencies: without anything else, listeners hear that."""
    found: dict[str, list[float]] = defaultdict(list)
    for stimulus in prepared.stimuli:
        if stimulus.condition in {system.id for system in study.systems} and stimulus.bandwidth_hz:
            found[stimulus.condition].append(stimulus.bandwidth_hz)
    typical = {name: median(values) for name, values in found.items()}
    if len(typical) < 2 or max(typical.values()) <= WIDER * min(typical.values()):
        return
    least = min(typical.values())
    rate = max((rate for rate in RATES if rate / 2 <= WIDER * least), default=None)
    offer = (
        f"For a common band write sample_rate: {rate} (all of them then go up to {rate / 2:,.0f} Hz at most, the reference too)"
        if rate is not None and rate < next(iter(prepared.items.values())).sample_rate
        else "Low-pass the wider ones for a common band"
    )
    numbers = ", ".join(f"{name} {value:,.0f} Hz" for name, value in sorted(typical.items()))
    yield Finding(
        "warning",
        "",
        f"The systems go up to different frequencies (medians over items: {numbers}): listeners will grade that. {offer}, or "
        "say it in the report.",
    )


def _question(study: Study, question: Question) -> Iterator[Finding]:
    """What of BS.1534-3 is advice, so that a file may do without."""
    if question.kind != "mushra":
        return
    items = items_of(study, question)
    conditions = {name for item in items for name in conditions_of(study, question, item)}
    cuts = {_cut(anchor) for anchor in study.anchors if anchor.kind == "low_pass" and anchor.id in conditions}
    if not set(CUTS_HZ) <= cuts:
        said = " and ".join(f"{cut:,.0f} Hz" for cut in sorted(cuts))
        text = f"BS.1534-3 asks for anchors at 3,500 and 7,000 Hz; here they are at {said}. Report them as scaled."
        yield Finding("warning", question.id, text)
    systems = len(conditions & {system.id for system in study.systems})
    wanted = max(FEWEST_ITEMS, ceil(ITEMS_A_SYSTEM * systems))
    if len(items) < wanted:
        text = (
            f"It has {len(items)} item{'s' * (len(items) != 1)}; BS.1534-3 advises about {ITEMS_A_SYSTEM:g} a system and at "
            f"least {FEWEST_ITEMS}: {wanted} for {systems} system{'s' * (systems != 1)}."
        )
        yield Finding("warning", question.id, text)
    if question.attribute != "overall":
        text = f"It asks for `{question.attribute}`, not for basic audio quality: report it as a scale of your own."
        yield Finding("note", question.id, text)


def _of_mushra(study: Study, anchor: str) -> bool:
    return any(
        question.kind == "mushra" and anchor in conditions_of(study, question, item)
        for question in study.questions
        for item in study.items
    )


def _cut(anchor: Anchor) -> float:
    return CUTS_HZ[0] if anchor.cut_hz is None else anchor.cut_hz


def _said(value_db: float) -> str:
    return f"{value_db:.0f} dB" if value_db > -inf else "nothing"
