"""A batch's rows as counts per column on fixed bins: small, mergeable, of every row, taken while a chunk is scored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.job.definition import Job

PREDICTION = "prediction"
"""Profiled like a feature: the probability (binary), the class (multiclass) or the value (regression)."""
GRID = "probability_grid"
"""The probability on a hundred equal bins: what the estimate of performance without labels is made of."""
FEW = 256
"""A number column with at most this many distinct values in the reference remembers each of them."""
LEVELS = 500
"""A category column remembers this many levels, the most frequent ones; others it knew share one bin."""
_QUANTILES = np.linspace(0, 1, 21)[1:-1]

Kind = Literal["number", "category"]


@dataclass(frozen=True)
class Bins:
    """How one column is counted, fixed by the reference: open ends for numbers, a last bin for what was never seen."""

    kind: Kind
    edges: tuple[float, ...] = ()
    """Inner edges of a number column; bin i holds edges[i-1] <= value < edges[i], the first and last are open."""
    values: tuple[float, ...] = ()
    """Every distinct value of a number column that has few of them."""
    levels: tuple[str, ...] = ()
    """The levels of a category column that have a bin of their own."""
    others: tuple[str, ...] = ()
    """The known levels that share the bin before the last."""

    @property
    def size(self) -> int:
        """Return the number of bins."""
        return len(self.edges) + 1 if self.kind == "number" else len(self.levels) + 2

    @classmethod
    def of(cls, column: pa.Array | pa.ChunkedArray) -> Self:
        """Return bins that fit a reference column: quantiles for numbers, levels by frequency for categories."""
        counted = pc.value_counts(pc.drop_null(column))
        values, counts = counted.field("values"), counted.field("counts").to_numpy()
        if pa.types.is_string(column.type):
            known = np.array(values.to_pylist(), dtype=object)[np.argsort(-counts, kind="stable")].tolist()
            return cls("category", levels=tuple(sorted(known[:LEVELS])), others=tuple(sorted(known[LEVELS:])))
        numbers = np.sort(_numbers(values))
        everything = _numbers(pc.drop_null(column))
        edges: np.ndarray = np.unique(np.quantile(everything, _QUANTILES, method="higher")) if len(numbers) else numbers
        few = numbers.tolist() if len(numbers) <= FEW else []
        return cls("number", edges=tuple(float(edge) for edge in edges), values=tuple(few))


@dataclass(frozen=True)
class Counts:
    """What one column of some rows held, on the reference's bins."""

    bins: tuple[int, ...]
    rows: int = 0
    nulls: int = 0
    unseen: int = 0
    """Values that the reference never had: levels, or values of a number column that has few."""
    wrong: int = 0
    """Values that are not finite, or of another type than the reference's."""
    total: float = 0.0
    squares: float = 0.0
    low: float | None = None
    high: float | None = None

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
            tuple(np.add(self.bins, other.bins).tolist()), self.rows + other.rows, self.nulls + other.nulls,
            self.unseen + other.unseen, self.wrong + other.wrong, self.total + other.total, self.squares + other.squares,
            _of_both(min, self.low, other.low), _of_both(max, self.high, other.high),
        )  # fmt: skip

    @classmethod
    def of(cls, column: pa.Array | pa.ChunkedArray, bins: Bins) -> Self:
        """Return the counts of a column, whatever it holds; a column of another type than the bins' is all wrong."""
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


def _of_both(choose: Any, one: float | None, other: float | None) -> float | None:
    return choose(one, other) if one is not None and other is not None else other if one is None else one


def _of_levels(counted: pa.StructArray, bins: Bins) -> dict[str, Any]:
    values, counts = counted.field("values"), counted.field("counts").to_numpy()
    place = pc.fill_null(pc.index_in(values, pa.array(bins.levels, values.type)), bins.size - 1).to_numpy().copy()
    if bins.others:
        place[pc.is_in(values, pa.array(bins.others, values.type)).to_numpy(zero_copy_only=False)] = bins.size - 2
    filled = np.bincount(place, weights=counts, minlength=bins.size).astype(np.int64)
    return {"bins": tuple(filled.tolist()), "unseen": int(filled[-1])}


