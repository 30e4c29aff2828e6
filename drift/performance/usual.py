"""What is usual of a version: the primary metric of its holdout, night by night, and how far nights lie from it.

Thresholds come from nights, not from rows: rows of a night share its weather, and the next night differs by more than its
rows say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Self

import numpy as np

from drift.performance.metrics import Floats, losses_of, metrics_of
from drift.performance.panel import Spread, overlap_of
from scoring.job import Job

LEAST_NIGHTS = 3
"""Holdout nights below which nothing says how far nights differ."""
_LEAST_SPREAD = 0.01
"""Least standard deviation of a night, as a share of the loss at training: nights that are all alike are chance."""
_TINY = 1e-12


@dataclass(frozen=True)
class Nightly:
    """The primary metric of nights, each by itself, oldest first, with the rows of each."""

    days: tuple[date, ...]
    values: Floats
    rows: Floats

    @classmethod
    def of(cls, days: Sequence[date], sums: Floats, job: Job) -> Self:
        """Return the metric of nights from their sums, shape (nights, sums)."""
        values = metrics_of(sums, job)[job.task.primary_metric]
        there = np.isfinite(values)
        return cls(
            tuple(day for day, is_there in zip(days, there, strict=True) if is_there), values[there], sums[there, 0]
        )

    @classmethod
    def none(cls) -> Self:
        """Return no night."""
        return cls((), np.zeros(0), np.zeros(0))

    def weights(self, rows: float) -> Floats:
        """Return how much each night counts next to one of so many rows: as much, or less if it has fewer."""
        return np.minimum(1.0, self.rows / rows)

    def part(self, places: slice) -> Nightly:
        """Return the nights at these places."""
        return Nightly(self.days[places], self.values[places], self.rows[places])

    def last(self, count: int) -> Nightly:
        """Return the last ``count`` nights."""
        return self.part(slice(-count, None))

    def since(self, day: date) -> Nightly:
        """Return the nights from a day on."""
        return self.part(slice(sum(night < day for night in self.days), None))

    def __add__(self, other: Nightly) -> Nightly:
        """Return the nights of both, in this order."""
        values, rows = np.concatenate([self.values, other.values]), np.concatenate([self.rows, other.rows])
        return Nightly(self.days + other.days, values, rows)

    def __len__(self) -> int:
        return len(self.days)


@dataclass(frozen=True)
class Usual:
    """The level of usual nights, and how far chance moves it and a night."""

    mean: float
    error: float
    """Standard error of the level."""
    sd: float
    """How far a night of ``rows`` rows lies from the level: a standard deviation."""
    freedom: float
    rows: float
    """Rows of a usual night. The variance of one with fewer grows as they shrink."""
    horizon: int
    """Days that an outcome looks at: so many nights tell as much as one."""

    @classmethod
    def of(cls, nights: Nightly, job: Job, least: float = 0.0, spread: Spread | None = None) -> Self | None:
        """Return what is usual, or None for fewer than three nights.

        ``least`` is the least standard deviation of a night; ``spread`` that of the level, where it is known better than
        from the nights alone.
        """
        if len(nights) < LEAST_NIGHTS:
            return None
        rows, horizon = float(np.median(nights.rows)), max(job.label.horizon, 1)
        weights = nights.weights(rows)
        share = weights / weights.sum()
        mean = float(share @ nights.values)
        if spread is None:
            scale, freedom = _chance(share, nights.days, horizon)
            error = float(scale * np.square(share * (nights.values - mean)).sum()) ** 0.5
            spread = Spread(error, freedom)
        alone = max(weights.sum() / horizon, 1.0) ** 0.5
        sd = max(spread.error * alone, least, _TINY)
        return cls(mean, sd / alone, sd, spread.freedom, rows, horizon)

    def error_of(self, nights: Nightly) -> float:
        """Return the standard error of the mean of ``nights`` less the level."""
        weight = float(nights.weights(self.rows).sum())
        counted = max(weight / self.horizon, min(weight, 1.0))
        return float((self.sd**2 / counted + self.error**2) ** 0.5)

    def rise_of(self, nights: Nightly) -> float:
        """Return how far the mean of ``nights`` lies above the level."""
        weights = nights.weights(self.rows)
        return float(weights @ nights.values / weights.sum()) - self.mean

    def margin(self, nights: Nightly, confidence: float) -> float:
        """Return half the width of the interval of ``rise_of`` that holds 0 so often where nothing changes."""
        return Spread(self.error_of(nights), self.freedom).margin(confidence)


def _chance(share: Floats, days: Sequence[date], horizon: int) -> tuple[float, float]:
    """Return ``overlap_of``, without matrices where outcomes do not overlap: a CUSUM asks it every night."""
    if horizon > 1:
        return overlap_of(share, days, horizon)
    squares = float(np.square(share).sum())
    return squares / (squares + squares**2 - 2 * float((share**3).sum())), len(share) - 1.0


def least_spread(sums: Floats, job: Job) -> float:
    """Return the least standard deviation that a night has, from the sums of the holdout."""
    rows, loss = losses_of(sums.sum(axis=0), job)
    return _LEAST_SPREAD * float(loss / rows)
