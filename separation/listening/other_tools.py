"""Answers in the files of other listening-test tools, and back: webMUSHRA, pymushra, the P.808 toolkit.

What their columns can say comes back as it was, times to the millisecond; what they cannot (order of presentation, plays,
purpose) is neutral then. Kinds of question that a tool does not have are left out and named. A trial is called
``QUESTION::ITEM``, with ``::ATTRIBUTE`` where a question asks for several and ``::repeat`` the second time; a file of the tool
itself calls it by its page, which must be the id of an item.

    webMUSHRA   results/TEST/{mushra,bs1116,paired_comparison,lss,lms}.csv as its `service/write.php` writes them
    pymushra    one CSV by semicolons, ``questionaire_*`` (sic), ``wm_id``, ``wm_type``, ``responses_*``
    P.808       QUESTION_votes_per_{worker,clip,cond}[_ATTRIBUTE].csv as `result_parser.py` of the toolkit writes them

Lines end by CR LF, because Python's writer then quotes either in what a listener wrote; all these tools read that.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from separation.errors import StudyError
from separation.listening.answers import Answer
from separation.listening.study import REFERENCE, Item, Question, Study
from separation.ratings.export import Exported

Forms = Mapping[str, Mapping[str, str]]
"""What listeners said in questionnaires: listener -> field -> words."""

BETWEEN = "::"
"""Between the parts of a trial's name; no id holds it."""

_HEADS = {
    "mushra": ("trial_id", "rating_stimulus", "rating_score", "rating_time", "rating_comment"),
    "bs1116": (
        "trial_id", "rating_reference", "rating_non_reference", "rating_reference_score", "rating_non_reference_score",
        "rating_time", "choice_comment",
    ),
    "paired_comparison": (
        "trial_id", "choice_reference", "choice_non_reference", "choice_answer", "choice_time", "choice_comment",
    ),
    "lss": ("trial_id", "stimuli_rating", "stimuli", "rating_time"),
    "lms": ("trial_id", "stimuli_rating", "stimuli", "rating_time"),
}  # fmt: skip
_FILE_OF = {
    "mushra": "mushra", "bs1116": "bs1116", "abx": "paired_comparison", "acr": "lss", "dcr": "lss", "p835": "lms",
    "scale": "lms",
}  # fmt: skip
_KINDS = {file: tuple(kind for kind, name in _FILE_OF.items() if name == file) for file in _HEADS}
_TOLD = {1.0: "correct", 0.0: "incorrect"}
VOTED = ("acr", "dcr", "p835")
"""Kinds that the P.808 toolkit knows."""
WEBMUSHRA = tuple(_FILE_OF)
"""Kinds that webMUSHRA knows."""
_COMMENT = "comment"
_REMARKED = ("mushra", "bs1116", "abx")
"""Kinds whose files have a column for remarks."""

Row = dict[str, str]


def write_webmushra(study: Study, answers: Sequence[Answer], folder: Path, *, forms: Forms = {}) -> Exported:
    """The CSV files of a webMUSHRA server into `folder`; only those that have rows."""
    said, left_out = sayable(answers, _FILE_OF, remarked=_REMARKED)
    asked = sorted({name for form in forms.values() for name in form})
    counts: dict[str, int] = {}
    for file, head in _HEADS.items():
        rows = list(_rows(study, [answer for answer in said if _FILE_OF[answer.kind] == file], _comments(answers)))
        if not rows:
            continue
        with (folder / f"{file}.csv").open("w", encoding="utf-8", newline="") as opened:
            writer = csv.writer(opened)
            writer.writerow(["session_test_id", *asked, "session_uuid", *head])
            for listener, row in rows:
                form = forms.get(listener, {})
                writer.writerow([study.name, *(form.get(name, "") for name in asked), listener, *row])
        counts[file] = len(rows)
    return Exported(counts, left_out)


