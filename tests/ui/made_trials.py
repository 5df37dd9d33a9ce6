"""Made-up ratings of made-up separations: for the tests of the Ratings page, and for trying it.

    PYTHONPATH=.:tests:tests/ui python tests/ui/made_trials.py FOLDER          # FOLDER is then EARSHOT_DATA

In every separation the vocals have the band in them from 3 to 5 s, and most marks of "bleed" lie there, so that the page has
something to find. What is hostile in them (names, comments) is so on purpose.
"""

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from player_jobs import GAIN, RATE, make_job, recording, write_stage

from separation.engine.jobs import Job, JobStore
from separation.ratings import ClipFolder, ClipStore, Store, clip_id, parse_event
from separation.ratings.records import LABELS, SCALES
from separation.settings import Settings
from separation.signals import Signal

BLEED = (3.0, 5.0)
QUALITY = {"vocals": 3.9, "someone/a-long-name-of-a-repository": 3.3, "<script>alert(1)</script>": 2.4}
"""Models, and how good they are."""
COMMENTS = (
    "The voice sounds <b>hollow</b> & distant",
    "<img src=x onerror=\"document.title='hacked'\">",
    "=SUM(A1:A9) of all sibilants is gone",
)
NAME = '"><img src=x onerror="document.title=\'hacked\'">.wav'

Tracks = dict[str, np.ndarray]


def bleeding_job(
    jobs: JobStore, scratch: Path, number: int, seconds: float = 9, *, channels: int = 2
) -> tuple[Job, Tracks]:
    """A finished job with references, whose vocals bleed."""
    job = make_job(jobs, scratch, f"song {number}.wav" if number else NAME)
    tracks = recording(seconds, channels=channels, seed=number)
    voice, band = tracks["vocals"], tracks["accompaniment"]
    noise = np.random.default_rng(number).standard_normal(voice.shape)
    estimate = (0.98 * voice + 0.01 * noise).astype(np.float32)
    first, last = (round(edge * RATE) for edge in BLEED)
    estimate[:, first:last] += 0.5 * band[:, first:last]
    rest = tracks["mixture"] - estimate - tracks["residual"]
    stems = {"mixture": tracks["mixture"], "vocals": estimate, "accompaniment": rest, "residual": tracks["residual"]}
    every = stems | {"reference-vocals": voice, "reference-accompaniment": band}
    write_stage(job, "full", every)
    job.write_state(status="done", stage="write", fraction=1.0, device="cpu", precision="fp32")
    return job, every


def heard_clips(tracks: Tracks) -> dict[str, Signal]:
    """What could be heard, by the role in which a trial names it."""
    roles = {"mixture": "mixture", "stem:vocals": "vocals", "stem:accompaniment": "accompaniment"}
    return {role: Signal((tracks[name] * GAIN).astype(np.float32), RATE) for role, name in roles.items()}


def served(job: Job, tracks: Tracks, model: str = "vocals", *, hidden: bool = False) -> dict[str, Any]:
    """What a trial says was served; the fields of `rating_trials`."""
    length = tracks["mixture"].shape[1]
    return {
        "job": hashlib.sha256(job.id.encode()).hexdigest()[:32], "name": job.request.name, "model": model,
        "weights": "ab" * 32, "origin": model, "revision": None, "stage": "full", "sample_rate": RATE,
        "channels": len(tracks["mixture"]),
        "length": length, "start": 0, "gain": GAIN, "tracks": list(tracks), "stems": ["vocals", "accompaniment"],
        "references": ["vocals", "accompaniment"], "options": {"device": "auto"}, "hidden": hidden,
        "clip": {"start": 0, "length": length}, "version": "0.0.0",
    }  # fmt: skip


def fill(
    store: Store, clips: ClipStore, jobs: list[tuple[Job, Tracks]], count: int, set_clock: Callable[[float], None]
) -> None:
    """`count` trials by a dozen listeners, over the last weeks."""
    rng, now = np.random.default_rng(7), time.time()
    sounds = {job.id: heard_clips(tracks) for job, tracks in jobs}
    for number in range(count):
        job, tracks = jobs[number % len(jobs)]
        model = list(QUALITY)[int(rng.integers(len(QUALITY)))]
        made = now - 86400 * float(rng.exponential(7))
        set_clock(made)
        hidden = bool(rng.random() < 0.7)
        ids = {role: clip_id(signal) for role, signal in sounds[job.id].items()}
        who = f"listener-{int(rng.integers(12)):04}-made-up"
        trial, token = store.serve(who, "rating", served(job, tracks, model, hidden=hidden), ids)
        events = said(rng, number, round(made * 1000), QUALITY[model], hidden)
        store.save(token, [parse_event(each) for each in events])
        if any(each["payload"] == {"kind": "consent", "training": True} for each in events):
            store.keep(trial.id)
            for signal in sounds[job.id].values():
                clips.put(signal)
    set_clock(now)


def said(rng: np.random.Generator, number: int, made: int, quality: float, hidden: bool) -> list[dict[str, Any]]:
    """The events of one listener in one trial; every tenth only listens."""
    heard = {
        "seconds": {"vocals": 12.5, "mixture": 3.0},
        "saw_model": not hidden,
        "saw_metrics": False,
        "saw_views": False,
    }
    payloads: list[dict[str, Any]] = [{"kind": "heard", **heard}]
    if number % 10:
        for stem in ("vocals", "accompaniment"):
            for scale in SCALES:
                if rng.random() < 0.8:
                    value = int(np.clip(round(quality + rng.normal(0, 0.8)), 1, 5))
                    payloads.append({"kind": "answer", "stem": stem, "scale": scale, "value": value})
        for mark in range(int(rng.integers(0, 3))):
            label = LABELS[int(rng.choice(len(LABELS), p=[0.4, 0.2, 0.1, 0.05, 0.05, 0.1, 0.1]))]
            start = float(rng.normal(3.3, 0.2)) if label == "bleed" else float(rng.uniform(0, 6))
            where = {
                "start": start,
                "end": start + float(rng.uniform(0.8, 1.6)),
                "band_hz": [200.0, 900.0] if mark else None,
            }
            what = {
                "mark": f"mark-{number:04}-{mark}",
                "stem": "vocals",
                "label": label,
                "severity": int(rng.integers(1, 4)),
            }
            payloads.append({"kind": "mark", **what, **where})
        if rng.random() < 0.3:
            payloads.append({"kind": "comment", "stem": None, "text": COMMENTS[int(rng.integers(len(COMMENTS)))]})
        if rng.random() < 0.7:
            payloads.append({"kind": "consent", "training": bool(rng.random() < 0.8)})
    return [
        {"id": f"event-{number:04}-{i:03}", "made": made + 1000 * i, "payload": payload}
        for i, payload in enumerate(payloads)
    ]


def main(folder: Path) -> None:
    settings = Settings(data=folder)
    now = [0.0]
    store = Store(settings.database_url, clock=lambda: now[0])
    with tempfile.TemporaryDirectory() as scratch:
        jobs = [bleeding_job(JobStore(settings.jobs), Path(scratch), number, 10 + number) for number in range(8)]
        fill(store, ClipFolder(settings.clips), jobs, 200, lambda seconds: now.__setitem__(0, seconds))
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
