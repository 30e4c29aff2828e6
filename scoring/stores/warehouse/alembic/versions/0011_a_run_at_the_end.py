"""Histories whose only index begins with night and run."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Do what ``sql/warehouse/migrations/0011_a_run_at_the_end.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0011_a_run_at_the_end"))