def read_webmushra(study: Study, folder: Path) -> tuple[list[Answer], dict[str, dict[str, str]]]:
    """Answers and questionnaires of a folder of webMUSHRA's results.

    Raises:
        StudyError: no file of theirs is there, or a line is about something that the study does not have.
    """
    found: list[tuple[str, Row]] = []
    forms: dict[str, dict[str, str]] = {}
    for file, head in _HEADS.items():
        path = folder / f"{file}.csv"
        if not path.is_file():
            continue
        for number, row in _lines(path, ",", (*head, *(("session_uuid",) if file == "mushra" else ()))):
            beside = {
                name: words for name, words in row.items() if name not in (*head, "session_test_id", "session_uuid")
            }
            listener = row.get("session_uuid") or BETWEEN.join(beside.values())
            forms.setdefault(listener, beside)
            found.append((file, row | {"session_uuid": listener, "": f"{path.name}, line {number}"}))
    if not found:
        names = ", ".join(f"{name}.csv" for name in _HEADS)
        raise StudyError(
            f"Read results of webMUSHRA in {folder.name}", f"there is no {names} with rows", "Check the folder"
        )
    builder = _Builder(study)
    for file, row in found:
        builder.add(file, row)
    return builder.answers, forms


def write_pymushra(study: Study, answers: Sequence[Answer], path: Path, *, forms: Forms = {}) -> Exported:
    """pymushra's table of MUSHRA answers."""
    said, left_out = sayable(answers, ("mushra",), remarked=("mushra",))
    asked = sorted({name for form in forms.values() for name in form})
    rows = list(_rows(study, said, _comments(answers)))
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, delimiter=";")
        head = ("wm_id", "wm_type", "responses_stimulus", "responses_score", "responses_time", "responses_comment")
        writer.writerow([*(f"questionaire_{name}" for name in asked), "questionaire_uuid", *head])
        for listener, (trial, *rest) in rows:
            form = forms.get(listener, {})
            writer.writerow([*(form.get(name, "") for name in asked), listener, trial, "mushra", *rest])
    return Exported({"mushra": len(rows)}, left_out)


def read_pymushra(study: Study, path: Path) -> tuple[list[Answer], dict[str, dict[str, str]]]:
    """Answers and questionnaires of a table of pymushra.

    Raises:
        StudyError: as `read_webmushra`.
    """
    builder, forms = _Builder(study), {}
    theirs = ("wm_id", *(f"responses_{name}" for name in ("stimulus", "score", "time", "comment")))
    new = dict(zip(_HEADS["mushra"], theirs, strict=True))
    for number, row in _lines(path, ";", (*new.values(), "questionaire_uuid")):
        listener, prefix = row["questionaire_uuid"], "questionaire_"
        forms[listener] = {
            name.removeprefix(prefix): words
            for name, words in row.items()
            if name.startswith(prefix) and name != f"{prefix}uuid"
        }
        if row.get("wm_type", "mushra") == "mushra":
            told = {name: row[column] for name, column in new.items()}
            builder.add("mushra", told | {"session_uuid": listener, "": f"{path.name}, line {number}"})
    return builder.answers, forms


