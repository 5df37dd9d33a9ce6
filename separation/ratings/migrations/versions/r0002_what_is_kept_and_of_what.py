"""What a trial is of, what an event is, and whether a clip is kept: each was inside JSON or a guess from files before."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TRIALS = sa.table("trials", sa.column("id"), sa.column("served"), sa.column("subject"))
EVENTS = sa.table("events", *(sa.column(name) for name in ("ordinal", "id", "trial", "made", "kind", "payload")))
CLIPS = sa.table("clips", sa.column("trial"), sa.column("kept", sa.Boolean))


def upgrade() -> None:
    with op.batch_alter_table("trials") as table:
        table.add_column(sa.Column("subject", sa.String(64)))
    with op.batch_alter_table("events") as table:
        table.add_column(sa.Column("kind", sa.String(32)))
    with op.batch_alter_table("clips") as table:
        table.add_column(sa.Column("kept", sa.Boolean))
    _fill(op.get_bind())
    with op.batch_alter_table("trials") as table:
        table.create_index("ix_trials_subject", ["subject"])
    with op.batch_alter_table("events") as table:
        table.alter_column("kind", existing_type=sa.String(32), nullable=False)
    with op.batch_alter_table("clips") as table:
        table.alter_column("kept", existing_type=sa.Boolean, nullable=False)


def downgrade() -> None:
    # Not in batch mode: it would drop the old table, and SQLite then deletes what refers to it.
    op.drop_index("ix_trials_subject", "trials")
    for table, column in (("trials", "subject"), ("events", "kind"), ("clips", "kept")):
        op.drop_column(table, column)


def _fill(connection: sa.Connection) -> None:
    """From what the trials and events say; the last word on consent says whether clips are kept."""
    for trial, served in connection.execute(sa.select(TRIALS.c.id, TRIALS.c.served)).all():
        subject = json.loads(served).get("job")
        if isinstance(subject, str):
            connection.execute(sa.update(TRIALS).where(TRIALS.c.id == trial).values(subject=subject[:64]))
    connection.execute(sa.update(CLIPS).values(kept=False))
    allowed: dict[str, bool] = {}
    events = sa.select(EVENTS.c.ordinal, EVENTS.c.trial, EVENTS.c.payload).order_by(EVENTS.c.made, EVENTS.c.id)
    for ordinal, trial, text in connection.execute(events).all():
        payload = json.loads(text)
        connection.execute(sa.update(EVENTS).where(EVENTS.c.ordinal == ordinal).values(kind=payload["kind"]))
        if payload["kind"] == "consent":
            allowed[trial] = payload["training"]
    for trial in (trial for trial, yes in allowed.items() if yes):
        connection.execute(sa.update(CLIPS).where(CLIPS.c.trial == trial).values(kept=True))
