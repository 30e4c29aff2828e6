"""What lives under policies come to: losses with intervals, what the gate kept, how a model ages. Functions of sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drift.performance import Floats, Panel
from lifecycle.backtest.fits import Fits
from lifecycle.backtest.gate import Sides, losses_on
from lifecycle.backtest.history import Version
from lifecycle.backtest.life import Run
from lifecycle.comparison import Losses, gain_of
from scoring.stores.warehouse import Gain

CONFIDENCE = 0.95
WEEK = 7
"""Nights that are drawn together: those of a week share its weather, and weekdays differ."""
SMOOTHED = 28
"""Nights of the moving mean of a curve."""
FOLLOWED = 14
"""Nights after a refit on which its gain over an older version counts."""
PAIRS = 4_000
"""Pairs of versions that an age is measured from, at most: more take longer and say no more."""


def gain_over(run: Run, other: Run, confidence: float = CONFIDENCE) -> Gain:
    """Return how much less a policy's nights lost than another's, with its interval.

    The mean of the nights, and weeks are drawn; of a snapshot job the mean of the rows, and entities and nights are drawn.
    """
    history = run.life.history
    there = run.rows > 0
    if run.groups is not None and other.groups is not None:
        days = tuple(history.day(run.life.begun + int(place)) for place in np.flatnonzero(there))
        (rows, new), old = run.groups[:, there], other.groups[1, there]
        panel = Panel(days, rows, old - new, history.horizon)
        return gain_of(Losses(run.rows[there], other.loss[there], run.loss[there], panel), confidence)
    week = (np.arange(len(run.rows)) // WEEK)[there]
    means = [side.loss[there] / side.rows[there] for side in (other, run)]
    return gain_of(_by_week(week, np.ones(len(week)), *means), confidence)


def loss_of_run(run: Run) -> Gain:
    """Return a policy's loss with its 95 % interval, as the gain over a loss of 0 is written."""
    groups = None if run.groups is None else np.zeros_like(run.groups)
    if groups is not None and run.groups is not None:
        groups[0] = run.groups[0]
    return gain_over(Run(run.policy, run.life, run.rows, np.zeros_like(run.loss), groups, 0.0), run)


def _by_week(week: np.ndarray, rows: Floats, champion: Floats, challenger: Floats) -> Losses:
    """Return losses whose nights are whole weeks. Weeks without rows are left out."""
    count, old, new = (
        np.asarray(np.bincount(week, weights=values), dtype=np.float64) for values in (rows, champion, challenger)
    )
    there = count > 0
    return Losses(count[there], old[there], new[there])


def curve(run: Run, never: Run) -> list[float | None]:
    """Return the mean gain over never retraining of the 28 nights up to each night, or None for none with rows."""
    means = [
        np.divide(side.loss, side.rows, out=np.full(len(run.rows), np.nan), where=run.rows > 0) for side in (never, run)
    ]
    gains = means[0] - means[1]
    found: list[float | None] = []
    for place in range(len(gains)):
        lately = gains[max(0, place + 1 - SMOOTHED) : place + 1]
        lately = lately[np.isfinite(lately)]
        found.append(float(lately.mean()) if len(lately) else None)
    return found


@dataclass(frozen=True)
class Aged:
    """What a refit gains over a version that is so many nights older."""

    age: int
    gain: Gain
    pairs: int
    """Pairs of versions that it is the mean of."""


def ageing(fits: Fits, versions: Sequence[Version]) -> list[Aged]:
    """Return the gain of a refit over an older version by how many nights lie between them, with 95 % intervals over weeks.

    Every pair of the versions counts, on the 14 nights that follow the younger one's training. Ages go by weeks where the
    oldest version is older than three.
    """
    versions = sorted(set(versions), key=lambda version: version.until)
    pairs = [(old, new) for place, new in enumerate(versions) for old in versions[:place] if old.until < new.until]
    if not pairs:
        return []
    step = WEEK if max(new.until - old.until for old, new in pairs) > 3 * WEEK else 1
    by_age: dict[int, list[tuple[Version, Version]]] = {}
    for old, new in pairs[:: max(1, len(pairs) // PAIRS)]:
        by_age.setdefault(max(1, round((new.until - old.until) / step)) * step, []).append((old, new))
    aged = [Aged(age, _gain_of_pairs(fits, by_age[age]), len(by_age[age])) for age in sorted(by_age)]
    return [row for row in aged if row.gain.value is not None]


def _gain_of_pairs(fits: Fits, pairs: Sequence[tuple[Version, Version]]) -> Gain:
    """Return the mean gain of the younger versions over the older ones. The nights of a week are drawn together."""
    history = fits.history
    sums = np.zeros((3, len(history)))
    for old, new in pairs:
        first = fits.unseen(new)
        nights = np.arange(min(first, len(history)), min(first + FOLLOWED, len(history)))
        losses = losses_on(nights, Sides(fits.sums(old), fits.sums(new)), history)
        nights = nights[fits.sums(new).nights[nights, 0] > 0]
        sums[:, nights] += np.stack(
            [np.ones(len(nights)), losses.champion / losses.rows, losses.challenger / losses.rows]
        )
    return gain_of(_by_week(np.arange(len(history)) // WEEK, *sums), CONFIDENCE)
