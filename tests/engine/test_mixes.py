"""Mixtures built from stems: the sum of what is audible, at its levels, whatever changes while it is rendered."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from separation.audio import Peaks, open_reader, resample
from separation.engine.delivery import null_db
from separation.engine.drafts import Drafts
from separation.engine.jobs import JobStore, Request
from separation.engine.mixes import LOUDEST_DB, QUIETEST_DB, Mix, Mixes, mix_reader
from separation.engine.references import AlignedReader, check_names
from separation.engine.uploads import MOST_STEMS
from separation.errors import AudioError, JobError, SeparationError, UnknownJob

RATE = 8000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    made = JobStore(tmp_path / "jobs")
    yield made
    end = time.monotonic() + 30
    while made.mixes._rendering:
        assert time.monotonic() < end
        time.sleep(0.01)


def samples(
    hz: float, seconds: float = 2.0, *, rate: int = RATE, channels: int = 1, peak: float = 0.4
) -> NDArray[np.float32]:
    t = np.arange(round(seconds * rate)) / rate
    return np.tile(peak * np.sin(2 * np.pi * hz * t), (channels, 1)).astype(np.float32)


def put(mixes: Mixes, mix: Mix, file: str, audio: NDArray[np.float32], rate: int = RATE) -> Mix:
    """Hand over a stem as an upload arrives: under a name of ours, inside the folder."""
    upload = mix.draft.folder / f".{time.monotonic_ns()}.part"
    kind = {"flac": "FLAC", "mp3": "MP3", "wav": "WAV"}[file.rpartition(".")[2]]
    sf.write(upload, audio.T, rate, format=kind, subtype="FLOAT" if kind == "WAV" else None)
    made = mixes.add(mix.draft.id, upload, file)
    assert not upload.exists()
    return made


def heard(mix: Mix) -> NDArray[np.float32]:
    with open_reader(mix.draft.input) as reader:
        return reader.read(0, reader.length)


def test_the_mixture_is_the_sum_at_the_levels_that_are_wanted(store: JobStore) -> None:
    mixes = store.mixes
    mix = mixes.begin()
    voice, band = samples(440), samples(150, channels=2)
    mix = put(mixes, mix, "01 Voice.wav", voice)
    mix = put(mixes, mix, "My Song - Drums.flac", band)
    assert [stem.name for stem in mix.stems] == ["vocals", "Drums"]
    first, second = mix.stems
    mixes.set(mix.draft.id, {first.id: ("singer", -6.0, False), second.id: ("Drums", 0.0, False)})
    mix = mixes.settled(mix.draft.id)
    np.testing.assert_allclose(heard(mix), 10 ** (-6 / 20) * voice + band, atol=2e-5)
    stage = mix.draft.stage()
    assert stage is not None and (stage["sample_rate"], stage["channels"], stage["length"]) == (RATE, 2, 2 * RATE)
    assert stage["gain"] == 1 and Peaks.load(mix.draft.folder / "draft" / "mixture.peaks").length == 2 * RATE
    assert mix.draft.state().status == "done" and mix.draft.sound == mix.draft.input
    mixes.set(mix.draft.id, {first.id: ("singer", -6.0, True)})
    mix = mixes.settled(mix.draft.id)
    np.testing.assert_allclose(heard(mix), band, atol=2e-5)
    assert [stem.id for stem in mixes.remove(mix.draft.id, first.id).stems] == [second.id]
    assert not (mix.draft.folder / "stems" / first.id).exists()


def test_other_rates_lengths_and_codings_meet_at_the_highest(store: JobStore) -> None:
    mixes = store.mixes
    mix = mixes.begin()
    low, high = samples(300, 1.0), samples(500, 2.0, rate=16000)
    put(mixes, mix, "low.wav", low)
    put(mixes, mix, "high.wav", high, 16000)
    mix = put(mixes, mix, "coded.mp3", samples(700, 1.5, rate=16000), 16000)
    assert all(path.suffix == ".wav" for path in (mix.draft.folder / "stems").glob("*/stem.*")), "decoded once"
    mixes.set(mix.draft.id, {mix.stems[2].id: ("coded", 0.0, True)})
    mix = mixes.settled(mix.draft.id)
    padded = np.pad(low, ((0, 0), (0, RATE)))
    np.testing.assert_allclose(heard(mix), high + resample(padded, RATE, 16000), atol=1e-6)
    with mixes.references(mix) as references:
        assert list(references) == ["low", "high"], "what is muted is no reference"


def test_references_are_the_stems_at_their_levels_and_add_up(store: JobStore) -> None:
    mixes = store.mixes
    mix = mixes.begin()
    put(mixes, mix, "a.wav", samples(440, peak=0.8))
    mix = put(mixes, mix, "b.wav", samples(333, 1.3, peak=0.8))
    mixes.set(mix.draft.id, {mix.stems[0].id: ("a", 3.5, False), mix.stems[1].id: ("b", -2.25, False)})
    mix = mixes.settled(mix.draft.id)
    stage = mix.draft.stage()
    assert stage is not None and stage["gain"] < 0.75 and stage["peak_db"] > 2.5, "one gain for all, and only said"
    request = Request(model="vocals", name=mix.draft.name)
    with mixes.references(mix) as references:
        job = store.create(mix.draft.input, request, references=references, draft=mix.draft.id)
    assert not list(mix.draft.folder.glob("levels-*"))
    with open_reader(job.input) as mixture:
        parts = [AlignedReader(open_reader(path), mixture) for path in job.references.values()]
        assert null_db(mixture, parts) < -130  # type: ignore[operator]
        for part in parts:
            part.close()
    # The job keeps its own, whatever becomes of the mixture.
    before = job.input.read_bytes()
    mixes.set(mix.draft.id, {mix.stems[0].id: ("a", -30.0, False)})
    mixes.settled(mix.draft.id)
    assert job.input.read_bytes() == before


def test_the_newest_levels_win(store: JobStore) -> None:
    mixes = store.mixes
    mix = put(mixes, mixes.begin(), "a.wav", samples(440, 8.0))
    key = mix.stems[0].id
    for level in np.linspace(-30, 0, 20):
        mixes.set(mix.draft.id, {key: ("a", float(level), False)})
    mix = mixes.settled(mix.draft.id)
    assert mix.levels == {key: 0.0}
    np.testing.assert_allclose(heard(mix), samples(440, 8.0), atol=1e-6)


def test_levels_stay_in_their_range(store: JobStore) -> None:
    mix = put(store.mixes, store.mixes.begin(), "a.wav", samples(440))
    key = mix.stems[0].id
    assert store.mixes.set(mix.draft.id, {key: ("a", 900.0, False)}).stems[0].level_db == LOUDEST_DB
    assert store.mixes.set(mix.draft.id, {key: ("a", -900.0, False)}).stems[0].level_db == QUIETEST_DB


def test_nothing_audible_is_said(store: JobStore) -> None:
    mix = store.mixes.begin()
    with pytest.raises(SeparationError, match="none that is audible"):
        store.mixes.settled(mix.draft.id)
    mix = put(store.mixes, mix, "a.wav", samples(440))
    store.mixes.settled(mix.draft.id)
    store.mixes.set(mix.draft.id, {mix.stems[0].id: ("a", 0.0, True)})
    with pytest.raises(SeparationError, match="none that is audible"):
        store.mixes.settled(mix.draft.id)
    with pytest.raises(JobError, match="every one is muted"):
        mix_reader([])


@pytest.mark.parametrize("kind", ["text", "zip", "silent", "empty", "playlist"])
def test_what_is_no_stem_is_refused_and_leaves_nothing(store: JobStore, kind: str) -> None:
    mix = put(store.mixes, store.mixes.begin(), "good.wav", samples(440))
    upload = mix.draft.folder / ".bad.part"
    if kind == "silent":
        sf.write(upload, np.zeros(RATE), RATE, format="WAV")
    else:
        content = {
            "text": b"not audio",
            "zip": b"PK\x03\x04" + bytes(5000),
            "empty": b"",
            "playlist": b"#EXTM3U\n/etc/passwd",
        }
        upload.write_bytes(content[kind])
    with pytest.raises(AudioError, match=r"^Use nice\.wav"):
        store.mixes.add(mix.draft.id, upload, "nice.wav")
    assert not upload.exists() and len(store.mixes.get(mix.draft.id).stems) == 1
    assert len(list((mix.draft.folder / "stems").iterdir())) == 1
    assert store.mixes.settled(mix.draft.id).rendered, "what was there goes on"


def test_too_long_and_too_many_are_refused(store: JobStore) -> None:
    mix = store.mixes.begin(longest=1.0)
    with pytest.raises(AudioError, match=r"1\.0 s are allowed"):
        put(store.mixes, mix, "long.wav", samples(440, 2.0))
    for _ in range(MOST_STEMS):
        mix = put(store.mixes, mix, "same.wav", samples(440, 0.1))
    assert len({stem.name for stem in mix.stems}) == MOST_STEMS, "equal files get names of their own"
    with pytest.raises(JobError, match=f"{MOST_STEMS} stems already"):
        put(store.mixes, mix, "one more.wav", samples(440, 0.1))


@pytest.mark.parametrize("name", ["", "a/b", "..", "mixture", "Residual", "reference-x", "x" * 61, " a", "a\n", "a.b"])
def test_names_that_are_no_track_are_refused(store: JobStore, name: str) -> None:
    mix = put(store.mixes, store.mixes.begin(), "a.wav", samples(440))
    with pytest.raises(JobError, match="Name the stems"):
        store.mixes.set(mix.draft.id, {mix.stems[0].id: (name, 0.0, False)})
    assert store.mixes.get(mix.draft.id).stems == mix.stems


def test_two_names_that_are_one_file_are_refused() -> None:
    with pytest.raises(JobError, match="two of them"):
        check_names(["Drums", "drums"])
    check_names(["Gesang äöü", "drums", "speaker 1", "名前"])


def test_a_deleted_mixture_stays_away(store: JobStore) -> None:
    mix = put(store.mixes, store.mixes.begin(), "a.wav", samples(440, 4.0))
    store.drafts.delete(mix.draft.id)
    with pytest.raises(UnknownJob):
        store.mixes.settled(mix.draft.id)
    end = time.monotonic() + 30
    while store.mixes._rendering:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert not mix.draft.folder.exists()


def test_an_ordinary_draft_is_no_mixture(tmp_path: Path) -> None:
    drafts = Drafts(tmp_path / "drafts")
    path = tmp_path / "a.wav"
    sf.write(path, samples(440).T, RATE)
    draft = drafts.create(path, "a")
    while drafts._reading:
        time.sleep(0.01)
    with pytest.raises(UnknownJob):
        Mixes(drafts).get(draft.id)
