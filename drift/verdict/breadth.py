"""Nulls in every stratum alike: a fault takes values away everywhere, a change of the mix of rows does not.

The share of nulls of a column often hangs on another one: some carriers report no planes. A night's share then moves with the
mix of carriers, and with a change in one of them. What is measured here is the change that the middle half of the strata share.
"""

from __future__ import annotations

import numpy as np

from drift.verdict.distance import Floats

CAP = 0.7
"""Quantile of the strata's weights at which they are capped, so that no few strata decide alone."""
OUTER = 0.25
"""Share of the weight that is left out at either end. Raising it to 0.5 makes the mean a median, which is coarse in few rows."""


def breadth(nulls: Floats, rows: Floats, base_nulls: Floats, base_rows: Floats) -> Floats:
    """Return how far the share of nulls moved in the strata on each night, against the median of the baseline's nights.

    All arguments have shape (nights, strata), the result (nights,). Of tonight's shares minus the strata's medians it is the
    mean of the middle half, by weights: one over the standard deviation of a stratum's share, capped.
    """
    there = base_rows.sum(axis=0) > 0
    nulls, rows, base_nulls, base_rows = (part[:, there] for part in (nulls, rows, base_nulls, base_rows))
    if not there.any():
        return np.zeros(len(nulls))
    base = np.where(base_rows > 0, base_nulls / np.maximum(base_rows, 1), np.nan)
    pooled = _pooled(base_nulls, base_rows)
    by_chance = pooled * (1 - pooled) / np.maximum(base_rows.mean(axis=0), 1)
    weights = 1 / np.sqrt(np.maximum(np.nanvar(base, axis=0), by_chance))
    weights = np.minimum(weights, np.quantile(weights, CAP))
    moved = nulls / np.maximum(rows, 1) - np.nanmedian(base, axis=0)
    return np.array([_middle(*night) for night in zip(moved, np.where(rows > 0, weights, 0.0), strict=True)])


def spread_by_chance(rows: Floats, base_nulls: Floats, base_rows: Floats) -> Floats:
    """Return the standard deviation that ``breadth`` has by chance on nights of so many rows by stratum."""
    pooled = _pooled(base_nulls, base_rows)
    return np.asarray(1 / np.sqrt(np.maximum((rows / (pooled * (1 - pooled))).sum(axis=1), 1.0)))


def _pooled(nulls: Floats, rows: Floats) -> Floats:
    return np.asarray((nulls.sum(axis=0) + 0.5) / (rows.sum(axis=0) + 1))


def _middle(values: Floats, weights: Floats) -> float:
    """Return the weighted mean of the values between the outer quarters of the weight, 0 without any weight."""
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    ends = np.cumsum(weights)
    total = ends[-1]
    inside = np.minimum(ends, (1 - OUTER) * total) - np.maximum(ends - weights, OUTER * total)
    inside = np.maximum(inside, 0.0)
    return float((inside * values).sum() / inside.sum()) if total > 0 else 0.0
