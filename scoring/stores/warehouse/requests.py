"""Predictions made on demand: recorded, read with what was asked, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from scoring.interval import Nights
from scoring.job import Job
from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.job_tables import current_view, requests


def record(warehouse: Warehouse, job: Job, rows: Sequence[Mapping[str, Any]]) -> int:
    """Record rows, all or none, and return how many were not there yet. Recording them again changes nothing."""
    if not rows:
        return 0
    with warehouse.transaction() as connection:
        new = insert(requests(job)).on_conflict_do_nothing()
        return connection.execute(new, [dict(row) for row in rows]).rowcount


def of_nights(warehouse: Warehouse, job: Job, nights: Nights) -> list[dict[str, Any]]:
    """Return the recorded rows of nights in the order in which they were answered; none of a job that was never served."""
    if not _is_there(warehouse, job):
        return []
    table = requests(job)
    columns = [column.label(column.key) for column in table.columns]
    of_these = sa.and_(table.c.night >= nights.first, table.c.night < nights.until)
    return warehouse.rows(sa.select(*columns).where(of_these).order_by(table.c.scored_at, *table.primary_key))


def nights_asked(warehouse: Warehouse, job: Job) -> list[date]:
    """Return the first and the last night that has a recorded row, or none."""
    if not _is_there(warehouse, job):
        return []
    table = requests(job)
    (row,) = warehouse.rows(sa.select(sa.func.min(table.c.night).label("a"), sa.func.max(table.c.night).label("b")))
    return [row["a"], row["b"]] if row["a"] is not None else []


def stored(warehouse: Warehouse, job: Job, values: Mapping[str, Any]) -> int:
    """Return how many recorded rows an entity has, by values of key columns."""
    if not values or not _is_there(warehouse, job):
        return 0
    table = requests(job)
    return int(warehouse.rows(sa.select(sa.func.count().label("rows")).where(_of_entity(table, values)))[0]["rows"])


def erase(warehouse: Warehouse, job: Job, values: Mapping[str, Any]) -> int:
    """Remove an entity's recorded rows, and return how many there were."""
    if not values or not _is_there(warehouse, job):
        return 0
    table = requests(job)
    with warehouse.transaction() as connection:
        return connection.execute(sa.delete(table).where(_of_entity(table, values))).rowcount


def older(warehouse: Warehouse, job: Job, before: datetime) -> int:
    """Return how many rows were recorded of answers before a moment."""
    if not _is_there(warehouse, job):
        return 0
    table = requests(job)
    query = sa.select(sa.func.count().label("rows")).where(table.c.scored_at < before)
    return int(warehouse.rows(query)[0]["rows"])


def remove_older(warehouse: Warehouse, job: Job, before: datetime) -> int:
    """Remove the rows of answers before a moment, and return how many."""
    if not _is_there(warehouse, job):
        return 0
    table = requests(job)
    with warehouse.transaction() as connection:
        return connection.execute(sa.delete(table).where(table.c.scored_at < before)).rowcount


def _is_there(warehouse: Warehouse, job: Job) -> bool:
    with warehouse.transaction() as connection:
        return sa.inspect(connection).has_table(requests(job).name)


def _of_entity(table: sa.Table, values: Mapping[str, Any]) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[name] == value for name, value in values.items()))


def newest_prediction(warehouse: Warehouse, job: Job, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the published prediction of a key, of the newest night that has it, by the job's names; None if there is none."""
    columns = current_view(job).subquery()
    made = ("model_version", "run_id", "scored_at")
    names = [*job.key, "night", *job.prediction_columns, *made, *job.interval_columns]
    of_key = sa.and_(*(columns.c[name] == value for name, value in key.items()))
    query = sa.select(*(columns.c[name].label(name) for name in names)).where(of_key)
    rows = warehouse.rows(query.order_by(columns.c.night.desc()).limit(1))
    return rows[0] if rows else None
