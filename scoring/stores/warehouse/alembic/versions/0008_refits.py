"""Losses of every fit on nights that it had not seen."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create what ``sql/warehouse/migrations/0008_refits.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0008_refits"))
