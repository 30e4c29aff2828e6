"""Nights of a job, as a condition on the tables that have them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

Row = dict[str, Any]


@dataclass(frozen=True)
class Span:
    """Nights of a job: from ``first`` on (None for all) up to, not including, ``until`` (None for all)."""

    job: str
    first: date | None = None
    until: date | None = None

    def of(self, table: Any) -> sa.ColumnElement[bool]:
        """Return the condition that a table's rows lie in the span."""
        conditions = [table.c.job == self.job]
        if self.first is not None:
            conditions.append(table.c.night >= self.first)
        if self.until is not None:
            conditions.append(table.c.night < self.until)
        return sa.and_(*conditions)
