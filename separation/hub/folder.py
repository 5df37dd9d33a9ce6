"""A model folder on disk: `config.json`, `model.safetensors`, `README.md`, perhaps `training.json`; like a Hub repository.

Loading is strict: every tensor must be there, of the right shape, finite, and nothing left over, and the file must be
the one that the card describes (SHA-256). Only safetensors is read: the other formats of the field are pickles, and a
pickle can run any program while it is opened. Before anything of a stranger's size is allocated, the model is built
without memory (on torch's meta device) and its number of parameters compared with the card, so every architecture must
build there.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from separation.errors import ConfigError, DeviceError, ShapeError, UnknownModel, WeightsError
from separation.hub import readme
from separation.hub.card import CONFIG, FORMAT, README, WEIGHTS, Card, Origin, parse
from separation.hub.curves import TRAINING, LearningCurves
from separation.models import Separator, build

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
CONFIG_LIMIT = 1_000_000
"""Bytes. A config.json is a page of text."""

_REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # copied into the model's own precision
_NAMED = 3  # tensors or files spelt out in a message, before "and N more"


def read_card(origin: Origin) -> Card:
    """The card of a folder, checked.

    Raises:
        UnknownModel: no such folder, or no config.json in it.
        ConfigError: see `separation.hub.card.parse`.
    """
    path = origin.folder / CONFIG
    asked = f"Open the model {origin.name}"
    if not path.is_file():
        what = f"holds no {CONFIG}" if origin.folder.is_dir() else "does not exist"
        raise UnknownModel(asked, f"the folder {origin.folder} {what}", "Choose a folder as docs/models.md describes")
    if path.stat().st_size > CONFIG_LIMIT:
        raise ConfigError(asked, f"its {CONFIG} has {path.stat().st_size:,} bytes", "Choose a model made for Earshot")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(asked, f"{path} is not UTF-8 text", "Compare it with docs/models.md") from error
    return parse(text, f"{CONFIG} of {origin.name}").with_origin(origin)


class Loaded(Separator, Protocol):
    """A separator with the card that it was loaded from."""

    card: Card


def load_folder(card: Card, device: str | torch.device = "cpu") -> Loaded:
    """Build what `card` describes and fill in the weights beside it.

    Returns:
        The model in eval mode on `device`, with its card as the attribute ``card``.

    Raises:
        ConfigError: the architecture does not take the arguments, or what it builds is not what the card says.
        WeightsError: missing, pickled, damaged, not finite, or not of this architecture.
        DeviceError: `device` is not there.
    """
    asked = f"Load the model {card.origin.name}"
    _check_plan(asked, card)
    tensors = None if card.weights is None else _read_weights(asked, card)
    with torch.random.fork_rng(devices=[]):  # random initial weights must not disturb the caller's generator
        model = _build(asked, card)
    if tensors is not None:
        _fit(asked, tensors, model.state_dict())
        _require_finite(asked, tensors)
        model.load_state_dict(tensors, strict=True)
    try:
        model.eval().to(device)
    except (RuntimeError, AssertionError) as error:
        raise DeviceError(f"{asked} on {device}", str(error).splitlines()[0], 'Use the device "cpu"') from error
    separator = cast(Loaded, model)
    separator.card = card
    return separator


def save(
    folder: Path | str, model: nn.Module, *, architecture: str, curves: LearningCurves | None = None, **fields: Any
) -> Card:
    """Write a model folder, all or nothing: it is read back before it takes its name.

    Args:
        folder: new, empty, or an earlier model folder, which is replaced; its last part is the default for ``name``.
        model: has ``spec`` and ``arguments``.
        architecture: its name in ``separation.models.ARCHITECTURES``.
        curves: how training went, for the figure on the card; None writes no ``training.json``.
        **fields: the rest of the card: title, summary, task, licence, citation, authors, trained_on, scores,
            weaknesses, training. The format, sources, sample rate and everything about the weights come from the model.

    Raises:
        ConfigError: the fields break the schema, or the folder holds other files.
        WeightsError: the weights are not finite, or would not load again.
    """
    folder = Path(folder).absolute()
    others = (
        sorted({path.name for path in folder.iterdir()} - {CONFIG, WEIGHTS, README, TRAINING})
        if folder.is_dir()
        else []
    )
    if others:
        raise ConfigError(
            f"Save a model as {folder}", f"the folder also holds {_some(others)}", "Choose an empty folder"
        )
    staging = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    staging.mkdir(parents=True)
    try:
        card = _write(staging, model, {"architecture": architecture, "name": folder.name, **fields})
        if curves is not None:
            (staging / TRAINING).write_text(curves.model_dump_json() + "\n", encoding="utf-8")
        load_folder(read_card(Origin(card.name, staging)))
        _swap(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return card.with_origin(Origin(card.name, folder))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_weights(asked: str, names: Iterable[str]) -> None:
    """Raise unless `model.safetensors` is among the files, with the reason where there is a pickle instead.

    Raises:
        WeightsError: there is none.
    """
    names = list(names)
    if WEIGHTS in names:
        return
    pickles = sorted(name for name in names if name.lower().endswith(PICKLES))
    if pickles:
        raise WeightsError(
            asked,
            f"its weights come only as {_some(pickles)}; such files are pickles, which can run any program when opened",
            f"Ask the author for {WEIGHTS}, or convert the weights on a machine you can afford to lose",
        )
    raise WeightsError(asked, f"its weights are missing: there is no {WEIGHTS}", "Ask the author to add the file")


def _build(asked: str, card: Card) -> nn.Module:
    try:
        return build(card.architecture, card.arguments)
    except ConfigError:
        raise
    except Exception as error:  # a stranger's arguments can upset a constructor in any way
        raise ConfigError(
            asked, f"{card.architecture} cannot be built ({error})", f"Correct `arguments` in {CONFIG}"
        ) from error


def _check_plan(asked: str, card: Card) -> None:
    """Compare what the card says with what its arguments build, before any memory is spent on it."""
    with torch.device("meta"):
        model = _build(asked, card)
    try:
        spec = cast(Separator, model).spec
    except ShapeError as error:
        raise ConfigError(asked, error.found, f"Correct `arguments` in {CONFIG}") from error
    parameters = sum(parameter.numel() for parameter in model.parameters())
    said = {
        "sources": (list(card.sources), list(spec.sources)),
        "sample_rate": (card.sample_rate, spec.sample_rate),
        "weights.parameters": (0 if card.weights is None else card.weights.parameters, parameters),
    }
    problems = [f"{field} is {a}, but its arguments build {b}" for field, (a, b) in said.items() if a != b]
    if problems:
        raise ConfigError(asked, "; ".join(problems), f"Correct {CONFIG} so that both agree")


def _read_weights(asked: str, card: Card) -> dict[str, Tensor]:
    assert card.weights is not None
    folder = card.origin.folder
    require_weights(asked, (path.name for path in folder.iterdir()))
    path = folder / WEIGHTS
    size, digest = path.stat().st_size, sha256(path)
    if (size, digest) != (card.weights.bytes, card.weights.sha256):
        raise WeightsError(
            asked,
            f"{WEIGHTS} is not the file that {CONFIG} describes ({size:,} bytes, SHA-256 {digest[:12]}…, instead of "
            f"{card.weights.bytes:,} bytes, {card.weights.sha256[:12]}…)",
            "Copy or download it again; if you changed the weights, write the folder with separation.hub.save",
        )
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise WeightsError(
            asked, f"{WEIGHTS} is not a safetensors file ({error})", "Ask the author for a good one"
        ) from error
    return tensors


def _require_finite(asked: str, tensors: Mapping[str, Tensor]) -> None:
    bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise WeightsError(asked, f"NaN or infinity in {_some(bad)}", "Training went astray; use an earlier checkpoint")


def _fit(asked: str, tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise unless both hold the same names, shapes and kinds of number."""
    missing = [name for name in wanted if name not in tensors]
    unused = [name for name in tensors if name not in wanted]
    unlike = [
        f"{name} {_kind(tensors[name])} instead of {_kind(wanted[name])}"
        for name in wanted
        if name in tensors and _kind(tensors[name]) != _kind(wanted[name])
    ]
    kinds = {"missing": missing, "not used": unused, "of another shape": unlike}
    problems = [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds.items() if names]
    if problems:
        raise WeightsError(
            asked,
            "the tensors are not those of the architecture; " + "; ".join(problems),
            f"Check `architecture` and `arguments` in {CONFIG} against the weights",
        )


