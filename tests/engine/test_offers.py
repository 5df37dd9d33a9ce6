"""True stems that come after the separation: compared, taken as references, taken away again; nothing is lost on bad input."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray

from separation.audio import Peaks, open_reader
from separation.engine.edits import Edit
from separation.engine.jobs import Job, JobStore, Request
from separation.engine.offers import compare, forget, names_for, offer, offers, sources_of, use, withdraw
from separation.engine.segments import measure_stage
from separation.engine.stages import TrackFile
from separation.engine.uploads import MOST_STEMS
from separation.errors import AudioError, Cancelled, JobError, UnknownJob

RATE = 8000
SECONDS = 3
Samples = NDArray[np.float32]


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


def parts(*, peak: float = 0.3) -> dict[str, Samples]:
    """Two signals that are hardly correlated, in stereo."""
    t = np.arange(SECONDS * RATE) / RATE
    noise = np.random.default_rng(2).normal(0, 0.05, (2, len(t)))
    return {
        "vocals": np.stack([peak * np.sin(2 * np.pi * 440 * t), 0.5 * peak * np.sin(2 * np.pi * 440 * t)]).astype(
            np.float32
        ),
        "accompaniment": noise.astype(np.float32),
    }


def done_job(
    store: JobStore, scratch: Path, names: tuple[str, str] = ("vocals", "accompaniment"), **request: object
) -> Job:
    """A job as workers leave it: the estimates are the parts, each with some of the other."""
    first, second = parts().values()
    recording = scratch / "song.wav"
    sf.write(recording, (first + second).T, RATE, "FLOAT")
    job = store.create(recording, replace(Request(model="vocals", name="My song"), **request))
    tracks = {
        "mixture": first + second,
        names[0]: 0.9 * first + 0.1 * second,
        names[1]: 0.1 * first + 0.9 * second,
        "residual": 0 * first,
    }
    for stage, start, length in (("preview", RATE, RATE), ("full", 0, SECONDS * RATE)):
        for name, samples in tracks.items():
            with TrackFile(job.folder / stage / f"{name}.wav", RATE, 2, length) as track:
                track.write(samples[:, start : start + length])
        fields = {"sample_rate": RATE, "channels": 2, "length": length, "start": start, "gain": 1.0, "null_db": -140.0}
        job.write_stage(stage, {**fields, "tracks": list(tracks), "uncertain_boundaries": [], "latents": False})
    job.write_state(status="done", stage="write", fraction=1.0)
    return job


def put(job: Job, file: str, samples: Samples, rate: int = RATE) -> str:
    """Hand over a file as an upload arrives; the offer's id."""
    upload = job.folder / ".something.part"
    sf.write(upload, samples.T, rate, format="FLAC" if file.endswith(".flac") else "WAV", subtype=None)
    made = offer(job, upload, file)
    assert not upload.exists()
    return made.id


def test_offers_become_tracks_of_every_stage(store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path)
    measure_stage(job.folder / "full")
    voice, band = parts().values()
    keys = [put(job, "Song - Voice.flac", voice), put(job, "Song - Karaoke.flac", band)]
    assert list(job.tracks("full")) == ["mixture", "vocals", "accompaniment", "residual"], "nothing has happened yet"
    names = names_for(job)
    assert names == {keys[0]: "vocals", keys[1]: "accompaniment"}
    before = (job.folder / "full" / "stage.json").stat().st_mtime_ns
    renewed = use(job, names)
    assert offers(job) == {} and store.get(job.id).request.references == ("vocals", "accompaniment")
    assert set(renewed.references) == {"vocals", "accompaniment"}
    assert (job.folder / "full" / "stage.json").stat().st_mtime_ns != before
    for stage, start, length in (("preview", RATE, RATE), ("full", 0, SECONDS * RATE)):
        tracks = job.tracks(stage)
        assert list(tracks)[4:] == ["reference-vocals", "reference-accompaniment"]
        for name, samples in parts().items():
            with open_reader(tracks[f"reference-{name}"]) as reader:
                np.testing.assert_allclose(reader.read(0, length), samples[:, start : start + length], atol=2e-4)
            assert Peaks.load(job.folder / stage / f"reference-{name}.peaks").length == length
    assert not (job.folder / "full" / "segments.json").exists(), "what was measured without references is void"
    assert measure_stage(job.folder / "full")["references"] == {
        "vocals": ["vocals"],
        "accompaniment": ["accompaniment"],
    }


