"""Rows on which an evaluator would give itself away: values at the model's own thresholds, and the ends of what floats can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.job import Feature, Job
from scoring.rows.casting import ARROW_TYPES
from scoring.rows.evaluation.cells import Cells, Levels

LEAST_ROWS, MOST_ROWS = 2_048, 20_000
TURNS = 8
"""How often each value comes, about."""
UNSEEN = "a level that training did not have"
_ENDS = np.array([0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, 1e-30, 1.0, -1.0, 1e30, 1.7e308, -1.7e308])
"""Zeros, denormals, and the largest numbers that are finite."""
_WHOLE = np.array([0, 1, -1, 2**31, -(2**31), 2**53, -(2**53), 2**53 + 1])
NOT_FINITE = np.array([np.nan, np.inf, -np.inf])


def hostile_rows(
    rows: pa.RecordBatch, job: Job, thresholds: Mapping[str, np.ndarray], forbidden: bool = False
) -> pa.RecordBatch:
    """Return features of rows in which every second value, by chance, is a hostile one.

    With ``forbidden`` they have values that the contract lets no night have: not finite, and null in any column.
    """
    values = {
        name: _values(feature, rows.column(name), thresholds.get(name, np.zeros(0)), forbidden)
        for name, feature in job.features.items()
    }
    random = np.random.default_rng(0)
    count = int(np.clip(TURNS * max(len(some) for some in values.values()), LEAST_ROWS, MOST_ROWS))
    places = random.integers(0, rows.num_rows, count)
    columns = []
    for name, some in values.items():
        own = rows.column(name).take(pa.array(places))
        strange = some.take(pa.array(random.permutation(np.resize(np.arange(len(some)), count))))
        columns.append(pc.if_else(pa.array(random.random(count) < 0.5), own, strange))
    return pa.RecordBatch.from_arrays(columns, names=list(values))


def _values(feature: Feature, column: pa.Array, thresholds: np.ndarray, forbidden: bool) -> pa.Array:
    """Return the hostile values of one feature, in its type."""
    kind = ARROW_TYPES[feature.type]
    nulls = [None] if feature.nullable or forbidden else []
    if feature.type == "category":
        unseen = [UNSEEN, ""] if (feature.allowed is None and feature.unknown == "count") or forbidden else []
        return pa.array([*pc.unique(pc.drop_null(column)).to_pylist(), *unseen, *nulls], kind)
    if feature.type == "float":
        around = _around(thresholds)
        numbers = np.concatenate([around, _ENDS, NOT_FINITE if forbidden else []])
        return pa.concat_arrays([pa.array(numbers, kind), pa.array(nulls, kind)])
    if feature.type == "int":
        near = thresholds[np.abs(thresholds) < 2**53]
        whole = np.concatenate([np.floor(near) + step for step in (-1, 0, 1, 2)]).astype(np.int64)
        return pa.concat_arrays([pa.array(np.concatenate([whole, _WHOLE]), kind), pa.array(nulls, kind)])
    return pa.concat_arrays([pc.unique(pc.drop_null(column)), pa.array(nulls, kind)])


def hostile_matrix(cells: Sequence[Cells | Levels]) -> np.ndarray:
    """Return rows as a model's own preprocessor may make them, hostile in every value."""
    random = np.random.default_rng(1)
    values = [_of_cells(some) for some in cells]
    count = int(np.clip(TURNS * max(len(some) for some in values), LEAST_ROWS, MOST_ROWS))
    return np.column_stack([random.permutation(np.resize(some, count)) for some in values])


def _of_cells(cells: Cells | Levels) -> np.ndarray:
    if isinstance(cells, Levels):
        return np.concatenate([np.arange(-1.0, cells.size), [np.nan]])
    return np.concatenate([_around(cells.thresholds), _ENDS, NOT_FINITE])


def _around(thresholds: np.ndarray) -> np.ndarray:
    """Return each threshold and the floats next to it."""
    finite = thresholds[np.isfinite(thresholds)]
    return np.concatenate([finite, np.nextafter(finite, np.inf), np.nextafter(finite, -np.inf)])
