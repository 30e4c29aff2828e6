"""Erasures: what is recorded of them, and the removal of an entity's rows from the warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from scoring.job import Job
from scoring.stores.warehouse import ledger
from scoring.stores.warehouse.actions import Action, record_action
from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.job_tables import history, shadow
from scoring.stores.warehouse.load import of_run
from scoring.stores.warehouse.reason_tables import existing_reasons
from scoring.stores.warehouse.records import Run
from scoring.stores.warehouse.tables import ERASED_RUNS, ERASURES, LOADED_CHUNKS, PROFILES, PUBLISHED, RUNS

Values = Mapping[str, Any]
"""Values of key columns, by the column's name in the job."""
BEFORE = ("rows_extracted", "rows_quarantined", "rows_scored", "rows_loaded", "snapshot_hash", "predictions_hash")


@dataclass(frozen=True)
class Erasure:
    """An erasure on record."""

    erasure_id: int
    job: str
    key_columns: list[str]
    key_check: str | None
    reason: str
    done_by: str
    counts: dict[str, int]
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class StoredRows:
    """Rows of an entity in the tables of its job, of one run."""

    night: date
    run_number: int
    history: int
    shadow: int
    reasons: int = 0


def start(warehouse: Warehouse, facts: Mapping[str, Any]) -> int:
    """Record that an erasure begins, and who did it among the actions, which tell no key. Return its number."""
    with warehouse.transaction() as connection:
        number = connection.execute(sa.insert(ERASURES).values(facts).returning(ERASURES.c.erasure_id)).scalar_one()
        done = (facts["reason"], facts["started_at"], facts["done_by"])
        record_action(connection, Action(facts["job"], "erased", f"erasure {number}", *done))
        return int(number)


def of_job(warehouse: Warehouse, job: str) -> list[Erasure]:
    """Return the erasures of a job, oldest first."""
    columns = [ERASURES.c[name] for name in Erasure.__dataclass_fields__]
    query = sa.select(*columns).where(ERASURES.c.job == job).order_by(ERASURES.c.erasure_id)
    return [Erasure(**row) for row in warehouse.rows(query)]


def finish(warehouse: Warehouse, erasure_id: int, now: datetime) -> None:
    """Record that nothing is left of an erasure's rows, and forget what its key could be recognised by."""
    with warehouse.transaction() as connection:
        this = sa.update(ERASURES).where(ERASURES.c.erasure_id == erasure_id)
        connection.execute(this.values(finished_at=now, key_check=None))


def stored_rows(warehouse: Warehouse, job: Job, values: Values) -> list[StoredRows]:
    """Return how many rows of an entity the tables of predictions hold, by run."""
    counted = {}
    with warehouse.transaction() as connection:
        others = existing_reasons(connection, job)
    for table in (history(job), shadow(job), *others):
        grouped = sa.select(table.c.night, table.c.run_number, sa.func.count().label("rows"))
        query = grouped.where(_of_entity(table, values)).group_by(table.c.night, table.c.run_number)
        counted[table.name] = {(row["night"], row["run_number"]): row["rows"] for row in warehouse.rows(query)}
    runs = sorted({run for rows in counted.values() for run in rows})
    return [StoredRows(*run, *(rows.get(run, 0) for rows in counted.values())) for run in runs]


def begin_run(warehouse: Warehouse, erasure_id: int, run: Run) -> None:
    """Record what the ledger says of a run before it loses rows, unless that is on record."""
    row = {"erasure_id": erasure_id, "run_id": run.run_id, **{name: getattr(run, name) for name in BEFORE}}
    query = sa.select(ERASED_RUNS.c.run_id).where(_this(erasure_id, run))
    with warehouse.transaction() as connection:
        if connection.execute(query).first() is None:
            connection.execute(sa.insert(ERASED_RUNS).values(row))
        else:
            connection.execute(sa.update(ERASED_RUNS).where(_this(erasure_id, run)).values(finished_at=None))


def unsettled(warehouse: Warehouse, job: str) -> list[tuple[int, str]]:
    """Return the number of the erasure and the id of each run of a job that began to lose rows and has not ended to."""
    joined = ERASED_RUNS.join(ERASURES, ERASURES.c.erasure_id == ERASED_RUNS.c.erasure_id)
    query = sa.select(ERASED_RUNS.c.erasure_id, ERASED_RUNS.c.run_id).select_from(joined)
    rows = warehouse.rows(query.where(ERASURES.c.job == job, ERASED_RUNS.c.finished_at.is_(None)))
    return [(row["erasure_id"], row["run_id"]) for row in rows]


def settle_run(
    warehouse: Warehouse, job: Job, run: Run, values: Values, facts: Mapping[str, Any], profile: dict[str, Any] | None
) -> int:
    """Remove an entity's rows of a run and record the facts, in one transaction under the night's lock.

    ``facts`` are columns of the ledger that follow from the run's files. Return how many rows of the history went.
    """
    table, shadow_table, this_run = history(job), shadow(job), RUNS.c.run_id == run.run_id
    with warehouse.transaction() as connection:
        ledger.hold_lock(connection, job.name, run.night)
        for removed in (shadow_table, *existing_reasons(connection, job), table):
            erased = sa.delete(removed).where(of_run(removed, run), _of_entity(removed, values))
            rows = connection.execute(erased).rowcount
        connection.execute(sa.delete(LOADED_CHUNKS).where(LOADED_CHUNKS.c.run_number == run.run_number))
        loaded = sa.select(RUNS.c.rows_loaded).where(this_run)
        left = connection.execute(loaded).scalar_one()
        left = None if left is None else left - rows
        connection.execute(sa.update(RUNS).where(this_run).values({**facts, "rows_loaded": left}))
        connection.execute(sa.update(PUBLISHED).where(PUBLISHED.c.run_id == run.run_id).values(rows=left))
        if profile is not None:
            changed = sa.update(PROFILES).where(PROFILES.c.run_id == run.run_id)
            connection.execute(changed.values(rows=profile["rows"], profile=profile))
    return rows


def end_run(warehouse: Warehouse, erasure_id: int, run: Run, now: datetime) -> None:
    """Record that files, rows and ledger of a run agree again."""
    with warehouse.transaction() as connection:
        connection.execute(sa.update(ERASED_RUNS).where(_this(erasure_id, run)).values(finished_at=now))


def _this(erasure_id: int, run: Run) -> sa.ColumnElement[bool]:
    return sa.and_(ERASED_RUNS.c.erasure_id == erasure_id, ERASED_RUNS.c.run_id == run.run_id)


def _of_entity(table: sa.Table, values: Values) -> sa.ColumnElement[bool]:
    """Return the condition that a row is of the entity. Without any value it is of none."""
    return sa.and_(*(table.c[name] == value for name, value in values.items())) if values else sa.false()
