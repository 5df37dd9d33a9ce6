"""Data sets: what a good folder gives, and what is said about a broken one, file by file."""

from pathlib import Path

import pytest

from separation.datasets import Track, check_split, mir1k, packages, speech
from separation.datasets.tracks import LISTED, audio_files
from separation.errors import DataError
from tests.datasets.tiny_corpora import make_librispeech, make_mir1k, make_packages, make_tsp, wav


def material(tracks: list[Track]) -> set[str]:
    return {item for track in tracks for item in track.material}


def test_mir1k_pairs_the_halves_of_each_clip(tmp_path: Path) -> None:
    make_mir1k(tmp_path, ["amy_1", "bug_2"])
    tracks = mir1k.read(tmp_path)
    assert [track.name for track in tracks] == ["amy/amy_1_01", "amy/amy_1_02", "bug/bug_2_01", "bug/bug_2_02"]
    first = tracks[0]
    assert first.stems == {
        "vocals": tmp_path / "amy" / "amy_1_01.voice.wav",
        "accompaniment": tmp_path / "amy" / "amy_1_01.music.wav",
    }
    assert first.material == {"singer:amy", "backing:amy_1"}
    assert first.labels == {"singer": "amy", "song": "amy_1"}


def test_mir1k_names_every_missing_half(tmp_path: Path) -> None:
    make_mir1k(tmp_path, ["amy_1", "bug_2"])
    (tmp_path / "amy" / "amy_1_02.voice.wav").unlink()
    (tmp_path / "bug" / "bug_2_01.music.wav").unlink()
    with pytest.raises(DataError) as failure:
        mir1k.read(tmp_path)
    assert failure.value.found == "amy/amy_1_02 has no voice file; bug/bug_2_01 has no music file"
    assert str(tmp_path) in failure.value.asked


def test_mir1k_reads_past_other_files(tmp_path: Path) -> None:
    make_mir1k(tmp_path, ["amy_1"])
    (tmp_path / "amy" / "amy_1_01.voice.txt").write_text("lyrics")
    (tmp_path / "README.md").write_text("notes")
    wav(tmp_path / "amy" / "whole.wav")
    assert len(mir1k.read(tmp_path)) == 2


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_or_missing_mir1k_says_what_belongs_there(tmp_path: Path, there: bool) -> None:
    folder = tmp_path if there else tmp_path / "nowhere"
    with pytest.raises(DataError, match=r"SINGER/CLIP\.voice\.EXT.*no clip was found.*pass the folder"):
        mir1k.read(folder)


@pytest.mark.parametrize("group", mir1k.SHARED_BACKINGS, ids="-".join)
def test_songs_over_one_backing_cannot_be_on_two_sides(tmp_path: Path, group: tuple[str, ...]) -> None:
    make_mir1k(tmp_path, group)
    by_song = {track.labels["song"]: track for track in mir1k.read(tmp_path)}
    for other in group[1:]:
        with pytest.raises(DataError, match=rf"backing:{group[0]} is in train \(.*{group[0]}.*\) and in test"):
            check_split({"train": [by_song[group[0]]], "test": [by_song[other]]})


def test_the_split_of_mir1k_shares_neither_singers_nor_backings(tmp_path: Path) -> None:
    tracks = mir1k.read(make_mir1k(tmp_path))
    sides = mir1k.split(tracks)
    assert {side: sorted({t.labels["singer"] for t in part}) for side, part in sides.items()} == {
        "train": ["Kenshin", "abjones", "amy", "davidson", "fdps"],
        "validation": ["geniusturtle"],
        "test": ["annar", "bug"],
    }
    names = list(sides)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert not material(sides[one]) & material(sides[other])
    left = {t.labels["song"] for t in tracks} - {t.labels["song"] for part in sides.values() for t in part}
    assert left == mir1k.LEFT_OUT


def test_without_what_is_left_out_the_split_of_mir1k_would_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mir1k, "LEFT_OUT", frozenset())
    with pytest.raises(DataError, match="backing:"):
        mir1k.split(mir1k.read(make_mir1k(tmp_path)))


def test_librispeech_is_read_by_part_and_speaker(tmp_path: Path) -> None:
    parts = speech.read_librispeech(make_librispeech(tmp_path))
    assert set(parts) == {"train", "validation"}
    assert [t.name for t in parts["train"]] == [
        "librispeech:19/19-198-0000", "librispeech:19/19-198-0001",
        "librispeech:26/26-198-0000", "librispeech:26/26-198-0001",
    ]  # fmt: skip
    first, second = parts["train"][:2]
    assert first.stems == {"speech": tmp_path / "train" / "19-198-0000.wav"}
    assert first.material == {"speaker:librispeech:19"}
    assert first.labels == {"speaker": "librispeech:19", "voice": "high"}
    assert second.labels["voice"] == "high", "a speaker has one voice, also in utterances that the table leaves out"


def test_librispeech_may_have_a_folder_a_speaker_and_no_table(tmp_path: Path) -> None:
    wav(tmp_path / "train" / "19" / "19-198-0000.flac")
    (track,) = speech.read_librispeech(tmp_path)["train"]
    assert track.labels == {"speaker": "librispeech:19", "voice": ""}


