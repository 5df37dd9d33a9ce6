"""A benchmark goes on where it was killed, gives the same table however it was made, and refuses what would mix."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_data import make_model, make_tracks, noise, write

from separation.datasets import Track
from separation.errors import Cancelled, DataError, DeviceError, JobError, UnknownModel
from separation.evaluation import PROTOCOLS, benchmark, failures, rank, read_table
from separation.evaluation.tables import COLUMNS

WHOLE = PROTOCOLS["whole"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def tracks(tmp_path) -> list[Track]:
    return make_tracks(tmp_path / "data")


def without_time(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="seconds")


def same(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(without_time(a), without_time(b), check_exact=True)


def test_the_table_is_tidy_and_written_twice(model, tracks, tmp_path):
    table = benchmark([model, "oracle:irm2", "mixture"], tracks, PROTOCOLS["sisec"], tmp_path / "out")
    assert tuple(table.columns) == COLUMNS
    assert list(table["model"].unique()) == [model, "oracle:irm2", "oracle:mixture"]
    assert list(table["track"].unique()) == [track.name for track in tracks]
    assert not table.duplicated(["model", "track", "source", "segment", "metric"]).any()
    assert (table["settings"].nunique(), table["protocol"].unique()[0]) == (1, "sisec")
    weights = table.groupby("model")["weights"].first()
    assert len(weights[model]) == 12 and weights["oracle:irm2"] == weights["oracle:mixture"] == ""
    same(table, read_table(tmp_path / "out"))
    pd.testing.assert_frame_equal(table, read_table(tmp_path / "out" / "table.csv"), check_exact=False, rtol=1e-12)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "run.json", "parts", "failures.json", "table.parquet", "table.csv"
    }  # fmt: skip


def test_oracles_beat_the_floor_and_are_not_made_consistent(tracks, tmp_path):
    table = benchmark(["oracle:irm2", "mixture"], tracks, WHOLE, tmp_path / "out")
    gains = {line.model: line.mean for line in rank(table, "si_sdr_gain")}
    assert gains["oracle:irm2"] > 3
    assert gains["oracle:mixture"] == pytest.approx(0, abs=1e-9)  # for both sources: neither is the rest of the other


def test_one_and_two_processes_give_the_same_table(model, tracks, tmp_path):
    names = [model, "oracle:ibm1"]
    mixed = [tracks[0], Track("lacking", {"drums": tracks[0].stems["vocals"]}), tracks[1]]
    one = benchmark(names, mixed, PROTOCOLS["htmd"], tmp_path / "one")
    told = []
    two = benchmark(names, mixed, PROTOCOLS["htmd"], tmp_path / "two", processes=2, progress=told.append)
    same(one, two)
    assert len(one.groupby(["model", "track"])) == 4
    found = {(failure.model, str(failure)) for failure in failures(tmp_path / "one")}
    assert found == {(failure.model, str(failure)) for failure in failures(tmp_path / "two")} and len(found) == 2
    assert [step.done for step in told] == list(range(1, 7))
    assert all(step.total == 6 and step.remaining >= 0 for step in told) and told[-1].remaining == 0


COUNT = 12
KILLED = """
import sys
from pathlib import Path
sys.path[:0] = {path!r}
from small_data import make_tracks
from separation.evaluation import PROTOCOLS, benchmark

def say(step):
    print(step.done, flush=True)

if __name__ == "__main__":
    folder = Path({folder!r})
    benchmark([{model!r}, "oracle:irm2"], make_tracks(folder / "data", {count}), PROTOCOLS["sisec"], folder / "out",
              processes={processes}, progress=say)
