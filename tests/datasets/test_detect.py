"""Recognising a data set: the only layout, the more specific one, or a message that says what was seen and tried."""

from pathlib import Path

import pytest

from separation.datasets import LAYOUTS, detect
from separation.datasets.layouts import SEEN, get
from separation.errors import DataError
from tests.datasets.tiny_sets import make_folder, make_mixtures, make_moisesdb, make_wham, make_wsj0_mix, noise, write


def test_what_is_seen_and_every_layout_tried_are_named(tmp_path: Path) -> None:
    (tmp_path / "Music").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden").touch()
    with pytest.raises(DataError) as failure:
        detect(tmp_path)
    assert failure.value.found.startswith("it holds Music/, notes.txt, which is none of these layouts: ")
    assert all(f"{name} ({layout.tree})" in failure.value.found for name, layout in LAYOUTS.items())


def test_many_entries_are_counted(tmp_path: Path) -> None:
    for i in range(SEEN + 3):
        (tmp_path / f"{i:02}.txt").touch()
    with pytest.raises(DataError, match=f"{SEEN - 1}.txt and 3 more, which is none"):
        detect(tmp_path)


def test_an_empty_and_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it holds nothing"):
        detect(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        detect(tmp_path / "nowhere")


def test_two_sets_in_one_folder_are_not_chosen_from(tmp_path: Path) -> None:
    make_moisesdb(tmp_path)
    make_wsj0_mix(tmp_path)
    with pytest.raises(DataError) as failure:
        detect(tmp_path)
    assert "it follows several layouts: moisesdb (" in failure.value.found and "; wsj0_mix (" in failure.value.found
    assert "--layout" in failure.value.advice


def test_the_more_specific_layout_wins(tmp_path: Path) -> None:
    """WHAM! follows four layouts; MUSDB18-HQ is also a folder of stems."""
    make_wham(tmp_path / "wham")
    follows = {name for name, layout in LAYOUTS.items() if layout.recognises(tmp_path / "wham")}
    assert follows == {"wham", "wham_clean", "wham_single"}
    assert detect(tmp_path / "wham").name == "wham"
    for side in ("train", "test"):
        for stem in ("mixture", "drums", "bass", "other", "vocals"):
            write(tmp_path / "hq" / side / f"A - {side}" / f"{stem}.wav", noise(stem))
    assert LAYOUTS["folder"].recognises(tmp_path / "hq")
    assert detect(tmp_path / "hq").name == "musdb18_hq"


def test_refining_is_no_circle() -> None:
    for name, layout in LAYOUTS.items():
        assert layout.refines <= set(LAYOUTS)
        assert not any(name in LAYOUTS[other].refines for other in layout.refines)


def test_one_side_of_a_set_of_mixtures_is_not_taken_for_tracks(tmp_path: Path) -> None:
    """In it, folders are stems and files are tracks."""
    make_mixtures(tmp_path, {"tt": ("050a0501_1.7_442o030z_-1.7",)}, {"mix": ("s1", "s2")})
    with pytest.raises(DataError, match="mix/, s1/, s2/"):
        detect(tmp_path / "tt")


def test_folders_whose_files_have_nothing_in_common_are_no_tracks(tmp_path: Path) -> None:
    for name in ("album/one", "album/two", "single/three"):
        write(tmp_path / f"{name}.wav", noise(name))
    with pytest.raises(DataError, match="none of these layouts"):
        detect(tmp_path)


def test_a_broken_set_is_recognised_all_the_same(tmp_path: Path) -> None:
    (make_folder(tmp_path) / "train" / "a" / "vocals.wav").unlink()
    assert detect(tmp_path).name == "folder"


def test_an_unknown_layout_names_the_known_ones() -> None:
    assert get("fuss") is LAYOUTS["fuss"]
    with pytest.raises(DataError, match=r"the layouts are musdb18, .*, folder"):
        get("musdb")
