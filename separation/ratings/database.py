"""Opening the database: one file beside the jobs, or whatever SQLAlchemy URL the owner gives; migrated before use.

SQLite needs four things to be trusted with ratings, none of which is its default: every write takes the lock at its start
(``BEGIN IMMEDIATE``: with a plain ``BEGIN`` most concurrent writes fail), it waits for others (``busy_timeout``), a commit
is on disk before it returns (``synchronous=FULL``), and references are checked (``foreign_keys``). The write-ahead log lets
readers go on meanwhile; it needs a local disk. What was deleted is overwritten (``secure_delete``), and the log, which still
has it, is emptied (`scrub`).
"""

from pathlib import Path
from threading import Lock
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

from separation.errors import RatingError

BUSY_SECONDS = 30
SCRUB_MS = 200
MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATING = Lock()
"""Alembic hands its migrations over in a module: one thread at a time."""
_LOCK = 0x45415253  # any number, the same for all processes


def open_engine(url: str) -> Engine:
    """An engine on `url` with its tables in today's form.

    Raises:
        RatingError: the URL is not one, its driver is not installed, nothing can be opened there, or what is there was written
            by a newer version.
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
    try:
        if parsed.get_backend_name() == "sqlite":
            _harden(engine)
            if parsed.database and parsed.database != ":memory:":
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        migrate(engine)
    except (OperationalError, OSError) as error:
        engine.dispose()
        found = f"{parsed.render_as_string()}: {getattr(error, 'orig', error)}"
        raise RatingError(
            "Open the database of ratings", found, "Check EARSHOT_DATABASE_URL and that it runs"
        ) from error
    except CommandError as error:
        engine.dispose()
        found = f"{parsed.render_as_string()} was written by another version: {error}"
        raise RatingError(
            "Open the database of ratings", found, "Install the newest version; nothing was changed"
        ) from error
    return engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the tables to `revision`; the data stays. Whoever else opens the database meanwhile waits."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with _MIGRATING, writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def writing(engine: Engine) -> Any:
    """A transaction that may write: committed at the end of the ``with`` block, rolled back if it raises."""
    return engine.execution_options(immediate=True).begin()


def reading(engine: Engine) -> Any:
    """A connection whose queries all see the database as it was at the first of them."""
    if engine.dialect.name == "sqlite":
        return engine.connect()  # a transaction in the write-ahead log's mode is such a view
    return engine.execution_options(isolation_level="REPEATABLE READ").connect()


def scrub(engine: Engine) -> None:
    """Fold SQLite's log into the file and empty it, so that what was deleted is on disk no more.

    A reader that is busy keeps it from doing so; then the next one does, or the last to close. It hardly waits, because nobody
    can write while it does.
    """
    if engine.dialect.name == "sqlite":
        connection = engine.raw_connection()  # SQLAlchemy's own would begin a transaction, in which this cannot be done
        try:
            cursor = connection.cursor()
            for pragma in (f"busy_timeout={SCRUB_MS}", "wal_checkpoint(TRUNCATE)", f"busy_timeout={_busy_ms()}"):
                cursor.execute(f"PRAGMA {pragma}").fetchall()
        finally:
            connection.close()


def _harden(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={_busy_ms()}", "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL",
            "secure_delete=ON",
        ):  # fmt: skip
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _busy_ms() -> int:
    return round(BUSY_SECONDS * 1000)
