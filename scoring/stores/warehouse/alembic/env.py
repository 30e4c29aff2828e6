"""Runs migrations on the connection that ``scoring.stores.warehouse.migrate`` hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
