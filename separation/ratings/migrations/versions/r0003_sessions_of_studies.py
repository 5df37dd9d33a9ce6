"""Listening tests: studies, sessions, who has which slot, which page was which trial; and what kind a withdrawn trial was."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tombstones", sa.Column("kind", sa.String(32), nullable=False, server_default="rating"))
    op.create_table(
        "studies",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("lease", sa.Float, nullable=False),
        sa.Column("made", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_studies"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("study", sa.String(64), nullable=False),
        sa.Column("pid", sa.String(200)),
        sa.Column("slot", sa.Integer, nullable=False),
        sa.Column("language", sa.String(16), nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("made", sa.Float, nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("finished", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.ForeignKeyConstraint(["study"], ["studies.name"], name="fk_sessions_study"),
    )
    op.create_index("ix_sessions_study_pid", "sessions", ["study", "pid"], unique=True)
    op.create_table(
        "slots",
        sa.Column("study", sa.String(64), nullable=False),
        sa.Column("slot", sa.Integer, nullable=False),
        sa.Column("session", sa.String(64)),
        sa.PrimaryKeyConstraint("study", "slot", name="pk_slots"),
        sa.ForeignKeyConstraint(["study"], ["studies.name"], name="fk_slots_study"),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name="fk_slots_session"),
        sa.UniqueConstraint("session", name="uq_slots_session"),
    )
    op.create_table(
        "pages",
        sa.Column("session", sa.String(64), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("trial", sa.String(64), nullable=False),
        sa.Column("finished", sa.Float),
        sa.PrimaryKeyConstraint("session", "place", name="pk_pages"),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name="fk_pages_session"),
        sa.ForeignKeyConstraint(["trial"], ["trials.id"], name="fk_pages_trial", ondelete="CASCADE"),
        sa.UniqueConstraint("trial", name="uq_pages_trial"),
    )


def downgrade() -> None:
    for table in ("pages", "slots", "sessions", "studies"):
        op.drop_table(table)
    op.drop_column("tombstones", "kind")
