"""Any estimator behind one column transformer: the same matrix, made faster, and the estimator itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from scoring.job import Job
from scoring.rows.decision import sklearn_name
from scoring.rows.evaluation.columns import Coded, Column
from scoring.rows.evaluation.encoding import (
    Encoding,
    Part,
    categories,
    columns_of,
    levels_of,
    refuse_datetimes,
    values_of,
)
from scoring.rows.evaluation.unsupported import Unsupported

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class _Piece:
    """A value of each row, and the column where it stands in the matrix: one for all rows, or one for each."""

    places: int | np.ndarray
    values: np.ndarray

    def of(self, rows: slice | np.ndarray) -> _Piece:
        """Return the piece of some rows."""
        return _Piece(self.places if isinstance(self.places, int) else self.places[rows], self.values[rows])


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
    def stateless(self) -> bool:
        """Return False: the estimator itself computes."""
        return False

    @property
    def thresholds(self) -> dict[str, np.ndarray]:
        """Return none: the estimator itself computes."""
        return {}

    def difference(self) -> None:
        """Return None: the estimator itself computes."""

    def output(self, batch: pa.RecordBatch) -> np.ndarray:
        """Return what ``predict_proba``, or a regressor's ``predict``, gives, in calls of the rule's rows."""
        pieces, rows = self._pieces(columns_of(batch, self._job)), batch.num_rows
        size = self._block_rows or rows
        outputs = []
        for start in range(0, rows, size):
            count = min(size, rows - start)
            places = slice(start, start + size) if count == size else np.resize(np.arange(start, rows), size)
            outputs.append(self._said([piece.of(places) for piece in pieces], size)[:count])
        return np.concatenate(outputs)

    def _said(self, pieces: list[_Piece], rows: int) -> np.ndarray:
        """Return what the estimator says of the matrix that the pieces make."""
        width = sum(part.width for part in self._encoding.parts)
        matrix = _csr(pieces, rows, width) if self._sparse else _dense(pieces, rows, width)
        return np.asarray(
            self._model.predict_proba(matrix) if self._job.task.classifies else self._model.predict(matrix)
        )

    def _pieces(self, columns: list[Column]) -> list[_Piece]:
        pieces, first = [], 0
        for part, one_hot in zip(self._encoding.parts, self._one_hot, strict=True):
            if one_hot:
                pieces += [_Piece(places + first, values) for places, values in self._ones(part, columns)]
            else:
                values = self._encoding.columns(part, columns)
                pieces += [_Piece(first + at, values_of(column)) for at, column in enumerate(values)]
            first += part.width
        return pieces

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


def _dense(pieces: list[_Piece], rows: int, width: int) -> np.ndarray:
    matrix = np.zeros((rows, width))
    every = np.arange(rows)
    for piece in pieces:
        if isinstance(piece.places, int):
            matrix[:, piece.places] = piece.values
        else:
            hot = piece.values != 0
            matrix[every[hot], piece.places[hot]] = piece.values[hot]
    return matrix


def _csr(pieces: list[_Piece], rows: int, width: int) -> sparse.csr_matrix:
    """Return the matrix without its zeros, columns in order within each row."""
    from scipy import sparse

    data, indices = np.empty((rows, len(pieces))), np.empty((rows, len(pieces)), dtype=np.int32)
    for at, piece in enumerate(pieces):
        data[:, at], indices[:, at] = piece.values, piece.places
    filled = data != 0
    ends = np.concatenate([[0], np.cumsum(filled.sum(axis=1))]).astype(np.int32)
    return sparse.csr_matrix((data[filled], indices[filled], ends), shape=(rows, width))


def _is_one_hot(part: Part) -> bool:
    """Return whether a part gives each category a column that is 0 or 1."""
    return sklearn_name(part.transformer) == "OneHotEncoder" and hasattr(part.transformer, "_n_features_outs")
