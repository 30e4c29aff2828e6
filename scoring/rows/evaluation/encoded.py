"""Any estimator behind one column transformer: the same matrix, made faster, and the estimator itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from scoring.job import Job
from scoring.rows.decision import sklearn_name
from scoring.rows.evaluation.columns import Coded, Column
from scoring.rows.evaluation.encoding import Encoding, Part, categories, columns_of, levels_of, refuse_datetimes
from scoring.rows.evaluation.unsupported import Unsupported

if TYPE_CHECKING:
    from scipy import sparse


class Encoded:
    """A pipeline of a column transformer and an estimator. Categories are encoded once per batch instead of once per row."""

    name = "encoder"

    def __init__(self, transformer: Any, model: Any, job: Job, block_rows: int | None) -> None:
        """Read the transformer. Raises ``Unsupported`` for a pipeline in which there is nothing to spare."""
        refuse_datetimes(job)
        self._encoding = Encoding(transformer, list(job.features), categories(job), framed=True)
        self._model, self._job, self._block_rows = model, job, block_rows
        self._sparse = bool(transformer.sparse_output_)
        coded = categories(job)
        one_hot = [all(coded[place] for place in part.places) and _is_one_hot(part) for part in self._encoding.parts]
        self._one_hot = one_hot
        if not any(one_hot) and not any(part.how == "levels" for part in self._encoding.parts):
            raise Unsupported(f"{type(model).__name__} without categories to encode has no evaluator of its own")

    @property
    def thresholds(self) -> dict[str, np.ndarray]:
        """Return none: the estimator itself computes."""
        return {}

    def difference(self) -> None:
        """Return None: the estimator itself computes."""

    def output(self, batch: pa.RecordBatch) -> np.ndarray:
        """Return what ``predict_proba``, or a regressor's ``predict``, gives, in calls of the rule's rows."""
        columns, rows = columns_of(batch, self._job), batch.num_rows
        matrix = self._csr(columns, rows) if self._sparse else self._dense(columns, rows)
        method = self._model.predict_proba if self._job.task.classifies else self._model.predict
        size = self._block_rows
        if size is None:
            return np.asarray(method(matrix))
        parts = []
        for start in range(0, rows, size):
            places = np.arange(start, min(start + size, rows))
            block = matrix[start : start + size] if len(places) == size else matrix[np.resize(places, size)]
            parts.append(np.asarray(method(block))[: len(places)])
        return np.concatenate(parts)

    def _dense(self, columns: list[Column], rows: int) -> np.ndarray:
        matrix = np.empty((rows, sum(part.width for part in self._encoding.parts)))
        first = 0
        for part, one_hot in zip(self._encoding.parts, self._one_hot, strict=True):
            block = matrix[:, first : first + part.width]
            first += part.width
            if one_hot:
                block[:] = 0
                for places, values in self._ones(part, columns):
                    hot = values != 0
                    block[np.flatnonzero(hot), places[hot]] = values[hot]
                continue
            for at, column in enumerate(self._encoding.columns(part, columns)):
                block[:, at] = column.values if isinstance(column, Coded) else column
        return matrix

    def _csr(self, columns: list[Column], rows: int) -> sparse.csr_array:
        """Return the matrix without its zeros, columns in order within each row."""
        from scipy import sparse

        places, values, first = [], [], 0
        for part, one_hot in zip(self._encoding.parts, self._one_hot, strict=True):
            if one_hot:
                for some, ones in self._ones(part, columns):
                    places.append(some + first)
                    values.append(ones)
            else:
                for at, column in enumerate(self._encoding.columns(part, columns)):
                    places.append(np.full(rows, first + at, dtype=np.int32))
                    values.append(column.values if isinstance(column, Coded) else column)
            first += part.width
        data, indices = np.stack(values, axis=1), np.stack(places, axis=1).astype(np.int32, copy=False)
        filled = data != 0
        ends = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.int32)
        return sparse.csr_matrix((data[filled], indices[filled], ends), shape=(rows, first))

    def _ones(self, part: Part, columns: list[Column]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return for each column of a one-hot part the place of each row's one, and the one, or 0 where there is none."""
        coded = [column for place in part.places if isinstance(column := columns[place], Coded)]
        hot = part.transformer.transform(self._encoding.rows(part, levels_of(coded)))
        hot = hot.toarray() if hasattr(hot, "toarray") else np.asarray(hot)
        pairs, first = [], 0
        for column, width in zip(coded, part.transformer._n_features_outs, strict=True):
            some = hot[: len(column.levels), first : first + width]
            places = some.argmax(axis=1).astype(np.int32) + np.int32(first)
            pairs.append((places[column.places], some.max(axis=1)[column.places]))
            first += width
        return pairs


def _is_one_hot(part: Part) -> bool:
    """Return whether a part gives each category a column that is 0 or 1."""
    return sklearn_name(part.transformer) == "OneHotEncoder" and hasattr(part.transformer, "_n_features_outs")
