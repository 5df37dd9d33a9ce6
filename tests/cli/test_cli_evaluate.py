"""`earshot evaluate` and `earshot benchmark`, run as a user runs them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import typer
from typer.testing import CliRunner

from separation import cli
from separation.errors import DataError, JobError, SeparationError
from separation.evaluation import PROTOCOLS, read_table
from separation.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
RATE = 8000


def noise(name: str, seconds: float = 2.0) -> np.ndarray:
    return 0.1 * np.random.default_rng(list(name.encode())).standard_normal(round(seconds * RATE))


def invoke(*words: object):
    done = CliRunner().invoke(cli.app, [str(word) for word in words])
    if isinstance(done.exception, SeparationError):
        raise done.exception  # what `main` turns into one line and exit status 2
    return done


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    for folder, level in (("reference", 0.0), ("estimate", 0.1)):
        (tmp_path / folder).mkdir()
        for name in ("vocals", "drums"):
            samples = noise(name) + level * noise(f"{name} error")
            sf.write(tmp_path / folder / f"{name}.wav", samples, RATE, subtype="FLOAT")
    return tmp_path / "reference", tmp_path / "estimate"


@pytest.fixture
def data(tmp_path) -> Path:
    for side, tracks in (("train", ("a",)), ("test", ("b", "c", "d"))):
        for track in tracks:
            folder = tmp_path / "data" / side / track
            folder.mkdir(parents=True)
            for stem in ("vocals", "accompaniment"):
                sf.write(folder / f"{stem}.wav", noise(f"{track} {stem}"), RATE, subtype="FLOAT")
    return tmp_path / "data"


def test_evaluate_prints_one_document(folders):
    reference, estimate = folders
    done = invoke("evaluate", "--reference", reference, "--estimate", estimate, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert set(result["sources"]) == {"vocals", "drums"}
    assert set(result["sources"]["vocals"]) == {"si_sdr", "snr", "bss_eval_v4", "bss_eval_v3"}
    assert result["sources"]["vocals"]["snr"] == pytest.approx(20, abs=1)
    assert "segments" not in result


def test_evaluate_options(folders):
    reference, estimate = folders
    words = ("--metrics", "bss_eval_v4, snr", "--window", 0.5, "--hop", 0.25, "--segments", "--json")
    result = json.loads(invoke("evaluate", "--reference", reference, "--estimate", estimate, *words).stdout)
    assert list(result["sources"]["vocals"]) == ["bss_eval_v4", "snr"]
    assert [w["start"] for w in result["segments"]["vocals"]["bss_eval_v4"]["SDR"]][:3] == [0.0, 0.25, 0.5]


def test_evaluate_for_people(folders):
    reference, estimate = folders
    sf.write(estimate / "residual.wav", noise("r"), RATE)
    done = invoke("evaluate", "--reference", reference, "--estimate", estimate, "--segments", "--metrics", "snr")
    assert done.exit_code == 0
    assert re.search(r"SNR \(dB\).*\d\d\.\d\d.*\d\d\.\d\d", done.stdout)
    assert "1.00 s" in done.stdout
    assert "residual.wav" in done.stderr


def test_evaluate_says_where_it_is_worst(folders):
    reference, estimate = folders
    samples = noise("vocals", 8.0)
    error = 0.01 * noise("vocals error", 8.0)
    error[5 * RATE : 6 * RATE] *= 100
    for name, (truth, guess) in {"vocals": (samples, samples + error), "drums": (0 * samples, error)}.items():
        sf.write(reference / f"{name}.wav", truth, RATE, subtype="FLOAT")
        sf.write(estimate / f"{name}.wav", guess, RATE, subtype="FLOAT")
    words = ("evaluate", "--reference", reference, "--estimate", estimate, "--metrics", "si_sdr", "--worst", 2)
    found = json.loads(invoke(*words, "--json").stdout)["worst"]
    assert [(one["source"], one["metric"]) for one in found] == [("vocals", "si_sdr")], "drums are silent throughout"
    assert found[0]["start"] <= 5 < found[0]["end"] == found[0]["start"] + 2
    shown = invoke(*words)
    assert re.search(rf"vocals.*SI-SDR.*{found[0]['start']:.2f} s.*{found[0]['end']:.2f} s", shown.stdout)
    assert "worst" not in json.loads(invoke(*words[:-2], "--json").stdout)


def test_evaluate_refuses_what_does_not_fit(folders):
    reference, estimate = folders
    (estimate / "drums.wav").unlink()
    with pytest.raises(DataError, match=r"no estimate of drums\.wav"):
        invoke("evaluate", "--reference", reference, "--estimate", estimate, "--json")
    with pytest.raises(DataError, match="it is empty"):
        invoke("evaluate", "--reference", reference, "--estimate", estimate, "--metrics", " , ")


def test_benchmark_measures_the_test_side(data, tmp_path):
    words = ("--models", "oracle:irm2, mixture", "--data", data, "--protocol", "sisec", "--output", tmp_path / "out")
    done = invoke("benchmark", *words, "--museval", tmp_path / "museval", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert (result["protocol"], result["tracks"], result["failures"]) == ("sisec", 3, [])
    lines = result["ranking"]["vocals"]["bss_eval_v4.SDR"]
    assert [line["model"] for line in lines] == ["oracle:irm2", "oracle:mixture"]
    assert lines[0]["tracks"] == 3
    table = read_table(Path(result["table"]))
    assert {Path(str(name)).name for name in table["track"].unique()} == {"b", "c", "d"}
    assert len(list((tmp_path / "museval").rglob("*.json"))) == 6


def test_benchmark_for_people_goes_on_and_refuses_other_settings(data, tmp_path):
    words = ("--models", "mixture", "--data", data, "--output", tmp_path / "out")
    assert invoke("benchmark", *words, "--protocol", "whole", "--limit", 1).exit_code == 0
    parts = list((tmp_path / "out" / "parts").iterdir())
    done = invoke("benchmark", *words, "--protocol", "whole", "--split", "all")
    assert re.search(r"oracle:mixture\s+0\.00\s+0\.00\s+0\.00\s+0\.00\s+4\s+0", done.stdout)
    assert "1 models on 4 tracks" in done.stderr
    assert set(parts) <= set((tmp_path / "out" / "parts").iterdir())
    with pytest.raises(JobError, match=r"protocol.name was 'whole' and is now 'sisec'"):
        invoke("benchmark", *words, "--protocol", "sisec")


def test_other_systems_rank_beside_ours(data, tmp_path):
    words = ("--models", "oracle:irm2", "--data", data, "--protocol", "sisec", "--museval", tmp_path / "museval")
    invoke("benchmark", *words)
    (system,) = (tmp_path / "museval").iterdir()
    system.rename(tmp_path / "museval" / "SYSTEM")
    again = ("--models", "mixture", "--data", data, "--protocol", "sisec", "--beside", tmp_path / "museval" / "SYSTEM")
    done = invoke("benchmark", *again, "--json")
    lines = json.loads(done.stdout)["ranking"]["vocals"]["bss_eval_v4.SDR"]
    assert [(line["model"], line["tracks"]) for line in lines] == [("SYSTEM", 3), ("oracle:mixture", 3)]
    assert "Nothing is kept" in done.stderr


def test_a_failing_track_is_named_and_the_status_is_1(data, tmp_path):
    for path in (data / "test" / "c").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    done = invoke("benchmark", "--models", "mixture", "--data", data, "--protocol", "whole", "--json")
    assert done.exit_code == 1
    result = json.loads(done.stdout)
    assert len(result["failures"]) == 1 and result["failures"][0]["track"].endswith("c")
    assert "1 of 3 could not be measured" in done.stderr
    assert result["ranking"]["vocals"]["si_sdr_gain"][0]["tracks"] == 2


def test_benchmark_refuses_before_it_begins(data, tmp_path):
    words = ("--models", "mixture", "--data", data, "--protocol", "whole")
    with pytest.raises(DataError, match=r"Take the side dev of .*: a folder of stems has train, test"):
        invoke("benchmark", *words, "--split", "dev")
    with pytest.raises(DataError, match="whole measures no BSS-eval v4"):
        invoke("benchmark", *words, "--museval", tmp_path / "m")
    with pytest.raises(DataError, match="they were not measured by whole"):
        invoke("benchmark", *words, "--beside", tmp_path / "m")
    with pytest.raises(DataError, match="nowhere"):
        invoke("benchmark", "--models", "mixture", "--data", tmp_path / "nowhere", "--protocol", "whole")
    with pytest.raises(DataError, match="layouts are"):
        invoke("benchmark", *words, "--layout", "nothing")


def test_a_model_that_was_trained_on_it_is_flagged(data):
    done = invoke("benchmark", "--models", "vocals", "--data", _as_mir1k(data), "--protocol", "mir1k", "--limit", 1)
    assert "trained on this data set, says its card: MIR-1K" in " ".join(done.stderr.split())


def _as_mir1k(folder: Path) -> Path:
    root = folder.parent / "mir1k"
    (root / "bug").mkdir(parents=True)
    for half in ("voice", "music"):
        sf.write(root / "bug" / f"bug_1_01.{half}.wav", noise(half, 1.0), RATE)
    return root


@pytest.mark.parametrize("command", ["evaluate", "benchmark"])
def test_every_option_is_documented(command):
    section = PAGE.partition(f"## `earshot {command}`")[2].partition("\n## ")[0]
    parameters = typer.main.get_command(cli.app).commands[command].params  # type: ignore[attr-defined]
    options = {option for parameter in parameters for option in parameter.opts} - {"--help"}
    assert options and options == set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE))


def test_every_protocol_is_documented_and_offered():
    assert {name.value for name in cli.evaluate.ProtocolName} == set(PROTOCOLS)
    section = PAGE.partition("## Protocols")[2].partition("\n## ")[0]
    rows = {match[1]: match[0] for match in re.finditer(r"^\| `(\w+)` \|.*$", section, re.MULTILINE)}
    assert set(rows) == set(PROTOCOLS)
    for name, row in rows.items():
        assert set(re.findall(r"`([a-z][\w.]+)`", row)) - {name} <= set(METRICS) | {
            m.partition(".")[0] for m in METRICS
        }
