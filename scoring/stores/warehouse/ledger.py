"""The run ledger and the pointer: the attempts at each night, and the run that is published."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from scoring.errors import RunMissing
from scoring.stores.warehouse import locks
from scoring.stores.warehouse.actions import Action, record_action
from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.records import Run
from scoring.stores.warehouse.tables import PUBLICATIONS, PUBLISHED, RUNS

PRUNED = "its files were removed by retention"
"""Message about a run whose rows and files retention has removed."""


def start(warehouse: Warehouse, facts: dict[str, Any]) -> Run:
    """Record a new attempt. Unfinished attempts of the same Airflow run become ``abandoned``.

    A run that is in the ledger already (the same task tried again at the same instant) is returned as it is.
    """
    same_night = sa.and_(RUNS.c.job == facts["job"], RUNS.c.night == facts["night"])
    with warehouse.transaction() as connection:
        hold_lock(connection, facts["job"], facts["night"])
        if facts.get("airflow_run_id"):
            unfinished = sa.and_(
                same_night, RUNS.c.airflow_run_id == facts["airflow_run_id"], RUNS.c.status == "running"
            )
            connection.execute(
                sa.update(RUNS)
                .where(unfinished, RUNS.c.run_id != facts["run_id"])
                .values(
                    status="abandoned",
                    reason="a new attempt of the same Airflow run began",
                    finished_at=facts["started_at"],
                )
            )
        before = connection.execute(sa.select(sa.func.max(RUNS.c.attempt)).where(same_night)).scalar() or 0
        row = {**facts, "attempt": before + 1, "status": "running", "stage": "extract", "seen_at": facts["started_at"]}
        connection.execute(insert(RUNS).values(row).on_conflict_do_nothing(index_elements=["run_id"]))
    return get(warehouse, facts["run_id"])


def get(warehouse: Warehouse, run_id: str, job: str | None = None) -> Run:
    """Return a run, of ``job`` if that is given. Raises ``RunMissing``."""
    runs = [run for run in find(warehouse, RUNS.c.run_id == run_id) if job in (None, run.job)]
    if not runs:
        raise RunMissing(
            "run",
            found=f"no run {run_id!r}{f' of {job}' if job else ''} in the ledger",
            next_step="see `nightshift explain`",
        )
    return runs[0]


def runs_of(warehouse: Warehouse, job: str, night: date) -> list[Run]:
    """Return all attempts at a night, oldest first."""
    return find(warehouse, sa.and_(RUNS.c.job == job, RUNS.c.night == night))


def of_job(warehouse: Warehouse, job: str) -> list[Run]:
    """Return all attempts at all nights of a job, oldest first."""
    return find(warehouse, RUNS.c.job == job)


def find(warehouse: Warehouse, condition: sa.ColumnElement[bool]) -> list[Run]:
    """Return the runs that meet a condition, oldest first."""
    query = sa.select(RUNS).where(condition).order_by(RUNS.c.started_at)
    return [Run(**row) for row in warehouse.rows(query)]


def with_ids(warehouse: Warehouse, job: str, run_ids: list[str]) -> list[Run]:
    """Return those runs of a job that have one of the ids, oldest first."""
    return find(warehouse, sa.and_(RUNS.c.job == job, RUNS.c.run_id.in_(run_ids))) if run_ids else []


def last_reasons(warehouse: Warehouse, job: str) -> dict[str, int]:
    """Return the quarantine reasons of the job's last run that was extracted, none without such a run."""
    of_job = sa.and_(RUNS.c.job == job, RUNS.c.quarantine_reasons.is_not(sa.null()))
    query = sa.select(RUNS.c.quarantine_reasons).where(of_job).order_by(RUNS.c.started_at.desc()).limit(1)
    return next((row["quarantine_reasons"] or {} for row in warehouse.rows(query)), {})


def record(warehouse: Warehouse, run_id: str, **facts: Any) -> None:
    """Write facts of a run into its ledger row."""
    with warehouse.transaction() as connection:
        connection.execute(sa.update(RUNS).where(RUNS.c.run_id == run_id).values(facts))


def record_failure(warehouse: Warehouse, run_id: str, reason: str, now: datetime) -> None:
    """Mark a run as failed unless it ended otherwise before."""
    failed = sa.update(RUNS).where(RUNS.c.run_id == run_id, RUNS.c.status.in_(["running", "failed"]))
    with warehouse.transaction() as connection:
        connection.execute(failed.values(status="failed", reason=reason, finished_at=now))


def require_files(run: Run) -> None:
    """Raise ``RunMissing`` when retention has removed the run's rows and files."""
    if run.pruned:
        command = f"nightshift run {run.job} --night {run.night} --model-version {run.model_version}"
        raise RunMissing(f"run {run.run_id}", found=PRUNED, next_step=f"score the night again: `{command}`")


def flip(
    warehouse: Warehouse, run: Run, rows: int, now: datetime, force: bool = False, action: Action | None = None
) -> str:
    """Publish a run by flipping its night's pointer, in one transaction, and return the run's status.

    The status is ``published``, or ``superseded`` when a run that began later is published already, or was unpublished, so
    that a run that hung cannot put older data over newer (unless ``force``). With a new publication ``action`` is recorded.
    A second call for the published run changes nothing. Raises ``RunMissing`` when retention has removed the run's rows,
    which it does under the same lock.
    """
    job, night, run_id = run.job, run.night, run.run_id
    with warehouse.transaction() as connection:
        hold_lock(connection, job, night)
        pointer = _pointer(connection, job, night)
        if pointer is not None and pointer.run_id == run_id:
            return "published"
        pruned_at = connection.execute(sa.select(RUNS.c.pruned_at).where(RUNS.c.run_id == run_id)).scalar()
        require_files(replace(run, pruned_at=pruned_at))
        later = None if force else _later(connection, run, pointer)
        if later is not None:
            _end(connection, run_id, "superseded", f"run {later.run_id} began later and is {later.status}", now)
            return "superseded"
        if pointer is not None:
            _end(connection, pointer.run_id, "superseded", f"run {run_id} was published", None)
        _point(connection, run, rows, now)
        _end(connection, run_id, "published", None, now)
        if action is not None:
            record_action(connection, action)
    return "published"


