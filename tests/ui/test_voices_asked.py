"""The Separate page with a model that goes by pitch: how many voices sing, tracks that are brought, and the job it makes."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
import soundfile as sf
from page_services import card, services
from pitched_voices import RATE, CombMask, sung

from separation.audio import probe
from separation.engine.jobs import Job
from separation.engine.pitches import GRID
from separation.transforms import PitchTrack, write_track
from separation.ui.frame import Services
from separation.ui.separate import Chosen, SeparatePage

SECONDS = 2.0


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Services]:
    made = services(tmp_path)
    hub: Any = made.hub
    hub.separators["choir"] = CombMask()
    hub.cards["choir"] = card("choir", "A choir", ("high", "low")).model_copy(update={"architecture": "umss"})
    hub.bundled = lambda: [hub.cards["vocals"], hub.cards["choir"]]
    made.workers.start()
    yield made
    made.workers.stop()


@pytest.fixture
def page(given: Services) -> SeparatePage:
    return SeparatePage(given)


@pytest.fixture
def chosen(given: Services, tmp_path: Path) -> Chosen:
    path = tmp_path / "choir.wav"
    sf.write(path, sung(349.0, SECONDS) + sung(131.0, SECONDS, seed=1), RATE)
    draft = given.store.drafts.create(path, "choir.wav")
    waited(lambda: draft.state().finished)
    return Chosen(draft.input, probe(path), "choir.wav", draft=draft.id)


def csv(folder: Path, name: str, hz: float) -> str:
    at = np.arange(0, SECONDS, GRID)
    return str(write_track(folder / f"{name}.csv", PitchTrack(at, np.full(len(at), hz))))


def made(given: Services, page: SeparatePage, chosen: Chosen, voices: str) -> Job:
    job = given.store.get(page.start(chosen, "choir", ["high"], json.dumps({}), "full", True, "cpu", None, voices))
    waited(lambda: job.state().finished)
    return given.store.get(job.id)


def waited(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it has not come")


def test_it_is_asked_only_where_the_model_goes_by_pitch(page: SeparatePage, chosen: Chosen) -> None:
    assert page.tell_voices("vocals", chosen, "4")[0]["visible"] is False
    everything, voices, _ = page.tell_voices("choir", chosen, "3")
    assert everything["visible"] is True and voices["value"] == "3"
    assert [value for _, value in voices["choices"]] == ["2", "3", "4", "5", "6"]
    assert page.tell_model("vocals")[1]["visible"] is True and page.tell_model("choir")[1]["visible"] is False
    assert page.tell_voices("choir", None, "stems")[1]["value"] == "4"
    assert page.tell_voices("oracle:irm2", chosen, "4")[0]["visible"] is False


def test_as_many_voices_are_found_as_were_asked_for(given: Services, page: SeparatePage, chosen: Chosen) -> None:
    job = made(given, page, chosen, "2")
    assert job.state().error is None
    assert list(job.tracks("full")) == ["mixture", "voice 1", "voice 2", "residual"]
    with pytest.raises(gr.Error, match=r"(?i)how many voices"):
        made(given, page, chosen, "many")
    assert made(given, page, chosen, "3").request.pitches == ("voice 1", "voice 2", "voice 3")


def test_tracks_are_brought_and_used(given: Services, page: SeparatePage, chosen: Chosen, tmp_path: Path) -> None:
    with pytest.raises(gr.Error, match=r"(?i)no recording is chosen"):
        page.take_tracks(None, "choir", [])
    everything, voices, told = page.take_tracks(
        chosen, "choir", [csv(tmp_path, "ana", 349.0), csv(tmp_path, "ben", 131.0)]
    )
    assert voices["value"] == "files" and "ana, ben" in told and everything["visible"]
    job = made(given, page, chosen, "files")
    assert job.state().error is None and job.request.pitches == ("ana", "ben")
    assert job.pitches is not None and job.pitches.source == "file"
    with pytest.raises(gr.Error, match="6 at most"):
        page.take_tracks(chosen, "choir", [csv(tmp_path, f"v{number}", 200.0) for number in range(7)])
    (tmp_path / "bad.csv").write_text("la la la", encoding="utf-8")
    with pytest.raises(gr.Error, match=r"bad\.csv"):
        page.take_tracks(chosen, "choir", [str(tmp_path / "bad.csv")])


def test_true_stems_tell_the_pitch(given: Services, page: SeparatePage, chosen: Chosen, tmp_path: Path) -> None:
    stems = {}
    for name, hz in (("low", 131.0), ("high", 349.0)):
        stems[name] = tmp_path / f"{name}.wav"
        sf.write(stems[name], sung(hz, SECONDS), RATE)
    known = Chosen(chosen.path, chosen.info, chosen.name, references=stems, draft=chosen.draft)
    assert ("As its stems sing", "stems") in page.tell_voices("choir", known, "4")[1]["choices"]
    job = made(given, page, known, "stems")
    assert job.state().error is None and job.request.pitches == ("high", "low")
    assert job.pitches is not None and job.pitches.source == "stem"
    assert "reference-high" in job.tracks("full")


def test_an_ordinary_model_knows_nothing_of_it(given: Services, page: SeparatePage, chosen: Chosen) -> None:
    job = given.store.get(page.start(chosen, "vocals", ["vocals"], None, "full", True, "cpu"))
    assert job.request.voices is None and job.request.pitches == () and job.request.sources == ("vocals",)
