"""What single readers know of their sets: material, sides, known errors, and damage that only they can name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from separation.datasets import LAYOUTS, check, check_split, open_stem
from separation.datasets.tracks import Track
from separation.errors import DataError
from tests.datasets.tiny_sets import (
    BUILDERS,
    LIBRI_NAMES,
    MUSDB18_STEMS,
    WSJ0_NAMES,
    make_choral,
    make_folder,
    make_frets_on_fire,
    make_fuss,
    make_mir1k_original,
    make_mixtures,
    make_moisesdb,
    make_musdb18_hq,
    make_wham,
    noise,
    write,
    write_streams,
)


def sides(name: str, folder: Path) -> dict[str, list[Track]]:
    split = LAYOUTS[name].split
    assert split is not None
    return split(LAYOUTS[name].read(folder))


def songs(tracks: list[Track]) -> list[str]:
    return [track.labels["song"] for track in tracks]


# MUSDB18


@pytest.mark.parametrize("name", ["musdb18", "musdb18_hq"])
def test_musdb18_validates_on_the_published_songs(name: str, tmp_path: Path) -> None:
    parts = sides(name, BUILDERS[name](tmp_path))
    assert {side: songs(tracks) for side, tracks in parts.items()} == {
        "train": ["Actions - Devil's Words", "Somebody - Song"],
        "validation": ["Actions - One Minute Smile"],
        "test": ["Somebody Else - Tune"],
    }
    first = parts["train"][0]
    assert first.name == "train/Actions - Devil's Words"
    assert first.material == {"artist:Actions", "song:Actions - Devil's Words"}
    assert list(first.stems) == ["mixture", *MUSDB18_STEMS]


def test_the_streams_of_a_stem_mp4_are_the_stems_in_their_order(tmp_path: Path) -> None:
    track = LAYOUTS["musdb18"].read(BUILDERS["musdb18"](tmp_path))[0]
    assert [path.name for path in track.stems.values()] == [f"Actions - Devil's Words.stem.mp4#{i}" for i in range(5)]
    loudest = {}
    for stem in MUSDB18_STEMS:
        with open_stem(track, stem) as reader:
            assert (reader.sample_rate, reader.channels) == (44100, 2)
            spectrum = np.abs(np.fft.rfft(reader.read(2048, 8192)[0] * np.hanning(8192)))
        loudest[stem] = spectrum.argmax() * 44100 / 8192
    base = 150 + len("Actions - Devil's Words")
    assert loudest == pytest.approx(dict(zip(MUSDB18_STEMS, (base, 2 * base, 4 * base, 8 * base), strict=True)), abs=6)


def test_what_the_published_split_shares_is_a_note_and_anything_else_is_refused(tmp_path: Path) -> None:
    make_musdb18_hq(tmp_path)
    shutil.copytree(tmp_path / "train" / "Somebody - Song", tmp_path / "test" / "Skelpolu - Resurrection")
    shutil.copytree(tmp_path / "train" / "Somebody - Song", tmp_path / "train" / "Skelpolu - Together Alone")
    found = check(tmp_path)
    assert found.problems == []
    assert [note for note in found.notes if "artist:Skelpolu" in note and note.startswith("train and test")]
    assert [note for note in found.notes if "artist:Actions" in note and note.startswith("train and validation")]
    assert sides("musdb18_hq", tmp_path)
    shutil.copytree(tmp_path / "train" / "Somebody - Song", tmp_path / "test" / "Somebody feat. Nobody - Other Song")
    with pytest.raises(DataError, match=r"artist:Somebody is in train \(.*Song\) and in test \(.*Other Song\)"):
        sides("musdb18_hq", tmp_path)
    (problem,) = check(tmp_path).problems
    assert problem.kind == "shared" and "artist:Somebody is in train" in str(problem)


def test_the_published_errata_are_notes(tmp_path: Path) -> None:
    make_musdb18_hq(tmp_path)
    (tmp_path / "test" / "Somebody Else - Tune").rename(tmp_path / "test" / "PR - Oh No")
    assert "test/PR - Oh No: the stems do not add up to the mixture in the left channel" in check(tmp_path).notes


def test_a_stem_mp4_with_too_few_streams_is_named_stream_by_stream(tmp_path: Path) -> None:
    write_streams(tmp_path / "test" / "A - B.stem.mp4", [np.zeros((2, 4096), np.float32)] * 3)
    problems = check(tmp_path).problems
    assert [problem.where for problem in problems] == ["test/A - B.stem.mp4#3", "test/A - B.stem.mp4#4"]
    assert "it holds 3 sound streams, 0 to 2" in str(problems[0])


def test_a_stem_in_two_formats_is_not_chosen_between(tmp_path: Path) -> None:
    make_musdb18_hq(tmp_path)
    write(tmp_path / "test" / "Somebody Else - Tune" / "drums.flac", noise("x"))
    with pytest.raises(DataError, match=r"test/Somebody Else - Tune/drums\.wav is there in two formats"):
        LAYOUTS["musdb18_hq"].read(tmp_path)


@pytest.mark.parametrize("name", ["musdb18", "musdb18_hq"])
def test_songs_in_a_folder_of_their_own_for_validation_are_not_left_out_in_silence(name: str, tmp_path: Path) -> None:
    BUILDERS[name](tmp_path)
    shutil.copytree(tmp_path / "test", tmp_path / "valid")
    with pytest.raises(DataError, match=r"valid is no folder of the published set"):
        LAYOUTS[name].read(tmp_path)


# MoisesDB


def test_a_stem_of_moisesdb_is_the_sum_of_its_files(tmp_path: Path) -> None:
    track = LAYOUTS["moisesdb"].read(make_moisesdb(tmp_path))[0]
    folder = tmp_path / "moisesdb_v0.1" / "0001-aa"
    assert track.stems["vocals"] == folder / "vocals" and track.stems["drums"] == folder / "drums" / "drums-kit.wav"
    assert track.material == {"artist:Ann", "song:Ann - One"}
    assert track.labels == {"artist": "Ann", "title": "One", "genre": "rock", "bleed": "drums"}
    with open_stem(track, "vocals") as reader:
        heard = reader.read(0, reader.length)
    parts = [sf.read(folder / "vocals" / f"vocals-{name}.wav", dtype="float32")[0].T for name in ("lead", "backing")]
    assert np.array_equal(heard, parts[0] + parts[1])


def test_moisesdb_names_files_that_its_table_does_not(tmp_path: Path) -> None:
    make_moisesdb(tmp_path)
    write(tmp_path / "moisesdb_v0.1" / "0002-bb" / "vocals" / "extra.wav", noise("extra"))
    with pytest.raises(DataError) as failure:
        LAYOUTS["moisesdb"].read(tmp_path)
    assert failure.value.found == "moisesdb_v0.1/0002-bb/vocals/extra.wav is not in data.json"


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "Expecting property name"), ('{"stems": []}', "no 'artist'"), ('{"stems": 3}', "not iterable")],
)
def test_a_broken_table_of_moisesdb_is_named(text: str, said: str, tmp_path: Path) -> None:
    make_moisesdb(tmp_path)
    (tmp_path / "moisesdb_v0.1" / "0003-cc" / "data.json").write_text(text)
    found = LAYOUTS["moisesdb"].find(tmp_path)
    assert len(found.tracks) == 2
    (problem,) = found.problems
    assert problem.where == "moisesdb_v0.1/0003-cc/data.json" and said in problem.what


def test_two_songs_of_one_artist_cannot_be_on_two_sides(tmp_path: Path) -> None:
    ann, other, bob = LAYOUTS["moisesdb"].read(make_moisesdb(tmp_path))
    check_split({"train": [ann, other], "test": [bob]})
    with pytest.raises(DataError, match="artist:Ann"):
        check_split({"train": [ann], "test": [other, bob]})


# MIR-1K as it was published


def test_the_original_mir1k_has_music_left_and_voice_right(tmp_path: Path) -> None:
    folder = make_mir1k_original(tmp_path)
    track = LAYOUTS["mir1k_original"].read(folder)[1]
    assert track.name == "abjones/abjones_1_01"
    samples = sf.read(folder / "Wavfile" / "abjones_1_01.wav", dtype="float32")[0].T
    for stem, channel in (("accompaniment", 0), ("vocals", 1)):
        with open_stem(track, stem) as reader:
            assert reader.channels == 1
            assert np.array_equal(reader.read(0, reader.length)[0], samples[channel])


def test_the_published_protocol_of_mir1k_and_the_backing_it_shares(tmp_path: Path) -> None:
    folder = make_mir1k_original(tmp_path)
    parts = sides("mir1k_original", folder)
    assert [t.labels["singer"] for t in parts["train"]] == ["abjones", "amy"]
    assert [t.labels["singer"] for t in parts["test"]] == ["Kenshin", "titon"]
    (note,) = check(folder).notes
    assert "train and test share backing:Kenshin_3" in note
    shutil.copy(folder / "Wavfile" / "amy_4_02.wav", folder / "Wavfile" / "fdps_9_01.wav")
    assert not check(folder).problems


def test_a_mono_file_in_the_original_mir1k_is_named(tmp_path: Path) -> None:
    folder = make_mir1k_original(tmp_path)
    write(folder / "Wavfile" / "titon_2_07.wav", noise("mono"), 16_000)
    for deep in (False, True):
        (problem,) = check(folder, deep=deep).problems
        assert problem.where == "Wavfile/titon_2_07.wav#right" and "1 channel" in problem.what


def test_a_name_without_singer_and_song_is_named(tmp_path: Path) -> None:
    folder = make_mir1k_original(tmp_path)
    write(folder / "Wavfile" / "titon.wav", noise("x", channels=2))
    with pytest.raises(DataError, match=r"Wavfile/titon\.wav is not named SINGER_SONG_CLIP"):
        LAYOUTS["mir1k_original"].read(folder)


# WSJ0-2mix, WHAM!, LibriMix


def test_speakers_of_wsj0_are_read_from_the_names(tmp_path: Path) -> None:
    parts = sides("wsj0_mix", BUILDERS["wsj0_mix"](tmp_path))
    assert {side: len(tracks) for side, tracks in parts.items()} == {"train": 2, "validation": 1, "test": 1}
    (test,) = parts["test"]
    assert test.name == "tt/050a0501_1.7783_442o030z_-1.7783"
    assert test.material == {"speaker:wsj0:050", "speaker:wsj0:442"}
    assert list(test.stems) == ["mixture", "s1", "s2"]


def test_wsj0_may_share_speakers_between_train_and_validation_but_not_with_test(tmp_path: Path) -> None:
    root = make_mixtures(tmp_path, WSJ0_NAMES, {"mix": ("s1", "s2")})
    (note,) = check(root).notes
    assert note.startswith("train and validation share speaker:wsj0:01t, speaker:wsj0:409: ")
    make_mixtures(root, {"tt": ("01tc0209_1_442o0301_-1",)}, {"mix": ("s1", "s2")})
    with pytest.raises(DataError, match=r"speaker:wsj0:01t is in train \(.*\) and in test \(tt/01tc0209"):
        sides("wsj0_mix", root)
    assert {problem.kind for problem in check(root).problems} == {"shared"}


def test_librimix_shares_no_speaker_at_all(tmp_path: Path) -> None:
    names = {**LIBRI_NAMES, "dev": ("103-1240-0009_2035-147961-0014",)}
    root = make_mixtures(tmp_path, names, {"mix_clean": ("s1", "s2")})
    with pytest.raises(DataError, match=r"speaker:librispeech:103 is in train \(train-100/103-.*\) and in validation"):
        sides("librimix_clean", root)


def test_both_training_parts_of_librimix_are_for_training(tmp_path: Path) -> None:
    parts = sides("librimix", BUILDERS["librimix"](tmp_path))
    assert [track.labels["part"] for track in parts["train"]] == ["train-100", "train-360"]
    assert list(parts["test"][0].stems) == ["mixture", "s1", "s2", "noise"]


def test_the_tasks_of_wham_have_their_own_mixture_and_stems(tmp_path: Path) -> None:
    make_wham(tmp_path)
    for name, mixture, stems in (
        ("wham", "mix_both", ["mixture", "s1", "s2", "noise"]),
        ("wham_clean", "mix_clean", ["mixture", "s1", "s2"]),
        ("wham_single", "mix_single", ["mixture", "s1", "noise"]),
    ):
        track = LAYOUTS[name].read(tmp_path)[0]
        assert list(track.stems) == stems and track.stems["mixture"].parent.name == mixture
        found = check(tmp_path, name, deep=True)
        assert found.problems == [] and found.null_db == {"worst": -200.0, "median": -200.0}
        assert len(track.material) == (1 if name == "wham_single" else 2)


def test_several_versions_are_listed_and_not_chosen_from(tmp_path: Path) -> None:
    for version in ("wav8k/min", "wav8k/max", "wav16k/min"):
        make_mixtures(tmp_path / version, {"tt": WSJ0_NAMES["tt"]}, {"mix": ("s1", "s2")})
    with pytest.raises(DataError, match=r"several versions.*wav16k/min, wav8k/max, wav8k/min; pass one of them"):
        LAYOUTS["wsj0_mix"].read(tmp_path)
    assert len(LAYOUTS["wsj0_mix"].read(tmp_path / "wav8k" / "max")) == 1


@pytest.mark.parametrize("name", ["050a0501_1.7783_442o030z", "a_b_c_d", "050a0501_x_442o030z_1", "mixture"])
def test_a_mixture_that_does_not_tell_its_speakers_is_named(name: str, tmp_path: Path) -> None:
    make_mixtures(tmp_path, {"tt": (*WSJ0_NAMES["tt"], name)}, {"mix": ("s1", "s2")})
    with pytest.raises(DataError) as failure:
        LAYOUTS["wsj0_mix"].read(tmp_path)
    assert failure.value.found == f"tt/mix/{name}.wav is not named after 2 utterances"


def test_three_speakers_need_three_folders(tmp_path: Path) -> None:
    three = "050a0501_1_442o030z_-1_441c020b_0"
    make_mixtures(tmp_path, {"tt": (three,)}, {"mix": ("s1", "s2", "s3")}, 3)
    (track,) = LAYOUTS["wsj0_mix"].read(tmp_path)
    assert list(track.stems) == ["mixture", "s1", "s2", "s3"] and len(track.material) == 3
    shutil.rmtree(tmp_path / "tt" / "s3")
    with pytest.raises(DataError, match="is not named after 2 utterances"):
        LAYOUTS["wsj0_mix"].read(tmp_path)


# FUSS


def test_fuss_has_as_many_stems_as_there_are_sounds(tmp_path: Path) -> None:
    parts = sides("fuss", make_fuss(tmp_path))
    assert {side: sorted(track.stems) for side, (track,) in parts.items()} == {
        "train": ["background0_sound", "foreground0_sound", "foreground1_sound", "mixture"],
        "validation": ["background0_sound", "foreground0_sound", "mixture"],
        "test": ["background0_sound", "mixture"],
    }
    assert parts["test"][0].material == {"clip:evalbackground0_sound.wav"}


def test_sources_of_fuss_may_be_in_folders_of_their_kind(tmp_path: Path) -> None:
    sources = make_fuss(tmp_path) / "ssdata" / "train" / "example00000_sources"
    for kind in ("background", "foreground"):
        (sources / kind).mkdir()
        for path in sources.glob(f"{kind}*_sound.wav"):
            path.rename(sources / kind / path.name)
    assert len(LAYOUTS["fuss"].read(tmp_path)[0].stems) == 4


def test_a_clip_on_two_sides_of_fuss_is_refused(tmp_path: Path) -> None:
    make_fuss(tmp_path)
    shutil.copy(tmp_path / "ssdata/train/example00000.jams", tmp_path / "ssdata/eval/example00000.jams")
    with pytest.raises(DataError, match=r"clip:train\w+\.wav is in train \(train/example00000\) and in test"):
        sides("fuss", tmp_path)


def test_fuss_without_annotations_is_read_and_a_broken_one_is_named(tmp_path: Path) -> None:
    for path in make_fuss(tmp_path).rglob("*.jams"):
        path.unlink()
    assert not any(track.material for track in LAYOUTS["fuss"].read(tmp_path))
    (tmp_path / "ssdata" / "train" / "example00000.jams").write_text(json.dumps({"annotations": []}))
    with pytest.raises(DataError, match=r"ssdata/train/example00000\.jams does not tell its clips"):
        LAYOUTS["fuss"].read(tmp_path)


def test_both_versions_of_fuss_are_not_chosen_from(tmp_path: Path) -> None:
    shutil.copytree(make_fuss(tmp_path) / "ssdata", tmp_path / "ssdata_reverb")
    with pytest.raises(DataError, match="ssdata, ssdata_reverb"):
        LAYOUTS["fuss"].read(tmp_path)


# Choral Singing Dataset


def test_a_quartet_is_one_singer_of_each_voice(tmp_path: Path) -> None:
    tracks = LAYOUTS["choral"].read(make_choral(tmp_path))
    assert [track.name for track in tracks] == [f"CSD_{p}/singer_{i}" for p in ("ER", "ND") for i in range(1, 5)]
    assert tracks[1].stems == {v: tmp_path / f"CSD_ER_{v}_2.wav" for v in ("soprano", "alto", "tenor", "bass")}
    assert tracks[1].material == tracks[5].material
    with pytest.raises(DataError, match="singer:csd:alto_1"):
        check_split({"train": tracks[:4], "test": tracks[4:]})
    check_split({"train": [tracks[0], tracks[4]], "test": [tracks[1], tracks[5]]})


def test_the_earlier_names_of_the_choir_are_known(tmp_path: Path) -> None:
    for voice, numbers in {"Soprano": "05", "ContraAlt": "07", "Bajos": "04"}.items():
        for singer in range(1, 5):
            write(tmp_path / f"nino_{voice}_{singer}{numbers}.flac", noise(f"{voice}{singer}"))
    for singer in range(1, 5):
        write(tmp_path / f"nino_tenor{singer}-06-2.flac", noise(f"tenor{singer}"))
    tracks = LAYOUTS["choral"].read(tmp_path)
    assert [track.name for track in tracks] == [f"nino/singer_{i}" for i in range(1, 5)]
    assert {stem: path.name for stem, path in tracks[2].stems.items()} == {
        "soprano": "nino_Soprano_305.flac", "alto": "nino_ContraAlt_307.flac",
        "tenor": "nino_tenor3-06-2.flac", "bass": "nino_Bajos_304.flac",
    }  # fmt: skip


def test_a_second_take_of_a_singer_is_named(tmp_path: Path) -> None:
    write(make_choral(tmp_path) / "CSD_ER_alto_2.flac", noise("take"))
    with pytest.raises(DataError, match=r"CSD_ER_alto_2\.wav is a second alto 2 of CSD_ER"):
        LAYOUTS["choral"].read(tmp_path)


# Frets on Fire


def test_songs_of_frets_on_fire_have_artist_and_title(tmp_path: Path) -> None:
    one, two = LAYOUTS["frets_on_fire"].read(make_frets_on_fire(tmp_path))
    assert (one.name, list(one.stems)) == ("pack/one", ["guitar", "song"])
    assert (two.name, list(two.stems)) == ("pack/two", ["guitar", "song", "rhythm"])
    assert one.material == {"artist:The 100 %", "song:The 100 % - one"}
    assert LAYOUTS["frets_on_fire"].read(tmp_path / "pack" / "one")[0].name == "one"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("song.ini", None, "pack/one/song.ini is missing"),
        ("song.ini", "no section", "pack/one/song.ini has no readable section [song]"),
        ("song.ini", "[other]\nname = x", "pack/one/song.ini has no readable section [song]"),
        ("drums.ogg", "", "pack/one/drums.ogg is a part of the song that is not read here"),
    ],
)
def test_what_is_odd_about_a_song_is_named(name: str, text: str | None, said: str, tmp_path: Path) -> None:
    path = make_frets_on_fire(tmp_path) / "pack" / "one" / name
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(DataError) as failure:
        LAYOUTS["frets_on_fire"].read(tmp_path)
    assert failure.value.found.startswith(said)


# Any folder


def test_a_folder_without_sides_has_no_split(tmp_path: Path) -> None:
    folder = make_folder(tmp_path) / "train"
    tracks = LAYOUTS["folder"].read(folder)
    assert [track.name for track in tracks] == ["a", "b"]
    assert LAYOUTS["folder"].split is not None and LAYOUTS["folder"].split(tracks) == {}


def test_a_stem_that_few_tracks_have_is_not_asked_of_the_others(tmp_path: Path) -> None:
    folder = make_folder(tmp_path) / "train"
    write(folder / "a" / "piano.wav", noise("piano", channels=2))
    assert [len(track.stems) for track in LAYOUTS["folder"].read(folder)] == [4, 3]


def test_a_stem_that_most_tracks_have_is_asked_of_all(tmp_path: Path) -> None:
    (make_folder(tmp_path) / "train" / "b" / "vocals.wav").unlink()
    with pytest.raises(DataError) as failure:
        LAYOUTS["folder"].read(tmp_path)
    assert failure.value.found == "train/b/vocals.wav is missing (2 of 3 tracks have vocals)"


def test_a_folder_that_is_neither_track_nor_side_is_named(tmp_path: Path) -> None:
    shutil.copytree(make_folder(tmp_path) / "train", tmp_path / "valid")
    (tmp_path / "notes").mkdir()
    with pytest.raises(DataError) as failure:
        LAYOUTS["folder"].read(tmp_path)
    assert failure.value.found == (
        "valid holds folders with audio, but is no track and none of train, validation, test"
    )


def test_a_track_on_two_sides_is_refused(tmp_path: Path) -> None:
    shutil.copytree(make_folder(tmp_path) / "train" / "a", tmp_path / "test" / "a")
    with pytest.raises(DataError, match=r"track:a is in train \(train/a\) and in test \(test/a\)"):
        sides("folder", tmp_path)
