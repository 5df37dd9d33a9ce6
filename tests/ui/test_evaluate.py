"""The Evaluate page without a browser: what may be asked, what is measured, what the routes answer and refuse."""

import json
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import pytest
from made_tables import SECONDS, MadeBenchmark, made_table, value_of
from page_services import Services, noise, services
from starlette.applications import Starlette
from starlette.testclient import TestClient

from separation.errors import DataError, SeparationError, UnknownModel
from separation.evaluation.tables import read_table
from separation.ui import evaluate_views as views
from separation.ui.evaluate import EvaluatePage
from separation.ui.evaluate_routes import MAX_BODY, evaluation_routes
from separation.ui.measuring import EXAMPLES, UPLOAD, Measuring

MODELS = ["vocals", "oracle:irm2", "oracle:mixture"]
SDR = views.Chosen("bss_eval_v4.SDR", "vocals")


@pytest.fixture
def given(tmp_path: Path) -> Services:
    return services(tmp_path)


@pytest.fixture
def measuring(given: Services) -> Measuring:
    return Measuring(given, MadeBenchmark())


@pytest.fixture
def page(given: Services, measuring: Measuring) -> EvaluatePage:
    return EvaluatePage(given, measuring)


@contextmanager
def serving(measuring: Measuring) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=evaluation_routes(measuring)), base_url="http://here") as client:
        yield client


@pytest.fixture
def client(measuring: Measuring) -> Iterator[TestClient]:
    with serving(measuring) as client:
        yield client


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, Any, Services]]:
    """A finished run that the tests only look at: who asks, the run, and the services."""
    given = services(tmp_path_factory.mktemp("ready"))
    measuring = Measuring(given, MadeBenchmark())
    run = measured(measuring)
    with serving(measuring) as client:
        yield client, run, given


Ready = tuple[TestClient, Any, Services]


def measured(measuring: Measuring, models: list[str] = MODELS, **more: Any) -> Any:
    run = measuring.create(models, EXAMPLES, "sisec", **more)
    measuring.runs.run(run)
    assert run.state().status == "done", run.state().error
    return run


def zipped(path: Path, folder: Path) -> Path:
    """Two tracks with two stems each, as a visitor would upload them."""
    with zipfile.ZipFile(path, "w") as archive:
        for track in ("one", "two"):
            for stem in ("vocals", "accompaniment"):
                archive.write(noise(folder / f"{stem}.wav", 1.0), f"{track}/{stem}.wav")
    return path


# What may be asked


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"models": []}, "no model is ticked"),
        ({"models": [f"oracle:irm{i}" for i in range(13)]}, "13 models"),
        ({"models": ["oracle:nothing"]}, "no such oracle"),
        ({"models": ["/etc"]}, "neither bundled nor a repository"),
        ({"models": ["someone/else"]}, "no such repository"),
        ({"protocol": "mine"}, "no protocol 'mine'"),
        ({"data": "/etc"}, "offers no such folder"),
        ({"data": ".."}, "offers no such folder"),
        ({"data": UPLOAD}, "no recordings are chosen"),
    ],
)
def test_what_the_page_does_not_offer_is_refused(measuring: Measuring, change: dict[str, Any], found: str) -> None:
    asked = {"models": ["vocals"], "data": EXAMPLES, "protocol": "sisec"} | change
    with pytest.raises(SeparationError, match=found):
        measuring.create(**asked)
    assert measuring.runs.all() == []


def test_folders_of_this_machine_are_no_models(measuring: Measuring, tmp_path: Path) -> None:
    for name in (str(tmp_path), "../models", "~/x", "./a/b"):
        with pytest.raises(UnknownModel):
            measuring.create([name], EXAMPLES, "sisec")


def test_an_offer_is_measured_by_its_key_and_its_place_is_never_shown(tmp_path: Path) -> None:
    offered = tmp_path / "secret place" / "My songs"
    for track in ("one", "two"):
        for stem in ("vocals", "accompaniment"):
            noise(offered / track / f"{stem}.wav", 1.0)
    measuring = Measuring(services(tmp_path, datasets=(offered,)), MadeBenchmark())
    (key,) = measuring.offers
    run = measuring.create(["vocals"], key, "sisec", tracks=1)
    measuring.runs.run(run)
    with serving(measuring) as client:
        told = client.get(f"/earshot/runs/{run.id}").text
    assert "My songs" in told and "secret place" not in told
    assert [track["name"] for track in json.loads(told)["tracks"]] == ["one"], "at most as many as asked for"


