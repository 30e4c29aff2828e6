"""The preprocessing of a pipeline on columns: a category goes through its encoder once per batch, not once per row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.job import Job
from scoring.rows.decision import sklearn_name
from scoring.rows.evaluation.columns import Coded, Column
from scoring.rows.evaluation.unsupported import Unsupported

if TYPE_CHECKING:
    import pandas as pd


def categories(job: Job) -> list[bool]:
    """Return which features are categories."""
    return [feature.type == "category" for feature in job.features.values()]


def refuse_datetimes(job: Job) -> None:
    """Raise ``Unsupported`` if a feature is a datetime, which is no number."""
    if any(feature.type == "datetime" for feature in job.features.values()):
        raise Unsupported("a feature of type datetime")


def columns_of(batch: pa.RecordBatch | pa.Table, job: Job) -> list[Column]:
    """Return the job's features as columns: numbers and bools as float64 with NaN for null, categories coded."""
    return [column_of(batch.column(name), feature.type) for name, feature in job.features.items()]


def column_of(column: pa.Array | pa.ChunkedArray, kind: str) -> Column:
    """Return one feature, no datetime, as a column."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if kind != "category":
        return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    encoded = column.dictionary_encode()
    levels, places = encoded.dictionary.to_pylist(), pc.cast(encoded.indices, pa.int64())
    if encoded.null_count:
        places, levels = pc.fill_null(places, len(levels)), [*levels, np.nan]
    return Coded(places.to_numpy(zero_copy_only=False).astype(np.intp, copy=False), np.array(levels, dtype=object))


@dataclass(frozen=True)
class Part:
    """A part of a column transformer: the columns it takes, and how it is done."""

    how: Literal["keep", "levels", "itself"]
    """As they are; each level once; or by the part itself, row by row."""
    transformer: Any
    places: list[int]
    width: int
    """Columns that come out."""
    tables: Sequence[Mapping[Any, float]] = ()
    """Of a part whose levels are encoded: the number of each level that it knows, by incoming column; of null under None."""


class Encoding:
    """A fitted column transformer, done on columns."""

    def __init__(self, transformer: Any, names: Sequence[str], coded: Sequence[bool], framed: bool) -> None:
        """Read the transformer. ``coded`` says which of the incoming columns are; ``framed``, that it was given a frame.

        Raises ``Unsupported`` for one that is no column transformer, or selects columns in a way that is not known.
        """
        if sklearn_name(transformer) != "ColumnTransformer":
            raise Unsupported(type(transformer).__name__)
        self._names, self._framed = list(names), framed
        widths = {name: at.stop - at.start for name, at in transformer.output_indices_.items()}
        self.parts = [
            Part(_how(part, name, [coded[place] for place in places]), part, places, widths[name])
            for name, part, spec in transformer.transformers_
            if part != "drop" and (places := _places(spec, self._names))
        ]
        if any(part.how != "itself" and part.width != len(part.places) for part in self.parts):
            raise Unsupported("a part that gives another number of columns than it takes")
        self.parts = [replace(part, tables=self._tables(part)) if part.how == "levels" else part for part in self.parts]
        self.names = [name for part in self.parts for name in self._names_of(part)]
        self.coded = [
            part.how != "itself" and coded[part.places[at]] for part in self.parts for at in range(part.width)
        ]

    def _names_of(self, part: Part) -> list[str]:
        """Return the feature behind each outgoing column, or an empty text where values change."""
        return [self._names[place] for place in part.places] if part.how != "itself" else [""] * part.width

    def __call__(self, columns: Sequence[Column]) -> list[Column]:
        """Return the columns that the transformer makes of some."""
        return [column for part in self.parts for column in self.columns(part, columns)]

    def columns(self, part: Part, columns: Sequence[Column]) -> list[Column]:
        """Return the columns that a part makes of all incoming ones."""
        some = [columns[place] for place in part.places]
        if part.how == "keep":
            return some
        if part.how == "itself":
            output = part.transformer.transform(self.rows(part, [values_of(column) for column in some]))
            matrix = output.toarray() if hasattr(output, "toarray") else np.asarray(output)
            return list(np.ascontiguousarray(matrix.T, dtype=np.float64))
        coded = [column for column in some if isinstance(column, Coded)]
        numbers = [_looked_up(column, table) for column, table in zip(coded, part.tables, strict=False)]
        if len(numbers) == len(coded) and all(some is not None for some in numbers):
            return [Coded(column.places, some) for column, some in zip(coded, numbers, strict=True) if some is not None]
        output = self._encoded(part, levels_of(coded))
        return [Coded(column.places, output[: len(column.levels), at]) for at, column in enumerate(coded)]

    def _encoded(self, part: Part, levels: list[np.ndarray]) -> np.ndarray:
        return np.asarray(part.transformer.transform(self.rows(part, levels)), dtype=np.float64)

    def _tables(self, part: Part) -> list[dict[Any, float]]:
        """Return the encoder's numbers of the levels that it knows and of null, so that few rows need not call it."""
        known = [
            np.array([level for level in some if not _is_nan(level)], object) for some in part.transformer.categories_
        ]
        if any(len(some) == 0 for some in known):
            return []
        most = max(map(len, known))
        encoded = self._encoded(part, [np.resize(some, most) for some in known])
        tables = [dict(zip(some, encoded[:, at].tolist(), strict=False)) for at, some in enumerate(known)]
        with suppress(ValueError):  # null is unknown to the encoder, and for it to refuse
            for table, number in zip(
                tables, self._encoded(part, [np.array([np.nan], object)] * len(known))[0], strict=True
            ):
                table[None] = float(number)
        return tables

    def rows(self, part: Part, values: list[np.ndarray]) -> pd.DataFrame | np.ndarray:
        """Return values of a part's columns as it was given them when it was fitted."""
        if not self._framed:
            return np.column_stack(values)
        import pandas as pd

        return pd.DataFrame({self._names[place]: some for place, some in zip(part.places, values, strict=True)})


