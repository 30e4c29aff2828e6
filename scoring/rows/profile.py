"""Profiles: counts of every column of a batch on fixed bins, made while a chunk is scored. Profiles can be added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.job import Job
from scoring.rows.bins import PROBABILITY_GRID, PROFILED_PREDICTION, Bins, number_bins


@dataclass(frozen=True)
class Counts:
    """Counts and sums of one column of some rows, on the reference's bins."""

    bins: tuple[int, ...]
    rows: int = 0
    nulls: int = 0
    unseen: int = 0
    """Values that the reference never had: levels, or values of a number column with few distinct ones."""
    wrong: int = 0
    """Values that are not finite, or of another type than the reference's."""
    total: float = 0.0
    squares: float = 0.0
    low: float | None = None
    high: float | None = None
    nulls_by: tuple[int, ...] = ()
    """The nulls by stratum, on the bins of the strata's column. Empty without strata, and in older profiles."""

    @property
    def present(self) -> int:
        """Return how many values there are, without nulls and wrong ones."""
        return self.rows - self.nulls - self.wrong

    @property
    def mean(self) -> float:
        """Return the mean of a number column, 0 when it has no values."""
        return self.total / self.present if self.present else 0.0

    @property
    def sd(self) -> float:
        """Return the standard deviation of a number column, 0 when it has no values."""
        return float(np.sqrt(max(self.squares / self.present - self.mean**2, 0.0))) if self.present else 0.0

    @property
    def constant(self) -> bool:
        """Return whether all values are the same one."""
        return self.present > 0 and (self.low == self.high if self.low is not None else max(self.bins) == self.present)

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both together."""
        return Counts(
            tuple(np.add(self.bins, other.bins).tolist()),
            self.rows + other.rows,
            self.nulls + other.nulls,
            self.unseen + other.unseen,
            self.wrong + other.wrong,
            self.total + other.total,
            self.squares + other.squares,
            _of_both(min, self.low, other.low),
            _of_both(max, self.high, other.high),
            tuple(np.add(self.nulls_by, other.nulls_by).tolist()) if self.nulls_by and other.nulls_by else (),
        )

    @classmethod
    def of(cls, column: pa.Array | pa.ChunkedArray, bins: Bins) -> Self:
        """Return the counts of any column. In a column of another type than the bins' every value counts as wrong."""
        empty = cls(bins=(0,) * bins.size, rows=len(column), nulls=column.null_count)
        text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if pa.types.is_null(column.type) or empty.present == 0:
            return empty
        if text != (bins.kind == "category"):
            return replace(empty, wrong=empty.present)
        counted = pc.value_counts(column.drop_null()) if text or bins.values else None
        if text:
            return replace(empty, **_of_levels(counted, bins))
        return replace(empty, **_of_numbers(column, counted, bins))


def _of_both(choose: Any, first: float | None, second: float | None) -> float | None:
    return choose(first, second) if first is not None and second is not None else second if first is None else first


def _of_levels(counted: pa.StructArray, bins: Bins) -> dict[str, Any]:
    values, counts = counted.field("values"), counted.field("counts").to_numpy()
    place = pc.fill_null(pc.index_in(values, pa.array(bins.levels, values.type)), bins.size - 1).to_numpy().copy()
    if bins.others:
        place[pc.is_in(values, pa.array(bins.others, values.type)).to_numpy(zero_copy_only=False)] = bins.size - 2
    filled = np.bincount(place, weights=counts, minlength=bins.size).astype(np.int64)
    return {"bins": tuple(filled.tolist()), "unseen": int(filled[-1])}


def _nulls_by(column: pa.Array | pa.ChunkedArray, strata: pa.Array | pa.ChunkedArray, bins: Bins) -> tuple[int, ...]:
    """Return the nulls of a column in every bin of the strata's column. Rows without a stratum are left out."""
    if column.null_count == 0:
        return (0,) * bins.size
    return Counts.of(strata.filter(pc.is_null(column)), bins).bins


def _of_numbers(column: pa.Array, counted: pa.StructArray | None, bins: Bins) -> dict[str, Any]:
    if counted is not None:  # few values in the reference: everything follows from the distinct ones
        values, weights = number_bins(counted.field("values")), counted.field("counts").to_numpy()
        finite = np.isfinite(values)
        wrong, values, weights = int(weights[~finite].sum()), values[finite], weights[finite]
        place = np.searchsorted(np.array(bins.edges), values, "right")
        filled = np.bincount(place, weights=weights, minlength=bins.size).astype(np.int64)
        unseen = int(weights[~np.isin(values, np.array(bins.values))].sum())
    else:
        values, weights, unseen = number_bins(column.drop_null()), 1, 0
        finite = np.isfinite(values)
        wrong = int(len(values) - np.count_nonzero(finite))
        values = values if wrong == 0 else values[finite]
        below = [np.count_nonzero(values < edge) for edge in bins.edges]  # several times faster than a search
        filled = np.diff([0, *below, len(values)])
    if len(values) == 0:
        return {"wrong": wrong}
    return {
        "bins": tuple(filled.tolist()),
        "unseen": unseen,
        "wrong": wrong,
        "total": float(np.sum(values * weights)),
        "squares": float(np.sum(np.square(values) * weights)),
        "low": float(values.min()),
        "high": float(values.max()),
    }


@dataclass(frozen=True)
class Profile:
    """The counts of every profiled column of some rows. Profiles of parts add up to the profile of the whole."""

    rows: int = 0
    columns: Mapping[str, Counts] = field(default_factory=dict)

    @classmethod
    def of(cls, bins: Mapping[str, Bins], columns: Mapping[str, pa.Array | pa.ChunkedArray], rows: int) -> Self:
        """Return the profile of columns. A missing column counts as null in every row."""
        whole = {name: columns.get(name, pa.nulls(rows)) for name in bins}
        counts = {name: Counts.of(whole[name], column_bins) for name, column_bins in bins.items()}
        for name, other in ((name, column_bins.strata) for name, column_bins in bins.items()):
            if other is not None:
                by_stratum = _nulls_by(whole[name], whole[other], bins[other])
                counts[name] = replace(counts[name], nulls_by=by_stratum)
        return cls(rows, counts)

    def __add__(self, other: Profile) -> Profile:
        """Return the profile of both parts together."""
        if not self.columns or not other.columns:
            return replace(self if self.columns else other, rows=self.rows + other.rows)
        return Profile(
            self.rows + other.rows, {name: counts + other.columns[name] for name, counts in self.columns.items()}
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the profile for JSON."""
        return {"rows": self.rows, "columns": {name: vars(counts) for name, counts in self.columns.items()}}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the profile that ``as_dict`` wrote."""
        lists = ("bins", "nulls_by")
        columns = {
            name: Counts(**{**counts, **{part: tuple(counts[part]) for part in lists if part in counts}})
            for name, counts in content["columns"].items()
        }
        return cls(content["rows"], columns)


def profiled(features: pa.RecordBatch | pa.Table, predictions: pa.RecordBatch | pa.Table, job: Job) -> dict[str, Any]:
    """Return the columns of a profile by name: the features and the prediction."""
    columns = {name: features.column(name) for name in job.features if name in features.schema.names}
    name = job.task.main_column
    columns[PROFILED_PREDICTION] = predictions.column(name)
    if name in job.probability_columns:
        columns[PROBABILITY_GRID] = predictions.column(name)
    return columns


def merged(profiles: Iterable[Profile]) -> Profile:
    """Return the profile of all parts together."""
    return sum(profiles, Profile())