def test_the_true_stems_add_up_and_others_do_not(store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path)
    voice, band = parts().values()
    a, b = put(job, "a.wav", voice), put(job, "b.wav", band)
    fit = compare(job, [a, b])
    assert fit.null_db is not None and fit.null_db < -70
    assert fit.alike[a]["vocals"] > 0.9 > 0.2 > fit.alike[a]["accompaniment"]
    alone = compare(job, [a])
    assert alone.null_db is not None and -20 < alone.null_db < -5, "the rest is missing"
    assert alone.levels_db[a] == pytest.approx(0, abs=0.3), "but at its level it is in there"
    c = put(job, "louder.wav", 2 * voice)
    other = compare(job, [c, b])
    assert other.null_db is not None and other.null_db > -5
    assert other.best_db is not None and other.best_db < -70
    assert other.levels_db[c] == pytest.approx(-6.02, abs=0.01)
    d = put(job, "else.wav", np.random.default_rng(7).normal(0, 0.1, voice.shape).astype(np.float32))
    assert compare(job, [d]).best_db == pytest.approx(0, abs=0.2)


def test_another_rate_channel_count_and_a_little_length_are_fine(store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path)
    t = np.arange(round((SECONDS + 0.4) * 16000)) / 16000
    key = put(job, "voice.wav", (0.225 * np.sin(2 * np.pi * 440 * t))[None].astype(np.float32), 16000)
    use(job, {key: "vocals"})
    with open_reader(job.tracks("full")["reference-vocals"]) as reader:
        assert (reader.sample_rate, reader.channels, reader.length) == (RATE, 2, SECONDS * RATE)
    with pytest.raises(AudioError, match=r"it lasts 2\.00 s and the recording 3\.00 s.*up to 0\.5 s"):
        put(job, "short.wav", parts()["vocals"][:, : 2 * RATE])
    assert offers(job) == {} and list((job.folder / "offered").iterdir()) == []


def test_a_part_of_a_recording_takes_stems_of_the_whole(store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path, offset=1.0, duration=1.0)
    described = job.stage("preview")
    assert described is not None
    (job.folder / "full" / "stage.json").unlink()
    (job.folder / "preview").rename(job.folder / "gone")
    (job.folder / "full").rename(job.folder / "also gone")
    (job.folder / "gone").rename(job.folder / "full")
    key = put(job, "vocals.wav", parts()["vocals"])
    assert compare(job, [key]).levels_db[key] == pytest.approx(0, abs=0.3)


def test_speakers_are_told_apart_by_sound(store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path, ("speaker 1", "speaker 2"))
    assert sources_of(job) == ("speaker 1", "speaker 2")
    tone, noise = parts().values()
    first, second = put(job, "speaker 1.wav", noise), put(job, "speaker 2.wav", tone)
    assert names_for(job) == {first: "speaker 1", second: "speaker 2"}, "by name"
    assert names_for(job, compare(job, [first, second])) == {first: "speaker 2", second: "speaker 1"}, "by sound"


def test_what_would_clip_lowers_the_common_gain(store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path)
    upload = job.folder / ".loud.part"
    sf.write(upload, 5 * parts()["vocals"].T, RATE, "FLOAT", format="WAV")
    use(job, {offer(job, upload, "loud.wav").id: "vocals"})
    described = job.stage("full")
    assert described is not None and described["gain"] == pytest.approx(1 / 1.5, rel=1e-3)


def test_replaced_and_taken_away_again(store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path)
    voice, band = parts().values()
    job = use(job, {put(job, "a.wav", voice): "vocals", put(job, "b.wav", band): "drums"})
    job = use(job, {put(job, "c.flac", 0.5 * voice): "vocals"})
    assert [path.name for path in sorted((job.folder / "references").iterdir())] == ["drums.wav", "vocals.flac"]
    assert job.request.references == ("vocals", "drums"), "as the sources, then the others"
    with open_reader(job.tracks("full")["reference-vocals"]) as reader:
        np.testing.assert_allclose(reader.read(0, reader.length), 0.5 * voice, atol=2e-4)
    job = forget(job, "drums")
    assert list(job.tracks("full"))[4:] == ["reference-vocals"]
    assert not list(job.folder.rglob("*drums*"))
    with pytest.raises(JobError, match="none of that name"):
        forget(job, "drums")
    assert list(forget(job, "vocals").tracks("preview")) == ["mixture", "vocals", "accompaniment", "residual"]


