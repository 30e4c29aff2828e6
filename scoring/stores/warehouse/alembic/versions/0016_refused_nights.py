"""What is said of nights that were refused, and of accepted declarations."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Do what ``sql/warehouse/migrations/0016_refused_nights.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0016_refused_nights"))
