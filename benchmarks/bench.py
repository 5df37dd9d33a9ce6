"""The benchmark table: ratios against a peer or against the bare model, measured in the same run, in turns.

    python -m benchmarks.bench [PART ...] [--long HOURS] [--pairs N]

Parts: conv-tasnet, engine, page, metrics, views, long; all by default, in one table. Absolute times on shared machines are
noise; each ratio is the median over alternating pairs. asteroid is optional: without it that line says so.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from separation.audio import AudioInfo, BaseReader
from separation.engine import Options, band, chunks, run
from separation.models import Separator, build
from separation.signals import Samples

ROOT = Path(__file__).resolve().parent.parent
PAPER = dict(basis=512, kernel=16, bottleneck=128, hidden=512, skip=128, width=3, blocks=8, repeats=3)
SECONDS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", type=float, default=10.0, help="hours of the synthetic file (default 10)")
    parser.add_argument("--pairs", type=int, default=9, help="alternating pairs per ratio")
    parts: dict[str, Callable[[], None]] = {
        "conv-tasnet": lambda: conv_tasnet(options.pairs),
        "engine": lambda: engine(options.pairs),
        "page": first_page,
        "metrics": lambda: metrics(options.pairs),
        "views": lambda: views(options.pairs),
        "long": lambda: long_file(options.long),
    }
    parser.add_argument("part", nargs="*", help=f"{', '.join(parts)}; all by default")
    options = parser.parse_args()
    if unknown := set(options.part) - set(parts):
        parser.error(f"there is no part called {', '.join(sorted(unknown))}: choose from {', '.join(parts)}")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'what':58s} figure")
    for name in options.part or parts:
        parts[name]()


def line(what: str, figure: str) -> None:
    print(f"{what:58s} {figure}", flush=True)


def ratio(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> tuple[float, float]:
    """Median of our time over theirs, and our median time in seconds."""
    ours(), theirs()
    times = [(_time(ours), _time(theirs)) for _ in range(pairs)]
    return statistics.median(a / b for a, b in times), statistics.median(a for a, _ in times)


def conv_tasnet(pairs: int) -> None:
    """Forward pass of the paper's best configuration, same weights, 4 s at 8 kHz, against torchaudio's and asteroid's."""
    ours = build("conv_tasnet", PAPER).eval()
    mixture = torch.randn(1, 1, SECONDS * 8000)
    peers: dict[str, nn.Module | None] = {"torchaudio": torchaudio_twin(), "asteroid": asteroid_twin()}
    for name, peer in peers.items():
        if peer is None:
            line(f"Conv-TasNet forward / {name}'s", "not installed")
            continue
        with torch.no_grad():
            value, seconds = ratio(lambda: ours.separate(mixture), lambda peer=peer: peer(mixture), pairs)  # type: ignore[misc, operator]
        line(
            f"Conv-TasNet forward / {name}'s, same sizes", f"{value:.2f}   (ours: {SECONDS / seconds:.1f} x real time)"
        )


def torchaudio_twin() -> nn.Module:
    from torchaudio.models import ConvTasNet

    return ConvTasNet(
        num_sources=2, enc_kernel_size=16, enc_num_feats=512, msk_kernel_size=3, msk_num_feats=128,
        msk_num_hidden_feats=512, msk_num_layers=8, msk_num_stacks=3, msk_activate="sigmoid",
    ).eval()  # fmt: skip


def asteroid_twin() -> nn.Module | None:
    try:
        from asteroid.models import ConvTasNet
    except ImportError:
        return None
    return ConvTasNet(
        2, n_filters=512, kernel_size=16, stride=8, bn_chan=128, hid_chan=512, skip_chan=128, n_blocks=8, n_repeats=3,
        mask_act="sigmoid",
    ).eval()  # fmt: skip


def engine(pairs: int) -> None:
    """What the engine adds to the model calls it makes, of what that consists, and how many calls it makes."""
    model = build("unet", {}).eval()
    assert isinstance(model, Separator)
    for rate, channels in ((model.spec.sample_rate, 1), (44100, 2)):
        reader = Synthetic(60.0, rate, channels)
        sinks = {name: Null() for name in model.spec.sources}
        shares: dict[str, list[float]] = {"all": [], "resampling": [], "top band": []}
        for _ in range(max(3, pairs)):
            with _calls(model) as spent, _seconds("resampling") as resampling, _seconds("top band") as band:
                started = time.perf_counter()
                report = run(model, reader, sinks, options=Options(device="cpu"))
                more = time.perf_counter() - started - sum(spent)
            for name, seconds in (("all", more), ("resampling", sum(resampling)), ("top band", sum(band))):
                shares[name].append(100 * seconds / sum(spent))
        median = {name: statistics.median(values) for name, values in shares.items()}
        what = f"vocals model on {rate / 1000:g} kHz, {channels} channel{'s' * (channels > 1)}"
        line(f"engine beyond the model calls, {what}", f"{median['all']:.1f} %")
        if rate != model.spec.sample_rate:
            # 371 taps there and 135 back for every sample of every channel: no arrangement of them is free.
            rest = median["all"] - median["resampling"] - median["top band"]
            line(
                "   of that: resampling, sharing the top band, the rest",
                f"{median['resampling']:.1f} %, {median['top band']:.1f} %, {rest:.1f} %",
            )
        line(f"calls / minimal calls, {what}", f"{report.calls} / {report.minimal_calls}")


