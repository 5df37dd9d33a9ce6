"""The routes of the Models page: what is here, a look before fetching, fetching, timing, figures, and who may remove."""

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from fake_hub import FakeHub, client_on, commit_hash
from page_services import RATE, Halves, Services, card, services
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient
from torch import nn

from separation import hub
from separation.engine.jobs import JobStore
from separation.engine.workers import Workers
from separation.errors import Busy, Cancelled, HubError, UnknownJob
from separation.hub import Curve, LearningCurves, Score
from separation.models import build
from separation.settings import Settings
from separation.ui import fetching, gpu
from separation.ui.fetching import Fetches
from separation.ui.frame import Hub, open_ratings
from separation.ui.model_routes import model_routes
from separation.ui.owner_access import COOKIE, GUESSES_A_MINUTE, Access

TOKEN = "a-token-of-the-owner"
HOME = {"base_url": "http://127.0.0.1:7860", "client": ("127.0.0.1", 50000)}
FIELDS: dict[str, Any] = {
    "title": "Two speakers, tiny", "summary": "Random.", "task": "speakers", "licence": "MIT", "citation": "Nobody, 2020",
    "trained_on": ["nothing"], "scores": [], "weaknesses": ["It separates nothing at all."], "training": None,
}  # fmt: skip
CURVES = LearningCurves(
    loss=Curve(name="loss", unit="", steps=(1, 2), values=(3.0, 2.0)),
    validation=Curve(name="SI-SDR gain", unit="dB", steps=(2,), values=(0.5,), errors=(0.1,)),
    step=2,
)


def tasnet() -> nn.Module:
    return build("conv_tasnet", dict(basis=16, kernel=8, bottleneck=8, hidden=16, skip=8, blocks=2, repeats=1, segment=1.0,
                                     context=0.25))  # fmt: skip


def folder_of(tmp_path: Path, name: str, model: nn.Module, architecture: str, **more: Any) -> dict[str, bytes]:
    hub.save(tmp_path / "saved" / name, model, architecture=architecture, **FIELDS, **more)
    return {path.name: path.read_bytes() for path in (tmp_path / "saved" / name).iterdir()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return folder_of(tmp_path_factory.mktemp("files"), "tiny", tasnet(), "conv_tasnet", curves=CURVES)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeHub]:
    with client_on(tmp_path / "client") as server:
        yield server


@pytest.fixture
def given(tmp_path: Path, fake: FakeHub) -> Services:
    """Everything real, the Hub but for its server."""
    settings = Settings(data=tmp_path / "data")
    store = JobStore(settings.jobs)
    workers = Workers(store, hub.load, devices=("cpu",))
    return Services(settings, store, workers, cast(Hub, hub), tmp_path, *open_ratings(settings))


def client_of(given: Services, **settings: Any) -> TestClient:
    app = Starlette(routes=model_routes(replace(given, settings=replace(given.settings, **settings))))
    return TestClient(app, **HOME)  # type: ignore[arg-type]


@pytest.fixture
def client(given: Services) -> TestClient:
    return client_of(given)


def get(client: TestClient, path: str, **query: str) -> Any:
    return client.get(f"/earshot/models{path}", params=query)


def fetched(client: TestClient, name: str) -> dict[str, Any]:
    """Fetch and wait for the end."""
    state = client.post("/earshot/models/fetch", params={"name": name}).json()
    while state["status"] in ("fetching", "checking"):
        state = get(client, f"/fetch/{state['id']}").json()
    return cast(dict[str, Any], state)


# What is here


def test_everything_bundled_is_listed_with_what_the_card_says(client: TestClient) -> None:
    body = get(client, "").json()
    models = {model["name"]: model for model in body["models"]}
    assert list(models) == ["vocals", "speakers"], "the default first"
    vocals = models["vocals"]
    assert ["Gives", "vocals, accompaniment"] in vocals["facts"] and vocals["learning"]
    assert vocals["scores"] and {"metric", "value", "unit", "interval", "data"} <= set(vocals["scores"][0])
    assert vocals["weaknesses"] and vocals["speeds"] == [] and "cached" not in vocals
    assert "oracle:irm2" in {each["name"] for each in body["oracles"]}
    assert "folder" not in str(body) and str(Path(hub.__file__).parents[2]) not in str(body), "no path of this machine"


