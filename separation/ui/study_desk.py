"""Studies as folders, as their owner works on them: making, writing, uploading, building, trying, launching.

    STUDIES/NAME/study.yaml      the text: the study (`listening.study`)
    STUDIES/NAME/files/          audio that was uploaded, or copied from examples
    STUDIES/NAME/prepared.json, audio/, plan.json      made of it (`listening.materials`, `listening.plans`)
    STUDIES/NAME/tasks/          how far building and dry runs are (`study_tasks`)

A study that was launched is not changed any more: what listeners answered is about the text as it was. Knows no HTTP, and
nothing of what listeners said (`study_results`).
"""

import hashlib
import re
import secrets
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

from pydantic import ValidationError

from separation.audio import probe, require_disk, safe_name
from separation.errors import DataError, RatingConflict, SeparationError, StudyError
from separation.listening import yaml_lines
from separation.listening.checks import Finding, check
from separation.listening.from_folder import FILES
from separation.listening.materials import prepare
from separation.listening.plans import Plan, dump_plan, make_plan, parse_plan
from separation.listening.prepared import (
    AUDIO_FOLDER,
    MADE_FOLDER,
    PLAN_FILE,
    PREPARED_FILE,
    STUDY_FILE,
    Prepared,
    read_prepared,
)
from separation.listening.simulated import dry_run
from separation.listening.studies import State, Status, Studies
from separation.listening.study import Problem, Study, dump_study, examine, parse_study, study_hash
from separation.ui import gpu
from separation.ui.answers import BadQuery, NotHere
from separation.ui.examples import read_examples
from separation.ui.frame import Services
from separation.ui.study_metrics import FILE as METRICS_FILE
from separation.ui.study_metrics import measure_study
from separation.ui.study_models import StudyModels, names_of, targets_of
from separation.ui.study_tasks import Report, Tasks
from separation.ui.study_templates import from_template

SHIPPED = Path(__file__).parents[2] / "assets" / "studies"
"""Whole studies that come with the app."""
MOST_STUDIES = 500
MOST_FILES = 2000
"""Audio files of one study."""
MOST_TEXT = 500_000
"""Characters of a study's text."""
MOST_LISTENERS = 2000
TASKS = ("build", "dry-run", "metrics")

Built = Literal["none", "old", "current"]

_ODD = re.compile(r"[^\w .()+-]")
_SLUG = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


@dataclass(frozen=True)
class Sound:
    """An audio file of a study."""

    name: str
    seconds: float
    sample_rate: int
    channels: int
    bytes: int