def _kind(tensor: Tensor) -> str:
    return f"{'real' if tensor.dtype in _REAL else tensor.dtype} {list(tensor.shape)}"


def _some(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _write(folder: Path, model: nn.Module, fields: dict[str, Any]) -> Card:
    described: Any = model
    spec = cast(Separator, described).spec
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    _require_finite(f"Save the model {fields['name']}", tensors)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    weights = None
    if parameters:
        path = folder / WEIGHTS
        save_file(tensors, path, metadata={"format": "pt"})
        path.chmod(0o644)  # safetensors keeps it to the owner; a server may run as somebody else
        weights = {"file": WEIGHTS, "sha256": sha256(path), "bytes": path.stat().st_size, "parameters": parameters}
    known = {
        "format": FORMAT,
        "arguments": described.arguments,
        "sources": spec.sources,
        "sample_rate": spec.sample_rate,
        "weights": weights,
    }
    taken = sorted(known.keys() & fields.keys())
    if taken:
        raise ConfigError(f"Save the model {fields['name']}", f"{', '.join(taken)} given", "They come from the model")
    card = parse(json.dumps({**known, **fields}), f"the card of {fields['name']}")
    (folder / CONFIG).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / README).write_text(readme.write(card), encoding="utf-8")
    return card


def _swap(staging: Path, folder: Path) -> None:
    """Give `staging` the name of `folder`; what was there is put back if that fails."""
    earlier = staging.with_name(staging.name + ".earlier")
    if folder.exists():
        folder.rename(earlier)
    try:
        staging.rename(folder)
    except OSError:
        if earlier.exists():
            earlier.rename(folder)
        raise
    shutil.rmtree(earlier, ignore_errors=True)
