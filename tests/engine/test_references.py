"""References beside a recording: aligned, given to oracles chunk by chunk, in memory and in jobs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import Fake, Guided
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from separation.audio import ArrayReader, RegionReader, Writer, open_reader, resample
from separation.engine import Options, reference_side, separate
from separation.engine.chunks import plan, read_beyond
from separation.engine.jobs import Job, JobStore, Request
from separation.engine.references import AlignedReader
from separation.engine.stages import TOLD
from separation.engine.workers import Workers
from separation.errors import ModelError, UnknownModel
from separation.models import ORACLES, Spec, build_oracle
from separation.signals import Signal

RATE = 8000
Samples = NDArray[np.float32]


def true_sources(seconds: float, *, channels: int = 2, rate: int = RATE) -> dict[str, Samples]:
    """A voice on the left that comes and goes, and noise on the right."""
    random = np.random.default_rng(1)
    time = np.arange(round(seconds * rate)) / rate
    voice = np.sin(2 * np.pi * 500 * time) * (np.sin(2 * np.pi * time) > 0) * 0.2
    noise = random.normal(size=len(time)) * 0.05
    images = {"voice": np.stack([voice, 0.3 * voice]), "rain": np.stack([0.3 * noise, noise])}
    return {name: image[:channels].astype(np.float32) for name, image in images.items()}


def readers(sources: dict[str, Samples], rate: int = RATE) -> dict[str, ArrayReader]:
    return {name: ArrayReader(Signal(x, rate), name) for name, x in sources.items()}


def snr(truth: Samples, found: Samples) -> float:
    return float(10 * np.log10(np.square(truth).sum() / np.square(truth - found).sum()))


def spec(*sources: str) -> Spec:
    return Spec(RATE, None, sources, 1.0, 0.1, needs=("references",))


def test_references_are_cut_and_reflected_like_the_mixture() -> None:
    sources = true_sources(1.0)
    mixture = ArrayReader(Signal(sources["voice"] + sources["rain"], RATE))
    side = reference_side(readers(sources), spec("rain", "voice"), mixture=mixture)
    for start, length in ((0, 100), (-500, 1200), (RATE - 300, 2000), (-RATE - 50, 3 * RATE + 100)):
        given = side(start, length)["references"]
        assert given.shape == (2, 2, length) and given.dtype == torch.float32
        # Rounded once in the file and once in the sum.
        np.testing.assert_allclose(given.sum(0), read_beyond(mixture, start, length), atol=1e-7)
        np.testing.assert_array_equal(given[1], read_beyond(readers(sources)["voice"], start, length))


def test_references_follow_the_part_that_is_separated() -> None:
    sources = true_sources(2.0)
    recording = ArrayReader(Signal(sources["voice"] + sources["rain"], RATE))
    part = RegionReader(recording, 5000, 3000)
    side = reference_side(readers(sources), spec("voice", "rain"), mixture=part, start=5000)
    np.testing.assert_allclose(side(-10, 3100)["references"].sum(0), read_beyond(part, -10, 3100), atol=1e-7)


def test_references_of_another_rate_width_and_length_are_brought_to_the_mixtures() -> None:
    wide = true_sources(1.0, rate=16000)
    mixture = ArrayReader(Signal(np.zeros((2, 9000), np.float32), RATE))
    mono = Signal(wide["voice"][:1], 16000)
    aligned = AlignedReader(ArrayReader(mono), mixture)
    assert (aligned.sample_rate, aligned.channels, aligned.length) == (RATE, 2, 9000)
    whole = resample(mono.samples, 16000, RATE)
    for start, length in ((0, 9000), (777, 1500), (8500, 500)):
        block = aligned.read(start, length)
        expected = np.zeros((1, length), np.float32)
        there = whole[:, start : start + length]
        expected[:, : there.shape[1]] = there
        np.testing.assert_allclose(block, np.repeat(expected, 2, axis=0), atol=1e-6)
    narrow = AlignedReader(readers(true_sources(1.0))["rain"], ArrayReader(Signal(np.zeros((1, RATE)), RATE)))
    np.testing.assert_allclose(narrow.read(0, 50), true_sources(1.0)["rain"].mean(0, keepdims=True)[:, :50], atol=1e-7)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ModelError, match=r"true voice, wind: there is no reference for wind; there are voice, rain\."):
        reference_side(readers(true_sources(0.1)), spec("voice", "wind"))
    with pytest.raises(ModelError, match="built for 8000 Hz and the recording has 16000 Hz"):
        reference_side(readers(true_sources(0.1), 16000), spec("voice"))


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("channels", [1, 2])
def test_oracles_run_in_memory_on_any_channels(name: str, channels: int) -> None:
    sources = true_sources(2.0, channels=channels)
    mixture = sources["voice"] + sources["rain"]
    oracle = build_oracle(name, sources=list(sources), sample_rate=RATE)
    side = reference_side(readers(sources), oracle.spec)
    found = separate(oracle, Signal(mixture, RATE), Options(device="cpu", consistency=False), side=side)
    assert list(found) == ["voice", "rain"]
    for source, truth in sources.items():
        assert found[source].samples.shape == mixture.shape
        if name == "mixture":
            np.testing.assert_array_equal(found[source].samples, mixture)
        else:
            assert snr(truth, found[source].samples) > snr(truth, mixture) + 3


def test_without_side_information_an_oracle_is_refused() -> None:
    oracle = build_oracle("irm1", sources=["voice"], sample_rate=RATE)
    with pytest.raises(ModelError, match="it needs references beside the recording"):
        separate(oracle, Signal(np.zeros((1, RATE)), RATE))


def test_side_information_of_other_kinds_passes_too() -> None:
    tone = true_sources(1.0, channels=1)["rain"]
    found = separate(Guided(), Signal(tone, RATE), side=lambda start, length: {"gain": torch.full((length,), 0.5)})
    np.testing.assert_allclose(found["all"].samples, tone * 0.5, atol=1e-7)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from([8000, 44100, 48000]), st.sampled_from([1, 256, 1000, 1024]), st.integers(1, 2_000_000))
def test_chunks_of_an_aligned_model_begin_on_its_grid(rate: int, align: int, length: int) -> None:
    layout = plan(Spec(44100, None, ("all",), 8.0, 0.05, align=align), rate, length, Options())
    for index in range(min(layout.count, 3)):
        start = layout.start(index) * 44100
        assert start % rate == 0 and start // rate % align == 0
    assert layout.count * layout.stride + layout.fade >= length
    assert layout.context >= 0.05 * rate


# In jobs


def write(path: Path, samples: Samples, rate: int = RATE) -> Path:
    with Writer(path, rate, len(samples), bit_depth="32f") as writer:
        writer.write(samples)
    return path


def read(path: Path) -> Samples:
    with open_reader(path) as reader:
        return reader.read(0, reader.length)


def no_models(name: str, *, device: str = "cpu", progress: Any = None) -> Any:
    raise UnknownModel(f"Open the model {name}", "an oracle is never looked up", "Build it")


def run(tmp_path: Path, request: Request, sources: dict[str, Samples], *, tell: bool = True, rate: int = RATE) -> Job:
    """One job from begin to end in this thread."""
    store = JobStore(tmp_path / "jobs")
    recording = write(tmp_path / "song.wav", sum(sources.values()), rate)  # type: ignore[arg-type]
    references = {name: write(tmp_path / f"{name}.wav", x, rate) for name, x in sources.items()} if tell else {}
    job = store.create(recording, request, references=references)
    Workers(store, no_models, devices=("cpu",)).run(job, "cpu")
    return job


def test_a_job_builds_its_oracle_for_its_references_and_rate(tmp_path: Path) -> None:
    sources = true_sources(3.0, rate=22050)
    job = run(tmp_path, Request("oracle:irm2", "song.wav"), sources, rate=22050)
    state = job.state()
    assert (state.status, state.error) == ("done", None)
    assert TOLD in state.messages and state.report is not None and TOLD in state.report["messages"]
    tracks = {name: read(path) for name, path in job.tracks("full").items()}
    assert list(tracks) == ["mixture", "voice", "rain", "residual", "reference-voice", "reference-rain"]
    oracle = build_oracle("irm2", sources=list(sources), sample_rate=22050)
    side = reference_side(readers(sources, 22050), oracle.spec)
    mixture = Signal(tracks["mixture"], 22050)
    expected = separate(oracle, mixture, Options(device="cpu", consistency=False), side=side)
    for name, truth in sources.items():
        np.testing.assert_array_equal(tracks[f"reference-{name}"], truth)
        np.testing.assert_allclose(tracks[name], expected[name].samples, atol=1e-7)
        assert snr(truth, tracks[name]) > 10


def test_an_oracle_is_delivered_raw(tmp_path: Path) -> None:
    sources = true_sources(2.0)
    job = run(tmp_path, Request("oracle:ibm1", "song.wav", options=Options(consistency=True)), sources)
    tracks = {name: read(path) for name, path in job.tracks("full").items()}
    assert np.abs(tracks["residual"]).max() > 1e-3, "binary masks leave bins to nobody, or give them twice"
    np.testing.assert_allclose(tracks["voice"] + tracks["rain"] + tracks["residual"], tracks["mixture"], atol=1e-6)
    stage = job.stage("full")
    assert stage is not None and stage["null_db"] < -120, "the residual is counted in"


def test_an_oracle_follows_a_part_and_its_preview(tmp_path: Path) -> None:
    sources = true_sources(40.0)
    request = Request("oracle:irm2", "song.wav", offset=2.5, duration=32.0, preview_at=20.0, sources=("voice",))
    job = run(tmp_path, request, sources)
    assert job.state().status == "done"
    for stage in ("preview", "full"):
        described = job.stage(stage)
        assert described is not None
        tracks = {name: read(path) for name, path in job.tracks(stage).items()}
        assert list(tracks) == ["mixture", "voice", "residual", "reference-voice", "reference-rain"]
        span = slice(described["start"], described["start"] + described["length"])
        np.testing.assert_array_equal(tracks["reference-voice"], sources["voice"][:, span])
        assert snr(sources["voice"][:, span], tracks["voice"]) > 10


def test_a_job_without_references_says_what_an_oracle_needs(tmp_path: Path) -> None:
    job = run(tmp_path, Request("oracle:mwf", "song.wav"), true_sources(1.0), tell=False)
    state = job.state()
    assert state.status == "failed" and state.error is not None
    assert state.error["asked"] == "Separate song.wav with oracle:mwf"
    assert "told the true sources, and none came along" in state.error["found"]
    assert "with references" in state.error["advice"]


def test_a_job_with_an_oracle_that_does_not_exist_names_those_that_do(tmp_path: Path) -> None:
    state = run(tmp_path, Request("oracle:best", "song.wav"), true_sources(1.0)).state()
    assert state.status == "failed" and state.error is not None
    assert "oracle:irm2" in state.error["advice"]


def test_an_ordinary_model_is_not_told_the_references(tmp_path: Path) -> None:
    told: list[Any] = []

    class Listening(Fake):
        def separate(self, mixture: torch.Tensor, side: Any = {}, state: Any = None) -> Any:
            told.append(dict(side))
            return super().separate(mixture, side, state)

    sources = true_sources(1.0)
    store = JobStore(tmp_path / "jobs")
    recording = write(tmp_path / "song.wav", sources["voice"])
    job = store.create(recording, Request("m", "song.wav"), references={"voice": recording})
    Workers(store, lambda name, **_: Listening(), devices=("cpu",)).run(job, "cpu")
    assert job.state().status == "done" and told and not any(told)
    assert job.state().messages == ()