def _is_nan(level: Any) -> bool:
    return isinstance(level, float) and math.isnan(level)


def _looked_up(column: Coded, table: Mapping[Any, float]) -> np.ndarray | None:
    """Return the number of each level, or None unless all of them are known."""
    try:
        return np.array(
            [table[None if _is_nan(level) else level] for level in column.levels.tolist()], dtype=np.float64
        )
    except KeyError:
        return None


def values_of(column: Column) -> np.ndarray:
    """Return the value of each row."""
    return column.values if isinstance(column, Coded) else column


def levels_of(columns: list[Coded]) -> list[np.ndarray]:
    """Return the levels of some columns side by side, shorter ones from the beginning again."""
    most = max(len(column.levels) for column in columns)
    return [np.resize(column.levels, most) for column in columns]


def _how(part: Any, name: str, coded: list[bool]) -> Literal["keep", "levels", "itself"]:
    """Return how a part is done: only what is known to treat every column and value by itself is done level by level."""
    kind = sklearn_name(part)
    if part == "passthrough" or (kind == "FunctionTransformer" and _changes_nothing(part, name)):
        return "keep"
    return "levels" if kind == "OrdinalEncoder" and all(coded) else "itself"


def _changes_nothing(part: Any, name: str) -> bool:
    """Return whether a function transformer is that of ``passthrough``, or boosting's own check of numbers."""
    checks = getattr(getattr(part.func, "func", None), "__module__", "") == "sklearn.utils.validation"
    return part.func is None or (name == "numerical" and checks)


def _places(spec: Any, names: list[str]) -> list[int]:
    """Return the places of the columns that a column transformer selects."""
    if isinstance(spec, slice):
        if any(isinstance(end, str) for end in (spec.start, spec.stop)):
            raise Unsupported("a range of names")
        return list(range(len(names)))[spec]
    if isinstance(spec, str | int | np.integer):
        raise Unsupported("a single column, given as a row of values")
    chosen = list(spec)
    if chosen and all(isinstance(flag, bool | np.bool_) for flag in chosen):
        return [place for place, flag in enumerate(chosen) if flag]
    return [names.index(name) if isinstance(name, str) else int(name) % len(names) for name in chosen]
