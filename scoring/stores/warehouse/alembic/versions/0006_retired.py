"""Jobs that are retired."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create what ``sql/warehouse/migrations/0006_retired.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0006_retired"))