@contextmanager
def _calls(model: Any) -> Iterator[list[float]]:
    """The seconds that every call of a latent model takes: from the start of `encode` to the end of `decode`."""
    spent: list[float] = []
    begun: list[float] = []
    encode, decode = model.encode, model.decode

    def first(x: Tensor) -> Tensor:
        if not begun:
            begun.append(time.perf_counter())
        return encode(x)  # type: ignore[no-any-return]

    def last(z: Tensor, length: int) -> Tensor:
        result: Tensor = decode(z, length)
        spent.append(time.perf_counter() - begun.pop())
        return result

    model.encode, model.decode = first, last
    try:
        yield spent
    finally:
        del model.encode, model.decode


@contextmanager
def _seconds(what: str) -> Iterator[list[float]]:
    """The seconds that every call of some functions of the engine takes."""
    places = {"resampling": ((chunks, "resample"), (band, "resample")), "top band": ((band, "top_octave_shares"),)}[
        what
    ]
    spent: list[float] = []

    def clock(call: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object) -> object:
            started = time.perf_counter()
            result = call(*arguments)
            spent.append(time.perf_counter() - started)
            return result

        return wrapped

    with ExitStack() as stack:
        for module, name in places:
            stack.enter_context(patch.object(module, name, clock(getattr(module, name))))
        yield spent


def metrics(pairs: int) -> None:
    """BSS-eval against museval, mir_eval and fast_bss_eval."""
    from benchmarks.metrics import bss_eval  # which takes its tools from here

    bss_eval(pairs)


def views(pairs: int) -> None:
    """What the views of a five-minute song cost."""
    from benchmarks import views as of_a_song  # which takes its tools from here

    of_a_song.views(pairs)


def long_file(hours: float) -> None:
    """Peak memory of a ten-hour 44.1 kHz stereo file through a tiny model, above what is in use before it starts."""
    code = (
        "from benchmarks.bench import Null, Synthetic, peak_mb, tiny\n"
        "from separation.engine import Options, run\n"
        "model = tiny(); run(model, Synthetic(20, 44100, 2), {n: Null() for n in model.spec.sources})\n"
        "before = peak_mb()\n"
        f"run(model, Synthetic({hours} * 3600, 44100, 2), {{n: Null() for n in model.spec.sources}})\n"
        "print(peak_mb() - before, before)"
    )
    if not Path("/proc/self/status").exists():
        line(f"{hours:g} h of 44.1 kHz stereo: memory beyond a 20 s file", "measured on Linux only")
        return
    started = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    more, before = (float(word) for word in result.stdout.split())
    minutes = (time.perf_counter() - started) / 60
    line(
        f"{hours:g} h of 44.1 kHz stereo: memory beyond a 20 s file",
        f"{more:.0f} MB (of {before:.0f} MB; {minutes:.1f} min)",
    )


def peak_mb() -> float:
    """Most memory that this process ever held, in MB; Linux only.

    Not `getrusage`: its figure is handed down by whoever started the process, and hides all growth below that.
    """
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index("VmHWM:") + 1]) / 1024


def first_page() -> None:
    """Seconds from starting `app.py` to the first page."""
    with tempfile.TemporaryDirectory() as data:
        port = "7991"
        environment = {**os.environ, "EARSHOT_PORT": port, "EARSHOT_DATA": data, "HF_HUB_OFFLINE": "1"}
        started = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        ) as server:
            try:
                figure = "it never answered"
                while server.poll() is None and time.perf_counter() - started < 120:
                    try:
                        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
                    except OSError:
                        time.sleep(0.1)
                        continue
                    figure = f"{time.perf_counter() - started:.1f} s"
                    break
                line("start to first page", figure)
            finally:
                server.terminate()


def tiny() -> Separator:
    """A masker that costs next to nothing: what is left is the engine."""
    model = build(
        "unet", dict(sample_rate=44100, n_fft=64, hop_length=32, channels=[1, 1], hidden=2, segment=10.0, context=0.1)
    )
    assert isinstance(model, Separator)
    return model.eval()  # type: ignore[attr-defined, no-any-return]


class Synthetic(BaseReader):
    """Noise of any length without any memory: the same block over and over."""

    def __init__(self, seconds: float, sample_rate: int, channels: int) -> None:
        length = int(seconds * sample_rate)
        super().__init__(AudioInfo("synthetic", "none", "none", sample_rate, channels, length, "32f", False))
        self._block = 0.1 * np.random.default_rng(0).standard_normal((channels, 1 << 20)).astype(np.float32)

    def read(self, start: int, length: int) -> Samples:
        self._check_range(start, length)
        size = self._block.shape[1]
        return np.concatenate(  # slices, so that what is measured is the engine
            [
                self._block[:, max(start, at) - at : min(start + length, at + size) - at]
                for at in range(start // size * size, start + length, size)
            ],
            axis=1,
        )


class Null:
    def write(self, block: Samples) -> None:
        """Forget it."""


def _time(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
