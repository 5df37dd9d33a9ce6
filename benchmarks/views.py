"""What the views of a five-minute song cost: seconds to make them, and bytes over the network.

`python -m benchmarks.bench views`. A lane of the player is at most 1,120 x 84 pixels on a page of 1,440; all views together
stay under 1 MB. The song is a bundled example over and over, each time at another speed, so that nothing in it repeats exactly.
It is separated by the bundled vocals model, with its references.
"""

import gzip
import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from benchmarks.bench import ROOT, line, ratio
from separation.audio import ArrayReader, Writer, open_reader
from separation.engine.jobs import JobStore, Request
from separation.engine.latents import read_grid
from separation.engine.segments import measure_stage
from separation.engine.stages import LATENTS, Stretch, write_stage
from separation.hub import load
from separation.signals import Samples, Signal
from separation.visualisation import SCALES, spectrogram_levels
from separation.visualisation.latents import activations_cells, basis_record, latents_record, mask_cells
from separation.visualisation.spectrogram import Scale

EXAMPLE = ROOT / "assets" / "examples" / "voice-over-music"
MODEL = "vocals"
MINUTES, RATE = 5, 44100
LANE = 1120, 84
"""Pixels of a lane on a page of 1,440 pixels."""


def views(pairs: int) -> None:
    """All views of one song."""
    tracks = song()
    spectrograms(tracks, pairs)
    inside(tracks)


def spectrograms(tracks: dict[str, ArrayReader], pairs: int) -> None:
    """Every scale, and the differences, of four tracks; and one constant-Q picture against the peer's transform."""
    mixture, vocals = tracks["mixture"], tracks["vocals"]
    what = f"{MINUTES} min of stereo, {len(tracks)} tracks: "
    for scale in SCALES:
        sizes = [packed(reader, scale) for reader in tracks.values()]
        _, seconds = ratio(lambda scale=scale: packed(vocals, scale), lambda: None, min(pairs, 3))  # type: ignore[misc]
        line(f"{what}{scale} spectrograms", f"{sum(sizes) / 1000:.0f} kB   ({seconds:.2f} s a track)")
    differences = sum(packed(reader, "mel", mixture) for reader in tracks.values())
    line(f"{what}each minus the mixture", f"{differences / 1000:.0f} kB")
    value, _ = ratio(lambda: packed(mixture, "cqt"), lambda: peer(mixture), 1)
    line("constant-Q picture / librosa.cqt of the same recording", f"{value:.2f}")


def inside(tracks: dict[str, ArrayReader]) -> None:
    """What the page fetches of the masks and of every second, from a real separation."""
    with tempfile.TemporaryDirectory(prefix="earshot-") as scratch:
        files = {name: written(Path(scratch) / f"{name}.wav", reader) for name, reader in tracks.items()}
        references = {name: files[name] for name in ("vocals", "accompaniment")}
        store = JobStore(Path(scratch) / "jobs")
        job = store.create(
            files["mixture"], Request(MODEL, "song", references=tuple(references)), references=references
        )
        with open_reader(job.input) as mixture:
            stretch = Stretch("full", 0, mixture.length)
            write_stage(
                job, stretch, load(MODEL), mixture, device="cpu", progress=lambda _: None, cancelled=lambda: False
            )
        grid = read_grid(job.folder / "full" / LATENTS)
        records = [latents_record(grid), *(basis_record(grid, 0, source) for source in grid.sources)]
        cells = [activations_cells(grid), *(mask_cells(grid, source) for source in grid.sources)]
        size = sum(map(zipped, (*map(encoded, records), *cells)))
        kept = (job.folder / "full" / LATENTS).stat().st_size
        line(
            f"{MINUTES} min: masks of {len(grid.sources)} sources",
            f"{size / 1000:.0f} kB   ({kept / 1000:.0f} kB kept)",
        )
        started = time.perf_counter()
        record = measure_stage(job.folder / "full", oracle="oracle:irm2")
        seconds = time.perf_counter() - started
        line(
            f"{MINUTES} min: every second, beside mixture and oracle",
            f"{zipped(encoded(record)) / 1000:.0f} kB   ({seconds:.0f} s)",
        )


def written(path: Path, reader: ArrayReader) -> Path:
    with Writer(path, reader.sample_rate, reader.channels, bit_depth="32f") as writer:
        writer.write(reader.read(0, reader.length))
    return path


def encoded(record: object) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()


def zipped(data: bytes) -> int:
    return len(gzip.compress(data, 6))


def packed(reader: ArrayReader, scale: Scale, minus: ArrayReader | None = None) -> int:
    """Bytes of a picture as it is sent."""
    return zipped(spectrogram_levels(reader, 0, reader.length, *LANE, scale=scale, minus=minus).tobytes())


def peer(reader: ArrayReader) -> None:
    """librosa's transform of the whole recording, at the hop nearest to a column that it can do."""
    import librosa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = reader.read(0, reader.length)
        librosa.cqt(samples, sr=RATE, hop_length=8192, n_bins=109, tuning=0)


def song() -> dict[str, ArrayReader]:
    """Mixture, stems and a faint residual."""
    vocals, accompaniment = (long(EXAMPLE / f"{name}.flac") for name in ("vocals", "accompaniment"))
    residual = (1e-4 * np.random.default_rng(0).standard_normal(vocals.shape)).astype(np.float32)
    found = {"mixture": vocals + accompaniment + residual, "vocals": vocals, "accompaniment": accompaniment}
    return {name: ArrayReader(Signal(samples, RATE)) for name, samples in (found | {"residual": residual}).items()}


def long(path: Path) -> Samples:
    """A stereo recording made as long as the song."""
    with open_reader(path) as reader:
        samples = reader.read(0, reader.length)
    parts: list[Samples] = []
    while sum(part.shape[1] for part in parts) < MINUTES * 60 * RATE:
        at = np.arange(0, samples.shape[1] - 1, 0.8 + 0.031 * len(parts))
        parts.append(np.stack([np.interp(at, np.arange(samples.shape[1]), one) for one in samples]).astype(np.float32))
    whole = np.concatenate(parts, axis=1)[:, : MINUTES * 60 * RATE]
    return whole if len(whole) == 2 else np.repeat(whole, 2, axis=0)
