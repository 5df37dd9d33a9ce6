"""`earshot study`: from nothing to a listening test that can be launched."""

import json
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from separation.cli.shared import Device, Json, app, talk
from separation.errors import StudyError
from separation.settings import Settings

if TYPE_CHECKING:
    from separation.listening.checks import Finding
    from separation.listening.plans import Plan
    from separation.listening.study import Study

study_app = typer.Typer(
    help="Listening tests: make, check, build and plan one; docs/studies.md leads through it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(study_app, name="study")

Name = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study's name in the data folder, its folder or its file.")
]
_NO_TARGET = ("ab", "p835", "mos")
"""Kinds that can do without the true source."""
_COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


def folder_of(study: str) -> Path:
    """The folder of a study by its name in the data folder, its own path, or that of its file.

    Raises:
        StudyError: there is none.
    """
    from separation.listening.prepared import STUDY_FILE, find_studies

    named = find_studies([Settings.from_environment().studies])
    path = Path(study)
    for folder in (named.get(study), path, path.parent):
        if (
            folder is not None
            and (folder / STUDY_FILE).is_file()
            and (folder != path.parent or path.name == STUDY_FILE)
        ):
            return folder
    raise StudyError(
        f"Find the study {study}",
        f"there is no {STUDY_FILE} in a folder of that name; here are {', '.join(sorted(named)) or 'none'}",
        "Make one: earshot study new NAME --recordings FOLDER --model vocals",
    )


@study_app.command()
def new(
    name: Annotated[str, typer.Argument(help="Letters, digits, - and _; the link ends with it.")],
    recordings: Annotated[
        Path | None,
        typer.Option(help="Folder of recordings: NAME/mixture.wav with NAME/SOURCE.wav beside it, or mixtures alone."),
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option("--from", help="A study file instead, or webMUSHRA's; audio is copied along.")
    ] = None,
    kind: Annotated[str, typer.Option(help="mushra, ab, scales, p835, mos or abx.")] = "mushra",
    source: Annotated[str, typer.Option(help="What is under test, as the models call it.")] = "vocals",
    model: Annotated[
        list[str] | None, typer.Option(help="A model to compare: bundled, or owner/name; may be repeated.")
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option(help="LABEL=PATTERN, what another system made, as ours=out/{item}.wav; may be repeated."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=60, help="Length of an item at most.")] = 10.0,
    listeners: Annotated[int, typer.Option(min=1, max=2000, help="How many are invited.")] = 20,
) -> None:
    """Begin a study: a file to read and change, and the audio that it needs, in the data folder."""
    from separation.listening.prepared import STUDY_FILE
    from separation.listening.study import dump_study

    folder = Settings.from_environment().studies / name
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        advice = "Use small letters, digits, - and _, 64 at most; the title may say anything"
        raise StudyError(f"Make the study {name}", "this is no name for a link", advice)
    if folder.exists():
        raise StudyError(f"Make the study {name}", f"{folder} is there already", "Choose another name, or delete it")
    if (recordings is None) == (start_from is None):
        raise StudyError(f"Make the study {name}", "it is not said from what", "Give either --recordings or --from")
    folder.mkdir(parents=True)
    try:
        if recordings is not None:
            study = _from_recordings(
                name, recordings, folder, kind, source, model or [], files or [], seconds, listeners
            )
        else:
            assert start_from is not None
            study = _from_file(name, start_from, folder)
        text = f"# docs/studies.md explains every line. Then: earshot study build {name}\n{dump_study(study)}"
        (folder / STUDY_FILE).write_text(text, encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder)
        raise
    talk.print(f"{folder / STUDY_FILE}", soft_wrap=True, markup=False)
    talk.print(
        f"items {len(study.items)}, systems {len(study.systems)}, anchors {len(study.anchors)}, questions "
        f"{len(study.questions)}. Read it, change what you like, then: earshot study build {name}",
        soft_wrap=True,
        markup=False,
    )


@study_app.command()
def check(study: Name, as_json: Json = False) -> None:
    """Say what is wrong with a study: its file, and its audio if it was built. Exit status 1 if there are errors."""
    from separation.errors import DataError
    from separation.listening.checks import check as look
    from separation.listening.prepared import STUDY_FILE, read_prepared
    from separation.listening.study import read_study

    folder = folder_of(study)
    wanted = read_study(folder / STUDY_FILE)
    try:
        prepared = read_prepared(folder)
    except DataError:
        if as_json:
            print(json.dumps({"study": wanted.name, "built": False, "findings": []}, indent=2))
        else:
            talk.print(
                f"The file is sound. Its audio is not made yet: earshot study build {study}",
                soft_wrap=True,
                markup=False,
            )
        return
    _tell(wanted, look(wanted, prepared), as_json)


@study_app.command()
def build(
    study: Name,
    device: Annotated[Device, typer.Option(help="Where the models run.")] = Device.auto,
    listeners: Annotated[int | None, typer.Option(help="Places; otherwise as the study says.")] = None,
    as_json: Json = False,
) -> None:
    """Make the audio and the plan of a study, and check both. Exit status 1 if there are errors."""
    from separation.listening.checks import check as look
    from separation.listening.materials import prepare
    from separation.listening.prepared import STUDY_FILE
    from separation.listening.study import read_study
    from separation.ui.study_models import StudyModels, names_of, targets_of

    folder = folder_of(study)
    _require_unlaunched(f"Build the study {study}", folder)
    wanted = read_study(folder / STUDY_FILE)
    models = StudyModels(device=device.value, targets=targets_of(wanted, folder), names=names_of(wanted, folder))
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=talk, transient=True
    ) as bar:
        task = bar.add_task(wanted.name, total=1.0)
        prepared = prepare(
            wanted,
            folder,
            folder,
            separate=models,
            version=models.version,
            progress=lambda part, what: bar.update(task, completed=part, description=what or wanted.name),
        )
    _plan(wanted, folder, listeners)
    _tell(wanted, look(wanted, prepared), as_json)