def test_scores_and_speeds_reach_the_page(tmp_path: Path) -> None:
    made = services(tmp_path)
    score = Score(metric="GNSDR", value=8.1, unit="dB", interval=(7.5, 8.6), data="test", command=None, note=None)
    made.hub.cards["vocals"] = made.hub.cards["vocals"].model_copy(update={"scores": (score,)})  # type: ignore[attr-defined]
    made.workers.calibrate("vocals")
    vocals = get(client_of(made), "").json()["models"][0]
    assert vocals["scores"][0]["interval"] == [7.5, 8.6]
    (speed,) = vocals["speeds"]
    assert speed["device"] == "cpu" and speed["seconds"] > 0


def test_a_fetched_model_is_listed_under_its_commit(client: TestClient, fake: FakeHub, files: dict[str, bytes]) -> None:
    fake.add("owner/tiny", files)
    state = fetched(client, "owner/tiny")
    assert (state["status"], state["opens"]) == ("done", f"owner/tiny@{commit_hash(files)}")
    assert state["done"] == state["total"] > 0
    model = get(client, "").json()["models"][-1]
    assert model["name"] == state["opens"] and model["learning"]
    assert model["cached"]["repo"] == "owner/tiny" and model["cached"]["bytes"] == sum(map(len, files.values()))


# A look


def test_a_look_shows_size_licence_and_files_first(client: TestClient, fake: FakeHub, files: dict[str, bytes]) -> None:
    fake.add("owner/tiny", {**files, "old.ckpt": b"x"})
    body = get(client, "/look", name=" owner/tiny ").json()
    assert body["missing"] == sum(map(len, files.values())) and body["refusal"] is None and body["opens"] is None
    assert body["model"]["licence"] == "MIT" and body["model"]["weaknesses"] == FIELDS["weaknesses"]
    assert {"name": "old.ckpt", "bytes": 1, "verdict": "pickle"} in body["files"]
    assert fake.fetched() == ["config.json"]
    state = fetched(client, "owner/tiny")
    again = get(client, "/look", name="owner/tiny").json()
    assert (again["missing"], again["opens"]) == (0, state["opens"])


def test_a_look_at_what_is_refused_says_why(client: TestClient, fake: FakeHub, files: dict[str, bytes]) -> None:
    bare = {name: content for name, content in files.items() if name != "model.safetensors"}
    fake.add("owner/pickled", {**bare, "pytorch_model.bin": b"x"})
    body = get(client, "/look", name="owner/pickled").json()
    assert "pickles, which can run any program" in body["refusal"]["found"] and body["opens"] is None
    state = fetched(client, "owner/pickled")
    assert state["status"] == "failed" and "pickles" in state["error"]["found"]
    assert "pytorch_model.bin" not in fake.fetched()


def test_names_that_are_no_repositories_never_reach_the_disk_or_the_network(
    client: TestClient, fake: FakeHub, tmp_path: Path
) -> None:
    for name in (
        str(tmp_path),
        "../models",
        "~/x",
        "/etc",
        "./a/b",
        "tests/ui",
        "vocals",
        "",
        "a/<b>",
        "a/b/c",
        "a\0/b",
        "a/b@../c",
    ):
        for answer in (get(client, "/look", name=name).json()["failed"],
                       client.post("/earshot/models/fetch", params={"name": name}).json()):  # fmt: skip
            assert "owner/name" in answer["found"] and "the Hugging Face Hub" in answer["advice"], name
    assert get(client, "/look", name="owner/" + "x" * 400).status_code == 400
    assert fake.requests == []


def test_trouble_with_the_hub_is_an_answer_in_three_parts(client: TestClient, fake: FakeHub) -> None:
    missing = get(client, "/look", name="owner/none").json()["failed"]
    assert "does not exist" in missing["found"] and missing["asked"] and missing["advice"]
    fake.close()
    assert "cannot be reached" in get(client, "/look", name="owner/none").json()["failed"]["found"]


# Fetching


class Slow:
    """A load that waits in the middle, and says how far it is."""

    def __init__(self) -> None:
        self.gate, self.half = threading.Event(), threading.Event()
        self.names: list[str] = []

    def __call__(self, name: str, *, device: str = "cpu", progress: Callable[[int, int], None] | None = None) -> Halves:
        assert progress is not None
        self.names.append(name)
        progress(0, 100)
        progress(50, 100)
        self.half.set()
        assert self.gate.wait(30)
        progress(100, 100)
        return Halves("one", "two")


