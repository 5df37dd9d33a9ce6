"""The tables. Migrations (`migrations/`) build them; a test holds that both agree.

Types are the plain ones that SQLite and PostgreSQL share; JSON is text, so that what was stored is what was sent.
"""

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

TRIALS = Table(
    "trials",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("listener", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("made", Float, nullable=False),
    Column("served", Text, nullable=False),
    Column("subject", String(64)),  # the same for all trials of one thing, such as the hash of a job's id
    Index(None, "listener"),
    Index(None, "subject"),
)

CLIPS = Table(  # which audio a trial refers to; the audio itself lies in a `ClipStore`
    "clips",
    METADATA,
    Column("trial", String(64), ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True),
    Column("role", String(200), primary_key=True),
    Column("clip", String(64), nullable=False),
    Column("kept", Boolean, nullable=False),  # whether this trial's listener lets the audio be kept
    Index(None, "clip"),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("ordinal", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False),
    Column("trial", String(64), ForeignKey("trials.id", ondelete="CASCADE"), nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("received", Float, nullable=False),
    Column("kind", String(32), nullable=False),  # that of the payload
    Column("payload", Text, nullable=False),
    Index(None, "trial", "id", unique=True),
)

TOMBSTONES = Table(  # that something was withdrawn, and nothing of what it was
    "tombstones",
    METADATA,
    Column("ordinal", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("trial", String(64), nullable=False, unique=True),
    Column("made", Float, nullable=False),
    Column("events", Integer, nullable=False),
)
