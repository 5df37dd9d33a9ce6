"""The page below a prefix, behind a reverse proxy: everything works there, and other sites still may not change a job."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from chromium import ARGUMENTS, CHROMIUM
from page_services import Services, noise, running, services
from prefix_proxy import proxy

from separation.engine.jobs import Job, Request

PREFIX = "/some/prefix"
ROOT_FILES = ("/favicon.ico", "/manifest.json")
pytestmark = pytest.mark.browser

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Services:
    return services(tmp_path_factory.mktemp("proxy"), root_path=PREFIX)


@pytest.fixture(scope="module")
def served(given: Services) -> Iterator[str]:
    with running(given) as url:
        yield url.rstrip("/")


@pytest.fixture(scope="module", params=[True, False], ids=["forwarded", "host"])
def address(served: str, request: pytest.FixtureRequest) -> Iterator[str]:
    with proxy(served, PREFIX, tell=request.param) as outside:
        yield outside


@pytest.fixture
def job(given: Services, tmp_path: Path) -> Job:
    """One that nobody has started."""
    return given.store.create(noise(tmp_path / "song.wav", 1.0), Request("vocals", "song.wav"))


def test_an_example_is_separated_through_the_proxy(address: str) -> None:
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine: install the package `chromium`")
    said, asked = [], []

    def heard(message: Any) -> None:
        if message.type in ("warning", "error"):
            said.append((message.text, message.location["url"]))

    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.on("console", heard)
        page.on("pageerror", lambda error: said.append((str(error), address)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/")
        expect(page.locator("#earshot-estimate")).to_contain_text(re.compile("About|has not run"))
        page.get_by_role("button", name="Separate", exact=True).click()
        vocals = page.locator("earshot-player li[data-track='vocals']")
        expect(vocals).to_be_visible(timeout=60_000)
        assert page.url.startswith(f"{address}/?") and "job=" in page.url, "the link that can be shared"
        page.reload()
        expect(vocals).to_be_visible(timeout=60_000)
        page.get_by_role("link", name="Models").first.click()
        expect(page.locator("body")).to_contain_text("Voice & music")
        assert page.url.startswith(f"{address}/models")
        browser.close()
    assert [url for url in asked if not url.startswith((f"{address}/", "data:", "blob:"))] == []
    # Gradio asks for its icon and its manifest at the host's root, which is not ours, and reports its own stream that a
    # reload has cut off.
    root = address.removesuffix(PREFIX)
    assert [text for text, url in said if url.removeprefix(root) not in ROOT_FILES and "AbortError" not in text] == []


def test_programs_separate_through_the_proxy(address: str, tmp_path: Path) -> None:
    client_module = pytest.importorskip("gradio_client")
    client = client_module.Client(f"{address}/", verbose=False, download_files=str(tmp_path))
    described = client.view_api(return_format="dict", print_info=False)
    assert "/separate" in described["named_endpoints"]
    song = noise(tmp_path / "song.wav", 2.0)
    result = client.predict(client_module.handle_file(str(song)), "vocals", api_name="/separate")
    assert "vocals" in str(result)
    client.close()


def test_the_players_addresses_work_below_the_prefix(address: str, job: Job) -> None:
    with httpx2.Client(base_url=f"{address}/", trust_env=False) as client:
        assert client.get("earshot/static/player.js").status_code == 200
        described = client.get(f"earshot/jobs/{job.id}")
        assert (described.status_code, described.json()["id"]) == (200, job.id)
        assert client.get("earshot/jobs/" + "x" * 22).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://elsewhere.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site", "origin": "{site}"},
        {"sec-fetch-site": "same-site", "origin": "{site}"},
    ],
)
def test_another_site_may_not_change_a_job_through_the_proxy(address: str, job: Job, headers: dict[str, str]) -> None:
    site = address.removesuffix(PREFIX)
    sent = {name: value.format(site=site) for name, value in headers.items()}
    refused = [
        httpx2.post(f"{address}/earshot/jobs/{job.id}/cancel", headers=sent, trust_env=False),
        httpx2.delete(f"{address}/earshot/jobs/{job.id}", headers=sent, trust_env=False),
    ]
    assert [answer.status_code for answer in refused] == [403, 403]
    assert job.folder.exists() and not job.cancelled


@pytest.mark.parametrize("headers", [{"origin": "{site}"}, {"sec-fetch-site": "same-origin", "origin": "{site}"}, {}])
def test_the_pages_own_wishes_pass_the_proxy(address: str, job: Job, headers: dict[str, str]) -> None:
    sent = {name: value.format(site=address.removesuffix(PREFIX)) for name, value in headers.items()}
    done = httpx2.delete(f"{address}/earshot/jobs/{job.id}", headers=sent, trust_env=False)
    assert done.status_code < 300 and not job.folder.exists()
