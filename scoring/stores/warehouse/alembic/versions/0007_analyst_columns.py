"""Metrics as columns, decisions by threshold, missing nights, and a comment on every column."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create what ``sql/warehouse/migrations/0007_analyst_columns.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0007_analyst_columns"))
