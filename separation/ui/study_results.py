"""What the owner sees of a study that was launched: who is where, what is answered so far, and what that says.

Everything here is a view: answers are read from the database, screened and analysed anew when they have grown, and kept until
then. Nothing is changed, and nobody is left out but by rules that can be turned off. Knows no HTTP.
"""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from separation.listening import results
from separation.listening.analysis import MOS, Analysis, analyse
from separation.listening.answers import Answer
from separation.listening.exports import FOLDERS, FORMATS, export, lacking
from separation.listening.planned import Plan
from separation.listening.preferences import consented
from separation.listening.report import charts, html, markdown, write_report
from separation.listening.screening import RULES, Screened, anchors_of, screen
from separation.listening.studies import Opened, Studies
from separation.listening.study import MIXTURE, REFERENCE, Screening, Study, pages_of, words
from separation.ratings.store import Store
from separation.ui.answers import BadQuery, NotHere
from separation.ui.study_metrics import Seconds, Whole, read_metrics
from separation.visualisation.rating_figures import Chart

SETTLED = 10
"""Listeners who are done before the exclusion rate is compared with that of earlier ones."""
JUMP = 0.3
"""By how much the exclusion rate of the last `SETTLED` may exceed that of those before, without a word."""
ENDS = {
    "csv": "csv", "parquet": "parquet", "events": "jsonl", "webmushra": "zip", "pymushra": "csv", "p808": "zip",
    "preferences": "zip",
}  # fmt: skip
"""How files of a format end; folders are packed."""
TITLES = {
    "csv": "CSV", "parquet": "Parquet", "events": "Events", "webmushra": "webMUSHRA", "pymushra": "pymushra", "p808": "P.808",
    "preferences": "Preferences",
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """Everything that was said in a study.

    Args:
        opened: the study, its plan and its audio.
        answers: raw.
        checks: what is known of listeners beside them.
        version: of all this: another one once there is more.
        metrics, seconds: of the sounds, if they were measured (`study_metrics`).
    """

    opened: Opened
    answers: tuple[Answer, ...]
    checks: Mapping[str, Mapping[str, float]]
    version: int
    metrics: Whole
    seconds: Seconds


class Findings:
    """The results of the studies of an installation.

    Args:
        studies: that were launched.
        store: the database of what was said.
    """

    def __init__(self, studies: Studies, store: Store) -> None:
        self._studies = studies
        self._store = store
        self._lock = threading.Lock()
        self._said: dict[str, Said] = {}
        self._analyses: dict[tuple[str, tuple[str, ...] | None], tuple[int, Analysis]] = {}

    def said(self, name: str) -> Said:
        """What was said so far.

        Raises:
            UnknownTrial: the study was not launched.
            StudyError: its files are not those that it was launched with.
        """
        opened, sessions = self._studies.open(name), self._studies.sessions
        finished = sum(page.finished is not None for pages in sessions.pages(name).values() for page in pages)
        metrics, seconds = read_metrics(opened.folder, opened.prepared)
        states = tuple(session.state for session in sessions.all(name))
        version = hash((opened.hash, finished, states, len(metrics)))
        with self._lock:
            known = self._said.get(name)
        if known is not None and known.version == version and known.opened is opened:
            return known
        answers = results.answers(opened.study, opened.plan, sessions, self._store)
        checks = results.checks(name, sessions, self._store)
        said = Said(opened, tuple(answers), checks, version, metrics, seconds)
        with self._lock:
            self._said[name] = said
        return said

    def screened(self, said: Said, rules: Sequence[Screening]) -> Screened:
        """Answers seen through rules."""
        return screen(said.answers, rules, said.checks, anchors=anchors_of(said.opened.study))

    def analysis(self, name: str, rules: Sequence[str] | None = None) -> Analysis:
        """What the answers say.

        Args:
            name: of the study.
            rules: of screening, by name; None for those of the study.

        Raises:
            BadQuery: there is no such rule.
            UnknownTrial, StudyError: as `said`.
        """
        said = self.said(name)
        key = name, None if rules is None else tuple(rules)
        with self._lock:
            known = self._analyses.get(key)
        if known is not None and known[0] == said.version:
            return known[1]
        study = said.opened.study
        found = analyse(
            study,
            said.answers,
            rules=rules_of(study, rules),
            checks=said.checks,
            seed=study.seed,
            metrics=said.metrics,
            seconds=said.seconds,
        )
        with self._lock:
            self._analyses = {**dict(list(self._analyses.items())[-30:]), key: (said.version, found)}
        return found

    # The page

    def live(self, name: str) -> dict[str, Any]:
        """Who is where, what is answered, what looks odd: JSON."""
        said, now = self.said(name), self._studies.live(name)
        study, status = said.opened.study, self._studies.status(name)
        screened = self.screened(said, study.screening)
        tested = [answer for answer in said.answers if answer.purpose != "training"]
        analysis = self.analysis(name) if tested else None
        sessions = now["sessions"]
        states = Counter(_state(one) for one in sessions)
        return {
            "state": status.state,
            "code": status.code,
            "listeners": {
                "done": status.finished,
                "active": states["active"],
                "away": states["away"],
                "withdrawn": status.withdrawn,
                "planned": status.slots,
                "free": status.slots - status.taken,
            },
            "answers": len(tested),
            "trials": len({answer.trial for answer in tested}),
            "screened": {
                "listeners": len(screened.listeners),
                "excluded": len(screened.excluded),
                "rate": screened.rate,
            },
            "sessions": [_line(one, now["now"], screened) for one in reversed(sessions)],
            "counts": _counts(study, tested, _planned(said.opened.plan, status.slots)),
            "power": _powers(analysis),
            "warnings": [*_cautions(analysis), *_jumps(sessions, screened)],
        }

    def results(self, name: str, rules: Sequence[str] | None) -> dict[str, Any]:
        """Everything that the results page shows: JSON."""
        said, analysis = self.said(name), self.analysis(name, rules)
        study = said.opened.study
        chosen = {one.rule: one for one in rules_of(study, rules)}
        return {
            "analysis": analysis.to_json(),
            "rules": [_rule(rule.name, study, chosen, self._alone(said, rule.name)) for rule in RULES.values()],
            "figures": {f"{one.question}.{one.attribute}": list(charts(one)) for one in analysis.questions},
            "measured": sorted(said.metrics),
            "formats": self._formats(name, said),
        }

    def _formats(self, name: str, said: Said) -> list[dict[str, str]]:
        """What can be exported, and why something cannot."""
        agreed = self._consented(name)
        return [
            {
                "name": format,
                "title": TITLES[format],
                "about": about,
                "lacks": lacking(said.opened.study, said.answers, format, consented=agreed),
            }
            for format, about in FORMATS.items()
        ]

    def _consented(self, name: str) -> frozenset[str]:
        """Listeners who allow training with their answers."""
        people = results.people(name, self._studies.sessions, self._store)
        return consented({one.listener: one.said for one in people})

    def _alone(self, said: Said, rule: str) -> int:
        """How many a rule would leave out if it were the only one."""
        given = next((one for one in said.opened.study.screening if one.rule == rule), Screening(rule=rule))
        return len(self.screened(said, (given,)).excluded)

    def chart(self, name: str, kind: str, question: str, attribute: str, rules: Sequence[str] | None) -> Chart:
        """A picture of one question. Raises `NotHere`, and as `analysis`."""
        for judged in self.analysis(name, rules).questions:
            if (judged.question, judged.attribute) == (question, attribute):
                found = charts(judged)
                if kind in found:
                    return found[kind]
        raise NotHere("Draw a figure", "there is none of that kind of this question", "Reload the page")

    # Files

    def report(self, name: str, format: str, rules: Sequence[str] | None) -> str:
        """The report, as ``html`` or ``md``. Raises as `analysis`."""
        opened, analysis = self.said(name).opened, self.analysis(name, rules)
        write = html if format == "html" else markdown
        return write(opened.study, analysis, prepared=opened.prepared, plan=opened.plan)

    @contextmanager
    def packed_report(self, name: str, folder: Path, rules: Sequence[str] | None) -> Iterator[Path]:
        """The report in every format with its pictures, as a zip file that is gone again afterwards.

        Args:
            name: of the study.
            folder: where there is room for it.
            rules: as for `analysis`.
        """
        opened, analysis = self.said(name).opened, self.analysis(name, rules)
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".report-", dir=folder) as scratch:
            written, path = Path(scratch) / "report", Path(scratch) / f"earshot-{name}-report.zip"
            write_report(written, opened.study, analysis, prepared=opened.prepared, plan=opened.plan)
            _pack(written, path)
            yield path

    @contextmanager
    def exported(self, name: str, format: str, folder: Path) -> Iterator[Path]:
        """A file of everything that was said, gone again afterwards.

        Args:
            name: of the study.
            format: of `FORMATS`.
            folder: where there is room for it.

        Raises:
            BadQuery: there is no such format.
            StudyError: the format cannot say what was asked.
        """
        if format not in FORMATS:
            raise BadQuery("Export answers", "there is no such format", f"Choose from {', '.join(FORMATS)}")
        said, sessions = self.said(name), self._studies.sessions
        folder.mkdir(parents=True, exist_ok=True)
        people = results.people(name, sessions, self._store)
        with TemporaryDirectory(prefix=".export-", dir=folder) as scratch:
            output = Path(scratch) / f"{name}-{format}"
            path = Path(scratch) / f"earshot-{name}-{format}.{ENDS[format]}"
            export(
                said.opened.study,
                said.answers,
                output if format in FOLDERS else path,
                format,
                events=results.events(name, sessions, self._store),
                forms={one.listener: {key: str(value) for key, value in one.said.items()} for one in people},
                prepared=said.opened.prepared,
                consented=consented({one.listener: one.said for one in people}),
            )
            if format in FOLDERS:
                _pack(output, path)
            yield path


