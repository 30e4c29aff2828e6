"""The record of a retraining: what asked for it, how far it came and how it ended. A job has one that is open at most."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from lifecycle.training import training_window
from scoring.errors import NightError, RetrainingFailed, TrainingDataError, VersionMissing, described
from scoring.interval import Nights
from scoring.job import Job
from scoring.stores import Stores, Workspace
from scoring.stores.warehouse import (
    Action,
    Retraining,
    ensure_job,
    ledger,
    monitoring,
    record_action,
    retrainings,
    unerased,
)

ENDINGS = ("unchanged", "refused", "promoted")
Trigger = Literal["decision", "schedule", "hand"]


@dataclass(frozen=True)
class RetrainingRequest:
    """What a retraining shall do, who or what asked for it, and why."""

    reason: str
    trigger: Trigger = "hand"
    night: date | None = None
    """As-of night: only labels known by the end of it are used. Default: the last published night that is over."""
    since: date | None = None
    until: date | None = None
    """The window, half-open. Default: the job's policy. Never beyond what had matured."""
    decision_id: int | None = None
    airflow_run_id: str | None = None
    force: bool = False
    """Train although a version of the same rows and recipe is there."""


def as_begun(work: Workspace, row: Retraining) -> Workspace:
    """Return the workspace with the job as its file was when the retraining read its rows, whatever was edited since."""
    return work if row.job_file is None else replace(work, job=Job.model_validate(row.job_file))


def version_of(row: Retraining) -> int:
    """Return the version that a retraining came to. Raises ``VersionMissing`` before it was trained."""
    if row.model_version is None:
        raise VersionMissing(f"version of retraining {row.retraining_id}", found="none yet", next_step="clear train")
    return row.model_version


def snapshot_of(row: Retraining) -> str:
    """Return the hash of the rows that a retraining keeps. Raises ``TrainingDataError`` before they were read."""
    if row.snapshot is None:
        raise TrainingDataError(f"rows of retraining {row.retraining_id}", found="none yet", next_step="clear snapshot")
    return row.snapshot


def begin(work: Workspace, request: RetrainingRequest) -> Retraining:
    """Record the retraining and return it. The same Airflow run gets the same one.

    Raises ``RetrainingRunning`` while another of the job is not finished, and ``NightError`` when there is no night.
    """
    ensure_job(work.warehouse, work.job)
    night = request.night or max(ledger.settled(work.warehouse, work.job.name, work.clock()), default=None)
    if night is None:
        raise NightError(
            f"retraining of {work.job.name}", found="neither a night nor a published one", next_step="give the night"
        )
    matured = training_window(work.job, night)
    window = Nights(request.since or matured.first, min(matured.until, request.until or matured.until))
    row = retrainings.begin(
        work.warehouse,
        {
            "job": work.job.name,
            "night": night,
            "trigger": request.trigger,
            "reason": request.reason,
            "decision_id": request.decision_id,
            "airflow_run_id": request.airflow_run_id,
            "since": window.first,
            "until": window.until,
            "forced": request.force,
            "started_at": work.clock(),
        },
    )
    tell_decision(work.stores, row)
    return row


@contextmanager
def recorded(stores: Stores, retraining_id: int, stage: str) -> Iterator[Retraining]:
    """Give the retraining's row and put the retraining into ``stage``. A failure is recorded and raised again."""
    row = retrainings.get(stores.warehouse, retraining_id)
    again = {} if row.state == "promoted" else {"state": "running", "finished_at": None}  # a task that was cleared
    retrainings.record(stores.warehouse, retraining_id, stage=stage, detail=None, **again)
    try:
        with unerased(stores.warehouse, row.job):
            yield row
    except Exception as error:  # recorded, then raised again
        retrainings.record(stores.warehouse, retraining_id, detail=described(error))
        raise


def announce(stores: Stores, retraining_id: int) -> Retraining:
    """Return the finished retraining. One that no task ended has failed, and raises ``RetrainingFailed``."""
    row = retrainings.get(stores.warehouse, retraining_id)
    if row.state in ENDINGS:
        return row
    detail = row.detail or f"stopped in stage {row.stage}"
    fail(stores, retraining_id, detail)
    raise RetrainingFailed(
        f"retraining {retraining_id} of {row.job}",
        found=f"stage {row.stage}: {detail}",
        expected="every task to end well",
        next_step="clear the failed task; the champion stays as it is",
    )


def abandon(stores: Stores, retraining_id: int, by: str) -> None:
    """End a retraining whose process is gone."""
    row = retrainings.get(stores.warehouse, retraining_id)
    if row.open:
        with stores.warehouse.transaction() as connection:
            action = Action(
                row.job, "abandoned", f"retraining {retraining_id}", f"stage {row.stage}", stores.clock(), by
            )
            record_action(connection, action)
        fail(stores, retraining_id, f"abandoned by {by} in stage {row.stage}")


def fail(stores: Stores, retraining_id: int, detail: str) -> None:
    """Write that a retraining failed. The stage says where."""
    facts = {"state": "failed", "detail": detail, "finished_at": stores.clock()}
    retrainings.record(stores.warehouse, retraining_id, **facts)
    tell_decision(stores, retrainings.get(stores.warehouse, retraining_id))


def end(stores: Stores, retraining_id: int, state: str, detail: str) -> None:
    """Write how a retraining ended."""
    facts = {"state": state, "detail": detail, "stage": "done", "finished_at": stores.clock()}
    retrainings.record(stores.warehouse, retraining_id, **facts)
    tell_decision(stores, retrainings.get(stores.warehouse, retraining_id))


def tell_decision(stores: Stores, row: Retraining) -> None:
    """Write on the decision that asked for it how the retraining goes."""
    if row.decision_id is None:
        return
    state = {"running": "running", "failed": "failed"}.get(row.state, "done")
    monitoring.record_retraining(stores.warehouse, row.decision_id, state, row.model_version)
