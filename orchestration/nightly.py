"""The tasks of a nightly DAG that score: extract, score, publish. Also the arguments of the DAG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from airflow.sdk import CronPartitionTimetable, Param, get_current_context
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowSkipException

from orchestration.alerts import FailureAlert
from orchestration.context import begun, current_stores, midnight_after, night_of, now, run_type, task_arguments
from scoring.errors import (
    EmptyNight,
    NightError,
    NoSuchNight,
    described,
)
from scoring.job import Job

MAPPED_TASKS = 1000
"""Airflow maps over at most 1024 items. A night of more chunks gives each task several."""


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
        "default_args": {**task_arguments(job), "on_failure_callback": FailureAlert(job.name)},
    }


def extract(job: Job) -> list[dict[str, int]]:
    """Extract the run's night, return what the score tasks are mapped over, and push ids and counts as XComs."""
    from scoring.night import NightRequest, extract
    from scoring.stores import Workspace

    context, stores = get_current_context(), current_stores()
    run = context["dag_run"]
    try:
        night = night_of(context)
    except NightError as error:  # a night that is none has no row in the ledger
        record_refusal(stores, job, f"Airflow run {run.run_id}", error)
        raise
    request = NightRequest(
        night=night,
        started_at=now(),
        origin=run_type(context),
        airflow_run_id=run.run_id,
        model_version=context["params"].get("model_version"),
        unfinished=bool(context["params"].get("unfinished")),
    )
    try:
        with at_work(stores, request.run_id, job):
            extraction = extract(Workspace(stores, job), request, shared=job.shared)
    except EmptyNight as error:
        if job.on_empty == "skip":
            raise AirflowSkipException(str(error)) from error
        raise
    except NoSuchNight as error:
        raise AirflowSkipException(str(error)) from None
    for key, value in asdict(extraction).items():
        context["ti"].xcom_push(key=key, value=value)
    return chunk_groups(extraction.chunks, extraction.shards or MAPPED_TASKS)


def record_refusal(stores: Any, job: Job, subject: str, error: NightError) -> None:
    """Record that a run was refused which has no night, and so no row in the ledger."""
    from scoring.stores.warehouse import Action, record_action

    with stores.warehouse.transaction() as connection:
        record_action(connection, Action(job.name, "refused", subject, described(error), now()))


def score(job: Job, run_id: str, chunk: dict[str, int]) -> int:
    """Score the chunks of one mapped task and return how many rows."""
    from scoring.night import score_chunks

    get_current_context()["chunk_label"] = chunk_label(chunk)  # type: ignore[typeddict-unknown-key]
    work = begun(job, run_id)
    with at_work(work.stores, run_id, job):
        return score_chunks(work, run_id, range(chunk["first"], chunk["last"] + 1))


def publish(job: Job, run_id: str) -> dict[str, Any]:
    """Publish the run and return its id, status, rows and lake object."""
    from scoring.night import publish

    work = begun(job, run_id)
    with at_work(work.stores, run_id, job):
        return asdict(publish(work, run_id))


@contextmanager
def at_work(stores: Any, run_id: str, job: Job) -> Iterator[None]:
    """Hold a run's lock while a task works on it, and record a sign of life before and after, and its CPU time."""
    from scoring.stores.warehouse import liveness, metered

    with liveness.held(stores.warehouse, run_id, job.name), metered(stores.warehouse, run_id):
        liveness.seen(stores.warehouse, run_id, now())
        yield
        liveness.seen(stores.warehouse, run_id, now())


def chunk_groups(chunks: int, tasks: int = MAPPED_TASKS) -> list[dict[str, int]]:
    """Return the first and last chunk of each mapped task, at most ``tasks`` of them.

    >>> chunk_groups(2)
    [{'first': 0, 'last': 0, 'of': 2}, {'first': 1, 'last': 1, 'of': 2}]
    """
    tasks = min(tasks, chunks)
    starts = [chunks * task // tasks for task in range(tasks)] + [chunks]
    return [{"first": first, "last": end - 1, "of": chunks} for first, end in pairwise(starts)]


def chunk_label(chunk: Mapping[str, int]) -> str:
    """Return the name of a mapped task in the grid.

    >>> chunk_label({"first": 2, "last": 2, "of": 12})
    'chunk 3 of 12'
    """
    first, last = chunk["first"] + 1, chunk["last"] + 1
    return f"chunk {first} of {chunk['of']}" if first == last else f"chunks {first}–{last} of {chunk['of']}"


def form() -> ParamsDict:
    """Return the parameters of a run, as the form asks for them.

    They are given to a DAG that has its tasks: Airflow copies them into each task, which was half the time of parsing.
    """
    return ParamsDict(
        {
            "night": Param(
                None,
                type=["null", "string"],
                format="date",
                title="Night",
                description="Calendar day in the job's timezone. Only for a run without partition key; backfills ignore it.",
            ),
            "model_version": Param(
                None,
                type=["null", "integer"],
                minimum=1,
                title="Model version",
                description="Default: the version that was champion at that night.",
            ),
            "unfinished": Param(
                False,
                type="boolean",
                title="Unfinished",
                description="Score a night that has not ended. What comes of it is provisional: shown, used for nothing else.",
            ),
            "announce": Param(
                False,
                type="boolean",
                title="Announce",
                description="Send the asset events of a backfill's nights, so that DAGs that wait for them run.",
            ),
        }
    )
