"""The matrix that a pipeline's model is given for a batch, and which feature each of its columns was made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from scoring.job import Job
from scoring.rows.evaluation import Unwrapped
from scoring.rows.prediction import to_frame
from scoring.rows.reasons.origins import origins_of
from scoring.rows.reasons.unexplained import Unexplained


class _Selected:
    """The choice of columns in front of a model that takes them in an order of its own."""

    def __init__(self, by_place: Any) -> None:
        self.transform, self.feature_names_in_ = by_place.nightshift_given, by_place.inputs


def parts_of(pipeline: Any) -> Unwrapped:
    """Return a pipeline taken apart, with the choice of its columns as the first step where it has an order of its own."""
    if not hasattr(pipeline, "nightshift_given"):
        return Unwrapped(pipeline)
    parts = Unwrapped(pipeline.model)
    parts.steps.insert(0, _Selected(pipeline))
    return parts


def matrix_of(parts: Unwrapped, batch: pa.RecordBatch | pa.Table, job: Job) -> Any:
    """Return what the steps before the model make of a batch: a frame, an array or a sparse matrix."""
    rows: Any = to_frame(batch, job)
    for step in parts.steps:
        rows = step.transform(rows)
    return rows


def features_of(parts: Unwrapped, job: Job) -> np.ndarray:
    """Return the place among the job's features that each column of the matrix was made of.

    Raises ``Unexplained`` when a step mixes columns.
    """
    names = list(job.features)
    first = parts.steps[0] if parts.steps else parts.model
    origins = [names.index(name) for name in getattr(first, "feature_names_in_", names)]
    for step in parts.steps:
        origins = origins if isinstance(step, _Selected) else origins_of(step, origins)
    if any(origin < 0 for origin in origins):
        if len(job.features) == 1:
            return np.zeros(_width(parts), dtype=np.intp)
        raise Unexplained("a transformer that is not known outside of a ColumnTransformer")
    return np.array(origins, dtype=np.intp)


def _width(parts: Unwrapped) -> int:
    return int(parts.model.n_features_in_)


def dense(matrix: Any) -> np.ndarray:
    """Return a matrix as an array of float64."""
    if hasattr(matrix, "toarray"):
        matrix = matrix.toarray()
    return np.asarray(matrix, dtype=np.float64)
