"""Retrainings, each with one row from its first task to its last, and model cards."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from scoring.errors import RetrainingRunning, RunMissing
from scoring.stores.warehouse import locks
from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.records import Retraining
from scoring.stores.warehouse.span import Row
from scoring.stores.warehouse.tables import CARDS, RETRAININGS


def begin(warehouse: Warehouse, facts: Row) -> Retraining:
    """Record a retraining and return it. An unsuccessful one of the same Airflow run is opened again instead.

    Raises ``RetrainingRunning`` while another one of the job is not finished.
    """
    run = facts["airflow_run_id"]
    same = RETRAININGS.c.airflow_run_id == run if run is not None else sa.false()  # without Airflow each is a new one
    of_run = sa.and_(RETRAININGS.c.job == facts["job"], same)
    others = sa.and_(RETRAININGS.c.job == facts["job"], RETRAININGS.c.finished_at.is_(None))
    with warehouse.transaction() as connection:
        locks.take(connection, f"job {facts['job']}")
        existing = _first(connection, of_run)
        running = _first(connection, others)
        if running is not None and (existing is None or running.retraining_id != existing.retraining_id):
            raise _running(running)
        if existing is not None:
            update = sa.update(RETRAININGS).where(RETRAININGS.c.retraining_id == existing.retraining_id)
            reopening = update.values(state="running", finished_at=None, detail=None)
            if existing.state in ("failed", "refused", "unchanged"):
                return Retraining(**connection.execute(reopening.returning(*RETRAININGS.c)).mappings().one())
            return existing
        row = insert(RETRAININGS).values({**facts, "stage": "snapshot", "state": "running"})
        return Retraining(**connection.execute(row.returning(*RETRAININGS.c)).mappings().one())


def _first(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Retraining | None:
    row = connection.execute(sa.select(RETRAININGS).where(condition)).mappings().first()
    return Retraining(**row) if row is not None else None


def _running(running: Retraining) -> RetrainingRunning:
    return RetrainingRunning(
        f"retraining of {running.job}",
        found=f"retraining {running.retraining_id} is in stage {running.stage} since {running.started_at:%Y-%m-%d %H:%M}Z",
        expected="no other one of the job",
        next_step=f"wait; or `nightshift retrain abandon {running.job} {running.retraining_id}` if its process is gone",
    )


def get(warehouse: Warehouse, retraining_id: int) -> Retraining:
    """Return a retraining. Raises ``RunMissing``."""
    rows = warehouse.rows(sa.select(RETRAININGS).where(RETRAININGS.c.retraining_id == retraining_id))
    if not rows:
        raise RunMissing(
            "retraining", found=f"no retraining {retraining_id}", next_step="see `nightshift retrain list`"
        )
    return Retraining(**rows[0])


def of_job(warehouse: Warehouse, job: str) -> list[Retraining]:
    """Return all retrainings of a job, oldest first."""
    query = sa.select(RETRAININGS).where(RETRAININGS.c.job == job)
    return [Retraining(**row) for row in warehouse.rows(query.order_by(RETRAININGS.c.retraining_id))]


def record(warehouse: Warehouse, retraining_id: int, **facts: Any) -> None:
    """Write facts of a retraining into its row."""
    with warehouse.transaction() as connection:
        connection.execute(sa.update(RETRAININGS).where(RETRAININGS.c.retraining_id == retraining_id).values(facts))


def save_card(warehouse: Warehouse, facts: Row) -> None:
    """Save the card of a model version, replacing an earlier one."""
    row = insert(CARDS).values(facts)
    changed = row.on_conflict_do_update(index_elements=["job", "model_version"], set_=facts)
    with warehouse.transaction() as connection:
        connection.execute(changed)


def card(warehouse: Warehouse, job: str, version: int) -> Row | None:
    """Return the card of a model version, or None if it has none."""
    query = sa.select(CARDS.c.card).where(CARDS.c.job == job, CARDS.c.model_version == version)
    rows = warehouse.rows(query)
    return rows[0]["card"] if rows else None


def versions_with_card(warehouse: Warehouse, job: str) -> set[int]:
    """Return the versions of a job that have a card."""
    return {row["model_version"] for row in warehouse.rows(sa.select(CARDS.c.model_version).where(CARDS.c.job == job))}
