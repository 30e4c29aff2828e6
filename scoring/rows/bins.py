"""Fixed bins of a column, drawn at training, into which every later night is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PROFILED_PREDICTION = "prediction"
"""Profiled like a feature: the probability (binary), the class (multiclass) or the value (regression)."""


PROBABILITY_GRID = "probability_grid"
"""The probability on a hundred equal bins: what the estimate of performance without labels is made of."""


FEW_VALUES = 256
"""A number column with at most this many distinct values in the reference remembers each of them."""


MAX_LEVELS = 500
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
            levels = np.array(values.to_pylist(), dtype=object)[np.argsort(-counts, kind="stable")].tolist()
            return cls("category", levels=tuple(sorted(levels[:MAX_LEVELS])), others=tuple(sorted(levels[MAX_LEVELS:])))
        numbers = np.sort(number_bins(values))
        everything = number_bins(pc.drop_null(column))
        edges: np.ndarray = np.unique(np.quantile(everything, _QUANTILES, method="higher")) if len(numbers) else numbers
        few = numbers.tolist() if len(numbers) <= FEW_VALUES else []
        return cls("number", edges=tuple(float(edge) for edge in edges), values=tuple(few))


def number_bins(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return numbers, bools and times (seconds since 1970) as float64."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_timestamp(column.type):
        column = pc.divide(pc.cast(pc.cast(column, pa.timestamp("us", column.type.tz)), pa.int64()), 1_000_000)
    numbers: np.ndarray = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def bins_of(columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> dict[str, Bins]:
    """Return bins for every column of the reference that has values; the grid of probabilities is always the same."""
    filled = {name: column for name, column in columns.items() if len(column) > column.null_count}
    grid = Bins("number", edges=tuple(np.linspace(0, 1, 101)[1:-1].tolist()))
    return {name: grid if name == PROBABILITY_GRID else Bins.of(column) for name, column in filled.items()}


def bins_from(content: Mapping[str, Any]) -> dict[str, Bins]:
    """Return the bins of every column that ``vars`` of each wrote."""
    lists = ("edges", "values", "levels", "others")
    return {
        name: Bins(fields["kind"], **{part: tuple(fields[part]) for part in lists}) for name, fields in content.items()
    }
