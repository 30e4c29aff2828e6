"""Why the mean prediction of a night moved: the shift of each feature's mean contribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.records import Run
from scoring.stores.warehouse.tables import MEAN_SHIFTS

BASE = "(base)"
"""Stands in place of a feature: the margin of the average row, which the contributions are added to."""


@dataclass(frozen=True)
class FeatureShift:
    """The mean contribution of a feature in a night, and on the reference."""

    feature: str
    contribution_reference: float
    contribution_night: float
    rows_night: int
    rows_reference: int
    unit: str

    @property
    def shift(self) -> float:
        """Return what the feature moved the mean margin by."""
        return self.contribution_night - self.contribution_reference


def save(warehouse: Warehouse, run: Run, shifts: Sequence[FeatureShift], now: datetime) -> None:
    """Save the shifts of a run, replacing earlier ones."""
    facts: dict[str, Any] = {"run_id": run.run_id, "job": run.job, "night": run.night}
    facts |= {"model_version": run.model_version, "measured_at": now}
    with warehouse.transaction() as connection:
        connection.execute(sa.delete(MEAN_SHIFTS).where(MEAN_SHIFTS.c.run_id == run.run_id))
        connection.execute(sa.insert(MEAN_SHIFTS), [{**facts, **vars(shift)} for shift in shifts])


def of_run(warehouse: Warehouse, run_id: str) -> list[FeatureShift]:
    """Return the shifts of a run, the largest first, none if nothing was measured."""
    columns = [MEAN_SHIFTS.c[name] for name in FeatureShift.__dataclass_fields__]
    rows = warehouse.rows(sa.select(*columns).where(MEAN_SHIFTS.c.run_id == run_id))
    return sorted((FeatureShift(**row) for row in rows), key=lambda shift: -abs(shift.shift))
