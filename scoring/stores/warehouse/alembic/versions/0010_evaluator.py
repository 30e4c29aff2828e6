"""What computed a run's predictions."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create what ``sql/warehouse/migrations/0010_evaluator.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0010_evaluator"))
