"""Checks a job: its pipeline, its SQL on an empty interval, and a sample of its rows."""

from __future__ import annotations

from dataclasses import replace

from scoring.checking_rows import check_rows
from scoring.errors import JobFileError
from scoring.interval import DataInterval
from scoring.job import Job
from scoring.source import stream
from scoring.stores import Stores, contracted


def check_job(stores: Stores, job: Job) -> list[str]:
    """Return what a job's pipeline, SQL and a sample of its rows show, a sentence each; raises the first error in them.

    Raises ``JobFileError``, ``SourceQueryError``, ``SourceUnavailable`` or ``ContractError``.
    """
    pipeline = job.pipeline_factory()()
    if not hasattr(pipeline, "fit") or not hasattr(pipeline, "predict"):
        raise JobFileError(
            f"jobs/{job.name}.yaml: pipeline",
            found=f"{job.pipeline!r} returns a {type(pipeline).__name__}",
            expected="an unfitted scikit-learn Pipeline",
        )
    first = DataInterval.of_night(job.schedule.first_night, job.schedule.timezone)
    nothing = replace(first, end=first.start)
    with contracted(stores, job, nothing) as batches:
        next(batches)
    with stream(stores.source_url(job), stores.labels_query(job), nothing, rows=1) as labels:
        next(labels)
    return check_rows(stores, job)
