"""Run by Alembic for every migration, on the connection that `database.migrate` hands over."""

from alembic import context

from separation.ratings.schema import METADATA

if hasattr(context, "config"):  # only while Alembic runs this; whoever just imports it, as doctests do, gets nothing
    # Batch mode rebuilds a table where SQLite cannot alter it. The caller's transaction is the only one.
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=METADATA,
        render_as_batch=True,
        transaction_per_migration=False,
    )
    context.run_migrations()
