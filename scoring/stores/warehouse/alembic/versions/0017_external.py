"""Retrainings that wait for a version from elsewhere."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Do what ``sql/warehouse/migrations/0017_external.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0017_external"))
