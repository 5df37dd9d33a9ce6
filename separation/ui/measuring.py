"""What stands between the Evaluate page and the rooms below: data for a run, the measuring itself, and a second to hear.

`Measuring` is made once by `server` and used by the page and its routes. It decides what a visitor may name: bundled
models, repositories of the Hub and oracles; the examples, an offer of the owner, or an upload of their own.
"""

import json
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from separation.audio import Reader, export
from separation.datasets import Track, detect, open_mixture, open_stem
from separation.datasets.stems import parts, probe_part
from separation.datasets.tracks import MIXTURE
from separation.engine import Progress
from separation.engine.jobs import Job
from separation.engine.jobs import Request as JobRequest
from separation.errors import DataError, JobError, SeparationError, UnknownJob
from separation.evaluation import PROTOCOLS, Failure, benchmark, failures, leaks, references_of
from separation.hub import Card
from separation.models.oracles import ORACLES
from separation.ui import gpu
from separation.ui.evaluate_data import MOST_UNPACKED, Offer, example_tracks, offers, unpack
from separation.ui.evaluate_views import name_of
from separation.ui.examples import read_examples
from separation.ui.frame import Services
from separation.ui.runs import Run, RunRequest, Runs, write_json
from separation.ui.taught import is_taught

EXAMPLES, UPLOAD = "examples", "upload"
ORACLE = "oracle:"
MOST_MODELS = 12
"""Models in one run."""

PACE = 0.6
"""Seconds of measuring for a second of audio and a model: what is said until this machine has measured something itself."""

TABLES = ("table.parquet", "table.csv")
"""What `benchmark` writes beside its parts."""


class _Call(NamedTuple):
    """One call of `benchmark`; `sources` are those of the bounds."""

    models: Sequence[str]
    tracks: Sequence[Track]
    sources: Sequence[str] | None


class Benchmark(Protocol):
    """`evaluation.benchmark`, handed down."""

    def __call__(
        self,
        models: Sequence[str],
        tracks: Sequence[Track],
        protocol: Any,
        folder: Path,
        *,
        device: str = ...,
        sources: Sequence[str] | None = ...,
        progress: Callable[[Progress], None] | None = ...,
        cancelled: Callable[[], bool] | None = ...,
    ) -> Any: ...


