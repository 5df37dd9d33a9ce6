"""The numbers of every second: those of the metrics on the whole, in bounded blocks, and where the worst seconds are."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from separation.audio import ArrayReader, Writer
from separation.engine import segments
from separation.engine.latents import RANGE_DB, LatentGrid, save_grid
from separation.engine.references import reference_side
from separation.engine.segments import (
    FILE,
    REST,
    is_current,
    measure_stage,
    read_record,
    stamp,
    worst,
    worst_stretches,
)
from separation.engine.stages import LATENTS
from separation.errors import Cancelled, JobError, UnknownJob, UnknownModel
from separation.metrics import REASONS, bss_eval_v4, measure
from separation.models import build_oracle
from separation.signals import Signal

RATE = 2000
Audio = NDArray[np.float32]


def sound(seed: int, seconds: float, channels: int = 1) -> Audio:
    """Coloured noise, another colour a seed."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(channels, round(seconds * RATE) + 4))
    return (0.1 * (noise[:, 4:] + (-1) ** seed * 0.7 * noise[:, 3:-1] + 0.3 * noise[:, :-4])).astype(np.float32)


def make_stage(folder: Path, tracks: dict[str, Audio]) -> Path:
    """A complete stage as `engine.stages` leaves it."""
    for name, samples in tracks.items():
        with Writer(folder / f"{name}.wav", RATE, len(samples), bit_depth="32f", length=samples.shape[1]) as writer:
            writer.write(samples)
    length = next(iter(tracks.values())).shape[1]
    described = {"sample_rate": RATE, "channels": 2, "length": length, "start": 0, "gain": 1.0, "tracks": list(tracks)}
    (folder / "stage.json").write_text(json.dumps(described))
    return folder


def separated(seconds: float = 37.4, channels: int = 1) -> dict[str, Audio]:
    """Mixture, two stems with bleeding and noise, residual, two references. The voice is silent from 5 to 8 s."""
    voice, music = sound(1, seconds, channels), sound(2, seconds, channels)
    voice[:, 5 * RATE : 8 * RATE] = 0
    stem = voice + 0.2 * music + 0.1 * sound(3, seconds, channels)
    return {
        "mixture": voice + music,
        "vocals": stem,
        "accompaniment": voice + music - stem,
        "residual": 0.1 * sound(4, seconds, channels),
        "reference-voice": voice,
        "reference-music": music,
    }


