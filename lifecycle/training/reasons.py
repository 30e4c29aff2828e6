"""What a new version keeps for the reasons of its predictions: the mean contributions on its reference."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scoring.job import Job
from scoring.rows import Rule, predict
from scoring.rows.reasons import Explainer, Unexplained, mean_contributions
from scoring.stores.registry import REASONS_FILE, REFERENCE_FILE, no_reasons


def write_reasons(folder: Path, job: Job, pipeline: Any, rule: Rule) -> None:
    """Write the mean contributions on the reference that lies in ``folder``, for a job with reasons.

    Raises ``PredictionError`` for a pipeline whose predictions have no exact reasons.
    """
    if job.reasons is None:
        return
    reference = pq.read_table(folder / REFERENCE_FILE).select(job.columns).combine_chunks().to_batches()[0]
    explainer = explainer_of(pipeline, job, reference)
    means = mean_contributions(explainer, pipeline, reference, predict(pipeline, reference, job, rule), job)
    (folder / REASONS_FILE).write_text(json.dumps(asdict(means)))


def explainer_of(pipeline: Any, job: Job, reference: Any) -> Explainer:
    """Return the explainer of a fitted pipeline. Raises ``PredictionError`` if it can have none."""
    try:
        return Explainer(pipeline, job, reference)
    except Unexplained as error:
        raise no_reasons(f"the pipeline of {job.name}", error) from error


def predicted(pipeline: Any, rows: pa.RecordBatch, job: Job) -> pa.RecordBatch:
    """Return the predictions of a fitted pipeline for rows, once they are explained if the job asks for reasons.

    Raises ``PredictionError`` for a pipeline whose predictions have no exact reasons.
    """
    predictions = predict(pipeline, rows, job)
    if job.reasons is not None:
        explainer_of(pipeline, job, rows).contributions(pipeline, rows, predictions)
    return predictions
