"""Why the mean prediction of a night moved."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Do what ``sql/warehouse/migrations/0018_mean_shifts.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0018_mean_shifts"))
