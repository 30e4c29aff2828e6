"""Coverage of intervals as columns of the analysts' views."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Do what ``sql/warehouse/migrations/0019_coverage_columns.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0019_coverage_columns"))
