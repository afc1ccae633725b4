"""Run by Alembic inside the transaction that `store.migrating.migrate` opened."""

from alembic import context

from sync_pipelines.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