"""


def test_a_killed_benchmark_goes_on_to_the_same_table_and_its_workers_end_with_it(model, tmp_path):
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    script = tmp_path / "run.py"
    script.write_text(KILLED.format(path=paths, folder=str(tmp_path), model=model, processes=2, count=COUNT))
    running = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    for line in running.stdout:
        if int(line) >= 3:
            break
    workers = [int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent(path) == running.pid]
    running.send_signal(signal.SIGKILL)
    running.wait()
    running.stdout.close()
    assert len(workers) >= 2 and _ended(workers)
    folder = tmp_path / "out"
    made = sorted((folder / "parts").glob("*.parquet"))
    assert 3 <= len(made) < 2 * COUNT, "it was killed before the end"
    assert not (folder / "table.parquet").exists()
    assert len(read_table(folder)) > 0  # what there is can be read
    before = {path: path.stat().st_mtime_ns for path in made}
    tracks = make_tracks(tmp_path / "data", COUNT)
    resumed = benchmark([model, "oracle:irm2"], tracks, PROTOCOLS["sisec"], folder)
    assert {path: path.stat().st_mtime_ns for path in made} == before, "what was done is not done again"
    same(resumed, benchmark([model, "oracle:irm2"], tracks, PROTOCOLS["sisec"], tmp_path / "fresh"))


def _ended(processes: list[int]) -> bool:
    for _ in range(300):
        if all(_state(pid) == "Z" for pid in processes):
            return True
        time.sleep(0.1)
    return False


def _parent(path: Path) -> int:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_other_settings_in_the_same_folder_are_refused_by_name(tracks, tmp_path):
    benchmark(["mixture"], tracks, WHOLE, tmp_path / "out")
    with pytest.raises(
        JobError, match=r"protocol.window was None and is now 2.0; protocol.mono was False and is now True"
    ):
        benchmark(["mixture"], tracks, replace(WHOLE, window=2.0, mono=True), tmp_path / "out")


def test_a_folder_with_other_files_is_left_alone(tracks, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(JobError, match="it holds other files, but no results"):
        benchmark(["mixture"], tracks, WHOLE, tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("{")
    with pytest.raises(JobError, match=r"its run.json cannot be read"):
        benchmark(["mixture"], tracks, WHOLE, tmp_path / "out")


def test_models_and_tracks_may_be_added_and_the_table_holds_what_was_asked_for(tracks, tmp_path):
    folder = tmp_path / "out"
    benchmark(["mixture"], tracks[:2], WHOLE, folder)
    table = benchmark(["oracle:irm1", "mixture"], tracks, WHOLE, folder)
    assert len(table.groupby(["model", "track"])) == 6
    assert len(benchmark(["mixture"], tracks[:1], WHOLE, folder).groupby(["model", "track"])) == 1


def test_a_changed_recording_or_retrained_model_is_measured_anew(tracks, tmp_path):
    name = make_model(tmp_path / "tiny")
    first = benchmark([name], tracks[:1], WHOLE, tmp_path / "out")
    write(tracks[0].stems["vocals"], noise("another", 1.8))
    second = benchmark([name], tracks[:1], WHOLE, tmp_path / "out")
    assert not np.array_equal(first["value"], second["value"])
    config = json.loads((tmp_path / "tiny" / "config.json").read_text())
    make_model(tmp_path / "tiny")
    assert json.loads((tmp_path / "tiny" / "config.json").read_text())["weights"] != config["weights"]
    third = benchmark([name], tracks[:1], WHOLE, tmp_path / "out")
    assert second["weights"][0] != third["weights"][0]


def test_a_bad_track_does_not_stop_the_others(tracks, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"RIFF")
    broken = Track("broken", {"vocals": tmp_path / "bad.wav", "accompaniment": tmp_path / "bad.wav"})
    lacking = Track("lacking", {"drums": tracks[0].stems["vocals"]})
    mixed = [tracks[0], broken, lacking, tracks[1]]
    table = benchmark(["mixture"], mixed, PROTOCOLS["mir1k"], tmp_path / "out")
    assert list(table["track"].unique()) == [tracks[0].name, tracks[1].name]
    found = {failure.track: str(failure) for failure in failures(tmp_path / "out")}
    assert set(found) == {"broken", "lacking"}
    assert "bad.wav" in found["broken"]
    assert "no stem for vocals; its stems are drums" in found["lacking"]
    benchmark(["mixture"], tracks[:1], PROTOCOLS["mir1k"], tmp_path / "out")
    assert failures(tmp_path / "out") == []  # of the last call


@pytest.mark.parametrize("processes", [1, 2])
def test_cancelling_keeps_what_is_done(processes, tracks, tmp_path):
    folder = tmp_path / "out"
    done: list[int] = []
    with pytest.raises(Cancelled, match="what is done is kept"):
        benchmark(
            ["mixture", "oracle:ibm2"], tracks, WHOLE, folder, processes=processes,
            progress=lambda step: done.append(step.done), cancelled=lambda: bool(done),
        )  # fmt: skip
    assert done and list((folder / "parts").glob("*.parquet"))
    assert not (folder / "stop").exists() and not (folder / "scratch").exists()
    assert len(benchmark(["mixture", "oracle:ibm2"], tracks, WHOLE, folder).groupby(["model", "track"])) == 6


def test_nothing_to_do_is_said_to_be_done(tracks, tmp_path):
    benchmark(["mixture"], tracks, WHOLE, tmp_path / "out")
    told = []
    benchmark(["mixture"], tracks, WHOLE, tmp_path / "out", progress=told.append)
    assert [(step.done, step.total, step.remaining) for step in told] == [(3, 3, 0.0)]


def test_oracles_give_what_the_first_model_gives_or_what_is_asked_for(model, tmp_path):
    tracks = make_tracks(tmp_path / "data", 1, stems=("vocals", "drums", "bass"))
    alone = benchmark(["mixture"], tracks, WHOLE, tmp_path / "a")
    beside = benchmark(["mixture", model], tracks, WHOLE, tmp_path / "b")
    asked = benchmark(["mixture"], tracks, WHOLE, tmp_path / "c", sources=["drums", "accompaniment"])
    assert set(alone["source"]) == {"vocals", "drums", "bass"}
    assert set(beside["source"]) == {"vocals", "accompaniment"}
    assert set(asked["source"]) == {"drums", "accompaniment"}


@pytest.mark.parametrize(
    ("models", "names", "error", "message"),
    [
        ([], "ab", DataError, "the models: there are none"),
        (["mixture"], "", DataError, "the tracks: there are none"),
        (["mixture", "oracle:mixture"], "a", DataError, "oracle:mixture is named twice"),
        (["mixture"], "aba", DataError, "a is named twice"),
        (["no-such-model"], "a", UnknownModel, "no-such-model"),
        (["oracle:magic"], "a", UnknownModel, "magic"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_written(models, names, error, message, tmp_path):
    tracks = [Track(name, {"vocals": tmp_path / "v.wav"}) for name in names]
    with pytest.raises(error, match=message):
        benchmark(models, tracks, WHOLE, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there(tracks, tmp_path):
    with pytest.raises(DeviceError):
        benchmark(["mixture"], tracks, WHOLE, tmp_path / "out", device="cuda:99")
