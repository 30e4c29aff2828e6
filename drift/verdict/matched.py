"""Signals made for one kind of fault each: a factor on all values, nulls in every stratum. They have limits of their own.

Each is a number with a sign for every night. What is usual is the standard deviation of the baseline's nights, nights that lie
far off left out, so a blizzard widens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from drift.verdict.breadth import breadth, spread_by_chance
from drift.verdict.calibration import FLOORS, Measurement
from drift.verdict.distance import NULLS, Column, Floats
from drift.verdict.scale import FAR, expected, has_scale, log_ratios, shared
from scoring.rows import PROFILED_PREDICTION, Bins, Profile

SCALE, BREADTH = "scale", "breadth"
LEAST = {SCALE: 0.05, BREADTH: 2 * FLOORS[NULLS]}
"""The least that is an alert, whatever the nights were like: log of the factor, share of rows (as for nulls: twice the floor)."""
LIMITS = {SCALE: 3.5, BREADTH: 4.0}
"""Standard deviations of nights from which a night is an alert at once. Raising one makes its signal blinder."""
UNUSUAL_BEFORE = 0.5
"""Standard deviations before the limit at which a night is unusual."""
LEAST_NIGHTS = 21
"""Nights that a baseline needs: three of each weekday."""
TOGETHER = 3
"""Nights, tonight included, that are also taken together to find a small factor that lasts."""


@dataclass(frozen=True)
class Dated:
    """Nights with their profiles, oldest first; tonight or the last few nights, beside those of a baseline."""

    days: Sequence[date]
    profiles: Sequence[Profile]


def matched(base: Dated, lately: Dated, bins: Mapping[str, Bins]) -> list[Measurement]:
    """Return the signals of tonight, the last night of ``lately``, which begins with the nights directly before it."""
    before = [place for place, day in enumerate(base.days) if day < lately.days[0]]
    if len(before) < LEAST_NIGHTS:
        return []
    base = Dated([base.days[place] for place in before], [base.profiles[place] for place in before])
    there = [name for name in bins if all(name in night.columns for night in (*base.profiles, *lately.profiles))]
    tonight = lately.profiles[-1]
    features = [name for name in there if name != PROFILED_PREDICTION]  # a prediction has no unit
    valued = [name for name in features if has_scale(bins[name]) and tonight.columns[name].present]
    scales = [_scale(name, base, lately, bins[name]) for name in valued]
    return [*scales, *(_breadth(name, base, lately, bins) for name in there if _has_strata(name, base, lately, bins))]


def _scale(name: str, base: Dated, lately: Dated, bins: Bins) -> Measurement:
    counts, asked = (Column.of([night.columns[name] for night in part.profiles]) for part in (base, lately))
    edges = np.array(bins.edges)
    usual = log_ratios(counts.bins, counts.bins.sum(axis=0), edges)
    centre = np.median(usual, axis=0)
    ratios = log_ratios(asked.bins, counts.bins.sum(axis=0), edges) - centre
    tonight = lately.days[-1]
    times, of = (
        np.array([[(tonight - day).days, day.weekday()] for day in part.days], dtype=np.float64)
        for part in (base, lately)
    )
    level, spread, unsure = expected(np.median(usual - centre, axis=1), times[:, 0], times[:, 1], of)
    wide = 1.25 * float(np.log(edges[-1] / edges[0])) / 3.3  # the median's standard deviation is 1.25 sd / √n
    chance = [wide / np.sqrt(max(float(rows), 1.0)) for rows in (asked.present[-1], np.median(counts.present))]
    spread = float(np.sqrt(spread**2 + max(chance[0] ** 2 - chance[1] ** 2, 0.0)))
    moved = shared(ratios - level[:, None])
    several = np.array([moved.mean()]) if len(moved) == TOGETHER else np.zeros(0)
    nights = np.median(usual - centre, axis=1)
    alone = _measured(name, SCALE, moved[-1:], float(np.hypot(spread, unsure)), nights)
    together = _measured(name, SCALE, several, float(np.hypot(spread / np.sqrt(TOGETHER), unsure)), nights)
    return together if together.normalised_excess > max(alone.normalised_excess, 2.0) else alone


def _has_strata(name: str, base: Dated, lately: Dated, bins: Mapping[str, Bins]) -> bool:
    """Return whether nulls were counted by stratum on every night."""
    nights = [*base.profiles, *lately.profiles]
    other = bins[name].strata
    return other is not None and all(night.columns[name].nulls_by and other in night.columns for night in nights)


def _breadth(name: str, base: Dated, lately: Dated, bins: Mapping[str, Bins]) -> Measurement:
    strata = str(bins[name].strata)
    nights = [*base.profiles, lately.profiles[-1]]
    nulls = np.array([night.columns[name].nulls_by for night in nights], dtype=np.float64)
    rows = np.array([night.columns[strata].bins for night in nights], dtype=np.float64)
    moved = breadth(nulls, rows, nulls[:-1], rows[:-1])
    chance = spread_by_chance(rows, nulls[:-1], rows[:-1])
    more = max(float(chance[-1] ** 2 - np.median(chance[:-1]) ** 2), 0.0)
    return _measured(name, BREADTH, moved[-1:], float(np.sqrt(calm_spread(moved[:-1]) ** 2 + more)), moved[:-1])


def calm_spread(values: Floats) -> float:
    """Return the standard deviation of values, those far off left out."""
    robust = 1.4826 * float(np.median(np.abs(values)))
    near = values[np.abs(values) <= FAR * robust]
    return max(robust, float(np.sqrt(np.mean(np.square(near))))) if robust > 0 else 0.0


def _measured(name: str, signal: str, moved: Floats, spread: float, usual: Floats) -> Measurement:
    """Return the measurement: a ratio of 1 where the night is unusual, 2 at the limit, both in standard deviations."""
    value = float(np.abs(moved).max(initial=0.0))
    limit = LIMITS[signal]
    unit = max(spread, LEAST[signal] / limit)
    deviations, first = value / unit, limit - UNUSUAL_BEFORE
    ratio = deviations / first if deviations < first else 1 + (deviations - first) / UNUSUAL_BEFORE
    return Measurement(name, signal, value, first * unit, ratio, float(np.mean(np.abs(usual) < value)))
