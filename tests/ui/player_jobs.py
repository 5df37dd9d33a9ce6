"""Jobs for the tests of the routes and the player: real folders, written by hand, with sound that can be told apart."""

from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from separation.audio import PeakBuilder
from separation.engine.jobs import Job, JobStore, Request

RATE = 16000
GAIN = 0.8


def recording(seconds: float, *, rate: int = RATE, channels: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    """A mixture and its parts, float32 ``[C, T]``: a voice-like tone that comes and goes, a plucked chord, faint noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    beat = np.exp(-4 * (t % 0.5))
    pan = np.linspace(0.8, 1, channels)[:, None]
    voice = sum(np.sin(2 * np.pi * 220 * k * t + 3 * np.sin(2 * np.pi * 5 * t) / k) / k for k in range(1, 9))
    voice = 0.16 * voice * np.clip(np.sin(2 * np.pi * t / 7), 0, 1) * pan
    chord = sum(np.sin(2 * np.pi * f * t) for f in (110.0, 277.2, 329.6, 1318.5))
    band = 0.12 * chord * beat * pan[::-1]
    residual = 0.002 * rng.standard_normal((channels, len(t)))
    parts = {"vocals": voice, "accompaniment": band, "residual": residual}
    tracks = {"mixture": voice + band + residual, **parts, "reference-vocals": 0.98 * voice}
    return {name: samples.astype(np.float32) for name, samples in tracks.items()}


def write_stage(
    job: Job, stage: str, tracks: dict[str, np.ndarray], *, rate: int = RATE, start: int = 0, **more: Any
) -> None:
    """Put `tracks` into the folder of a stage, as the engine would."""
    folder = job.folder / stage
    folder.mkdir()
    for name, samples in tracks.items():
        sf.write(folder / f"{name}.wav", samples.T, rate, "FLOAT")
        outline = PeakBuilder()
        outline.add(samples)
        outline.save(folder / f"{name}.peaks")
    channels, length = next(iter(tracks.values())).shape
    described = {
        "sample_rate": rate,
        "channels": channels,
        "length": length,
        "start": start,
        "gain": GAIN,
        "tracks": list(tracks),
        "null_db": -141.6,
        "uncertain_boundaries": [],
    }
    job.write_stage(stage, {**described, **more})


def make_job(store: JobStore, scratch: Path, name: str = "song.wav") -> Job:
    """A waiting job whose recording is a second of silence."""
    source = scratch / "recording.wav"
    sf.write(source, np.zeros(RATE), RATE)
    return store.create(source, Request(model="vocals", name=name))


def done_job(store: JobStore, scratch: Path, seconds: float = 6, **more: Any) -> Job:
    """A finished job with all its tracks; put there when it is finished, because workers may run what waits in the store."""
    elsewhere = JobStore(scratch / "elsewhere", keep_hours=store.keep_hours, clock=store.clock)
    job = make_job(elsewhere, scratch)
    write_stage(job, "full", recording(seconds), **more)
    job.write_state(status="done", stage="write", fraction=1.0, device="cpu", precision="float32")
    job.folder.rename(store.folder / job.id)
    return store.get(job.id)
