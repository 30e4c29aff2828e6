"""The sha256 of every file of a model version; erasures of an entity's rows."""

from alembic import op

from scoring.stores.warehouse.connection import sql_text

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Do what ``sql/warehouse/migrations/0013_manifests_and_erasures.sql`` says."""
    op.get_bind().exec_driver_sql(sql_text("migrations/0013_manifests_and_erasures"))
