"""How long a model takes on this machine, measured and remembered.

The cost of a separation is the number of chunks times the time of one chunk, because every chunk has one shape. So two
numbers per model and device are kept in a small JSON file: the seconds one chunk takes, and the seconds of audio it
yields. They come from a timed chunk and from every finished job. This is a measurement, not a model of the hardware: a
pair that never ran here is said to be unknown.
"""

import json
import math
import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from separation.models.protocol import Separator, Spec
from separation.models.voices import PITCH, PitchSeparator

MOST = 400
"""Pairs that are remembered, those that were measured last: models that visitors teach come and go."""


@dataclass(frozen=True)
class Speed:
    """What one chunk costs and yields.

    Args:
        chunk: seconds one chunk takes.
        hop: seconds of audio a chunk adds.
        memory: bytes of accelerator memory at the peak; None where it is not measured (the CPU).
    """

    chunk: float
    hop: float
    memory: int | None = None

    def seconds(self, duration: float) -> float:
        """Time for a recording of `duration` seconds.

        >>> Speed(chunk=0.5, hop=4.0).seconds(10.0)
        1.5
        """
        return max(1, math.ceil(duration / self.hop)) * self.chunk


@dataclass(frozen=True)
class Estimate:
    """What a job will take.

    Args:
        seconds: of computing, preview included; as long as the recording where nothing has been measured.
        memory: bytes of accelerator memory, or None where it is not known.
        calibrated: the figure rests on a measurement of this model on this device of this machine.
        device: where the job would run.
    """

    seconds: float
    memory: int | None
    calibrated: bool
    device: str


class Calibration:
    """The measurements of this machine, kept in `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def get(self, model: str, device: str) -> Speed | None:
        fields = self._read().get(_key(model, device))
        return None if fields is None else Speed(**fields)

    def put(self, model: str, device: str, speed: Speed) -> None:
        with self._lock:
            known = self._read()
            known.pop(_key(model, device), None)  # what was measured last stands last
            known[_key(model, device)] = asdict(speed)
            known = dict(list(known.items())[-MOST:])
            temporary = self._path.with_suffix(f".{os.getpid()}")  # another process may be writing too
            temporary.write_text(json.dumps(known, indent=1), encoding="utf-8")
            temporary.replace(self._path)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            known: dict[str, dict[str, Any]] = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # never measured, or damaged: measure again
            return {}
        return known


def hop(spec: Spec) -> float:
    """Seconds of audio that one chunk adds: the segment without its two contexts."""
    return spec.segment - 2 * spec.context


def time_chunk(separator: Separator, device: str) -> Speed:
    """Run one chunk of noise twice and time the second, when everything is warm. What goes by pitch is told one."""
    spec = separator.spec
    length = math.ceil(spec.segment * spec.sample_rate / spec.multiple_of) * spec.multiple_of
    chunk = torch.randn(1, spec.channels or 1, length, generator=torch.Generator().manual_seed(0)).to(device) * 0.1
    side = {}
    if PITCH in spec.needs and isinstance(separator, PitchSeparator):
        hz = torch.linspace(400, 100, len(spec.sources), device=chunk.device)
        side[PITCH] = hz[None, :, None].repeat(1, 1, 1 + math.ceil(length / separator.pitch_hop))
    on_cuda = torch.device(device).type == "cuda"
    with torch.no_grad():
        separator.separate(chunk, side)
        if on_cuda:
            torch.cuda.reset_peak_memory_stats(device)
        started = time.perf_counter()
        estimates, _ = separator.separate(chunk, side)
        estimates.sum().item()  # waits for the accelerator
        seconds = time.perf_counter() - started
    return Speed(seconds, hop(spec), torch.cuda.max_memory_allocated(device) if on_cuda else None)


def _key(model: str, device: str) -> str:
    return f"{model} on {device}"
