"""Texts and JSON of the warehouse that people read: sentences, reasons, segments, cards. A value of a row may be in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa

from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.tables import (
    ALERTS,
    CARDS,
    DECISIONS,
    DRIFT,
    DRIFT_COLUMNS,
    PERFORMANCE,
    PROMOTIONS,
    RETRAININGS,
    RUNS,
    SHADOW_NIGHTS,
    SHADOWS,
)

TEXTS: tuple[tuple[sa.TableClause, tuple[str, ...], tuple[str, ...]], ...] = (
    (RUNS, ("run_id",), ("reason", "unknown_categories")),
    (DRIFT, ("run_id",), ("reasons", "faults", "report_error", "estimate", "drifted_columns")),
    (DRIFT_COLUMNS, ("run_id", "column_name"), ("fault", "signals")),
    (PERFORMANCE, ("job", "night", "known_at"), ("reasons", "judgement")),
    (DECISIONS, ("decision_id",), ("reason", "inputs")),
    (RETRAININGS, ("retraining_id",), ("reason", "detail", "gate")),
    (SHADOWS, ("shadow_id",), ("detail", "evidence")),
    (SHADOW_NIGHTS, ("run_id", "model_version"), ("reason", "disagreement")),
    (CARDS, ("job", "model_version"), ("card",)),
    (ALERTS, ("job", "night", "kind"), ("message",)),
    (PROMOTIONS, ("promotion_id",), ("reason",)),
)
"""Each table with its key and its columns of free text or JSON."""


def replace_texts(
    warehouse: Warehouse, job: str, needles: Iterable[str], changed: Callable[[Any], Any], apply: bool
) -> int:
    """Put ``changed(value)`` in place of the texts and JSON of a job that hold a needle, and return how many changed.

    Nothing is written unless ``apply``.
    """
    total, wanted = 0, list(needles)
    for table, key, names in TEXTS if wanted else ():
        columns = {name: [_holds(table.c[name], needle) for needle in wanted] for name in names}
        query = sa.select(*(table.c[name] for name in (*key, *names))).where(
            _of_job(table, job), sa.or_(*(condition for of_column in columns.values() for condition in of_column))
        )
        with warehouse.transaction() as connection:
            for row in connection.execute(query).mappings().all():
                new = {name: changed(row[name]) for name in names if changed(row[name]) != row[name]}
                total += len(new)
                if apply and new:
                    this = sa.and_(*(table.c[name] == row[name] for name in key))
                    connection.execute(sa.update(table).where(this).values(new))
    return total


def _of_job(table: sa.TableClause, job: str) -> sa.ColumnElement[bool]:
    if "job" in table.c:
        return table.c.job == job
    return table.c.run_id.in_(sa.select(RUNS.c.run_id).where(RUNS.c.job == job))


def _holds(column: sa.ColumnElement[Any], needle: str) -> sa.ColumnElement[bool]:
    """Return the condition that the text of a column holds a needle, as it is or as JSON writes it."""
    text = sa.cast(column, sa.Text)
    return sa.or_(
        *(text.contains(form, autoescape=True) for form in {needle, json.dumps(needle, ensure_ascii=False)[1:-1]})
    )