@pytest.mark.parametrize("names", [["mixture"], ["residual"], ["../x"], ["a", "A"], ["vocals", "vocals"], [""]])
def test_bad_names_change_nothing(store: JobStore, tmp_path: Path, names: list[str]) -> None:
    job = done_job(store, tmp_path)
    before = json.dumps(job.stage("full"))
    keys = [put(job, f"{i}.wav", parts()["vocals"]) for i in range(len(names))]
    with pytest.raises(JobError, match="Name the stems"):
        use(job, dict(zip(keys, names, strict=True)))
    assert json.dumps(job.stage("full")) == before and set(offers(job)) == set(keys), "nothing is lost"


def test_stopped_half_way_nothing_has_changed(store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path)
    key = put(job, "a.wav", parts()["vocals"])
    with pytest.raises(Cancelled):
        use(job, {key: "vocals"}, cancelled=lambda: True)
    assert set(offers(job)) == {key} and job.request.references == ()
    assert not list(job.folder.rglob("reference-*")) and not list(job.folder.rglob("*.part"))


@pytest.mark.parametrize("content", [b"no audio", b"", b"PK\x03\x04" + bytes(4000), b"RIFF\xff\xff\xff\xffWAVEfmt "])
def test_what_is_no_audio_leaves_nothing(store: JobStore, tmp_path: Path, content: bytes) -> None:
    job = done_job(store, tmp_path)
    upload = job.folder / ".x.part"
    upload.write_bytes(content)
    with pytest.raises(AudioError, match=r"^Use vocals\.wav"):
        offer(job, upload, "vocals.wav")
    assert not upload.exists() and list((job.folder / "offered").iterdir()) == []


def test_silence_is_no_stem(store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path)
    with pytest.raises(AudioError, match="silent from start to end"):
        put(job, "silent.wav", 0 * parts()["vocals"])


def test_only_what_is_done_takes_stems(store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path)
    key = put(job, "a.wav", parts()["vocals"])
    job.write_state(status="running")
    for call in (
        lambda: put(job, "b.wav", parts()["vocals"]),
        lambda: use(job, {key: "vocals"}),
        lambda: compare(job, [key]),
    ):
        with pytest.raises(JobError, match="is not done"):
            call()


def test_unknown_offers_and_too_many(store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path)
    for key in ("0" * 16, "..", "../../x", ""):
        with pytest.raises(JobError, match="not here any more"):
            use(job, {key: "vocals"})
        withdraw(job, key)
    keys = [put(job, "a.wav", parts()["vocals"]) for _ in range(MOST_STEMS)]
    with pytest.raises(JobError, match=f"{MOST_STEMS} stems already"):
        put(job, "a.wav", parts()["vocals"])
    withdraw(job, keys[0])
    assert len(offers(job)) == MOST_STEMS - 1 == len(list((job.folder / "offered").iterdir()))


def test_a_job_that_is_deleted_meanwhile_stays_away(store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path)
    key = put(job, "a.wav", parts()["vocals"])
    asked = 0

    def deleting() -> bool:
        nonlocal asked
        asked += 1
        job.delete()
        return False

    with pytest.raises((UnknownJob, Cancelled)):
        use(job, {key: "vocals"}, cancelled=deleting)
    assert asked and not job.folder.exists()


def test_references_that_came_later_serve_an_edit(store: JobStore, tmp_path: Path) -> None:
    job = use(done := done_job(store, tmp_path), {put(done, "v.wav", parts()["vocals"]): "vocals"})
    edit = store.create(job.input, replace(job.request, edit=Edit(), edit_of=job.id), references=job.references)
    assert list(edit.references) == ["vocals"] and edit.references["vocals"].is_file()
