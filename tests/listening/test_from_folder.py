"""A folder of recordings becomes a study whose audio is its own."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from study_sounds import ANCHORS, RATE, noise, recording, write

from separation.errors import StudyError
from separation.listening.from_folder import brought_home, loudest, slug, study_of_folder
from separation.listening.parts import Item, Question, Study, System
from separation.listening.study import dump_study, parse_study

MUSHRA = (Question(id="quality", kind="mushra"),)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "songs"
    for number, name in enumerate(("Song A", "Song B")):
        recording(folder, name, number, seconds=4.0)
        (folder / name / "target.wav").rename(folder / name / "Vocals.wav")
        write(tmp_path / "ours" / f"{name}.wav", noise(9, 4.0))
    write(folder / "alone.wav", noise(5, 4.0))
    (folder / "notes.txt").write_text("nothing")
    return folder


def test_mixtures_with_their_targets_become_items(recordings: Path, tmp_path: Path) -> None:
    study = study_of_folder(
        "mine", recordings, tmp_path / "mine", questions=MUSHRA, anchors=ANCHORS, models=["vocals", "owner/name@main"],
        files={"Ours, late": str(tmp_path / "ours" / "{item}.wav")}, seconds=2.0, listeners=12, targets=True,
    )  # fmt: skip
    assert [item.id for item in study.items] == ["song-a", "song-b"]
    assert [system.id for system in study.systems] == ["vocals", "name-main", "ours-late"]
    assert study.assignment.listeners == 12
    named = [path for item in study.items for path in (item.mixture, item.target)]
    named += [path for system in study.systems if isinstance(system.files, dict) for path in system.files.values()]
    assert len(named) == 6 and all((tmp_path / "mine" / path).is_file() for path in named)
    assert all(item.duration == 2.0 and 0 <= item.start <= 2.0 for item in study.items)
    assert parse_study(dump_study(study)) == study


def test_mixtures_alone_will_do_where_no_target_is_needed(recordings: Path, tmp_path: Path) -> None:
    study = study_of_folder(
        "mine", recordings, tmp_path / "mine", questions=(Question(id="q", kind="acr"),), models=["vocals"], seconds=60
    )
    assert {item.id for item in study.items} == {"song-a", "song-b", "alone"}
    alone = next(item for item in study.items if item.id == "alone")
    assert alone.target == "" and (alone.start, alone.duration) == (0.0, 4.0)


def test_what_is_missing_is_said(recordings: Path, tmp_path: Path) -> None:
    def make(**more: object) -> Study:
        given: dict[str, object] = {"questions": MUSHRA, "models": ["vocals"], "targets": True} | more
        return study_of_folder("mine", recordings, tmp_path / "mine", **given)  # type: ignore[arg-type]

    with pytest.raises(StudyError, match=r"of 3 recordings in .* none has its drums beside it"):
        make(source="drums")
    with pytest.raises(StudyError, match="nothing is to be compared"):
        make(models=[])
    with pytest.raises(StudyError, match=r"Ours has no file for 2 of 2 items, first .*Song A\.flac"):
        make(files={"Ours": str(tmp_path / "ours" / "{item}.flac")})
    with pytest.raises(StudyError, match="there is no recording"):
        study_of_folder("mine", tmp_path / "nothing", tmp_path / "mine", questions=MUSHRA, models=["vocals"])


def test_the_loudest_stretch_is_found(tmp_path: Path) -> None:
    samples = noise(3, 20.0) * np.float32(0.1)
    samples[:, 12 * RATE : 15 * RATE] *= 10
    path = write(tmp_path / "long.wav", samples)
    assert loudest(path, 3.0) == (12.0, 3.0)
    assert loudest(path, 30.0) == (0.0, 20.0)


def test_a_study_from_elsewhere_brings_its_audio_home(tmp_path: Path) -> None:
    """webMUSHRA's paths count from the folder above that of its file."""
    for name in ("ref", "one", "two"):
        write(tmp_path / "tool" / "configs" / "resources" / f"{name}.wav", noise(len(name)))
    study = Study(
        name="theirs",
        title="Theirs",
        systems=(
            System(id="one", files={"a": "configs/resources/one.wav"}),
            System(id="two", files="resources/two.wav"),
        ),
        items=(Item(id="a", target="configs/resources/ref.wav"),),
        questions=(Question(id="q", kind="ab"),),
    )
    home = brought_home(study, tmp_path / "tool" / "configs", tmp_path / "home")
    named = [home.items[0].target, *(path for one in home.systems for path in dict(one.files).values())]
    assert len(set(named)) == 3 and all(path.startswith("files/") for path in named)
    for path, name in zip(named, ("ref", "one", "two"), strict=True):
        theirs, _ = sf.read(tmp_path / "tool" / "configs" / "resources" / f"{name}.wav")
        np.testing.assert_array_equal(sf.read(tmp_path / "home" / path)[0], theirs)
    lost = study.model_copy(update={"items": (Item(id="a", target="lost.wav"),)})
    with pytest.raises(StudyError, match=r"there is no lost\.wav"):
        brought_home(lost, tmp_path / "tool" / "configs", tmp_path / "home")


@pytest.mark.parametrize(("text", "id"), [("Mike's Song 01!", "mike-s-song-01"), ("…", "one"), ("x" * 99, "x" * 64)])
def test_any_name_gives_an_id(text: str, id: str) -> None:
    assert slug(text) == id
