"""Where a model runs and in what precision, and what to do when memory is short.

The rungs of a ladder, from what was asked for down to the CPU: batches are halved, then the work moves to the CPU; half
precision that overflows goes up to full precision. Every step down leaves a sentence for the user. What is used is
what is reported, not what was asked for.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from separation.engine.options import Options
from separation.errors import DeviceError
from separation.models.protocol import InsideSeparator, LatentSeparator, Separator

CUDA_BATCH = 8
HALF = ("fp16", "fast")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rung:
    """One way to run: a device and the chunks per call."""

    device: torch.device
    batch: int


def resolve_device(name: str) -> torch.device:
    """``"auto"`` or a torch device name -> a device that is there.

    Raises:
        DeviceError: torch does not know it, or this machine does not have it.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"Run on {name!r}", "no such kind of device", "Use auto, cpu, cuda or mps") from error
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type, 0)
    if (device.index or 0) >= there:
        raise DeviceError(f"Run on {name!r}", f"this machine has {there} of that kind", "Use auto or cpu")
    return device


def rungs(device: torch.device, batch: int) -> tuple[Rung, ...]:
    """Halving batches on a device, then one chunk at a time on the CPU.

    >>> [(r.device.type, r.batch) for r in rungs(torch.device("cuda"), 4)]
    [('cuda', 4), ('cuda', 2), ('cuda', 1), ('cpu', 1)]
    """
    ladder = []
    while batch >= 1:
        ladder.append(Rung(device, batch))
        batch //= 2
    return (*ladder, Rung(torch.device("cpu"), 1)) if device.type != "cpu" else tuple(ladder)


class Ladder:
    """The rung that is stood on, and what was said on the way down.

    Args:
        separator: moved to the rung's device, if it has a method ``to`` as ``nn.Module`` has.
        rungs: at least one, best first.
        precision: as in `Options`.
    """

    def __init__(self, separator: Separator, rungs: tuple[Rung, ...], precision: str) -> None:
        self._separator = separator
        self._left = list(rungs)
        self._asked = precision
        self._compiled: Compiled | None = None
        self.messages: list[str] = []
        if precision in HALF and self.device.type != "cuda":
            self.messages.append(f"Half precision needs a CUDA device; on {self.device} this ran in full precision.")
        self._place()

    @classmethod
    def of(cls, separator: Separator, options: Options) -> "Ladder":
        """The ladder that options ask for; a stateful separator takes one chunk at a time."""
        device = resolve_device(options.device)
        batch = options.batch or (CUDA_BATCH if device.type == "cuda" else 1)
        return cls(separator, rungs(device, 1 if separator.spec.stateful else batch), options.precision)

    @property
    def device(self) -> torch.device:
        return self._left[0].device

    @property
    def batch(self) -> int:
        return self._left[0].batch

    @property
    def precision(self) -> str:
        """In use: ``"fp32"``, ``"tf32"``, ``"fp16"`` or ``"fp16 compiled"``."""
        if self.device.type != "cuda" or self._asked == "fp32":
            return "fp32"
        if self._asked in HALF:
            return "fp16 compiled" if self._compiled is not None and self._compiled.works else "fp16"
        return "tf32" if has_tf32(self.device) else "fp32"

    def down(self) -> None:
        """Memory was short: fewer chunks at once, at last the CPU.

        Raises:
            DeviceError: this was the last rung.
        """
        old = self._left.pop(0)
        self._require_rung(old.device)
        _free(old.device)
        if self.device == old.device:
            said = f"Memory of {old.device} was short with {old.batch} chunks at once: went on with {self.batch}."
        else:
            said = f"Memory of {old.device} was short with a single chunk: went on with {self.device}."
        self.messages.append(said)
        self._place()

    def _place(self) -> None:
        """Move the separator to the rung's device; where it does not even fit, no batch is small enough."""
        move = getattr(self._separator, "to", None)  # not in the protocol: what needs no device need not have it
        if move is None:
            return
        try:
            move(self.device)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        else:
            return
        old = self.device
        self._left = [rung for rung in self._left if rung.device != old]
        self._require_rung(old)
        _free(old)
        self.messages.append(f"The model does not fit into the memory of {old}: went on with {self.device}.")
        self._place()

    def _require_rung(self, last: torch.device) -> None:
        if not self._left:
            raise DeviceError(
                f"Separate one chunk at a time on {last}",
                "there is not enough memory",
                "Use a shorter segment, or a machine with more memory",
            )

    def to_full_precision(self) -> None:
        """Half precision overflowed: go on in fp32."""
        self._asked = "fp32"
        self.messages.append("Half precision overflowed in this model: went on in full precision.")

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Without gradients, in the precision in use. Not inference mode: some models descend gradients themselves."""
        with torch.no_grad():
            if self.device.type != "cuda":
                yield
                return
            half = torch.autocast("cuda", torch.float16, enabled=self._asked in HALF)
            with half, _tensor_cores(self.precision != "fp32"), self._quick():
                yield

    @contextmanager
    def _quick(self) -> Iterator[None]:
        """The separator's heavy part compiled, if that was asked for and it can be."""
        if self._asked != "fast":
            yield
            return
        if self._compiled is None:
            self._compiled = Compiled.of(self._separator)
        with self._compiled.used():
            yield
        if self._compiled.problem and self._compiled.problem not in self.messages:
            self.messages.append(self._compiled.problem)


