"""Checks a job as far as possible without reading its rows."""

from __future__ import annotations

from dataclasses import replace

from scoring.errors import JobFileError
from scoring.interval import DataInterval
from scoring.job import Job
from scoring.source import stream
from scoring.stores import Stores, contracted


def check_job(stores: Stores, job: Job) -> None:
    """Raise the first error in a job's pipeline, ``features.sql`` or ``labels.sql``; the SQL runs on an empty interval.

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
