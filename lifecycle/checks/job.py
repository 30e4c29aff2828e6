"""Checks a job: its pipeline, its SQL on an empty interval, and a sample of its rows."""

from __future__ import annotations

from dataclasses import replace

from lifecycle.checks.champion import check_champion
from lifecycle.checks.labels import check_labels
from lifecycle.checks.pipeline import check_pipeline
from lifecycle.checks.rows import check_rows
from scoring.interval import DataInterval
from scoring.stores import Workspace, feature_batches
from scoring.stores.source import stream


def check_job(work: Workspace) -> list[str]:
    """Return what a job's pipeline, SQL and a sample of its rows show, a sentence each.

    The pipeline is tried on made-up rows, the SQL runs on an empty interval. Raises the first error: ``JobFileError``,
    ``SourceQueryError``, ``SourceUnavailable``, ``ContractError``, or ``DeclarationMismatch`` for a job file that the
    champion cannot be scored with.
    """
    notes = [*check_champion(work), *check_pipeline(work.job, work.settings.check_seconds)]
    first = DataInterval.of_night(work.job.schedule.first_night, work.job.schedule.timezone)
    nothing = replace(first, end=first.start)
    with feature_batches(work, nothing) as batches:
        next(batches)
    with stream(work.stores.source_url(work.job), work.stores.labels_query(work.job), nothing, rows=1) as labels:
        next(labels)
    return [*notes, *check_rows(work), *check_labels(work)]
