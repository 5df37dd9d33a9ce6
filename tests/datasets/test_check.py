"""What a check finds out about a folder that is complete by name: headers, lengths, silence, sums, twins, damage."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from separation.audio import BLOCK
from separation.datasets import Problem, check
from separation.datasets.check import LOSSY_NULL_DB, NULL_DB
from separation.errors import DataError
from tests.datasets.tiny_sets import make_choral, make_folder, make_fuss, make_musdb18_hq, make_wham, noise, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "set")


def only(problems: list[Problem]) -> Problem:
    assert len(problems) == 1, problems
    return problems[0]


def rewrite(path: Path, change: object, sample_rate: int = 8000) -> None:
    sf.write(path, change(sf.read(path, dtype="float32")[0]), sample_rate, subtype="FLOAT")  # type: ignore[operator]


def test_a_whole_folder(folder: Path) -> None:
    found = check(folder)
    assert (found.tracks, found.sides, found.problems, found.notes) == (3, {"train": 2, "test": 1}, [], [])
    assert found.stems == {"accompaniment": 3, "mixture": 3, "vocals": 3}
    assert found.sample_rates == {8000: 9} and found.channels == {2: 9}
    assert found.hours == pytest.approx(3 * 0.2 / 3600)
    assert found.null_db is None and not found.deep
    deep = check(folder, deep=True)
    assert deep.null_db == {"worst": -200.0, "median": -200.0} and deep.deep


def test_it_is_json(folder: Path) -> None:
    (folder / "train" / "a" / "vocals.wav").unlink()
    told = json.loads(json.dumps(check(folder, deep=True).to_json()))
    assert told["problems"] == [
        {"kind": "missing", "where": "train/a/vocals.wav", "what": "is missing (2 of 3 tracks have vocals)"}
    ]
    assert told["tracks"] == 2 and told["layout"] == "folder" and told["sides"] == {"train": 1, "test": 1}


def test_missing_files_do_not_stop_the_check_of_the_others(folder: Path) -> None:
    (folder / "train" / "a" / "vocals.wav").unlink()
    rewrite(folder / "train" / "b" / "vocals.wav", lambda x: 0 * x)
    kinds = [(p.kind, p.where) for p in check(folder, deep=True).problems]
    assert kinds[:2] == [("missing", "train/a/vocals.wav"), ("silent", "train/b/vocals.wav")]


def test_a_stem_that_ends_early_is_named_with_both_lengths(folder: Path) -> None:
    rewrite(folder / "train" / "b" / "vocals.wav", lambda x: x[:400])
    for deep in (False, True):
        problem = next(p for p in check(folder, deep=deep).problems if p.kind == "length")
        assert problem.where == "train/b/vocals.wav"
        assert problem.what == "lasts 0.05 s, 0.15 s less than accompaniment (0.1 s are allowed)"


def test_a_difference_within_the_tolerance_is_none(folder: Path) -> None:
    rewrite(folder / "train" / "b" / "vocals.wav", lambda x: x[:-700])
    assert [p.kind for p in check(folder).problems] == []


def test_the_choir_may_end_within_two_seconds(tmp_path: Path) -> None:
    folder = make_choral(tmp_path)
    write(folder / "CSD_ER_alto_2.wav", noise("long", length=8 * 1600))
    assert check(folder).problems == []
    write(folder / "CSD_ER_alto_2.wav", noise("long", length=12 * 1600))
    assert {p.where for p in check(folder).problems} == {f"CSD_ER_{v}_2.wav" for v in ("soprano", "tenor", "bass")}


@pytest.mark.parametrize("kind", ["rate", "channels"])
def test_stems_that_do_not_go_together(kind: str, folder: Path) -> None:
    path = folder / "test" / "c" / "vocals.wav"
    if kind == "rate":
        write(path, noise("x", length=3200, channels=2), 16_000)
    else:
        write(path, noise("x", channels=3))
    for deep in (False, True):
        problem = only(check(folder, deep=deep).problems)
        assert (problem.kind, problem.where) == (kind, "test/c")
    assert ("16,000 Hz (vocals)" if kind == "rate" else "3 channels (vocals)") in problem.what


def test_a_mono_stem_goes_with_a_stereo_mixture(folder: Path) -> None:
    stems = {name: sf.read(folder / f"test/c/{name}.wav", dtype="float32")[0] for name in ("vocals", "accompaniment")}
    mono = stems["vocals"][:, :1]
    sf.write(folder / "test/c/vocals.wav", mono, 8000, subtype="FLOAT")
    sf.write(folder / "test/c/mixture.wav", mono + stems["accompaniment"], 8000, subtype="FLOAT")
    found = check(folder, deep=True)
    assert found.problems == [] and found.null_db is not None and found.null_db["worst"] < -120


def test_silent_stems_are_named_once(folder: Path) -> None:
    for name in ("vocals", "accompaniment", "mixture"):
        rewrite(folder / "train" / "a" / f"{name}.wav", lambda x: 1e-7 * x)
    problems = check(folder, deep=True).problems
    assert [(p.kind, p.where) for p in problems] == [
        ("silent", f"train/a/{name}.wav") for name in ("accompaniment", "mixture", "vocals")
    ]
    assert check(folder).problems == []


def test_a_mixture_that_is_not_the_sum_is_named_with_its_null(folder: Path) -> None:
    rewrite(folder / "train" / "a" / "mixture.wav", lambda x: np.flip(x))
    problem = only(check(folder, deep=True).problems)
    assert (problem.kind, problem.where) == ("mixture", "train/a/mixture.wav")
    assert f"dB of it ({NULL_DB:g} dB are allowed)" in problem.what and "with the stems" not in problem.what


def test_a_mixture_at_another_level_is_named_with_the_gain(folder: Path) -> None:
    rewrite(folder / "train" / "a" / "mixture.wav", lambda x: 0.5 * x)
    problem = only(check(folder, deep=True).problems)
    assert "the difference is 0.0 dB of it" in problem.what
    assert "with the stems -6.02 dB it would be -" in problem.what


def test_the_null_is_measured_beyond_one_block_and_16_bits_are_enough(folder: Path) -> None:
    rng = np.random.default_rng(0)
    stems = {n: 0.1 * rng.standard_normal(BLOCK + 5000) for n in ("vocals", "accompaniment")}
    for name, samples in {**stems, "mixture": sum(stems.values())}.items():
        sf.write(folder / "train" / "a" / f"{name}.wav", samples, 8000, subtype="PCM_16")
    found = check(folder, deep=True)
    assert found.problems == [] and found.null_db is not None
    assert -85 < found.null_db["worst"] < -70
    samples = sf.read(folder / "train" / "a" / "mixture.wav")[0]
    samples[BLOCK:] *= -1
    sf.write(folder / "train" / "a" / "mixture.wav", samples, 8000, subtype="PCM_16")
    assert only(check(folder, deep=True).problems).kind == "mixture"


def test_coding_is_allowed_more(folder: Path) -> None:
    """Vorbis does not keep a wave sample for sample, and each file is coded by itself."""
    time = np.arange(44_100) / 44_100
    rng = np.random.default_rng(2)
    stems = {"vocals": 0.3 * np.sin(2 * np.pi * 330 * time), "accompaniment": 0.1 * np.sin(2 * np.pi * 990 * time)}
    stems = {name: wave + 0.01 * rng.standard_normal(wave.shape) for name, wave in stems.items()}
    for name, wave in {**stems, "mixture": sum(stems.values())}.items():
        (folder / "train" / "a" / f"{name}.wav").unlink()
        sf.write(folder / "train" / "a" / f"{name}.ogg", wave, 44_100)
    found = check(folder, deep=True)
    assert found.problems == [] and found.null_db is not None
    assert NULL_DB < found.null_db["worst"] < LOSSY_NULL_DB


def test_a_missing_sound_of_fuss_is_heard_in_the_sum(tmp_path: Path) -> None:
    (make_fuss(tmp_path) / "ssdata" / "train" / "example00000_sources" / "foreground1_sound.wav").unlink()
    assert check(tmp_path).problems == []
    problem = only(check(tmp_path, deep=True).problems)
    assert problem.where == "ssdata/train/example00000.wav" and problem.kind == "mixture"


def test_the_same_samples_on_two_sides_are_named_with_both_files(folder: Path) -> None:
    for name in ("vocals", "accompaniment", "mixture"):
        data, rate = sf.read(folder / "train" / "b" / f"{name}.wav", dtype="int16")
        (folder / "test" / "c" / f"{name}.wav").unlink()
        sf.write(folder / "test" / "c" / f"{name}.flac", data, rate)
    assert check(folder).problems == []
    problems = check(folder, deep=True).problems
    assert [p.kind for p in problems] == ["duplicate"] * 3
    assert str(problems[0]) == (
        "train/b/accompaniment.wav (train) holds the same samples as test/c/accompaniment.flac (test)"
    )


def test_the_same_samples_on_one_side_are_no_leak_but_two_equal_stems_are_an_error(folder: Path) -> None:
    for name in ("vocals", "accompaniment", "mixture"):
        (folder / "train" / "b" / f"{name}.wav").write_bytes((folder / "train" / "a" / f"{name}.wav").read_bytes())
    assert check(folder, deep=True).problems == []
    voice = (folder / "train" / "a" / "vocals.wav").read_bytes()
    (folder / "train" / "a" / "accompaniment.wav").write_bytes(voice)
    problems = check(folder, deep=True).problems
    assert [p.kind for p in problems] == ["duplicate", "mixture"]
    assert str(problems[0]) == "train/a/vocals.wav holds the same samples as train/a/accompaniment.wav"


def test_nan_is_named(folder: Path) -> None:
    rewrite(folder / "train" / "a" / "vocals.wav", lambda x: np.where(np.arange(len(x))[:, None] == 7, np.nan, x))
    problem = only(check(folder, deep=True).problems)
    assert str(problem) == "train/a/vocals.wav holds NaN or infinity"


def test_a_file_that_is_cut_short_is_named_by_its_header(folder: Path) -> None:
    path = folder / "train" / "a" / "vocals.wav"
    path.write_bytes(path.read_bytes()[:-2000])
    for deep in (False, True):
        problems = [p for p in check(folder, deep=deep).problems if p.kind == "damaged"]
        assert only(problems).where == "train/a/vocals.wav" and "cut short" in problems[0].what


def test_damage_inside_a_file_is_found_by_a_deep_check_only(folder: Path) -> None:
    path = folder / "train" / "a" / "vocals.flac"
    rng = np.random.default_rng(1)
    sf.write(path, 0.3 * rng.standard_normal((48_000, 2)), 8000)
    (folder / "train" / "a" / "vocals.wav").unlink()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    path.write_bytes(data)
    assert not [p for p in check(folder).problems if p.kind == "damaged"]
    problem = next(p for p in check(folder, deep=True).problems if p.kind == "damaged")
    assert problem.where == "train/a" and "vocals.flac" in problem.what and "damaged there" in problem.what


def test_scratch_files_are_put_where_they_were_asked_for_and_go(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "set")
    for path in folder.rglob("vocals.wav"):
        sf.write(path.with_suffix(".ogg"), sf.read(path)[0], 8000)
        path.unlink()
    seen = []
    check(
        folder,
        deep=True,
        scratch=tmp_path / "scratch",
        progress=lambda *_: seen.append((tmp_path / "scratch").exists()),
    )
    assert seen == [False, True, True] and not list((tmp_path / "scratch").iterdir())


def test_tracks_on_no_side_are_counted(tmp_path: Path) -> None:
    folder = make_musdb18_hq(tmp_path / "hq")
    assert check(folder).sides == {"train": 2, "validation": 1, "test": 1}
    make_folder(tmp_path / "own")
    for name in ("vocals", "accompaniment", "mixture"):
        write(tmp_path / "own" / "extra" / f"{name}.wav", noise(name, channels=2))
    assert check(tmp_path / "own").notes == ["1 of 4 tracks are on no side of the split"]


def test_another_task_of_the_same_folder_is_checked_by_name(tmp_path: Path) -> None:
    make_wham(tmp_path)
    assert check(tmp_path).layout == "wham"
    assert check(tmp_path, "wham_single").stems == {"mixture": 4, "s1": 4, "noise": 4}
    with pytest.raises(DataError, match="the layouts are"):
        check(tmp_path, "wham_noisy")
