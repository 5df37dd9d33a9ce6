"""Pitch tracks beside a recording: kept, checked, changed, found, and told to models; as jobs, edits and corrections."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
from pitched_voices import RATE, CombMask, sung

from separation.audio import ArrayReader, open_reader
from separation.engine import run, separate
from separation.engine.calibration import time_chunk
from separation.engine.editing import Editing, Wish
from separation.engine.edits import Edit, Rows
from separation.engine.files import separate_file
from separation.engine.jobs import Job, JobStore, Request
from separation.engine.pitches import (
    GRID,
    Change,
    Pitches,
    find_pitches,
    goes_by_pitch,
    on_grid,
    pitch_side,
    pitches_of_stems,
    read_pitches,
    told,
)
from separation.engine.stages import VOICES
from separation.engine.voices import ROWS, VoicePool, read_voices, save_voices
from separation.engine.workers import Workers
from separation.errors import Cancelled, JobError, ModelError, ShapeError
from separation.metrics import si_sdr
from separation.models import PITCH, with_voices
from separation.signals import Signal
from separation.transforms import PitchTrack

HIGH, LOW = np.array([349, 415, 0, 311.0]), np.array([131, 147, 131, 165.0])
SECONDS = 4.0


def steps(hz: np.ndarray, *, seconds: float = SECONDS, start: float = 0.0) -> PitchTrack:
    at = np.arange(0, seconds, GRID)
    return PitchTrack(start + at, hz[np.minimum((at * len(hz) / seconds).astype(int), len(hz) - 1)])


def duet() -> tuple[np.ndarray, np.ndarray]:
    high, low = sung(HIGH, SECONDS), sung(LOW, SECONDS, seed=1)
    return high, low


def known() -> Pitches:
    return Pitches({"high": steps(HIGH), "low": steps(LOW)}, "file")


def mixed(folder: Path, *, rate: int = RATE, channels: int = 1) -> Path:
    high, low = sung(HIGH, SECONDS, rate=rate), sung(LOW, SECONDS, rate=rate, seed=1)
    path = folder / "choir.wav"
    sf.write(path, np.stack([high + low] * channels, 1), rate, "FLOAT")
    return path


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    assert read_pitches(tmp_path / "pitch") is None
    known().write(tmp_path / "pitch")
    Pitches({"low": steps(LOW)}, "stem").write(tmp_path / "pitch")  # instead of what was there
    found = read_pitches(tmp_path / "pitch")
    assert found is not None and found.names == ("low",) and found.source == "stem"
    np.testing.assert_allclose(found.tracks["low"].hz, steps(LOW).hz)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pitch"]
    assert sorted(path.name for path in (tmp_path / "pitch").iterdir()) == ["low.csv", "pitch.json"]


def test_tracks_of_another_recording_are_refused() -> None:
    known().check("choir", SECONDS)
    with pytest.raises(JobError, match=r"high goes on to 4\.0 s and the recording lasts 2\.0 s"):
        known().check("choir", 2.0)
    with pytest.raises(JobError, match="no track has a pitch"):
        Pitches({"high": steps(np.zeros(4))}, "file").check("choir", SECONDS)
    with pytest.raises(JobError, match="there is none"):
        Pitches({}, "file")
    with pytest.raises(JobError, match="name of a track"):
        Pitches({"Residual": steps(HIGH)}, "file")


def test_side_information_lies_on_the_frames_of_a_chunk() -> None:
    side = pitch_side(CombMask(), known(), start=1.0, duration=2.0)
    found = side(RATE, 512)[PITCH]
    assert found.dtype == torch.float32 and found.shape == (2, 3)
    np.testing.assert_allclose(found[1], [131, 131, 131], rtol=1e-5)  # of the recording's third second
    np.testing.assert_array_equal(found[0], [0, 0, 0])
    before = side(-512, 512)[PITCH]
    np.testing.assert_allclose(before[0, :2], [415, 415], rtol=1e-5)  # backwards, as the sound
    after = side(2 * RATE, 512)[PITCH]
    np.testing.assert_allclose(after, side(2 * RATE - 512, 512)[PITCH].flip(1))
    silent = pitch_side(CombMask(silent_ends=True), known(), start=1.0, duration=2.0)
    np.testing.assert_array_equal(silent(-512, 512)[PITCH][:, :2], 0)


def test_by_its_pitch_a_voice_is_found_in_chunks() -> None:
    high, low = duet()
    model = CombMask(segment=1.0)
    side = pitch_side(model, known(), start=0.0, duration=SECONDS)
    found = separate(model, Signal((high + low)[None], RATE), side=side)
    truth = torch.from_numpy(np.stack([high, low]))[:, None]
    estimate = torch.from_numpy(np.stack([found["high"].samples, found["low"].samples]))
    assert si_sdr(truth, estimate).min() > 10
    swapped = pitch_side(model, Pitches({"high": steps(LOW), "low": steps(HIGH)}, "file"), start=0.0, duration=SECONDS)
    other = separate(model, Signal((high + low)[None], RATE), side=swapped)
    np.testing.assert_allclose(other["low"].samples, found["high"].samples, atol=1e-6)


def test_a_model_is_made_for_the_voices_that_have_tracks() -> None:
    three = Pitches({name: steps(HIGH) for name in ("one", "two", "three")}, "file")
    assert told(CombMask(), three, "choir").spec.sources == ("one", "two", "three")
    with pytest.raises(JobError, match="needs the pitch of each voice"):
        told(CombMask(), None, "choir")
    assert (
        goes_by_pitch("umss") and goes_by_pitch("pitch_nmf") and not goes_by_pitch("unet") and not goes_by_pitch("none")
    )
    assert time_chunk(with_voices(CombMask(), ("a", "b", "c")), "cpu").hop == pytest.approx(1.8)


def test_changes_lie_on_the_grid_and_leave_the_rest() -> None:
    changed = known().changed([Change("low", 100, (200.0, 0.0))])
    before, after = (on_grid(each.tracks["low"], SECONDS - GRID) for each in (known(), changed))
    np.testing.assert_array_equal(np.flatnonzero(before != after), [100, 101])
    assert after[100] == 200 and changed.tracks["high"] is not None and changed.source == "file"
    for wrong, says in (
        ([], "nothing is changed"),
        ([Change("tenor", 0, (1.0,))], "Choose from high, low"),
        ([Change("low", 250, (1.0,) * 9)], "goes on to 4.1 s"),
    ):
        with pytest.raises(JobError, match=says):
            known().changed(wrong)
    for first, hz in ((-1, (1.0,)), (0, ()), (0, (9000.0,)), (0, (float("nan"),))):
        with pytest.raises(JobError, match="Correct the pitch of low"):
            Change("low", first, hz)


def test_voices_are_found_in_a_mixture_and_in_stems(tmp_path: Path) -> None:
    told_of: list[float] = []
    with open_reader(mixed(tmp_path, rate=22050, channels=2)) as reader:
        found = find_pitches(reader, 2, start=10.0, progress=told_of.append)
    assert found.names == ("voice 1", "voice 2") and found.source == "mixture" and told_of[-1] == 1.0
    assert found.tracks["voice 1"].times[0] == 10.0
    middles = 10 + np.array([0.5, 1.5, 2.5, 3.5])
    np.testing.assert_allclose(found.tracks["voice 2"].at(middles), LOW, rtol=0.01)
    np.testing.assert_allclose(found.tracks["voice 1"].at(middles), HIGH, rtol=0.01)
    high, low = duet()
    stems = {name: ArrayReader(Signal(voice[None], RATE)) for name, voice in (("b", low), ("a", high))}
    alone = pitches_of_stems(stems)
    assert alone.names == ("a", "b") and alone.source == "stem", "the highest first"
    np.testing.assert_allclose(alone.tracks["b"].at(middles - 10), LOW, rtol=0.01)
    with open_reader(mixed(tmp_path)) as reader:
        with pytest.raises(Cancelled):
            find_pitches(reader, 2, cancelled=lambda: True)
        with pytest.raises(ShapeError, match="1 to 6"):
            find_pitches(reader, 9)


def test_a_file_is_separated_by_its_tracks(tmp_path: Path) -> None:
    pitches = Pitches({"a": steps(HIGH), "b": steps(LOW)}, "file")
    model = told(CombMask(), pitches, "choir")
    done = separate_file(model, mixed(tmp_path, rate=22050, channels=2), tmp_path / "out", pitches=pitches)
    assert set(done.files) == {"a", "b"} and done.null_db is not None and done.null_db < -100
    with pytest.raises(ModelError, match="needs pitch"):
        separate_file(model, mixed(tmp_path), tmp_path / "out")


def made(tmp_path: Path, model: Any = None, **more: Any) -> tuple[JobStore, Workers, Job]:
    store = JobStore(tmp_path / "jobs")
    model = model or CombMask()
    workers = Workers(store, lambda name, **_: model, devices=("cpu",))
    pitches = more.pop("pitches", None)
    job = store.create(mixed(tmp_path), Request(model="voices", name="choir.wav", **more), pitches=pitches)
    workers.run(job, "cpu")
    return store, workers, store.get(job.id)


def samples(job: Job, name: str) -> np.ndarray:
    return sf.read(job.tracks("full")[name], dtype="float32")[0]


def test_a_job_separates_by_its_tracks_and_keeps_a_picture(tmp_path: Path) -> None:
    _, _, job = made(tmp_path, pitches=known())
    assert job.state().error is None and job.state().status == "done"
    assert job.request.pitches == ("high", "low") and job.pitches is not None and job.pitches.source == "file"
    stage = job.stage("full")
    assert stage is not None and stage["voices"] and list(stage["tracks"]) == ["mixture", "high", "low", "residual"]
    high = torch.from_numpy(duet()[0])
    assert si_sdr(high[None, None], torch.from_numpy(samples(job, "high"))[None, None])[0] > 10
    picture = read_voices(job.folder / "full" / VOICES)
    assert picture.sources == ("high", "low") and picture.duration == SECONDS
    assert picture.cells.shape == (2, 2 + ROWS, 250)
    rest = slice(130, 185)
    assert not picture.cells[0, 0, rest].any() and (picture.cells[1, 0, rest] == 255).all()


def test_tracks_that_did_not_come_along_are_found(tmp_path: Path) -> None:
    store, _, job = made(tmp_path, voices=2)
    assert job.state().error is None
    assert job.request.pitches == ("voice 1", "voice 2") and job.pitches is not None and job.pitches.source == "mixture"
    assert list(job.tracks("full")) == ["mixture", "voice 1", "voice 2", "residual"]
    assert store.get(job.id).request == job.request
    part = (
        made(tmp_path / "other", voices=2, offset=1.0, duration=2.0)[2]
        if (tmp_path / "other").mkdir() is None
        else None
    )
    assert part is not None and part.pitches is not None
    times = part.pitches.tracks["voice 2"].times
    assert times[0] == 1.0 and times[-1] == pytest.approx(3.0, abs=0.02)


def test_without_tracks_or_with_those_of_another_a_job_fails_kindly(tmp_path: Path) -> None:
    for folder, more, says in (
        ("none", {}, "needs the pitch of each voice"),
        ("long", {"pitches": Pitches({"a": steps(HIGH, seconds=9)}, "file")}, "goes on to 9.0 s"),
    ):
        (tmp_path / folder).mkdir()
        state = made(tmp_path / folder, **more)[2].state()
        assert state.status == "failed" and state.error is not None and says in state.error["found"]


def test_an_edit_of_it_goes_by_the_same_tracks(tmp_path: Path) -> None:
    store, workers, job = made(tmp_path, pitches=known())
    wish = Wish("full", Edit(muted=(Rows("high", tuple(range(200))),)), (0.0, 1.0))
    edit, _ = Editing(store).ask(job.id, wish, staged=False)
    workers.run(edit, "cpu")
    assert edit.state().error is None and edit.request.pitches == ("high", "low") and not edit.request.corrects
    assert np.abs(samples(edit, "high")).max() < 0.05


def test_a_correction_is_a_take_of_its_own(tmp_path: Path) -> None:
    wrong = Pitches({"high": steps(np.array([349, 0, 0, 311.0])), "low": steps(LOW)}, "file")
    store, workers, job = made(tmp_path, pitches=wrong)
    first = round(1.0 / GRID)
    changes = [Change("high", first, (415.0,) * (round(2.0 / GRID) - first))]
    editing = Editing(store)
    take, fresh = editing.correct(job.id, "full", (0.5, 2.5), changes)
    assert fresh and take.request.corrects and take.request.edit_of == job.id
    assert editing.correct(job.id, "full", (0.5, 2.5), changes) == (take, False)
    assert editing.correct(job.id, "full", (0.5, 2.5), [Change("high", first, (416.0,))])[0].id != take.id
    workers.run(take, "cpu")
    assert take.state().error is None
    part = slice(round(0.5 * RATE), round(2.5 * RATE))
    truth = torch.from_numpy(duet()[0][part])[None, None]
    before, after = (torch.from_numpy(x)[None, None] for x in (samples(job, "high")[part], samples(take, "high")))
    assert si_sdr(truth, after)[0] > si_sdr(truth, before)[0] + 6
    with pytest.raises(JobError, match="an edit itself"):
        editing.correct(take.id, "full", None, changes)
    store.delete(job.id)
    assert store.all() == []


def test_only_what_goes_by_pitch_can_be_corrected(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs")
    job = store.create(mixed(tmp_path), Request(model="other", name="choir.wav"))
    (job.folder / "full").mkdir()
    job.write_stage("full", {"sample_rate": RATE, "start": 0, "length": RATE, "tracks": []})
    with pytest.raises(ModelError, match="does not go by the pitch"):
        Editing(store).correct(job.id, "full", None, [Change("high", 0, (1.0,))])


def test_a_picture_survives_and_a_damaged_one_is_told_apart(tmp_path: Path) -> None:
    pool = VoicePool(CombMask(), RATE)
    assert pool.grid() is None
    side = pitch_side(CombMask(), known(), start=0.0, duration=1.0)
    model = CombMask()

    class Nowhere:
        def write(self, block: np.ndarray) -> None: ...

    run(
        model,
        ArrayReader(Signal(np.zeros((1, RATE)) + duet()[0][:RATE], RATE)),
        {"high": Nowhere()},
        side=side,
        observers=[pool],
    )
    grid = pool.grid()
    assert grid is not None
    save_voices(tmp_path / "voices.npz", grid)
    again = read_voices(tmp_path / "voices.npz")
    assert again.sources == grid.sources
    np.testing.assert_array_equal(again.cells, grid.cells)
    (tmp_path / "voices.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(JobError, match="damaged"):
        read_voices(tmp_path / "voices.npz")
