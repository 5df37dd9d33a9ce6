"""The training loop, on `accelerate`: resumable, averaged, logged.

A run is a folder: ``recipe.json``, ``log.jsonl`` (a line a report), ``state.pt`` (everything needed to go on) and
``best.safetensors`` (averaged weights, best by validation), for a model with gains with ``gains.json`` (see `levels`).
Killing it at any moment loses at most the steps since the last state; on the CPU going on gives the same weights as never
having stopped.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from separation.errors import DataError
from separation.models import build
from separation.training import losses, objectives
from separation.training.data import DATA
from separation.training.levels import fit_gains
from separation.training.mixing import Mixer, side_of
from separation.training.recipe import Recipe

Batch = tuple[Tensor, dict[str, Tensor]]
"""Stems ``[B, S, T]``, and what a model is told besides."""
REPORT_EVERY = 50  # steps
VALIDATION_SEED = 20_000_000  # far from any training seed
_DEFAULTS = {"intermediate": {}, "objective": "estimates", "frozen": []}  # of runs that are older than these fields
NOT_RECIPE = ("steps", "decay", "validate_every")  # may change when a run is made longer


@dataclass(frozen=True)
class Paths:
    folder: Path

    @property
    def recipe(self) -> Path:
        return self.folder / "recipe.json"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def state(self) -> Path:
        return self.folder / "state.pt"

    @property
    def best(self) -> Path:
        return self.folder / "best.safetensors"

    @property
    def gains(self) -> Path:
        return self.folder / "gains.json"


def train(
    recipe: Recipe,
    data: Path,
    output: Path,
    *,
    device: str = "auto",
    initial: Path | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
) -> Path:
    """Run `recipe` on the corpora in `data`; go on if `output` holds a run of it. Returns the best weights.

    Args:
        initial: weights to start from (``model.safetensors``); ignored when a run is resumed.
        report: called with every line of the log.

    Raises:
        DataError: the data folder is broken (before anything is trained), or `output` holds a run of another recipe.
    """
    paths = Paths(output)
    _claim(paths, recipe)
    sides = DATA[recipe.data](recipe, data, output.parent / "cache")
    known = sides.train.sources
    outputs = recipe.arguments.get("sources", known)
    if not set(outputs) <= set(known):
        raise DataError(
            f"Train {recipe.name}",
            f"the mixtures are made of {', '.join(known)}, the model gives {', '.join(outputs)}",
            "Name the model's sources as the mixer does",
        )
    return Run(recipe, sides.train, sides.validation, paths, device=device, initial=initial, report=report).go()


class Run:
    """One run in progress."""

    def __init__(
        self,
        recipe: Recipe,
        training: Mixer,
        validation: Mixer,
        paths: Paths,
        *,
        device: str = "auto",
        initial: Path | None = None,
        report: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.paths, self.report = recipe, paths, report
        self.training, self.validation = training, validation
        self.accelerator = Accelerator(cpu=device == "cpu")
        model = build(recipe.architecture, recipe.arguments)
        if initial is not None:
            _start_from(model, initial)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(recipe.frozen)))
        self.average: Any = deepcopy(model).to(self.accelerator.device).eval().requires_grad_(False)
        learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimiser = torch.optim.AdamW(learned, lr=recipe.rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.98))
        self.model: Any
        self.model, self.optimiser = self.accelerator.prepare(model, optimiser)
        self.step, self.best, self.seconds = 0, -np.inf, 0.0
        pit = _permutation_invariant(model)
        outputs = recipe.arguments.get("sources", training.sources)
        self.outputs = [training.sources.index(name) for name in outputs]
        """Which of the mixer's sources the model gives; the others are in the mixture only."""
        self.objective = objectives.build(recipe.objective, recipe.losses, recipe.intermediate, pit=pit)
        if paths.state.exists():
            self._resume()
        _trim(paths.log, self.step)

    def go(self) -> Path:
        """Train to the recipe's last step."""
        recipe, started, recent = self.recipe, time.monotonic(), []
        for batch in self._batches():
            recent.append(self._learn(batch))
            self.step += 1
            done = self.step >= recipe.steps
            if self.step % REPORT_EVERY == 0 or done:
                now = time.monotonic()
                self.seconds, started = self.seconds + now - started, now
                values = torch.stack(recent)
                kept = values[torch.isfinite(values)]
                skipped = len(values) - len(kept)
                self._log(event="train", loss=float(kept.mean()), rate=self._rate(), skipped=skipped)
                recent = []
            if self.step % recipe.validate_every == 0 or done:
                self._validate()
                self._save()
        return self.paths.best

    def _batches(self) -> Iterator[Batch]:
        examples = _Examples(self.training, self.recipe, first_step=self.step)
        # a generator of its own: the loader draws from it, and a resumed run must find the global one untouched
        loader = DataLoader(examples, batch_size=self.recipe.batch, num_workers=0, generator=torch.Generator())
        device = self.accelerator.device
        for stems, side in loader:
            yield stems.to(device), {name: told.to(device) for name, told in side.items()}

    def _learn(self, batch: Batch) -> Tensor:
        """One step; returns the loss, NaN if the step was skipped."""
        stems, side = batch
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        self.model.train()
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        references, mixture = stems[:, self.outputs].unsqueeze(2), stems.sum(1, keepdim=True)
        with self._autocast():
            loss = self.objective(self.model, references, mixture, self.step, side)
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        finite = bool(torch.isfinite(torch.as_tensor(norm)))
        if finite:
            self.optimiser.step()
        else:  # one bad batch must not end a run of hours, and batch norm has it in its averages already
            for buffer, before in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(before)
        self.optimiser.zero_grad()
        self._update_average()
        return loss.detach() if finite else torch.full_like(loss, torch.nan)

    def _autocast(self) -> torch.autocast:
        """Not accelerate's: it fixes one precision for the whole process, and a process may train twice."""
        bf16 = self.recipe.precision == "bf16"
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=bf16)

    def _rate(self) -> float:
        """Warm-up, constant, linear decay."""
        recipe = self.recipe
        warm = min(1.0, (self.step + 1) / max(recipe.warmup, 1))
        cool = min(1.0, (recipe.steps - self.step) / max(recipe.decay, 1))
        return recipe.rate * min(warm, cool)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))  # short memory while everything changes
        current = self.accelerator.unwrap_model(self.model).state_dict()
        for name, kept in self.average.state_dict().items():
            if kept.dtype.is_floating_point:
                kept.lerp_(current[name], 1 - decay)
            else:
                kept.copy_(current[name])

    @torch.no_grad()
    def _validate(self) -> None:
        """The mean gain over the mixture on fixed examples, in dB, full precision, averaged weights."""
        scores = []
        loss = losses.build({"si_sdr": 1.0}, pit=_permutation_invariant(self.average))
        for i in range(self.recipe.validation_examples):
            stems, side = _told(self.validation, VALIDATION_SEED, 0, i, self.accelerator.device)
            references, mixture = stems[:, self.outputs].unsqueeze(2), stems.sum(1, keepdim=True)
            estimates = objectives.estimates(self.average, mixture, references, side)
            untouched = mixture.unsqueeze(1).expand_as(references)
            scores.append(float(loss(references, untouched, mixture) - loss(references, estimates, mixture)))
        score = float(np.mean(scores))
        if score > self.best:
            self.best = score
            _write_weights(self.average, self.paths.best)
            if "gains" in self.average.arguments:
                self._write_gains()
        error = float(np.std(scores) / np.sqrt(len(scores)))
        self._log(event="validate", si_sdr_gain_db=score, standard_error=error, best=self.best)

    def _write_gains(self) -> None:
        examples = self.recipe.validation_examples
        gains = fit_gains(self.average, self.validation, examples, seed=VALIDATION_SEED, device=self.accelerator.device)
        self.paths.gains.write_text(json.dumps({"step": self.step, "gains": gains}) + "\n")

    def _save(self) -> None:
        state = {
            "step": self.step, "best": self.best, "seconds": self.seconds,
            "model": self.accelerator.unwrap_model(self.model).state_dict(), "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(), "torch_rng": torch.get_rng_state(),
        }  # fmt: skip
        unfinished = self.paths.state.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(self.paths.state)

    def _resume(self) -> None:
        state = torch.load(self.paths.state, map_location=self.accelerator.device, weights_only=False)  # our own file
        self.step, self.best, self.seconds = state["step"], state["best"], state["seconds"]
        self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["torch_rng"].cpu())  # type: ignore[no-untyped-call]

    def _log(self, **entry: Any) -> None:
        entry = {"step": self.step, "seconds": round(self.seconds, 1), **entry}
        for key, value in entry.items():
            if isinstance(value, float) and not np.isfinite(value):
                entry[key] = None  # JSON has no NaN
        with self.paths.log.open("a") as file:
            file.write(json.dumps(entry, allow_nan=False) + "\n")
        if self.report is not None:
            self.report(entry)