def test_an_upload_is_unpacked_into_the_run_and_goes_with_it(measuring: Measuring, tmp_path: Path) -> None:
    upload = zipped(tmp_path / "my set.zip", tmp_path / "wavs")
    run = measuring.create(["vocals"], UPLOAD, "sisec", upload=upload)
    assert run.request.title == "my set" and [track.name for track in measuring.tracks(run)] == ["one", "two"]
    measuring.delete(run)
    assert not run.folder.exists() and measuring.runs.all() == []


def test_an_upload_longer_than_the_page_takes_is_refused(tmp_path: Path) -> None:
    measuring = Measuring(services(tmp_path, max_minutes=0.02), MadeBenchmark())
    with pytest.raises(DataError, match=r"this page takes up to 0\.02"):
        measuring.create(["vocals"], UPLOAD, "sisec", upload=zipped(tmp_path / "long.zip", tmp_path / "wavs"))
    assert measuring.runs.all() == []


def test_bounds_are_measured_for_the_sources_of_the_model_that_fits(tmp_path: Path) -> None:
    made = MadeBenchmark()
    measuring = Measuring(services(tmp_path), made)
    run = measured(measuring)
    assert made.calls == [
        (("vocals",), ["A swell", "A talk"]),
        (("oracle:irm2", "oracle:mixture"), ["A swell", "A talk"]),
    ]
    assert set(read_table(run.table)["model"]) == set(MODELS)


def test_the_next_estimate_rests_on_what_was_measured(measuring: Measuring) -> None:
    before = measuring.estimate(2, EXAMPLES, "sisec", None)
    assert before is not None and before > 10
    measured(measuring)
    after = measuring.estimate(2, EXAMPLES, "sisec", None)
    assert after is not None and 0 < after < before, "a made-up table is fast"
    assert measuring.estimate(1, UPLOAD, "sisec", None) is None


# The page


def test_the_page_queues_a_run_with_what_was_set(page: EvaluatePage, measuring: Measuring) -> None:
    run = measuring.runs.get(page.start(["vocals"], " someone/model ", EXAMPLES, None, "whole", 1.0))
    assert run.request.models == ("vocals", "someone/model")
    assert (run.request.protocol, run.request.tracks, run.state().status) == ("whole", 1, "waiting")
    with pytest.raises(gr.Error, match="No model is ticked"):
        page.start([], "", EXAMPLES, None, "whole", None)


def test_a_repository_joins_the_choice_ticked(page: EvaluatePage) -> None:
    update, field = page.add_model(" someone/model ", ["vocals"])
    assert update["value"] == ["vocals", "someone/model"] and ("someone/model", "someone/model") in update["choices"]
    assert field == ""
    with pytest.raises(gr.Error, match="no such repository"):
        page.add_model("someone/else", [])


def test_the_estimate_in_words(page: EvaluatePage) -> None:
    assert "Tick at least one" in page.tell_estimate([], EXAMPLES, "sisec", 20)
    assert "1 model on 2 tracks: about" in page.tell_estimate(["vocals"], EXAMPLES, "sisec", 20)
    assert "2 models on 1 track: about" in page.tell_estimate(MODELS[:2], EXAMPLES, "sisec", 1)
    assert "as soon as" in page.tell_estimate(["vocals"], UPLOAD, "sisec", None)


def test_programs_can_ask_too(page: EvaluatePage, measuring: Measuring) -> None:
    answer = page.evaluate(["vocals"], "whole")
    assert measuring.runs.get(answer["run"]).request.models == ("vocals",)
    with pytest.raises(gr.Error, match="not a list of names"):
        page.evaluate([{"a": 1}], "whole")  # type: ignore[list-item]


# The views


