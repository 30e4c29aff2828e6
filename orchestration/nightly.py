"""Airflow's context → night, request and stores; the timetable, retry policy, alerts and parameters of a nightly DAG."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow.configuration import conf
from airflow.sdk import BaseNotifier, CronPartitionTimetable, Param, get_current_context
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.log import mask_secret

from orchestration.retrying import PatientRetryPolicy
from scoring.errors import (
    AlertNotSent,
    EmptyNight,
    NightError,
    NightHeld,
    NoSuchNight,
    described,
)
from scoring.interval import DataInterval, parse_night
from scoring.job.definition import Job
from scoring.secrets import SECRETS
from scoring.settings import load_settings

MAPPED_TASKS = 1000
"""Airflow maps over at most 1024 items; a night of more chunks gives each task several."""


def dag_arguments(job: Job) -> dict[str, Any]:
    """Return what the DAG of ``job`` is made with: one night is one partition, keyed by its date."""
    end = job.schedule.last_night
    return {
        "schedule": CronPartitionTimetable(
            job.schedule.cron, timezone=job.schedule.timezone, run_offset=-1, key_format="%Y-%m-%d"
        ),
        "start_date": midnight_after(job.schedule.first_night, job),
        "end_date": midnight_after(end, job) if end is not None else None,
        "catchup": False,
        "max_active_runs": job.limits.parallel_nights,
        "tags": ["nightshift", *job.tags],
        "description": job.description,
        "params": _params(),
        "default_args": {**task_arguments(job), "on_failure_callback": FailureAlert(job.name)},
    }


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
    """Return the policy that tries again what can heal and fails at once on what cannot."""
    return PatientRetryPolicy(now)


def night_of(context: Mapping[str, Any]) -> date:
    """Return the night that a DAG run answers for: its partition key, or else its parameter ``night``.

    Raises ``NightError`` when it has neither: the clock never decides.
    """
    run = context.get("dag_run")
    key = context.get("partition_key") or getattr(run, "partition_key", None)
    given = key or (context.get("params") or {}).get("night")
    if not given:
        raise NightError(
            "this run has no night",
            found="neither a partition key nor the parameter night",
            expected="a calendar day in the job's timezone, YYYY-MM-DD",
            next_step="trigger again with the night in the form (or as partition key), or use Backfill for several",
        )
    return parse_night(str(given))


class FailureAlert(BaseNotifier):
    """Tells the receivers of alerts that a task failed for good, or that a night is held; never in a backfill."""

    def __init__(self, job: str) -> None:
        """Tell it of ``job``."""
        super().__init__()
        self.job = job

    def notify(self, context: Any) -> None:
        """Send the alert of a task's failure."""
        error = context.get("exception")
        kind = "held" if isinstance(error, NightHeld) else "failed"
        task = getattr(context.get("task"), "task_id", "a task")
        alert(self.job, context, kind, f"{task}: {described(error)}")


def late_nights(jobs: Sequence[Job]) -> list[str]:
    """Alert about every job whose last night is not published in time; return them, a line each.

    Runs that nobody works on any more are recorded as abandoned.
    """
    from scoring.stores.warehouse import liveness
    from scoring.upkeep.alerts import late

    stores = current_stores()
    liveness.abandon_dead(stores.warehouse, now())
    found = [(job, night) for job in jobs if (night := late(stores, job)) is not None]
    for job, night in found:
        tell(job.name, night, "late", f"not published {job.limits.late_after_minutes} minutes after its end")
    return [f"{job.name}: night {night}" for job, night in found]


def alert(job: str, context: Mapping[str, Any], kind: Any, message: str) -> None:
    """Send an alert about a run's night; nothing in a backfill, and a receiver that fails is only logged."""
    if run_type(context) != "backfill":
        tell(job, night_of(context), kind, message)


def tell(job: str, night: date, kind: Any, message: str) -> None:
    """Send an alert about a night; a receiver that fails is only logged."""
    from scoring.upkeep.alerts import Alert, send

    link = f"{conf.get('api', 'base_url').rstrip('/')}/nightshift/jobs/{job}/nights/{night}"
    try:
        send(current_stores(), Alert(job, night, kind, message, link))
    except AlertNotSent as error:
        logging.getLogger(__name__).error("%s", error)


def run_type(context: Mapping[str, Any]) -> str:
    """Return how a run came about: scheduled, manual, backfill …"""
    kind = context["dag_run"].run_type
    return str(getattr(kind, "value", kind))


def extract(job: Job) -> list[dict[str, int]]:
    """Extract the run's night; return what the score tasks are mapped over, and push ids and counts as XComs."""
    from scoring.night.extract import Request, extract

    context = get_current_context()
    run = context["dag_run"]
    request = Request(
        night=night_of(context),
        started_at=now(),
        origin=run_type(context),
        airflow_run_id=run.run_id,
        model_version=context["params"].get("model_version"),
        unfinished=bool(context["params"].get("unfinished")),
    )
    stores = current_stores()
    try:
        with at_work(stores, request.run_id):
            done = extract(stores, job, request)
    except EmptyNight as error:
        if job.on_empty == "skip":
            raise AirflowSkipException(str(error)) from error
        raise
    except NoSuchNight as error:
        raise AirflowSkipException(str(error)) from None
    for key, value in asdict(done).items():
        context["ti"].xcom_push(key=key, value=value)
    return chunk_groups(done.chunks)