class Compiled:
    """The heavy part of a separator, compiled at its first call and used only inside `used`; on trouble as it was.

    Of a model with masks that is what makes the masks: transforms with complex numbers would not gain. It stays with the
    model, so that the next recording does not wait again.

    Args:
        separator: gets a method of its own in the place of its class's.
        name: of the method.
    """

    def __init__(self, separator: Separator, name: str) -> None:
        self._plain = getattr(separator, name)
        self._quick: Any = torch.compile(self._plain, dynamic=False)
        self._on = False
        self.problem = ""
        separator.__dict__[name] = self

    @classmethod
    def of(cls, separator: Separator) -> "Compiled":
        """That of `separator`, made if there is none."""
        latent = "inside" if isinstance(separator, InsideSeparator) else "masks"
        name = latent if isinstance(separator, LatentSeparator) else "separate"
        kept = separator.__dict__.get(name)
        return kept if isinstance(kept, Compiled) else cls(separator, name)

    @property
    def works(self) -> bool:
        return not self.problem

    @contextmanager
    def used(self) -> Iterator[None]:
        self._on = True
        try:
            yield
        finally:
            self._on = False

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if not self._on or self.problem:
            return self._plain(*arguments, **named)
        try:
            return self._quick(*arguments, **named)
        except Exception as error:
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise
            _log.exception("torch.compile failed")
            self.problem = f"Compiling failed ({type(error).__name__}): this ran as it is."
            return self._plain(*arguments, **named)


@contextmanager
def _tensor_cores(allowed: bool) -> Iterator[None]:
    """Whether CUDA may round the factors of fp32 products, convolutions and recurrences to TF32.

    The settings are the process's. Not by `torch.set_float32_matmul_precision`: reading that one raises where somebody
    else has used the settings below, which replace it.
    """
    backends: Any = torch.backends  # not all of them are in torch's types
    settings = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    before = [setting.fp32_precision for setting in settings]
    for setting in settings:
        setting.fp32_precision = "tf32" if allowed else "ieee"
    try:
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value


def has_tf32(device: torch.device) -> bool:
    """Whether a CUDA device has TF32 (NVIDIA's has from Ampere on): older ones compute in fp32 whatever is allowed."""
    with torch.cuda.device(device):
        return torch.cuda.is_tf32_supported()


SHORT = ("out of memory", "ALLOC_FAILED", "can't allocate memory", "not enough memory")
"""MPS, cuBLAS and cuDNN, and the CPU on Linux and on Windows say only in words that memory is short."""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out, of an accelerator or of the machine."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in SHORT)


def _free(device: torch.device) -> None:
    """Give back what torch keeps for later; only what nobody holds any more."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def to_device(value: Any, device: torch.device) -> Any:
    """Tensors in nested tuples, lists and mappings moved to a device; all else as it is."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: to_device(item, device) for key, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)(to_device(item, device) for item in value)
    return value
