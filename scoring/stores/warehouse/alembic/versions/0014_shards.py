"""Runs whose chunks several tasks load."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Do what ``sql/warehouse/migrations/0014_shards.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0014_shards"))
