"""The routes of the view of blocks, and the numbers behind them: closed forms, the order of rows, bytes, and refusals."""

import gzip
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from player_jobs import done_job
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation.engine.blocks import BlockGrid, save_blocks
from separation.engine.jobs import Job, JobStore
from separation.engine.stages import BLOCKS, MEMORY
from separation.errors import ModelError
from separation.ui.block_routes import block_routes
from separation.ui.frame import Services
from separation.visualisation.blocks import CELLS, block_cells, blocks_record, telling

SOURCES, SIZE, COLUMNS, LOOKS = 2, 3, 20, 4


def grid(**changes: Any) -> BlockGrid:
    """Dimension 2 tells the two sources apart most, then 0; their blocks correlate 0.5 in dimension 1."""
    random = np.random.default_rng(0)
    covariance = np.diag([1.0, 4.0, 1.0, 1.0, 4.0, 1.0])
    covariance[1, 4] = covariance[4, 1] = 2.0
    mean = np.zeros((LOOKS, SOURCES, SIZE))
    mean[:, 0] = [1.0, 0.0, 2.0]
    made = BlockGrid(
        sources=("one", "two"),
        duration=2.0,
        kept=True,
        dependence=0.14,
        means=random.uniform(-2, 2, (SOURCES, SIZE, COLUMNS)).astype(np.float32),
        active=np.array([[1.0] * COLUMNS, [0.0] * COLUMNS], np.float32),
        covariance=covariance.astype(np.float32),
        times=np.linspace(0.5, 2, LOOKS, dtype=np.float32),
        memory_mean=mean.astype(np.float32),
        memory_variance=np.full((LOOKS, SOURCES, SIZE), 0.25, np.float32),
        memory_seconds=np.cumsum(np.full((LOOKS, SOURCES), 0.4), 0).astype(np.float32),
    )
    return replace(made, **changes)


def test_rows_come_in_the_order_that_tells_the_sources_apart() -> None:
    assert telling(grid()).tolist() == [2, 0, 1]
    cells = np.frombuffer(block_cells(grid(), "memory-mean"), np.uint8).reshape(SOURCES, SIZE, LOOKS)
    assert cells[0, :, 0].tolist() == [255, 192, 128]
    assert (cells[1] == 128).all()


def test_silence_is_dark_and_the_rest_is_signed() -> None:
    made = grid()
    cells = np.frombuffer(block_cells(made, "means"), np.uint8).reshape(SOURCES, SIZE, COLUMNS).astype(float)
    assert (cells[1] == 128).all()
    top = blocks_record(made)["top"]
    shown = np.clip(made.means[0][[2, 0, 1]], -top, top)
    np.testing.assert_allclose((cells[0] - 128) / 127 * top, shown, atol=0.02)
    assert np.frombuffer(block_cells(made, "active"), np.uint8).reshape(SOURCES, COLUMNS)[:, 0].tolist() == [255, 0]


def test_the_correlation_is_in_the_order_of_the_rows() -> None:
    cells = np.frombuffer(block_cells(grid(), "correlation"), np.uint8).reshape(6, 6)
    assert (np.diagonal(cells) == 255).all()
    assert cells[2, 5] == cells[5, 2] == round(128 + 127 * 0.5)  # dimension 1 is the last row of its block
    assert (cells == 128).sum() == 36 - 6 - 2


def test_the_record_has_the_closed_forms() -> None:
    record = blocks_record(grid())
    assert (record["sources"], record["dimensions"], record["columns"]) == (["one", "two"], SIZE, COLUMNS)
    assert record["between"] == pytest.approx((2 * 0.25 / 18) ** 0.5, abs=1e-3)
    assert record["within"] == 0
    assert record["apart"] == pytest.approx([0.5 * 5 / 0.25] * LOOKS), "equal spreads: half the squared distance"
    assert record["spread_top"] == pytest.approx(0.5)
    assert len(record["seconds"]) == SOURCES and record["seconds"][0][-1] == pytest.approx(1.6)


def test_there_is_no_other_picture() -> None:
    with pytest.raises(ModelError, match="Choose from means, active"):
        block_cells(grid(), "weights")


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


@pytest.fixture
def job(store: JobStore, tmp_path: Path) -> Job:
    job = done_job(store, tmp_path, 2, blocks=True)
    save_blocks(job.folder / "full" / BLOCKS, grid())
    (job.folder / "full" / MEMORY).write_bytes(b"what is remembered")
    return job


@pytest.fixture
def client(store: JobStore) -> TestClient:
    services = cast(Services, SimpleNamespace(store=store))
    return TestClient(Starlette(routes=block_routes(services)), headers={"accept-encoding": "gzip"})


def blocks(job: Job, stage: str = "full") -> str:
    return f"/earshot/jobs/{job.id}/{stage}/blocks"


def is_error(response: Any, status: int) -> bool:
    return response.status_code == status and set(response.json()) == {"asked", "found", "advice"}


def test_a_page_gets_what_it_draws(client: TestClient, job: Job) -> None:
    response = client.get(blocks(job))
    assert response.status_code == 200 and response.headers["cache-control"] == "private, no-store"
    record = response.json()
    assert record["order"] == [2, 0, 1]
    assert {name: len(colours) for name, colours in record["colours"].items()} == {"signed": 18, "plain": 18}
    sizes = {name: len(client.get(f"{blocks(job)}/{name}.cells").content) for name in CELLS}
    assert sizes == {
        "means": SOURCES * SIZE * COLUMNS, "active": SOURCES * COLUMNS, "memory-mean": SOURCES * SIZE * LOOKS,
        "memory-spread": SOURCES * SIZE * LOOKS, "correlation": (SOURCES * SIZE) ** 2,
    }  # fmt: skip
    assert client.get(f"{blocks(job)}/means.cells").headers["content-encoding"] == "gzip"


def test_what_is_remembered_can_be_saved(client: TestClient, job: Job) -> None:
    response = client.get(f"{blocks(job)}/memory")
    assert response.content == b"what is remembered"
    assert "memory.safetensors" in response.headers["content-disposition"]
    (job.folder / "full" / MEMORY).unlink()
    assert is_error(client.get(f"{blocks(job)}/memory"), 404)


def test_what_is_not_there_is_said_so(client: TestClient, job: Job) -> None:
    assert is_error(client.get(f"{blocks(job)}/weights.cells"), 404)
    assert is_error(client.get(blocks(job, "preview")), 404)
    assert is_error(client.get(f"/earshot/jobs/{'A' * 22}/full/blocks"), 404)
    (job.folder / "full" / BLOCKS).unlink()
    response = client.get(blocks(job))
    assert is_error(response, 404) and "such as disentangled" in response.json()["advice"]


def test_a_stage_that_is_made_again_is_read_again(client: TestClient, job: Job) -> None:
    assert client.get(blocks(job)).json()["kept"] is True
    save_blocks(job.folder / "full" / BLOCKS, grid(kept=False, duration=3.0))
    assert client.get(blocks(job)).json()["kept"] is False
    (job.folder / "full" / BLOCKS).write_bytes(gzip.compress(b"nothing"))
    assert is_error(client.get(blocks(job)), 422)
