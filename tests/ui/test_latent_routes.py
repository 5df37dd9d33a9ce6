"""The routes of the view of masks: what a page draws from, what a hostile client does not get, and how little it is."""

import gzip
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from player_jobs import done_job
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation.engine.jobs import Job, JobStore
from separation.engine.latents import CELLS, LatentGrid, read_grid, save_grid
from separation.engine.stages import LATENTS
from separation.ui.frame import Services
from separation.ui.latent_routes import MAX_HEIGHT, MAX_WIDTH, latent_routes

RATE, SECONDS, ROWS, COLUMNS, BASIS = 16000, 6, 20, 40, 60


def grid(seed: int = 0, **changes: Any) -> LatentGrid:
    """Random masks of two sources on a learned basis of 60."""
    random = np.random.default_rng(seed)
    first = random.integers(0, 256, (ROWS, COLUMNS), np.uint8)
    made = LatentGrid(
        sources=("vocals", "accompaniment"),
        sample_rate=RATE,
        length=SECONDS * RATE,
        bins=False,
        centroid_hz=random.permutation(np.linspace(100, 7000, BASIS)).astype(np.float32),
        order=np.zeros(0, np.int64),
        masks=np.stack([first, 255 - first]),
        plain=np.zeros((2, ROWS, 5), np.uint8),
        mask_top=1.0,
        activations=random.integers(0, 256, (ROWS, COLUMNS), np.uint8),
        activation_top_db=3.0,
        entropy=np.full(COLUMNS, np.nan, np.float32),
        histogram=np.full((2, 64), 1 / 64, np.float32),
        histogram_top=1.0,
        encoder=random.standard_normal((BASIS, 32)).astype(np.float32),
        decoder=random.standard_normal((1, BASIS, 32)).astype(np.float32),
    )
    return replace(made, order=np.argsort(made.centroid_hz), **changes)


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


@pytest.fixture
def job(store: JobStore, tmp_path: Path) -> Job:
    job = done_job(store, tmp_path, SECONDS, latents=True)
    save_grid(job.folder / "full" / LATENTS, grid())
    return job


@pytest.fixture
def client(store: JobStore) -> TestClient:
    services = cast(Services, SimpleNamespace(store=store))
    return TestClient(Starlette(routes=latent_routes(services)), headers={"accept-encoding": "gzip"})


def latents(job: Job, stage: str = "full") -> str:
    return f"/earshot/jobs/{job.id}/{stage}/latents"


def is_error(response: Any, status: int) -> bool:
    return response.status_code == status and set(response.json()) == {"asked", "found", "advice"}


def test_the_record_says_what_to_draw(client: TestClient, job: Job) -> None:
    response = client.get(latents(job))
    record = response.json()
    assert record["sources"] == ["vocals", "accompaniment"] and not record["bins"] and record["shares"]
    assert (record["rows"], record["columns"], record["duration"]) == (ROWS, COLUMNS, SECONDS)
    assert record["hz"] == sorted(record["hz"]) and sorted(record["order"]) == list(range(BASIS))
    assert record["edges"][0] == 0 and record["edges"][-1] == BASIS and len(record["colours"]) == 18
    assert record["entropy"]["mean"] is None and record["entropy"]["entropy"] == [None] * COLUMNS
    assert response.headers["cache-control"] == "private, no-store"
    assert response.headers["content-encoding"] == "gzip" and response.headers["vary"] == "Accept-Encoding"


