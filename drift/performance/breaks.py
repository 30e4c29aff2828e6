"""Since when is a version worse than it was? A CUSUM of its nights, which may be looked at every night.

Page's CUSUM (1954) on normal scores of self-starting t statistics (Hawkins 1987): each night is held against the holdout and
the nights since that were well, so few holdout nights make it slow to speak, and not wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from drift.performance.usual import Nightly, Usual
from scoring.job import Job

ALLOWANCE = 0.5
"""Standard deviations above the level that a night may lie without adding to the sum: half of the rise to be found fast."""
MOST = 3.0
"""Standard deviations that a night counts for at most: a blizzard is no break, three of them in a row are."""
LIMIT = 7.0
"""Sum at which there is a break: three nights as bad as can be (3 × 2.5), and more than a year between false alarms."""
_OVER = MOST
"""How far the sum may exceed its limit, so that a version that is well again is soon seen to be."""
_REMEMBERED = 90
"""Nights that are usual, the last ones, as many as ``monitor.baseline_nights`` has by default."""


@dataclass(frozen=True)
class Break:
    """What the nights since training add up to."""

    changed_on: date | None
    """First night of the break as estimated, the one after the sum was last 0, or None while there is no break."""
    rising_since: date | None
    """First night since which the sum is above 0, break or not."""
    score: float
    """The sum after the last night; a break from ``LIMIT`` on."""


def break_of(holdout: Nightly, nights: Nightly, job: Job, least: float = 0.0) -> Break:
    """Return whether the primary metric of a version has risen for good, judged by ``nights``, oldest first, and no other.

    ``holdout`` are the nights that say what is usual, ``nights`` those that were measured since; ``least`` is the least
    standard deviation that a night has. With fewer than three holdout nights there is never a break.
    """
    well, waiting, since, score = holdout, Nightly.none(), None, 0.0
    usual = Usual.of(well, job, least)
    for place in range(len(nights)):
        if usual is None:
            break
        night = nights.part(slice(place, place + 1))
        added = min(_normal(usual.rise_of(night) / usual.error_of(night), usual.freedom), MOST) - ALLOWANCE
        score = min(max(score + added / usual.horizon, 0.0), LIMIT + _OVER)
        since = (since or night.days[0]) if score else None
        waiting = waiting + night
        if not score:  # nights that were not well after all never become usual
            well, waiting = (well + waiting).last(_REMEMBERED), Nightly.none()
            usual = Usual.of(well, job, least)
    return Break(since if score >= LIMIT else None, since, score)


def _normal(score: float, freedom: float) -> float:
    """Return the standard normal quantile that is as rare as ``score`` is under the t distribution."""
    from scipy import special  # the pages do without

    return float(special.ndtri(special.stdtr(freedom, score)))