def _point(connection: sa.Connection, run: Run, rows: int, now: datetime) -> None:
    values = {
        "run_id": run.run_id,
        "run_number": run.run_number,
        "model_version": run.model_version,
        "rows": rows,
        "scored_at": run.started_at,
        "published_at": now,
    }
    row = insert(PUBLISHED).values(job=run.job, night=run.night, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["job", "night"], set_=values))
    this_night = sa.and_(PUBLICATIONS.c.job == run.job, PUBLICATIONS.c.night == run.night)
    closing = sa.update(PUBLICATIONS).where(this_night, PUBLICATIONS.c.visible_until.is_(None))
    connection.execute(closing.values(visible_until=now))
    connection.execute(
        sa.insert(PUBLICATIONS).values(job=run.job, night=run.night, run_id=run.run_id, visible_from=now)
    )


def withdraw(warehouse: Warehouse, job: str, night: date, reason: str, now: datetime) -> Run | None:
    """Unpublish a night in one transaction. Return the run that was published, or None if there was none.

    The run becomes ``unpublished``; its rows, its files and the history of the pointer stay.
    """
    this_night = sa.and_(PUBLICATIONS.c.job == job, PUBLICATIONS.c.night == night)
    with warehouse.transaction() as connection:
        hold_lock(connection, job, night)
        pointer = _pointer(connection, job, night)
        if pointer is None:
            return None
        connection.execute(sa.delete(PUBLISHED).where(PUBLISHED.c.job == job, PUBLISHED.c.night == night))
        closing = sa.update(PUBLICATIONS).where(this_night, PUBLICATIONS.c.visible_until.is_(None))
        connection.execute(closing.values(visible_until=now))
        _end(connection, pointer.run_id, "unpublished", reason, None)
        record_action(connection, Action(job, "unpublished", f"night {night}: run {pointer.run_id}", reason, now))
    return get(warehouse, pointer.run_id)


def discard(warehouse: Warehouse, run: Run, now: datetime) -> None:
    """Record that a held run was discarded, and by whom."""
    values = {"status": "discarded", "stage": "done", "finished_at": now}
    with warehouse.transaction() as connection:
        connection.execute(sa.update(RUNS).where(RUNS.c.run_id == run.run_id).values(values))
        record_action(connection, Action(run.job, "discarded", f"night {run.night}: run {run.run_id}", run.reason, now))


def _pointer(connection: sa.Connection, job: str, night: date) -> Any:
    pointed = sa.select(PUBLISHED.c.run_id).where(PUBLISHED.c.job == job, PUBLISHED.c.night == night)
    return connection.execute(pointed).first()


def _later(connection: sa.Connection, run: Run, pointer: Any) -> Any:
    """Return a run of the same night that began later and is published, or was unpublished."""
    began_later = sa.select(RUNS.c.run_id, RUNS.c.status).where(
        RUNS.c.job == run.job,
        RUNS.c.night == run.night,
        RUNS.c.started_at > run.started_at,
        sa.or_(RUNS.c.status == "unpublished", RUNS.c.run_id == (pointer.run_id if pointer is not None else None)),
    )
    return connection.execute(began_later.order_by(RUNS.c.started_at.desc()).limit(1)).first()


def _end(connection: sa.Connection, run_id: str, status: str, reason: str | None, now: datetime | None) -> None:
    values: dict[str, Any] = {"status": status, "reason": reason, "stage": "done"}
    if now is not None:
        values["finished_at"] = now
    connection.execute(sa.update(RUNS).where(RUNS.c.run_id == run_id).values(values))


def hold_lock(connection: sa.Connection, job: str, night: date) -> None:
    """Hold the night's lock until the connection's transaction ends. Raises ``WarehouseUnavailable``."""
    locks.take(connection, f"night {night} of {job}")


def settled(warehouse: Warehouse, job: str, now: datetime) -> dict[date, str]:
    """Return the published run of each night by night, only of nights that are over and were not provisional."""
    query = (
        sa.select(PUBLISHED.c.night, PUBLISHED.c.run_id)
        .join(RUNS, RUNS.c.run_id == PUBLISHED.c.run_id)
        .where(PUBLISHED.c.job == job, sa.not_(RUNS.c.provisional), RUNS.c.interval_end <= now)
        .order_by(PUBLISHED.c.night)
    )
    return {row["night"]: row["run_id"] for row in warehouse.rows(query)}


def published(warehouse: Warehouse, job: str, night: date | None = None) -> dict[date, str]:
    """Return the id of the published run of each night of a job, by night."""
    query = sa.select(PUBLISHED.c.night, PUBLISHED.c.run_id).where(PUBLISHED.c.job == job).order_by(PUBLISHED.c.night)
    if night is not None:
        query = query.where(PUBLISHED.c.night == night)
    with warehouse.transaction() as connection:
        return {row.night: row.run_id for row in connection.execute(query)}
