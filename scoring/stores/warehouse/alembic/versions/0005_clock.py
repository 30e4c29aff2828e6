"""Nights scored before they were over, publications taken back, signs of life of runs."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Change what ``sql/warehouse/migrations/0005_clock.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0005_clock"))
