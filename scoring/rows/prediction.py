"""Predictions of a fitted pipeline for a batch, one per row. Nothing is fitted here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.errors import NightshiftError, PredictionError
from scoring.job import BINARY, INTERVAL_COLUMNS, MULTICLASS, REGRESSION, SCORE, Job, Task
from scoring.rows.band import Band
from scoring.rows.casting import ARROW_TYPES
from scoring.rows.decision import Rule, chosen_classes, decision_before_rules

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS: Mapping[Task, pa.DataType] = {REGRESSION: pa.float64(), SCORE: pa.float64()}
_OUTCOME_TYPES: dict[Task, pa.DataType] = {BINARY: pa.bool_(), MULTICLASS: pa.string(), **_NUMBERS}
_LABEL_TYPES: dict[Task, pa.DataType] = {BINARY: pa.string(), MULTICLASS: pa.string(), **_NUMBERS}


class Pipeline(Protocol):
    """The part of a fitted scikit-learn pipeline that scoring calls."""

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return one prediction per row."""


class Evaluator(Protocol):
    """Another way to what the pipeline says, with the same bits."""

    @property
    def stateless(self) -> bool:
        """Return whether no code of the pipeline's steps runs for a row."""

    def output(self, batch: pa.RecordBatch) -> np.ndarray:
        """Return what ``predict_proba``, or a regressor's ``predict``, gives: (rows, classes) or (rows,)."""


def to_frame(batch: pa.RecordBatch | pa.Table, job: Job) -> pd.DataFrame:
    """Return the job's features as the frame that every pipeline sees, at training and at scoring alike.

    Numbers and bools are float64 with NaN for null; categories are object columns with NaN for null; datetimes are
    datetime64[us, UTC] with NaT. A null is one thing everywhere: a mix of None and NaN moves probabilities.
    """
    import pandas as pd

    return pd.DataFrame({name: _column(batch.column(name), feature.type) for name, feature in job.features.items()})


def _column(column: pa.Array | pa.ChunkedArray, kind: str) -> Any:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if kind == "datetime":
        return column.to_pandas()
    if kind != "category":
        return pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    encoded = column.dictionary_encode()
    values = np.array([*encoded.dictionary.to_pylist(), np.nan], dtype=object)
    codes = pc.fill_null(encoded.indices, len(values) - 1).to_numpy()
    return values[codes]


def outcome_type(job: Job) -> pa.DataType:
    """Return the type that outcomes and predictions of the job's task have."""
    return _OUTCOME_TYPES[job.task]


def label_type(job: Job) -> pa.DataType:
    """Return the type in which outcomes are read from the source. It is text for binary jobs, see ``outcome_values``."""
    return _LABEL_TYPES[job.task]


def prediction_schema(job: Job, interval: bool = False) -> pa.Schema:
    """Return the schema of a predictions file: keys, ``prediction``, the probability columns of the task.

    With an ``interval`` its ends come last.
    """
    kind = outcome_type(job)
    keys = [(name, ARROW_TYPES[key]) for name, key in job.key.items()]
    numbers = [*job.probability_columns, *(INTERVAL_COLUMNS if interval else ())]
    return pa.schema([*keys, ("prediction", kind), *((name, pa.float64()) for name in numbers)])


def with_limits(predictions: pa.RecordBatch, band: Band | None, miss: float, job: Job) -> pa.RecordBatch:
    """Return predictions with the ends of the interval that is to miss a share of the outcomes, null without a band."""
    if band is None:
        ends = [pa.nulls(predictions.num_rows, pa.float64())] * len(INTERVAL_COLUMNS)
    else:
        ends = [pa.array(end) for end in band.limits(np.asarray(predictions.column("prediction")), miss)]
    return pa.RecordBatch.from_arrays([*predictions.columns, *ends], schema=prediction_schema(job, interval=True))


def predict(
    pipeline: Any, batch: pa.RecordBatch, job: Job, rule: Rule | None = None, evaluator: Evaluator | None = None
) -> pa.RecordBatch:
    """Return one prediction per row of ``batch``, in its order, with the row's key, by the version's rule.

    Without a rule it decides as versions did before they had one, at probability 0.5. An evaluator gives the pipeline's output
    in its place. Raises ``PredictionError`` when the pipeline fails, or gives another number of rows, other classes than the
    job declares, or a value that is not finite.
    """
    schema = prediction_schema(job)
    keys = [batch.column(name) for name in job.key]
    if batch.num_rows == 0:
        return pa.RecordBatch.from_pylist([], schema)
    rule = rule or Rule(decision_before_rules(job))
    if evaluator is not None:
        values, class_places = _evaluated(pipeline, batch, job, rule, evaluator)
    else:
        blocks = [_answers(pipeline, frame, rows, job, rule) for frame, rows in _blocks(to_frame(batch, job), rule)]
        values, class_places = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    bad = int((~np.isfinite(values)).reshape(batch.num_rows, -1).any(axis=1).sum())
    if bad:
        raise PredictionError(f"predictions of {job.name}", found=f"{bad} rows not finite", expected="finite numbers")
    return pa.RecordBatch.from_arrays([*keys, *_COLUMNS[job.task](values, class_places, job)], schema=schema)


def _blocks(frame: pd.DataFrame, rule: Rule) -> Iterator[tuple[pd.DataFrame, int]]:
    """Yield the frame of each call and the number of its rows that count. A short frame is filled up by repeated rows."""
    if rule.block_rows is None:
        yield frame, len(frame)
        return
    for start in range(0, len(frame), rule.block_rows):
        places = np.arange(start, min(start + rule.block_rows, len(frame)))
        yield frame.iloc[np.resize(places, rule.block_rows)].reset_index(drop=True), len(places)