def _told(mixer: Mixer, seed: int, step: int, index: int, device: torch.device) -> Batch:
    """One example as a batch."""
    side = side_of(mixer, seed, step, index)
    stems = torch.from_numpy(mixer.example(seed, step, index)[None]).to(device)
    return stems, {name: torch.from_numpy(told[None]).to(device) for name, told in side.items()}


class _Examples(Dataset[Batch]):
    """Examples of all remaining steps, in order."""

    def __init__(self, mixer: Mixer, recipe: Recipe, *, first_step: int) -> None:
        self.mixer, self.recipe, self.first_step = mixer, recipe, first_step

    def __len__(self) -> int:
        return max(0, self.recipe.steps - self.first_step) * self.recipe.batch

    def __getitem__(self, i: int) -> Batch:
        step, index = divmod(i, self.recipe.batch)
        place = (self.recipe.seed, self.first_step + step, index)
        side = {name: torch.from_numpy(told) for name, told in side_of(self.mixer, *place).items()}
        return torch.from_numpy(self.mixer.example(*place)), side


def _start_from(model: nn.Module, weights: Path) -> None:
    """Load what `weights` hold; they may be those of a part, such as a learned transform, but must all fit.

    Raises:
        DataError: a tensor has no place in the model, or another shape there.
    """
    kept, given = model.state_dict(), load_file(weights)
    wrong = [name for name, tensor in given.items() if name not in kept or kept[name].shape != tensor.shape]
    if wrong:
        raise DataError(
            f"Start from {weights}",
            f"{len(wrong)} of its {len(given)} tensors do not fit the model, such as {wrong[0]}",
            "Use weights of the same sizes, or start without",
        )
    model.load_state_dict(given, strict=False)