def rules_of(study: Study, names: Sequence[str] | None) -> tuple[Screening, ...]:
    """Rules by name, with the numbers that the study gives them; None for the study's own.

    Raises:
        BadQuery: there is no such rule.
    """
    if names is None:
        return study.screening
    unknown = sorted(set(names) - set(RULES))
    if unknown:
        raise BadQuery("Screen answers", f"there is no rule {unknown[0][:40]!r}", f"Choose from {', '.join(RULES)}")
    given = {one.rule: one for one in study.screening}
    return tuple(given.get(name, Screening(rule=name)) for name in RULES if name in names)


def labels_of(study: Study) -> dict[str, str]:
    """What conditions are called on the owner's pages."""
    systems = {one.id: one.label or one.id for one in study.systems}
    return {**systems, **{one.id: one.id for one in study.anchors}, REFERENCE: "reference", MIXTURE: "mixture"}


def _rule(name: str, study: Study, chosen: Mapping[str, Screening], alone: int) -> dict[str, Any]:
    rule = RULES[name]
    numbers = next((one.numbers for one in study.screening if one.rule == name), {})
    return {
        "name": name,
        "title": rule.title,
        "said": rule.said(numbers),
        "source": rule.source,
        "on": name in chosen,
        "alone": alone,
        "applies": _applies(name, study),
    }


