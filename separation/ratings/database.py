"""Opening the database: one file beside the jobs, or whatever SQLAlchemy URL the owner gives; migrated before use.

SQLite needs four things to be trusted with ratings, none of which is its default: every write takes the lock at its start
(``BEGIN IMMEDIATE``: with a plain ``BEGIN`` most concurrent writes fail), it waits for others (``busy_timeout``), a commit
is on disk before it returns (``synchronous=FULL``), and references are checked (``foreign_keys``). The write-ahead log lets
readers go on meanwhile; it needs a local disk. What was deleted is overwritten (``secure_delete``).
"""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from separation.errors import RatingError

BUSY_SECONDS = 30
MIGRATIONS = Path(__file__).parent / "migrations"


def open_engine(url: str) -> Engine:
    """An engine on `url` with its tables in today's form.

    Raises:
        RatingError: the URL is not one, or its driver is not installed.
    """
    try:
        parsed = make_url(url)
        engine = create_engine(parsed)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise RatingError(
            "Open the database of ratings",
            f"{type(error).__name__}: {error}",
            "Set EARSHOT_DATABASE_URL to a SQLAlchemy URL whose driver is installed, or unset it for a local file",
        ) from error
    if parsed.get_backend_name() == "sqlite":
        _harden(engine)
    migrate(engine)
    return engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the tables to `revision`; the data stays."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def writing(engine: Engine) -> Any:
    """A transaction that may write: committed at the end of the ``with`` block, rolled back if it raises."""
    return engine.execution_options(immediate=True).begin()


def _harden(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_SECONDS * 1000}", "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL",
            "secure_delete=ON",
        ):  # fmt: skip
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
