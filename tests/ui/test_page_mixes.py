"""Mixtures of stems on the Separate page, without a browser: chosen, separated at their levels, gone when they should be."""

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from page_services import RATE, Services, noise, services

from separation.audio import open_reader
from separation.engine.mixes import Mix
from separation.errors import UnknownJob
from separation.ui.separate import SeparatePage


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Services]:
    made = services(tmp_path)
    yield made
    made.workers.stop()
    end = time.monotonic() + 30
    while made.store.mixes._rendering:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def page(given: Services) -> SeparatePage:
    return SeparatePage(given)


def mixture(given: Services, *seconds: float) -> Mix:
    """A mixture of stems "part 0", "part 1", …, as the routes make it."""
    mixes = given.store.mixes
    mix = mixes.begin()
    for number, each in enumerate(seconds):
        upload = noise(mix.draft.folder / f"{secrets.token_hex(4)}.wav", each)
        mix = mixes.add(mix.draft.id, upload, f"part {number}.wav")
    return mix


def said(mix: Mix, **changes: Any) -> str:
    """What the mixer says; `changes` are of the first stem."""
    stems = [{"id": s.id, "name": s.name, "level_db": s.level_db, "muted": s.muted} for s in mix.stems]
    return json.dumps({"mix": mix.draft.id, "stems": [{**stems[0], **changes}, *stems[1:]]})


def test_a_mixture_becomes_the_chosen_one(page: SeparatePage, given: Services, tmp_path: Path) -> None:
    upload = noise(tmp_path / "a.wav", 1.0)
    before = page.take_file(None, str(upload))[0]
    mix = mixture(given, 2.0, 3.0)
    chosen, example, summary, shown, file, microphone = page.take_mix(before, said(mix))
    assert (chosen.name, chosen.draft, chosen.mixed, example) == ("part 0 + part 1", mix.draft.id, True, "")
    assert "0:03 · 16 kHz · mono" in summary and "Mixed from 2 stems" in summary
    assert json.loads(shown) == {"draft": mix.draft.id, "duration": 3.0} and file is microphone is None
    assert not upload.exists(), "what was chosen before goes"
    assert page.forget(chosen)[0] is chosen, "taking a file out of its field does not touch it"
    again = page.take_mix(chosen, said(mix))[0]
    assert again.draft == mix.draft.id and again.path.exists(), "its own draft stays"
    took = page.take_example(again, gr.EventData(None, {"id": "swell"}))
    assert took[6] == "", "the mixer is cleared"
    with pytest.raises(UnknownJob):
        given.store.mixes.get(mix.draft.id)


def test_it_is_separated_as_the_mixer_says_at_this_moment(page: SeparatePage, given: Services) -> None:
    mix = mixture(given, 2.0, 2.0, 2.0)
    chosen = page.take_mix(None, said(mix))[0]
    wanted = json.loads(said(mix, level_db=-6.0, name="voice"))
    wanted["stems"][2]["muted"] = True
    job = given.store.get(page.start(chosen, "vocals", ["vocals"], None, "full", True, "cpu", json.dumps(wanted)))
    assert job.request.references == ("voice", "part 1") and job.request.name == "voice + part 1"
    with open_reader(mix.path(mix.stems[0])) as stem, open_reader(job.input) as mixed:
        one = stem.read(0, stem.length)
        np.testing.assert_allclose(mixed.read(0, mixed.length), one * (10 ** (-6 / 20) + 1), atol=1e-6)
    with open_reader(job.references["voice"]) as reference:
        np.testing.assert_allclose(reference.read(0, 2 * RATE), one * 10 ** (-6 / 20), atol=1e-6)
    given.workers.start()
    end = time.monotonic() + 60
    while not job.state().finished:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert list(job.tracks("full")) == ["mixture", "vocals", "residual", "reference-voice", "reference-part 1"]
    job.delete()
    with pytest.raises(UnknownJob):
        given.store.mixes.get(mix.draft.id)


def test_an_ideal_mask_is_offered_for_mixtures_only(page: SeparatePage, given: Services) -> None:
    mix = mixture(given, 2.0, 2.0)
    chosen = page.take_mix(None, said(mix))[0]
    offered = page.offer_models(chosen, "vocals")
    assert offered["value"] == "vocals" and offered["choices"][-1][1] == "oracle:irm2"
    about, sources, karaoke = page.tell_model("oracle:irm2", chosen)
    assert "no model can do better" in about and sources["value"] == ["part 0", "part 1"] and not karaoke["visible"]
    job = given.store.get(page.start(chosen, "oracle:irm2", ["part 0", "part 1"], None, "full", True, "cpu", said(mix)))
    assert job.request.model == "oracle:irm2" and job.request.sources is None
    left = page.offer_models(page._from_example(page._examples["swell"]), "oracle:irm2")
    assert left["value"] == "vocals" and len(left["choices"]) == 2
    assert page.offer_models(None, "someone/model")["choices"][-1] == ("someone/model", "someone/model")


def test_what_cannot_be_mixed_is_a_toast(page: SeparatePage, given: Services) -> None:
    mix = mixture(given, 2.0, 2.0)
    chosen = page.take_mix(None, said(mix))[0]
    with pytest.raises(gr.Error, match="Two of them are called part 1"):
        page.start(chosen, "vocals", ["vocals"], None, "full", True, "cpu", said(mix, name="part 1"))
    muted = json.loads(said(mix))
    for stem in muted["stems"]:
        stem["muted"] = True
    with pytest.raises(gr.Error, match="none that is audible"):
        page.start(chosen, "vocals", ["vocals"], None, "full", True, "cpu", json.dumps(muted))
    with pytest.raises(gr.Error, match="cannot be read"):
        page.start(chosen, "vocals", ["vocals"], None, "full", True, "cpu", said(mix, level_db="loud"))
    for nothing in ("", "{}", json.dumps({"mix": "../../etc"})):
        with pytest.raises(gr.Error, match="not here any more"):
            page.take_mix(None, nothing)
    assert given.store.all() == []
