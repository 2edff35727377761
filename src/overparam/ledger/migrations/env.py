"""Runs migrations on the connection that the ledger hands over."""

from alembic import context

from overparam.ledger.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
context.run_migrations()
