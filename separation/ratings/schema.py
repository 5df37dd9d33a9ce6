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
    Column("kind", String(32), nullable=False, server_default="rating"),  # of the trial
)

STUDIES = Table(  # listening tests that were launched; what they ask lies in their folders
    "studies",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("hash", String(64), nullable=False),  # of the study's file, which must not change any more
    Column("state", String(16), nullable=False),  # open, paused or closed
    Column("code", String(64), nullable=False),  # what a listener gets at the end
    Column("lease", Float, nullable=False),  # seconds
    Column("made", Float, nullable=False),
)

SESSIONS = Table(  # one listener's way through one study
    "sessions",
    METADATA,
    Column("id", String(64), primary_key=True),  # hash of the capability token, and the listener of its trials
    Column("study", String(64), ForeignKey("studies.name"), nullable=False),
    Column("pid", String(200)),  # what a panel calls the listener; gone after a withdrawal
    Column("slot", Integer, nullable=False),
    Column("language", String(16), nullable=False),
    Column("device", Text, nullable=False),
    Column("made", Float, nullable=False),
    Column("seen", Float, nullable=False),  # the last sign of life
    Column("place", Integer, nullable=False),  # the page where the listener is, from 0
    Column("state", String(16), nullable=False),  # open, finished or withdrawn
    Column("finished", Float),
    Index(None, "study", "pid", unique=True),
)

SLOTS = Table(  # who has which planned order: at most one session, which nobody can take it from once it has finished
    "slots",
    METADATA,
    Column("study", String(64), ForeignKey("studies.name"), primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("session", String(64), ForeignKey("sessions.id"), unique=True),
)

PAGES = Table(  # which trial a session was served at which place
    "pages",
    METADATA,
    Column("session", String(64), ForeignKey("sessions.id"), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("trial", String(64), ForeignKey("trials.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("finished", Float),
)
