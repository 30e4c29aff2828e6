"""Bins of a column, fixed at training. The values of every later night are counted in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.rows.strata import strata_of

PROFILED_PREDICTION = "prediction"
"""Name of the prediction in a profile: the probability (binary), the class (multiclass) or the value (regression)."""


PROBABILITY_GRID = "probability_grid"
"""Name of the probability on a hundred equal bins in a profile, from which performance is estimated without labels."""

OF_THE_MODEL = (PROFILED_PREDICTION, PROBABILITY_GRID)
"""The profiled columns that are no features."""


FEW_VALUES = 256
"""Distinct values up to which a number column keeps each of them, so that new values can be counted as unseen."""


MAX_LEVELS = 500
"""Levels of a category column with a bin of their own, the most frequent ones. The others of the reference share one."""


_QUANTILES = np.linspace(0, 1, 21)[1:-1]


Kind = Literal["number", "category"]


@dataclass(frozen=True)
class Bins:
    """The bins of one column. Those of numbers are open at both ends, and the last one of categories counts unseen values."""

    kind: Kind
    edges: tuple[float, ...] = ()
    """Inner edges of a number column. Bin i counts edges[i-1] <= value < edges[i], and the first and last are open."""
    values: tuple[float, ...] = ()
    """Every distinct value of a number column that has few of them."""
    levels: tuple[str, ...] = ()
    """The levels of a category column that have a bin of their own."""
    others: tuple[str, ...] = ()
    """The known levels that share the bin before the last."""
    strata: str | None = None
    """The category column whose levels say where values are missing. None in older versions, and where no column says it."""

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
    """Return bins for every column of the reference that has values. Those of the probability grid are fixed."""
    filled = {name: column for name, column in columns.items() if len(column) > column.null_count}
    grid = Bins("number", edges=tuple(np.linspace(0, 1, 101)[1:-1].tolist()))
    strata = strata_of({name: column for name, column in filled.items() if name not in OF_THE_MODEL})
    return {
        name: grid if name == PROBABILITY_GRID else replace(Bins.of(column), strata=strata.get(name))
        for name, column in filled.items()
    }


def bins_from(content: Mapping[str, Any]) -> dict[str, Bins]:
    """Return the bins of every column from their JSON, which is ``vars`` of each."""
    lists = ("edges", "values", "levels", "others")
    return {
        name: Bins(fields["kind"], **{part: tuple(fields[part]) for part in lists}, strata=fields.get("strata"))
        for name, fields in content.items()
    }