def test_the_ranking_is_sorted_and_says_what_is_left_out() -> None:
    shown = views.ranking(made_table(), SDR, {"vocals": ["MUSDB18"]}, {"vocals": "Voice"})
    assert [row["model"] for row in shown["rows"]] == ["oracle:irm2", "vocals", "oracle:mixture"]
    row = shown["rows"][1]
    assert (row["tracks"], row["silent_segments"], row["leaks"], row["title"]) == (3, 6, ["MUSDB18"], "Voice")
    assert [count for why, count in row["left_out"].items() if why.startswith("silent reference: ")] == [6]
    assert row["low"] < row["median"] < row["high"]
    assert "Fewer than 10 tracks" in " ".join(shown["notes"])
    assert not any("not all measured" in note for note in shown["notes"])


def test_models_measured_on_different_tracks_are_said_to_be() -> None:
    table = made_table()
    some = table[(table["model"] != "vocals") | (table["track"] == "song 0")]
    assert "not all measured on the same tracks" in " ".join(views.ranking(some, SDR)["notes"])


def test_bounds_are_lines_in_the_spread_and_models_boxes() -> None:
    made = views.spread(made_table(), SDR, "box", MODELS)
    assert [trace["name"] for trace in made.spec["data"]] == ["vocals"]
    assert len(made.spec["layout"]["shapes"]) == 2


def test_the_map_tells_source_and_duration() -> None:
    made = views.heat(made_table(), "vocals", replace(SDR, source=None))
    assert (made["source"], made["duration"]) == ("vocals", 1.0)
    assert made["rows"][0] == ["song 0", 0.0, value_of("vocals", 0, 0), ""]
    assert made["rows"][2][2] is None and made["rows"][2][3].startswith("silent reference: ")
    with pytest.raises(DataError, match="of whole tracks"):
        views.heat(made_table(), "vocals", views.Chosen("si_sdr", "vocals"))


@pytest.mark.parametrize(("tracks", "said"), [(3, "n = 3: too few tracks for a test"), (12, "paired Wilcoxon test p ")])
def test_head_to_head_tests_only_what_can_be_tested(tracks: int, said: str) -> None:
    made = views.head_to_head(made_table(tracks=tracks), "vocals", "oracle:mixture", SDR, MODELS)
    words = " ".join(made["says"])
    assert said in words and words.startswith("vocals is ahead by 9.00 dB")
    assert ("p =" in words or "p <" in words) == (tracks >= 10)


def test_a_model_is_not_compared_with_itself() -> None:
    with pytest.raises(DataError, match="same model"):
        views.head_to_head(made_table(), "vocals", "vocals", SDR, MODELS)


def test_one_model_looks_the_same_everywhere() -> None:
    table = made_table(("speakers", "vocals"))
    models = ["vocals", "speakers"]
    spread = views.spread(table, SDR, "box", models).spec["data"]
    points = views.against(table, "bss_eval_v4.SIR", SDR.metric, "vocals", models).spec["data"]
    assert {t["name"]: t["marker"]["color"] for t in spread} == {t["name"]: t["marker"]["color"] for t in points}


# The routes


def test_a_run_tells_its_state_and_what_there_is_to_see(ready: Ready) -> None:
    client, run, _ = ready
    body = client.get(f"/earshot/runs/{run.id}").json()
    assert body["state"]["status"] == "done" and body["state"]["done"] == 6
    assert [metric["name"] for metric in body["metrics"]][:2] == ["bss_eval_v4.SDR", "bss_eval_v4.SIR"]
    assert body["metrics"][0]["about"] and body["metrics"][0]["windows"] and not body["metrics"][-1]["windows"]
    assert [model["model"] for model in body["models"]] == MODELS
    assert body["sources"] == ["vocals", "accompaniment"]


def test_a_waiting_run_has_nothing_to_see_yet(client: TestClient, measuring: Measuring) -> None:
    run = measuring.create(["vocals"], EXAMPLES, "sisec")
    body = client.get(f"/earshot/runs/{run.id}").json()
    assert (body["metrics"], body["tracks"], body["state"]["status"]) == ([], [], "waiting")


