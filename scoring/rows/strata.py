"""Strata of a column's nulls: the category column whose levels say best where values are missing, chosen at training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MOST_STRATA = 64
"""Levels of a category column up to which its levels may be strata. More would have few rows in a night."""
LEAST_EXPLAINED = 0.1
"""Share of the entropy of a column's missingness that its strata must take away. Less does not explain the nulls."""


def strata_of(columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> dict[str, str]:
    """Return, for each column with nulls, the category column that best predicts where they are, if one does.

    That is the one with the lowest conditional entropy of missingness (Miller and Madow's correction for chance included).

    >>> strata_of({"seats": pa.array([None, None, 9, 9] * 50), "carrier": pa.array(["MQ", "MQ", "UA", "UA"] * 50)})
    {'seats': 'carrier'}
    """
    texts = {name: _codes(column) for name, column in columns.items() if pa.types.is_string(column.type)}
    candidates = {name: codes for name, codes in texts.items() if 2 <= codes.max(initial=-1) <= MOST_STRATA}
    strata = {}
    for name, column in columns.items():
        if not 0 < column.null_count < len(column):
            continue
        missing = pc.is_null(column).to_numpy(zero_copy_only=False)
        entropies = {other: _entropy(missing, codes) for other, codes in candidates.items() if other != name}
        best = min(entropies, key=lambda other: entropies[other], default=None)
        if best is not None and entropies[best] <= (1 - LEAST_EXPLAINED) * _entropy(
            missing, np.zeros(len(column), int)
        ):
            strata[name] = best
    return strata


def _codes(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return a number for each row's level, 0 for null."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    codes: np.ndarray = pc.fill_null(pc.add(whole.dictionary_encode().indices, 1), 0).to_numpy(zero_copy_only=False)
    return codes


def _entropy(missing: np.ndarray, codes: np.ndarray) -> float:
    """Return the entropy of missingness given the codes, in nats, with its bias by chance added."""
    rows = np.bincount(codes).astype(float)
    share = np.bincount(codes, weights=missing) / np.maximum(rows, 1)
    inside = (share > 0) & (share < 1)
    p, n = share[inside], rows[inside]
    return float((n * -(p * np.log(p) + (1 - p) * np.log(1 - p)) + 0.5).sum() / len(missing))
