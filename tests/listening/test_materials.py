"""What is prepared for a study is equally long, aligned, matched and nameless; appears whole; and is not made twice."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from study_sounds import RATE, SECONDS, Models, noise, recording, study_of, write

from separation.audio import resample
from separation.audio.loudness import component
from separation.errors import Cancelled, DataError, StudyError
from separation.listening.materials import find_studies, needed, prepare, read_prepared
from separation.listening.parts import Anchor, Item, Page, Question, System
from separation.listening.study import study_hash


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    recording(folder, "one", 1)
    recording(folder, "two", 2)
    return folder


def test_everything_of_an_item_is_equally_long_and_nameless(base: Path, tmp_path: Path) -> None:
    study = study_of("one", "two")
    prepared = prepare(study, base, tmp_path / "small", separate=Models())
    assert prepared.hash == study_hash(study) and prepared.study == "small"
    assert {(one.item, one.condition) for one in prepared.stimuli} == {
        (item, name) for item in ("one", "two") for name in ("reference", "good", "poor", "low", "mid")
    }
    assert {item: (audio.sample_rate, audio.channels, audio.length) for item, audio in prepared.items.items()} == {
        "one": (RATE, 1, RATE * SECONDS), "two": (RATE, 1, RATE * SECONDS),
    }  # fmt: skip
    sizes = {path.stat().st_size for path in (tmp_path / "small" / "audio").iterdir()}
    assert sizes == {int(2 * RATE * SECONDS)}
    names = {path.name for path in (tmp_path / "small" / "audio").iterdir()}
    assert names == {f"{one.audio}.pcm" for one in prepared.stimuli} and len(names) == 10
    for one in prepared.stimuli:
        assert len(one.audio) == 32 and not {"good", "poor", "low", "mid"} & {one.audio}
        assert hashlib.sha256(prepared.path(one).read_bytes()).hexdigest() == one.sha256
        assert one.flags == () and one.lufs is not None


def test_the_reference_is_the_target_to_16_bits(base: Path, tmp_path: Path) -> None:
    prepared = prepare(study_of("one"), base, tmp_path / "small", separate=Models())
    true, _ = sf.read(base / "one" / "target.wav", dtype="float32", always_2d=True)
    heard = prepared.samples(prepared.find("one", "reference"))
    np.testing.assert_allclose(heard, true.T, atol=0.6 / 32768)


def test_a_second_build_makes_nothing_and_another_version_runs_no_model_again(base: Path, tmp_path: Path) -> None:
    models, folder = Models(), tmp_path / "small"
    first = prepare(study_of("one"), base, folder, separate=models)
    asked = len(models.asked)
    assert prepare(study_of("one"), base, folder, separate=models) == first and read_prepared(folder) == first
    other = prepare(study_of("one", loudness="none"), base, folder, separate=models)
    assert len(models.asked) == asked == 2
    assert other.hash != first.hash and not {one.audio for one in other.stimuli} & {one.audio for one in first.stimuli}
    assert {path.stem for path in (folder / "audio").iterdir()} == {one.audio for one in other.stimuli}
    # A changed recording is another input.
    recording(base, "one", 7)
    assert prepare(study_of("one", loudness="none"), base, folder, separate=models) != other
    assert len(models.asked) == 4


def test_swapped_files_are_another_input(base: Path, tmp_path: Path) -> None:
    study = study_of("one", "two", questions=(Question(id="how", kind="acr"),))
    first = prepare(study, base, tmp_path / "small", separate=Models())
    for name in ("target.wav", "mixture.wav"):
        one, two = base / "one" / name, base / "two" / name
        kept = one.read_bytes()
        one.write_bytes(two.read_bytes())
        two.write_bytes(kept)
    second = prepare(study, base, tmp_path / "small", separate=Models())
    assert second.find("one", "good").sha256 == first.find("two", "good").sha256 != first.find("one", "good").sha256


def test_another_version_of_a_model_is_run_again(base: Path, tmp_path: Path) -> None:
    models = Models()
    for revision in "ab":
        done = prepare(study_of("one"), base, tmp_path / "small", separate=models, version=lambda name: revision)  # noqa: B023
        assert done.versions["good"] == f"half {revision}"
    assert len(models.asked) == 4


def test_a_few_samples_of_delay_are_removed_and_more_is_said(base: Path, tmp_path: Path) -> None:
    prepared = prepare(study_of("one"), base, tmp_path / "few", separate=Models(late=9))
    good = prepared.find("one", "good")
    assert good.lag == 9 and good.flags == ()
    true = prepared.samples(prepared.find("one", "reference"))
    assert component(true[:, 100:-100], prepared.samples(good)[:, 100:-100]) == pytest.approx(1, abs=0.01)

    late = prepare(study_of("one"), base, tmp_path / "more", separate=Models(late=700)).find("one", "good")
    assert late.lag == 0 and "700 samples (43.8 ms) too late" in late.flags[0]
    assert len(late.flags) == 1
    assert late.gain_db == pytest.approx(good.gain_db, abs=0.5)  # matched as if it were in time


def test_parts_of_a_sample_are_left_and_said(base: Path, tmp_path: Path) -> None:
    half = Models(change=lambda x: (x + np.roll(x, 1, axis=1)) / 2)
    good = prepare(study_of("one"), base, tmp_path / "small", separate=half).find("one", "good")
    assert good.lag in (0, 1) and "0.5 samples too" in good.flags[0]


def test_polarity_and_strangers_are_said(base: Path, tmp_path: Path) -> None:
    upside = prepare(study_of("one"), base, tmp_path / "a", separate=Models(change=lambda x: -x)).find("one", "good")
    assert any("upside down" in flag for flag in upside.flags)
    other = prepare(study_of("one"), base, tmp_path / "b", separate=Models(change=lambda x: noise(9))).find(
        "one", "good"
    )
    assert any("next to nothing of the target" in flag for flag in other.flags)
    silent = prepare(study_of("one"), base, tmp_path / "c", separate=Models(change=lambda x: 0 * x)).find("one", "good")
    assert "it is silent" in silent.flags and silent.gain_db == 0 and silent.lufs is None and silent.bandwidth_hz == 0


def test_by_default_the_target_in_every_system_is_equally_loud(base: Path, tmp_path: Path) -> None:
    quiet = Models(change=lambda x: np.float32(0.5) * x)
    prepared = prepare(study_of("one"), base, tmp_path / "small", separate=quiet)
    true = prepared.samples(prepared.find("one", "reference"))
    for name in ("good", "poor"):
        one = prepared.find("one", name)
        assert one.gain_db == pytest.approx(6.02, abs=0.3)
        assert component(true, prepared.samples(one)) == pytest.approx(1, abs=0.01)
    assert prepared.find("one", "low").gain_db == 0


def test_by_choice_everything_is_equally_loud_or_as_it_is(base: Path, tmp_path: Path) -> None:
    same = prepare(study_of("one", loudness="bs1770"), base, tmp_path / "a", separate=Models())
    levels = {one.lufs for one in same.stimuli if one.lufs is not None}
    assert len(same.stimuli) == 5 and max(levels) - min(levels) <= 0.02
    kept = prepare(study_of("one", loudness="none"), base, tmp_path / "b", separate=Models())
    assert {one.gain_db for one in kept.stimuli} == {0.0}
    assert len({one.lufs for one in kept.stimuli}) > 2


def test_one_gain_for_all_if_anything_clips(base: Path, tmp_path: Path) -> None:
    loud = noise(5) * 8
    write(base / "one" / "target.wav", loud)
    write(base / "one" / "mixture.wav", loud + noise(6))
    prepared = prepare(study_of("one", "two", loudness="none"), base, tmp_path / "small", separate=Models())
    assert prepared.gain_db < -1
    peaks = [np.abs(prepared.samples(one)).max() for one in prepared.stimuli]
    assert 0.999 < max(peaks) <= 1
    true, _ = sf.read(base / "two" / "target.wav", dtype="float32", always_2d=True)
    heard = prepared.samples(prepared.find("two", "reference"))
    np.testing.assert_allclose(heard, true.T * 10 ** (prepared.gain_db / 20), atol=0.6 / 32768)


def test_items_are_cut_and_brought_to_one_rate_and_channel_count(base: Path, tmp_path: Path) -> None:
    recording(base, "wide", 3, rate=44100, channels=2)
    study = study_of(
        "one", "wide",
        items=(
            Item(id="one", mixture="one/mixture.wav", target="one/target.wav", start=0.5, duration=1.0),
            Item(id="wide", mixture="wide/mixture.wav", target="wide/target.wav", start=0.3),
        ),
    )  # fmt: skip
    models = Models()
    prepared = prepare(study, base, tmp_path / "small", separate=models)
    assert {(audio.sample_rate, audio.channels) for audio in prepared.items.values()} == {(44100, 2)}
    assert prepared.items["one"].length == 44100
    assert prepared.items["wide"].length == round(1.7 * 44100)
    # A model hears a little more than the item, so that resampling has what lies around it, and stays aligned to the sample.
    assert all(start < 0.5 and start + duration > 1.5 for _, item, _, start, duration in models.asked if item == "one")
    assert all(one.lag == 0 for one in prepared.stimuli)
    true = prepared.samples(prepared.find("one", "reference"))
    np.testing.assert_array_equal(true[0], true[1])
    assert component(true, prepared.samples(prepared.find("one", "poor"))) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100])
def test_what_a_model_gives_lies_where_the_target_lies_at_any_rate(base: Path, tmp_path: Path, rate: int) -> None:
    """A model that is right to the bit gives the reference, wherever the item begins and whatever the study's rate is."""
    true, _ = sf.read(base / "one" / "target.wav", dtype="float32", always_2d=True)
    item = Item(id="one", mixture="one/mixture.wav", target="one/target.wav", start=0.3712, duration=0.9)
    study = study_of("one", items=(item,), sample_rate=rate, loudness="none")
    prepared = prepare(study, base, tmp_path / "small", separate=Models(change=lambda x: true.T))
    reference = prepared.samples(prepared.find("one", "reference"))
    assert reference.shape == (1, round(0.9 * rate))
    np.testing.assert_allclose(prepared.samples(prepared.find("one", "good")), reference, atol=1.1 / 32768)
    whole = resample(true.T, RATE, rate)
    first = int(np.argmin(np.abs([np.abs(whole[:, at : at + 500] - reference[:, :500]).max() for at in range(rate)])))
    assert first / rate == pytest.approx(0.3712, abs=0.02)  # on a sample of both rates
    np.testing.assert_allclose(reference, whole[:, first : first + reference.shape[1]], atol=1e-4)


