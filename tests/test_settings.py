"""Settings from the environment, and clear words for wrong ones."""

import re
from pathlib import Path

import pytest

import separation.settings as module
from separation.errors import SeparationError
from separation.settings import Settings, default_data_folder


def test_defaults() -> None:
    settings = Settings.from_environment({})
    assert (settings.keep_hours, settings.host, settings.port, settings.device) == (24, "127.0.0.1", 7860, "auto")
    assert settings.jobs == settings.data / "jobs"


def test_everything_can_be_set(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {
            "EARSHOT_DATA": str(tmp_path),
            "EARSHOT_KEEP_HOURS": "1.5",
            "EARSHOT_MAX_UPLOAD_MB": "50",
            "EARSHOT_MAX_MINUTES": "10",
            "EARSHOT_CPU_WORKERS": "2",
            "EARSHOT_HOST": "0.0.0.0",
            "EARSHOT_PORT": "8000",
            "EARSHOT_DEVICE": "cuda:1",
        }
    )
    assert settings == Settings(tmp_path, 1.5, 50, 10, 2, "0.0.0.0", 8000, "cuda:1")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("EARSHOT_PORT", "70000", "whole number from 1 to 65535|number from 1 to 65535"),
        ("EARSHOT_PORT", "78.5", "whole number from 1 to 65535"),
        ("EARSHOT_KEEP_HOURS", "a day", "number from 0.1 to 8760"),
        ("EARSHOT_KEEP_HOURS", "nan", "number from 0.1"),
        ("EARSHOT_CPU_WORKERS", "0", "from 1 to 64"),
        ("EARSHOT_DEVICE", "gpu", "auto, cpu, cuda, cuda:N or mps"),
        ("EARSHOT_ROOT_PATH", "earshot", "a path such as /earshot"),
        ("GRADIO_ROOT_PATH", "/a//b", "a path such as /earshot"),
    ],
)
def test_wrong_values_say_which_and_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SeparationError, match=f"Read the setting {name}.*{value}.*({allowed})"):
        Settings.from_environment({name: value})


def test_an_empty_value_counts_as_not_set() -> None:
    assert Settings.from_environment({"EARSHOT_PORT": "", "EARSHOT_DEVICE": ""}).port == 7860


@pytest.mark.parametrize(
    ("given", "found"),
    [("/a/b/", "/a/b"), ("/", ""), ("https://example.org/a", "https://example.org/a"), ("", "")],
)
def test_the_prefix_of_a_proxy_has_no_slash_at_its_end(given: str, found: str) -> None:
    assert Settings.from_environment({"EARSHOT_ROOT_PATH": given}).root_path == found
    assert Settings.from_environment({"GRADIO_ROOT_PATH": given}).root_path == found
    assert Settings.from_environment({"EARSHOT_ROOT_PATH": "/x", "GRADIO_ROOT_PATH": given}).root_path == "/x"


def test_ratings_are_kept_in_the_data_folder_or_where_the_owner_says(tmp_path: Path) -> None:
    here = Settings.from_environment({"EARSHOT_DATA": str(tmp_path)})
    assert here.database_url == f"sqlite:///{tmp_path / 'ratings.db'}" and here.clips == tmp_path / "clips"
    there = "postgresql+psycopg://user:password@host/ratings"
    assert Settings.from_environment({"EARSHOT_DATABASE_URL": there}).database_url == there


def test_a_space_without_a_volume_does_not_keep_what_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, space = {"EARSHOT_DATA": str(tmp_path / "data")}, {"SPACE_ID": "someone/earshot"}
    monkeypatch.setattr(module.os.path, "ismount", lambda folder: False)
    assert Settings.from_environment(data).lasting
    assert not Settings.from_environment(data | space).lasting
    assert Settings.from_environment(data | space | {"EARSHOT_LASTING": "yes"}).lasting
    assert not Settings.from_environment(data | {"EARSHOT_LASTING": "no"}).ratings_last
    with pytest.raises(SeparationError, match=r"EARSHOT_LASTING.*yes or no"):
        Settings.from_environment({"EARSHOT_LASTING": "perhaps"})
    monkeypatch.setattr(module.os.path, "ismount", lambda folder: folder in (tmp_path, Path("/")))
    assert Settings.from_environment(data | space).lasting, "a volume is mounted above the folder"
    assert not Settings.from_environment({"EARSHOT_DATA": "/elsewhere/data"} | space).lasting, "every disk has a root"


def test_the_data_folder_of_each_platform() -> None:
    home = Path.home()
    assert default_data_folder({}, "linux") == home / ".local/share/earshot"
    assert default_data_folder({}, "darwin") == home / "Library/Application Support/earshot"
    assert default_data_folder({"LOCALAPPDATA": "C:/x"}, "win32") == Path("C:/x/earshot")


def test_every_variable_is_in_the_table() -> None:
    source = Path(module.__file__).read_text(encoding="utf-8")
    used = set(re.findall(r'"(EARSHOT_\w+)"', source))
    assert used == set(re.findall(r"\| `(EARSHOT_\w+)`", module.__doc__ or ""))


@pytest.mark.parametrize("token", ["short", "sixteen or more, but with spaces", "ünderscores_are_fine_but_not_this"])
def test_a_weak_owner_token_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(SeparationError, match=r"EARSHOT_OWNER_TOKEN.*16 to 256") as caught:
        Settings.from_environment({"EARSHOT_OWNER_TOKEN": token})
    assert token not in str(caught.value)


def test_there_is_no_default_owner_token_and_it_is_not_printed() -> None:
    assert Settings.from_environment({}).owner_token == ""
    settings = Settings.from_environment({"EARSHOT_OWNER_TOKEN": "a-token-of-some-length"})
    assert settings.owner_token == "a-token-of-some-length" and "a-token" not in repr(settings)
