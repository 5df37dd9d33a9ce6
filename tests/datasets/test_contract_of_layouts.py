"""What every layout must do: be recognised, read, open, pass its check, and name each file that is gone or broken."""

import re
import shutil
from pathlib import Path

import pytest

from separation.datasets import LAYOUTS, check, check_split, detect, open_mixture, open_stem
from separation.datasets.tracks import SIDES
from separation.errors import DataError
from tests.datasets.tiny_sets import BUILDERS

NOT_NAMED = {"musdb18", "mir1k_original", "mir1k_undivided", "librispeech", "speakers"}
"""Layouts in which a file is a track, so that a missing one leaves no trace."""
OTHER_TASKS = {
    "wham": {"mix_clean", "mix_single"},
    "librimix": {"mix_clean", "mix_single"},
    "wham_single": {"s2"},
    "librimix_single": {"s2"},
}
"""Folders of the same set that a layout does not read."""


@pytest.fixture(scope="module", params=LAYOUTS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, BUILDERS[request.param](tmp_path_factory.mktemp(request.param) / "set")


def audio(folder: Path) -> list[Path]:
    """All audio of a set but menu music."""
    return sorted(p for p in folder.rglob("*") if p.suffix in (".wav", ".ogg", ".mp4") and p.stem != "preview")


def test_every_layout_has_a_set_to_be_tried_on() -> None:
    assert set(BUILDERS) == set(LAYOUTS)
    assert all(layout.name == name for name, layout in LAYOUTS.items())


def test_it_is_recognised_and_no_other(whole: tuple[str, Path]) -> None:
    name, folder = whole
    assert detect(folder).name == name


def test_names_are_unique_and_every_stem_opens(whole: tuple[str, Path]) -> None:
    name, folder = whole
    tracks = LAYOUTS[name].read(folder)
    assert tracks and len({track.name for track in tracks}) == len(tracks)
    for track in tracks:
        lengths = []
        for stem in track.stems:
            with open_stem(track, stem) as reader:
                assert reader.read(0, 100).any()
                lengths.append(reader.length)
        with open_mixture(track) as reader:
            assert reader.length == max(lengths)
        assert track.material


def test_its_split_shares_no_more_than_is_known(whole: tuple[str, Path]) -> None:
    name, folder = whole
    layout = LAYOUTS[name]
    if layout.split is None:
        assert not layout.known
        return
    tracks = layout.read(folder)
    sides = layout.split(tracks)
    assert sides and set(sides) <= set(SIDES) and any(sides.values())
    placed = [track.name for part in sides.values() for track in part]
    assert len(placed) == len(set(placed)) and set(placed) <= {track.name for track in tracks}
    check_split(sides, layout.known)


def test_a_whole_set_has_no_problem(whole: tuple[str, Path]) -> None:
    name, folder = whole
    done: list[tuple[int, int]] = []
    found = check(folder, deep=True, progress=lambda now, of: done.append((now, of)))
    assert found.problems == []
    assert (found.layout, found.deep) == (name, True)
    assert found.tracks == len(LAYOUTS[name].read(folder)) == len(done)
    assert 0 < found.hours < 0.01 and found.sample_rates and found.channels and found.stems
    if found.null_db is not None:
        assert found.null_db["median"] <= found.null_db["worst"] < (-15 if name == "musdb18" else -150)


def test_every_missing_file_is_named(whole: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = whole
    if name in NOT_NAMED:
        return
    layout = LAYOUTS[name]
    root = shutil.copytree(folder, tmp_path / "copy" / folder.name)
    checked = 0
    for path in audio(root):
        if name == "fuss" and path.stem == last_foreground(path.parent):
            continue  # only the sum tells: see test_check.py
        if path.parent.name in OTHER_TASKS.get(name, set()):
            continue
        if path.name == "rhythm.ogg":
            continue  # not every song has one
        kept = path.rename(tmp_path / "kept")
        with pytest.raises(DataError) as failure:
            layout.read(root)
        assert named(name, path, root) in failure.value.found
        kept.rename(path)
        checked += 1
    assert checked >= 4
    assert layout.read(root)


def last_foreground(folder: Path) -> str:
    return max((p.stem for p in folder.glob("foreground*")), default="")


def named(layout: str, path: Path, root: Path) -> str:
    """How the reader calls a file of its set."""
    if layout == "mir1k":
        clip, _, half = path.stem.rpartition(".")
        return f"{path.parent.name}/{clip} has no {half} file"
    if layout == "choral":
        piece, voice, singer = re.fullmatch(r"(CSD_\w\w)_(\w+)_(\d)", path.stem).groups()  # type: ignore[union-attr]
        return f"{piece} has no {voice} {singer}"
    return f"{path.relative_to(root).as_posix()} is missing"


def test_every_file_that_is_not_audio_is_named(whole: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = whole
    root = shutil.copytree(folder, tmp_path / "copy" / folder.name)
    for path in audio(root):
        path.write_bytes(b"not audio at all")
    for deep in (False, True):
        problems = check(root, name, deep=deep).problems
        assert {problem.kind for problem in problems} == {"unreadable"}
        assert all("cannot be read: " in str(problem) for problem in problems)
        told = {problem.where.partition("#")[0] for problem in problems}
        others = {path.parent.name for path in audio(root) if path.relative_to(root).as_posix() not in told}
        assert others <= OTHER_TASKS.get(name, set())


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_empty_folder_says_what_belongs_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as failure:
        LAYOUTS[name].read(tmp_path)
    assert failure.value.found.endswith("was found")
    assert LAYOUTS[name].tree in failure.value.asked
    found = check(tmp_path, name, deep=True)
    assert found.tracks == 0 and len(found.problems) == 1


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_that_is_not_there_is_empty_too(name: str, tmp_path: Path) -> None:
    assert not LAYOUTS[name].recognises(tmp_path / "nowhere")
    with pytest.raises(DataError, match="was found"):
        LAYOUTS[name].read(tmp_path / "nowhere")
