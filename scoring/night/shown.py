"""A run's rows as analysts see them: with the columns of the job's views."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from scoring.job import INTERVAL_COLUMNS, Job
from scoring.rows import prediction_schema
from scoring.stores import RunFolder, Workspace
from scoring.stores.warehouse import Run, stamped

INTERVAL_FACT = "interval"
"""Entry in the metadata of a night's object whose run was scored with an interval: its level."""


def shown_rows(work: Workspace, run: Run, interval: bool) -> Iterator[pa.RecordBatch]:
    """Return a run's predictions with the columns of the analysts' view, from files that never change.

    With ``interval`` the ends of the interval are among them, null for a run that was scored without one.
    """
    constants, order, folder = _stamps(run), _columns(work.job, interval), RunFolder(work.lake, run)
    schema = folder.schema(work.job)
    lacking = [name for name in INTERVAL_COLUMNS if interval and name not in schema.names]
    constants |= dict.fromkeys(lacking, pa.scalar(None, pa.float64()))
    return (stamped(batch, constants, order) for batch in folder.predictions(expected=schema))


def rows_schema(job: Job, run: Run, interval: bool) -> pa.Schema:
    """Return the schema of ``shown_rows``: keys, night, prediction, probabilities, version, run, its start, interval."""
    empty = pa.RecordBatch.from_pylist([], prediction_schema(job, interval))
    return stamped(empty, _stamps(run), _columns(job, interval)).schema


def _columns(job: Job, interval: bool) -> list[str]:
    ends = INTERVAL_COLUMNS if interval else ()
    return [*job.key, "night", *job.prediction_columns, "model_version", "run_id", "scored_at", *ends]


def _stamps(run: Run) -> dict[str, pa.Scalar]:
    return {
        "night": pa.scalar(run.night, pa.date32()),
        "model_version": pa.scalar(run.model_version, pa.int32()),
        "run_id": pa.scalar(run.run_id, pa.string()),
        "scored_at": pa.scalar(run.started_at, pa.timestamp("us", "UTC")),
    }
