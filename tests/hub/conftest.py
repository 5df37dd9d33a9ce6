"""A tiny model's folder, and the real Hub client pointed at the fake Hub."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_hub import FakeHub, client_on
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
def fake(tmp_path: Path) -> Iterator[FakeHub]:
    """A fake Hub and the client pointed at it; test_process sets the environment instead."""
    with client_on(tmp_path) as server:
        yield server
