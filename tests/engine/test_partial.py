"""A separator that leaves something out on purpose: nothing makes its estimates add up, and the rest is the residual."""

from pathlib import Path

import numpy as np
from fakes import Splitter

from separation.audio import Writer, open_reader
from separation.engine import Options, separate, separate_file
from separation.engine.jobs import JobStore, Request
from separation.engine.workers import Workers
from separation.signals import Signal

NOISE = 0.1 * np.random.default_rng(0).standard_normal((1, 8000)).astype(np.float32)


def leaving_out() -> Splitter:
    """A quarter and a half of the mixture; a quarter is in no source."""
    return Splitter(0.25, 0.5, partial=True)


def written(path: Path) -> Path:
    with Writer(path, 8000, 1, bit_depth="32f") as writer:
        writer.write(NOISE)
    return path


def read(path: Path) -> np.ndarray:
    with open_reader(path) as reader:
        return reader.read(0, reader.length)


def test_stems_in_memory_are_the_estimates() -> None:
    stems = separate(leaving_out(), Signal(NOISE, 8000))
    assert np.allclose(stems["source1"].samples, 0.5 * NOISE, atol=1e-6)
    whole = separate(Splitter(0.25, 0.5), Signal(NOISE, 8000))
    assert np.allclose(whole["source1"].samples, 0.75 * NOISE, atol=1e-6), "others are made to add up"


def test_the_residual_of_files_has_the_rest_and_the_null_figure_counts_it(tmp_path: Path) -> None:
    made = separate_file(
        leaving_out(),
        written(tmp_path / "mix.wav"),
        tmp_path / "out",
        bit_depth="32f",
        residual=True,
        options=Options(),
    )
    assert np.allclose(read(made.files["residual"]), 0.25 * NOISE, atol=1e-6)
    assert made.null_db is not None and made.null_db < -100


def test_so_does_that_of_a_job(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs")
    workers = Workers(store, lambda name, **_: leaving_out(), devices=("cpu",))
    job = store.create(written(tmp_path / "mix.wav"), Request("quarter", "mix.wav"))
    workers.run(job, "cpu")
    assert job.state().status == "done", job.state()
    assert np.allclose(read(job.tracks("full")["residual"]), 0.25 * NOISE, atol=1e-6)
    stage = job.stage("full")
    assert stage is not None and stage["null_db"] < -100
