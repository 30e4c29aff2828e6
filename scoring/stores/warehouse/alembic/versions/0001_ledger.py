"""The ledger, the pointer, the promotions, the roles and the status view."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create what ``sql/warehouse/migrations/0001_ledger.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0001_ledger"))
