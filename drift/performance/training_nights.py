"""How far nights of training lay from one another: the sample of its rows that a version keeps, predicted by folds.

A holdout of 14 nights seldom holds the one night in twenty that is stormy; 90 nights of training do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.performance.constant import LEAST_ROWS, Constant
from drift.performance.metrics import Floats, row_losses
from scoring.job import Job

LEAST_NIGHTS = 20
"""Nights of training below which they say no more of the spread than the holdout does."""
_NIGHT = "nightshift_night"
"""Column of the sample with the night of each row."""
_QUARTILES = 1.349
"""Standard deviations that the quartiles of a normal distribution lie apart."""
_FARTHEST = 2.5
"""Standard deviations that the farthest but one of 90 nights lies at: of normal ones 2.1, so that stormy nights widen the spread
and one night of faulty data in the training window does not."""


def night_spread(reference: pa.Table | None, rows: float, job: Job) -> float:
    """Return how far a night of so many rows lies from others, as a standard deviation, or 0 where too few nights say it.

    ``reference`` has the night, the outcome and predictions by a fit that did not know the night; few of a night's rows
    are in it, so what they add to the spread by chance is taken off, and what ``rows`` rows add is put on.
    """
    if reference is None or not {"outcome", _NIGHT} <= set(reference.column_names):
        return 0.0
    nights = _excesses(reference.filter(pc.is_valid(reference.column("outcome"))), job)
    if len(nights) < LEAST_NIGHTS:
        return 0.0
    values, counts, variances = np.array(nights).T
    between = max(spread_among(values) ** 2 - float((variances / counts).mean()), 0.0)
    return float((between + variances.mean() / rows) ** 0.5)


def spread_among(values: Floats) -> float:
    """Return the standard deviation of nights, as wide as a stormy one asks for and no wider for a single faulty one.

    It is 0 for fewer than ``LEAST_NIGHTS``.
    """
    if len(values) < LEAST_NIGHTS:
        return 0.0
    far = float(np.sort(values)[-2] - np.median(values)) / _FARTHEST
    quartiles = np.quantile(values, [0.25, 0.75])
    return max(far, float(quartiles[1] - quartiles[0]) / _QUARTILES)


def _excesses(rows: pa.Table, job: Job) -> list[tuple[float, float, float]]:
    """Return of each night with enough rows its primary metric, its rows, and the variance of what a row adds to it."""
    nights: list[tuple[float, float, float]] = []
    for day in pc.unique(rows.column(_NIGHT)).to_pylist():
        of_night = rows.filter(pc.equal(rows.column(_NIGHT), pa.scalar(day, pa.date32())))
        if of_night.num_rows >= LEAST_ROWS:
            adds = _adds(of_night, of_night.column("outcome"), job)
            nights.append((float(adds.mean()), float(len(adds)), float(adds.var(ddof=1))))
    return nights


def _adds(rows: pa.Table, outcome: Any, job: Job) -> Floats:
    """Return what each row adds to the night's primary metric: its loss, less that of the night's own base rate."""
    losses = row_losses(rows, outcome, job)
    own = Constant.of(rows, job) if job.task.classifies else None
    return losses if own is None else losses - own.losses(outcome, job)