def write_p808(answers: Sequence[Answer], folder: Path) -> Exported:
    """Votes of every question of P.808's and P.835's kinds, a table a worker, a clip and a condition each.

    The 95 % interval is the toolkit's, 1.96 standard errors of votes that are taken for independent; the report has the one
    over listeners.
    """
    said, left_out = sayable([answer for answer in answers if answer.purpose == "test"], VOTED)
    tables: dict[tuple[str, str], list[Answer]] = defaultdict(list)
    for answer in said:
        tables[answer.question, f"_{answer.attribute}" if answer.kind == "p835" else ""].append(answer)
    for (question, suffix), votes in tables.items():
        clips: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        conditions: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        for vote in votes:
            clips[f"{vote.item}/{vote.condition}", vote.condition].append(vote)
            conditions[vote.condition, ""].append(vote)
        workers = [
            (vote.trial, vote.listener, f"{vote.item}/{vote.condition}", _number(vote.value), vote.condition)
            for vote in votes
        ]
        _write(
            folder / f"{question}_votes_per_worker{suffix}.csv",
            ("HITId", "workerid", "file", "vote", "condition"),
            workers,
        )
        most = max(len(given) for given in clips.values())
        heads = ("MOS", "std", "95%CI", "n")
        _write(
            folder / f"{question}_votes_per_clip{suffix}.csv",
            ("file", "condition", *heads, *(f"vote_{k}" for k in range(1, most + 1))),
            [
                (*names, *_mos(given), *(_number(vote.value) for vote in given))
                for names, given in sorted(clips.items())
            ],
        )
        _write(
            folder / f"{question}_votes_per_cond{suffix}.csv",
            ("condition", *heads),
            [(name, *_mos(given)) for (name, _), given in sorted(conditions.items())],
        )
    return Exported({"votes": sum(map(len, tables.values()))}, left_out)


def read_p808(study: Study, folder: Path) -> list[Answer]:
    """Answers in the ``*_votes_per_worker*.csv`` of a folder.

    Raises:
        StudyError: there is none, or a line is about something that the study does not have.
    """
    asked = f"Read votes of P.808 in {folder.name}"
    answers: list[Answer] = []
    places: dict[str, dict[str, int]] = defaultdict(dict)
    for path in sorted(folder.glob("*_votes_per_worker*.csv")):
        name, _, suffix = path.stem.rpartition("_votes_per_worker")
        question = next((one for one in study.questions if one.id == name), None)
        if question is None:
            raise StudyError(asked, f"{path.name} is of no question of the study", f"It has {_names(study.questions)}")
        for number, row in _lines(path, ",", ("HITId", "workerid", "file", "vote", "condition")):
            item = _item(study, row["file"].partition("/")[0], asked, f"{path.name}, line {number}")
            order = places[row["workerid"]]
            answers.append(
                _answer(
                    question,
                    item,
                    listener=row["workerid"],
                    trial=row["HITId"],
                    index=order.setdefault(row["HITId"], len(order)),
                    attribute=suffix.removeprefix("_") or question.attribute,
                    condition=row["condition"],
                    value=_float(row["vote"], asked, f"{path.name}, line {number}"),
                )
            )
    if not answers:
        raise StudyError(asked, "there is no *_votes_per_worker.csv with votes", "Check the folder")
    return answers


def names_of(study: Study) -> dict[str, str]:
    """Conditions by webMUSHRA's names: the low-passed anchors have names of their own there."""
    cuts = {3500.0: "anchor35", 7000.0: "anchor70"}
    return {
        anchor.id: cuts[anchor.cut_hz]
        for anchor in study.anchors
        if anchor.kind == "low_pass" and anchor.cut_hz is not None and anchor.cut_hz in cuts
    }


def sayable(
    answers: Iterable[Answer], kinds: Iterable[str], *, remarked: Sequence[str] = ()
) -> tuple[list[Answer], tuple[str, ...]]:
    """Answers of these kinds, and how many others there are by kind. Training, gold and traps are no results.

    Args:
        remarked: kinds whose remarks can be said, too.
    """
    said: list[Answer] = []
    others: dict[str, int] = defaultdict(int)
    known = tuple(kinds)
    for answer in answers:
        if answer.purpose not in ("test", "repeat"):
            continue
        if answer.attribute in (_COMMENT, "marks"):
            if answer.kind not in remarked or answer.attribute == "marks":
                others[answer.attribute] += 1
        elif answer.kind in known and (answer.value is not None or answer.kind == "abx"):
            said.append(answer)
        else:
            others[answer.kind] += 1
    return said, tuple(f"{count} of {kind}" for kind, count in sorted(others.items()))


