"""The verdict on measured performance."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create what ``sql/warehouse/migrations/0009_performance_verdicts.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0009_performance_verdicts"))