@pytest.mark.parametrize("path", ["ranking", "figures/spread", "figures/heat", "figures/scatter", "figures/pair"])
def test_rankings_and_figures_are_json(ready: Ready, path: str) -> None:
    client, run, _ = ready
    query = "metric=bss_eval_v4.SDR&source=vocals&model=vocals&other=oracle:irm2&across=bss_eval_v4.SIR"
    answer = client.get(f"/earshot/runs/{run.id}/{path}?{query}")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "private, no-store"
    assert len(answer.json()["rows"]) > 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("ranking", 400),
        ("ranking?metric=nothing", 400),
        ("ranking?metric=bss_eval_v4.SDR&source=drums", 400),
        ("figures/heat?metric=bss_eval_v4.SDR&model=../../etc", 400),
        ("figures/nothing?metric=bss_eval_v4.SDR", 404),
        ("figures/..%2f..%2fetc?metric=bss_eval_v4.SDR", 404),
        ("table.exe", 404),
    ],
)
def test_bad_questions_are_refused_in_three_parts(ready: Ready, path: str, status: int) -> None:
    client, run, _ = ready
    answer = client.get(f"/earshot/runs/{run.id}/{path}")
    assert answer.status_code == status
    if answer.headers["content-type"] == "application/json":
        assert set(answer.json()) == {"asked", "found", "advice"}


def test_choices_with_nothing_to_show_are_answered_in_words(ready: Ready) -> None:
    client, run, _ = ready
    for query in ("heat?metric=si_sdr&model=vocals", "pair?metric=si_sdr&model=vocals&other=vocals"):
        answer = client.get(f"/earshot/runs/{run.id}/figures/{query}")
        assert answer.status_code == 200 and list(answer.json()) == ["nothing"]


@pytest.mark.parametrize("run", ["A" * 22, "..", "%2e%2e", "..%2f..", "x" * 500, quote("ä" * 22)])
def test_unknown_ids_are_not_found_whatever_is_asked(ready: Ready, run: str) -> None:
    client = ready[0]
    for path in ("", "/ranking?metric=a", "/figures/heat?metric=a", "/table.csv"):
        assert client.get(f"/earshot/runs/{run}{path}").status_code == 404
    assert client.post(f"/earshot/runs/{run}/cancel").status_code == 404
    assert client.delete(f"/earshot/runs/{run}").status_code in (404, 405)
    assert client.post(f"/earshot/runs/{run}/listen", json={"model": "m", "track": "t", "second": 0}).status_code == 404


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "http://elsewhere"}])
def test_other_sites_change_nothing(ready: Ready, headers: dict[str, str]) -> None:
    client, run, _ = ready
    asked = {"model": "vocals", "track": "A swell", "second": 1}
    for answer in (
        client.delete(f"/earshot/runs/{run.id}", headers=headers),
        client.post(f"/earshot/runs/{run.id}/cancel", headers=headers),
        client.post(f"/earshot/runs/{run.id}/listen", headers=headers, json=asked),
    ):
        assert answer.status_code == 403
    assert run.state().status == "done" and not run.cancelled and not (run.folder / "jobs.json").exists()


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_the_whole_table_can_be_had(ready: Ready, tmp_path: Path, format: str) -> None:
    client, run, _ = ready
    answer = client.get(f"/earshot/runs/{run.id}/table.{format}")
    assert "attachment" in answer.headers["content-disposition"]
    (tmp_path / f"table.{format}").write_bytes(answer.content)
    assert len(read_table(tmp_path / f"table.{format}")) == len(read_table(run.table))


def test_static_files_are_the_packages_own(ready: Ready) -> None:
    client = ready[0]
    for name in ("evaluate.js", "figure.js", "plotly.min.js"):
        answer = client.get(f"/earshot/evaluate/{name}")
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/javascript")
    for name in ("evaluate.css", "..%2fserver.py", "%2e%2e%2fserver.py", "nothing.js"):
        assert client.get(f"/earshot/evaluate/{name}").status_code == 404
    packed = client.get("/earshot/evaluate/plotly.min.js")
    assert packed.headers["content-encoding"] == "gzip" and len(packed.content) > 4_000_000
    again = client.get("/earshot/evaluate/plotly.min.js", headers={"if-none-match": packed.headers["etag"]})
    assert again.status_code == 304


