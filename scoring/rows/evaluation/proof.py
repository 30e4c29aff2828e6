"""The proof that an evaluator gives the bits that the pipeline gives."""

from __future__ import annotations

import warnings
from typing import Any

import pyarrow as pa

from scoring.job import Job
from scoring.rows.decision import Rule
from scoring.rows.evaluation.bits import unequal
from scoring.rows.evaluation.evaluator import Evaluator
from scoring.rows.evaluation.hostile import hostile_rows
from scoring.rows.prediction import raw_output


def difference(evaluator: Evaluator, pipeline: Any, rows: pa.RecordBatch, job: Job, rule: Rule) -> str | None:
    """Return in words where an evaluator differs from the pipeline, or None where every bit is the same.

    They are compared on the rows, on rows with hostile values in between, and the models on hostile numbers.
    """
    trials = {
        "rows": rows,
        "rows at thresholds": hostile_rows(rows, job, evaluator.thresholds),
        "rows that the contract refuses": hostile_rows(rows, job, evaluator.thresholds, forbidden=True),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what NumPy and scikit-learn say of such numbers is no news
        for words, batch in trials.items():
            if differing := _differing(evaluator, pipeline, batch, job, rule):
                return f"{differing:,} of {batch.num_rows:,} {words} differ"
        return evaluator.difference()


def same_bits(evaluator: Evaluator, pipeline: Any, rows: pa.RecordBatch, job: Job, rule: Rule) -> bool:
    """Return whether evaluator and pipeline give the same bits for the rows."""
    return not _differing(evaluator, pipeline, rows, job, rule)


def _differing(evaluator: Evaluator, pipeline: Any, rows: pa.RecordBatch, job: Job, rule: Rule) -> int:
    """Return the number of rows that differ. Where the pipeline refuses rows, the evaluator has to refuse them too."""
    try:
        expected = raw_output(pipeline, rows, job, rule)
    except Exception:  # noqa: BLE001 - whatever a pipeline raises: here it is a result
        expected = None
    try:
        output = evaluator.output(rows)
    except Exception:  # noqa: BLE001 - as above
        return 0 if expected is None else rows.num_rows
    return rows.num_rows if expected is None else unequal(output, expected)
