"""The store: what it acknowledged is there after anything, once, and nothing else is."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, text

from separation.errors import DiskFull, RatingConflict, RatingError, RatingsBusy, UnknownTrial
from separation.ratings import Event, Store, rating_of
from separation.ratings.database import migrate, open_engine, writing
from separation.ratings.schema import METADATA
from separation.ratings.store import MAX_EVENTS, trial_id
from tests.ratings.made_ratings import EVENTS, event

ROOT = Path(__file__).parents[2]
PAST = sorted((Path(__file__).parent / "past").glob("*.sql"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(url(tmp_path), clock=lambda: 1_700_000_000.0)
    yield opened
    opened.close()


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ratings.db'}"


def answer(made: int, value: int = 3) -> Event:
    return event(made, stem="vocals", scale="overall", value=value)


def test_a_trial_comes_back_as_it_was_served_and_only_for_its_token(store: Store) -> None:
    served = {"model": "vocals", "gains": {"vocals": 0.5}, "seed": 7, "edits": [], "blind": False}
    trial, token = store.serve("listener-1", "rating", served, {"mixture": "a" * 64, "stem:vocals": "b" * 64})
    assert store.trial(token) == trial == store.get(trial.id)
    assert trial.served == served and trial.made == 1_700_000_000.0
    assert token not in trial.id and trial.id == trial_id(token)
    for wrong in (trial.id, token + "x", ""):
        with pytest.raises(UnknownTrial):
            store.trial(wrong)
        with pytest.raises(UnknownTrial):
            store.save(wrong, [answer(1)])


def test_the_token_is_not_in_the_database(store: Store, tmp_path: Path) -> None:
    _, token = store.serve("listener-1", "rating", {}, {})
    store.save(token, [answer(1)])
    store.close()
    assert all(token.encode() not in path.read_bytes() for path in tmp_path.iterdir())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(EVENTS, max_size=8, unique_by=lambda made: made.id))
def test_what_was_submitted_is_stored(store: Store, events: list[Event]) -> None:
    trial, token = store.serve("listener", "rating", {}, {})
    assert store.save(token, events) == ["saved"] * len(events)
    assert sorted(store.events(trial.id), key=lambda e: e.id) == sorted(events, key=lambda e: e.id)
    assert rating_of(store.events(trial.id)) == rating_of(events)


def test_sending_twice_is_harmless_and_an_id_means_one_thing(store: Store) -> None:
    trial, token = store.serve("listener", "rating", {}, {})
    assert store.save(token, [answer(1), answer(2), answer(1)]) == ["saved", "saved", "known"]
    assert store.save(token, [answer(2)]) == ["known"]
    other = event(1, identity=answer(1).id, stem="vocals", scale="overall", value=5)
    with pytest.raises(RatingConflict, match="used before for something else"):
        store.save(token, [answer(9), other])
    assert len(store.events(trial.id)) == 2, "all of a request or none of it"


def test_the_same_id_in_two_trials_is_two_events(store: Store) -> None:
    trials = [store.serve("listener", "rating", {}, {}) for _ in range(2)]
    for _, token in trials:
        assert store.save(token, [answer(1)]) == ["saved"]
    assert [len(store.events(trial.id)) for trial, _ in trials] == [1, 1]


def test_a_trial_holds_so_many_events_and_no_more(store: Store) -> None:
    trial, token = store.serve("listener", "rating", {}, {})
    store.save(token, [answer(i) for i in range(MAX_EVENTS)])
    with pytest.raises(RatingConflict, match=f"{MAX_EVENTS + 1} changes, more than {MAX_EVENTS}"):
        store.save(token, [answer(MAX_EVENTS)])
    assert store.save(token, [answer(0)]) == ["known"], "a repeated one is still acknowledged"
    assert len(store.events(trial.id)) == MAX_EVENTS


def test_withdrawal_leaves_a_tombstone_and_no_trace(store: Store, tmp_path: Path) -> None:
    shared, alone = "a" * 64, "b" * 64
    _, first = store.serve("one", "rating", {"model": "SECRET-MODEL"}, {"mixture": shared, "stem:vocals": alone})
    other, _ = store.serve("two", "rating", {}, {"mixture": shared})
    store.keep(other.id)
    store.save(first, [event(1, kind="comment", text="SECRET-WORDS")])
    gone = store.withdraw(first)
    assert (gone.trials, gone.events, gone.clips) == (1, 1, (alone,)), "somebody else lets the other clip be kept"
    assert store.count() == {"trials": 1, "events": 0, "listeners": 1, "withdrawn": 1}
    with pytest.raises(UnknownTrial):
        store.save(first, [answer(2)])
    with pytest.raises(UnknownTrial):
        store.withdraw(first)
    store.close()  # the last connection folds the log into the file
    assert all(b"SECRET" not in path.read_bytes() for path in tmp_path.iterdir())


def test_audio_is_kept_as_long_as_somebody_allows_it(store: Store) -> None:
    shared, alone = "a" * 64, "b" * 64
    first, token = store.serve("one", "rating", {}, {"mixture": shared, "stem:vocals": alone})
    second, _ = store.serve("two", "rating", {}, {"mixture": shared})
    deleted: list[str] = []
    assert not store.kept(first.id)
    store.keep(first.id)
    store.keep(second.id)
    assert store.kept(first.id) and store.kept(second.id)
    store.drop(first.id, deleted.append)
    assert deleted == [alone] and not store.kept(first.id) and store.kept(second.id)
    store.keep(first.id)
    store.drop(second.id, deleted.append)
    assert deleted == [alone], "the first allows it again"
    gone = store.withdraw(token, delete=deleted.append)
    assert deleted == [alone, shared, alone] == [alone, *gone.clips]


def test_audio_that_cannot_be_deleted_is_still_known_of(store: Store) -> None:
    trial, token = store.serve("one", "rating", {}, {"mixture": "a" * 64})
    store.keep(trial.id)

    def stuck(_: str) -> None:
        raise PermissionError("the disk is read-only")

    for act in (lambda: store.drop(trial.id, stuck), lambda: store.withdraw(token, delete=stuck)):
        with pytest.raises(PermissionError):
            act()
    assert store.kept(trial.id) and store.trial(token) == trial, "nothing is called deleted that is not"


def test_who_has_answered_about_what(store: Store) -> None:
    for listener, job, said in (
        ("one", "x", [answer(1), answer(2)]),
        ("two", "x", [answer(1)]),
        ("three", "x", [event(1, kind="consent", training=True)]),
        ("one", "y", []),
        ("one", None, [answer(1)]),
    ):
        _, token = store.serve(listener, "rating", {} if job is None else {"job": job}, {})
        store.save(token, said)
    assert store.raters(["x", "y", "z"]) == {"x": {"one", "two"}, "y": frozenset(), "z": frozenset()}


def test_a_listener_can_be_forgotten(store: Store) -> None:
    tokens = [store.serve(name, "rating", {}, {"mixture": name[0] * 64})[1] for name in ("aa", "aa", "bb")]
    for token in tokens:
        store.save(token, [answer(1), answer(2)])
    gone = store.forget("aa")
    assert (gone.trials, gone.events, gone.clips) == (2, 4, ("a" * 64,))
    assert [trial.listener for trial in store.trials()] == ["bb"]
    assert store.forget("aa").trials == 0
    assert [trial.listener for trial in store.trials(listener="bb", kind="rating")] == ["bb"]
    assert list(store.trials(kind="study")) == []


def write_many(address: str, token: str, writer: int, count: int) -> None:
    mine = Store(address)
    for i in range(count):
        mine.save(
            token, [event(writer * 1000 + i, identity=f"writer-{writer:02}-{i:03}", stem="v", scale="overall", value=3)]
        )
    mine.close()


def test_sixteen_writers_at_once_lose_nothing(store: Store, tmp_path: Path) -> None:
    """Each with connections of its own: to SQLite's locks they are sixteen strangers."""
    trial, token = store.serve("listener", "rating", {}, {})
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda writer: write_many(url(tmp_path), token, writer, 10), range(16)))
    assert len(store.events(trial.id)) == 160


