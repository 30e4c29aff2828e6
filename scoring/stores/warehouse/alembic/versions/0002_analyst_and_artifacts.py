"""The analyst's own login, and the artifact of each promoted version."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Do what ``sql/warehouse/migrations/0002_analyst_and_artifacts.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0002_analyst_and_artifacts"))
