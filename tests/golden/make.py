"""Golden files: small random weights, an input and what a model makes of it, so that no change of numbers goes unseen.

``python -m tests.golden.make`` writes them again and says how far they moved. Do that only for a change that is meant, and
put it into CHANGELOG.md. `tests/models/test_golden.py` runs this generator, so it cannot rot. Weights are drawn by NumPy,
whose generators promise the same numbers in every version; torch's initialisation makes no such promise.
"""

import json
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from separation.models import build
from tests.contract import SMALL, side_of

FOLDER = Path(__file__).parent
CASES = {f"{architecture}-{case}": (architecture, case) for architecture, cases in SMALL.items() for case in cases}
LENGTH = 1237  # samples; a multiple of nothing

Golden = tuple[dict[str, str], dict[str, Tensor]]


def make(folder: Path) -> list[Path]:
    """Write one file a case into `folder`."""
    return [_write(folder / f"{name}.safetensors", *case) for name, case in CASES.items()]


def read(path: Path) -> Golden:
    """Metadata and tensors: ``input`` ``[1, C, T]``, ``output`` ``[1, S, C, T]``, and ``weights.NAME``."""
    with safe_open(path, "pt") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def rebuild(golden: Golden) -> Any:
    """The model that the file describes, with its weights."""
    metadata, tensors = golden
    model = build(metadata["architecture"], json.loads(metadata["arguments"]))
    weights = {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}
    model.load_state_dict(weights, strict=True)
    return model.eval()


def separate(model: Any, mixture: Tensor) -> Tensor:
    """``[1, C, T]`` -> ``[1, S, C, T]``; what a model needs besides follows from the mixture."""
    with torch.no_grad():
        estimates: Tensor = model.separate(mixture, side_of(model, mixture))[0]
    return estimates


def difference(one: Golden, other: Golden) -> float:
    """The largest difference of any tensor, relative to the largest value in it; infinite where names or shapes differ."""
    if {name: t.shape for name, t in one[1].items()} != {name: t.shape for name, t in other[1].items()}:
        return float("inf")
    worst = 0.0
    for name, old in one[1].items():
        scale = max(float(old.double().abs().max()), 1e-6)
        worst = max(worst, float((other[1][name].double() - old.double()).abs().max()) / scale)
    return worst


def _write(path: Path, architecture: str, case: str) -> Path:
    arguments = SMALL[architecture][case]
    rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
    model: Any = build(architecture, arguments).eval()
    _fill(model, rng)
    mixture = torch.from_numpy(rng.standard_normal((1, model.spec.channels or 1, LENGTH)).astype(np.float32))
    estimates = separate(model, mixture)
    tensors = {f"weights.{name}": value.contiguous() for name, value in model.state_dict().items()}
    metadata = {"architecture": architecture, "arguments": json.dumps(arguments)}
    save_file(tensors | {"input": mixture, "output": estimates.contiguous()}, path, metadata)
    return path


def _fill(model: nn.Module, rng: np.random.Generator) -> None:
    """Weights that keep the signal's size through the layers, variances positive, nothing at one or zero."""
    for name, tensor in model.state_dict().items():
        if not tensor.dtype.is_floating_point:
            continue
        if name.endswith("running_var"):
            values = rng.uniform(0.5, 2, tensor.shape)
        elif tensor.ndim < 2 or tensor.shape[-1] == 1 == tensor[0].numel():
            values = rng.uniform(0.1, 0.9, tensor.shape)
        else:
            values = rng.standard_normal(tensor.shape) / np.sqrt(tensor[0].numel())
        tensor.copy_(torch.from_numpy(values.astype(np.float32)))


if __name__ == "__main__":
    before = {path.name: read(path) for path in FOLDER.glob("*.safetensors")}
    for written in make(FOLDER):
        moved = difference(before[written.name], read(written)) if written.name in before else None
        sys.stdout.write(f"{written.name}: " + ("new\n" if moved is None else f"moved by {moved:.1e}\n"))
