"""``Evaluator``: what a fitted pipeline says of a batch, computed another way, with the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from scoring.job import Job
from scoring.rows.decision import sklearn_name
from scoring.rows.evaluation.boosting import Boosted
from scoring.rows.evaluation.columns import Column
from scoring.rows.evaluation.encoding import Encoding, columns_of, refuse_datetimes
from scoring.rows.evaluation.unsupported import Unsupported
from scoring.rows.prediction import to_frame

SCIKIT_LEARN = "scikit-learn"
_WRAPPERS = {
    "GridSearchCV": "best_estimator_",
    "RandomizedSearchCV": "best_estimator_",
    "HalvingGridSearchCV": "best_estimator_",
    "HalvingRandomSearchCV": "best_estimator_",
    "FrozenEstimator": "estimator",
    "FixedThresholdClassifier": "estimator_",
    "TunedThresholdClassifierCV": "estimator_",
}
"""Where estimators that pass ``predict_proba`` on have the one that they pass it to."""


class Evaluator:
    """Another way to a pipeline's output. It holds no state from call to call: several threads may use it at once."""

    def __init__(self, name: str, columns: Columns, model: Boosted) -> None:
        """Put together what makes columns of a batch, and what makes the output of these."""
        self.name, self._columns, self.model = name, columns, model

    @property
    def thresholds(self) -> dict[str, np.ndarray]:
        """Return the thresholds of the model's splits by feature, as far as features reach the model unchanged."""
        pairs = zip(self._columns.names, self.model.cells, strict=False)
        return {name: cells.thresholds for name, cells in pairs}

    def output(self, batch: pa.RecordBatch) -> np.ndarray:
        """Return what ``predict_proba``, or a regressor's ``predict``, gives: (rows, classes) or (rows,)."""
        return self.model.output(self._columns(batch), batch.num_rows)


def evaluator_of(pipeline: Any, job: Job) -> Evaluator:
    """Return the evaluator of a fitted pipeline. Raises ``Unsupported`` with the part that has none."""
    steps, model = _unwrapped(pipeline)
    if sklearn_name(model) not in ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"):
        raise Unsupported(f"{type(model).__name__} has no evaluator of its own")
    return Evaluator("bitset", Columns(steps, model, job), Boosted(model))


def _unwrapped(pipeline: Any) -> tuple[list[Any], Any]:
    """Return the transformers of a pipeline in order, and the estimator at its end."""
    steps, model = [], pipeline
    while True:
        name = sklearn_name(model)
        if name == "Pipeline":
            steps += [step for _, step in model.steps[:-1] if step not in (None, "passthrough")]
            model = model.steps[-1][1]
        elif name in _WRAPPERS:
            model = getattr(model, _WRAPPERS[name])
        else:
            return steps, model


class Columns:
    """Makes the model's columns of a batch, without a frame where every step is understood exactly."""

    def __init__(self, steps: list[Any], model: Any, job: Job) -> None:
        """Read the transformers of a pipeline, and the preprocessor of its model."""
        self._steps, self._model, self._job = steps, model, job
        self.names, coded = list(job.features), [feature.type == "category" for feature in job.features.values()]
        self._encodings: list[Encoding] | None = []
        try:
            for place, transformer in enumerate([*steps, *_preprocessor(model)]):
                encoding = Encoding(transformer, self.names, coded, framed=place == 0)
                self._encodings.append(encoding)
                self.names, coded = [self.names[origin] for origin in encoding.origins], encoding.coded
            refuse_datetimes(job)
        except Unsupported:
            self._encodings, self.names = None, []

    def __call__(self, batch: pa.RecordBatch) -> list[Column]:
        """Return the columns of a batch."""
        if self._encodings is None:
            return self._by_steps(batch)
        columns = columns_of(batch, self._job)
        for encoding in self._encodings:
            columns = encoding(columns)
        return columns

    def _by_steps(self, batch: pa.RecordBatch) -> list[Column]:
        rows: Any = to_frame(batch, self._job)
        for step in self._steps:
            rows = step.transform(rows)
        matrix = np.asarray(self._model._preprocess_X(rows, reset=False), dtype=np.float64)
        return list(np.ascontiguousarray(matrix.T))


def _preprocessor(model: Any) -> list[Any]:
    return [] if model._preprocessor is None else [model._preprocessor]
