"""Queries of retention, and its removal of rows."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

import sqlalchemy as sa

from scoring.job import Job
from scoring.stores.warehouse import ledger
from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.job_tables import history, shadow
from scoring.stores.warehouse.load import of_run
from scoring.stores.warehouse.reason_tables import existing_reasons
from scoring.stores.warehouse.records import Run
from scoring.stores.warehouse.tables import LOADED_CHUNKS, PUBLICATIONS, PUBLISHED, RUNS, SHADOW_NIGHTS

ENDED = ("superseded", "unpublished", "failed", "abandoned", "discarded", "skipped")
"""States of a run whose rows and files may be removed. Published, held and running runs keep them whatever their age."""


def ended_runs(warehouse: Warehouse, job: str) -> list[Run]:
    """Return the runs of a job that ended and are not published, oldest first."""
    published = sa.select(PUBLISHED.c.run_id).where(PUBLISHED.c.job == job)
    return ledger.find(warehouse, sa.and_(RUNS.c.job == job, RUNS.c.status.in_(ENDED), RUNS.c.run_id.not_in(published)))


def last_visible(warehouse: Warehouse, job: str) -> dict[str, datetime]:
    """Return when each formerly published run of a job was last visible, by run id."""
    until = sa.func.max(PUBLICATIONS.c.visible_until).label("until")
    query = sa.select(PUBLICATIONS.c.run_id, until).where(PUBLICATIONS.c.job == job).group_by(PUBLICATIONS.c.run_id)
    return {row["run_id"]: row["until"] for row in warehouse.rows(query) if row["until"] is not None}


def row_counts(warehouse: Warehouse, job: Job) -> dict[int, int]:
    """Return how many rows the history table holds of each run that ended, by run number."""
    table = history(job)
    ended = sa.and_(RUNS.c.job == job.name, RUNS.c.status.in_(ENDED))
    of_these = sa.and_(table.c.night == RUNS.c.night, table.c.run_number == RUNS.c.run_number)
    counted = sa.select(table.c.run_number, sa.func.count().label("rows")).join(RUNS, of_these)
    query = counted.where(ended).group_by(table.c.run_number)
    return {row["run_number"]: row["rows"] for row in warehouse.rows(query)}


def versions_with_files(warehouse: Warehouse, job: str, removed_runs: Collection[str] = ()) -> set[int]:
    """Return the versions of every published night, and of every run that has its files but ``removed_runs``.

    A run with files can be published yet, or published again, so its version is in use as well.
    """
    query = sa.select(PUBLISHED.c.model_version).where(PUBLISHED.c.job == job).distinct()
    published = {row["model_version"] for row in warehouse.rows(query)}
    runs = ledger.find(warehouse, RUNS.c.job == job)
    return published | {run.model_version for run in runs if not run.pruned and run.run_id not in removed_runs}


def prune(warehouse: Warehouse, job: Job, run: Run, now: datetime) -> int | None:
    """Remove a run's rows and mark it in the ledger, in one transaction under the night's lock. Return how many rows.

    Returns None, and changes nothing, when the run may not be removed any more. A removed run cannot be published.
    """
    this_run, table, shadow_table = RUNS.c.run_id == run.run_id, history(job), shadow(job)
    with warehouse.transaction() as connection:
        ledger.hold_lock(connection, job.name, run.night)
        pointer = connection.execute(sa.select(PUBLISHED.c.run_id).where(PUBLISHED.c.run_id == run.run_id)).first()
        status = connection.execute(sa.select(RUNS.c.status).where(this_run)).scalar_one()
        if pointer is not None or status not in ENDED:
            return None
        for other in (shadow_table, *existing_reasons(connection, job)):
            connection.execute(sa.delete(other).where(of_run(other, run)))
        rows = connection.execute(sa.delete(table).where(of_run(table, run))).rowcount
        connection.execute(sa.delete(LOADED_CHUNKS).where(LOADED_CHUNKS.c.run_number == run.run_number))
        connection.execute(sa.update(RUNS).where(this_run, RUNS.c.pruned_at.is_(None)).values(pruned_at=now))
    return rows


def old_shadow_rows(warehouse: Warehouse, job: Job, before: datetime) -> list[tuple[date, int, int]]:
    """Return night, version and number of the predictions in the shadow made before a moment, oldest night first."""
    old = sa.select(SHADOW_NIGHTS.c.run_id).where(SHADOW_NIGHTS.c.job == job.name, SHADOW_NIGHTS.c.scored_at < before)
    if not warehouse.rows(old.limit(1)):  # a job that never ran has no table
        return []
    table = shadow(job)
    query = sa.select(table.c.night, table.c.model_version, sa.func.count().label("rows")).where(
        _scored_before(table, before)
    )
    grouped = query.group_by(table.c.night, table.c.model_version).order_by(table.c.night, table.c.model_version)
    return [(row["night"], row["model_version"], row["rows"]) for row in warehouse.rows(grouped)]


def remove_shadow_rows(warehouse: Warehouse, job: Job, night: date, version: int, before: datetime) -> int:
    """Remove the predictions in the shadow of a version and night made before a moment, and return how many."""
    table = shadow(job)
    of_version = sa.and_(table.c.night == night, table.c.model_version == version)
    with warehouse.transaction() as connection:
        return connection.execute(sa.delete(table).where(of_version, _scored_before(table, before))).rowcount


def _scored_before(table: sa.Table, before: datetime) -> sa.ColumnElement[bool]:
    """Return the condition that rows are of shadow nights scored before a moment."""
    runs = sa.select(RUNS.c.run_number).join(SHADOW_NIGHTS, SHADOW_NIGHTS.c.run_id == RUNS.c.run_id)
    return table.c.run_number.in_(runs.where(SHADOW_NIGHTS.c.scored_at < before))
