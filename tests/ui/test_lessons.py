"""Lessons as folders: they outlive pages and processes, stop when asked, expire, and leave their models to the jobs."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from made_lessons import (
    NAMES,
    WISH,
    Held,
    NoHub,
    begun,
    clips_in,
    done,
    lessons_in,
    sounds,
    started,
    until,
    write,
)

from separation.engine.jobs import Request
from separation.errors import AudioError, Busy, DataError, JobError, ModelError, UnknownJob, UnknownModel
from separation.ui import lesson_clips
from separation.ui import lessons as module
from separation.ui.lessons import Lesson, Lessons, Source
from separation.ui.taught import GRACE, Taught, is_taught, spoken_name


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lessons]:
    """An installation that teaches."""
    with started(lessons_in(tmp_path_factory.mktemp("house"))) as lessons:
        yield lessons


@pytest.fixture(scope="module")
def learned(house: Lessons, tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    return done(begun(house, tmp_path_factory.mktemp("clips")))


def test_a_lesson_is_learned_and_says_how_far_it_is(house: Lessons, learned: Lesson) -> None:
    state = learned.state()
    assert (state.status, state.step, state.steps, state.source, state.error) == ("done", 12, 12, "hiss", None)
    assert house.get(learned.id).request == learned.request
    assert [source.seconds for source in learned.request.sources] == [2.0, 2.0]
    losses = learned.losses()
    assert list(losses) == list(NAMES) and [step for step, _ in losses["strings"]] == list(range(1, 13))
    assert losses["hiss"][-1][1] < losses["hiss"][0][1]
    pictures = learned.pictures()
    assert (
        pictures is not None and pictures.patches.shape == (8, 513, 1) and pictures.homes.tolist() == [0] * 4 + [1] * 4
    )
    assert pictures.activity[:4].sum() == pytest.approx(1, abs=1e-3)
    assert learned.card().sources == NAMES and learned.model().counts == (4, 4)


def test_components_are_seen_while_they_are_learned(tmp_path: Path) -> None:
    teach = Held()
    teach.gate.clear()
    with started(lessons_in(tmp_path, teach)) as lessons:
        lesson = begun(lessons, tmp_path / "clips")
        until(lambda: lesson.pictures() is not None and lesson.state().version > 0)
        first, version = lesson.pictures(), lesson.version
        assert first is not None and len(first.patches) == 4 and np.isnan(first.activity).all()
        assert lesson.state().status == "running"
        with pytest.raises(JobError, match="the lesson is running"):
            lesson.card()
        teach.gate.set()
        done(lesson)
    last = lesson.pictures()
    assert last is not None and len(last.patches) == 8 and lesson.version > version
    assert not np.array_equal(last.patches[:4], first.patches)


def test_curves_have_at_most_two_hundred_points(house: Lessons, tmp_path: Path) -> None:
    lesson = done(begun(house, tmp_path, replace(WISH, steps=450, components=1)))
    curve = lesson.losses()["strings"]
    steps = [step for step, _ in curve]
    assert 100 < len(curve) <= module.POINTS and steps[0] == 1 and steps[-1] == 450 and steps == sorted(set(steps))


def test_what_a_process_left_is_taken_up_by_the_next(tmp_path: Path) -> None:
    teach = Held()
    teach.gate.clear()
    with started(lessons_in(tmp_path, teach)) as lessons:
        lesson, waiting = begun(lessons, tmp_path / "clips"), begun(lessons, tmp_path / "clips")
        until(lambda: lesson.state().step > 0)
        assert waiting.state().position == 1
    assert lesson.state().status == "waiting", "stopping the process is no cancellation"
    version = lesson.version
    with started(lessons_in(tmp_path)):
        done(lesson)
        done(waiting)
    assert lesson.version > version and lesson.model().counts == (4, 4)


def test_two_processes_do_not_learn_the_same(tmp_path: Path) -> None:
    first, second = Held(), Held()
    first.gate.clear()
    with started(lessons_in(tmp_path, first)) as lessons:
        lesson = begun(lessons, tmp_path / "clips")
        until(lambda: first.calls == 1)
        with started(lessons_in(tmp_path, second)):
            first.gate.set()
            done(lesson)
    assert second.calls == 0


def test_what_a_process_leaves_is_taken_up_by_another_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ADOPT_EVERY", 0.05)
    first = Held()
    first.gate.clear()
    with started(lessons_in(tmp_path, first)) as dying:
        lesson = begun(dying, tmp_path / "clips")
        until(lambda: first.calls == 1)
        with started(lessons_in(tmp_path)):  # the other one begins when there is something that it may not take
            dying.stop()
            done(lesson)


@pytest.mark.parametrize("when", ["running", "waiting"])
def test_cancelling_stops_a_lesson(tmp_path: Path, when: str) -> None:
    teach = Held()
    teach.gate.clear()
    with started(lessons_in(tmp_path, teach)) as lessons:
        ahead = begun(lessons, tmp_path / "clips")
        until(lambda: ahead.state().status == "running")
        lesson = ahead if when == "running" else begun(lessons, tmp_path / "clips")
        lesson.cancel()
        assert when == "running" or lesson.state().status == "cancelled"
        teach.gate.set()
        until(lambda: lesson.state().status == "cancelled")
        until(lambda: ahead.state().finished)
    assert not (lesson.folder / "model").exists()


def test_a_lesson_deleted_while_it_is_learned_ends_quietly_and_leaves_nothing(tmp_path: Path) -> None:
    teach = Held()
    teach.gate.clear()
    with started(lessons_in(tmp_path, teach)) as lessons:
        lesson = begun(lessons, tmp_path / "clips")
        until(lambda: lesson.state().step > 0)
        lesson.delete()
        teach.gate.set()
        after = done(begun(lessons, tmp_path / "clips"))
        with pytest.raises(UnknownJob, match="not here any more"):
            lessons.get(lesson.id)
        assert not lesson.folder.exists() and [each.id for each in lessons.all()] == [after.id]
    with pytest.raises(UnknownJob):
        lesson.delete()


def test_errors_are_told_in_three_parts_and_never_with_their_inside(tmp_path: Path) -> None:
    def broken(system: str, clips: Any, **more: Any) -> Any:
        raise DataError("Learn hiss", "too short", "Bring more") if more["components"] == 4 else ValueError("/secret")

    with started(lessons_in(tmp_path, broken)) as lessons:
        known = begun(lessons, tmp_path / "clips")
        unknown = begun(lessons, tmp_path / "clips", replace(WISH, components=5))
        until(lambda: known.state().finished and unknown.state().finished)
    assert known.state().error == {"asked": "Learn hiss", "found": "too short", "advice": "Bring more"}
    assert unknown.state().status == "failed" and "secret" not in str(unknown.state().error)


def test_a_lesson_that_takes_too_long_makes_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.0)
    lessons = lessons_in(tmp_path)
    lesson = begun(lessons, tmp_path / "clips")
    lessons.run(lesson)
    error = lesson.state().error
    assert error is not None and "others wait" in error["found"] and lesson.state().status == "failed"


def test_ids_lead_nowhere_else(house: Lessons, learned: Lesson) -> None:
    for wrong in ("", "..", "clips", learned.id[:-1], "A" * 22, f"../lessons/{learned.id}"):
        with pytest.raises(UnknownJob):
            house.get(wrong)
        with pytest.raises(UnknownJob):
            house.clips.get(wrong)


def test_a_lesson_has_its_own_copies_of_clips(house: Lessons, tmp_path: Path) -> None:
    clips = clips_in(house, tmp_path)
    lesson = house.create(WISH, clips, {})
    for (clip,) in clips.values():
        clip.path.unlink()
    assert [each.duration for each in lesson.clips(0)] == [2.0]
    with pytest.raises(UnknownJob, match="one of its clips is not here"):
        house.create(WISH, clips, {})
    lesson.delete()


def test_there_are_limits_for_the_whole_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lessons = lessons_in(tmp_path)
    clips = clips_in(lessons, tmp_path / "clips")
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    for _ in range(2):
        lessons.submit(lessons.create(WISH, clips, {}))
    with pytest.raises(Busy, match="2 lessons of all visitors"):
        lessons.create(WISH, clips, {})
    monkeypatch.setattr(module, "MOST_WAITING", 9)
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    with pytest.raises(Busy, match="holds 2 lessons"):
        lessons.create(WISH, clips, {})
    monkeypatch.setattr(module, "MOST_KEPT", 9)
    monkeypatch.setattr(module, "MOST_SECONDS", 3.0)
    with pytest.raises(JobError, match="its clips have 4 s"):
        lessons.create(WISH, {**clips, "hiss": clips["hiss"] * 2}, {})
    monkeypatch.setattr(lesson_clips, "MOST", 2)
    with pytest.raises(Busy, match="holds 2 clips"):
        clips_in(lessons, tmp_path / "clips")
    old = clips["strings"][0].path.parent
    os.utime(old, (0, time.time() - lesson_clips.SAFE - 1))
    lessons.clips.require_room()
    assert not old.exists() and clips["hiss"][0].path.exists(), "only what is old makes room"
    assert len(lessons.all()) == 2 and not list(lessons.folder.glob("deleted-*"))


# -- clips


def test_a_clip_is_one_channel_at_the_rate_of_the_models(house: Lessons, tmp_path: Path) -> None:
    wide = np.repeat(sounds(1.5, 44100)["strings"], 2, axis=0)
    clip = house.clips.upload(write(tmp_path / "a.flac.wav", wide, 44100), "a.flac")
    kept = clip.read()
    assert (kept.sample_rate, kept.samples.shape) == (16000, (1, 24000)) and not (tmp_path / "a.flac.wav").exists()
    alike = sounds(1.5)["strings"]
    assert np.square(kept.samples - alike)[:, 100:-100].sum() < 1e-2 * np.square(alike).sum()


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"not audio", "Use voice.wav"), (b"", "Use voice.wav"), (b"RIFF\xff\xff\xff\xffWAVEfmt ", "Use voice.wav")],
)
def test_what_is_no_audio_is_refused_by_the_visitors_own_name(
    house: Lessons, tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "x.part").write_bytes(content)
    before = sorted(house.clips.folder.iterdir())
    with pytest.raises(AudioError, match=said):
        house.clips.upload(tmp_path / "x.part", "voice.wav")
    assert sorted(house.clips.folder.iterdir()) == before and list(tmp_path.iterdir()) == []


def test_silence_and_length_are_refused(house: Lessons, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AudioError, match="silent"):
        house.clips.upload(write(tmp_path / "a.wav", np.zeros((1, 16000), np.float32)), "a.wav")
    sf.write(tmp_path / "n.wav", np.array([0.5] * 999 + [np.nan]), 16000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"Use n\.wav: it holds NaN or infinity\. Export it again"):
        house.clips.upload(tmp_path / "n.wav", "n.wav")
    monkeypatch.setattr(lesson_clips, "LONGEST", 1.0)
    with pytest.raises(AudioError, match=r"Use b\.wav"):
        house.clips.upload(write(tmp_path / "b.wav", sounds()["hiss"]), "b.wav")
    path = write(tmp_path / "c.wav", sounds()["hiss"])
    with pytest.raises(AudioError, match="more than 1 s"):
        house.clips.cut(path, 0.0, 1.5)


def test_a_region_of_a_recording_is_a_clip(house: Lessons, tmp_path: Path) -> None:
    path = write(tmp_path / "mix.wav", sounds(2.0)["strings"])
    clip = house.clips.cut(path, 0.5, 1.25)
    assert np.allclose(clip.read().samples, sounds(2.0)["strings"][:, 8000:20000], atol=1e-3)
    assert house.clips.cut(path, 1.0, 99.0).read().duration == 1.0
    with pytest.raises(AudioError, match=r"it has 2\.0 s"):
        house.clips.cut(path, 3.0, 4.0)
    assert path.exists()


# -- reuse and surgery


def test_a_lesson_that_is_deleted_just_now_is_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lessons = lessons_in(tmp_path)
    gone = begun(lessons, tmp_path / "clips")
    gone.delete()
    monkeypatch.setattr(lessons, "all", lambda: [gone])
    assert begun(lessons, tmp_path / "more").state().status == "waiting"
    with pytest.raises(UnknownJob):
        lessons.create(WISH, clips_in(lessons, tmp_path / "last"), {"hiss": (gone, "hiss")})


def test_a_source_of_another_lesson_serves_again(house: Lessons, learned: Lesson, tmp_path: Path) -> None:
    wish = replace(WISH, sources=(Source("air"), Source("strings")))
    lesson = house.create(wish, {"strings": clips_in(house, tmp_path)["strings"]}, {"air": (learned, "hiss")})
    house.submit(lesson)
    done(lesson)
    before, after = learned.pictures(), lesson.pictures()
    assert before is not None and after is not None
    assert np.array_equal(after.patches[:4], before.patches[4:])
    assert np.allclose(after.activity[:4], before.activity[4:])
    assert lesson.card().trained_on == ("air: learned before", "strings: 2.0 s of clean clips")
    with pytest.raises(JobError, match="no source called 'piano'"):
        house.create(wish, {}, {"air": (learned, "piano"), "strings": (learned, "strings")})
    first = house.create(WISH, clips_in(house, tmp_path), {})
    with pytest.raises(JobError, match="the lesson is waiting"):
        house.create(wish, {}, {"air": (first, "hiss"), "strings": (learned, "strings")})
    first.delete()


def test_surgery_changes_owners_and_grows_the_version(house: Lessons, learned: Lesson) -> None:
    version = learned.version
    assert house.operate(learned, {1: "hiss", 5: "hiss"}, [7, 7, 2]) == version + 1
    surgery = learned.surgery()
    assert surgery.moved == {1: "hiss"} and surgery.muted == (2, 7), "a component that stays at home is not moved"
    name = house.model_name(learned)
    assert is_taught(name) and house.model_name(learned) == name
    loaded: Any = house.taught.load(name)
    assert loaded.arguments["moved"] == {"1": 1} and loaded.arguments["muted"] == [2, 7] and loaded.spec.partial
    assert house.operate(learned, {}, []) == version + 2 and learned.surgery().moved == {}
    assert house.model_name(learned) != name
    for moved, muted, said in (
        ({8: "hiss"}, [], "8 components"),
        ({}, [-1], "component -1"),
        ({1: "x"}, [], "called x"),
    ):
        with pytest.raises(ModelError, match=said):
            house.operate(learned, moved, muted)
    assert learned.version == version + 2


def test_the_components_of_an_unknown_source_cannot_be_named(house: Lessons, tmp_path: Path) -> None:
    clips = clips_in(house, tmp_path)
    wish = replace(WISH, sources=(Source("strings"), Source("rest")))
    lesson = house.create(wish, {"strings": clips["strings"], "rest": []}, {})
    house.submit(lesson)
    done(lesson)
    pictures = lesson.pictures()
    assert pictures is not None and np.isnan(pictures.activity[4:]).all()
    assert lesson.request.sources[1].seconds == 0
    with pytest.raises(ModelError, match="unknown source rest"):
        house.operate(lesson, {}, [5])


# -- models of jobs


def test_models_live_as_long_as_a_job_needs_them_whatever_becomes_of_the_lesson(tmp_path: Path) -> None:
    now = [1000.0]
    lessons = lessons_in(tmp_path, keep_hours=1, clock=lambda: now[0])
    lesson = begun(lessons, tmp_path / "clips")
    lessons.run(lesson)
    used, unused = lessons.model_name(lesson), ""
    job = lessons.store.create(write(tmp_path / "mix.wav", sounds()["hiss"]), Request(used, "mix.wav"))
    lessons.operate(lesson, {0: "hiss"}, [])
    unused = lessons.model_name(lesson)
    taught = lessons.taught
    now[0] += 3601
    assert lessons.expire() == [lesson.id]
    assert taught.describe(unused).sources == NAMES, "within the hour a job may be on its way"
    assert taught.forget({job.request.model}, now=2e10) == [unused]
    assert taught.load(used).spec.sources == NAMES
    with pytest.raises(UnknownModel, match="not here any more"):
        taught.load(unused)


def test_names_of_taught_models_open_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "taught" / "nmf-secret").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    taught = Taught(NoHub(), tmp_path / "taught")
    hashed = "x" * 22
    for wrong in (
        "",
        "nmf",
        "../secret",
        f"nmf-{hashed}",
        "nmf-secret",
        f"/etc-{hashed}",
        f"nmf-{hashed}/..",
        f"..-{hashed}",
    ):
        with pytest.raises(UnknownModel):
            taught.describe(f"lesson:{wrong}")
    assert spoken_name("lesson:../secret") == "lesson:../secret"
    assert taught.forget([]) == []


def test_a_model_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    taught = Taught(NoHub(), tmp_path / "taught")

    def fail(folder: Path) -> None:
        folder.mkdir()
        raise ModelError("Write", "no", "Stop")

    with pytest.raises(ModelError):
        taught.keep("nmf", fail)
    assert list((tmp_path / "taught").iterdir()) == [] and GRACE > 0
