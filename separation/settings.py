"""What the owner of an installation may set, read once from the environment.

One frozen object, made by `Settings.from_environment` and handed down; only `ui` and `cli` ask for it, and no other
room looks at the environment.

| variable | default | meaning |
|---|---|---|
| `EARSHOT_DATA` | a folder of the user | where jobs, evaluations and measurements of this machine are kept |
| `EARSHOT_DATABASE_URL` | a SQLite file in the data folder | where ratings are kept, as a SQLAlchemy URL |
| `EARSHOT_DATASETS` | none | folders of recordings that visitors may measure models on, separated like `PATH` |
| `EARSHOT_KEEP_HOURS` | 24 | hours until a visitor's recording and stems are deleted |
| `EARSHOT_LASTING` | yes, but on a Space without a volume | `yes` or `no`: whether the data folder outlives a restart |
| `EARSHOT_MAX_UPLOAD_MB` | 2000 | largest file that may be uploaded, in millions of bytes |
| `EARSHOT_MAX_MINUTES` | 120 | longest recording that the page separates, in minutes |
| `EARSHOT_CPU_WORKERS` | 1 | jobs that run at once on the CPU |
| `EARSHOT_HOST` | 127.0.0.1 | address to listen on; 0.0.0.0 for the whole network. Else `GRADIO_SERVER_NAME` counts |
| `EARSHOT_PORT` | 7860 | port the page listens on |
| `EARSHOT_DEVICE` | auto | `auto`, `cpu`, `cuda`, `cuda:N` or `mps` |
| `EARSHOT_ROOT_PATH` | none | where a reverse proxy serves the page, such as `/earshot`. Else `GRADIO_ROOT_PATH` counts |
| `EARSHOT_OWNER_TOKEN` | none | opens the Ratings page and removes models: 16 characters or more, no spaces. Else nobody can |
"""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from separation.errors import SeparationError