def _of_numbers(column: pa.Array, counted: pa.StructArray | None, bins: Bins) -> dict[str, Any]:
    if counted is not None:  # few values in the reference: everything follows from the distinct ones
        values, weights = _numbers(counted.field("values")), counted.field("counts").to_numpy()
        finite = np.isfinite(values)
        wrong, values, weights = int(weights[~finite].sum()), values[finite], weights[finite]
        place = np.searchsorted(np.array(bins.edges), values, "right")
        filled = np.bincount(place, weights=weights, minlength=bins.size).astype(np.int64)
        unseen = int(weights[~np.isin(values, np.array(bins.values))].sum())
    else:
        values, weights, unseen = _numbers(column.drop_null()), 1, 0
        finite = np.isfinite(values)
        wrong = int(len(values) - np.count_nonzero(finite))
        values = values if wrong == 0 else values[finite]
        below = [np.count_nonzero(values < edge) for edge in bins.edges]  # several times faster than a search
        filled = np.diff([0, *below, len(values)])
    if len(values) == 0:
        return {"wrong": wrong}
    return {
        "bins": tuple(filled.tolist()), "unseen": unseen, "wrong": wrong, "total": float(np.sum(values * weights)),
        "squares": float(np.sum(np.square(values) * weights)), "low": float(values.min()), "high": float(values.max()),
    }  # fmt: skip


def _numbers(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return numbers, bools and times (seconds since 1970) as float64."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_timestamp(column.type):
        column = pc.divide(pc.cast(pc.cast(column, pa.timestamp("us", column.type.tz)), pa.int64()), 1_000_000)
    numbers: np.ndarray = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


@dataclass(frozen=True)
class Profile:
    """The counts of every profiled column of some rows; profiles of parts add up to the profile of the whole."""

    rows: int = 0
    columns: Mapping[str, Counts] = field(default_factory=dict)

    @classmethod
    def of(cls, bins: Mapping[str, Bins], columns: Mapping[str, pa.Array | pa.ChunkedArray], rows: int) -> Self:
        """Return the profile of columns; one that is missing counts as null in every row."""
        absent = pa.nulls(rows)
        return cls(rows, {name: Counts.of(columns.get(name, absent), one) for name, one in bins.items()})

    def __add__(self, other: Profile) -> Profile:
        """Return the profile of both parts together."""
        if not self.columns or not other.columns:
            return replace(self if self.columns else other, rows=self.rows + other.rows)
        return Profile(self.rows + other.rows, {name: one + other.columns[name] for name, one in self.columns.items()})

    def as_dict(self) -> dict[str, Any]:
        """Return the profile for JSON."""
        return {"rows": self.rows, "columns": {name: vars(one) for name, one in self.columns.items()}}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the profile that ``as_dict`` wrote."""
        columns = {name: Counts(**{**one, "bins": tuple(one["bins"])}) for name, one in content["columns"].items()}
        return cls(content["rows"], columns)


def profiled(features: pa.RecordBatch | pa.Table, predictions: pa.RecordBatch | pa.Table, job: Job) -> dict[str, Any]:
    """Return the columns that a profile is made of, by name: the features and what was predicted."""
    columns = {name: features.column(name) for name in job.features if name in features.schema.names}
    name = "probability" if job.task == "binary" else "prediction"
    columns[PREDICTION] = predictions.column(name)
    if job.task == "binary":
        columns[GRID] = predictions.column(name)
    return columns


def bins_of(columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> dict[str, Bins]:
    """Return bins for every column of the reference that has values; the grid of probabilities is always the same."""
    filled = {name: column for name, column in columns.items() if len(column) > column.null_count}
    grid = Bins("number", edges=tuple(np.linspace(0, 1, 101)[1:-1].tolist()))
    return {name: grid if name == GRID else Bins.of(column) for name, column in filled.items()}


def bins_from(content: Mapping[str, Any]) -> dict[str, Bins]:
    """Return the bins of every column that ``vars`` of each wrote."""
    lists = ("edges", "values", "levels", "others")
    return {name: Bins(one["kind"], **{part: tuple(one[part]) for part in lists}) for name, one in content.items()}


def merged(profiles: Iterable[Profile]) -> Profile:
    """Return the profile of all parts together."""
    return sum(profiles, Profile())
