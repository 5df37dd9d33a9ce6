"""What all tests of the pages share: browser tests wait for states, and machines may be busy."""

from contextlib import suppress

with suppress(ImportError):  # the browser tests say themselves what is missing
    from playwright.sync_api import expect

    expect.set_options(timeout=30_000)
