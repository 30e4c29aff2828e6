"""The CPU time that a run spent."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Do what ``sql/warehouse/migrations/0015_cpu_seconds.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0015_cpu_seconds"))
