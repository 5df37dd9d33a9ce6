"""Learning from clean clips: ten seconds of each source alone, and in seconds or minutes there is a separator for them.

For the models made of components (`separation.models.components`). Nothing is mixed and no example of a separation is needed:
each source is learned from its own clips, so a source that was learned once serves again beside others (`Learned`). The rest of
this room trains on mixtures, for hours; this does not.

Clips may have any rate and channels: they are brought to one channel at the model's rate. What cannot be learned from is
refused before anything begins, with what would do.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from separation.audio import resample
from separation.engine.references import check_names
from separation.errors import Cancelled, DataError, JobError, ModelError, NonFiniteAudio
from separation.hub import Card, save
from separation.models import build
from separation.models.components import ComponentModel, Part, joined, with_surgery
from separation.models.nmf import DictionaryModel, divided
from separation.signals import Signal

MOST_SOURCES = 4
MOST_COMPONENTS = 200
"""Of a source."""
UNKNOWN_COMPONENTS = 8
"""Of a source without clips at most, unless somebody says otherwise: with as many as the known ones it explains those, too."""
MOST_STEPS = 5000
SHORTEST = 1.0
"""Seconds of sound that a source needs; ten times as much is better."""
AUDIBLE_DB = 60.0
"""A frame this far below the loudest one counts as a pause."""

LOOKED_AT = 5.0
"""Seconds of clips in which components are weighed."""

WHOLE = "recording"
"""What a recording is called while it is learned that nobody has named the sources of."""
_FRAME = 0.02  # seconds in which sound and pauses are told apart


@dataclass(frozen=True)
class System:
    """A way of learning.

    Args:
        name: on the command line and in addresses.
        title: for people.
        architecture: in `separation.models.ARCHITECTURES`.
        components: of a source, unless somebody says otherwise.
        steps: of learning, unless somebody says otherwise.
        about: two sentences.
        finds_unknown: one source may come without clips: what the others do not explain in a mixture.
    """

    name: str
    title: str
    architecture: str
    components: int
    steps: int
    about: str
    finds_unknown: bool = False


SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System(
            "nmf",
            "NMF",
            "nmf",
            40,
            100,
            "Each component is one spectrum that gets louder and softer. The quickest: it learns in a second or two.",
            finds_unknown=True,
        ),
        System(
            "conv-nmf",
            "Convolutive NMF",
            "convolutive_nmf",
            40,
            100,
            "Each component is a short stretch of sound of eight frames, such as a syllable's onset or a plucked string.",
            finds_unknown=True,
        ),
        System(
            "nae",
            "Non-negative auto-encoder",
            "nae",
            40,
            200,
            "A small network with one spectrum a component: NMF with an encoder, whose spectra may also take away.",
        ),
        System(
            "ccae",
            "Convolutive auto-encoder",
            "ccae",
            80,
            200,
            "A network whose components are short stretches of sound; its encoder listens for each. The best of these in its "
            "authors' tests on speech, and slower.",
        ),
        System(
            "rcae",
            "Recurrent auto-encoder",
            "rcae",
            40,
            200,
            "As the convolutive auto-encoder, with a memory in its encoder: one small recurrent network a component.",
        ),
    )
}


class Learned(NamedTuple):
    """A source that was learned before.

    Args:
        model: that knows it; it stays as it is.
        source: its name there.
    """

    model: ComponentModel
    source: str


class LearningStep(NamedTuple):
    """How far learning is.

    Args:
        source: the one that is learned now.
        step, steps: of this source; `step` are done.
        loss: the objective, lower is better; sources and systems have scales of their own.
        part: the source's model as it stands; read from it and leave it alone.
    """

    source: str
    step: int
    steps: int
    loss: float
    part: Part


Given = Sequence[Signal] | Learned
"""What a source is learned from: its clips, or what was learned before."""


def system_named(name: str) -> System:
    """The system of this name.

    Raises:
        ModelError: there is none.
    """
    if name not in SYSTEMS:
        raise ModelError(f"Learn with {name!r}", "there is no such system", f"Use one of {', '.join(SYSTEMS)}")
    return SYSTEMS[name]


@dataclass(frozen=True)
class Plan:
    """What learning is about to do.

    Args:
        components: of each source that is to be learned.
        steps: of learning each.
        unknown: the source that is left to be found in mixtures; None if every one is known.
        unknown_components: of that source.
    """

    components: dict[str, int]
    steps: int
    unknown: str | None
    unknown_components: int


def check_source_names(names: Sequence[str]) -> None:
    """Refuse what sources cannot be called: they become files and tracks.

    Raises:
        JobError: see `engine.references.check_names`.
    """
    try:
        check_names(names)
    except JobError as error:
        raise JobError("Name the sources", error.found, error.advice) from None


def check_plan(
    system: str,
    clips: Mapping[str, int | None],
    components: int | Mapping[str, int] | None = None,
    steps: int | None = None,
) -> Plan:
    """Check what is asked of `learn`, before any clip is listened to.

    Args:
        system, components, steps: as there.
        clips: how many there are of each source; None for one that was learned before.

    Raises:
        ModelError, JobError, DataError: as there.
    """
    chosen, asked = system_named(system), f"Learn {', '.join(clips) or 'nothing'}"
    check_source_names(list(clips))
    if not 1 <= len(clips) <= MOST_SOURCES:
        raise DataError(
            asked, f"there are {len(clips)} sources", f"Name 1 to {MOST_SOURCES}, each with clips of its own"
        )
    by_name = components if isinstance(components, Mapping) else {}
    default = components if isinstance(components, int) else chosen.components
    counts = {name: by_name.get(name, default) for name, number in clips.items() if number is not None}
    for name, count in counts.items():
        if not 1 <= count <= MOST_COMPONENTS:
            raise DataError(f"Learn {name}", f"{count} components are asked for", f"Use 1 to {MOST_COMPONENTS}")
    steps = chosen.steps if steps is None else steps
    if not 1 <= steps <= MOST_STEPS:
        raise DataError(asked, f"{steps} steps are asked for", f"Use 1 to {MOST_STEPS}; {chosen.steps} is usual")
    bare = [name for name in counts if not clips[name]]
    if bare and (not chosen.finds_unknown or len(bare) > 1 or len(clips) < 2):
        finders = " and ".join(each.title for each in SYSTEMS.values() if each.finds_unknown)
        advice = f"Bring clips of it. {finders} can do without those of one source of two or more"
        raise DataError(f"Learn {bare[-1]}", "it has no clip", advice)
    left = {name: by_name.get(name, min(default, UNKNOWN_COMPONENTS)) for name in bare}
    counts = {name: count for name, count in counts.items() if name not in left}
    return Plan(counts, steps, next(iter(left), None), sum(left.values()))


def learn(
    system: str,
    clips: Mapping[str, Given],
    *,
    components: int | Mapping[str, int] | None = None,
    steps: int | None = None,
    seed: int = 0,
    arguments: Mapping[str, Any] = {},
    progress: Callable[[LearningStep], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ComponentModel:
    """A separator for the sources that are named, each learned from its own clips.

    Args:
        system: a name of `SYSTEMS`.
        clips: of each source, in order, clean recordings of it alone; or a source that was learned before by the same system;
            or, for one source of a system that `finds_unknown`, nothing.
        components: of every source, or by source; None for the system's own number. Learned sources have theirs, and one
            without clips has at most `UNKNOWN_COMPONENTS` unless it is named.
        steps: of learning; None for the system's own number.
        seed: of all that is random.
        arguments: more of the architecture's arguments.
        progress: told after every step.
        cancelled: asked after every step.

    Returns:
        the model in eval mode.

    Raises:
        ModelError: no such system, or the learned sources cannot stand side by side.
        JobError: a name that no source can have.
        DataError: too many or too few sources, components or steps, or clips that hold too little.
        NonFiniteAudio: a clip holds NaN or infinity.
        Cancelled: `cancelled` said so.
    """
    numbers = {name: None if isinstance(given, Learned) else len(given) for name, given in clips.items()}
    plan, chosen = check_plan(system, numbers, components, steps), system_named(system)
    blank = _alone(chosen, "source", 1, arguments)
    heard = {name: _heard(name, clips[name], blank, count) for name, count in plan.components.items()}
    known: dict[str, Learned] = {}
    for number, (name, given) in enumerate(clips.items()):
        if isinstance(given, Learned):
            known[name] = given
        if name not in heard:
            continue
        model = _alone(chosen, name, plan.components[name], arguments)
        generator = torch.Generator().manual_seed(seed + number)
        (part,) = model.taught
        for at in part.learn(model.gather(heard[name]), steps=plan.steps, generator=generator):
            if progress is not None:
                progress(LearningStep(name, at.step, at.steps, at.loss, part))
            if cancelled is not None and cancelled():
                raise Cancelled(f"Learn {name}", "it was stopped", "Start it again when you like")
        known[name] = Learned(model, name)
    model = joined(list(known.values()), list(known))
    if plan.unknown is not None:
        model = _with_unknown(model, list(clips), plan.unknown, plan.unknown_components)
    return model.eval()


def divide(
    system: str,
    recording: Signal,
    sources: int,
    *,
    components: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    progress: Callable[[LearningStep], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ComponentModel:
    """A separator that nobody taught: components of the very recording that is to be separated, grouped by their timbre.

    Args:
        system: ``nmf`` or ``conv-nmf``.
        recording: the mixture.
        sources: how many to make; ``part 1`` is the darkest.
        components: of all of them together; None for the system's own number.
        steps, seed, progress, cancelled: as of `learn`.

    Raises:
        ModelError: no such system, one that groups nothing, or more sources than components.
        DataError, NonFiniteAudio, Cancelled: as of `learn`.
    """
    chosen = system_named(system)
    if not chosen.finds_unknown:
        finders = " and ".join(name for name, each in SYSTEMS.items() if each.finds_unknown)
        found = "its components have no spectra to group"
        raise ModelError(f"Divide a recording with {chosen.title}", found, f"Use {finders}")
    whole = learn(
        system, {WHOLE: [recording]}, components=components, steps=steps, seed=seed, progress=progress, cancelled=cancelled
    )  # fmt: skip
    assert isinstance(whole, DictionaryModel)  # what finds the unknown does
    return divided(whole, sources).eval()


def activity(model: ComponentModel, source: str, clips: Sequence[Signal]) -> list[float]:
    """Each component's part of the magnitudes of some seconds in the middle of its source's clips, 0 to 1; they sum to one.

    Args:
        model: that knows the source.
        source: its name.
        clips: of it alone.
    """
    alone = joined([(model, source)])
    rate = alone.spec.sample_rate
    magnitudes = alone.gather([_brought(clip, rate) for clip in clips])
    wanted = round(LOOKED_AT * rate / alone.stft.hop_length)
    first = max(0, (magnitudes.shape[1] - wanted) // 2)
    (rows,) = alone.fit(magnitudes[None, :, first : first + wanted])
    with torch.no_grad():
        amounts = alone.taught[0].each(rows)[0].sum((1, 2))
    shares: list[float] = (amounts / amounts.sum().clamp_min(1e-20)).tolist()
    return shares


def sounding(signal: Signal) -> float:
    """Seconds of a recording in which there is sound: pauses between words or notes do not count."""
    size = max(1, round(_FRAME * signal.sample_rate))
    mono = signal.samples.mean(axis=0, dtype=np.float64)
    power = np.square(np.pad(mono, (0, -len(mono) % size))).reshape(-1, size).mean(axis=1)
    loudest = float(power.max(initial=0.0))
    if loudest < 1e-12:  # -120 dB: what counts as silence everywhere here
        return 0.0
    return float((power > loudest * 10 ** (-AUDIBLE_DB / 10)).sum() * size / signal.sample_rate)


def save_learned(
    folder: Path, model: ComponentModel, system: str, seconds: Mapping[str, float | None], *, steps: int, seed: int = 0
) -> Card:
    """Write a learned model as a model folder.

    Args:
        folder: see `hub.save`.
        model: what `learn` gave.
        system: with which it was learned.
        seconds: of clips, by source; None for one that was learned before, 0 for one without clips.
        steps, seed: of learning.

    Raises:
        ConfigError, WeightsError: see `hub.save`.
    """
    chosen = system_named(system)
    names = list(model.spec.sources)
    counts = dict(zip(names, model.counts, strict=True))
    together = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    heard = [f"{name}: {_heard_words(length)}" for name, length in seconds.items()]
    recipe = {"system": system, "components": counts, "steps": steps, "seed": seed}
    return save(
        folder,
        model,
        architecture=chosen.architecture,
        name=_folder_name(folder),
        title=f"{together[:1].upper()}{together[1:]}, learned by {chosen.title}",
        summary=f"Takes {together} apart, by what clean clips of each alone taught it.",
        task="sounds",
        licence="As the clips that it was learned from",
        citation=str(model.citation),
        trained_on=heard,
        scores=(),
        weaknesses=(
            "It knows the voices and instruments of its clips; others come out as whatever is nearest.",
            f"It hears up to {model.spec.sample_rate / 2000:g} kHz and keeps the mixture's phase.",
        ),
        training={
            "recipe": recipe,
            "commit": None,
            "seconds_of_audio": steps * sum(length or 0.0 for length in seconds.values()),
        },
    )


def save_rearranged(
    folder: Path, model: ComponentModel, card: Card, moved: Mapping[int, str], muted: Sequence[int]
) -> Card:
    """Write a model folder with the same weights and components moved and muted; earlier surgery is forgotten.

    Args:
        folder: see `hub.save`.
        model: stays as it is.
        card: of `model`.
        moved: the source that shall own a component, by the component's index.
        muted: indices of components that shall count in no source.

    Raises:
        ModelError: there is no such component or source.
        ConfigError, WeightsError: see `hub.save`.
    """
    again = with_surgery(model, {index: source_index(model, name) for index, name in moved.items()}, muted)
    kept = (
        "title",
        "summary",
        "task",
        "licence",
        "citation",
        "authors",
        "trained_on",
        "scores",
        "weaknesses",
        "training",
    )
    fields = card.model_dump(mode="json", include=set(kept))
    return save(folder, again, architecture=card.architecture, name=_folder_name(folder), **fields)


def _heard_words(seconds: float | None) -> str:
    if seconds is None:
        return "learned before"
    return f"{seconds:.1f} s of clean clips" if seconds else "no clips; it is found in each mixture"


def source_index(model: ComponentModel, name: str) -> int:
    """The index of a source by its name.

    Raises:
        ModelError: there is none.
    """
    names = list(model.spec.sources)
    if name not in names:
        raise ModelError("Move a component", f"there is no source called {name}", f"Choose from {', '.join(names)}")
    return names.index(name)


def _alone(system: System, name: str, components: int, arguments: Mapping[str, Any]) -> ComponentModel:
    """A model of one source that knows nothing yet: a part draws its weights when it learns."""
    own = {**arguments, "sources": [name], "components": components}
    with torch.random.fork_rng(devices=[]):  # what the constructor draws must not disturb the caller's generator
        return cast(ComponentModel, build(system.architecture, own))


def _heard(name: str, given: Given, blank: ComponentModel, components: int) -> list[Tensor]:
    """The clips of a source as its model hears them, each ``[T]``."""
    asked = f"Learn {name}"
    assert not isinstance(given, Learned), "that was learned before"
    signals = list(given)
    if any(not np.isfinite(signal.samples).all() for signal in signals):
        raise NonFiniteAudio(asked, "a clip holds NaN or infinity", "Export it again")
    if all(float(np.abs(signal.samples).max(initial=0.0)) < 1e-6 for signal in signals):
        raise DataError(asked, "its clips are silent", f"Choose clips in which {name} sounds alone")
    sound = sum(map(sounding, signals))
    if sound < SHORTEST:
        found = f"its clips hold {sound:.2f} s of sound"
        raise DataError(asked, found, f"Choose clips with {SHORTEST:g} s or more; ten seconds teach a lot more")
    rate = blank.spec.sample_rate
    heard = [torch.from_numpy(resample(signal.samples.mean(axis=0), signal.sample_rate, rate)) for signal in signals]
    frames = sum(1 + -(-len(clip) // blank.stft.hop_length) for clip in heard)
    if components > frames:
        raise DataError(
            asked,
            f"{components} components are asked for and its clips have {frames} frames",
            f"Use {frames} components or fewer, or longer clips",
        )
    return heard


def _brought(signal: Signal, rate: int) -> Tensor:
    """A clip as one channel at a rate, ``[T]``."""
    return torch.from_numpy(resample(signal.samples.mean(axis=0), signal.sample_rate, rate))


def _with_unknown(model: ComponentModel, names: list[str], unknown: str, components: int) -> ComponentModel:
    """The model with one more source, at its place among `names`, that is found in each mixture."""
    counts = dict(zip(model.spec.sources, model.counts, strict=True)) | {unknown: components}
    changes = {"sources": names, "components": [counts[name] for name in names], "unknown": unknown}
    with torch.random.fork_rng(devices=[]):
        whole = type(model)(**{**model.arguments, **changes})
    for part, name in zip(model.taught, model.spec.sources, strict=True):
        whole.taught[names.index(name)].load_state_dict(part.state_dict())
    return whole


def _folder_name(folder: Path) -> str:
    """A name for the card that the schema allows, from the folder's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("-._")[:96] or "learned"
