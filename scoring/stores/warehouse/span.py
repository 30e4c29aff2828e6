"""Nights of a job, as a condition on the tables that have them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from scoring.interval import ALL_NIGHTS, Nights

Row = dict[str, Any]


@dataclass(frozen=True)
class Span:
    """Nights of a job. Default: all."""

    job: str
    nights: Nights = ALL_NIGHTS

    def of(self, table: Any) -> sa.ColumnElement[bool]:
        """Return the condition that a table's rows lie in the span."""
        conditions = [table.c.job == self.job]
        if self.nights.first != ALL_NIGHTS.first:
            conditions.append(table.c.night >= self.nights.first)
        if self.nights.until != ALL_NIGHTS.until:
            conditions.append(table.c.night < self.nights.until)
        return sa.and_(*conditions)
