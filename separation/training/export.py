"""A finished run -> a model folder: the best averaged weights, how they came about, and what they are bad at.

Scores are not written here: they come from `python -m benchmarks.results`, which measures and then writes them.
"""

import json
from pathlib import Path
from typing import Any, cast

from safetensors.torch import load_file

from separation.errors import DataError
from separation.hub import Card, Curve, LearningCurves, save
from separation.models import build

_VOCALS_DATA = (
    "MIR-1K, five of its singers (research use; Hsu and Jang, IEEE TASLP 2010)",
    "LibriSpeech train-clean-100, one utterance of each of 251 speakers (CC BY 4.0; Panayotov et al., ICASSP 2015)",
    "Music of the Debian packages hyperrogue-music, planetblupi-music-ogg, asc-music, and every second piece of "
    "hedgewars-data and wesnoth-1.16-music (see each package's copyright file)",
)
_SPEAKERS_DATA = (
    "LibriSpeech train-clean-100, one utterance of each of 251 speakers (CC BY 4.0; Panayotov et al., ICASSP 2015)",
    "TSP speech, speakers FA and MC (Kabal, McGill University, 2002)",
    "Prompts of four voices of the Debian packages asterisk-core-sounds-en, -fr, -it and -ru (CC BY-SA 3.0)",
)
_SPEAKERS_WEAKNESSES = (
    "It hears up to 4 kHz, as a telephone does.",
    "Two voices of the same pitch are told apart much worse than a woman and a man.",
    "Always two outputs: a single speaker is split between them, a third goes with one of the two.",
    "Noise and reverberation were not in its training.",
)

_UMSS: dict[str, Any] = dict(
    title="Voices by their pitch",
    summary="Takes a choir apart into as many voices as have a pitch track; it learnt from mixtures alone.",
    task="vocals",
    licence="CC-BY-4.0",
    citation="K. Schulze-Forster et al., Unsupervised music source separation using differentiable parametric source "
    "models, IEEE/ACM TASLP 2023, arXiv 2201.09592",
    authors=("The Earshot engineers",),
    trained_on=(
        "Choral Singing Dataset, Niño Dios: mixtures of singers 1 and 2 of each voice, and the pitch of each, tracked alone "
        "(CC BY 4.0; Cuesta et al., ICMPC 2018)",
    ),
    weaknesses=(
        "It follows the pitch that it is told: a wrong octave gives the wrong voice, a missing note goes to the others.",
        "Two voices on the same note cannot be told apart, and an octave only in part.",
        "It learnt one song by eight singers; instruments, speech and other ways of singing were not in its training.",
        "It hears up to 8 kHz; above that the stems share the mixture's band by what happens below.",
        "Consonants and breath, which have no pitch, are shared among the voices; reverberation is not modelled.",
    ),
)

CARDS: dict[str, dict[str, Any]] = {
    "vocals": dict(
        title="Vocals and accompaniment",
        summary="Lifts the voice, sung or spoken, out of music; the rest is the accompaniment.",
        task="vocals",
        licence="CC-BY-NC-4.0",
        citation="A. Jansson et al., Singing voice separation with deep U-Net convolutional networks, ISMIR 2017",
        authors=("The Earshot engineers",),
        trained_on=_VOCALS_DATA,
        weaknesses=(
            "It hears up to 8 kHz; above that the stems share the mixture's band by what happens below.",
            "Instruments that sound like voices (solo violin, saxophone, lead synthesisers) leak into the vocals.",
            "Backing vocals and choirs come out with the lead voice: there is one stem for all voices.",
            "Masks keep the mixture's phase, so loud drums under a quiet voice leave a watery sound.",
            "It learnt singing from Mandarin karaoke by amateurs; opera, growling and whispering were not in its training.",
        ),
    ),
    "guitar": dict(
        title="Guitar and the rest of the band",
        summary="Lifts the electric guitars out of a rock song; the rest is the accompaniment.",
        task="instruments",
        licence="CC-BY-SA-3.0",
        citation="A. Jansson et al., Singing voice separation with deep U-Net convolutional networks, ISMIR 2017",
        authors=("The Earshot engineers",),
        trained_on=(
            "Frets on Fire, four songs of sectoid and muldjord (CC BY-SA 3.0)",
            "Music of the Debian packages hyperrogue-music, planetblupi-music-ogg, asc-music, and every second piece of "
            "hedgewars-data and wesnoth-1.16-music (see each package's copyright file)",
        ),
        weaknesses=(
            "It learnt from the electric guitars of two bands; acoustic guitars were not in its training.",
            "It hears up to 11 kHz; above that the stems share the mixture's band by what happens below.",
            "Distorted bass and dense cymbals leak into the guitar.",
        ),
    ),
    "two-step-transform": dict(
        title="Two-Step: the learned transform",
        summary="The first of the two steps: what masks in this learned space could reach, told the true sources.",
        task="speakers",
        licence="CC-BY-SA-4.0",
        citation="E. Tzinis et al., Two-step sound source separation, ICASSP 2020, arXiv 1910.09804",
        authors=("The Earshot engineers",),
        trained_on=_SPEAKERS_DATA,
        weaknesses=("It needs the true sources: it is a bound to compare with, not a separator.",),
    ),
    "two-step": dict(
        title="Two people talking at once, Two-Step",
        summary="Takes two voices apart by masks in a transform that was learned first.",
        task="speakers",
        licence="CC-BY-SA-4.0",
        citation="E. Tzinis et al., Two-step sound source separation, ICASSP 2020, arXiv 1910.09804",
        authors=("The Earshot engineers",),
        trained_on=_SPEAKERS_DATA,
        weaknesses=_SPEAKERS_WEAKNESSES,
    ),
    "disentangled": dict(
        title="Two people in conversation, with a memory",
        summary="Takes two voices apart and remembers them, so that each keeps its track over pauses and in other recordings.",
        task="speakers",
        licence="CC-BY-SA-4.0",
        citation="K. Helwani et al., ICASSP Workshops 2024, arXiv 2402.06683",
        authors=("The Earshot engineers",),
        trained_on=("The network of the bundled model speakers, and with it", *_SPEAKERS_DATA),
        weaknesses=(
            "The paper's layers, formulas and figures are not public: blocks, prior, memory and losses are our proposal "
            "(models/disentangled.py says which).",
            *_SPEAKERS_WEAKNESSES[:2],
            "Always two voices: a third goes with one of the two, and into its memory.",
            "Noise and reverberation were not in its training.",
        ),
    ),
    "htmd-net": dict(
        title="Vocals, HTMD-Net",
        summary="Masks a first estimate of the voice, then cleans it on the waveform; both can be heard.",
        task="vocals",
        licence="CC-BY-NC-4.0",
        citation="C. Garoufis, A. Zlatintsi, P. Maragos, HTMD-Net, EUSIPCO 2021",
        authors=("The Earshot engineers",),
        trained_on=_VOCALS_DATA,
        weaknesses=(
            "It hears up to 8 kHz; above that the stems share the mixture's band by what happens below.",
            "Trained on squared error: where nobody sings, some music stays in the voice.",
            "Backing vocals and choirs come out with the lead voice: there is one stem for all voices.",
        ),
    ),
    "umss": _UMSS,
    "umss-supervised": {
        **_UMSS,
        "title": "Voices by their pitch, taught with the voices apart",
        "summary": "As umss, but it learnt from the singers one by one: what learning from mixtures alone is compared with.",
    },
    "umss-one-quartet": {
        **_UMSS,
        "title": "Voices by their pitch, from a minute and a half",
        "summary": "As umss, but it learnt from the mixture of one quartet, 84 seconds, and from nothing else.",
        "trained_on": (
            "Choral Singing Dataset, Niño Dios: the mixture of the first singers, and the pitch of each, tracked alone "
            "(CC BY 4.0; Cuesta et al., ICMPC 2018)",
        ),
    },
    "speakers": dict(
        title="Two people talking at once",
        summary="Takes two voices apart that speak at the same time.",
        task="speakers",
        licence="CC-BY-SA-4.0",
        citation="Y. Luo, N. Mesgarani, Conv-TasNet, IEEE/ACM TASLP 27(8), 2019, arXiv 1809.07454",
        authors=("The Earshot engineers",),
        trained_on=_SPEAKERS_DATA,
        weaknesses=_SPEAKERS_WEAKNESSES,
    ),
}