def test_cells_are_the_grids_own(client: TestClient, job: Job) -> None:
    kept = grid()
    for path, expected in {
        "masks/vocals.cells": kept.masks[0],
        "masks/accompaniment.cells": kept.masks[1],
        "masks/accompaniment.cells?weighting=share": kept.masks[1],
    }.items():
        response = client.get(f"{latents(job)}/{path}")
        np.testing.assert_array_equal(np.frombuffer(response.content, np.uint8), expected.ravel())
    activations = np.frombuffer(client.get(f"{latents(job)}/activations.cells").content, np.uint8)
    assert activations.size == ROWS * COLUMNS and activations[kept.activations.argmax()] == 255
    plain = client.get(f"{latents(job)}/activations.cells", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.content == activations.tobytes()


def test_pictures_have_the_size_that_was_asked_for_within_bounds(client: TestClient, job: Job) -> None:
    for path in ("masks/vocals.png", "activations.png"):
        for query, size in {
            "offset=1&duration=2.5&width=30&height=10": (30, 10),
            "width=999999&height=999999&offset=-5&duration=1e9": (MAX_WIDTH, MAX_HEIGHT),
            "width=0&height=-3&duration=0": (1, 1),
            "": (1024, 256),
        }.items():
            response = client.get(f"{latents(job)}/{path}?{query}")
            assert response.headers["content-type"] == "image/png"
            assert Image.open(io.BytesIO(response.content)).size == size


def test_a_basis_function_by_its_index(client: TestClient, job: Job) -> None:
    kept = grid()
    index = int(kept.order[7])
    record = client.get(f"{latents(job)}/basis/{index}?source=accompaniment").json()
    assert (record["index"], record["place"], record["of"]) == (index, 7, BASIS)
    np.testing.assert_allclose(record["encoder"]["waveform"], kept.encoder[index], atol=2e-3)
    assert len(record["decoder"]["db"]) == len(record["decoder"]["hz"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("masks/drums.cells", 404),
        ("masks/residual.png", 404),
        ("masks/..%2f..%2frequest.cells", 404),
        ("masks/vocals.cells?weighting=loud", 400),
        ("masks/vocals.png?duration=nan", 400),
        ("activations.png?width=1e999", 400),
        ("activations.png?width=many", 400),
        ("basis/60", 404),
        ("basis/-1", 404),
        ("basis/1e3", 404),
        ("basis/²", 404),
        ("basis/" + "9" * 5000, 404),
        ("basis/3?source=drums", 404),
    ],
)
def test_hostile_questions_are_refused_in_three_parts(client: TestClient, job: Job, path: str, status: int) -> None:
    response = client.get(f"{latents(job)}/{path}")
    assert response.status_code == status and str(job.folder) not in response.text
    if "%2f" not in path:
        assert is_error(response, status)


@pytest.mark.parametrize("stage", ["preview", "input", "..", "Full"])
def test_only_complete_stages_are_looked_into(client: TestClient, job: Job, stage: str) -> None:
    assert client.get(latents(job, stage)).status_code == 404


def test_without_masks_it_says_so_and_names_other_models(client: TestClient, store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path, 1)
    response = client.get(latents(job))
    assert is_error(response, 404) and "vocals or speakers" in response.json()["advice"]


def test_damaged_and_deleted_files_do_not_stay_in_memory(client: TestClient, job: Job) -> None:
    path = job.folder / "full" / LATENTS
    assert client.get(latents(job)).json()["mask_top"] == 1
    save_grid(path, grid(1, mask_top=3.0))
    assert client.get(latents(job)).json()["mask_top"] == 3, "made again"
    path.write_bytes(b"PK\x03\x04")
    assert is_error(client.get(latents(job)), 422)
    shutil.rmtree(job.folder)
    assert is_error(client.get(f"{latents(job)}/masks/vocals.cells"), 404)


def test_the_worst_grid_of_any_length_is_less_than_a_megabyte(client: TestClient, job: Job) -> None:
    random, sources, rows = np.random.default_rng(0), ("a", "b", "c", "d"), 256
    columns = CELLS // (rows * (len(sources) + 1))
    worst = replace(
        grid(),
        sources=sources,
        masks=random.integers(0, 256, (len(sources), rows, columns), np.uint8),
        plain=np.zeros((len(sources), rows, 1), np.uint8),
        activations=random.integers(0, 256, (rows, columns), np.uint8),
        centroid_hz=np.linspace(0, 8000, 2049, dtype=np.float32),
        order=random.permutation(2049),
        entropy=random.random(columns).astype(np.float32),
        histogram=random.random((len(sources), 64)).astype(np.float32),
        length=300 * RATE,
    )
    save_grid(job.folder / "full" / LATENTS, worst)
    paths = ["", "/activations.cells", *(f"/masks/{source}.cells" for source in sources)]
    responses = [client.get(latents(job) + path) for path in paths]
    assert sum(int(response.headers["content-length"]) for response in responses) < 1_000_000
    assert len(responses[1].content) == rows * columns and json.loads(responses[0].content)["duration"] == 300
    assert len(gzip.compress(responses[2].content)) > 100_000, "the worst there is: it cannot be compressed"
    assert read_grid(job.folder / "full" / LATENTS).sources == sources
