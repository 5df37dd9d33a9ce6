"""Prove the CUDA paths where a GPU is at hand: same stems as the CPU, fp16, and what happens when memory is short.

    python -m benchmarks.gpu

Exits with 0 when all holds, 1 when something does not, 2 where there is no GPU.
"""

import sys

import numpy as np
import torch

from separation.audio import ArrayReader
from separation.engine import Options, Report, run
from separation.engine.device import has_tf32
from separation.engine.options import Precision
from separation.hub import bundled, load
from separation.models import Separator
from separation.signals import Samples, Signal

SECONDS = 60
LEAST_DB = {"fp32": 80.0, "tf32": 40.0, "fp16": 25.0}
"""Agreement of the stems with the CPU's that each precision must leave."""
ROOM = 32 << 20
"""Bytes of GPU memory that the last check leaves: for a model, not for a batch."""


class Collect:
    def __init__(self) -> None:
        self.blocks: list[Samples] = []

    def write(self, block: Samples) -> None:
        self.blocks.append(block)


def main() -> int:
    if not torch.cuda.is_available():
        print("No CUDA device: nothing to prove here.")
        return 2
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}")
    passed = True
    for card in bundled():
        model = load(card.name)
        noise = np.random.default_rng(0).standard_normal((2, SECONDS * card.sample_rate)).astype(np.float32)
        signal = Signal(0.1 * noise, card.sample_rate)
        expected, cpu = separate(model, signal, Options(device="cpu"))
        print(f"{card.name}: CPU {SECONDS / cpu.seconds:.0f} x real time")
        fast = "tf32" if has_tf32(torch.device("cuda")) else "fp32"
        asked: tuple[tuple[Precision, str], ...] = (("fp32", "fp32"), ("auto", fast), ("fp16", "fp16"))
        for precision, used in asked:
            stems, report = separate(model, signal, Options(device="cuda", precision=precision))
            level, least = agreement_db(expected, stems), LEAST_DB[used]
            good = level >= least and report.device.startswith("cuda") and report.precision == used
            good &= not report.messages
            passed &= good
            print(
                f"  {report.device} {report.precision}: {SECONDS / report.seconds:.0f} x real time, "
                f"{level:.1f} dB agreement with the CPU (needs {least:.0f}) {'ok' if good else 'FAILED'}"
            )
        passed &= out_of_memory(model, signal, expected)
    return 0 if passed else 1


def out_of_memory(model: Separator, signal: Signal, expected: Samples) -> bool:
    """With nearly no memory the engine must take smaller batches or the CPU, say so, and give the same stems."""
    if isinstance(model, torch.nn.Module):
        model.cpu()  # it still holds memory from the checks before
    torch.cuda.empty_cache()
    # What this process may have more than it has now; other programs on the GPU do not count.
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + ROOM) / total))
    try:
        stems, report = separate(model, signal, Options(device="cuda", batch=64))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    good = bool(report.messages) and agreement_db(expected, stems) >= LEAST_DB["tf32"]
    print(f"  short of memory: ended on {report.device}, {'ok' if good else 'FAILED'}")
    for message in report.messages:
        print(f"    {message}")
    return good


def separate(model: Separator, signal: Signal, options: Options) -> tuple[Samples, Report]:
    """All stems ``[S C, T]`` and the report."""
    sinks = {name: Collect() for name in model.spec.sources}
    report = run(model, ArrayReader(signal), sinks, options=options)
    return np.concatenate([np.concatenate(sink.blocks, axis=1) for sink in sinks.values()]), report


def agreement_db(expected: Samples, found: Samples) -> float:
    """Level of the expected stems over the difference, in dB."""
    error = np.square(expected.astype(np.float64) - found).sum()
    return float(10 * np.log10(np.square(expected, dtype=np.float64).sum() / max(error, 1e-30)))


if __name__ == "__main__":
    sys.exit(main())