def export(run: Path, output: Path) -> Card:
    """Write `output` from the best weights of the run in `run`.

    Raises:
        DataError: the folder holds no run, no weights yet, or a recipe without a card text.
    """
    record, weights = run / "recipe.json", run / "best.safetensors"
    missing = [path.name for path in (record, weights) if not path.exists()]
    if missing:
        raise DataError(
            f"Export the run in {run}",
            f"{', '.join(missing)} not found",
            "Train until the first validation, then retry",
        )
    saved = json.loads(record.read_text())
    recipe = saved["recipe"]
    if recipe["name"] not in CARDS:
        raise DataError(
            f"Export the run in {run}", f"there is no card text for {recipe['name']!r}", "Add one to training/export.py"
        )
    model = build(recipe["architecture"], recipe["arguments"])
    if "gains" in cast(dict[str, Any], model.arguments):
        gains = json.loads((run / "gains.json").read_text())["gains"]
        model = build(recipe["architecture"], {**recipe["arguments"], "gains": gains})
    model.load_state_dict(load_file(weights))
    training = dict(recipe=recipe, commit=saved["commit"], seconds_of_audio=_seconds_of_audio(run, recipe))
    return save(
        output,
        model,
        architecture=recipe["architecture"],
        name=recipe["name"],
        scores=(),
        training=training,
        curves=learning_curves(run),
        **CARDS[recipe["name"]],
    )


def learning_curves(run: Path) -> LearningCurves | None:
    """The curves of a run, up to where its best weights were taken and beyond; None before the first validation."""
    log = _log(run)
    losses = [entry for entry in log if entry.get("event") == "train"]
    checks = [entry for entry in log if entry.get("event") == "validate" and entry["si_sdr_gain_db"] is not None]
    if not losses or not checks:
        return None
    best = max(checks, key=lambda entry: float(entry["si_sdr_gain_db"]))
    validation = Curve(
        name="SI-SDR gain",
        unit="dB",
        steps=tuple(entry["step"] for entry in checks),
        values=tuple(round(entry["si_sdr_gain_db"], 4) for entry in checks),
        errors=tuple(_rounded(entry.get("standard_error")) for entry in checks),
    )
    loss = Curve(
        name="loss",
        unit="",
        steps=tuple(entry["step"] for entry in losses),
        values=tuple(_rounded(entry["loss"]) for entry in losses),
    )
    return LearningCurves(loss=loss, validation=validation, step=best["step"])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _seconds_of_audio(run: Path, recipe: dict[str, Any]) -> float:
    """Audio seen up to the last line of the log, the same audio counted as often as it was seen."""
    log = _log(run)
    step = log[-1]["step"] if log else 0
    return float(step * recipe["batch"] * recipe["length"] / recipe["arguments"]["sample_rate"])


def _log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
