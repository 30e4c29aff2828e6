"""Whether a process works on a run: the run's lock, held by a transaction of the process, and signs of life.

The lock lasts as long as a transaction in a session of its own, which a connection pooler must not end for being idle.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from scoring.errors import RunMissing
from scoring.stores.warehouse import ledger, locks
from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.records import Run
from scoring.stores.warehouse.tables import RUNS

SILENT_FOR = timedelta(days=2)
"""Time without a sign of life after which a run of Airflow counts as dead. Tasks may wait long for a worker or a pool."""


def held(warehouse: Warehouse, run_id: str, job: str) -> AbstractContextManager[None]:
    """Hold a run's lock until the block ends or this process dies: a process works on the run, and no erasure begins."""
    return locks.shared(warehouse, _lock_of(run_id), _erasure_of(job))


def unerased(warehouse: Warehouse, job: str) -> AbstractContextManager[None]:
    """Let no erasure of the job begin until the block ends or this process dies; wait for one that has begun.

    Raises ``WarehouseUnavailable`` that says who erases, when that takes longer than the wait for a lock.
    """
    return locks.shared(warehouse, _erasure_of(job))


def erasing(warehouse: Warehouse, job: str) -> AbstractContextManager[bool]:
    """Give whether nobody works on the rows of a job; if so, nobody else begins to until the block ends."""
    return locks.tried(warehouse, _erasure_of(job))


def _erasure_of(job: str) -> str:
    return f"forget {job}"


def alone(warehouse: Warehouse, name: str) -> AbstractContextManager[bool]:
    """Give whether no other process is in a block of the same ``name``. One that dies leaves it."""
    return locks.tried(warehouse, name)


def at_work(warehouse: Warehouse, run_id: str) -> bool:
    """Return whether a process works on a run."""
    with warehouse.transaction() as connection:
        return not locks.is_free(connection, _lock_of(run_id))


def _lock_of(run_id: str) -> str:
    return f"run {run_id}"


def seen(warehouse: Warehouse, run_id: str, now: datetime) -> None:
    """Record a sign of life of a run."""
    ledger.record(warehouse, run_id, seen_at=now)


def abandon_dead(warehouse: Warehouse, now: datetime, job: str | None = None) -> list[str]:
    """Record as ``abandoned`` the ``running`` runs that no process works on, and return their ids.

    These are runs without Airflow whose lock nobody holds, since their process was killed. A run of Airflow waits between
    its tasks, so it must also have given no sign of life for ``SILENT_FOR``.
    """
    of_job = RUNS.c.job == job if job is not None else sa.true()
    running = ledger.find(warehouse, sa.and_(RUNS.c.status == "running", of_job))
    return [run.run_id for run in running if _silent(run, now) and _abandon(warehouse, run)]


def _last_sign(run: Run) -> datetime:
    return run.seen_at or run.started_at


def _silent(run: Run, now: datetime) -> bool:
    return run.airflow_run_id is None or now - _last_sign(run) > SILENT_FOR


def _abandon(warehouse: Warehouse, run: Run) -> bool:
    """Record the run as abandoned unless its lock is held or it gave a new sign of life. Return whether it was recorded."""
    last = _last_sign(run)
    worker = f"Airflow run {run.airflow_run_id}" if run.airflow_run_id else "its process"
    facts = {
        "status": "abandoned",
        "finished_at": last,
        "reason": f"{worker} was killed or is gone: nobody works on it, last sign of life at {last:%Y-%m-%d %H:%M:%S} UTC",
    }
    unchanged = sa.and_(
        RUNS.c.run_id == run.run_id,
        RUNS.c.status == "running",
        RUNS.c.seen_at.is_not_distinct_from(run.seen_at),
    )
    with warehouse.transaction() as connection:
        if not locks.is_free(connection, _lock_of(run.run_id)):
            return False
        return bool(connection.execute(sa.update(RUNS).where(unchanged).values(facts)).rowcount)


def worked_on(warehouse: Warehouse, run_id: str, job: str) -> Run:
    """Return a run for a task that goes on with it. An abandoned run becomes ``running`` again.

    Raises ``RunMissing`` when a later attempt of the same Airflow run took over, or retention removed the run's files.
    """
    run = ledger.get(warehouse, run_id, job)
    if run.status == "abandoned":
        _revive(warehouse, run)
        run = ledger.get(warehouse, run_id, job)
    return run


def _revive(warehouse: Warehouse, run: Run) -> None:
    later = sa.select(RUNS.c.run_id).where(
        RUNS.c.job == run.job,
        RUNS.c.night == run.night,
        RUNS.c.airflow_run_id == run.airflow_run_id,
        RUNS.c.started_at > run.started_at,
    )
    abandoned = sa.and_(RUNS.c.run_id == run.run_id, RUNS.c.status == "abandoned")
    with warehouse.transaction() as connection:
        ledger.hold_lock(connection, run.job, run.night)
        successor = connection.execute(later.limit(1)).scalar() if run.airflow_run_id is not None else None
        if successor is not None:
            raise RunMissing(
                f"run {run.run_id}",
                found=f"status abandoned: {run.reason}",
                expected="a run that is going on",
                next_step=f"see run {successor}, which took over",
            )
        pruned_at = connection.execute(sa.select(RUNS.c.pruned_at).where(RUNS.c.run_id == run.run_id)).scalar()
        ledger.require_files(replace(run, pruned_at=pruned_at))
        connection.execute(sa.update(RUNS).where(abandoned).values(status="running", reason=None, finished_at=None))
