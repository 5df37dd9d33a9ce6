"""Blocks pooled chunk by chunk, the file that a stage keeps of them, and the memory that another run goes on with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import MaskedSTFT, Remembering, Track
from torch import Tensor

from separation.audio import ArrayReader
from separation.engine import ChunkView, Options, run
from separation.engine.blocks import LOOKS, BlockGrid, BlockPool, read_blocks, save_blocks
from separation.engine.edits import GUIDE, Edit, Edited
from separation.engine.jobs import JobStore, Request
from separation.engine.memory import Carried, read_memory, write_memory
from separation.engine.stages import BLOCKS, MEMORY, Stretch, write_stage
from separation.errors import JobError, ModelError
from separation.models import InsideSeparator, build
from separation.signals import Signal
from tests.contract import SMALL

RATE = 8000
SHORT: dict[str, Any] = {**SMALL["disentangled"]["memory"], "segment": 2.0, "context": 0.25}


def model(**more: Any) -> Any:
    torch.manual_seed(0)
    return build("disentangled", {**SHORT, **more}).eval()


def noise(seconds: float, seed: int = 0, channels: int = 1) -> Signal:
    samples = np.random.default_rng(seed).normal(0, 0.1, (channels, round(seconds * RATE))).astype(np.float32)
    return Signal(samples, RATE)


class Watched(BlockPool):
    """Also keeps every chunk as it came."""

    def __init__(self, separator: InsideSeparator, length: int) -> None:
        super().__init__(separator, length)
        self.views: list[ChunkView] = []

    def chunk(self, view: ChunkView) -> None:
        self.views.append(view)
        super().chunk(view)


def pooled(separator: Any, signal: Signal, carried: Carried | None = None) -> tuple[BlockGrid, Watched]:
    pool = Watched(separator, signal.length)
    sinks = {name: Track() for name in separator.spec.sources}
    run(separator, ArrayReader(signal), sinks, options=Options(device="cpu"), observers=(pool,), carried=carried)
    grid = pool.grid()
    assert grid is not None
    return grid, pool


def test_a_chunk_shows_its_blocks_in_the_order_of_the_tracks() -> None:
    separator = model(memory=False)
    _, pool = pooled(separator, noise(5))
    assert len(pool.views) > 2
    for view in pool.views:
        assert view.masks is not None and view.latent is not None
        again = separator.masks_of(view.seen["mean"][None])[0]
        torch.testing.assert_close(again, view.masks, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("channels", [1, 2])
def test_the_grid_is_the_mean_of_the_frames_and_their_covariance(channels: int) -> None:
    separator = model(segment=30.0)  # one chunk: nothing is left out or seen twice
    signal = noise(3, channels=channels)
    grid, pool = pooled(separator, signal)
    (view,) = pool.views
    first = -view.start // 8
    mean = view.seen["mean"].numpy()[..., first : first + 3 * RATE // 8]
    assert grid.means.shape == (2, 6, 1000) and grid.dimensions == 6 and grid.columns == 1000
    np.testing.assert_allclose(grid.means, mean.reshape(2, 6, 1000, 3).mean(-1), atol=1e-5)
    flat = mean.reshape(12, -1)
    np.testing.assert_allclose(grid.covariance, np.cov(flat, bias=True), atol=1e-5)
    assert grid.duration == 3.0 and grid.kept
    assert grid.active.min() >= 0 and grid.active.max() <= 1
    np.testing.assert_allclose(grid.active.sum(0), 1, atol=0.01)


def test_what_is_remembered_grows_with_what_was_heard() -> None:
    grid, _ = pooled(model(), noise(6))
    assert len(grid.times) == len(grid.memory_mean) > 2
    assert (np.diff(grid.times) > 0).all() and grid.times[-1] == pytest.approx(6.0)
    assert (np.diff(grid.memory_seconds, axis=0) > 0).all()
    assert grid.memory_mean.shape == grid.memory_variance.shape == (len(grid.times), 2, 6)
    alone, _ = pooled(model(memory=False), noise(6))
    assert not alone.kept
    assert alone.memory_seconds.max() < 2.5, "each chunk's own"


def test_of_a_long_recording_some_looks_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("separation.engine.blocks.LOOKS", 3)
    grid, pool = pooled(model(), noise(12))
    assert len(pool.views) > 6 and len(grid.times) <= 3
    assert LOOKS > 3


def test_models_without_blocks_leave_none() -> None:
    separator = MaskedSTFT()
    pool = BlockPool(separator, 8000)  # type: ignore[arg-type]
    run(separator, ArrayReader(noise(1)), {"one": Track()}, observers=(pool,))
    assert pool.grid() is None


def test_the_file_gives_back_what_was_kept_and_says_what_is_wrong(tmp_path: Path) -> None:
    grid, _ = pooled(model(), noise(3))
    path = tmp_path / "blocks.npz"
    save_blocks(path, grid)
    again = read_blocks(path)
    assert (again.sources, again.duration, again.kept) == (grid.sources, grid.duration, grid.kept)
    assert again.dependence == pytest.approx(grid.dependence)
    np.testing.assert_allclose(again.means, grid.means, atol=0.01)
    np.testing.assert_array_equal(again.covariance, grid.covariance)
    assert [entry.name for entry in tmp_path.iterdir()] == ["blocks.npz"]
    with pytest.raises(JobError, match="this model has no blocks"):
        read_blocks(tmp_path / "other.npz")
    path.write_bytes(b"nothing")
    with pytest.raises(JobError, match="the file is damaged"):
        read_blocks(path)


def state_of(carried: Carried) -> dict[str, Tensor]:
    assert isinstance(carried.state, dict)
    return carried.state


def test_a_run_goes_on_with_what_another_ended_with(tmp_path: Path) -> None:
    separator, carried = model(), Carried()
    pooled(separator, noise(3), carried)
    seconds = float(state_of(carried)["seconds"].sum())
    assert seconds > 2
    path = tmp_path / "voices.safetensors"
    write_memory(path, separator, carried.state)
    assert path.stat().st_size < 4000
    grid, _ = pooled(separator, noise(3, seed=1), read_memory(path, model()))
    assert grid.memory_seconds[0].sum() > seconds
    fresh, _ = pooled(separator, noise(3, seed=1))
    assert fresh.memory_seconds[0].sum() < seconds


def test_a_memory_of_other_weights_is_refused(tmp_path: Path) -> None:
    separator, carried = model(), Carried()
    pooled(separator, noise(2), carried)
    path = tmp_path / "voices.safetensors"
    write_memory(path, separator, carried.state)
    other = model()
    with torch.no_grad():
        other.encoder.weight += 0.1
    with pytest.raises(ModelError, match="that of another model than Disentangled, or of other weights"):
        read_memory(path, other)
    (tmp_path / "text.safetensors").write_text("not a memory")
    with pytest.raises(ModelError, match="it cannot be read"):
        read_memory(tmp_path / "text.safetensors", separator)
    with pytest.raises(ModelError, match="it cannot be read"):
        read_memory(tmp_path / "missing.safetensors", separator)


@pytest.mark.parametrize("state", [None, {}, {"level": 1.0}, [torch.ones(2)]], ids=str)
def test_only_what_has_a_memory_leaves_one(tmp_path: Path, state: Any) -> None:
    with pytest.raises(ModelError, match="none that passes from chunk to chunk"):
        write_memory(tmp_path / "voices.safetensors", model(), state)
    assert not list(tmp_path.iterdir())


def test_any_state_is_carried() -> None:
    separator, carried = Remembering(), Carried()
    run(separator, ArrayReader(noise(3)), {"all": Track()}, carried=carried)
    chunks = float(carried.state["seen"])
    run(separator, ArrayReader(noise(3)), {"all": Track()}, carried=carried)
    assert float(carried.state["seen"]) == 2 * chunks > 2


def stage(tmp_path: Path, separator: Any) -> tuple[Path, dict[str, Any]]:
    job = JobStore(tmp_path / "jobs").create(written(tmp_path), Request(model="tiny", name="talk"))
    stretch = Stretch("full", 0, 3 * RATE)
    write_stage(
        job, stretch, separator, ArrayReader(noise(3)), device="cpu", progress=lambda p: None, cancelled=lambda: False
    )
    folder = job.folder / "full"
    return folder, json.loads((folder / "stage.json").read_text())


def written(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    path.write_bytes(b"only its name matters here")
    return path


def test_a_stage_keeps_blocks_and_memory_where_there_are_any(tmp_path: Path) -> None:
    folder, described = stage(tmp_path, model())
    assert described["blocks"] is True
    assert read_blocks(folder / BLOCKS).sources == ("speaker 1", "speaker 2")
    assert float(state_of(read_memory(folder / MEMORY, model()))["seconds"].min()) > 0
    folder, described = stage(tmp_path, model(memory=False))
    assert described["blocks"] is True and not (folder / MEMORY).exists()
    folder, described = stage(tmp_path, MaskedSTFT())
    assert described["blocks"] is False and not (folder / BLOCKS).exists()


def test_masks_of_a_model_with_a_memory_can_be_edited_where_tracks_tell_the_order() -> None:
    separator = model()
    with pytest.raises(ModelError, match="it passes a state from chunk to chunk"):
        Edited(separator, Edit(threshold_db=6.0))
    edited = Edited(separator, Edit(threshold_db=6.0), guided=True)
    assert not edited.spec.stateful and not edited.spec.permutation_invariant
    mixture = torch.from_numpy(noise(1).samples[None])
    with torch.no_grad():
        estimates = separator.separate(mixture)[0]
        told, state = edited.separate(mixture, {GUIDE: estimates.flip(1)})
    assert state is None
    one, other = told.flatten(2), estimates.flip(1).flatten(2)
    likeness = torch.corrcoef(torch.cat([one[0], other[0]]))[:2, 2:]
    assert float(likeness.diagonal().min()) > 0.9