def test_a_kill_between_two_saves_loses_nothing_that_was_acknowledged(store: Store, tmp_path: Path) -> None:
    trial, token = store.serve("listener", "rating", {}, {})
    program = (
        "import sys; from separation.ratings import Store; from tests.ratings.made_ratings import event\n"
        "store, i = Store(sys.argv[1]), 0\n"
        "while True:\n"
        "    made = event(i, stem='v', scale='overall', value=3); store.save(sys.argv[2], [made])\n"
        "    print(made.id, flush=True); i += 1\n"
    )
    for _ in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", program, url(tmp_path), token], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip() for _ in range(20)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
        kept = [e.id for e in store.events(trial.id)]
        assert set(acknowledged) <= set(kept), "something acknowledged was lost"
        assert len(kept) == len(set(kept)) and len(set(kept) - set(acknowledged)) <= 1
        store.withdraw(token)
        trial, token = store.serve("listener", "rating", {}, {})


def test_a_full_disk_is_said_and_loses_nothing(store: Store) -> None:
    trial, token = store.serve("listener", "rating", {}, {})
    store.save(token, [answer(1)])
    with store._engine.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    store._engine.dispose()

    from sqlalchemy import event as hooks

    @hooks.listens_for(store._engine, "connect")
    def limit(connection: object, _: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")  # type: ignore[attr-defined]

    with pytest.raises(DiskFull, match="nothing that was saved is lost"):
        store.save(token, [event(i, kind="comment", text="x" * 4000) for i in range(2, 40)])
    assert [e.id for e in store.events(trial.id)] == [answer(1).id]


def test_on_a_disk_that_is_really_full_what_was_acknowledged_stays(tmp_path: Path) -> None:
    """A small disk, mounted where only a process of its own sees it."""
    mounted = 'mount -t tmpfs -o size=16M tmpfs "$0" && "$@"'  # SQLite's log alone takes four
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted]
    if not shutil.which("unshare") or subprocess.run([*alone, tmp_path, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody but root mount a disk")
    words = [*alone, tmp_path, sys.executable, "-m", "tests.ratings.full_disk", tmp_path]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    refused, saved = map(int, done.stdout.split())
    assert refused == 5 and saved == 395, "refused while there was no room, and taken when there was again"


def test_an_address_that_cannot_be_opened_says_what_to_do() -> None:
    for wrong in ("nonsense", "unknown://x", "postgresql+nodriver://host/db"):
        with pytest.raises(RatingError, match="EARSHOT_DATABASE_URL"):
            Store(wrong)


def test_migrations_build_the_tables_that_the_code_expects(tmp_path: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = open_engine(url(tmp_path))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_postgresql_could_hold_the_same_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a server: what it would be asked to do, written for it."""
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateIndex, CreateTable

    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    script = ""
    for table in METADATA.sorted_tables:
        for made in (CreateTable(table), *map(CreateIndex, sorted(table.indexes, key=lambda index: index.name))):
            script += str(made.compile(dialect=dialect))
    assert "ordinal BIGSERIAL NOT NULL" in script and "kept BOOLEAN NOT NULL" in script
    assert "CREATE UNIQUE INDEX ix_events_trial_id ON events (trial, id)" in script
    migrated = _migrated("postgresql", monkeypatch)
    assert migrated.count("CREATE TABLE") == len(METADATA.tables) + 1, "and Alembic's own"
    assert "ALTER TABLE events ALTER COLUMN kind SET NOT NULL" in migrated


def _migrated(dialect: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The script of all migrations for a dialect, as Alembic writes it without a database, and so without moving data."""
    from io import StringIO

    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from separation.ratings.database import MIGRATIONS

    script = StringIO()
    context = MigrationContext.configure(
        dialect_name=dialect, opts={"as_sql": True, "output_buffer": script, "target_metadata": METADATA}
    )
    context._ensure_version_table()
    with Operations.context(context):
        for step in reversed(list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())):
            monkeypatch.setattr(step.module, "_fill", lambda connection: None, raising=False)
            step.module.upgrade()
    return script.getvalue()


def test_sqlite_is_set_up_to_be_trusted(tmp_path: Path) -> None:
    engine = open_engine(url(tmp_path))
    with engine.connect() as connection:
        found = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "secure_delete")
        }
    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 30_000,
        "secure_delete": 1,
    }
    engine.dispose()


