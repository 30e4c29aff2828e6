"""``Explainer``: what each of the job's columns adds to the predictions of a fitted pipeline, held against its margin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from scoring.errors import PredictionError
from scoring.job import BINARY, MULTICLASS, REGRESSION, SCORE, Job, Task
from scoring.rows.decision import sklearn_name
from scoring.rows.evaluation import Unwrapped
from scoring.rows.reasons.linear import LINEAR
from scoring.rows.reasons.matrices import dense, features_of, matrix_of, parts_of
from scoring.rows.reasons.models import Model, model_of

TOLERANCE = 1e-6
"""How far contributions and base may lie from the margin, as a share of it where it is larger than 1."""


@dataclass(frozen=True)
class Contributions:
    """What the features add to the margin of each row: base + values.sum(axis=1) is the margin."""

    base: np.ndarray
    """Margin of the average row, (rows,): the same for all, or that of the class that is predicted."""
    values: np.ndarray
    """(rows, features), in the order of the job's features."""
    margin: np.ndarray
    """By the model's own code, (rows,)."""


class Explainer:
    """The contributions of a fitted pipeline. Several threads may use it at once, each with a copy of the pipeline."""

    def __init__(self, pipeline: Any, job: Job, reference: pa.RecordBatch | pa.Table | None = None) -> None:
        """Read the pipeline. Raises ``Unexplained`` with the part whose predictions have no exact reasons."""
        parts = parts_of(pipeline)
        features = features_of(parts, job)
        means = _means(parts, reference, job) if sklearn_name(parts.model) in LINEAR else None
        self._model: Model = model_of(parts.model, features, len(job.features), means)
        self._job, self._calibrated = job, parts.around(parts.model) is not parts.model

    @property
    def unit(self) -> str:
        """Return what margins and contributions are counted in."""
        return self._model.unit

    @property
    def calibrated(self) -> bool:
        """Return whether the margin is that of the model before its calibration."""
        return self._calibrated

    def contributions(
        self, pipeline: Any, batch: pa.RecordBatch | pa.Table, predictions: pa.RecordBatch | pa.Table
    ) -> Contributions:
        """Return the contributions to each prediction: of two classes to the second, of several to the predicted one.

        Raises ``PredictionError`` for a row on which they do not sum to the margin of ``pipeline``, or whose margin does not
        give the prediction.
        """
        matrix = matrix_of(parts_of(pipeline), batch, self._job)
        margins = self._model.margins(matrix)
        self._check_predictions(margins, predictions)
        outputs = _OUTPUTS[self._job.task](predictions, self._job)
        rows = len(margins)
        base, values = np.zeros(rows), np.zeros((rows, len(self._job.features)))
        for output in np.unique(outputs).tolist():
            some = np.flatnonzero(outputs == output)
            base[some], values[some] = self._model.contributions(_rows(matrix, some, rows), output)
        margin = margins[np.arange(rows), outputs]
        self._check_sums(base + values.sum(axis=1), margin)
        return Contributions(base, values, margin)

    def _check_sums(self, sums: np.ndarray, margin: np.ndarray) -> None:
        wrong = ~(np.abs(sums - margin) <= TOLERANCE * np.maximum(1, np.abs(margin)))
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            example = f"such as {sums[at]:.9g} for {margin[at]:.9g}"
            raise PredictionError(
                f"reasons of {self._job.name}",
                found=f"{int(wrong.sum())} rows whose contributions sum to another margin, {example}",
                expected=f"the margin within {TOLERANCE:g} on every row",
                next_step="take `reasons` out of the job file, and report it with the pipeline",
            )

    def _check_predictions(self, margins: np.ndarray, predictions: pa.RecordBatch | pa.Table) -> None:
        """Raise ``PredictionError`` when the margins do not give the predictions that were published."""
        ended = None if self._calibrated else self._model.ended(margins)
        if ended is None:
            return
        ended = _ENDED[self._job.task](ended, self._job)
        published = np.column_stack([np.asarray(predictions.column(name)) for name in self._job.number_columns])
        wrong = ~(np.abs(ended - published) <= TOLERANCE * np.maximum(1, np.abs(published)))
        if wrong.any():
            raise PredictionError(
                f"reasons of {self._job.name}",
                found=f"{int(wrong.reshape(len(wrong), -1).any(axis=1).sum())} rows whose margin gives another prediction",
                expected="the margin of the published prediction",
                next_step="take `reasons` out of the job file, and report it with the pipeline",
            )


def _first(predictions: pa.RecordBatch | pa.Table, job: Job) -> np.ndarray:
    return np.zeros(predictions.num_rows, dtype=np.intp)


def _predicted(predictions: pa.RecordBatch | pa.Table, job: Job) -> np.ndarray:
    names = sorted(job.label.classes or [])
    return np.array([names.index(name) for name in predictions.column("prediction").to_pylist()], dtype=np.intp)


_OUTPUTS: dict[Task, Callable[[pa.RecordBatch | pa.Table, Job], np.ndarray]] = {
    BINARY: _first,
    MULTICLASS: _predicted,
    REGRESSION: _first,
    SCORE: _first,
}
"""The output of the model that each row's contributions are to."""
_ENDED: dict[Task, Callable[[np.ndarray, Job], np.ndarray]] = {
    BINARY: lambda ended, job: ended[:, 1:],
    MULTICLASS: lambda ended, job: ended[:, np.argsort(np.argsort(job.label.classes or []))],
    REGRESSION: lambda ended, job: ended[:, None],
    SCORE: lambda ended, job: ended[:, None],
}
"""What ends a margin, in the columns that are published, (rows, columns)."""


def _means(parts: Unwrapped, reference: pa.RecordBatch | pa.Table | None, job: Job) -> np.ndarray | None:
    """Return the mean of each column of the model's matrix on the reference, or None without one."""
    matrix = matrix_of(parts, reference, job)
    return (
        np.asarray(matrix.mean(axis=0), dtype=np.float64).ravel()
        if hasattr(matrix, "toarray")
        else dense(matrix).mean(axis=0)
    )


def _rows(matrix: Any, places: np.ndarray, rows: int) -> Any:
    """Return some rows of a frame, an array or a sparse matrix."""
    if len(places) == rows:
        return matrix
    return matrix.iloc[places] if hasattr(matrix, "iloc") else matrix[places]