class Measuring:
    """The runs of an installation with everything they need.

    Args:
        services: what the pages work with.
        measure: what fills the table of a run.
    """

    def __init__(self, services: Services, measure: Benchmark = benchmark) -> None:
        self._services = services
        self._benchmark = measure
        self._lock = threading.Lock()
        self._cards = services.bundled()
        settings = services.settings
        self.offers: Mapping[str, Offer] = offers(settings.datasets)
        self.runs = Runs(settings.data / "runs", self._measure, keep_hours=settings.keep_hours)

    # What may be measured

    def models(self) -> list[tuple[str, str]]:
        """Bundled models, then bounds: what people read, and the name."""
        bundled = [(f"{card.title} ({name})", name) for name, card in self._cards.items()]
        return bundled + [(name_of(f"{ORACLE}{name}"), f"{ORACLE}{name}") for name in ORACLES]

    def check_model(self, name: str) -> None:
        """Refuse what no visitor may name: folders of this machine, and oracles that are not there.

        Raises:
            UnknownModel, HubError: there is no such model.
            JobError: there is no such oracle, or a model that was taught here, which may be gone before it is measured.
        """
        if is_taught(name):
            advice = "Download it and measure it with `earshot benchmark --models FOLDER`, or measure another one"
            raise JobError(f"Measure {name}", "it was learned from clips on this page and is kept for a day", advice)
        if not name.startswith(ORACLE):
            self._card(name)
        elif name.removeprefix(ORACLE) not in ORACLES:
            known = ", ".join(f"{ORACLE}{one}" for one in ORACLES)
            raise JobError(f"Measure {name}", "there is no such oracle", f"Choose one of {known}")

    def create(
        self, models: Sequence[str], data: str, protocol: str, *, tracks: int | None = None, upload: Path | None = None
    ) -> Run:
        """Check everything that was asked for, and queue it.

        Raises:
            JobError: nothing or too much is chosen, or a name that the page does not offer.
            DataError: the upload is not what it should be.
        """
        asked = "Measure models"
        if not models:
            raise JobError(asked, "no model is ticked", "Tick at least one")
        if len(models) > MOST_MODELS:
            raise JobError(asked, f"{len(models)} models are ticked", f"Keep to {MOST_MODELS} in one run")
        if protocol not in PROTOCOLS:
            raise JobError(asked, f"there is no protocol {protocol!r}", f"Choose one of {', '.join(PROTOCOLS)}")
        for name in models:
            self.check_model(name)
        if data == UPLOAD and upload is None:
            raise JobError(asked, "no recordings are chosen", "Upload a zip of TRACK/STEM.wav, or choose the examples")
        request = RunRequest(tuple(dict.fromkeys(models)), data, self._title(data, upload), protocol, tracks)

        def fill(folder: Path) -> None:
            if data == UPLOAD and upload is not None:
                unpack(upload, folder, max_bytes=MOST_UNPACKED * self._services.settings.max_upload_mb * 1e6)
                self._check_minutes(detect(folder).read(folder))

        run = self.runs.create(request, fill)
        self.runs.submit(run)
        return run

    def estimate(self, models: int, data: str, protocol: str, tracks: int | None) -> float | None:
        """Seconds that a run will take, roughly; None while that cannot be said.

        Raises:
            DataError: the offered folder is broken.
        """
        if data == UPLOAD:
            return None
        seconds = sum(seconds_of(track) for track in self._read(data, None)[:tracks])
        return seconds * models * self._paces().get(protocol, PACE)

    def track_count(self, data: str) -> int | None:
        """How many tracks there are; None before an upload is there."""
        return None if data == UPLOAD else len(self._read(data, None))

    # What a run finds

    def tracks(self, run: Run) -> list[Track]:
        """The tracks of a run, read again from where they are.

        Raises:
            DataError: they are not there any more, or broken.
        """
        return self._read(run.request.data, run)[: run.request.tracks]

    def described_tracks(self, run: Run) -> list[dict[str, Any]]:
        """Names and seconds of a run's tracks; empty until it has begun."""
        try:
            described: list[dict[str, Any]] = json.loads((run.folder / "tracks.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return []
        return described

    def titles(self, run: Run) -> dict[str, str]:
        """What the cards call the models of a run."""
        return {name: self._cards[name].title for name in run.request.models if name in self._cards}

    def leaks(self, run: Run) -> dict[str, list[str]]:
        """What a model's card says it was trained on that may be in this data, by model; only where there is something."""
        words, tracks = self._described(run), self.tracks(run)
        found = {}
        for name in run.request.models:
            if name.startswith(ORACLE):
                continue
            try:
                found[name] = leaks(self._card(name), words, tracks)
            except SeparationError:  # the Hub is out of reach now, and the numbers are still worth showing
                found[name] = []
        return {name: lines for name, lines in found.items() if lines}

    def delete(self, run: Run) -> None:
        """Remove a run with its data, and the jobs that were made to listen to it."""
        jobs = self._listened(run)
        run.delete()
        for job in jobs.values():
            try:
                self._services.store.delete(job)
            except UnknownJob:  # the player has deleted it, or it has expired
                continue

    # A second to hear

    def listen(self, run: Run, model: str, track: str, second: float) -> str:
        """The id of a job that holds mixture, estimates and references of a track: the one there is, or a new one.

        Raises:
            DataError: the track is not there any more.
            DiskFull: there is no room for its copies.
        """
        with self._lock:
            jobs = self._listened(run)
            key = f"{model}\n{track}"
            if key in jobs and self._good(jobs[key]):
                return jobs[key]
            found = next((one for one in self.tracks(run) if one.name == track), None)
            if found is None:
                raise DataError(
                    f"Listen to {track}", "its recordings are not there any more", "Run the evaluation again"
                )
            job = self._job(run, model, found, second)
            write_json(run.folder / "jobs.json", {**jobs, key: job.id})
        if gpu.zero_gpu():  # there the workers only keep house; the CPU does for a few seconds of listening
            threading.Thread(target=self._services.workers.run, args=(job, "cpu"), daemon=True).start()
        else:
            self._services.workers.submit(job)
        return job.id

    # Below the surface

    def _measure(
        self, run: Run, *, progress: Callable[[int, int, float], None], cancelled: Callable[[], bool]
    ) -> tuple[str, ...]:
        tracks = self.tracks(run)
        described = [{"name": track.name, "duration": seconds_of(track)} for track in tracks]
        write_json(run.folder / "tracks.json", described)
        total, began, before = len(tracks) * len(run.request.models), time.monotonic(), 0
        failed: list[Failure] = []
        for call in self._calls(run, tracks):
            if cancelled():
                break

            def tell(now: Progress, before: int = before) -> None:
                done = before + now.done
                progress(done, total, (time.monotonic() - began) / done * (total - done))

            self._benchmark(
                call.models,
                call.tracks,
                PROTOCOLS[run.request.protocol],
                run.table,
                device="cpu" if gpu.zero_gpu() else self._services.workers.devices[0],
                sources=call.sources,
                progress=tell,
                cancelled=cancelled,
            )
            failed += failures(run.table)
            before += len(call.models) * len(call.tracks)
            for name in TABLES:  # of this call only: the page reads the parts of all
                (run.table / name).unlink(missing_ok=True)
        seconds = run.state().seconds
        audio = sum(map(seconds_of, tracks)) * len(run.request.models)
        if audio and seconds:
            write_json(self.runs.folder / "pace.json", {**self._paces(), run.request.protocol: seconds / audio})
        return tuple(_left_out(failed))

    def _calls(self, run: Run, tracks: Sequence[Track]) -> list[_Call]:
        """The models on all tracks; then the bounds, on each track for the sources of the first model that fits it by name,
        else for the track's own stems. So a bound stands beside every model, whatever it separates."""
        models = [name for name in run.request.models if not name.startswith(ORACLE)]
        bounds = [name for name in run.request.models if name.startswith(ORACLE)]
        calls = [_Call(models, tracks, None)] if models else []
        groups: dict[tuple[str, ...] | None, list[Track]] = {}
        for track in tracks:
            fitting = (self._card(name).sources for name in models if self._fits(name, track))
            groups.setdefault(next(fitting, None), []).append(track)
        return calls + [_Call(bounds, group, sources) for sources, group in groups.items() if bounds]

    def _fits(self, model: str, track: Track) -> bool:
        try:
            readers = references_of(track, self._card(model).sources)
        except DataError:
            return False
        for reader in readers.values():
            reader.close()
        return True

    def _read(self, data: str, run: Run | None) -> list[Track]:
        if data == EXAMPLES:
            return example_tracks(read_examples(self._services.examples))
        folder = run.data if data == UPLOAD and run is not None else self._offer(data).folder
        return list(detect(folder).read(folder))

    def _described(self, run: Run) -> list[str]:
        """What is known of where a run's recordings come from."""
        if run.request.data == EXAMPLES:
            return [credit.source for one in read_examples(self._services.examples) for credit in one.credits]
        folder = run.data if run.request.data == UPLOAD else self._offer(run.request.data).folder
        layout = detect(folder)
        return [run.request.title, layout.title]

    def _offer(self, key: str) -> Offer:
        if key not in self.offers:
            raise JobError("Open the recordings", "the owner offers no such folder", "Choose one that the page shows")
        return self.offers[key]

    def _title(self, data: str, upload: Path | None) -> str:
        if data == EXAMPLES:
            return "The bundled examples"
        return upload.stem if data == UPLOAD and upload is not None else self._offer(data).title

    def _card(self, name: str) -> Card:
        return self._cards[name] if name in self._cards else self._services.card(name)

    def _check_minutes(self, tracks: Sequence[Track]) -> None:
        longest = self._services.settings.max_minutes
        minutes = sum(seconds_of(track) for track in tracks) / 60
        if minutes > longest:
            found = f"they last {minutes:.0f} minutes together; this page takes up to {longest:g}"
            raise DataError(
                "Measure these recordings", found, "Measure fewer at once, or run Earshot on your own machine"
            )

    def _paces(self) -> dict[str, float]:
        try:
            paces: dict[str, float] = json.loads((self.runs.folder / "pace.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return paces

    def _listened(self, run: Run) -> dict[str, str]:
        try:
            jobs: dict[str, str] = json.loads((run.folder / "jobs.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return jobs

    def _good(self, job_id: str) -> bool:
        try:
            return self._services.store.get(job_id).state().status not in ("failed", "cancelled")
        except UnknownJob:
            return False

    def _job(self, run: Run, model: str, track: Track, second: float) -> Job:
        """Copies of what there is to hear, as a job takes them: the mixture rendered if the data has none."""
        with tempfile.TemporaryDirectory(prefix=".", dir=run.folder) as name:
            folder = Path(name)
            references: dict[str, Path] = {}
            for source, reader in self._references(model, track, folder).items():
                references[source] = _rendered(reader, folder / f"{len(references)}.wav")
            mixture = _rendered(open_mixture(track, scratch=folder), folder / "mixture.wav")
            request = JobRequest(model, f"{track.name}, {run.request.title}", preview_at=second)
            return self._services.store.create(mixture, request, references=references, move=True)

    def _references(self, model: str, track: Track, scratch: Path) -> dict[str, Reader]:
        """The true sources under the model's own names where they fit, else under theirs."""
        stems = [name for name in track.stems if name != MIXTURE]
        if not model.startswith(ORACLE):
            card = self._card(model)
            try:
                return references_of(track, card.sources, in_order=card.task == "speakers", scratch=scratch)
            except DataError:
                pass  # a model that this track has no sources for is heard beside what it has
        return {name: open_stem(track, name, scratch=scratch) for name in stems}


def _left_out(failed: Sequence[Failure]) -> list[str]:
    """What could not be measured, a sentence a track and reason."""
    models: dict[tuple[str, str], list[str]] = {}
    for failure in failed:
        models.setdefault((failure.track, failure.found), []).append(name_of(failure.model))
    return [f"{track} is not measured for {', '.join(names)}: {found}." for (track, found), names in models.items()]


def seconds_of(track: Track) -> float:
    """How long a track lasts, by one of its stems.

    Raises:
        AudioError: it cannot be read.
    """
    info = probe_part(parts(next(iter(track.stems.values())))[0])
    return info.length / info.sample_rate


def _rendered(reader: Reader, path: Path) -> Path:
    """A reader as a float file; the reader is closed."""
    try:
        return export(reader, path, format="wav", bit_depth="32f", gain=1.0)
    finally:
        reader.close()