def _comments(answers: Iterable[Answer]) -> dict[tuple[str, str], str]:
    """(listener, trial) -> what was written beside the grades."""
    return {
        (answer.listener, answer.trial): answer.text
        for answer in answers
        if answer.attribute == _COMMENT and answer.text and answer.kind != "text"
    }


def _rows(
    study: Study, answers: Iterable[Answer], comments: Mapping[tuple[str, str], str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(listener, cells after ``session_uuid``) of answers of one file."""
    names = names_of(study)
    graded: dict[tuple[str, str], float] = {}  # bs1116: the hidden reference's grade waits for the other's
    listed = list(answers)
    for answer in listed:
        if answer.kind == "bs1116" and answer.condition == REFERENCE and answer.value is not None:
            graded[answer.listener, answer.trial] = answer.value
    for answer in listed:
        trial, time = _trial_id(answer), str(round(1000 * answer.seconds))
        key = answer.listener, answer.trial
        comment, name = comments.get(key, ""), names.get(answer.condition, answer.condition)
        if answer.kind == "mushra":
            yield answer.listener, (trial, name, _number(answer.value), time, comment)
        elif answer.kind == "bs1116":
            if answer.condition != REFERENCE:
                reference = graded.get(key)
                cells = (_number(reference), _number(answer.value))
                yield answer.listener, (trial, REFERENCE, name, *cells, time, comment)
        elif answer.kind == "abx":
            told = answer.text or "unknown" if answer.value is None else _TOLD[answer.value]
            other = names.get(answer.other, answer.other)
            yield answer.listener, (trial, other, name, told, time, comment)
        else:
            yield answer.listener, (trial, _number(answer.value), name, time)


class _Builder:
    """Rows of webMUSHRA's files -> answers, in the order in which they come."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.answers: list[Answer] = []
        self._ids = {theirs: ours for ours, theirs in names_of(study).items()}
        self._trials: dict[str, dict[str, int]] = defaultdict(dict)
        self._commented: set[tuple[str, str]] = set()

    def add(self, file: str, row: Row) -> None:
        listener, where = row["session_uuid"], row[""]
        question, item, attribute, repeat = self._place(file, row["trial_id"], where)
        first = BETWEEN.join((question.id, item.id))
        trial = f"{first}{BETWEEN}repeat" if repeat else first
        order = self._trials[listener]
        time = row.get("rating_time", row.get("choice_time", ""))

        def add(
            condition: str, value: float | None, text: str | None = None, other: str = "", about: str = attribute
        ) -> None:
            self.answers.append(
                _answer(
                    question,
                    item,
                    listener=listener,
                    trial=f"{listener}{BETWEEN}{trial}",
                    index=order.setdefault(trial, len(order)),
                    attribute=about,
                    condition=self._ids.get(condition, condition),
                    other=self._ids.get(other, other),
                    value=value,
                    text=text,
                    repeat_of=f"{listener}{BETWEEN}{first}" if repeat else None,
                    seconds=_float(time, f"Read results of webMUSHRA of {self.study.name}", where) / 1000,
                )
            )

        if file == "mushra":
            add(row["rating_stimulus"], self._grade(row["rating_score"], where))
        elif file == "bs1116":
            add(row["rating_non_reference"], self._grade(row["rating_non_reference_score"], where))
            if row["rating_reference_score"]:
                add(row["rating_reference"], self._grade(row["rating_reference_score"], where))
        elif file == "paired_comparison":
            told = {words: value for value, words in _TOLD.items()}.get(row["choice_answer"])
            text = row["choice_answer"] if told is None else None
            add(row["choice_non_reference"], told, text, row["choice_reference"])
        else:
            add(row["stimuli"], self._grade(row["stimuli_rating"], where))
        comment = row.get("rating_comment", row.get("choice_comment", ""))
        if comment and (listener, trial) not in self._commented:
            self._commented.add((listener, trial))
            add("", None, comment, about=_COMMENT)

    def _grade(self, cell: str, where: str) -> float:
        return _float(cell, f"Read results of webMUSHRA of {self.study.name}", where)

    def _place(self, file: str, trial: str, where: str) -> tuple[Question, Item, str, bool]:
        asked = f"Read results of webMUSHRA of {self.study.name}"
        parts = trial.split(BETWEEN)
        repeat = parts[-1] == "repeat"
        if repeat:
            parts.pop()
        fitting = [one for one in self.study.questions if one.kind in _KINDS[file]]
        if len(parts) > 1:
            fitting = [one for one in fitting if one.id == parts[0]]
        if not fitting:
            raise StudyError(
                asked, f"{where}: the study has no question for the trial {trial}", "Import its YAML first"
            )
        item = _item(self.study, parts[min(1, len(parts) - 1)], asked, where)
        return fitting[0], item, parts[2] if len(parts) > 2 else fitting[0].attribute, repeat


def _answer(
    question: Question,
    item: Item,
    *,
    listener: str,
    trial: str,
    index: int,
    attribute: str,
    condition: str,
    value: float | None,
    other: str = "",
    text: str | None = None,
    repeat_of: str | None = None,
    seconds: float = 0.0,
) -> Answer:
    """An answer of which other tools say no more than this."""
    return Answer(
        listener=listener, trial=trial, index=index, question=question.id, kind=question.kind, item=item.id,
        group=item.group or item.id, attribute=attribute, condition=condition, other=other, value=value, text=text,
        position=0, purpose="repeat" if repeat_of else "test", repeat_of=repeat_of, expected=None, tolerance=0.0,
        seconds=seconds, played=seconds, switches=0, moved=True, made=0.0,
    )  # fmt: skip


def _trial_id(answer: Answer) -> str:
    parts = [answer.question, answer.item]
    if answer.kind == "p835":
        parts.append(answer.attribute)
    if answer.purpose == "repeat":
        parts.append("repeat")
    return BETWEEN.join(parts)


def _item(study: Study, name: str, asked: str, where: str) -> Item:
    for item in study.items:
        if item.id == name:
            return item
    raise StudyError(asked, f"{where}: the study has no item {name!r}", f"It has {_names(study.items)}")


def _names(things: Sequence[Item] | Sequence[Question]) -> str:
    return ", ".join(thing.id for thing in things)


def _lines(path: Path, delimiter: str, needed: Iterable[str]) -> Iterator[tuple[int, Row]]:
    """Rows of a table with their line numbers.

    Raises:
        StudyError: a column is missing, or a row has too few cells.
    """
    asked = f"Read {path.name}"
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, strict=False)
        missing = sorted(set(needed) - set(reader.fieldnames or ()))
        if missing:
            raise StudyError(asked, f"the column {', '.join(missing)} is missing", "Check that it is the right file")
        for row in reader:
            if None in row or None in row.values():
                raise StudyError(asked, f"line {reader.line_num} has another number of cells than the first", "Mend it")
            yield reader.line_num, dict(row)


def _float(cell: str, asked: str, where: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise StudyError(asked, f"{where}: {cell!r} is no number", "Mend the file") from error


def _number(value: float | None) -> str:
    """A number as short as it can be said exactly; nothing is an empty cell.

    >>> _number(85.0), _number(0.1), _number(None)
    ('85', '0.1', '')
    """
    if value is None:
        return ""
    return str(int(value)) if value.is_integer() else repr(value)


def _mos(votes: Sequence[Answer]) -> tuple[str, str, str, str]:
    values = np.array([vote.value for vote in votes], np.float64)
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    figures = float(values.mean()), deviation, 1.96 * deviation / len(values) ** 0.5
    return (*(_number(round(figure, 6)) for figure in figures), str(len(values)))  # type: ignore[return-value]


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)
