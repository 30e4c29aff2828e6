"""Retrainings, model cards, and versions in the shadow."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create what ``sql/warehouse/migrations/0004_retraining.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0004_retraining"))
