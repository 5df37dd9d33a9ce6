"""Recordings before they are separated: read aside, played in place or decoded, gone when they should be."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from separation.audio import Peaks, Writer, open_reader
from separation.engine import drafts as module
from separation.engine.drafts import Draft, Drafts, Reading, link_or_copy
from separation.engine.jobs import JobStore, Request
from separation.errors import UnknownJob

RATE = 8000


@pytest.fixture
def drafts(tmp_path: Path) -> Iterator[Drafts]:
    made = Drafts(tmp_path / "drafts", keep_hours=1)
    yield made
    settle(made)


def settle(drafts: Drafts) -> None:
    """Wait for every thread that reads."""
    end = time.monotonic() + 30
    while drafts._reading:
        assert time.monotonic() < end
        time.sleep(0.01)


def tone(path: Path, seconds: float = 2.0, *, peak: float = 0.5, channels: int = 2) -> Path:
    t = np.arange(round(seconds * RATE)) / RATE
    samples = np.tile(peak * np.sin(2 * np.pi * 220 * t), (channels, 1)).astype(np.float32)
    with Writer(
        path, RATE, channels, format=path.suffix[1:], bit_depth="32f" if path.suffix == ".wav" else "16"
    ) as file:
        file.write(samples)
    return path


def done(drafts: Drafts, draft: Draft) -> Draft:
    settle(drafts)
    assert draft.state() == Reading("done", 1.0)
    return draft


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_what_seeks_in_place_is_not_copied(drafts: Drafts, tmp_path: Path, name: str) -> None:
    upload = tone(tmp_path / name)
    draft = done(drafts, drafts.create(upload, "My tone"))
    assert draft.input.samefile(upload) and draft.sound == draft.input
    described = {"sample_rate": RATE, "channels": 2, "length": 2 * RATE, "start": 0, "gain": 1.0, "tracks": ["mixture"]}
    assert draft.stage() == described
    outline = Peaks.load(draft.folder / "draft" / "mixture.peaks")
    assert outline.length == 2 * RATE and outline.pairs.max() == 64
    assert not list(draft.folder.rglob("*decoded*"))


def test_what_does_not_is_decoded_once_and_never_clips(drafts: Drafts, tmp_path: Path) -> None:
    upload = tone(tmp_path / "a.mp3", peak=0.99)
    draft = done(drafts, drafts.create(upload, "My tone"))
    assert draft.sound.name == "mixture.wav"
    stage = draft.stage()
    assert stage is not None and stage["gain"] == 1.0
    with open_reader(upload) as original, open_reader(draft.sound) as heard:
        assert heard.length == stage["length"] == original.length
        want, got = original.read(0, original.length), heard.read(0, heard.length)
    gain = min(1.0, 1 / np.abs(want).max())
    assert np.abs(got - gain * want).max() < 2 * 2**-15
    assert not (draft.folder / "scratch").exists()


def test_a_recording_beyond_full_scale_is_played_softer(drafts: Drafts, tmp_path: Path) -> None:
    stage = done(drafts, drafts.create(tone(tmp_path / "a.wav", peak=2.0), "Loud")).stage()
    assert stage is not None and stage["gain"] == pytest.approx(0.5, abs=1e-3)


def test_a_damaged_recording_is_explained_in_three_parts(drafts: Drafts, tmp_path: Path) -> None:
    samples = np.zeros((RATE, 1), np.float32)
    samples[4000] = np.nan
    sf.write(tmp_path / "nan.wav", samples, RATE, "FLOAT")
    draft = drafts.create(tmp_path / "nan.wav", "Nan")
    settle(drafts)
    state = draft.state()
    assert state.status == "failed" and state.error is not None
    assert "0.500 s" in state.error["found"] and set(state.error) == {"asked", "found", "advice"}
    assert draft.stage() is None and draft.input.exists(), "nothing is lost"


def test_too_long_by_its_own_samples(drafts: Drafts, tmp_path: Path) -> None:
    draft = drafts.create(tone(tmp_path / "a.mp3", 3.0), "Long", longest=2.0)
    settle(drafts)
    error = draft.state().error
    assert error is not None and "2.0 s are allowed" in error["found"]


def test_deleting_takes_the_upload_and_every_copy(drafts: Drafts, tmp_path: Path) -> None:
    upload = tone(tmp_path / "a.mp3")
    draft = done(drafts, drafts.create(upload, "My tone"))
    drafts.delete(draft.id)
    assert not upload.exists() and not draft.folder.exists()
    drafts.delete(draft.id)
    for read in (draft.state, lambda: draft.input, lambda: drafts.get(draft.id)):
        with pytest.raises(UnknownJob):
            read()
    assert draft.stage() is None


def test_deleted_while_it_is_read_leaves_nothing(
    drafts: Drafts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = module.scan

    def slow(reader: object, **more: object) -> object:
        drafts.delete(draft.id)
        return real(reader, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "scan", slow)
    monkeypatch.setattr(drafts, "_read_aside", lambda draft: None)
    draft = drafts.create(tone(tmp_path / "a.mp3"), "My tone")
    drafts._read(draft)
    assert list(drafts.folder.iterdir()) == []


@pytest.mark.parametrize("hostile", ["", "..", "../jobs", "x" * 22 + "/", "a" * 21, "é" * 22])
def test_ids_that_are_none(drafts: Drafts, hostile: str) -> None:
    with pytest.raises(UnknownJob):
        drafts.get(hostile)
    drafts.delete(hostile)


def test_what_comes_with_the_app_is_read_once_and_stays(tmp_path: Path) -> None:
    now = [1000.0]
    drafts = Drafts(tmp_path / "drafts", keep_hours=1, clock=lambda: now[0])
    asset = tone(tmp_path / "asset.flac")
    draft = done(drafts, drafts.bundled(asset, "An example"))
    mine = done(drafts, drafts.create(tone(tmp_path / "mine.wav"), "Mine"))
    made = (draft.folder / "draft" / "stage.json").stat().st_mtime_ns
    assert drafts.bundled(asset, "An example") == draft
    drafts.delete(draft.id)
    now[0] += 3601
    assert drafts.expire() == [mine.id]
    assert drafts.get(draft.id).stage() and asset.exists() and not mine.folder.exists()
    assert (draft.folder / "draft" / "stage.json").stat().st_mtime_ns == made
    tone(asset, 1.0)
    assert drafts.bundled(asset, "An example").id != draft.id, "the file has changed"
    settle(drafts)


def test_another_process_reads_on(drafts: Drafts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as stopped:
        stopped.setattr(drafts, "_read_aside", lambda draft: None)
        draft = drafts.create(tone(tmp_path / "a.wav"), "My tone")
    assert draft.state().status == "waiting"
    later = Drafts(drafts.folder, keep_hours=1)
    assert later.get(draft.id) == draft
    done(later, draft)


def test_a_job_takes_its_draft_along_and_expiry_goes_through_the_store(tmp_path: Path) -> None:
    now = [1000.0]
    store = JobStore(tmp_path / "jobs", keep_hours=1, clock=lambda: now[0])
    draft = done(store.drafts, store.drafts.create(tone(tmp_path / "a.wav"), "My tone"))
    job = store.create(draft.input, Request(model="vocals", name="My tone"), draft=draft.id)
    assert job.input.samefile(draft.input), "nothing is copied"
    assert [one.id for one in store.all()] == [job.id], "drafts are no jobs"
    job.delete()
    assert not draft.folder.exists() and not (tmp_path / "a.wav").exists()
    other = done(store.drafts, store.drafts.create(tone(tmp_path / "b.wav"), "My tone"))
    now[0] += 3601
    store.expire()
    assert not other.folder.exists()


def test_without_links_it_is_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(os, "link", refused)
    source = tone(tmp_path / "a.wav")
    link_or_copy(source, tmp_path / "b.wav")
    assert (tmp_path / "b.wav").read_bytes() == source.read_bytes()
    assert not source.samefile(tmp_path / "b.wav")
