"""Names, disk and zip archives."""

import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from separation.audio import require_disk, safe_name, write_zip
from separation.errors import DiskFull


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.text(max_size=300))
@example("../../etc/passwd")
@example("C:\\Users\\me\\song.wav")
@example("con.wav")
@example("CON")
@example("a\0b\n.mp3")
@example("x" * 400 + ".flac")
@example("é" * 200 + ".flac")
@example("..")
@example(".hidden")
@example("_.")
@example("nul .txt")
@example("‮gpj.exe")
def test_any_text_becomes_one_harmless_name(text: str) -> None:
    name = safe_name(text)
    assert name and Path(name).name == name and name not in (".", "..") and not name.startswith((".", " "))
    assert not set(name) & set('<>:"/\\|?*') and not name.endswith((".", " "))
    assert all(not unicodedata.category(character).startswith("C") for character in name)
    assert len(name.encode()) <= 120
    assert name.partition(".")[0].strip().lower() not in ("con", "prn", "aux", "nul", "com1", "lpt9")
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My Song (live).mp3", "My Song (live).mp3"),
        ("歌.flac", "歌.flac"),
        ("../../etc/passwd", "passwd"),
        ("C:\\music\\a.wav", "a.wav"),
        ("", "audio"),
        ("///", "audio"),
        ("AC/DC", "DC"),
        ("nul.wav", "_nul.wav"),
        ("a.b.c.wav", "a.b.c.wav"),
    ],
)
def test_names(text: str, name: str) -> None:
    assert safe_name(text) == name


def test_a_long_name_keeps_its_extension() -> None:
    assert safe_name("ö" * 300 + ".flac").endswith("ö.flac")


def test_disk_that_is_there_is_fine_and_a_folder_may_be_new(tmp_path: Path) -> None:
    require_disk(tmp_path / "not" / "yet" / "made", 1000)
    assert not list(tmp_path.iterdir())


def test_disk_that_is_not_there_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 500_000_000})())
    require_disk(tmp_path, 400_000_000)
    with pytest.raises(DiskFull) as caught:
        require_disk(tmp_path, 2_000_000_000)
    assert (caught.value.asked, caught.value.found[:18]) == ("Write 2,000 MB", "500 MB are free on")
    assert "Free 1,568 MB" in caught.value.advice


def test_a_zip_holds_every_file_unchanged(tmp_path: Path) -> None:
    files = {}
    for number, name in enumerate(
        ["voice.wav", "VOICE.wav", "voice.wav/../voice.wav", "../up.txt", "a/b\\c", "歌.flac"]
    ):
        files[name] = tmp_path / f"source-{number}"
        files[name].write_bytes(bytes([number]) * (1000 + number))
    path = write_zip(tmp_path / "out" / "all.zip", files)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["voice.wav", "VOICE (2).wav", "voice (3).wav", "up.txt", "c", "歌.flac"]
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        assert [archive.read(entry) for entry in archive.infolist()] == [file.read_bytes() for file in files.values()]
    assert [file.name for file in path.parent.iterdir()] == ["all.zip"]


def test_a_zip_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"a")
    target = tmp_path / "out"
    with pytest.raises(FileNotFoundError):
        write_zip(target / "all.zip", {"a": tmp_path / "a", "b": tmp_path / "missing"})
    assert not target.exists()
    monkeypatch.setattr("zipfile.ZipFile.write", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(DiskFull, match=r"all\.zip"):
        write_zip(target / "all.zip", {"a": tmp_path / "a"})
    assert not list(target.iterdir())


def test_a_zip_grows_beyond_what_old_zip_can_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(bytes(5000))
    # Four gigabytes are not written: the limit at which zipfile turns to zip64 is lowered instead.
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1000)
    path = write_zip(tmp_path / "all.zip", {"a": tmp_path / "a", "b": tmp_path / "a"})
    assert b"PK\x06\x06" in path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and len(archive.read("b")) == 5000
