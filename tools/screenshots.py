"""Take the pictures in docs/screenshots again: the app as a first visitor has it after one press.

    python -m tools.screenshots [--output docs/screenshots]

Starts the app on a free port with an empty data folder, separates the example that waits there, and shoots the page wide and
narrow, light and dark. Needs Chromium and playwright (`make screenshots` sees to both).
"""

import argparse
import io
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
SIZES = {1440: 900, 390: 844}
THEMES = {"": "light", "-dark": "dark"}
PATIENCE = 300.0  # s, for the start and for the separation, on a slow machine
SETTLED = 1500  # ms, until waveforms and pictures are drawn
COLOURS = 192  # of the palette; keeps a picture at a third of its size
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

_log = logging.getLogger(__name__)


@contextmanager
def served(data: Path) -> Iterator[str]:
    """The running app; gives its address, with the slash."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    environment = {
        **os.environ,
        "EARSHOT_DATA": str(data),
        "EARSHOT_HOST": "127.0.0.1",
        "EARSHOT_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
    }
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment)
    try:
        _wait(lambda: app.poll() is not None or _answers(address), "the app to start")
        if app.poll() is not None:
            raise SystemExit(f"The app stopped at once, with status {app.returncode}")
        yield address
    finally:
        app.terminate()
        app.wait(timeout=30)


def separate_first(browser: Browser, address: str) -> str:
    """Press the button as a first visitor would; returns the job's id once it is done."""
    page = browser.new_page()
    page.goto(address)
    page.get_by_role("button", name="Separate", exact=True).click()
    page.wait_for_selector("earshot-player[job]", state="attached", timeout=PATIENCE * 1000)
    job = page.get_attribute("earshot-player[job]", "job")
    _wait(lambda: _state(address, str(job))["status"] not in ("waiting", "running"), "the separation")
    state = _state(address, str(job))
    page.close()
    if state["status"] != "done":
        raise SystemExit(f"The separation ended as {state['status']}: {state.get('error')}")
    return str(job)


def shoot(browser: Browser, address: str, job: str, width: int, theme: str) -> Image.Image:
    """The whole page with the finished separation."""
    page = browser.new_page(viewport={"width": width, "height": SIZES[width]}, device_scale_factor=1)
    page.goto(f"{address}?job={job}&__theme={theme}")
    for player in (".earshot-recording", ".earshot-result"):
        page.wait_for_selector(f"{player} earshot-player .track:not(.skeleton) canvas", timeout=PATIENCE * 1000)
    _settle(page)
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    page.close()
    return picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)


def _settle(page: Page) -> None:
    page.wait_for_timeout(SETTLED)
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(SETTLED / 3)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def _state(address: str, job: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}earshot/jobs/{job}", timeout=30) as answer:
        state: dict[str, Any] = json.load(answer)["state"]
    return state


def _wait(happened: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > end:
            raise SystemExit(f"Waited {PATIENCE:.0f} s for {what}")
        time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the pictures in docs/screenshots again.")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "screenshots")
    output: Path = parser.parse_args().output
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        raise SystemExit("There is no Chromium: `make screenshots` installs it or says how")
    output.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="earshot-") as data,
        served(Path(data)) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        job = separate_first(browser, address)
        for width in SIZES:
            for suffix, theme in THEMES.items():
                path = output / f"separate-{width}{suffix}.png"
                shoot(browser, address, job, width, theme).save(path, optimize=True)
                _log.info("%s (%.0f kB)", path, path.stat().st_size / 1000)
        browser.close()


if __name__ == "__main__":
    main()
