"""The strip's routes: measured when asked, served as it grows, and nothing that a hostile client could use."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_services import services
from player_jobs import make_job, recording, write_stage
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation.engine.claims import Claims
from separation.engine.jobs import Job, JobStore
from separation.engine.segment_queue import SegmentQueue
from separation.engine.segments import COMPARISONS, FILE, VERSION, read_record, stamp, worst_stretches
from separation.errors import Busy
from separation.metrics import METRICS
from separation.ui.frame import Services
from separation.ui.segment_routes import segment_routes

RATE = 2000


@pytest.fixture
def given(tmp_path: Path) -> Services:
    return services(tmp_path)


@pytest.fixture
def store(given: Services) -> JobStore:
    return given.store


@pytest.fixture
def client(given: Services) -> TestClient:
    return TestClient(Starlette(routes=segment_routes(given)))


def done_job(store: JobStore, scratch: Path, seconds: float) -> Job:
    """A finished job, mono and at a low rate: filters of BSS-eval cost most."""
    job = make_job(store, scratch)
    write_stage(job, "full", recording(seconds, rate=RATE, channels=1), rate=RATE)
    job.write_state(status="done", stage="write", fraction=1.0)
    return job


def measured(client: TestClient, job: Job, stage: str = "full") -> dict[str, Any]:
    """Ask, and wait until all is there."""
    answer = client.post(f"/earshot/jobs/{job.id}/{stage}/segments").json()
    until = time.monotonic() + 60
    while answer["state"] != "complete":
        assert answer["state"] in ("waiting", "measuring", "idle") and time.monotonic() < until, answer
        time.sleep(0.02)
        answer = client.get(f"/earshot/jobs/{job.id}/{stage}/segments").json()
    return dict(answer)


def test_a_look_starts_nothing_and_a_question_does(client: TestClient, store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path, 4)
    response = client.get(f"/earshot/jobs/{job.id}/full/segments")
    assert response.json() == {"state": "idle", "position": 0, "error": None}
    assert response.headers["cache-control"] == "private, no-store" and read_record(job.folder / "full") is None
    found = measured(client, job)
    assert found["complete"] and found["fraction"] == 1.0 and found["count"] == 4 and found["hop"] == 1.0
    assert found["sources"] == ["vocals", "accompaniment"] and found["oracle"] == "oracle:irm2"
    assert found["compared"] and found["references"] == {"vocals": ["vocals"]} and found["missing"] == ["accompaniment"]
    of = {one["of"] for one in found["series"] if one["metric"] == "bss_eval_v4.SIR"}
    assert of == {"estimate", "mixture", "oracle"}
    for name, card in found["metrics"].items():
        assert card == {key: getattr(METRICS[name], key) for key in ("title", "unit", "direction", "about")}
    assert {reason for one in found["series"] for reason in one["reasons"]} == set(found["reasons"])
    again = client.post(f"/earshot/jobs/{job.id}/full/segments").json()
    assert again == found, "what is there is served at once"


def test_numbers_are_rounded_and_those_of_the_record(client: TestClient, store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path, 3)
    found = measured(client, job)
    record = read_record(job.folder / "full")
    assert record is not None
    for mine, theirs in zip(found["series"], record["series"], strict=True):
        digits = {"dB": 2, "dBFS": 1}.get(METRICS[mine["metric"]].unit, 3)
        assert mine["values"] == [None if x is None else round(x, digits) for x in theirs["values"]]
    assert not {"stamp", "version", "taps"} & set(found)


def test_a_song_of_five_minutes_is_small(client: TestClient, store: JobStore, tmp_path: Path) -> None:
    """Four stems with references and an oracle, and no two numbers alike."""
    job = done_job(store, tmp_path, 1)
    rng = np.random.default_rng(1)
    sources = ["vocals", "drums", "bass", "other"]
    kinds = [(metric, of) for metric in COMPARISONS for of in ("estimate", "mixture", "oracle")]
    kinds += [("estimate_db", "estimate"), ("stem_similarity", "estimate"), ("reference_db", "reference")]
    rows = [(source, *kind) for source in sources for kind in kinds]
    rows += [("", metric, "estimate") for metric in ("residual_db", "mask_entropy")] + [("", "estimate_db", "mixture")]
    record = {
        "version": VERSION,
        "stamp": stamp(job.folder / "full"),
        "complete": True,
        "compared": True,
        "masks": True,
        "series": [
            {"source": source, "metric": metric, "of": of, "values": rng.uniform(-40, -10, 300).tolist(), "reasons": {}}
            for source, metric, of in rows
        ],
    }
    (job.folder / "full" / FILE).write_text(json.dumps(record))
    path = f"/earshot/jobs/{job.id}/full/segments"
    plain = client.get(path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers and len(plain.content) < 200_000
    packed = client.get(path, headers={"accept-encoding": "gzip"})
    assert int(packed.headers["content-length"]) < 80_000 and packed.json() == plain.json()


def test_the_worst_stretches(client: TestClient, store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path, 12)
    path = f"/earshot/jobs/{job.id}/full/segments/worst"
    early = client.get(path, params={"source": "vocals", "metric": "si_sdr"})
    assert early.status_code == 404 and "nobody has measured" in early.json()["found"]
    measured(client, job)
    record = read_record(job.folder / "full")
    assert record is not None
    for query in ({"source": "vocals", "metric": "stem_similarity"}, {"metric": "residual_db", "seconds": "2"}):
        stretches = client.get(path, params=query).json()["stretches"]
        expected = worst_stretches(record, query.get("source", ""), query["metric"], float(query.get("seconds", "5")))
        assert stretches and stretches == [list(stretch) for stretch in expected]
    mixture = client.get(path, params={"source": "vocals", "metric": "si_sdr", "of": "mixture"})
    assert mixture.status_code == 200
    for query in ({"source": "drums", "metric": "si_sdr"}, {"source": "vocals", "metric": "../../etc"}, {}):
        refused = client.get(path, params=query)
        assert refused.status_code == 422 and set(refused.json()) == {"asked", "found", "advice"}
    for seconds in ("0", "-1", "nan", "1e9", "61", "x" * 100):
        assert client.get(path, params={"metric": "residual_db", "seconds": seconds}).status_code == 400


def test_references_that_come_later_are_measured(client: TestClient, store: JobStore, tmp_path: Path) -> None:
    job = make_job(store, tmp_path)
    tracks = recording(3, rate=RATE, channels=1)
    reference = tracks.pop("reference-vocals")
    write_stage(job, "full", tracks, rate=RATE)
    before = measured(client, job)
    assert not before["compared"] and "si_sdr" not in before["metrics"]
    folder = job.folder / "full"
    described = job.stage("full")
    assert described is not None
    other = make_job(store, tmp_path)
    write_stage(other, "full", {"reference-vocals": reference}, rate=RATE)
    for suffix in (".wav", ".peaks"):
        (other.folder / "full" / f"reference-vocals{suffix}").rename(folder / f"reference-vocals{suffix}")
    job.write_stage("full", {**described, "tracks": [*described["tracks"], "reference-vocals"]})
    assert client.get(f"/earshot/jobs/{job.id}/full/segments").json()["state"] == "idle"
    after = measured(client, job)
    assert after["compared"] and "si_sdr" in after["metrics"]


@pytest.mark.parametrize("path", ["preview/segments", "input/segments", "../segments", "full/segments/best"])
def test_only_complete_stages_are_found(client: TestClient, store: JobStore, tmp_path: Path, path: str) -> None:
    job = done_job(store, tmp_path, 1)
    assert client.get(f"/earshot/jobs/{job.id}/{path}").status_code == 404
    assert client.post(f"/earshot/jobs/{job.id}/{path}").status_code in (404, 405)


def test_unknown_jobs_and_other_sites_are_refused(client: TestClient, store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path, 1)
    unknown = client.post(f"/earshot/jobs/{'A' * 22}/full/segments")
    assert unknown.status_code == 404 and set(unknown.json()) == {"asked", "found", "advice"}
    foreign = client.post(f"/earshot/jobs/{job.id}/full/segments", headers={"origin": "http://evil.example"})
    assert foreign.status_code == 403 and read_record(job.folder / "full") is None


def test_a_full_queue_says_so(given: Services, store: JobStore, tmp_path: Path) -> None:
    class Full(SegmentQueue):
        def ask(self, job: Job, stage: str) -> None:
            raise Busy("Measure every second", "16 other recordings wait", "Try again in a minute")

    queue = Full(Claims(tmp_path / "claims"))
    client = TestClient(Starlette(routes=segment_routes(given, queue)))
    response = client.post(f"/earshot/jobs/{done_job(store, tmp_path, 1).id}/full/segments")
    assert response.status_code == 503 and response.json()["found"] == "16 other recordings wait"


def test_a_failure_is_told_in_three_parts(given: Services, store: JobStore, tmp_path: Path) -> None:
    job = done_job(store, tmp_path, 1)
    (job.folder / "full" / "vocals.wav").write_bytes(b"no sound")
    client = TestClient(Starlette(routes=segment_routes(given)))
    client.post(f"/earshot/jobs/{job.id}/full/segments")
    until = time.monotonic() + 60
    while (answer := client.get(f"/earshot/jobs/{job.id}/full/segments").json())["state"] != "failed":
        assert time.monotonic() < until, answer
        time.sleep(0.02)
    assert set(answer["error"]) == {"asked", "found", "advice"} and str(tmp_path) not in str(answer)
