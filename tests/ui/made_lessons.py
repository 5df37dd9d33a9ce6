"""Lessons for tests: two clips of two seconds, a teacher that can be held up, and waiting until something has happened."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from separation.audio import Writer
from separation.engine.jobs import JobStore
from separation.models.components import SAMPLE_RATE, ComponentModel
from separation.signals import Samples
from separation.training.learning import Given, LearningStep, learn
from separation.ui.lesson_clips import Clip
from separation.ui.lessons import Lesson, LessonRequest, Lessons, Source, Teach
from separation.ui.taught import Taught
from tests.training.learning_sounds import hiss, strings

NAMES = ("strings", "hiss")
WISH = LessonRequest("nmf", 4, 12, tuple(map(Source, NAMES)))


class Held:
    """Teaches as `learn` does, and stops before every step while `gate` is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0

    def __call__(
        self,
        system: str,
        clips: Mapping[str, Given],
        *,
        progress: Callable[[LearningStep], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        **more: Any,
    ) -> ComponentModel:
        self.calls += 1

        def told(at: LearningStep) -> None:
            if progress is not None:
                progress(at)
            while not self.gate.wait(0.01):
                if cancelled is not None and cancelled():
                    return

        return learn(system, clips, progress=told, cancelled=cancelled, **more)


class NoHub:
    """A hub that knows no other models."""


def write(path: Path, samples: Samples, rate: int = SAMPLE_RATE) -> Path:
    with Writer(path, rate, len(samples), bit_depth="16") as writer:
        writer.write(samples)
    return path


def sounds(seconds: float = 2.0, rate: int = SAMPLE_RATE, seed: int = 1) -> dict[str, Samples]:
    """One clip of each source."""
    return {"strings": strings(seconds, seed, rate), "hiss": hiss(seconds, seed + 1, rate)}


def lessons_in(folder: Path, teach: Teach = learn, **more: Any) -> Lessons:
    """Not started."""
    store = JobStore(folder / "jobs", **more)
    return Lessons(folder / "lessons", store, Taught(NoHub(), folder / "taught"), teach=teach)


@contextmanager
def started(lessons: Lessons) -> Iterator[Lessons]:
    lessons.start()
    try:
        yield lessons
    finally:
        lessons.stop()


def clips_in(lessons: Lessons, folder: Path) -> dict[str, list[Clip]]:
    """An uploaded clip of each source."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        name: [lessons.clips.upload(write(folder / f"{name}.wav", samples), f"{name}.wav")]
        for name, samples in sounds().items()
    }


def begun(lessons: Lessons, folder: Path, wish: LessonRequest = WISH) -> Lesson:
    """A lesson that was submitted."""
    lesson = lessons.create(wish, clips_in(lessons, folder), {})
    lessons.submit(lesson)
    return lesson


def until(happened: Callable[[], bool]) -> None:
    for _ in range(6000):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def done(lesson: Lesson) -> Lesson:
    until(lambda: lesson.state().finished)
    assert lesson.state().status == "done", lesson.state()
    return lesson
