"""Fit a source-filter model to one recording: no training data at all, only the mixture and the pitch of its voices.

Learning from mixtures needs no truth, so a mixture may be learnt from that is to be separated (Schulze-Forster et al., TASLP
2023, arXiv 2201.09592, train on many). From random weights the network is a prior for one recording only, and from trained
weights it adapts. What comes out is an ordinary model: keep it in a folder (`save_fitted`), and separate with it. Not here:
where pitch comes from.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from math import ceil, cos, pi
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from separation.audio import Reader, resample
from separation.engine.pitches import Pitches, pitch_side
from separation.errors import Cancelled, DataError, ModelError, ShapeError
from separation.hub import Card, save
from separation.models import PITCH, build, with_voices
from separation.models.umss import UMSS
from separation.training.choir import RECIPES
from separation.training.objectives import Resynthesis

LONGEST = 600.0
"""Seconds of a recording to learn from: all of it is held in memory."""
STEPS = 300
"""Of learning, if nobody says how many."""

SECONDS = 4.0
"""Of an excerpt, as in training; a recording that is at most half as long again is looked at as a whole."""
RISE = 0.1
"""Of the steps, in which the rate rises."""
CLIP = 5.0
"""Largest norm of a step's gradient."""


class Step(NamedTuple):
    """How far it is.

    Args:
        step, steps: done, and in all.
        loss: of this step's excerpts, see `objectives.Resynthesis`.
    """

    step: int
    steps: int
    loss: float


