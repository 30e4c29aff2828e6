"""Locks that only those who may write can take, and the record of who did what."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Do what ``sql/warehouse/migrations/0012_locks_and_actions.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0012_locks_and_actions"))