def series(record: dict[str, Any], source: str, metric: str, of: str = "estimate") -> list[float | None]:
    (found,) = [s for s in record["series"] if (s["source"], s["metric"], s["of"]) == (source, metric, of)]
    values: list[float | None] = found["values"]
    assert len(values) == record["count"]
    assert sorted(i for places in found["reasons"].values() for i in places) == [
        i for i, value in enumerate(values) if value is None
    ], "None where there is a reason, and nowhere else"
    assert set(found["reasons"]) <= set(REASONS)
    return values


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a stage with references and an oracle: three blocks, the last not whole."""
    stage = make_stage(tmp_path_factory.mktemp("job") / "full", separated())
    found = measure_stage(stage, oracle="oracle:irm2")
    assert read_record(stage) == json.loads((stage / FILE).read_text()) == found
    assert {path.name for path in stage.iterdir() if path.is_dir() or path.name.startswith(".")} == set()
    return found


def test_the_values_are_those_of_the_metrics_on_the_whole_stage(record: dict[str, Any]) -> None:
    tracks = separated()
    truth = {"vocals": tracks["reference-voice"], "accompaniment": tracks["reference-music"]}
    stems = {name: tracks[name] for name in truth}
    metrics = ("si_sdr", "bss_eval_v4.SDR", "bss_eval_v4.SIR", "bss_eval_v4.SAR")
    assert record["count"] == 37 and record["complete"] and record["fraction"] == 1.0
    assert record["references"] == {"vocals": ["voice"], "accompaniment": ["music"]} and record["missing"] == []
    for of, estimate in (("estimate", stems), ("mixture", dict.fromkeys(truth, tracks["mixture"]))):
        for value in measure(truth, estimate, RATE, metrics=metrics, hop=None):
            if value.start is not None:
                mine = series(record, value.source, value.metric, of)[round(value.start)]
                expected = None if value.value is None or value.value >= segments.CEILING_DB else value.value
                assert mine == (expected if expected is None else pytest.approx(expected, abs=2e-3)), value
    for value in measure(
        {}, stems | {"residual": tracks["residual"]}, RATE, mixture=tracks["mixture"], metrics=segments.BLIND
    ):
        if value.start is not None:
            assert series(record, value.source, value.metric)[round(value.start)] == pytest.approx(
                value.value, abs=2e-3
            )


def test_silence_is_none_with_its_reason(record: dict[str, Any]) -> None:
    found = {(s["source"], s["metric"], s["of"]): s["reasons"] for s in record["series"]}
    assert found["vocals", "si_sdr", "estimate"] == {"silent reference": [5, 6, 7]}
    assert found["vocals", "bss_eval_v4.SIR", "estimate"] == {"silent reference": [5, 6, 7]}
    assert found["accompaniment", "bss_eval_v4.SIR", "oracle"] == {"another source is silent": [5, 6, 7]}
    assert found["accompaniment", "si_sdr", "estimate"] == {}
    # The mixture is the sum of the references, up to rounding, which is no artefact and no value of 200 dB.
    assert len(found["vocals", "bss_eval_v4.SAR", "mixture"]["no error"]) == record["count"] - 3


def test_an_oracle_is_measured_beside_the_model_and_is_better(record: dict[str, Any]) -> None:
    assert record["oracle"] == "oracle:irm2"
    of = {
        of: [x for x in series(record, "accompaniment", "si_sdr", of) if x is not None] for of in ("mixture", "oracle")
    }
    assert np.median(of["oracle"]) > np.median(of["mixture"]) + 1


def test_without_references_there_is_what_needs_none(tmp_path: Path) -> None:
    tracks = {name: x for name, x in separated(3.2).items() if not name.startswith("reference")}
    found = measure_stage(make_stage(tmp_path / "full", tracks), oracle="oracle:irm2")
    assert {s["metric"] for s in found["series"]} == set(segments.BLIND)
    assert found["references"] == {} and found["oracle"] is None and found["missing"] == ["vocals", "accompaniment"]
    level = 10 * np.log10(np.mean(np.square(tracks["vocals"][:, RATE : 2 * RATE], dtype=np.float64)))
    assert series(found, "vocals", "estimate_db")[1] == pytest.approx(level, abs=1e-3)
    assert len(series(found, "", "estimate_db", "mixture")) == len(series(found, "", "residual_db")) == 3


def test_names_decide_and_for_speakers_one_order_for_the_whole_stage(tmp_path: Path) -> None:
    a, b = sound(1, 4), sound(2, 4)
    b *= 0.3
    a[:, 3 * RATE :] *= 0.01  # second by second another order would win
    tracks = {
        "mixture": a + b,
        "s1": b + 0.05 * a,
        "s2": a + 0.05 * b,
        "residual": 0 * a,
        "reference-s1": a,
        "reference-s2": b,
    }
    stage = make_stage(tmp_path / "full", tracks)
    assert measure_stage(stage)["references"] == {"s1": ["s1"], "s2": ["s2"]}
    found = measure_stage(stage, permutation=True)
    assert found["references"] == {"s1": ["s2"], "s2": ["s1"]}
    assert all(x is not None and x > 0 for x in series(found, "s2", "si_sdr")[:3])


def test_accompaniment_is_the_sum_of_what_nobody_claims(tmp_path: Path) -> None:
    tracks = separated(2.0, channels=2)
    music = tracks.pop("reference-music")
    halves = {"reference-drums": music / 2, "reference-bass": music / 2}
    stage = make_stage(tmp_path / "full", tracks | halves)
    found = measure_stage(stage)
    assert found["references"]["accompaniment"] == ["drums", "bass"]
    truth = torch.from_numpy(np.stack([tracks["reference-voice"], music]))
    stems = torch.from_numpy(np.stack([tracks["vocals"], tracks["accompaniment"]]))
    expected = bss_eval_v4(truth, stems, window=RATE).sir[1].tolist()
    assert series(found, "accompaniment", "bss_eval_v4.SIR") == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("kept", [("vocals",), ("vocals", "accompaniment")])
def test_what_has_no_reference_is_the_rest_of_the_mixture(tmp_path: Path, kept: tuple[str, ...]) -> None:
    """A lone source, or one with a reference beside one without."""
    tracks = separated(2.0)
    chosen = {name: tracks[name] for name in ("mixture", "residual", *kept)}
    renamed = {name.replace("accompaniment", "rain"): samples for name, samples in chosen.items()}
    stage = make_stage(tmp_path / "full", renamed | {"reference-vocals": tracks["reference-voice"]})
    found = measure_stage(stage, oracle="oracle:irm1")
    assert list(found["references"]) == ["vocals"] and REST not in {s["source"] for s in found["series"]}
    truth, stem = tracks["reference-voice"], tracks["vocals"]
    values = measure({"vocals": truth}, {"vocals": stem}, RATE, mixture=tracks["mixture"], metrics=("bss_eval_v4.SIR",))
    expected = [value.value for value in values]
    assert series(found, "vocals", "bss_eval_v4.SIR") == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 15.0, 15.9, 16.0])
def test_every_length_has_its_windows(tmp_path: Path, seconds: float) -> None:
    found = measure_stage(make_stage(tmp_path / "full", separated(seconds)))
    assert found["count"] == max(1, int(seconds))
    for s in found["series"]:
        series(found, s["source"], s["metric"], s["of"])
    assert found["window"] == pytest.approx(min(1.0, seconds))


def test_the_record_grows_on_disk_and_a_stop_leaves_what_there_is(tmp_path: Path) -> None:
    stage = make_stage(tmp_path / "full", separated(31.0))
    told: list[float] = []
    lengths: list[int] = []

    def look(fraction: float) -> None:
        told.append(fraction)
        seen = read_record(stage)
        assert seen is not None and seen["fraction"] == fraction
        lengths.append(len(seen["series"][0]["values"]))

    with pytest.raises(Cancelled):
        measure_stage(stage, progress=look, cancelled=lambda: len(told) == 5)
    left = read_record(stage)
    assert left is not None and not left["complete"]
    assert told == sorted(told) and 0 < told[0] < told[-1] < 1
    assert lengths == [15, 30, 31, 31, 31]
    assert {s["metric"] for s in left["series"]} == {*segments.BLIND, "si_sdr", "reference_db"}
    again: list[float] = []
    assert measure_stage(stage, oracle="oracle:irm2", progress=again.append)["complete"]
    assert again == sorted(again) and again[-1] == 1.0 and again[-2] == 0.999


def test_a_job_that_is_deleted_meanwhile_does_not_come_back(tmp_path: Path) -> None:
    stage = make_stage(tmp_path / "full", separated(20.0))
    with pytest.raises(UnknownJob):
        measure_stage(stage, progress=lambda fraction: shutil.rmtree(stage, ignore_errors=True))
    assert not stage.exists()
    with pytest.raises(UnknownJob):
        measure_stage(stage)
    assert read_record(stage) is None


def test_an_unknown_oracle_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    stage = make_stage(tmp_path / "full", separated(1.0))
    with pytest.raises(UnknownModel):
        measure_stage(stage, oracle="oracle:magic")
    assert read_record(stage) is None


def made_record(values: list[float | None], levels: list[float | None], metric: str = "si_sdr") -> dict[str, Any]:
    rows = [("si_sdr" if metric == "si_sdr" else metric, "estimate", values), ("reference_db", "reference", levels)]
    return {
        "hop": 1.0,
        "duration": len(values) + 0.5,
        "series": [{"source": "v", "metric": m, "of": of, "values": x, "reasons": {}} for m, of, x in rows],
    }


def test_the_worst_seconds() -> None:
    loud: list[float | None] = [-20.0] * 8
    assert worst(made_record([9, 9, 1, 2, 9, 9, 9, 9], loud), "v", "si_sdr", 2.0) == (2.0, 4.0)
    assert worst(made_record([9, 9, 1, None, None, 0, 9, 9], loud), "v", "si_sdr", 2.0) == (4.0, 6.0), (
        "half of them is enough"
    )
    assert worst(made_record([9, 1, 9, 9, 9, 9, 9, 9], loud, "stem_similarity"), "v", "stem_similarity", 1.0) == (
        0.0,
        1.0,
    )
    assert worst(made_record([3, 4], loud[:2]), "v", "si_sdr") == (0.0, 2.0)
    assert worst(made_record([None, None], [None, None]), "v", "si_sdr") is None
    quiet = made_record([9, -50, 8, 9, 9, 9, 9, 9], [-20, -75, *loud[2:]])
    assert worst(quiet, "v", "si_sdr", 1.0) == (2.0, 3.0), "55 dB below its loudest second is out of hearing"
    with pytest.raises(JobError, match="v: si_sdr of the estimate"):
        worst(quiet, "v", "snr")


def test_the_worst_seconds_of_a_stage(record: dict[str, Any]) -> None:
    found = worst(record, "vocals", "bss_eval_v4.SIR")
    assert found is not None and found[1] - found[0] == 5
    assert not set(range(int(found[0]), int(found[1]))) >= {5, 6, 7}
    assert worst(record, "", "residual_db") is not None


def test_sums_and_rests_are_readers_that_an_oracle_can_be_told() -> None:
    a, b = (ArrayReader(Signal(sound(seed, 1.0), RATE), str(seed)) for seed in (1, 2))
    mixture = segments._Combined([a, b])
    spec = build_oracle("irm1", sources=["a", REST], sample_rate=RATE).spec
    rest = segments._Combined([mixture], [a])
    told = reference_side({"a": a, REST: rest}, spec, mixture=mixture)(0, 500)["references"]
    np.testing.assert_allclose(told[1], b.read(0, 500), atol=1e-6)


def make_grid(
    entropy: list[float], level_db: list[float], sources: tuple[str, ...] = ("vocals", "accompaniment")
) -> LatentGrid:
    """Of two seconds and one basis function: entropies and levels are all that is looked at."""
    cells = np.zeros((len(sources), 1, len(entropy)), np.uint8)
    activations = np.round((np.array([level_db]) / RANGE_DB + 1) * 255).astype(np.uint8)
    return LatentGrid(
        sources=sources,
        sample_rate=RATE,
        length=2 * RATE,
        bins=False,
        centroid_hz=np.array([100.0], np.float32),
        order=np.array([0]),
        masks=cells,
        plain=cells,
        mask_top=1.0,
        activations=activations,
        activation_top_db=0.0,
        entropy=np.array(entropy, np.float32),
        histogram=np.zeros((len(sources), 64), np.float32),
        histogram_top=1.0,
        encoder=None,
        decoder=None,
    )


def with_latents(folder: Path, grid: LatentGrid | None, mixture: Audio | None = None) -> Path:
    """A stage of two seconds whose model had masks; no grid: its file is damaged."""
    tracks = {name: x for name, x in separated(2.0).items() if not name.startswith("reference")}
    stage = make_stage(folder, tracks | ({} if mixture is None else {"mixture": mixture}))
    described = json.loads((stage / "stage.json").read_text())
    (stage / "stage.json").write_text(json.dumps(described | {"latents": True}))
    if grid is None:
        (stage / LATENTS).write_bytes(b"nonsense")
    else:
        save_grid(stage / LATENTS, grid)
    return stage


def test_mask_entropy_is_weighted_by_energy_second_by_second(tmp_path: Path) -> None:
    stage = with_latents(tmp_path / "full", make_grid([0.2, 0.8, 0.5, np.nan], [0.0, 0.0, 0.0, -90.0]))
    assert series(measure_stage(stage), "", "mask_entropy") == [0.5, 0.5]
    louder = with_latents(tmp_path / "louder", make_grid([0.2, 0.8, 0.5, 0.9], [0.0, -30.0, -60.0, 0.0]))
    assert series(measure_stage(louder), "", "mask_entropy") == pytest.approx([0.201, 0.9], abs=1e-3)
    three = with_latents(tmp_path / "three", make_grid([0.3, 0.6, 0.9], [0.0, 0.0, 0.0]))
    assert series(measure_stage(three), "", "mask_entropy") == pytest.approx([0.4, 0.8], abs=1e-3), "shared columns"


def test_mask_entropy_is_missing_with_its_reason(tmp_path: Path) -> None:
    def reasons(stage: Path) -> Any:
        (found,) = [s["reasons"] for s in measure_stage(stage)["series"] if s["metric"] == "mask_entropy"]
        return found

    mixture = separated(2.0)["mixture"]
    mixture[:, RATE:] = 0
    nothing = make_grid([0.5, np.nan], [0.0, -90.0])
    assert reasons(with_latents(tmp_path / "silent", nothing, mixture)) == {"silent mixture": [1]}
    assert reasons(with_latents(tmp_path / "sounding", nothing)) == {"undefined": [1]}
    lone = make_grid([np.nan, np.nan], [0.0, 0.0], ("vocals",))
    assert reasons(with_latents(tmp_path / "lone", lone)) == {"one source only": [0, 1]}
    damaged = measure_stage(with_latents(tmp_path / "damaged", None))
    assert damaged["complete"] and {s["metric"] for s in damaged["series"]} == set(segments.BLIND)


def test_a_record_is_of_the_stage_as_it_was(tmp_path: Path) -> None:
    tracks = separated(2.0)
    stage = make_stage(tmp_path / "full", {name: x for name, x in tracks.items() if not name.startswith("reference")})
    assert not is_current(stage, read_record(stage))
    before = measure_stage(stage)
    assert is_current(stage, before) and not before["compared"]
    assert not is_current(stage, before | {"version": segments.VERSION + 1})
    make_stage(stage, tracks)  # with references now
    assert not is_current(stage, before) and not is_current(stage, read_record(stage))
    after = measure_stage(stage)
    assert is_current(stage, after) and after["compared"]
    shutil.rmtree(stage)
    assert not is_current(stage, after) and stamp(stage) is None


def test_the_stage_says_whether_names_mean_anything(tmp_path: Path) -> None:
    a, b = sound(1, 2), 0.3 * sound(2, 2)
    tracks = {"mixture": a + b, "s1": b, "s2": a, "residual": 0 * a, "reference-s1": a, "reference-s2": b}
    stage = make_stage(tmp_path / "full", tracks)
    assert measure_stage(stage)["references"] == {"s1": ["s1"], "s2": ["s2"]}
    described = json.loads((stage / "stage.json").read_text())
    (stage / "stage.json").write_text(json.dumps(described | {"permutation_invariant": True}))
    assert measure_stage(stage)["references"] == {"s1": ["s2"], "s2": ["s1"]}
    assert measure_stage(stage, permutation=False)["references"] == {"s1": ["s1"], "s2": ["s2"]}


def test_what_a_killed_process_left_is_swept_up(tmp_path: Path) -> None:
    stage = make_stage(tmp_path / "full", separated(2.0))
    (stage / ".oracle-abc").mkdir()
    (stage / ".oracle-abc" / "0.wav").write_bytes(b"half")
    measure_stage(stage, oracle="oracle:irm1")
    assert not list(stage.glob(".oracle-*"))


def test_the_worst_stretches_come_in_order_and_share_nothing() -> None:
    loud: list[float | None] = [-20.0] * 9
    values: list[float | None] = [5, 1, 2, 9, 9, 0, 0, 9, 3]
    found = worst_stretches(made_record(values, loud), "v", "si_sdr", 2.0)
    assert found == [(5.0, 7.0), (1.0, 3.0), (7.0, 9.0), (3.0, 5.0)]
    assert worst_stretches(made_record([None] * 3, [None] * 3), "v", "si_sdr") == []
    many: list[float | None] = [float(i) for i in range(40)]
    assert worst_stretches(made_record(many, [-20.0] * 40), "v", "si_sdr", 1.0) == [
        (float(i), i + 1.0) for i in range(segments.STRETCHES)
    ]
    with pytest.raises(JobError, match="neither good nor bad"):
        worst_stretches(made_record(values, loud, "estimate_db"), "v", "estimate_db")
