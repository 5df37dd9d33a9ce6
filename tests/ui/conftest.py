"""What the browser tests share: a browser, and patience, because machines may be busy."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from chromium import ARGUMENTS, CHROMIUM, MICROPHONE

with suppress(ImportError):  # the tests that need it say so themselves
    from playwright.sync_api import expect

    expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One a module: while Playwright runs, its thread can run no other event loop."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine: install the package `chromium`")
    with pytest.importorskip("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *MICROPHONE])
        yield browser
        browser.close()