def _applies(name: str, study: Study) -> bool:
    """Whether a study has what a rule looks at."""
    rule, kinds = RULES[name], {question.kind for question in study.questions}
    if rule.kinds and not kinds & set(rule.kinds):
        return False
    has = {
        "gold": any(not one.trap for one in study.gold),
        "traps": any(one.trap for one in study.gold),
        "headphones": any(page.kind == "headphones" for page in pages_of(study)),
        "jnd": False,  # no page asks for it; answers of other tools are not read here
        "retest": study.assignment.repeats > 0 and not study.assignment.one_song_once,
    }
    return has.get(name, True)


def _planned(plan: Plan, slots: int) -> Counter[tuple[str, str]]:
    """(question, condition) -> how many trials listeners of all places will judge it in."""
    trials = (trial for slot in plan.slots[:slots] for trial in slot.trials if trial.purpose != "training")
    return Counter((trial.question, condition) for trial in trials for condition in trial.conditions)


def _counts(study: Study, answers: Sequence[Answer], planned: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    """How often each condition was judged, and is to be, by question."""
    labels, found = labels_of(study), []
    for question in study.questions:
        mine: Counter[str] = Counter()
        trials: dict[str, set[str]] = defaultdict(set)  # p835 says three things of a condition in one trial
        for answer in answers:
            if answer.question == question.id:
                for condition in filter(None, (answer.condition, answer.other)):
                    trials[condition].add(answer.trial)
        mine.update({condition: len(each) for condition, each in trials.items()})
        rows = [
            {"label": labels.get(one, one), "ratings": mine[one], "planned": planned.get((question.id, one), 0)}
            for one in labels
            if one in mine
        ]
        if rows:
            title = words(question.title, study.languages[0]) or question.id
            found.append({"title": title, "conditions": rows})
    return found


def _powers(analysis: Analysis | None) -> list[dict[str, Any]]:
    if analysis is None:
        return []
    return [
        {
            "title": judged.title,
            "listeners": judged.power.listeners,
            "deviation": judged.power.deviation,
            "smallest_80": judged.power.smallest_80,
            "reference": judged.power.reference,
            "needed": judged.power.needed,
        }
        for judged in analysis.questions
        if judged.power is not None
    ]


def _cautions(analysis: Analysis | None) -> list[str]:
    """What to beware of now; not what goes for every test of a kind."""
    if analysis is None:
        return []
    of_questions = [
        f"{judged.title}: {caution}"
        for judged in analysis.questions
        for caution in judged.cautions
        if caution not in MOS
    ]
    return [*analysis.warnings, *of_questions]


def _jumps(sessions: Sequence[Mapping[str, Any]], screened: Screened) -> list[str]:
    """A word if the last listeners are left out much more often than those before: a link may have gone astray."""
    done = [one["listener"] for one in sessions if one["state"] == "finished"]
    if len(done) < 2 * SETTLED:
        return []
    late, early = done[-SETTLED:], done[:-SETTLED]
    rates = [sum(one in screened.excluded for one in group) / len(group) for group in (early, late)]
    if rates[1] - rates[0] <= JUMP:
        return []
    return [
        f"Of the last {SETTLED} listeners {100 * rates[1]:.0f} % are left out, of those before {100 * rates[0]:.0f} %: "
        "see whether the sound, the panel or the link has changed."
    ]


def _state(session: Mapping[str, Any]) -> str:
    if session["state"] != "open":
        return str(session["state"])
    return "active" if session["here"] else "away"


def _line(session: Mapping[str, Any], now: float, screened: Screened) -> dict[str, Any]:
    state = _state(session)
    said = {
        "finished": "done" if session["seat"] else "done, as a spare",
        "withdrawn": "withdrew",
        "active": "at it now",
        "away": "left in the middle",
    }
    end = session["finished"] or session["seen"]
    return {
        "name": session["listener"][:10],
        "panel": session["pid"] or "",
        "began": session["made"],
        "page": session["place"],
        "of": session["of"],
        "state": state,
        "words": said[state],
        "minutes": max(0.0, end - session["made"]) / 60,
        "excluded": "; ".join(screened.excluded.get(session["listener"], ())),
    }


def _pack(folder: Path, path: Path) -> None:
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for each in sorted(one for one in folder.rglob("*") if one.is_file()):
            archive.write(each, each.relative_to(folder))
