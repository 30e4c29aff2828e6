"""Metrics of a job whose entities come again every night, with intervals for which both entities and nights are drawn.

Of a night are kept: its sums, and how much each group of entities moves each metric (its jackknife influence). From these
follow the intervals of any nights together, to first order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Self

import numpy as np

from drift.performance.metrics import Floats, Interval, compact, expanded, finite, metrics_of
from drift.performance.panel import GROUPS, Panel, Spread, spread_of
from scoring.job import Job

CONFIDENCE = 0.95
_ZERO_TO_ONE = {"brier", "auc", "calibration_error", "base_rate", "accuracy", "coverage"}
"""Metrics whose intervals end at 0 and 1."""


@dataclass(frozen=True)
class NightScores:
    """What a night tells of the metrics: its sums, the rows of each group, and each group's influence on every metric."""

    night: date
    sums: Floats
    rows: Floats
    scores: dict[str, Floats]

    @classmethod
    def of(cls, night: date, cells: Floats, job: Job) -> Self:
        """Return the scores of a night's sums per group, shape (groups, sums)."""
        total = cells.sum(axis=0)
        values, without = metrics_of(total, job), metrics_of(total - cells, job)
        scores = {name: np.nan_to_num(values[name] - without[name]) for name in values}
        rows = cells[:, 0]
        centred = {name: score - score.sum() * rows / max(rows.sum(), 1.0) for name, score in scores.items()}
        return cls(night, total, rows, centred)

    @classmethod
    def from_json(cls, night: date, stored: Sequence[Sequence[float]], job: Job) -> Self | None:
        """Return what ``as_json`` gave, or None for a night that was kept without scores."""
        if len(stored) < 5:
            return None
        sums, rows = expanded(stored), np.asarray(stored[3], dtype=np.float64)
        scores = np.asarray(stored[4], dtype=np.float64).reshape(-1, GROUPS)
        return cls(night, sums, rows, dict(zip(metrics_of(sums, job), scores, strict=True)))

    def as_json(self) -> list[list[float]]:
        """Return the scores for JSON: the sums as ``compact`` writes them, the rows, and the scores, metric by metric."""
        scores = [float(f"{value:.5g}") for score in self.scores.values() for value in score]
        return [*compact(self.sums), [int(count) for count in self.rows], scores]


def intervals_of(nights: Sequence[NightScores], job: Job) -> dict[str, Interval]:
    """Return every metric of the nights together with its 95 % interval, or null where it has no meaning."""
    if not nights:
        return {}
    values = metrics_of(_total(nights), job)
    intervals = {}
    for name, value in values.items():
        spread = spread_of_metric(nights, name, job)
        intervals[name] = _interval(float(value), spread, name in _ZERO_TO_ONE)
    return intervals


def difference_of(recent: Sequence[NightScores], before: Sequence[NightScores], job: Job, name: str) -> Interval:
    """Return how much a metric of ``recent`` lies above that of ``before``, with its 95 % interval.

    The same entities are in both, which makes the interval too wide rather than too short.
    """
    values, spreads = [], []
    for nights in (recent, before):
        values.append(float(metrics_of(_total(nights), job)[name]))
        spreads.append(spread_of_metric(nights, name, job))
    return _interval(values[0] - values[1], _together(spreads), ends=False)


def _total(nights: Sequence[NightScores]) -> Floats:
    """Return the sums of nights together. Those from before the job had an interval have fewer."""
    size = max(len(night.sums) for night in nights)
    total: Floats = np.sum([np.pad(night.sums, (0, size - len(night.sums))) for night in nights], axis=0)
    return total


def _together(spreads: Sequence[Spread | None]) -> Spread | None:
    """Return how far chance moves a difference (Welch, Satterthwaite)."""
    both = [spread for spread in spreads if spread is not None]
    if len(both) < len(spreads):
        return None
    squares = [spread.error**2 for spread in both]
    total = sum(squares)
    if total == 0:
        return both[0]
    parts = sum(square**2 / spread.freedom for square, spread in zip(squares, both, strict=True))
    return Spread(total**0.5, total**2 / parts)


def spread_of_metric(nights: Sequence[NightScores], name: str, job: Job) -> Spread | None:
    """Return how far chance moves a metric of the nights together. Nights on which it has no meaning are left out."""
    pairs = [(night, float(metrics_of(night.sums, job).get(name, np.nan))) for night in nights]
    used = [night for night, value in pairs if np.isfinite(value)]
    if len(used) < 2:
        return None
    values = np.array([value for _, value in pairs if np.isfinite(value)])
    rows, scores = np.stack([night.rows for night in used]), np.stack([night.scores[name] for night in used])
    weights = rows.sum(axis=1) / rows.sum()
    apart = (values - weights @ values)[:, None] * rows / rows.sum(axis=1, keepdims=True)
    panel = Panel(tuple(night.night for night in used), rows, scores, job.label.horizon)
    return spread_of(weights[:, None] * (scores + apart), panel)


def _interval(value: float, spread: Spread | None, ends: bool) -> Interval:
    if spread is None or not np.isfinite(value):
        return {"value": finite(value), "low": None, "high": None}
    margin = spread.margin(CONFIDENCE)
    low, high = value - margin, value + margin
    return {"value": value, "low": max(low, 0.0) if ends else low, "high": min(high, 1.0) if ends else high}