def commit() -> str | None:
    """The commit this code is at, with ``+changes`` where files differ from it; None outside a repository."""
    try:
        return _git("rev-parse", "--short", "HEAD") + ("+changes" if _git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _claim(paths: Paths, recipe: Recipe) -> None:
    """Write the recipe, or check that the run in this folder is one of the same recipe."""
    paths.folder.mkdir(parents=True, exist_ok=True)
    wanted = json.loads(json.dumps(recipe.to_dict()))
    if paths.recipe.exists():
        found = {**_DEFAULTS, **json.loads(paths.recipe.read_text())["recipe"]}
        changed = [key for key in wanted if key not in NOT_RECIPE and found.get(key) != wanted[key]]
        if changed:
            raise DataError(
                f"Go on with the run in {paths.folder}",
                f"it was started with another {', '.join(changed)}",
                "Use another output folder, or the settings in its recipe.json",
            )
    _replace(paths.recipe, json.dumps({"recipe": wanted, "commit": commit()}, indent=2) + "\n")


def _trim(log: Path, step: int) -> None:
    """Drop what was logged after the last state (it is done again), and a line that was cut off by a kill."""
    if not log.exists():
        return
    kept = []
    for line in log.read_text().splitlines():
        with suppress(json.JSONDecodeError):
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
    _replace(log, "".join(kept))


def _replace(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.write_text(text)
    unfinished.replace(path)


def _permutation_invariant(model: nn.Module) -> bool:
    return bool(model.spec.permutation_invariant)  # type: ignore[union-attr]


def _write_weights(model: nn.Module, path: Path) -> None:
    unfinished = path.with_suffix(".part")
    save_file({name: value.contiguous().cpu() for name, value in model.state_dict().items()}, unfinished)
    unfinished.replace(path)
