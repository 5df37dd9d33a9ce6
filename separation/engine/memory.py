"""What a stateful separator goes on with in another recording of the same voices, as an object and as a file of some kilobytes.

The state is the separator's own business; it must be a flat mapping of tensors to be kept. The file says whose it is, and
another model, or other weights of the same one, are refused: what the numbers mean only these weights know.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from separation.audio.files import appearing
from separation.errors import ModelError
from separation.models.protocol import Separator, State

FORMAT = "earshot-memory/1"


@dataclass
class Carried:
    """What a run begins with, and after it what it ended with: hand the same one to the next run.

    Args:
        state: None for a separator that has heard nothing yet.
    """

    state: State = None


def write_memory(path: Path, separator: Separator, state: State) -> None:
    """Keep a state; the file appears complete or not at all.

    Raises:
        ModelError: this separator leaves none that could be kept.
    """
    if not _flat(state):
        raise ModelError(
            f"Keep the memory of {type(separator).__name__}",
            "it has none that passes from chunk to chunk",
            "Use a model with a memory, such as disentangled",
        )
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with appearing(path) as temporary:
        save_file(tensors, temporary, {"format": FORMAT, "of": _identity(separator)})


def read_memory(path: Path, separator: Separator) -> Carried:
    """What `write_memory` kept, for the same separator.

    Raises:
        ModelError: it is no such file, or that of another model.
    """
    asked = f"Go on with the memory in {path}"
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(asked, f"it cannot be read: {error}", "Choose a file that was written as a memory") from error
    if about.get("format") != FORMAT:
        raise ModelError(asked, "it holds something else", "Choose a file that was written as a memory")
    if about.get("of") != _identity(separator):
        found = f"it is that of another model than {_name(separator)}, or of other weights"
        raise ModelError(asked, found, "Use the model that wrote it, or begin a new memory under another name")
    return Carried(state)


def _flat(state: State) -> bool:
    return isinstance(state, dict) and bool(state) and all(isinstance(value, Tensor) for value in state.values())


def _identity(separator: Separator) -> str:
    """What the numbers of a state depend on: the arguments and the weights."""
    model: Any = separator
    digest = hashlib.sha256(json.dumps(model.arguments, sort_keys=True).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return f"{type(model).__name__} {digest.hexdigest()}"


def _name(separator: Separator) -> str:
    card = getattr(separator, "card", None)
    return card.name if card is not None else type(separator).__name__