def default_data_folder(environment: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Where this platform keeps a user's application data.

    >>> default_data_folder({"XDG_DATA_HOME": "/x"}, "linux").as_posix()
    '/x/earshot'
    """
    if platform == "win32":
        return Path(environment.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "earshot"
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "earshot"
    return Path(environment.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "earshot"


@dataclass(frozen=True)
class Settings:
    """How this installation runs; see the table above.

    Args:
        data: folder for jobs and measurements.
        keep_hours: hours until a job is deleted.
        max_upload_mb: largest upload, in millions of bytes.
        max_minutes: longest recording, in minutes.
        cpu_workers: jobs at once on the CPU.
        host: address to listen on.
        port: port to listen on.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        datasets: folders that visitors may measure models on.
        database: SQLAlchemy URL of the ratings; empty for a file in the data folder.
        root_path: prefix of every address behind a reverse proxy, such as ``/earshot``; empty for none.
        lasting: whether the data folder outlives a restart.
        owner_token: what opens the Ratings page; empty: nobody can. It is in no printout of this object.
    """

    data: Path = field(default_factory=lambda: default_data_folder(os.environ))
    keep_hours: float = 24.0
    max_upload_mb: float = 2000.0
    max_minutes: float = 120.0
    cpu_workers: int = 1
    host: str = "127.0.0.1"
    port: int = 7860
    device: str = "auto"
    datasets: tuple[Path, ...] = ()
    root_path: str = ""
    database: str = ""
    lasting: bool = True
    owner_token: str = field(default="", repr=False)

    @property
    def jobs(self) -> Path:
        """The folder of the job store."""
        return self.data / "jobs"

    @property
    def database_url(self) -> str:
        """Where the ratings are."""
        return self.database or f"sqlite:///{self.data / 'ratings.db'}"

    @property
    def ratings_last(self) -> bool:
        """Whether ratings outlive a restart."""
        return self.lasting or not self.database_url.startswith("sqlite")

    @property
    def clips(self) -> Path:
        """The folder of the audio that was rated."""
        return self.data / "clips"

    @property
    def studies(self) -> Path:
        """The folder of the listening tests."""
        return self.data / "studies"

    @property
    def listening_secret(self) -> Path:
        """The file with the secret that links of listeners are made from."""
        return self.data / "listening.key"

    @property
    def lessons(self) -> Path:
        """The folder of what visitors teach."""
        return self.data / "lessons"

    @property
    def taught(self) -> Path:
        """The folder of the models that they taught and separate with."""
        return self.data / "taught"

    @property
    def compare(self) -> Path:
        """The folder of what the Compare page plays: recordings, what systems made of them, and who met whom."""
        return self.data / "compare"

    @property
    def marked(self) -> Path:
        """The folder of what was measured of the seconds that listeners marked."""
        return self.data / "marked"

    @property
    def exports(self) -> Path:
        """The folder of exports that wait to be fetched."""
        return self.data / "exports"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Read the environment; an empty value counts as not set.

        Raises:
            SeparationError: a value is not usable; says which, and what is allowed.
        """
        given = environment.get("EARSHOT_DATA")
        data = Path(given).expanduser().absolute() if given else default_data_folder(environment)
        return cls(
            data=data,
            keep_hours=_number(environment, "EARSHOT_KEEP_HOURS", cls.keep_hours, 0.1, 8760),
            max_upload_mb=_number(environment, "EARSHOT_MAX_UPLOAD_MB", cls.max_upload_mb, 1, 100_000),
            max_minutes=_number(environment, "EARSHOT_MAX_MINUTES", cls.max_minutes, 0.1, 6000),
            cpu_workers=_whole(environment, "EARSHOT_CPU_WORKERS", cls.cpu_workers, 1, 64),
            host=environment.get("EARSHOT_HOST") or environment.get("GRADIO_SERVER_NAME") or cls.host,  # set on Spaces
            port=_whole(environment, "EARSHOT_PORT", cls.port, 1, 65535),
            device=_device(environment, "EARSHOT_DEVICE", cls.device),
            datasets=_folders(environment, "EARSHOT_DATASETS"),
            root_path=_root_path(environment, "EARSHOT_ROOT_PATH", "GRADIO_ROOT_PATH"),
            database=environment.get("EARSHOT_DATABASE_URL") or cls.database,
            lasting=_lasting(environment, "EARSHOT_LASTING", data),
            owner_token=_token(environment, "EARSHOT_OWNER_TOKEN"),
        )


def _number(environment: Mapping[str, str], name: str, default: float, lowest: float, highest: float) -> float:
    text = environment.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not lowest <= value <= highest:
        raise _bad(name, text, f"a number from {lowest:g} to {highest:g}", default)
    return value


def _whole(environment: Mapping[str, str], name: str, default: int, lowest: int, highest: int) -> int:
    value = _number(environment, name, default, lowest, highest)
    if value != int(value):
        raise _bad(name, environment[name], f"a whole number from {lowest} to {highest}", default)
    return int(value)


def _device(environment: Mapping[str, str], name: str, default: str) -> str:
    text = environment.get(name) or default
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise _bad(name, text, "auto, cpu, cuda, cuda:N or mps", default)
    return text


def _folders(environment: Mapping[str, str], name: str) -> tuple[Path, ...]:
    """Folders separated as in ``PATH``; one that is not there is a mistake that the owner should hear of at the start."""
    folders = []
    for text in filter(None, environment.get(name, "").split(os.pathsep)):
        folder = Path(text).expanduser().absolute()
        if not folder.is_dir():
            raise _bad(name, text, f"folders that exist, separated by {os.pathsep!r}", "none")
        folders.append(folder)
    return tuple(folders)


def _root_path(environment: Mapping[str, str], *names: str) -> str:
    name = next((name for name in names if environment.get(name)), "")
    text = environment.get(name, "").rstrip("/")
    if text and not re.fullmatch(r"(https?://[^/\s]+)?(/[^/\s?#]+)*", text):
        raise _bad(
            name, text, "a path such as /earshot, or a whole address such as https://example.org/earshot", "none"
        )
    return text


def _lasting(environment: Mapping[str, str], name: str, data: Path) -> bool:
    """A Space begins with an empty disk whenever it restarts; only a volume that is mounted into it stays."""
    text = environment.get(name)
    if not text:
        return "SPACE_ID" not in environment or any(os.path.ismount(folder) for folder in (data, *data.parents[:-1]))
    if text not in ("yes", "no"):
        raise _bad(name, text, "yes or no", "what can be seen of the disk")
    return text == "yes"


def _token(environment: Mapping[str, str], name: str) -> str:
    text = environment.get(name, "")
    if text and not re.fullmatch(r"[!-~]{16,256}", text):
        # A secret is not repeated in an error, which goes to logs.
        advice = "Set it to 16 to 256 letters, digits and signs without spaces, or leave it out for none"
        raise SeparationError(f"Read the setting {name}", f"it has {len(text)} characters or odd ones", advice)
    return text


def _bad(name: str, text: str, allowed: str, default: object) -> SeparationError:
    return SeparationError(
        f"Read the setting {name}", f"it is {text!r}", f"Set it to {allowed}, or leave it out for {default}"
    )