def ended(fetches: Fetches, id: str) -> fetching.Fetch:
    while not fetches.get(id).finished:
        threading.Event().wait(0.01)
    return fetches.get(id)


def test_progress_in_bytes_and_one_fetch_a_name() -> None:
    load = Slow()
    fetches = Fetches(load)
    fetch = fetches.start("a/b")
    assert load.half.wait(30)
    now = fetches.get(fetch.id)
    assert (now.status, now.done, now.total) == ("fetching", 50, 100)
    assert fetches.start("a/b").id == fetch.id, "who comes second joins"
    load.gate.set()
    assert ended(fetches, fetch.id).status == "done" and load.names == ["a/b"]
    assert fetches.get(fetch.id).opens == "a/b"


def test_a_stopped_fetch_ends_and_can_be_begun_again() -> None:
    load = Slow()
    fetches = Fetches(load)
    fetch = fetches.start("a/b")
    assert load.half.wait(30)
    fetches.cancel(fetch.id)
    again = fetches.start("a/b")
    assert again.id != fetch.id
    load.gate.set()
    assert ended(fetches, fetch.id).status == "cancelled"
    assert ended(fetches, again.id).status == "done"
    fetches.cancel(fetch.id)
    assert fetches.get(fetch.id).status == "cancelled"


def test_no_more_than_two_at_once() -> None:
    load = Slow()
    fetches = Fetches(load)
    running = [fetches.start(name).id for name in ("a/b", "c/d")]
    with pytest.raises(Busy, match="a/b, c/d are being fetched"):
        fetches.start("e/f")
    load.gate.set()
    assert {ended(fetches, id).status for id in running} == {"done"}
    assert fetches.start("e/f").name == "e/f"


def test_failures_are_told_and_surprises_are_calm(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = [HubError("Fetch a/b", "it is gone", "look"), RuntimeError("/secret/path"),
                               Cancelled("Fetch", "stopped", "again")]  # fmt: skip

    def load(name: str, **_: Any) -> Halves:
        raise errors.pop(0)

    fetches = Fetches(load)
    told, surprised, stopped = (ended(fetches, fetches.start(name).id) for name in ("a/b", "c/d", "e/f"))
    assert told.error == {"asked": "Fetch a/b", "found": "it is gone", "advice": "look"}
    assert surprised.error is not None and "secret" not in str(surprised.error) and "/secret/path" in caplog.text
    assert stopped.status == "cancelled"


def test_old_fetches_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "REMEMBERED", 3)
    fetches = Fetches(lambda name, **_: Halves("one", "two"))
    ids = [ended(fetches, fetches.start(f"a/{number}").id).id for number in range(6)]
    with pytest.raises(UnknownJob, match="not known here"):
        fetches.get(ids[0])
    assert fetches.get(ids[-1]).status == "done"


def test_an_unknown_fetch_is_not_found(client: TestClient) -> None:
    assert get(client, "/fetch/nothing").status_code == 404
    assert client.post("/earshot/models/fetch/nothing/cancel").status_code == 404


# How fast


def test_timing_is_a_job_like_any_other(tmp_path: Path) -> None:
    made = services(tmp_path)
    client = client_of(made)
    made.workers.start()
    try:
        job = client.post("/earshot/models/time", params={"name": "vocals"}).json()["job"]
        while not (state := made.store.get(job).state()).finished:
            threading.Event().wait(0.02)
    finally:
        made.workers.stop()
    assert state.status == "done" and state.report is not None
    (speed,) = get(client, "").json()["models"][0]["speeds"]
    assert speed["seconds"] > 0
    with Path(made.store.get(job).input).open("rb") as file:
        assert len(file.read()) > 4 * RATE, "seconds of noise, one channel"


def test_whoever_comes_second_follows_the_same_timing(tmp_path: Path) -> None:
    client = client_of(services(tmp_path))  # its workers are not started: the job waits
    jobs = [
        client.post("/earshot/models/time", params={"name": name}).json()["job"]
        for name in ("vocals", "speakers", "vocals")
    ]
    assert jobs[0] == jobs[2] != jobs[1]


