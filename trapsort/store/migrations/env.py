"""What Alembic runs: the revisions, inside the transaction that `migrate` opened."""

from alembic import context

from trapsort.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,  # for its names of constraints
    transactional_ddl=True,  # SQLite can undo CREATE and ALTER; Alembic assumes that it cannot
)
with context.begin_transaction():
    context.run_migrations()
