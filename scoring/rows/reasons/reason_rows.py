"""Reasons as rows: of each prediction that a job asks reasons for, the features that add or take away most."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.job import HIDDEN_VALUE, REASON_COLUMNS, Both, Condition, Job, kinds_of
from scoring.rows.casting import ARROW_TYPES
from scoring.rows.reasons.explainer import Explainer
from scoring.rows.value_text import as_found

_TYPES: dict[str, pa.DataType] = dict(
    zip(REASON_COLUMNS, (pa.int32(), pa.string(), pa.string(), pa.float64()), strict=True)
)
_COMPARE: dict[str, Callable[[pa.Array, pa.Scalar], pa.Array]] = {
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "=": pc.equal,
    "!=": pc.not_equal,
}


def reasons_schema(job: Job) -> pa.Schema:
    """Return the schema of a file of reasons: keys, rank, feature, its value as text, its contribution."""
    return pa.schema([*((name, ARROW_TYPES[kind]) for name, kind in job.key.items()), *_TYPES.items()])


def asked_for(predictions: pa.RecordBatch | pa.Table, job: Job) -> np.ndarray:
    """Return which predictions get reasons, (rows,)."""
    if job.reasons is None:
        return np.zeros(predictions.num_rows, dtype=bool)
    condition = job.reasons.condition(kinds_of(job.task, job.probability_columns))
    if condition is None:
        return np.ones(predictions.num_rows, dtype=bool)
    return _meets(predictions, condition)


def _meets(predictions: pa.RecordBatch | pa.Table, condition: Condition) -> np.ndarray:
    if isinstance(condition, Both):
        first, second = (_meets(predictions, part) for part in (condition.first, condition.second))
        return np.asarray(first & second if condition.how == "and" else first | second)
    column = predictions.column(condition.column)
    mask = np.asarray(_COMPARE[condition.operator](column, pa.scalar(condition.value, column.type)))
    return np.asarray(mask, dtype=bool)


def reason_rows(
    explainer: Explainer, pipeline: Any, batch: pa.RecordBatch, predictions: pa.RecordBatch, job: Job, top: int
) -> pa.RecordBatch:
    """Return ``top`` reasons for each row of a batch, or one for each feature if those are fewer: ``reasons_schema``.

    First the feature whose contribution is largest, whatever its sign; of equal ones that which the job declares first.
    """
    values = explainer.contributions(pipeline, batch, predictions).values
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :top]
    rows, ranks = order.shape
    of_row = np.repeat(np.arange(rows), ranks)
    chosen = order.ravel()
    arrays = [batch.column(name).take(pa.array(of_row)) for name in job.key]
    arrays += [
        pa.array(np.tile(np.arange(1, ranks + 1), rows), pa.int32()),
        pa.array(np.array(list(job.features), dtype=object)[chosen], pa.string()),
        _texts(batch, of_row, chosen, job),
        pa.array(values[of_row, chosen]),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=reasons_schema(job))


def _texts(batch: pa.RecordBatch, of_row: np.ndarray, chosen: np.ndarray, job: Job) -> pa.Array:
    """Return the values of the chosen features as text. Those of sensitive features are hidden."""
    texts = np.full(len(chosen), None, dtype=object)
    text_of = partial(_text, hidden=job.sensitive)
    for place, name in enumerate(job.features):
        some = np.flatnonzero(chosen == place)
        if len(some):
            texts[some] = text_of(name, batch.column(name).take(pa.array(of_row[some]))).to_pylist()
    return pa.array(texts, pa.string())


def _text(name: str, values: pa.Array, hidden: set[str]) -> pa.Array:
    if name not in hidden:
        return as_found(values)
    return pc.if_else(pc.is_null(values), pa.scalar(None, pa.string()), pa.scalar(HIDDEN_VALUE))


def explained_rows(
    explainer: Explainer, pipeline: Any, batch: pa.RecordBatch, predictions: pa.RecordBatch, job: Job
) -> pa.RecordBatch:
    """Return the reasons that a job asks for, of the rows of a batch whose predictions meet its condition."""
    places = np.flatnonzero(asked_for(predictions, job))
    if not len(places) or job.reasons is None:
        return pa.RecordBatch.from_pylist([], reasons_schema(job))
    some = pa.array(places)
    return reason_rows(explainer, pipeline, batch.take(some), predictions.take(some), job, job.reasons.top)
