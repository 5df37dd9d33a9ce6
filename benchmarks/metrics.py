"""BSS-eval against its peers: time and largest difference in one run, in turns, and the memory it holds.

    python -m benchmarks.metrics [--pairs N]

Ratios are our time over theirs; differences are over all values that the peer puts below 80 dB. museval, mir_eval and
fast_bss_eval are optional: without one of them its line says so.
"""

import argparse
import importlib.util
import math
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from benchmarks.bench import ROOT, line, ratio
from separation.metrics import bss_eval_v3, bss_eval_v4

COMPARED_DB = 80.0  # above, rounding decides
STEREO = (2, 2, 30 * 44100)
MONO = (2, 1, 10 * 16000)
WINDOW = 44100
LONG = 10  # minutes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5, help="alternating pairs per ratio")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'what':58s} figure")
    bss_eval(options.pairs)


def bss_eval(pairs: int) -> None:
    """All lines of this benchmark."""
    warnings.filterwarnings("ignore", category=FutureWarning)  # mir_eval's, on its own end
    _museval(max(1, pairs // 2))
    _mir_eval(pairs)
    _fast_bss_eval(pairs)
    for minutes in (0.5, LONG):
        line(f"BSS-eval v4, {minutes:g} min of stereo: memory beyond the input", f"{_peak_mb(minutes):.0f} MB")


def museval_metrics() -> ModuleType | None:
    """`museval.metrics` without `museval`, which does not import where there is no ffmpeg."""
    found = importlib.util.find_spec("museval")
    if found is None or not found.submodule_search_locations:
        return None
    path = Path(found.submodule_search_locations[0]) / "metrics.py"
    spec = importlib.util.spec_from_file_location("museval_metrics", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def difference_db(found: Sequence[ArrayLike], expected: Sequence[ArrayLike]) -> float:
    """The largest difference where the peer is below `COMPARED_DB`; infinite where only one is NaN, or only one above."""
    worst = 0.0
    for ours, theirs in zip(map(np.asarray, found), map(np.asarray, expected), strict=True):
        high = theirs >= COMPARED_DB
        if ours.shape != theirs.shape or (np.isnan(ours) != np.isnan(theirs)).any() or (ours[high] < COMPARED_DB).any():
            return math.inf
        with np.errstate(invalid="ignore"):
            apart = np.where(high | (ours == theirs) | np.isnan(theirs), 0.0, np.abs(ours - theirs))
        worst = max(worst, float(apart.max(initial=0.0)))
    return worst


def separated(shape: tuple[int, int, int], seed: int = 0) -> tuple[Tensor, Tensor]:
    """References ``[S, C, T]`` of partials over noise, and estimates of them that leak, ring and hiss; float32."""
    generator = torch.Generator().manual_seed(seed)
    sources, channels, length = shape
    time = torch.arange(length) / 44100
    pitch = 110 * 2 ** torch.rand(sources, channels, 12, 1, generator=generator)
    partials = torch.sin(2 * torch.pi * pitch * torch.arange(1, 13)[:, None] * time) / torch.arange(1, 13)[:, None]
    reference = 0.1 * partials.sum(2) + 0.02 * torch.randn(shape, generator=generator)
    hiss = 0.005 * torch.randn(shape, generator=generator)
    return reference, 0.8 * reference + 0.1 * reference.roll(40, -1) + 0.1 * reference.flip(0) + hiss


def _museval(pairs: int) -> None:
    what = "BSS-eval v4 / museval's, 30 s stereo, 2 sources, 1 s windows"
    peer = museval_metrics()
    if peer is None:
        line(what, "not installed")
        return
    reference, estimate = separated(STEREO)
    axes = [x.numpy().astype(np.float64).transpose(0, 2, 1) for x in (reference, estimate)]
    found = bss_eval_v4(reference, estimate, window=WINDOW)
    expected = peer.bss_eval(*axes, window=WINDOW, hop=WINDOW)[:4]
    assert found.isr is not None
    apart = difference_db([found.sdr, found.isr, found.sir, found.sar], expected)
    value, seconds = ratio(
        lambda: bss_eval_v4(reference, estimate, window=WINDOW),
        lambda: peer.bss_eval(*axes, window=WINDOW, hop=WINDOW),
        pairs,
    )
    _report(what, value, seconds, apart)


def _mir_eval(pairs: int) -> None:
    what = "BSS-eval v3 / mir_eval's, 10 s mono, 2 sources"
    if importlib.util.find_spec("mir_eval") is None:
        line(what, "not installed")
        return
    from mir_eval.separation import bss_eval_sources

    reference, estimate = separated(MONO)
    signals = [x[:, 0].numpy().astype(np.float64) for x in (reference, estimate)]
    _sources(what, reference, estimate, lambda: bss_eval_sources(*signals, compute_permutation=False)[:3], pairs)


def _fast_bss_eval(pairs: int) -> None:
    what = "BSS-eval v3 with order / fast_bss_eval's, 10 s mono"
    if importlib.util.find_spec("fast_bss_eval") is None:
        line(what, "not installed")
        return
    from fast_bss_eval import bss_eval_sources

    # arrays: on tensors it needs torch's batched LU, which breaks on two threads in torch 2.11
    reference, estimate = separated(MONO)
    signals = [x[:, 0].numpy().astype(np.float64) for x in (reference, estimate)]
    _sources(what, reference, estimate, lambda: bss_eval_sources(*signals)[:3], pairs, permutation=True)


def _sources(
    what: str,
    reference: Tensor,
    estimate: Tensor,
    peer: Callable[[], Sequence[ArrayLike]],
    pairs: int,
    *,
    permutation: bool = False,
) -> None:
    found = bss_eval_v3(reference, estimate, permutation=permutation)
    apart = difference_db([x[:, 0] for x in (found.sdr, found.sir, found.sar)], peer())
    value, seconds = ratio(lambda: bss_eval_v3(reference, estimate, permutation=permutation), peer, pairs)
    _report(what, value, seconds, apart)


def _report(what: str, value: float, seconds: float, apart: float) -> None:
    line(what, f"{value:.3f}   ({1 / value:.1f} x faster: {seconds:.2f} s; at most {apart:.0e} dB apart)")


def _peak_mb(minutes: float) -> float:
    """How far the resident size rises above what it is with the input in place, in a process of its own (Linux)."""
    code = (
        "import pathlib, re, torch; from separation.metrics import bss_eval_v4\n"
        "def status(name): return int(re.search(name + r':\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1])\n"
        "x = torch.randn(2, 2, 2, 44100); bss_eval_v4(x[0], x[1], taps=1)\n"
        f"x = torch.empty(2, 2, 2, int({minutes} * 60 * 44100)).normal_()\n"
        "pathlib.Path('/proc/self/clear_refs').write_text('5'); before = status('VmRSS')  # forgets the peak so far\n"
        f"bss_eval_v4(x[0], x[1], window={WINDOW}); print(status('VmHWM') - before)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(result.stdout) / 1024


if __name__ == "__main__":
    main()
