"""Fit a source-filter model to one recording: no training data at all, only the mixture and the pitch of its voices.

Learning from mixtures needs no truth, so a mixture may be learnt from that is to be separated (Schulze-Forster et al., TASLP
2023, arXiv 2201.09592, train on many). From random weights the network is a prior for one recording only, and from trained
weights it adapts. What comes out is an ordinary model: keep it in a folder, and separate with it. Not here: where pitch comes
from, and files.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from math import ceil, cos, pi
from typing import NamedTuple

import torch
from torch import Tensor

from separation.errors import Cancelled, ShapeError
from separation.models import PITCH
from separation.models.umss import UMSS
from separation.training.objectives import Resynthesis

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


def optimise(
    model: UMSS,
    mixture: Tensor,
    pitch: Tensor,
    *,
    steps: int = 300,
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
