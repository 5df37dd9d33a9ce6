"""What visitors may measure on: offers by key only, and uploads that are taken for hostile."""

import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from page_services import example, noise

from separation.errors import DataError
from separation.ui.evaluate_data import MAX_FILES, example_tracks, offers, unpack
from separation.ui.examples import read_examples

LIMIT = 1e6


def archive(path: Path, members: Mapping[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as zipped:
        for name, content in members.items():
            zipped.writestr(zipfile.ZipInfo(name) if compression == zipfile.ZIP_STORED else name, content)
    return path


def unpacked(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_good_archive_is_unpacked_without_clutter(tmp_path: Path) -> None:
    members = {
        "set/song one/vocals.wav": b"a",
        "set/song one/accompaniment.WAV": b"b",
        "set/song two/vocals.flac": b"c",
        "__MACOSX/set/song one/._vocals.wav": b"x",
        "set/.DS_Store": b"x",
        "set/song one/readme.txt": b"x",
    }
    unpack(archive(tmp_path / "good.zip", members), tmp_path / "out", max_bytes=LIMIT)
    assert unpacked(tmp_path / "out") == ["song one/accompaniment.WAV", "song one/vocals.wav", "song two/vocals.flac"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("../song/vocals.wav", "outside its folder"),
        ("/etc/song/vocals.wav", "outside its folder"),
        ("song/../../vocals.wav", "outside its folder"),
        ("C:/song/vocals.wav", "outside its folder"),
        ("song\\..\\..\\vocals.wav", "outside its folder"),
        ("vocals.wav", "not TRACK/STEM"),
        ("a/b/c/vocals.wav", "not TRACK/STEM"),
        ("song/vocals.exe", "holds no recording"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, found: str) -> None:
    with pytest.raises(DataError, match=found):
        unpack(archive(tmp_path / "bad.zip", {name: b"x"}), tmp_path / "deep" / "out", max_bytes=LIMIT)
    assert not [path for path in tmp_path.rglob("*") if path.name in ("vocals.wav", "vocals.exe")]


def test_links_and_passwords_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("song/vocals.wav")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as zipped:
        zipped.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="a link"):
        unpack(tmp_path / "link.zip", tmp_path / "out", max_bytes=LIMIT)
    secret = archive(tmp_path / "secret.zip", {"song/vocals.wav": b"x"})
    data = bytearray(secret.read_bytes())
    for at in (6, data.index(b"PK\x01\x02") + 8):  # the flags of both headers
        data[at] |= 1
    secret.write_bytes(bytes(data))
    with pytest.raises(DataError, match="encrypted"):
        unpack(secret, tmp_path / "out", max_bytes=LIMIT)


def test_bombs_are_refused_by_what_they_say_and_by_what_they_are(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "b.zip", {"s/vocals.wav": b"\0" * 3_000_000}, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 10_000
    with pytest.raises(DataError, match="unpacks to 3 MB; this page takes 1 MB"):
        unpack(bomb, tmp_path / "out", max_bytes=LIMIT)
    data = bytearray(bomb.read_bytes())
    for at in (22, data.index(b"PK\x01\x02") + 24):  # claims to be 10 bytes long
        data[at : at + 4] = struct.pack("<I", 10)
    bomb.write_bytes(bytes(data))
    with pytest.raises(DataError):
        unpack(bomb, tmp_path / "liar", max_bytes=LIMIT)
    assert sum(path.stat().st_size for path in (tmp_path / "liar").rglob("*") if path.is_file()) <= LIMIT


def test_too_many_files_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    many = archive(tmp_path / "many.zip", {f"song {i}/v.wav": b"" for i in range(MAX_FILES + 1)})
    with pytest.raises(DataError, match=f"{MAX_FILES + 1} files"):
        unpack(many, tmp_path / "out", max_bytes=LIMIT)
    twice = archive(tmp_path / "twice.zip", {"a/song/v.wav": b"1", "b/song/v.wav": b"2"})
    with pytest.raises(DataError, match="two files would be"):
        unpack(twice, tmp_path / "out", max_bytes=LIMIT)


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 and then nothing"])
def test_what_is_no_archive_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "song.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"Unpack song\.zip: it is not a zip archive"):
        unpack(tmp_path / "song.zip", tmp_path / "out", max_bytes=LIMIT)


def test_offers_are_known_by_keys_that_say_nothing(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    found = offers([tmp_path / "one", tmp_path / "two", tmp_path / "gone"])
    assert [offer.title for offer in found.values()] == ["one", "two"]
    assert all(len(key) == 12 and "one" not in key and str(tmp_path) not in offer.title for key, offer in found.items())


def test_examples_become_tracks_with_their_own_mixture(tmp_path: Path) -> None:
    example(tmp_path / "swell", "A swell", "vocals", 1, 2.0)
    (track,) = example_tracks(read_examples(tmp_path))
    assert track.name == "A swell" and set(track.stems) == {"mixture", "part"}


def test_noise_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a zip archive"):
        unpack(noise(tmp_path / "song.wav", 0.1), tmp_path / "out", max_bytes=LIMIT)
