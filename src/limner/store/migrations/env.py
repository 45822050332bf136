"""How alembic runs the revisions: on the connection, and in the transaction, of the caller."""

from alembic import context

from limner.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters tables by copying them
)
context.run_migrations()
