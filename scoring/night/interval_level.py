"""The level of a run's intervals: fixed, or moved by the coverage of nights whose outcomes are known.

Adaptive conformal inference (Gibbs, Candès, Adaptive Conformal Inference Under Distribution Shift, 2021), with a step for each
measured night in place of one for each row.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from scoring.interval import Nights
from scoring.stores import RunInterval, Workspace
from scoring.stores.warehouse import Span, monitoring

STEP = 0.05
"""How far a night moves the share that intervals are to miss: by this much of the share that it missed too few or too many."""
NIGHTS = 180
"""Nights before this one whose coverage counts: what was longer ago has no weight left that matters."""
_MOST_MISSED = 0.5
"""Share beyond which intervals are made no narrower, whatever was covered."""


def interval_of(work: Workspace, night: date) -> RunInterval | None:
    """Return the level of the intervals of a night, or None for a job without.

    An adaptive one is moved by what was measured of past nights before this one began, so that a night that is scored again
    gets the same level.
    """
    policy = work.job.interval
    if policy is None:
        return None
    target = round(1 - policy.level, 12)  # 0.1 of 0.9
    if not policy.adaptive:
        return RunInterval(policy.level, target)
    span = Span(work.job.name, Nights.before(night, NIGHTS))
    rows = monitoring.performance(work.warehouse, span, night - timedelta(days=1))
    covered = [row.metrics.get("coverage", {}).get("value") for row in rows]
    missed = [1 - value for value in covered if value is not None]
    return RunInterval(policy.level, adapted(target, missed), len(missed))


def adapted(target: float, missed: Iterable[float]) -> float:
    """Return the share that intervals are to miss after nights that missed these shares of their outcomes, oldest first.

    >>> round(adapted(0.1, [0.3, 0.3]), 3), round(adapted(0.1, [0.1, 0.0]), 3)
    (0.08, 0.105)
    """
    miss = target
    for share in missed:
        miss = min(miss + STEP * (target - share), _MOST_MISSED)
    return miss
