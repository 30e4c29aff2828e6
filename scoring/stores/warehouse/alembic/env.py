"""Runs migrations on the connection that ``scoring.warehouse.schema.migrate`` hands over."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
