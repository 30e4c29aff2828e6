"""Airflow's context → night, run type and stores, and the arguments of every task."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy
from airflow.sdk.log import mask_secret

from orchestration.retrying import PatientRetryPolicy
from scoring.errors import (
    NightError,
)
from scoring.interval import DataInterval, parse_night
from scoring.job import Job
from scoring.secrets import SECRETS
from scoring.settings import load_settings


def task_arguments(job: Job) -> dict[str, Any]:
    """Return what every task of ``job`` is made with."""
    return {
        "owner": job.owner,
        "retries": job.limits.retries,
        "retry_delay": timedelta(seconds=job.limits.retry_delay_seconds),
        "retry_policy": retry_policy(),
        "execution_timeout": timedelta(minutes=job.limits.task_timeout_minutes),
    }


def retry_policy() -> ExceptionRetryPolicy:
    """Return the policy that retries errors that can heal and fails at once on others."""
    return PatientRetryPolicy(now)


def night_of(context: Mapping[str, Any]) -> date:
    """Return the night that a DAG run answers for: its partition key, or else its parameter ``night``.

    Raises ``NightError`` when it has neither: the clock never decides.
    """
    run = context.get("dag_run")
    key = context.get("partition_key") or getattr(run, "partition_key", None)
    day = key or (context.get("params") or {}).get("night")
    if not day:
        raise NightError(
            "this run has no night",
            found="neither a partition key nor the parameter night",
            expected="a calendar day in the job's timezone, YYYY-MM-DD",
            next_step="trigger again with the night in the form (or as partition key), or use Backfill for several",
        )
    return parse_night(str(day))


def run_type(context: Mapping[str, Any]) -> str:
    """Return how a run came about: scheduled, manual, backfill …"""
    kind = context["dag_run"].run_type
    return str(getattr(kind, "value", kind))


def now() -> datetime:
    """Return the time, for records."""
    return datetime.now(UTC)


def current_stores() -> Any:
    """Return the stores of this process."""
    from scoring.stores import open_stores

    settings = load_settings()
    for secret in SECRETS.forms:  # Airflow's own log prints errors of others, with their causes
        mask_secret(secret)
    return open_stores(settings, now)


def begun(job: Job, run_id: str | None) -> Any:
    """Return the workspace of a run with the job as its file was when the run began, or as it is without a run."""
    from scoring.night import as_begun
    from scoring.stores import Workspace

    work = Workspace(current_stores(), job)
    return as_begun(work, run_id) if run_id else work


def midnight_after(night: date, job: Job) -> datetime:
    """Return when a night of the job ends, in UTC."""
    return DataInterval.of_night(night, job.schedule.timezone).end
