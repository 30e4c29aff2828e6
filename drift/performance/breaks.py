"""Since when is a version worse than it was? A CUSUM of its nights, which may be looked at every night.

Page's CUSUM (1954) on normal scores of self-starting t statistics (Hawkins 1987): each night is held against the holdout and
the nights since that were well, so few holdout nights make it slow to speak, and not wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from drift.performance.usual import Nightly, Usual
from scoring.job import Job

ALLOWANCE = 0.5
"""Standard deviations above the level that a night may lie without adding to the sum: half of the rise to be found fast."""
MOST = 3.0
"""Standard deviations that a night counts for at most: a blizzard is no break, three of them in a row are."""
LIMIT = 7.0
"""Sum at which there is a break: three nights as bad as can be (3 × 2.5), and more than a year between false alarms."""
CONFIDENCE = 0.99
"""Confidence of the interval of the nights since the change that must lie above what is allowed: a few nights may lie low."""
PATIENCE = 28
"""Nights above the level after which they are taken as usual, unless the rise is established: the longest window of a verdict."""
_ROUNDING = 1e-9
_OVER = MOST
"""How far the sum may exceed its limit, so that a version that is well again is soon seen to be."""
_REMEMBERED = 90
"""Nights that are usual, the last ones, as many as ``monitor.baseline_nights`` has by default."""


@dataclass(frozen=True)
class Break:
    """What the nights since training add up to."""

    changed_on: date | None
    """First night of the break as estimated: of those since the sum was last 0, the one that divides the nights best."""
    rising_since: date | None
    """First night since which the sum is above 0, break or not."""
    score: float
    """The sum after the last night; a break from ``LIMIT`` on."""


NO_BREAK = Break(None, None, 0.0)


def break_of(holdout: Nightly, nights: Nightly, job: Job, least: float = 0.0, allowed: float = 0.0) -> Break:
    """Return whether the primary metric of a version has risen for good, judged by ``nights``, oldest first, and no other.

    ``holdout`` are the nights that say what is usual, ``nights`` those that were measured since; ``least`` is the least
    standard deviation that a night has, ``allowed`` a rise that is none. Fewer than three holdout nights show no break.
    """
    return list(breaks(holdout, nights, job, least, allowed))[-1] if len(nights) else NO_BREAK


def breaks(holdout: Nightly, nights: Nightly, job: Job, least: float = 0.0, allowed: float = 0.0) -> Iterator[Break]:
    """Yield what ``break_of`` says of the nights up to each of ``nights``, in one pass."""
    well, waiting, score = holdout, Nightly.none(), 0.0
    usual = Usual.of(well, job, least)
    for place in range(len(nights)):
        if usual is None:
            yield NO_BREAK
            continue
        night = nights.part(slice(place, place + 1))
        added = min(_normal(usual.rise_of(night) / usual.error_of(night), usual.freedom), MOST) - ALLOWANCE
        score = min(max(score + added / usual.horizon, 0.0), LIMIT + _OVER)
        waiting = waiting + night
        sure = usual.rise_of(waiting) - usual.margin(waiting, CONFIDENCE) > allowed
        if not score or (len(waiting) >= PATIENCE * usual.horizon and not sure):
            well, waiting, score = (well + waiting).last(_REMEMBERED), Nightly.none(), 0.0
            usual = Usual.of(well, job, least) or usual
        rising_since = waiting.days[0] if len(waiting) else None
        broken = sure and score >= LIMIT - _ROUNDING
        yield Break(_changed_on(well, waiting, usual) if broken else None, rising_since, score)


def _changed_on(well: Nightly, waiting: Nightly, usual: Usual) -> date:
    """Return the night of ``waiting`` from which on the nights differ most from all before it, by least squares.

    The sum may have risen a little before the change, by chance.
    """
    nights = well + waiting
    weights = nights.weights(usual.rows)
    weight, total = np.cumsum(weights), np.cumsum(weights * nights.values)
    first = np.arange(len(well), len(nights)) - 1  # the last night before each that may be the first of the change
    before, after = weight[first], weight[-1] - weight[first]
    apart = (total[-1] - total[first]) / after - total[first] / before
    return waiting.days[int(np.argmax(np.where(apart > 0, before * after * np.square(apart), 0.0)))]


def _normal(score: float, freedom: float) -> float:
    """Return the standard normal quantile that is as rare as ``score`` is under the t distribution."""
    from scipy import special  # the pages do without

    return float(special.ndtri(special.stdtr(freedom, score)))
