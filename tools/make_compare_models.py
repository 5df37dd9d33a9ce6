"""Make the baselines of the Compare page again: NMF, learned in seconds from the clips of the bundled lessons.

    python -m tools.make_compare_models [--lessons assets/lessons] [--output assets/compare]

They are there to be beaten: what a page without any trained network could do. Each is a model folder of 0.1 MB.
"""

import argparse
import json
import logging
from pathlib import Path

from separation.audio import open_reader
from separation.hub import Card, save
from separation.signals import Signal
from separation.training.learning import learn, system_named

COMPONENTS, SEED = 20, 0
WOMAN, MAN, MUSIC = "two-voices/woman.flac", "two-voices/man.flac", "voice-and-music/music.flac"
BASELINES: dict[str, dict[str, tuple[str, ...]]] = {
    "nmf-vocals": {"vocals": (WOMAN, MAN), "accompaniment": (MUSIC,)},
    "nmf-speakers": {"speaker 1": (WOMAN,), "speaker 2": (MAN,)},
}
"""Sources, as the models of the task call them, and their clips."""


def make(name: str, lessons: Path, output: Path) -> Card:
    """Learn one baseline and write its folder."""
    clips = {source: [_read(lessons / file) for file in files] for source, files in BASELINES[name].items()}
    model = learn("nmf", clips, components=COMPONENTS, seed=SEED)
    system = system_named("nmf")
    seconds = {source: sum(clip.duration for clip in some) for source, some in clips.items()}
    credits = _credits(lessons, {file for files in BASELINES[name].values() for file in files})
    return save(
        output / name,
        model,
        architecture=system.architecture,
        title=f"NMF of {COMPONENTS} spectra a source",
        summary="A baseline: each source is a few spectra that get louder and softer, learned from seconds of clean clips.",
        task=name.removeprefix("nmf-"),
        licence=", ".join(sorted({licence for _, licence in credits})),
        citation=str(model.citation),
        trained_on=[f"{source}: {length:.1f} s of clean clips" for source, length in seconds.items()]
        + [text for text, _ in credits],
        scores=(),
        weaknesses=(
            "It knows the voices and instruments of its clips; others come out as whatever is nearest.",
            f"It hears up to {model.spec.sample_rate / 2000:g} kHz and keeps the mixture's phase.",
        ),
        training={
            "recipe": {"system": "nmf", "components": COMPONENTS, "steps": system.steps, "seed": SEED},
            "commit": None,
            "seconds_of_audio": system.steps * sum(seconds.values()),
        },
    )


def _read(path: Path) -> Signal:
    with open_reader(path) as reader:
        return Signal(reader.read(0, reader.length), reader.sample_rate)


def _credits(lessons: Path, files: set[str]) -> list[tuple[str, str]]:
    """Who made these clips, and under which licence, as the lessons say it."""
    found = []
    for folder in sorted({file.partition("/")[0] for file in files}):
        names = [file.partition("/")[2] for file in sorted(files) if file.startswith(folder)]
        for one in json.loads((lessons / folder / "lesson.json").read_text(encoding="utf-8"))["credits"]:
            if any(name in one["what"] for name in names):
                found.append((f"{one['what']} ({one['author']}; {one['source']})", str(one["licence"])))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lessons", type=Path, default=Path("assets/lessons"))
    parser.add_argument("--output", type=Path, default=Path("assets/compare"))
    given = parser.parse_args()
    for name in BASELINES:
        logging.warning("%s: %s", name, make(name, given.lessons, given.output).title)


if __name__ == "__main__":
    main()
