"""The columns that a model takes, made of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from scoring.job import Job
from scoring.rows.evaluation.columns import Column
from scoring.rows.evaluation.encoding import Encoding, categories, columns_of, refuse_datetimes
from scoring.rows.evaluation.unsupported import Unsupported
from scoring.rows.prediction import to_frame


class ModelColumns:
    """Makes the model's columns of a batch, without a frame where every step is understood exactly."""

    def __init__(self, steps: list[Any], model: Any, job: Job) -> None:
        """Read the transformers of a pipeline, and the preprocessor of its model."""
        self._steps, self._model, self._job = steps, model, job
        self.names, coded = list(job.features), categories(job)
        self._encodings: list[Encoding] | None = []
        try:
            for place, transformer in enumerate([*steps, *_preprocessor(model)]):
                encoding = Encoding(transformer, self.names, coded, framed=place == 0)
                self._encodings.append(encoding)
                self.names, coded = encoding.names, encoding.coded
            refuse_datetimes(job)
        except Unsupported:
            self._encodings, self.names, coded = None, [], []
        self.names = [name if not levels else "" for name, levels in zip(self.names, coded, strict=True)]
        """The feature behind each column of numbers, where it reaches the model unchanged."""

    @property
    def stateless(self) -> bool:
        """Return whether every part of the transformers keeps its columns, or encodes categories, once each."""
        return self._encodings is not None and all(
            part.how != "itself" for each in self._encodings for part in each.parts
        )

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
