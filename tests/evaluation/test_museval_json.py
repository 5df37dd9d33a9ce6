"""museval's files: a round trip, and museval's own reader on ours."""

import importlib.util
import json
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_data import make_tracks

from separation.audio import safe_name
from separation.errors import DataError
from separation.evaluation import PROTOCOLS, benchmark, from_museval, rank, read_museval, to_museval, write_museval
from separation.metrics import Value

SDR = "bss_eval_v4.SDR"


@pytest.fixture
def table(tmp_path) -> pd.DataFrame:
    return benchmark(["oracle:irm2", "mixture"], make_tracks(tmp_path / "data"), PROTOCOLS["sisec"], tmp_path / "out")


def test_a_round_trip_keeps_every_window(table, tmp_path):
    paths = write_museval(table, tmp_path / "json")
    assert len(paths) == 6
    assert paths[0] == tmp_path / "json" / safe_name("oracle:irm2") / "test" / f"{safe_name('song 0')}.json"
    assert all(path.is_file() for path in paths)
    read = read_museval(paths[0].parent.parent, model="oracle:irm2")
    keys = ["model", "track", "source", "segment", "metric"]
    ours = table[table["model"] == "oracle:irm2"].set_index(keys).sort_index()
    theirs = read.set_index(keys).sort_index()
    assert list(ours.index) == list(theirs.index)
    np.testing.assert_allclose(theirs["value"], ours["value"], atol=1e-5)
    np.testing.assert_array_equal(theirs["start"], ours["start"])
    assert rank(read, SDR, "vocals")[0].median == pytest.approx(
        rank(table[table["model"] == "oracle:irm2"], SDR, "vocals")[0].median, abs=1e-5
    )


def test_published_systems_rank_beside_ours(table, tmp_path):
    document = {
        "targets": [
            {
                "name": "vocals",
                "frames": [
                    {"time": float(i), "duration": 1.0, "metrics": {"SDR": sdr, "ISR": 1.0, "SIR": 1.0, "SAR": 1.0}}
                    for i, sdr in enumerate((30.0, float("nan"), 34.0))
                ],
            }
        ]
    }
    path = tmp_path / "TAU1" / "test" / "song 0.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document))
    both = pd.concat([table, read_museval(tmp_path / "TAU1")], ignore_index=True)
    first = rank(both, SDR, "vocals")[0]
    assert (first.model, first.median, first.tracks) == ("TAU1", 32.0, 1)
    assert first.left_out == {"no value in the museval file": 1}


def test_what_has_no_value_is_nan_as_museval_writes_it():
    values = [
        Value("vocals", SDR, 0.0, 1.0, 5.123456789, ""),
        Value("vocals", SDR, 1.0, 1.0, None, "silent reference"),
        Value("vocals", "si_sdr", None, 2.0, 1.0, ""),
    ]
    frames = to_museval(values)["targets"][0]["frames"]
    assert frames[0]["metrics"]["SDR"] == 5.12346
    assert np.isnan(frames[1]["metrics"]["SDR"]) and np.isnan(frames[0]["metrics"]["SIR"])
    assert (frames[1]["time"], frames[1]["duration"]) == (1.0, 1.0)
    back = from_museval({"targets": [{"name": "vocals", "frames": frames}]}, model="m", track="t")
    assert back[back["metric"] == SDR]["reason"].to_list() == ["", "no value in the museval file"]


def test_what_is_not_museval_is_refused(tmp_path):
    with pytest.raises(DataError, match="there are no BSS-eval v4 scores of windows"):
        to_museval([Value("vocals", "snr", None, 1.0, 1.0, "")])
    with pytest.raises(DataError, match="there is no JSON file"):
        read_museval(tmp_path)
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match="it is not JSON"):
        read_museval(tmp_path)
    (tmp_path / "a.json").write_text('{"targets": [{"name": "vocals"}]}')
    with pytest.raises(DataError, match=r"its JSON is not museval's \(KeyError: 'frames'\)"):
        read_museval(tmp_path)


@pytest.fixture
def museval_stores(monkeypatch) -> types.ModuleType:
    """museval's `aggregate`, loaded alone: the package itself asks for an installed FFmpeg when it is imported."""
    found = next(Path(p) / "museval" for p in sys.path if (Path(p) / "museval" / "aggregate.py").is_file())
    package = types.ModuleType("museval")
    package.__path__ = [str(found)]
    monkeypatch.setitem(sys.modules, "museval", package)
    spec = importlib.util.spec_from_file_location("museval.aggregate", found / "aggregate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_museval_reads_ours_to_the_same_medians(museval_stores, table, tmp_path):
    paths = write_museval(table, tmp_path / "json")
    store = museval_stores.EvalStore()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store.add_eval_dir(paths[0].parents[1])
        theirs = store.agg_frames_tracks_scores()
    model = str(table["model"][0])
    for source in ("vocals", "accompaniment"):
        for metric in ("SDR", "ISR", "SIR", "SAR"):
            ours = next(line for line in rank(table, f"bss_eval_v4.{metric}", source) if line.model == model)
            assert theirs[source, metric] == pytest.approx(ours.median, abs=1e-5)
    track = museval_stores.TrackStore("song 0")
    track.scores = json.loads(paths[0].read_text())
    track.validate()
    assert "vocals" in repr(track) and len(track.df) == len(
        table[(table["model"] == model) & (table["track"] == "song 0")]
    )
