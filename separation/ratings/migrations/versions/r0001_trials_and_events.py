"""Trials, their clips, events and tombstones."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ORDINAL = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "trials",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("listener", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("made", sa.Float, nullable=False),
        sa.Column("served", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_trials"),
    )
    op.create_index("ix_trials_listener", "trials", ["listener"])
    op.create_table(
        "clips",
        sa.Column("trial", sa.String(64), nullable=False),
        sa.Column("role", sa.String(200), nullable=False),
        sa.Column("clip", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("trial", "role", name="pk_clips"),
        sa.ForeignKeyConstraint(["trial"], ["trials.id"], name="fk_clips_trial", ondelete="CASCADE"),
    )
    op.create_index("ix_clips_clip", "clips", ["clip"])
    op.create_table(
        "events",
        sa.Column("ordinal", ORDINAL, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("trial", sa.String(64), nullable=False),
        sa.Column("made", sa.BigInteger, nullable=False),
        sa.Column("received", sa.Float, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("ordinal", name="pk_events"),
        sa.ForeignKeyConstraint(["trial"], ["trials.id"], name="fk_events_trial", ondelete="CASCADE"),
    )
    op.create_index("ix_events_trial_id", "events", ["trial", "id"], unique=True)
    op.create_table(
        "tombstones",
        sa.Column("ordinal", ORDINAL, autoincrement=True, nullable=False),
        sa.Column("trial", sa.String(64), nullable=False),
        sa.Column("made", sa.Float, nullable=False),
        sa.Column("events", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("ordinal", name="pk_tombstones"),
        sa.UniqueConstraint("trial", name="uq_tombstones_trial"),
    )


def downgrade() -> None:
    for table in ("tombstones", "events", "clips", "trials"):
        op.drop_table(table)