def fit(
    reader: Reader,
    pitches: Pitches,
    *,
    start: UMSS | None = None,
    steps: int = STEPS,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: Callable[[Step], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> UMSS:
    """A model of the voices in one recording, which has learnt from it and from nothing else.

    Args:
        reader: the recording.
        pitches: of each voice in it.
        start: weights to start from; None for random ones, of the size of the recipe ``umss``.
        device: where it learns, and where it is then.
        steps, seed, progress, cancelled: see `optimise`.

    Raises:
        DataError: the recording is silent or longer than `LONGEST`.
        ModelError: `start` is no source-filter model.
        JobError: the tracks are not about this recording.
        Cancelled: `cancelled` said so.
    """
    name, duration = reader.info.name, reader.length / reader.sample_rate
    asked = f"Learn from {name}"
    if duration > LONGEST:
        raise DataError(asked, f"it lasts {duration:.0f} s, more than {LONGEST:g} s", "Cut a part of it out")
    pitches.check(name, duration)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = start if start is not None else build("umss", RECIPES["umss"].arguments)
    if not isinstance(model, UMSS):
        raise ModelError(asked, f"the model to start from is a {type(model).__name__}", "Start from a model umss")
    model = with_voices(model, pitches.names).to(device)
    heard = reader.read(0, reader.length).mean(0, keepdims=True)
    mixture = torch.from_numpy(resample(heard, reader.sample_rate, model.spec.sample_rate))
    if float(mixture.std()) == 0:
        raise DataError(asked, "it is silent", "Choose another recording")
    side = pitch_side(model, pitches, start=0.0, duration=duration)
    pitch = side(0, mixture.shape[-1])[PITCH]
    return optimise(
        model, mixture / mixture.std(), pitch, steps=steps, seed=seed, progress=progress, cancelled=cancelled
    )


def save_fitted(folder: Path, model: UMSS, recording: str, seconds: float, *, steps: int, seed: int = 0) -> Card:
    """Write what `fit` gave as a model folder.

    Args:
        folder: see `hub.save`.
        model: of the recording.
        recording: what it is called.
        seconds: that it lasts.
        steps, seed: as given to `fit`.

    Raises:
        ConfigError, WeightsError: see `hub.save`.
    """
    training: dict[str, Any] = {
        "recipe": {"system": "umss, fitted to one recording", "steps": steps, "seed": seed},
        "commit": None,
        "seconds_of_audio": seconds,
    }
    return save(
        folder,
        model,
        architecture="umss",
        title=f"The voices of {recording}",
        summary="Takes the voices of one recording apart by their pitch; it has learnt from that mixture and nothing else.",
        task="vocals",
        licence="As the recording that it was learned from",
        citation=str(model.citation),
        trained_on=(f"{recording}: the mixture alone, {seconds:.0f} s",),
        scores=(),
        weaknesses=(
            "It knows one recording; others need a model of their own, or one that was trained on many.",
            "It follows the pitch that it is told: a wrong octave gives the wrong voice, a missing note goes to the others.",
            f"It hears up to {model.spec.sample_rate / 2000:g} kHz and keeps the mixture's phase.",
        ),
        training=training,
    )


def optimise(
    model: UMSS,
    mixture: Tensor,
    pitch: Tensor,
    *,
    steps: int = STEPS,
    rate: float = 2e-3,
    batch: int = 2,
    seed: int = 0,
    progress: Callable[[Step], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> UMSS:
    """A copy of `model` that has learnt from one mixture, in eval mode.

    The rate rises at first and then falls to nothing as a cosine does. On a CPU the same arguments give the
    same weights.

    Args:
        model: where to start; it stays as it is.
        mixture: ``[C, T]`` at the model's rate.
        pitch: of the model's sources, Hz ``[S, K]`` with ``K = 1 + ceil(T / pitch_hop)``.
        steps: of Adam.
        rate: the highest.
        batch: excerpts a step, of a recording longer than one excerpt.
        seed: of the excerpts and of the breath in each step.
        progress: told after every step.
        cancelled: asked before every step.

    Raises:
        ShapeError: the mixture is empty, or the pitch is not that of every source and frame.
        Cancelled: `cancelled` said so.
    """
    _check(model, mixture, pitch)
    learner = deepcopy(model).train()
    optimiser = torch.optim.Adam(learner.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rise_and_fall(step, steps))
    device = next(learner.parameters()).device
    excerpts = _excerpts(learner, mixture.mean(0).to(device), pitch.to(device), batch, seed)
    objective = Resynthesis(each=False)
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(seed)
        for step in range(1, steps + 1):
            if cancelled is not None and cancelled():
                raise Cancelled(
                    "Learn from this recording", f"it was stopped at step {step} of {steps}", "Start it again"
                )
            heard, told = next(excerpts)
            loss = objective(learner, heard, heard, side={PITCH: told})
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(learner.parameters(), CLIP)
            optimiser.step()
            schedule.step()
            if progress is not None:
                progress(Step(step, steps, loss.item()))
    return learner.eval()


def _rise_and_fall(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / max(steps * RISE, 1)) * (1 + cos(pi * step / max(steps, 1))) / 2


def _check(model: UMSS, mixture: Tensor, pitch: Tensor) -> None:
    frames = 1 + ceil(mixture.shape[-1] / model.pitch_hop)
    expected = (len(model.spec.sources), frames)
    if mixture.ndim != 2 or not mixture.shape[-1] or tuple(pitch.shape) != expected:
        raise ShapeError(
            "Learn from this recording",
            f"a mixture of shape {tuple(mixture.shape)} and a pitch of shape {tuple(pitch.shape)}",
            f"Give [channel, sample], and Hz [voice, frame] every {model.pitch_hop} samples: here {expected}",
        )


def _excerpts(model: UMSS, heard: Tensor, pitch: Tensor, batch: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Mixtures ``[B, 1, T']`` and their pitch ``[B, S, K']``, for ever: places at random, or the whole if it is short."""
    hop, rng = model.pitch_hop, torch.Generator().manual_seed(seed)
    frames = int(SECONDS * model.spec.sample_rate / hop)
    places = len(heard) // hop - frames
    while True:
        if places <= frames // 2:
            yield heard[None, None], pitch[None]
        else:
            starts = torch.randint(places + 1, (batch,), generator=rng).tolist()
            yield (
                torch.stack([heard[start * hop : (start + frames) * hop] for start in starts]).unsqueeze(1),
                torch.stack([pitch[:, start : start + frames + 1] for start in starts]),
            )
