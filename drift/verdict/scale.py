"""A factor that all quantiles of a column share: what a changed unit or currency does, and weather does not."""

from __future__ import annotations

import numpy as np

from drift.verdict.distance import Floats
from scoring.rows import Bins

HALF_LIFE = 20.0
"""Nights after which a baseline night counts half for the level that is expected tonight, so that a season is followed."""
SHRUNK = 4.0
"""Nights of average weight by which a weekday's own level is drawn to that of all nights."""
FAR = 5.0
"""Robust standard deviations (of the median absolute deviation) beyond which a night has no weight, such as a blizzard."""
LEAST_EDGES = 5
"""Inner bin edges that a column needs: fewer show no quantiles."""


def has_scale(bins: Bins) -> bool:
    """Return whether a column can be multiplied: positive numbers of more than a few values."""
    return bins.kind == "number" and len(bins.edges) >= LEAST_EDGES and bins.edges[0] > 0


def log_ratios(some: Floats, base: Floats, edges: Floats) -> Floats:
    """Return the log of each night's quantiles over those of ``base``, at the inner edges, shape (nights, edges).

    ``some`` has the bins of a night in each row, ``base`` those of all baseline nights together. Quantiles beyond the edges are
    taken to be at them.
    """
    logs = np.log(edges)
    levels = np.cumsum(base)[:-1] / max(base.sum(), 1)
    reached = np.cumsum(some, axis=1)[:, :-1] / np.maximum(some.sum(axis=1, keepdims=True), 1)
    return np.array([np.interp(levels, night, logs) for night in reached]) - logs


def shared(ratios: Floats) -> Floats:
    """Return the least that three of four quantiles have moved the same way, 0 if they have not, shape (nights,)."""
    low, high = np.quantile(ratios, [0.25, 0.75], axis=1)
    return np.where(low > 0, low, np.where(high < 0, high, 0.0))


def expected(level: Floats, nights_ago: Floats, weekdays: Floats, of: Floats) -> tuple[Floats, float, float]:
    """Return the level that is expected on nights, the standard deviation of nights around it, and that of the level itself.

    ``level``, ``nights_ago`` and ``weekdays`` (0 to 6) belong to the baseline's nights; ``of`` has nights ago and weekday of
    the nights asked for, shape (nights, 2). It is a weighted regression on time and weekday; far nights have no weight.
    """
    recent = 0.5 ** (nights_ago / HALF_LIFE)
    weights, design = recent.copy(), _design(nights_ago, weekdays)
    penalty = np.diag([0.0, 0.0] + [SHRUNK * recent.mean()] * 7)
    spread = 0.0
    for _ in range(3):
        inverse = np.linalg.pinv(design.T @ (weights[:, None] * design) + penalty)
        effect = inverse @ (design.T @ (weights * level))
        rest = level - design @ effect
        spread = 1.4826 * float(np.median(np.abs(rest - np.median(rest))))
        weights = recent * (np.abs(rest) <= FAR * max(spread, 1e-9))
    asked = _design(of[:, 0], of[:, 1])
    unsure = inverse @ (design.T @ ((weights**2)[:, None] * design)) @ inverse
    spread *= float(np.sqrt(len(level) / max(len(level) - design.shape[1], 1)))
    return asked @ effect, spread, spread * float(np.sqrt(max(asked[-1] @ unsure @ asked[-1], 0.0)))


def _design(nights_ago: Floats, weekdays: Floats) -> Floats:
    return np.column_stack([np.ones(len(nights_ago)), nights_ago / HALF_LIFE, weekdays[:, None] == np.arange(7)])
