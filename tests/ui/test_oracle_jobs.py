"""Oracles from the page: only for what has references, and with the sources of those."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from page_services import noise, services

from separation.engine.jobs import Job
from separation.ui.frame import Services
from separation.ui.separate import SeparatePage


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Services]:
    made = services(tmp_path)
    yield made
    made.workers.stop()


@pytest.fixture
def page(given: Services) -> SeparatePage:
    return SeparatePage(given)


def example(page: SeparatePage) -> object:
    return page._from_example(page._examples["swell"])


def run(given: Services, job_id: str) -> Job:
    given.workers.start()
    job = given.store.get(job_id)
    for _ in range(3000):
        if job.state().finished:
            return job
        time.sleep(0.01)
    raise AssertionError(f"the job is stuck: {job.state()}")


def test_an_example_has_its_references_told(page: SeparatePage, given: Services) -> None:
    chosen = example(page)
    job_id = page.start(chosen, "oracle:irm1", ["whatever was ticked"], None, "full", True, "cpu")
    job = run(given, job_id)
    assert job.request.sources is None and job.request.references == ("part",)
    assert job.state().status == "done"
    assert list(job.tracks("full")) == ["mixture", "part", "residual", "reference-part"]
    assert any("told the true sources" in message for message in job.state().messages)


def test_an_upload_has_nobody_to_tell_its_sources(page: SeparatePage, given: Services, tmp_path: Path) -> None:
    upload = noise(tmp_path / "mine.wav", 2.0)
    with pytest.raises(gr.Error) as failure:
        page.separate(str(upload), "oracle:irm2")
    assert "none came along with this recording" in str(failure.value)
    assert given.store.all() == [], "nothing was begun"


def test_an_unknown_oracle_is_named(page: SeparatePage) -> None:
    with pytest.raises(gr.Error, match="oracle:mwf"):
        page.start(example(page), "oracle:best", ["part"], json.dumps({}), "full", True, "cpu")
