"""What metrics are made of: counts over the ledger and the tables of monitoring, and the CPU time of a run."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from scoring.errors import NightshiftError
from scoring.stores.warehouse import ledger
from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.monitoring import evidence
from scoring.stores.warehouse.records import Run
from scoring.stores.warehouse.span import Row
from scoring.stores.warehouse.tables import DRIFT, ERASED_RUNS, PERFORMANCE, PUBLISHED, RETRAININGS, RUNS

RECENT = timedelta(days=30)
"""How far back a failed night counts: as far as a missing one."""


@contextmanager
def metered(warehouse: Warehouse, run_id: str) -> Iterator[None]:
    """Add the CPU time of a block to what its run has spent: of this process, its threads and children that it waited for."""
    began = _cpu_seconds()
    try:
        yield
    finally:
        with suppress(NightshiftError):  # a warehouse that does not answer: what was done stands
            _add_cpu(warehouse, run_id, _cpu_seconds() - began)


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


def _add_cpu(warehouse: Warehouse, run_id: str, seconds: float) -> None:
    spent = sa.func.coalesce(RUNS.c.cpu_seconds, 0) + seconds
    with warehouse.transaction() as connection:
        connection.execute(sa.update(RUNS).where(RUNS.c.run_id == run_id).values(cpu_seconds=spent))


def clock(warehouse: Warehouse) -> datetime:
    """Return the time by the warehouse's clock."""
    moment: datetime = warehouse.rows(sa.select(sa.func.now().label("now")))[0]["now"]
    return moment


def runs(warehouse: Warehouse, run_ids: Collection[str]) -> list[Run]:
    """Return runs by their ids."""
    return ledger.find(warehouse, RUNS.c.run_id.in_(list(run_ids))) if run_ids else []


def totals(warehouse: Warehouse, jobs: Collection[str]) -> list[Row]:
    """Return the rows scored, erased ones too, and the CPU seconds spent in all attempts, by job and version."""
    erased = sa.select(ERASED_RUNS.c.run_id, sa.func.max(ERASED_RUNS.c.rows_scored).label("rows"))
    before = erased.group_by(ERASED_RUNS.c.run_id).subquery()
    scored = sa.func.greatest(RUNS.c.rows_scored, before.c.rows)
    query = (
        sa.select(
            RUNS.c.job,
            RUNS.c.model_version,
            sa.func.coalesce(sa.func.sum(scored), 0).label("rows"),
            sa.func.coalesce(sa.func.sum(RUNS.c.cpu_seconds), 0).label("cpu_seconds"),
        )
        .select_from(RUNS.outerjoin(before, before.c.run_id == RUNS.c.run_id))
        .where(RUNS.c.job.in_(list(jobs)))
        .group_by(RUNS.c.job, RUNS.c.model_version)
        .order_by(RUNS.c.job, RUNS.c.model_version)
    )
    return warehouse.rows(query)


def nights_by_status(warehouse: Warehouse, jobs: Collection[str], now: datetime) -> dict[tuple[str, str], int]:
    """Return how many nights have a newest attempt of a status, by job and status. Failed ones count for 30 days."""
    newest = (
        sa.select(RUNS.c.job, RUNS.c.night, RUNS.c.status)
        .ext(distinct_on(RUNS.c.job, RUNS.c.night))
        .where(RUNS.c.job.in_(list(jobs)))
        .order_by(RUNS.c.job, RUNS.c.night, RUNS.c.started_at.desc())
        .subquery()
    )
    counted = sa.or_(newest.c.status == "held", newest.c.night >= (now - RECENT).date())
    query = sa.select(newest.c.job, newest.c.status, sa.func.count().label("nights")).where(counted)
    rows = warehouse.rows(query.group_by(newest.c.job, newest.c.status))
    return {(row["job"], row["status"]): row["nights"] for row in rows}


def drift_verdicts(warehouse: Warehouse, jobs: Collection[str]) -> dict[str, str]:
    """Return the verdict on the newest published night that has one, by job."""
    published = sa.join(DRIFT, PUBLISHED, PUBLISHED.c.run_id == DRIFT.c.run_id)
    query = (
        sa.select(DRIFT.c.job, DRIFT.c.verdict)
        .select_from(published)
        .ext(distinct_on(DRIFT.c.job))
        .where(DRIFT.c.job.in_(list(jobs)))
        .order_by(DRIFT.c.job, DRIFT.c.night.desc())
    )
    return {row["job"]: row["verdict"] for row in warehouse.rows(query)}


def newest_performance(warehouse: Warehouse, jobs: Collection[str]) -> list[Row]:
    """Return job, version, metrics and verdict of the newest night with measured performance, by the newest labels."""
    columns = [PERFORMANCE.c[name] for name in ("job", "model_version", "metrics", "verdict")]
    query = (
        sa.select(*columns)
        .ext(distinct_on(PERFORMANCE.c.job))
        .where(PERFORMANCE.c.job.in_(list(jobs)), evidence(PERFORMANCE))
        .order_by(PERFORMANCE.c.job, PERFORMANCE.c.night.desc(), PERFORMANCE.c.known_at.desc())
    )
    return warehouse.rows(query)


def retrainings_by_state(warehouse: Warehouse, jobs: Collection[str]) -> list[Row]:
    """Return how many retrainings of a job are in a state, and how many of them wait for a person."""
    waiting = sa.and_(RETRAININGS.c.stage == "approve", RETRAININGS.c.finished_at.is_(None))
    query = (
        sa.select(
            RETRAININGS.c.job,
            RETRAININGS.c.state,
            sa.func.count().label("count"),
            sa.func.count().filter(waiting).label("waiting"),
        )
        .where(RETRAININGS.c.job.in_(list(jobs)))
        .group_by(RETRAININGS.c.job, RETRAININGS.c.state)
        .order_by(RETRAININGS.c.job, RETRAININGS.c.state)
    )
    return warehouse.rows(query)
