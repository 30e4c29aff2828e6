"""The preprocessing of a pipeline on columns: a category goes through its encoder once per batch, not once per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.job import Job
from scoring.rows.decision import sklearn_name
from scoring.rows.evaluation.columns import Coded, Column
from scoring.rows.evaluation.unsupported import Unsupported

if TYPE_CHECKING:
    import pandas as pd


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
    levels, places = encoded.dictionary.to_pylist(), encoded.indices
    if encoded.null_count:
        places, levels = pc.fill_null(places, len(levels)), [*levels, np.nan]
    return Coded(places.to_numpy(zero_copy_only=False).astype(np.intp), np.array(levels, dtype=object))


@dataclass(frozen=True)
class Part:
    """A part of a column transformer: the columns it takes, and the encoder of their levels, or None to keep them."""

    places: list[int]
    encoder: Any


class Encoding:
    """A fitted column transformer, done on columns."""

    def __init__(self, transformer: Any, names: Sequence[str], coded: Sequence[bool], framed: bool) -> None:
        """Read the transformer. ``coded`` says which of the incoming columns are; ``framed``, that it was given a frame.

        Raises ``Unsupported`` for a part that is not known to treat every column, and every value, by itself.
        """
        self._names, self._framed = list(names), framed
        if sklearn_name(transformer) != "ColumnTransformer":
            raise Unsupported(type(transformer).__name__)
        self.parts = [
            Part(places, _encoder(part, name, [coded[place] for place in places]))
            for name, part, spec in transformer.transformers_
            if part != "drop" and (places := _places(spec, self._names))
        ]
        self.origins = [place for part in self.parts for place in part.places]
        """The incoming column of each outgoing one."""
        self.coded = [coded[place] for place in self.origins]

    def __call__(self, columns: Sequence[Column]) -> list[Column]:
        """Return the columns that the transformer makes of some."""
        return [column for part in self.parts for column in self._columns(part, [columns[p] for p in part.places])]

    def _columns(self, part: Part, columns: list[Column]) -> list[Column]:
        if part.encoder is None:
            return columns
        coded = [column for column in columns if isinstance(column, Coded)]
        most = max(len(column.levels) for column in coded)
        levels = [np.resize(column.levels, most) for column in coded]
        output = np.asarray(part.encoder.transform(self._rows(part, levels)), dtype=np.float64)
        return [Coded(column.places, output[: len(column.levels), at]) for at, column in enumerate(coded)]

    def _rows(self, part: Part, levels: list[np.ndarray]) -> pd.DataFrame | np.ndarray:
        if not self._framed:
            return np.column_stack(levels)
        import pandas as pd

        return pd.DataFrame({self._names[place]: some for place, some in zip(part.places, levels, strict=True)})


def _encoder(part: Any, name: str, coded: list[bool]) -> Any:
    """Return what encodes the levels of a part's columns, or None if they pass through."""
    kind = sklearn_name(part)
    if part == "passthrough" or (kind == "FunctionTransformer" and _changes_nothing(part, name)):
        return None
    if kind == "OrdinalEncoder" and all(coded):
        return part
    raise Unsupported(f"{type(part).__name__} on {'numbers' if not any(coded) else 'these columns'}")


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