# A second to hear


def test_a_second_becomes_a_job_once_with_mixture_and_references(
    client: TestClient, measuring: Measuring, given: Services
) -> None:
    run = measured(measuring)
    asked = {"model": "vocals", "track": "A talk", "second": 20}
    first = client.post(f"/earshot/runs/{run.id}/listen", json=asked).json()["job"]
    again = client.post(f"/earshot/runs/{run.id}/listen", json=asked | {"second": 3}).json()["job"]
    other = client.post(f"/earshot/runs/{run.id}/listen", json=asked | {"model": "oracle:irm2"}).json()["job"]
    assert first == again != other
    job = given.store.get(first)
    assert (job.request.model, job.request.preview_at, job.request.references) == ("vocals", 20.0, ("part",))
    assert job.input.name == "mixture.wav"
    given.store.delete(first)
    assert client.post(f"/earshot/runs/{run.id}/listen", json=asked).json()["job"] not in (first, other)


def test_deleting_a_run_takes_its_jobs_along(client: TestClient, measuring: Measuring, given: Services) -> None:
    run = measured(measuring)
    asked = {"model": "vocals", "track": "A swell", "second": 1}
    assert client.post(f"/earshot/runs/{run.id}/listen", json=asked).status_code == 200
    assert len(given.store.all()) == 1
    assert client.delete(f"/earshot/runs/{run.id}").json() == {"deleted": True}
    assert given.store.all() == [] and client.get(f"/earshot/runs/{run.id}").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"nonsense", 400),
        (b'{"model": "vocals", "track": "A swell"}', 400),
        (b'{"model": "vocals", "track": "A swell", "second": -1}', 400),
        (b'{"model": "vocals", "track": "A swell", "second": NaN}', 400),
        (b'{"model": "vocals", "track": "A swell", "second": 1e99}', 400),
        (b'{"model": "vocals", "track": "../A swell", "second": 1}', 400),
        (b'{"model": "/etc", "track": "A swell", "second": 1}', 400),
        (b"[" * 4000, 400),
        (b" " * (MAX_BODY + 1), 413),
    ],
)
def test_bad_wishes_to_listen_are_refused(ready: Ready, body: bytes, status: int) -> None:
    client, run, given = ready
    assert client.post(f"/earshot/runs/{run.id}/listen", content=body).status_code == status
    assert given.store.all() == []


def test_recordings_that_are_gone_are_said_to_be(tmp_path: Path) -> None:
    offered = tmp_path / "songs"
    for stem in ("vocals", "accompaniment"):
        noise(offered / "one" / f"{stem}.wav", 1.0)
        noise(offered / "two" / f"{stem}.wav", 1.0)
    measuring = Measuring(services(tmp_path, datasets=(offered,)), MadeBenchmark())
    run = measuring.create(["vocals"], next(iter(measuring.offers)), "sisec")
    measuring.runs.run(run)
    for file in (offered / "one").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"not there any more|one"):
        measuring.listen(run, "vocals", "one", 0.0)


def test_runs_are_measured_in_the_background_and_figures_grow(tmp_path: Path) -> None:
    measuring = Measuring(services(tmp_path), MadeBenchmark(pause=0.05))
    measuring.runs.start()
    try:
        run = measuring.create(MODELS, EXAMPLES, "sisec")
        wait(lambda: run.state().done >= 1)
        with serving(measuring) as client:
            early = client.get(f"/earshot/runs/{run.id}").json()
            assert early["metrics"], "the first part is there to look at"
            wait(lambda: run.state().finished)
            late = client.get(f"/earshot/runs/{run.id}").json()
        assert [model["model"] for model in late["models"]] == MODELS
        assert len(read_table(run.table)) == len(MODELS) * 2 * (2 * SECONDS * 2 + 2)
    finally:
        measuring.runs.stop()


def wait(happened: Callable[[], bool]) -> None:
    for _ in range(2000):
        if happened():
            return
        time.sleep(0.005)
    raise AssertionError("it did not happen")
