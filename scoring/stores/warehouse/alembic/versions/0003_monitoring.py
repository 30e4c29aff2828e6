"""Profiles, verdicts, performance, decisions and alerts."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create what ``sql/warehouse/migrations/0003_monitoring.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0003_monitoring"))