def test_nothing_is_timed_that_is_not_here(client: TestClient, fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("owner/tiny", "oracle:irm2", "/etc"):
        answer = client.post("/earshot/models/time", params={"name": name})
        assert answer.status_code == 422 and "not installed here" in answer.json()["found"]
    assert fake.requests == []
    monkeypatch.setattr(gpu, "zero_gpu", lambda: True)
    assert client.post("/earshot/models/time", params={"name": "vocals"}).status_code == 404
    assert not get(client, "").json()["models"][0]["timing"]


# Figures


def test_the_learning_curves_are_a_figure(client: TestClient, tmp_path: Path) -> None:
    figure = get(client, "/learning", name="speakers").json()
    assert {"data", "layout", "label", "columns", "rows"} <= set(figure) and len(figure["rows"]) > 50
    without = client_of(services(tmp_path / "without"))
    assert not get(without, "").json()["models"][0]["learning"]
    assert get(without, "/learning", name="vocals").status_code == 404


def test_broken_learning_curves_are_said(client: TestClient, fake: FakeHub, files: dict[str, bytes]) -> None:
    fake.add("owner/tiny", {**files, "training.json": b'{"format": "earshot-training/1"}'})
    name = fetched(client, "owner/tiny")["opens"]
    answer = get(client, "/learning", name=name)
    assert answer.status_code == 422 and "loss" in answer.json()["found"]


def test_a_learned_transform_shows_its_basis_functions(
    client: TestClient, fake: FakeHub, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.add("owner/tiny", files)
    name = fetched(client, "owner/tiny")["opens"]
    inside = get(client, "/inside", name=name).json()
    assert (inside["kind"], inside["count"], inside["length"], inside["sample_rate"]) == ("basis", 16, 8, 8000)
    assert len(inside["encoder"]) == len(inside["decoder"]) == len(inside["shown"]) == 16
    monkeypatch.setattr(hub, "load", None)  # what was found out is not found out again
    for side in ("encoder", "decoder"):
        picture = get(client, "/spectra.png", name=name, side=side)
        assert picture.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(picture.content)).width == 16
    assert get(client, "/spectra.png", name=name, side="both").status_code == 400


def test_models_without_a_learned_transform_say_so(client: TestClient, fake: FakeHub, tmp_path: Path) -> None:
    small = dict(sources=["one", "two"], sample_rate=8000)
    wave = build("wave_u_net", dict(**small, levels=2, growth=4, segment=1.0, context=0.25))
    stft = build("unet", dict(**small, n_fft=64, hop_length=16, channels=[2, 2], hidden=4))
    fake.add("owner/wave", folder_of(tmp_path, "wave", wave, "wave_u_net"))
    fake.add("owner/stft", folder_of(tmp_path, "stft", stft, "unet"))
    wave_says, stft_says = (
        get(client, "/inside", name=fetched(client, name)["opens"]).json() for name in ("owner/wave", "owner/stft")
    )
    assert wave_says["kind"] == "none" and "no basis functions to show" in wave_says["about"]
    assert stft_says["kind"] == "bins" and "33 frequencies from 0 to 4 kHz, 125.0 Hz apart" in stft_says["about"]
    assert "every 2.0 ms" in stft_says["about"]
    assert get(client, "/spectra.png", name="owner/stft").status_code == 422, "only what is here, by its full name"


# Removing


def removal(client: TestClient, name: str, **headers: str) -> Any:
    return client.delete("/earshot/owner/models", params={"name": name}, headers=headers)


def test_on_this_very_machine_a_model_can_be_removed(
    client: TestClient, fake: FakeHub, files: dict[str, bytes]
) -> None:
    fake.add("owner/tiny", files)
    name = fetched(client, "owner/tiny")["opens"]
    assert get(client, "").json()["removal"] == "here"
    answer = removal(client, name, origin="http://127.0.0.1:7860")
    assert answer.status_code == 200 and answer.json()["freed"] == sum(map(len, files.values()))
    assert hub.installed() == [] and len(get(client, "").json()["models"]) == 2
    assert removal(client, name).status_code == 422
    assert removal(client, "vocals").status_code == 422 and get(client, "").json()["models"][0]["name"] == "vocals"


@pytest.mark.parametrize(
    ("settings", "http", "headers"),
    [
        ({"host": "0.0.0.0"}, {}, {}),
        ({"root_path": "/earshot"}, {}, {}),
        ({}, {"base_url": "http://demo.example.org"}, {}),
        ({}, {"client": ("192.0.2.7", 50000)}, {}),
        ({}, {}, {"x-forwarded-for": "192.0.2.7"}),
        ({}, {}, {"forwarded": "for=192.0.2.7"}),
        ({}, {}, {"origin": "http://demo.example.org", "sec-fetch-site": "same-origin"}),
        ({}, {}, {"origin": "null", "sec-fetch-site": "same-origin"}),
    ],
)
def test_visitors_from_elsewhere_remove_nothing(
    given: Services, fake: FakeHub, files: dict[str, bytes], settings: Any, http: Any, headers: dict[str, str]
) -> None:
    fake.add("owner/tiny", files)
    name = hub.load("owner/tiny").card.origin.name
    routes = model_routes(replace(given, settings=replace(given.settings, **settings)))
    client = TestClient(Starlette(routes=routes), **{**HOME, **http})
    answer = removal(client, name, **headers)
    assert answer.status_code == 403 and "only the owner may" in answer.json()["found"]
    assert "earshot models --remove" in answer.json()["advice"] and len(hub.installed()) == 1
    if "origin" not in headers:
        assert client.get("/earshot/models", headers=headers).json()["removal"] == "nobody"


def test_where_the_owner_has_a_token_it_is_asked_for(given: Services, fake: FakeHub, files: dict[str, bytes]) -> None:
    fake.add("owner/tiny", files)
    name = hub.load("owner/tiny").card.origin.name
    client = client_of(given, owner_token=TOKEN, host="0.0.0.0")
    assert get(client, "").json()["removal"] == "token" and TOKEN not in get(client, "").text
    wrong = {"authorization": f"Bearer {TOKEN[:-1]}"}
    for headers, words in (({}, "not signed in"), (wrong, "not the token of this installation")):
        refused = removal(client, name, **headers)
        assert refused.status_code == 403 and words in refused.json()["found"]
        assert refused.json()["asked"] == "Remove a model from this machine"
    assert len(hub.installed()) == 1
    assert removal(client, name, authorization=f"Bearer {TOKEN}").status_code == 200 and hub.installed() == []


def test_guessing_the_token_is_slow(given: Services) -> None:
    client = client_of(given, owner_token=TOKEN)
    for guess in range(GUESSES_A_MINUTE):
        removal(client, "owner/tiny", authorization=f"Bearer guess-{guess}")
    late = removal(client, "owner/tiny", authorization=f"Bearer {TOKEN}")
    assert late.status_code == 403 and "wrong tokens" in late.json()["found"]


def test_who_is_signed_in_on_the_ratings_page_is_the_owner_here(
    given: Services, fake: FakeHub, files: dict[str, bytes]
) -> None:
    fake.add("owner/tiny", files)
    name = hub.load("owner/tiny").card.origin.name
    client = client_of(given, owner_token=TOKEN)
    asked = Request({"type": "http", "scheme": "http", "path": "/", "headers": [], "server": ("127.0.0.1", 7860)})
    client.cookies.set(COOKIE, Access(TOKEN).cookie(asked, "/earshot/owner")["value"], path="/earshot/owner")
    assert removal(client, name).status_code == 200 and hub.installed() == []


def test_another_site_changes_nothing(client: TestClient, fake: FakeHub, files: dict[str, bytes]) -> None:
    fake.add("owner/tiny", files)
    name = hub.load("owner/tiny").card.origin.name
    foreign = {"sec-fetch-site": "cross-site"}
    assert removal(client, name, **foreign).status_code == 403
    for path in ("fetch", "time"):
        assert client.post(f"/earshot/models/{path}", params={"name": name}, headers=foreign).status_code == 403
    assert client.get("/earshot/models/look", params={"name": name}, headers=foreign).status_code == 403
    assert len(hub.installed()) == 1


# Files


def test_only_the_pages_own_files_are_served(client: TestClient) -> None:
    for name in ("cards.js", "look.js", "inside.js", "ask.js"):
        answer = client.get(f"/earshot/cards/{name}")
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/javascript")
    for name in ("cards.css", "..%2Fmodels.py", "models.py", ""):
        assert client.get(f"/earshot/cards/{name}").status_code == 404


def test_a_strangers_words_stay_words(tmp_path: Path) -> None:
    made = services(tmp_path)
    made.hub.cards["vocals"] = card("vocals", "<b>Bold</b>", ("vocals",))  # type: ignore[attr-defined]
    answer = get(client_of(made), "")
    assert (
        answer.headers["content-type"] == "application/json" and answer.headers["x-content-type-options"] == "nosniff"
    )
    assert answer.json()["models"][0]["title"] == "<b>Bold</b>", "the page sets it as text"