@study_app.command()
def plan(
    study: Name,
    listeners: Annotated[int | None, typer.Option(help="Places; otherwise as the study says.")] = None,
    as_json: Json = False,
) -> None:
    """Plan who gets what, in which order; refuse with the arithmetic what cannot be done."""
    from separation.listening.plans import feasibility
    from separation.listening.prepared import STUDY_FILE
    from separation.listening.study import read_study

    folder = folder_of(study)
    if listeners is not None:
        _require_unlaunched(f"Plan the study {study}", folder)
    wanted = read_study(folder / STUDY_FILE)
    found = feasibility(wanted, _plan(wanted, folder, listeners))
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return
    rows = {
        "places": f"{found.listeners}",
        "trials a listener": _range(found.trials),
        "minutes a listener": _range([round(value) for value in found.minutes]),
        "ratings a condition of an item": _range(found.ratings),
    }
    for what, value in rows.items():
        talk.print(f"{what}: {value}", markup=False)
    for note in found.notes:
        talk.print(note, soft_wrap=True, markup=False)


def _require_unlaunched(asked: str, folder: Path) -> None:
    """Refuse to change what listeners are hearing: their answers name the study's hash, not its audio's or its plan's."""
    from separation.listening.studies import Studies
    from separation.ratings import Store
    from separation.ratings.sessions import Sessions

    settings = Settings.from_environment()
    if folder.parent != settings.studies:
        return
    store = Store(settings.database_url)
    try:
        launched = Studies([settings.studies], Sessions(store, clock=time.time), clock=time.time).launched(folder.name)
    finally:
        store.close()
    if launched is not None:
        advice = "Extend it on the Studies page; for anything else make another: earshot study new NAME --from this one's file"
        raise StudyError(asked, f"it was launched, and is {launched.state}", advice)


def _from_recordings(
    name: str,
    recordings: Path,
    folder: Path,
    kind: str,
    source: str,
    models: Sequence[str],
    files: Sequence[str],
    seconds: float,
    listeners: int,
) -> "Study":
    from separation.listening.from_folder import study_of_folder
    from separation.ui.study_templates import TEMPLATES

    if kind not in TEMPLATES:
        raise StudyError(f"Make the study {name}", f"there is no kind {kind}", f"Choose one of {', '.join(TEMPLATES)}")
    template = TEMPLATES[kind]
    return study_of_folder(
        name,
        recordings,
        folder,
        questions=template.questions,
        anchors=template.anchors,
        screening=template.screening,
        source=source,
        models=models,
        files=dict(_pattern(one) for one in files),
        seconds=seconds,
        listeners=listeners,
        targets=kind not in _NO_TARGET,
    )


def _pattern(text: str) -> tuple[str, str]:
    label, equals, pattern = text.partition("=")
    if not (label and equals and pattern):
        raise StudyError("Read --files", f"it is {text!r}", "Write it as LABEL=PATTERN, as ours=out/{item}.wav")
    return label, pattern


def _from_file(name: str, path: Path, folder: Path) -> "Study":
    from separation.listening.from_folder import brought_home
    from separation.listening.study import read_study
    from separation.listening.webmushra import differences, is_theirs, root_of

    read = read_study(path)
    text = path.read_text(encoding="utf-8-sig")
    base = root_of(path, read) if is_theirs(text) else path.parent
    made = brought_home(read, base, folder).model_copy(update={"name": name})
    for note in differences(text):
        talk.print(note, style="dim", soft_wrap=True, markup=False)
    return made


def _plan(study: "Study", folder: Path, listeners: int | None) -> "Plan":
    """The plan in the folder, made or made longer where that is needed: places that listeners have taken stay as they are."""
    from separation.audio.files import appearing
    from separation.listening.plans import dump_plan, extend_plan, make_plan, parse_plan
    from separation.listening.prepared import PLAN_FILE
    from separation.listening.study import study_hash

    path = folder / PLAN_FILE
    kept = parse_plan(path.read_text(encoding="utf-8")) if path.is_file() else None
    if kept is None or kept.hash != study_hash(study):
        made = make_plan(study, listeners=listeners)
    elif listeners is not None and listeners > len(kept.slots):
        made = extend_plan(kept, study, listeners)
    else:
        return kept
    with appearing(path) as temporary:
        temporary.write_text(dump_plan(made), encoding="utf-8")
    return made


def _range(ends: Sequence[int]) -> str:
    low, high = ends
    return f"{low}" if low == high else f"{low} to {high}"


def _tell(study: "Study", findings: "Sequence[Finding]", as_json: bool) -> None:
    """Print what was found, and leave with status 1 if an error is among it."""
    if as_json:
        print(
            json.dumps(
                {"study": study.name, "built": True, "findings": [asdict(finding) for finding in findings]},
                indent=2,
                ensure_ascii=False,
            )
        )
    for finding in findings if not as_json else ():
        where = f"{finding.where}: " if finding.where else ""
        talk.print(f"[{_COLOURS[finding.level]}]{finding.level}[/] {escape(where + finding.text)}", soft_wrap=True)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)