def test_a_lower_rate_may_be_asked_for(base: Path, tmp_path: Path) -> None:
    prepared = prepare(study_of("one", sample_rate=8000), base, tmp_path / "small", separate=Models())
    assert prepared.items["one"].sample_rate == 8000 and prepared.items["one"].length == 8000 * SECONDS
    assert all(one.bandwidth_hz <= 4000 for one in prepared.stimuli)


def test_files_of_anybody_as_long_as_the_item_or_as_its_recording(base: Path, tmp_path: Path) -> None:
    whole, _ = sf.read(base / "one" / "target.wav", dtype="float32")
    write(base / "whole" / "one.wav", whole[None])
    write(base / "cut" / "one.wav", whole[None, RATE // 2 : RATE // 2 + RATE])
    study = study_of(
        "one",
        systems=(System(id="whole", files="whole/{item}.wav"), System(id="cut", files={"one": "cut/one.wav"})),
        items=(Item(id="one", mixture="one/mixture.wav", target="one/target.wav", start=0.5, duration=1.0),),
    )
    prepared = prepare(study, base, tmp_path / "small", separate=Models())
    reference = prepared.find("one", "reference")
    assert prepared.find("one", "whole").sha256 == prepared.find("one", "cut").sha256 == reference.sha256
    assert prepared.versions["whole"].startswith("files sha256:")


def test_without_a_target_what_needs_none_is_made(base: Path, tmp_path: Path) -> None:
    study = study_of(
        "one",
        anchors=(),
        items=(Item(id="one", mixture="one/mixture.wav", source="voice"),),
        questions=(Question(id="which", kind="ab", references=("mixture",)),),
    )
    prepared = prepare(study, base, tmp_path / "small", separate=Models(late=3))
    assert {one.condition for one in prepared.stimuli} == {"good", "poor", "mixture"}
    assert {prepared.find("one", name).lag for name in ("good", "poor")} == {3}  # found against the mixture
    loud = [prepared.find("one", name).lufs for name in ("good", "poor")]
    assert loud[0] == pytest.approx(loud[1], abs=0.02)
    assert prepared.find("one", "mixture").gain_db == 0


def test_files_alone_make_an_item(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        write(base / name / "one.wav", noise(ord(name)))
    study = study_of(
        "one",
        anchors=(),
        systems=(System(id="a", files="a/{item}.wav"), System(id="b", files="b/{item}.wav")),
        items=(Item(id="one"),),
        questions=(Question(id="how", kind="acr", references=()),),
    )
    monkeypatch.chdir(base.parent)
    prepared = prepare(study, Path(base.name), tmp_path / "small", separate=Models())
    assert {one.condition for one in prepared.stimuli} == {"a", "b"} and prepared.items["one"].length == RATE * SECONDS


def test_anchors_are_described_and_the_same_in_every_build(base: Path, tmp_path: Path) -> None:
    study = study_of(
        "one", anchors=(Anchor(id="holes", kind="artefacts", level_db=3, share=0.9), *study_of("one").anchors)
    )
    builds = [prepare(study, base, tmp_path / name, separate=Models()) for name in "ab"]
    assert "3 dB below it" in builds[0].anchors["holes"] and "a random 10 %" in builds[0].anchors["holes"]
    assert builds[0].find("one", "holes").sha256 == builds[1].find("one", "holes").sha256
    assert builds[0].find("one", "holes").audio != builds[1].find("one", "holes").audio


def test_a_cancelled_build_leaves_the_earlier_one_in_force_and_goes_on_later(base: Path, tmp_path: Path) -> None:
    folder, models = tmp_path / "small", Models()
    before = prepare(study_of("one"), base, folder, separate=models)
    calls = iter([False, False, True])
    with pytest.raises(Cancelled, match="2 of 10"):
        prepare(study_of("one", "two"), base, folder, separate=models, cancelled=lambda: next(calls))
    assert read_prepared(folder) == before
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []
    told: list[tuple[float, str]] = []
    prepare(
        study_of("one", "two"), base, folder, separate=models, progress=lambda part, what: told.append((part, what))
    )
    assert len(models.asked) == 4  # of each item once
    assert [part for part, _ in told] == sorted(part for part, _ in told) and told[-1][0] == 1.0


def test_a_model_that_fails_leaves_no_half_build(base: Path, tmp_path: Path) -> None:
    class Broken(Models):
        def __call__(self, model: str, *more: object) -> object:  # type: ignore[override]
            if model == "tenth":
                raise DataError("Separate", "it broke", "Mend it")
            return super().__call__(model, *more)  # type: ignore[arg-type]

    with pytest.raises(DataError, match="it broke"):
        prepare(study_of("one"), base, tmp_path / "small", separate=Broken())  # type: ignore[arg-type]
    assert not (tmp_path / "small" / "prepared.json").exists() and not (tmp_path / "small" / "audio").exists()
    with pytest.raises(DataError, match="earshot study build small"):
        read_prepared(tmp_path / "small")


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (Item(id="one", mixture="one/lost.wav", target="one/target.wav"), "no file .*lost.wav"),
        (Item(id="one", mixture="one/mixture.wav", start=1.5, duration=1.0), "2.50 s, and .* has 2.00 s"),
        (Item(id="one", mixture="one/mixture.wav", target="one/target.wav", start=3.0), "2.00 s"),
    ],
)  # fmt: skip
def test_what_an_item_lacks_is_said_with_numbers(base: Path, tmp_path: Path, item: Item, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        prepare(study_of("one", items=(item,)), base, tmp_path / "small", separate=Models())


def test_a_file_that_is_too_short_is_refused(base: Path, tmp_path: Path) -> None:
    write(base / "short" / "one.wav", noise(3, 1.5))
    study = study_of("one", systems=(System(id="short", files="short/{item}.wav"),))
    with pytest.raises(StudyError, match=r"it has 1\.50 s; the item has 2\.00 s"):
        prepare(study, base, tmp_path / "small", separate=Models())


def test_missing_audio_and_broken_records_are_said(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    prepared = prepare(study_of("one"), base, folder, separate=Models())
    prepared.path(prepared.stimuli[0]).unlink()
    with pytest.raises(DataError, match="1 of 5"):
        read_prepared(folder)
    (folder / "prepared.json").write_text(json.dumps({"format": "earshot-prepared/1"}))
    with pytest.raises(DataError, match="broken"):
        read_prepared(folder)


def test_training_items_and_open_references_are_needed_too() -> None:
    study = study_of(
        "one", "two", "three",
        questions=(Question(id="q", kind="mushra", items=("one",), references=("target", "mixture")),),
        pages=(Page(kind="training", items=("two",)), Page(kind="trials")),
    )  # fmt: skip
    assert needed(study).keys() == {"one", "two", "three"}
    assert (
        set(needed(study)["one"]) == set(needed(study)["two"]) == {"reference", "mixture", "good", "poor", "low", "mid"}
    )
    assert needed(study)["three"] == ()


def test_studies_are_found_by_their_file(tmp_path: Path) -> None:
    for folder in ("mine/first", "mine/second", "bundled/first", "bundled/third"):
        (tmp_path / folder).mkdir(parents=True)
        if folder != "mine/second":
            (tmp_path / folder / "study.yaml").write_text("name: x")
    found = find_studies([tmp_path / "mine", tmp_path / "bundled", tmp_path / "nothing"])
    assert found == {"first": tmp_path / "mine" / "first", "third": tmp_path / "bundled" / "third"}
