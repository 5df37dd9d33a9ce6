"""Listeners who take a study over HTTP, as a browser does: every page, every field, saved and gone on from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from separation.listening.simulated import value_of


def take(
    client: TestClient, study: str, seed: int, *, pages: int | None = None, base: str = "/listen"
) -> dict[str, Any]:
    """One listener, from the first page to the last, or over so many pages; returns the page where they stand."""
    rng = np.random.default_rng(seed)
    begun = client.post(f"{base}/{study}/session", json={"pid": f"listener-{seed}"})
    assert begun.status_code == 200, begun.text
    session, page = begun.json()["session"], begun.json()["page"]
    done = 0
    while page["kind"] not in ("end", "full", "paused") and done != pages:
        events = _said(page, rng)
        saved = client.post(f"{base}/s/{session}/events", json={"page": page["token"], "events": events})
        assert saved.status_code == 200, saved.text
        gone = client.post(f"{base}/s/{session}/next", json={"page": page["token"]})
        assert gone.status_code == 200, gone.text
        page, done = gone.json()["page"], done + 1
    assert isinstance(page, dict)
    return page


def _said(page: Mapping[str, Any], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Hears everything for two seconds, and answers every field by lot."""
    sounds = [one["token"] for one in (*page["stimuli"], *page["references"])]
    heard = {token: float(rng.uniform(20, 90)) for token in sounds}
    payloads: list[dict[str, Any]] = [{"kind": "did", "what": "open", "of": None, "at": None, "detail": {}}]
    for token in sounds:
        payloads.append({"kind": "did", "what": "heard", "of": token, "at": 1.0, "detail": {"seconds": 2.0}})
    for field in page["fields"]:
        value = True if field["kind"] == "check" else value_of(field, heard, rng)
        if value is not None:
            payloads.append({"kind": "given", "field": field["name"], "of": field["of"], "value": value})
    return [
        {"id": f"{page['token'][:12]}-{number:04}", "made": 1_700_000_000_000 + number, "payload": payload}
        for number, payload in enumerate(payloads)
    ]