def score(job: Job, run_id: str, chunk: dict[str, int]) -> int:
    """Score the chunks of one mapped task; return how many rows."""
    from scoring.night.extract import score_chunk

    get_current_context()["chunk_label"] = chunk_label(chunk)  # type: ignore[typeddict-unknown-key]
    stores = current_stores()
    with at_work(stores, run_id):
        return sum(score_chunk(stores, job, run_id, number) for number in range(chunk["first"], chunk["last"] + 1))


def publish(job: Job, run_id: str) -> dict[str, Any]:
    """Publish the run; return its id, status, rows and lake object."""
    from scoring.night.publish import publish

    stores = current_stores()
    with at_work(stores, run_id):
        return asdict(publish(stores, job, run_id))


@contextmanager
def at_work(stores: Any, run_id: str) -> Iterator[None]:
    """Hold a run's lock while a task works on it, and record a sign of life before and after."""
    from scoring.stores.warehouse import liveness

    with liveness.held(stores.warehouse, run_id):
        liveness.seen(stores.warehouse, run_id, now())
        yield
        liveness.seen(stores.warehouse, run_id, now())


def retention_arguments() -> dict[str, Any]:
    """Return what the retention DAG is made with: once a week, one run at a time, its form filled in by the settings."""
    kept = ", ".join(f"{name} {value}" for name, value in load_settings().retention if name != "apply")
    return {
        "schedule": "30 10 * * 6",
        "start_date": datetime(2013, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["nightshift", "retention"],
        "description": "Removes rows and files that nothing points at any more",
        "params": {
            "apply": Param(
                load_settings().retention.apply, type="boolean", title="Remove",
                description=f"Off: only say in the log what would be removed. Kept: {kept}.",
            )
        },
    }  # fmt: skip


def retain(job: Job) -> dict[str, Any]:
    """Plan what a job's policy lets go, remove it if the run's parameter ``apply`` says so; return how much it is."""
    from scoring.upkeep import retention

    stores, remove = current_stores(), bool(get_current_context()["params"]["apply"])
    found = retention.plan(stores, job, stores.settings.retention)
    if remove:
        found = retention.apply(stores, job, found)
    for one in found:
        said = f"{one.kind} {one.what}, {one.bytes:,} bytes, {one.rows:,} rows: {one.reason}"
        logging.getLogger(__name__).info("%s: %s", "removed" if remove else "would be removed", said)
    total = {"bytes": sum(one.bytes for one in found), "rows": sum(one.rows for one in found)}
    return {"removed" if remove else "would_be_removed": len(found), **total}


def chunk_groups(chunks: int) -> list[dict[str, int]]:
    """Return the first and last chunk of each mapped task, at most ``MAPPED_TASKS`` of them.

    >>> chunk_groups(2)
    [{'first': 0, 'last': 0, 'of': 2}, {'first': 1, 'last': 1, 'of': 2}]
    """
    size = -(-chunks // MAPPED_TASKS) or 1
    return [{"first": n, "last": min(n + size, chunks) - 1, "of": chunks} for n in range(0, chunks, size)]


def chunk_label(chunk: Mapping[str, int]) -> str:
    """Return the name of a mapped task in the grid.

    >>> chunk_label({"first": 2, "last": 2, "of": 12})
    'chunk 3 of 12'
    """
    first, last = chunk["first"] + 1, chunk["last"] + 1
    return f"chunk {first} of {chunk['of']}" if first == last else f"chunks {first}–{last} of {chunk['of']}"


def now() -> datetime:
    """Return the time, for records."""
    return datetime.now(UTC)


def current_stores() -> Any:
    """Return the stores of this process."""
    from scoring.stores.installation import open_stores

    settings = load_settings()
    for secret in SECRETS.known:  # Airflow's own log prints errors of others, with their causes
        mask_secret(secret)
    return open_stores(settings, now)


def midnight_after(night: date, job: Job) -> datetime:
    """Return when a night of the job ends, in UTC."""
    return DataInterval.of_night(night, job.schedule.timezone).end


def _params() -> dict[str, Param]:
    return {
        "night": Param(
            None, type=["null", "string"], format="date", title="Night",
            description="Calendar day in the job's timezone. Only for a run without partition key; backfills ignore it.",
        ),
        "model_version": Param(
            None, type=["null", "integer"], minimum=1, title="Model version",
            description="Default: the version that was champion at that night.",
        ),
        "unfinished": Param(
            False, type="boolean", title="Unfinished",
            description="Score a night that has not ended. What comes of it is provisional: shown, and used for nothing else.",
        ),
    }  # fmt: skip
