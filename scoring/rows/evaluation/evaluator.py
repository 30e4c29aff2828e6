"""``Evaluator``: what a fitted pipeline says of a batch, computed another way, with the same bits."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from scoring.job import Job
from scoring.rows.decision import sklearn_name
from scoring.rows.evaluation.bits import unequal
from scoring.rows.evaluation.boosting import Boosted, adopting
from scoring.rows.evaluation.encoded import Encoded
from scoring.rows.evaluation.few_rows import ROWS
from scoring.rows.evaluation.hostile import hostile_matrix
from scoring.rows.evaluation.model_columns import ModelColumns
from scoring.rows.evaluation.unsupported import Unsupported
from scoring.rows.evaluation.unwrapping import Unwrapped

SCIKIT_LEARN = "scikit-learn"
_BOOSTED = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")


class Evaluator(Protocol):
    """Another way to a pipeline's output. It holds no state from call to call: several threads may use it at once."""

    name: str

    @property
    def stateless(self) -> bool:
        """Return whether no code of the pipeline's steps runs for a row."""

    @property
    def thresholds(self) -> dict[str, np.ndarray]:
        """Return the thresholds of the model's splits by feature, as far as features reach the model unchanged."""

    def output(self, batch: pa.RecordBatch) -> np.ndarray:
        """Return what ``predict_proba``, or a regressor's ``predict``, gives: (rows, classes) or (rows,)."""

    def difference(self) -> str | None:
        """Return in words where the model differs from the estimator on hostile numbers, or None."""


class BitsetEvaluator:
    """Boosted trees as sets of leaves."""

    name = "bitset"

    def __init__(self, parts: Unwrapped, job: Job) -> None:
        """Build the tables. Raises ``Unsupported`` when they would be too large."""
        self._columns = ModelColumns(parts.steps, parts.model, job)
        self._model = Boosted(parts.model, parts.around(adopting(parts.model)))

    @property
    def stateless(self) -> bool:
        """Return whether no code of the pipeline's steps runs for a row."""
        return self._columns.stateless

    @property
    def thresholds(self) -> dict[str, np.ndarray]:
        """Return the thresholds of the model's splits by feature, as far as features reach the model unchanged."""
        pairs = zip(self._columns.names, self._model.cells, strict=False)
        return {name: cells.thresholds for name, cells in pairs if name}

    def output(self, batch: pa.RecordBatch) -> np.ndarray:
        """Return what ``predict_proba``, or a regressor's ``predict``, gives: (rows, classes) or (rows,)."""
        return self._model.output(self._columns(batch), batch.num_rows)

    def difference(self) -> str | None:
        """Return in words where the trees differ from the estimator's on hostile numbers, or None."""
        matrix = hostile_matrix(self._model.cells)
        output = self._model.output(list(np.ascontiguousarray(matrix.T)), len(matrix))
        by_estimator = self._model.by_estimator(matrix)
        differing = unequal(output, by_estimator) + unequal(self._in_calls_of_few(matrix), by_estimator)
        return f"{differing:,} of {len(matrix):,} hostile rows differ" if differing else None

    def _in_calls_of_few(self, matrix: np.ndarray) -> np.ndarray:
        """Return the output of calls of few rows, which are computed another way."""
        parts = [np.ascontiguousarray(matrix[first : first + ROWS].T) for first in range(0, len(matrix), ROWS)]
        return np.concatenate([self._model.output(list(part), part.shape[1]) for part in parts])


def evaluator_of(pipeline: Any, job: Job, block_rows: int | None = None) -> Evaluator:
    """Return the evaluator of a fitted pipeline, whose rule has calls of ``block_rows``.

    Raises ``Unsupported`` with the part that has none.
    """
    parts = Unwrapped(pipeline)
    if sklearn_name(parts.model) in _BOOSTED:
        return BitsetEvaluator(parts, job)
    if len(parts.steps) != 1 or hasattr(parts.model, "feature_names_in_"):  # a model that was given a frame
        raise Unsupported(f"{type(parts.model).__name__} has no evaluator of its own")
    return Encoded(parts.steps[0], parts.around(parts.model), job, block_rows)
