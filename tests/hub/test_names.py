"""What a name is taken for."""

from pathlib import Path

import pytest
from tiny_folder import FIELDS, tiny

from separation import hub
from separation.errors import UnknownModel
from separation.hub import names


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for bundled models, with one."""
    root = tmp_path / "shelf"
    hub.save(root / "vocals", tiny(), **FIELDS)
    monkeypatch.setattr(names, "_roots", lambda: (tmp_path / "not-there", root))
    return root


def test_bundled_models_are_found_and_loaded(shelf: Path) -> None:
    (shelf / "not-a-model").mkdir()
    assert [card.name for card in hub.bundled()] == ["vocals"]
    assert hub.resolve("vocals").kind == "bundled"
    assert hub.load("vocals").card.origin.name == "vocals"
    assert hub.fetch_size("vocals") == 0
    assert hub.resolve(shelf / "vocals").kind == "folder"


def test_no_bundled_models_is_an_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_roots", lambda: (tmp_path / "nowhere",))
    assert hub.bundled() == []


def test_bundled_models_lie_beside_the_package() -> None:
    assert names._roots()[0] == Path(hub.__file__).parents[2] / "assets" / "models"


def test_every_bundled_model_loads() -> None:
    for card in hub.bundled():
        assert hub.load(card.origin.name).card == card and card.name == card.origin.folder.name


@pytest.mark.parametrize(
    ("name", "repo", "revision"),
    [
        ("owner/name", "owner/name", None),
        ("Own-er/na.me_2@v1.0", "Own-er/na.me_2", "v1.0"),
        ("owner/name@refs/pr/3", "owner/name", "refs/pr/3"),
        ("owner/name@" + "0" * 40, "owner/name", "0" * 40),
    ],
)
def test_repositories(name: str, repo: str, revision: str | None) -> None:
    found = hub.resolve(name)
    assert (found.kind, found.repo, found.revision) == ("hub", repo, revision)


def test_an_existing_folder_is_a_folder_even_with_spaces(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spaced = folder.rename(folder.with_name("my tiny model"))
    assert hub.resolve(spaced).folder == spaced
    monkeypatch.chdir(folder.parent)
    assert hub.resolve("my tiny model").folder == spaced
    assert hub.load("./my tiny model").card.name == "tiny"


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "a/b/c", "../x", "owner/", "/name", "owner/na me", "my model", "owner/name@", "owner/name@a b",
        "owner/name@../../x", "owner/..", "owner/a--b", "-owner/name", "owner/name.git", "owner/name\n", "x\0y",
        "https://huggingface.co/owner/name", "~nobody-here/x/y", "o" * 5000,
    ],
)  # fmt: skip
def test_malformed_names_are_refused_with_the_form(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownModel, match=r"owner/name@revision") as caught:
        hub.resolve(name)
    assert len(str(caught.value)) < 400


def test_a_near_name_is_offered(shelf: Path) -> None:
    with pytest.raises(UnknownModel, match=r"Is 'vocals' meant\? Bundled models: vocals"):
        hub.resolve("vocal")


def test_an_oracle_is_no_model_to_open() -> None:
    with pytest.raises(UnknownModel, match=r"made from one recording's true sources.*earshot benchmark"):
        hub.load("oracle:irm2")