@dataclass(frozen=True)
class Draft:
    """A study's text as it is read.

    Args:
        text: what is in the file.
        study: what it says; None if it cannot be understood.
        problems: what is wrong with it.
    """

    text: str
    study: Study | None
    problems: tuple[Problem, ...]

    @property
    def was(self) -> str:
        """Of this text and no other: what a change must name, so that two tabs do not overwrite each other."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def require(self, asked: str) -> Study:
        """The study, if nothing is wrong with it.

        Raises:
            StudyError: something is.
        """
        if self.study is None or self.problems:
            one = self.problems[0]
            at = f"line {one.line}: " if one.line else ""
            raise StudyError(
                asked, f"the text has {len(self.problems)} problems; {at}{one.text}", "Mend the text first"
            )
        return self.study


class Desk:
    """The studies of an installation.

    Args:
        services: where they are, the models and the examples.
        studies: which of them were launched, and who takes them.
        tasks: who does long work.
        models: what runs models for `prepare`, of a study in its folder.
        shipped: folder of studies that come with the app.
    """

    def __init__(
        self,
        services: Services,
        studies: Studies,
        *,
        tasks: Tasks | None = None,
        models: Callable[[Study, Path], StudyModels] | None = None,
        shipped: Path = SHIPPED,
    ) -> None:
        self.services = services
        self.studies = studies
        self.tasks = tasks or Tasks()
        self.folder = services.settings.studies
        self._models = models or self._usual_models
        self._shipped = shipped
        self._scratch = self.folder.with_name(f".{self.folder.name}")  # on the same disk, and no study's folder
        self._lock = threading.Lock()
        self._checked: dict[str, list[Finding]] = {}
        self._plans: dict[str, Plan] = {}

    def _usual_models(self, study: Study, folder: Path) -> StudyModels:
        device = (
            "cpu" if gpu.zero_gpu() else self.services.settings.device
        )  # the GPU is there only inside Gradio's calls
        return StudyModels(device=device, targets=targets_of(study, folder), names=names_of(study, folder))

    # What there is

    def names(self) -> list[str]:
        """Of all studies, the one that was changed last first."""
        found = [path.parent for path in self.folder.glob(f"*/{STUDY_FILE}") if is_name(path.parent.name)]
        return [path.name for path in sorted(found, key=lambda one: (-(one / STUDY_FILE).stat().st_mtime, one.name))]

    def path(self, name: str) -> Path:
        """The folder of a study.

        Raises:
            NotHere: there is none of that name.
        """
        if not is_name(name) or not (self.folder / name / STUDY_FILE).is_file():
            raise NotHere("Open a study", "there is none of that name", "Go back to the list")
        return self.folder / name

    def draft(self, name: str) -> Draft:
        """A study's text. Raises `NotHere`."""
        return read_draft((self.path(name) / STUDY_FILE).read_text(encoding="utf-8"), name)

    def state(self, name: str) -> State:
        """Whether it was launched, and how it stands since."""
        launched = self.studies.launched(name)
        return "draft" if launched is None else launched.state

    def built(self, name: str) -> Built:
        """Whether there is audio, and whether it is of the text as it is."""
        prepared, draft = self.prepared(name), self.draft(name)
        if prepared is None:
            return "none"
        return "current" if draft.study is not None and prepared.hash == study_hash(draft.study) else "old"

    def prepared(self, name: str) -> Prepared | None:
        """The audio of a study, if it was built."""
        try:
            return read_prepared(self.path(name))
        except DataError:
            return None

    def sounds(self, name: str) -> list[Sound]:
        """The audio files of a study, by name."""
        folder = self.path(name) / FILES
        paths = sorted(path for path in folder.glob("*") if path.is_file() and not path.name.startswith("."))
        found = []
        for path in paths:
            status = path.stat()
            found.append(_sound(path, status.st_mtime_ns, status.st_size))
        return [one for one in found if one is not None]

    def absent(self, name: str) -> list[str]:
        """Audio that the text names and that is not in the study's folder yet; without what must not be named at all."""
        folder, study = self.path(name), self.draft(name).study
        if study is None:
            return []
        named = [path for item in study.items for path in (item.mixture, item.target)]
        for system in study.systems:
            files = system.files
            one_each = (
                {item.id: files.replace("{item}", item.id) for item in study.items} if isinstance(files, str) else files
            )
            named += one_each.values()
        here = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
        inside = (path for path in dict.fromkeys(named) if path and not _leads_out(path))
        return [path for path in inside if PurePosixPath(path).as_posix() not in here]

    def examples(self) -> list[Draft]:
        """The studies that come with the app."""
        paths = sorted(self._shipped.glob(f"*/{STUDY_FILE}"))
        return [read_draft(path.read_text(encoding="utf-8"), path.parent.name) for path in paths]

    # Making

    def create(self, source: Mapping[str, Any]) -> str:
        """A new study; returns its name.

        Args:
            source: {from: "template", template, name, title, items, models} · {from: "text", text, name} ·
                {from: "example", example} · {from: "copy", of}.

        Raises:
            StudyError: the template, text or example is not what it should be, or the name is taken.
            BadQuery: the request is none of these.
        """
        if len(self.names()) >= MOST_STUDIES:
            raise StudyError("Make a study", f"there are {MOST_STUDIES} here", "Delete some that nobody has taken")
        kind = source.get("from")
        makers: Mapping[Any, Callable[[Mapping[str, Any], Path], str]] = {
            "template": self._of_template,
            "text": self._of_text,
            "example": self._of_example,
            "copy": self._of_copy,
        }
        if kind not in makers:
            raise BadQuery("Make a study", "the request does not say from what", "Reload the page")
        making = self._scratch / secrets.token_hex(8)
        making.mkdir(parents=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            name = makers[kind](source, making)
            with self._lock:
                if self._taken(name):
                    raise StudyError(f"Make the study {name}", "there is one of that name", "Give it another name")
                making.rename(self.folder / name)
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return name

    def _of_template(self, source: Mapping[str, Any], folder: Path) -> str:
        name, title = _name(source), _string(source, "title", 200)
        picked, models = _strings(source, "items"), _strings(source, "models")
        examples = [one for one in read_examples(self.services.examples) if one.id in picked]
        cards = [card for key, card in self.services.bundled().items() if key in models]
        study = from_template(
            _string(source, "template", 40), name, title.strip() or name, folder, examples=examples, models=cards
        )
        _write(folder, dump_study(study))
        return name

    def _of_text(self, source: Mapping[str, Any], folder: Path) -> str:
        """Ours is kept to the letter; one of webMUSHRA's becomes ours, with the problems that are left."""
        text = _string(source, "text", MOST_TEXT)
        study, problems = examine(text)
        if study is None:
            one = problems[0]
            at = f"line {one.line}: " if one.line else ""
            raise StudyError("Load the study", f"{at}{one.text}", "Mend the file and load it again")
        name = study.name
        if f"\nname: {name}" not in f"\n{text}":  # webMUSHRA's, or written in another way: as we write it
            text = dump_study(_among_uploads(study))
        _write(folder, text)
        return name

    def _of_example(self, source: Mapping[str, Any], folder: Path) -> str:
        name = _string(source, "example", 64)
        if not is_name(name) or not (self._shipped / name / STUDY_FILE).is_file():
            raise NotHere("Load the example", "there is none of that name", "Reload the page")
        shutil.copytree(self._shipped / name, folder, dirs_exist_ok=True)
        return self._as_copy(name, folder)

    def _of_copy(self, source: Mapping[str, Any], folder: Path) -> str:
        """The text and the recordings, without what was made of them and what listeners said."""
        of = self.path(_string(source, "of", 64))
        made = (PREPARED_FILE, PLAN_FILE, METRICS_FILE, AUDIO_FOLDER, MADE_FOLDER, "tasks")

        def left_out(where: str, names: list[str]) -> list[str]:
            return [name for name in names if (Path(where) == of and name in made) or name.startswith(".")]

        shutil.copytree(of, folder, dirs_exist_ok=True, ignore=left_out)
        return self._as_copy(of.name, folder)

    def _as_copy(self, name: str, folder: Path) -> str:
        """Give what was copied a name that is free."""
        study = parse_study((folder / STUDY_FILE).read_text(encoding="utf-8"), name=name)
        free = name
        number = 2
        while self._taken(free):
            free, number = f"{name[:58]}-{number}", number + 1
        if free != study.name:
            _write(folder, dump_study(study.model_copy(update={"name": free})))
        return free

    def _taken(self, name: str) -> bool:
        """Whether a name is that of a study, or was: answers about it are still there."""
        return (self.folder / name).exists() or self.studies.launched(name) is not None

    def delete(self, name: str) -> None:
        """Delete a draft with its files.

        Raises:
            StudyError: it was launched, or is being worked on.
        """
        folder = self._changeable(name, f"Delete the study {name}")
        if self.tasks.busy(folder):
            raise StudyError(f"Delete the study {name}", "its audio is being built", "Cancel that first")
        self._scratch.mkdir(exist_ok=True)
        gone = self._scratch / secrets.token_hex(8)
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    # Writing

    def write_text(self, name: str, text: str, was: str) -> Draft:
        """Keep a text as it was written, whatever is wrong with it.

        Raises:
            StudyError: the study was launched.
            RatingConflict: it was changed elsewhere meanwhile.
        """
        if len(text) > MOST_TEXT:
            found = f"it has {len(text)} characters"
            raise StudyError(f"Save the study {name}", found, f"A study's text may have {MOST_TEXT}")
        with self._lock:
            folder = self._changeable(name, f"Save the study {name}")
            if self.draft(name).was != was:
                found, advice = "it was changed in another tab or by another program meanwhile", "Reload the page"
                raise RatingConflict(f"Save the study {name}", found, advice)
            _write(folder, text)
        return read_draft(text, name)

    def write_form(self, name: str, fields: Mapping[str, Any], was: str) -> Draft:
        """Write what a form says as text; raises as `write_text`."""
        fields = {**fields, "name": name}
        try:
            text = dump_study(Study.model_validate(fields))
        except ValidationError:  # written all the same: the problems are told at their lines
            text = yaml_lines.dump(fields)
        return self.write_text(name, text, was)

    def require_room(self, name: str, nbytes: int) -> Path:
        """Where uploads of a study go.

        Raises:
            StudyError: the study was launched, or has `MOST_FILES`.
            DiskFull: there is no room.
        """
        folder = self._changeable(name, f"Add audio to the study {name}") / FILES
        folder.mkdir(exist_ok=True)
        if sum(1 for _ in folder.iterdir()) >= MOST_FILES:
            raise StudyError(f"Add audio to the study {name}", f"it has {MOST_FILES} files", "Delete some")
        require_disk(folder, nbytes)
        return folder

    def add_sound(self, name: str, received: Path, filename: str) -> None:
        """Take a file that was received, if it is audio; one of the same name is replaced.

        Raises:
            AudioError: it is no audio.
            StudyError: the study was launched.
        """
        folder = self._changeable(name, f"Add audio to the study {name}") / FILES
        kept = _ODD.sub("-", safe_name(Path(filename).name, "sound")).lstrip(".-") or "sound"
        probe(received)  # raises unless it is audio
        received.replace(folder / kept)

    def delete_sound(self, name: str, filename: str) -> None:
        """Delete an audio file. Raises `NotHere`, `StudyError`."""
        folder = self._changeable(name, f"Delete audio of the study {name}") / FILES
        if filename not in {one.name for one in self.sounds(name)}:
            raise NotHere("Delete a file", "there is none of that name", "Reload the page")
        (folder / filename).unlink(missing_ok=True)

    def _changeable(self, name: str, asked: str) -> Path:
        folder = self.path(name)
        if self.studies.launched(name) is not None:
            raise StudyError(asked, "listeners have it: what they answered is about it as it is", "Write on in a copy")
        return folder

    # Building and trying

    def build(self, name: str) -> None:
        """Make the audio, in the background. Raises `StudyError`, `Busy`."""
        asked = f"Build the study {name}"
        folder = self._changeable(name, asked)
        draft = self.draft(name)
        study = draft.require(asked)

        def work(report: Report, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
            models = self._models(study, folder)
            made = prepare(
                study, folder, folder, separate=models, version=models.version, progress=report, cancelled=cancelled
            )
            return {"stimuli": len(made.stimuli)}

        self.tasks.ask(folder, "build", work, version=draft.was, asked=asked)

    def dry_run(self, name: str) -> None:
        """Let simulated listeners take it, in the background. Raises `StudyError`, `Busy`."""
        asked = f"Try the study {name} on simulated listeners"
        folder = self.path(name)
        draft = self.draft(name)
        study, plan = draft.require(asked), self.plan(name)

        def work(report: Report, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
            report(0.0, "Simulated listeners take the test, and the report is made")
            found = dry_run(study, plan=plan, seed=study.seed).to_json()
            return {key: value for key, value in found.items() if key != "analysis"}

        self.tasks.ask(folder, "dry-run", work, version=draft.was, asked=asked)

    def measure(self, name: str) -> None:
        """Measure objective metrics of the built audio, in the background. Raises `StudyError`, `Busy`."""
        asked = f"Measure the sounds of the study {name}"
        folder, prepared = self.path(name), self.prepared(name)
        if prepared is None:
            raise StudyError(asked, "its audio is not built", "Build it first")

        def work(report: Report, cancelled: Callable[[], bool]) -> Mapping[str, Any]:
            return {"sounds": measure_study(prepared, report, cancelled)}

        self.tasks.ask(folder, "metrics", work, version=self.draft(name).was, asked=asked)

    def findings(self, name: str) -> list[Finding] | None:
        """What `check` says of the audio as it is; None unless it is built of the text as it is."""
        if self.built(name) != "current":
            return None
        prepared, study = self.prepared(name), self.draft(name).study
        assert prepared is not None and study is not None
        key = f"{name} {study_hash(study)} {prepared.versions.get('inputs')}"
        if key not in self._checked:
            self._checked = {**dict(list(self._checked.items())[-20:]), key: check(study, prepared)}
        return self._checked[key]

    def plan(self, name: str) -> Plan:
        """The plan as it is kept, if it is of the text as it is; else the one that would be.

        Raises:
            StudyError: there is none, with the arithmetic.
        """
        draft = self.draft(name)
        study = draft.require(f"Plan the study {name}")
        path = self.path(name) / PLAN_FILE
        if path.is_file():
            kept = parse_plan(path.read_text(encoding="utf-8"))
            if kept.hash == study_hash(study):
                return kept
        key = study_hash(study)
        if key not in self._plans:
            self._plans = {**dict(list(self._plans.items())[-8:]), key: make_plan(study)}
        return self._plans[key]

    def keep_plan(self, name: str) -> Plan:
        """`plan`, kept in the study's folder from now on."""
        with self._lock:
            plan = self.plan(name)
            _replace(self.path(name) / PLAN_FILE, dump_plan(plan))
        return plan

    # Launching

    def missing(self, name: str) -> list[str]:
        """What a launch still needs, in words; empty: nothing."""
        draft = self.draft(name)
        if draft.study is None or draft.problems:
            return [f"The text has {_count(len(draft.problems), 'problem')}: mend them."]
        lacking = []
        built = self.built(name)
        if built != "current":
            lacking.append("Build the audio." if built == "none" else "Build the audio again: the study was changed.")
        wrong = dict.fromkeys(one.where for one in self.findings(name) or [] if one.level == "error")
        lacking += [
            f"Mend what the check found of {where}." if where else "Mend what the check found." for where in wrong
        ]
        try:
            self.plan(name)
        except StudyError as error:
            lacking.append(f"{error.found}. {error.advice}.")
        return lacking

    def doubts(self, name: str) -> list[str]:
        """What speaks against a launch without forbidding it, in words: what no dry run has shown."""
        tried = self.tasks.look(self.path(name), "dry-run")
        if tried.status != "done" or tried.result is None:
            return ["No dry run was done: nobody knows whether the report can find what is true."]
        if tried.version != self.draft(name).was:
            return ["The study was changed since its dry run."]
        return [] if tried.result["ok"] else ["In the dry run the report did not recover the truth."]

    def launch(self, name: str, was: str) -> Status:
        """Open it to listeners.

        Raises:
            StudyError: something is missing, or the study was changed since this was asked for.
        """
        asked = f"Launch the study {name}"
        lacking = self.missing(name)
        if lacking:
            raise StudyError(asked, " ".join(lacking).rstrip("."), "Mend that first")
        with self._lock:
            if self.draft(name).was != was:
                raise StudyError(asked, "it was changed meanwhile", "Look at it again, then launch")
            return self.studies.launch(name)

    def turn(self, name: str, state: str) -> Status:
        """Open, pause or close.

        Raises:
            BadQuery: there is no such state.
            UnknownTrial: it was not launched.
        """
        turns = {"open": self.studies.resume, "paused": self.studies.pause, "closed": self.studies.close}
        if state not in turns:
            raise BadQuery(f"Change the study {name}", "there is no such state", f"Give one of {', '.join(turns)}")
        self.path(name)
        return turns[state](name)

    def extend(self, name: str, listeners: int) -> Status:
        """More places; orders that listeners have stay. Raises `StudyError`, `UnknownTrial`."""
        self.path(name)
        slots = self.studies.status(name).slots
        if not slots < listeners <= MOST_LISTENERS:
            found = f"it has {slots} places, and {listeners} were asked for"
            raise StudyError(f"Extend the study {name}", found, f"Ask for more than {slots}, at most {MOST_LISTENERS}")
        with self._lock:
            return self.studies.extend(name, listeners)


def is_name(name: str) -> bool:
    """Whether a name can be that of a study, and so of a folder here.

    >>> is_name("voices-2"), is_name("../x"), is_name("-x"), is_name("")
    (True, False, False, False)
    """
    return 0 < len(name) <= 64 and set(name) <= _SLUG and name[0] not in "_-"


def read_draft(text: str, name: str) -> Draft:
    """A text as it is read, the name of its folder among what must fit."""
    return _examined(text, name)


@lru_cache(256)
def _examined(text: str, name: str) -> Draft:
    study, problems = examine(text)
    if study is not None and study.name != name:
        line = next((i for i, each in enumerate(text.splitlines(), 1) if each.startswith("name:")), None)
        problems = [*problems, Problem(line, "name", f"the study is called {name}, in its link and here; write that")]
    if study is not None:
        problems = [*problems, *_leading_out(text, study)]
    return Draft(text, study, tuple(problems))


def _among_uploads(study: Study) -> Study:
    """The study with its audio in `FILES`, where uploads go by their own names; of two of one name with their folders'."""
    named = {path for item in study.items for path in (item.mixture, item.target) if path}
    by_item = {system.id: system.files for system in study.systems if isinstance(system.files, dict)}
    named |= {path for files in by_item.values() for path in files.values()}
    home = {path: f"{FILES}/{name}" for path, name in _flat(sorted(named)).items()}
    items = tuple(
        item.model_copy(update={"mixture": home.get(item.mixture, ""), "target": home.get(item.target, "")})
        for item in study.items
    )
    systems = tuple(
        system.model_copy(update={"files": {item: home[path] for item, path in by_item[system.id].items()}})
        if system.id in by_item
        else system
        for system in study.systems
    )
    return study.model_copy(update={"items": items, "systems": systems})


def _flat(paths: Sequence[str]) -> dict[str, str]:
    """Paths as names of files in one folder: with as many of their folders before them as it takes to tell them apart.

    >>> _flat(["a/ref.wav", "b/ref.wav", "b/c.wav"])
    {'a/ref.wav': 'a-ref.wav', 'b/ref.wav': 'b-ref.wav', 'b/c.wav': 'c.wav'}
    """
    parts = {path: PureWindowsPath(path).parts for path in paths}  # splits at / and backslashes
    deep = dict.fromkeys(paths, 1)
    while True:
        names = {path: "-".join(one.strip(":/\\") for one in parts[path][-deep[path] :]) for path in paths}
        shared = Counter(names.values())
        longer = [path for path in paths if shared[names[path]] > 1 and deep[path] < len(parts[path])]
        if not longer:
            return names
        for path in longer:
            deep[path] += 1


def _leading_out(text: str, study: Study) -> Iterator[Problem]:
    """Files of a study that this page writes lie in its folder: who has the owner's token has no right to the whole disk."""
    named = [(f"items[{i}]", path) for i, item in enumerate(study.items) for path in (item.mixture, item.target)]
    for i, system in enumerate(study.systems):
        files = [system.files] if isinstance(system.files, str) else system.files.values()
        named += [(f"systems[{i}].files", path) for path in files]
    for where, path in named:
        if _leads_out(path):
            line = next((i for i, each in enumerate(text.splitlines(), 1) if path in each), None)
            yield Problem(line, where, f"{path} is not in the study's folder; upload the file and name it here")


def _leads_out(path: str) -> bool:
    return PurePosixPath(path).is_absolute() or bool(PureWindowsPath(path).anchor) or ".." in re.split(r"[/\\]", path)


@lru_cache(1024)
def _sound(path: Path, changed: int, nbytes: int) -> Sound | None:
    """What a file is, read once for as long as it is not changed."""
    try:
        info = probe(path)
    except SeparationError:
        return None
    return Sound(path.name, info.length / info.sample_rate, info.sample_rate, info.channels, nbytes)


def _name(source: Mapping[str, Any]) -> str:
    name = _string(source, "name", 64)
    if not is_name(name):
        advice = "Use small letters, digits, - and _, and begin with a letter or digit"
        raise StudyError("Make a study", "its name cannot be part of a link", advice)
    return name


def _string(source: Mapping[str, Any], key: str, most: int) -> str:
    value = source.get(key)
    if not isinstance(value, str) or len(value) > most:
        raise BadQuery("Read the request", f"{key} is no text of at most {most} characters", "Reload the page")
    return value


def _strings(source: Mapping[str, Any], key: str) -> list[str]:
    value = source.get(key)
    if not isinstance(value, list) or len(value) > 200 or not all(isinstance(one, str) for one in value):
        raise BadQuery("Read the request", f"{key} is no list of names", "Reload the page")
    return value


def _write(folder: Path, text: str) -> None:
    _replace(folder / STUDY_FILE, text)


def _replace(path: Path, text: str) -> None:
    """In one step: under another name, then renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