def _answers(pipeline: Any, frame: pd.DataFrame, rows: int, job: Job, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    """Return the raw output of the first ``rows`` rows, (rows,) or (rows, classes), and the indices of their classes."""
    output = partial(_output, pipeline, frame, job)
    values, class_places = _decided(pipeline, output, lambda: frame, job, rule, len(frame))
    return values[:rows], class_places[:rows]


def _output(pipeline: Any, frame: pd.DataFrame, job: Job) -> Any:
    if job.task.classifies:
        return pipeline.predict_proba(frame)
    method = next((name for name in job.task.methods if hasattr(pipeline, name)), job.task.methods[-1])
    output = getattr(pipeline, method)(frame)
    one_column = not job.task.has_outcome and getattr(output, "ndim", 1) == 2 and output.shape[1] == 1
    return np.asarray(output).reshape(-1) if one_column else output


def raw_output(pipeline: Any, batch: pa.RecordBatch, job: Job, rule: Rule) -> np.ndarray:
    """Return the pipeline's probabilities or numbers as they come, (rows, classes) or (rows,), in the rule's blocks."""
    from joblib import parallel_config

    with parallel_config(backend="sequential"):
        blocks = [
            np.asarray(_output(pipeline, frame, job))[:rows] for frame, rows in _blocks(to_frame(batch, job), rule)
        ]
    return np.concatenate(blocks)


def _evaluated(
    pipeline: Any, batch: pa.RecordBatch, job: Job, rule: Rule, evaluator: Evaluator
) -> tuple[np.ndarray, np.ndarray]:
    """Return what ``_answers`` does, by an evaluator, or by the pipeline itself should that fail."""
    try:
        output = evaluator.output(batch)
    except Exception:  # noqa: BLE001 - what fails here may be the evaluator's fault: the pipeline says what is right
        output = raw_output(pipeline, batch, job, rule)
    if rule.block_rows is None:
        return _decided(pipeline, lambda: output, partial(to_frame, batch, job), job, rule, batch.num_rows)
    parts = [_of_block(pipeline, batch, job, rule, output, start) for start in range(0, len(output), rule.block_rows)]
    values, class_places = (np.concatenate(some) for some in zip(*parts, strict=True))
    return values, class_places


def _of_block(
    pipeline: Any, batch: pa.RecordBatch, job: Job, rule: Rule, output: np.ndarray, start: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return output and classes of a block, whose frame is filled up as ``_blocks`` does it, should it be needed."""
    rows = np.arange(start, min(start + (rule.block_rows or 1), len(output)))
    filled = np.resize(rows, rule.block_rows or 1)
    frame = partial(lambda places: to_frame(batch.take(pa.array(places)), job), filled)
    values, class_places = _decided(pipeline, lambda: output[filled], frame, job, rule, len(filled))
    return values[: len(rows)], class_places[: len(rows)]


def _decided(
    pipeline: Any,
    output: Callable[[], Any],
    frame: Callable[[], pd.DataFrame],
    job: Job,
    rule: Rule,
    rows: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the output as numbers, and the indices of the classes.

    joblib's workers are kept out: a forest adds up its trees in the order in which they finish.
    """
    from joblib import parallel_config

    shape = (rows, len(_check_classes(pipeline, job))) if job.task.classifies else (rows,)
    try:
        with parallel_config(backend="sequential"):
            values = np.asarray(output(), dtype=np.float64)
            if values.shape != shape:
                raise PredictionError(
                    f"predictions of {job.name}", found=f"shape {values.shape}", expected=f"shape {shape}"
                )
            class_places = np.zeros(rows, dtype=np.intp)
            if job.task.classifies:
                class_places = chosen_classes(pipeline, frame, values, rule.decision, job)
    except NightshiftError:
        raise
    except Exception as error:  # whatever a pipeline raises is its own: named and raised again
        raise PredictionError(f"pipeline of {job.name}", found=f"{type(error).__name__}: {error}") from error
    return values, class_places


def _check_classes(pipeline: Any, job: Job) -> list[Any]:
    classes = list(getattr(pipeline, "classes_", []))
    expected = job.task.fitted_classes(job.label.classes or [])
    if classes != expected and [str(c) for c in classes] != [str(c) for c in expected]:  # False and True equal 0 and 1
        raise PredictionError(f"classes of the pipeline of {job.name}", found=str(classes), expected=str(expected))
    return classes


def _regression(values: np.ndarray, class_places: np.ndarray, job: Job) -> list[pa.Array]:
    return [pa.array(values)]


def _binary(values: np.ndarray, class_places: np.ndarray, job: Job) -> list[pa.Array]:
    return [pa.array(class_places == 1), pa.array(np.ascontiguousarray(values[:, 1]))]


def _multiclass(values: np.ndarray, class_places: np.ndarray, job: Job) -> list[pa.Array]:
    declared = job.label.classes or []
    order = np.argsort(np.argsort(declared))  # the pipeline's classes are sorted, the job's as declared
    names = np.array(sorted(declared), dtype=object)
    return [pa.array(names[class_places], pa.string()), *(pa.array(column.copy()) for column in values[:, order].T)]


_COLUMNS: dict[Task, Callable[[np.ndarray, np.ndarray, Job], list[pa.Array]]] = {
    BINARY: _binary,
    MULTICLASS: _multiclass,
    REGRESSION: _regression,
    SCORE: _regression,
}


def certainty(predictions: pa.RecordBatch | pa.Table, job: Job) -> np.ndarray:
    """Return the number that stands for each prediction, shape (rows,).

    That is the probability (binary), the highest probability (multiclass) or the prediction (regression).
    """
    columns = [np.asarray(predictions.column(name)) for name in job.number_columns]
    return np.asarray(np.max(np.stack(columns), axis=0), dtype=np.float64)