def test_a_folder_a_speaker(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("notes")
    speakers = speech.read_speakers(make_tsp(tmp_path), "tsp")
    assert sorted(speakers) == ["FA", "FB", "MC", "MD"]
    assert [t.name for t in speakers["FA"]] == ["tsp:FA/FA01", "tsp:FA/FA02"]
    assert material(speakers["FA"]) == {"speaker:tsp:FA"}
    with pytest.raises(DataError, match="speaker:tsp:FA"):
        check_split({"train": speakers["FA"][:1], "test": speakers["FA"][1:]})


@pytest.mark.parametrize("read", [speech.read_librispeech, lambda folder: speech.read_speakers(folder, "tsp")])
def test_speech_without_utterances_says_what_belongs_there(tmp_path: Path, read: object) -> None:
    with pytest.raises(DataError, match="no utterance was found"):
        read(tmp_path)  # type: ignore[operator]


def test_packages_are_split_by_piece(tmp_path: Path) -> None:
    sides = packages.read_music(make_packages(tmp_path))
    check_split(sides)
    train, test = ({t.name for t in sides[side]} for side in ("train", "test"))
    assert train == {
        "hyperrogue-music/one", "planetblupi-music-ogg/one", "asc-music/one", "hedgewars-data/b", "hedgewars-data/d",
        "wesnoth-1.16-music/b", "wesnoth-1.16-music/d",
    }  # fmt: skip
    assert test == {
        "hedgewars-data/a", "hedgewars-data/c", "wesnoth-1.16-music/a", "wesnoth-1.16-music/c",
        "fretsonfire-songs-sectoid/song1", "fretsonfire-songs-muldjord/song1",
    }  # fmt: skip
    two = next(t for t in sides["test"] if t.name == "fretsonfire-songs-sectoid/song1")
    assert {name: path.name for name, path in two.stems.items()} == {"guitar": "guitar.ogg", "song": "song.ogg"}


def test_a_sung_piece_is_no_accompaniment_and_moves_no_other(tmp_path: Path) -> None:
    """It is left out before the pieces are dealt to the sides."""
    before = packages.read_music(make_packages(tmp_path))
    wav(tmp_path / packages.SHARED["wesnoth-1.16-music"] / "aa" / "nunc_dimittis.ogg")
    after = packages.read_music(tmp_path)
    assert {side: [t.name for t in part] for side, part in after.items()} == {
        side: [t.name for t in part] for side, part in before.items()
    }


def test_prompts_have_a_voice_and_leave_out_what_is_not_speech(tmp_path: Path) -> None:
    make_packages(tmp_path)
    folder = tmp_path / packages.PROMPTS["asterisk-core-sounds-it-wav"]
    wav(folder / "beep.wav")
    wav(folder / "silence" / "1.wav")
    (folder / "header.wav").write_bytes(b"RIFF" + bytes(40))
    voices = packages.read_prompts(tmp_path)
    assert set(voices) == {"en_US_f_Allison", "fr_CA_f_June", "it_IT_m_Carlo", "ru_RU_f_IvrvoiceRU"}
    assert [t.name for t in voices["it_IT_m_Carlo"]] == [
        "asterisk-core-sounds-it-wav/1",
        "asterisk-core-sounds-it-wav/welcome",
    ]
    heights = {voice: {t.labels["voice"] for t in tracks} for voice, tracks in voices.items()}
    assert heights["it_IT_m_Carlo"] == {"low"}
    assert heights["fr_CA_f_June"] == {"high"}
    assert len({t.labels["speaker"] for tracks in voices.values() for t in tracks}) == 4


def test_characters_are_read_by_name(tmp_path: Path) -> None:
    for name in packages.SPEAKING:
        wav(tmp_path / packages.CHARACTERS / name / "Hello.ogg")
    wav(tmp_path / packages.CHARACTERS / "Sheep" / "Baa.ogg")
    voices = packages.read_voices(tmp_path)
    assert tuple(voices) == packages.SPEAKING
    assert voices["Surfer"][0].stems["speech"].name == "Hello.ogg"


@pytest.mark.parametrize(
    ("read", "needed"),
    [
        (packages.read_music, packages.TRAIN_ONLY | packages.SHARED | packages.TWO_STEM),
        (packages.read_prompts, packages.PROMPTS),
        (packages.read_voices, {"hedgewars-data": packages.CHARACTERS}),
    ],
)
def test_missing_packages_are_named_one_by_one(tmp_path: Path, read: object, needed: dict[str, str]) -> None:
    with pytest.raises(DataError) as failure:
        read(tmp_path)  # type: ignore[operator]
    for package, folder in needed.items():
        assert f"{package} is missing ({folder})" in failure.value.found
    make_packages(tmp_path)
    for path in (tmp_path / packages.PROMPTS["asterisk-core-sounds-ru-wav"]).rglob("*.wav"):
        path.unlink()
    with pytest.raises(DataError) as failure:
        packages.read_prompts(tmp_path)
    assert failure.value.found.startswith("asterisk-core-sounds-ru-wav is missing")
    assert ";" not in failure.value.found, "only what is missing is named"


def test_many_problems_are_counted(tmp_path: Path) -> None:
    make_mir1k(tmp_path, [f"amy_{i}" for i in range(15)])
    for path in tmp_path.rglob("*.music.wav"):
        path.unlink()
    with pytest.raises(DataError) as failure:
        mir1k.read(tmp_path)
    assert failure.value.found.count("has no music file") == LISTED
    assert failure.value.found.endswith(f"and {30 - LISTED} more")


def test_audio_files_are_sorted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b.WAV", "a.flac", "sub/c.ogg", "._a.flac", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in audio_files(tmp_path)] == ["a.flac", "b.WAV", "c.ogg"]


def test_a_split_without_shared_material_passes_and_one_side_may_repeat_it() -> None:
    one, two = (Track(name, {}, frozenset({f"singer:{name}"})) for name in "ab")
    check_split({"train": [one, one], "test": [two]})
    with pytest.raises(DataError, match=r"singer:a is in train \(a\) and in test \(a\)"):
        check_split({"train": [one], "test": [two, one]})
