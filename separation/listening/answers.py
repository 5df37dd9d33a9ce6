"""One row per thing that a listener said, whatever the kind of question: what screening, statistics and exports read."""

from dataclasses import dataclass
from typing import Literal

Purpose = Literal["training", "test", "repeat", "gold", "trap"]


@dataclass(frozen=True)
class Answer:
    """One value.

    Args:
        listener: pseudonym of the listener in this study.
        trial: id of the page that was served; the rows of one trial share it.
        index: place of the trial in the listener's order, from 0; training has its own count.
        question: id; `kind` its kind.
        item: id; `group` its song or speaker.
        attribute: what was judged: ``overall``, ``target``, ``others``, ``artefacts``; p835: ``sig``, ``bak``, ``ovrl``. A
            remark has ``comment``, marks have ``marks``, whatever the kind of the question.
        condition: what was judged: a system's or anchor's id, ``reference`` or ``mixture``; "" for none (a remark).
        other: of a pair, the one on the right or second (`condition` is the left or first); else "".
        value: the number: 0 to 100, 1 to 5; ranking: 1 is best; ab: 1 for `condition`, -1 for `other`, 0 for a tie; ccr: -3 to
            3, positive if `condition` is better; abx: 1 correct, 0 wrong; None where `text` says it. Of a text with an expected
            one (a trap) 1 if it is that, else 0.
        text: words; ``both_bad``; JSON of marks; None where `value` says it.
        position: place of the condition on the page, from 0.
        purpose: why it was asked.
        repeat_of: id of the trial whose repeat this is, or None.
        expected: of gold and traps, the right answer; None otherwise.
        tolerance: how far from `expected` is still right.
        seconds: spent on the trial.
        played: seconds this condition sounded during the trial.
        switches: between sounds during the trial.
        moved: the control was touched.
        made: seconds since 1970, by the server.
    """

    listener: str
    trial: str
    index: int
    question: str
    kind: str
    item: str
    group: str
    attribute: str
    condition: str
    other: str
    value: float | None
    text: str | None
    position: int
    purpose: Purpose
    repeat_of: str | None
    expected: float | None
    tolerance: float
    seconds: float
    played: float
    switches: int
    moved: bool
    made: float