@pytest.mark.parametrize("dump", PAST, ids=lambda path: path.stem)
def test_a_database_of_each_past_form_opens_with_its_ratings(dump: Path, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "ratings.db") as old:
        old.executescript(dump.read_text())
    old.close()
    opened = Store(url(tmp_path))
    (trial,) = opened.trials()
    assert trial.listener == "listener-of-the-past" and trial.served == {"model": "vocals"}
    assert rating_of(opened.events(trial.id)).answers == {("vocals", "overall"): 4}
    opened.close()


def test_the_second_form_knows_what_the_first_one_only_said(tmp_path: Path) -> None:
    """Subjects, kinds and consent were inside JSON."""
    import sqlite3

    first = next(path for path in PAST if path.stem == "0001")
    said = [("yes", 5, True), ("no", 5, True), ("no", 6, False), ("late", 9, False), ("late", 7, True)]
    with sqlite3.connect(tmp_path / "ratings.db") as old:
        old.executescript(first.read_text())
        for name in ("yes", "no", "late"):
            old.execute(
                "INSERT INTO trials VALUES (?, 'listener', 'rating', 1.0, ?)", (name, f'{{"job":"job-{name}"}}')
            )
            old.execute("INSERT INTO clips VALUES (?, 'mixture', ?)", (name, name[0] * 64))
        for trial, made, training in said:
            payload = f'{{"kind":"consent","training":{str(training).lower()}}}'
            row = (f"event-{made:04}", trial, made, payload)
            old.execute("INSERT INTO events (id, trial, made, received, payload) VALUES (?, ?, ?, 1.0, ?)", row)
    old.close()
    opened = Store(url(tmp_path))
    assert [name for name in ("yes", "no", "late") if opened.kept(name)] == ["yes"]
    assert {trial.subject for trial in opened.trials(listener="listener")} == {"job-yes", "job-no", "job-late"}
    assert opened.raters(["job-yes"]) == {"job-yes": frozenset()}
    assert len(opened.events("no")) == 2
    opened.close()


