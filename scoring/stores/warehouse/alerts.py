"""Which alerts were sent, so that each kind is sent once per night."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.span import Row
from scoring.stores.warehouse.tables import ALERTS


def claim_alert(warehouse: Warehouse, facts: Row) -> bool:
    """Record an alert, and return whether it is new, so that each kind is sent once per night."""
    row = insert(ALERTS).values(facts).on_conflict_do_nothing(index_elements=["job", "night", "kind"])
    with warehouse.transaction() as connection:
        return connection.execute(row.returning(ALERTS.c.kind)).first() is not None


def withdraw_alert(warehouse: Warehouse, facts: Mapping[str, Any]) -> None:
    """Forget an alert that could not be sent, so that it is tried again."""
    same = sa.and_(*(ALERTS.c[name] == facts[name] for name in ("job", "night", "kind")))
    with warehouse.transaction() as connection:
        connection.execute(sa.delete(ALERTS).where(same))
