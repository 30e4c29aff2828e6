"""What every fit lost on the nights that it had not seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.tables import REFIT_LOSSES


@dataclass(frozen=True)
class RefitLoss:
    """A fit's loss on a night."""

    job: str
    recipe_sha256: str
    model_version: int
    """0 for a fit that was made only to learn what refitting gains."""
    until: date
    """First night that it was not fitted on."""
    night: date
    rows: int
    loss: float
    """Summed over the rows."""
    groups: list[list[float]] | None
    measured_at: datetime


def save(warehouse: Warehouse, losses: Iterable[RefitLoss]) -> None:
    """Save losses. A night that a fit was measured on before keeps what was found then."""
    rows = [vars(loss) for loss in losses]
    if rows:
        with warehouse.transaction() as connection:
            connection.execute(insert(REFIT_LOSSES).values(rows).on_conflict_do_nothing())


def of_recipes(warehouse: Warehouse, job: str, recipes: Iterable[str]) -> list[RefitLoss]:
    """Return the losses of a job's fits by some recipes, in the order of fits and nights."""
    table = REFIT_LOSSES
    query = sa.select(table).where(table.c.job == job, table.c.recipe_sha256.in_(sorted(recipes)))
    ordered = query.order_by(table.c.until, table.c.model_version, table.c.night)
    return [RefitLoss(**row) for row in warehouse.rows(ordered)]