def test_every_migration_can_be_taken_back_without_losing_a_rating(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    from separation.ratings.database import MIGRATIONS

    opened = Store(url(tmp_path))
    trial, token = opened.serve("listener", "rating", {"job": "x"}, {"mixture": "a" * 64})
    opened.save(token, [answer(1), event(2, kind="consent", training=True)])
    opened.keep(trial.id)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with writing(opened._engine) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        assert "kind" not in {column["name"] for column in inspect(connection).get_columns("events")}
    opened.close()
    again = Store(url(tmp_path))
    assert again.trial(token) == trial and len(again.events(trial.id)) == 2 and again.kept(trial.id)
    again.close()


def test_there_is_a_past_database_for_every_migration() -> None:
    steps = sorted(p.stem[1:5] for p in (ROOT / "separation/ratings/migrations/versions").glob("r*.py"))
    assert [path.stem for path in PAST] == steps, "python -m tests.ratings.test_store writes that of today"


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    engine = open_engine(url(tmp_path))
    tables = inspect(engine).get_table_names()
    migrate(engine)
    assert inspect(engine).get_table_names() == tables
    with writing(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM trials")).scalar_one() == 0
    engine.dispose()


def test_withdrawn_words_leave_the_disk_while_the_store_stays_open(store: Store, tmp_path: Path) -> None:
    _, token = store.serve("listener", "rating", {}, {})
    store.save(token, [event(1, kind="comment", text="SECRET-WORDS")])
    assert any(b"SECRET-WORDS" in path.read_bytes() for path in tmp_path.iterdir())
    store.withdraw(token)
    assert not any(b"SECRET-WORDS" in path.read_bytes() for path in tmp_path.iterdir())
    _, token = store.serve("listener", "rating", {}, {})
    store.save(token, [event(1, kind="comment", text="SECRET-WORDS")])
    store.forget("listener")
    assert not any(b"SECRET-WORDS" in path.read_bytes() for path in tmp_path.iterdir())


def test_a_snapshot_shows_one_moment(store: Store, tmp_path: Path) -> None:
    tokens = [store.serve("listener", "rating", {}, {"mixture": "a" * 64})[1] for _ in range(3)]
    for token in tokens:
        store.save(token, [answer(1), answer(2)])
    seen = store.snapshot()
    first = next(seen)
    other = Store(url(tmp_path))
    other.withdraw(tokens[2])
    other.save(tokens[1], [answer(3)])
    other.close()
    whole = [first, *seen]
    assert [len(events) for _, events in whole] == [2, 2, 2]
    assert all(trial.clips == {"mixture": "a" * 64} for trial, _ in whole)
    assert {stored.received for _, events in whole for stored in events} == {1_700_000_000.0}
    assert sorted(len(events) for _, events in store.snapshot()) == [2, 3]


@pytest.mark.parametrize("listener", ["", "a b", "x" * 65, "../x", "ä", "listener\n"])
def test_a_listener_is_a_random_id_and_no_name(store: Store, listener: str) -> None:
    with pytest.raises(RatingError, match="listener's id"):
        store.serve(listener, "rating", {}, {})


def test_a_token_that_no_text_can_be_opens_nothing(store: Store) -> None:
    with pytest.raises(UnknownTrial):
        store.trial("\ud800")


def test_a_busy_database_says_that_nothing_was_lost(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    from separation.ratings import database

    _, token = store.serve("listener", "rating", {}, {})
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.01)
    impatient = Store(url(tmp_path))
    holder = sqlite3.connect(tmp_path / "ratings.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(RatingsBusy, match=r"busy.*Try again"):
        impatient.save(token, [answer(1)])
    holder.execute("ROLLBACK")
    holder.close()
    assert impatient.save(token, [answer(1)]) == ["saved"]
    impatient.close()


def test_the_folder_of_the_database_is_made(tmp_path: Path) -> None:
    Store(url(tmp_path / "not" / "here")).close()
    assert (tmp_path / "not" / "here" / "ratings.db").exists()


def test_what_cannot_be_opened_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for wrong in (url(tmp_path / "file"), f"sqlite:///{tmp_path}"):
        with pytest.raises(RatingError, match=f"{tmp_path}.*EARSHOT_DATABASE_URL"):
            Store(wrong)


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    engine = open_engine(url(tmp_path))
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(RatingError, match=r"another version.*newest"):
        Store(url(tmp_path))


def _dump_today(folder: Path) -> None:
    """Write the past form's file of the newest migration, once, when it is made."""
    import sqlite3
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        made = Store(url(Path(scratch)))
        _, token = made.serve("listener-of-the-past", "rating", {"model": "vocals"}, {"mixture": "a" * 64})
        made.save(token, [event(1, stem="vocals", scale="overall", value=4)])
        made.close()
        with sqlite3.connect(Path(scratch) / "ratings.db") as connection:
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            (folder / f"{revision}.sql").write_text("\n".join(connection.iterdump()) + "\n")


if __name__ == "__main__":
    _dump_today(Path(__file__).parent / "past")
