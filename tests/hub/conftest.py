"""A tiny model's folder, and the real Hub client pointed at the fake Hub."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import FakeHub
from huggingface_hub import close_session, constants
from tiny_folder import FIELDS, contents, tiny

from separation import hub


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "tiny"
    hub.save(path, tiny(), **FIELDS)
    return path


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A good model folder, to be spoilt."""
    return shutil.copytree(saved, tmp_path / "tiny")


@pytest.fixture
def files(folder: Path) -> dict[str, bytes]:
    return contents(folder)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """The client reads its environment at import, so its constants are set here; test_process sets the environment."""
    with FakeHub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "harnesses.json"))
        for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        close_session()
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        yield server
        close_session()
