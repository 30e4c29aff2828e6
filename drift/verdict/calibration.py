"""What is normal: the distances of past nights from each other → how far a night may lie before it is unusual.

Weather, holidays and timetables make every night different from the others, so thresholds come from whole nights, each
compared with the rest, never from rows drawn at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from drift.verdict.distance import NULLS, SHAPE, SHIFT, UNSEEN, Column, Distance, Floats, distances
from scoring.rows import Bins, Profile

FLOORS = {SHAPE: 0.002, SHIFT: 0.05, NULLS: 0.01, UNSEEN: 0.005}
"""The least excess that can be unusual, whatever the nights were like: bits, standard deviations of the baseline, shares of rows.
Raising one makes its signal blinder."""
NEW_VALUES = 0.05
"""Floor of ``unseen`` in number columns, as a share of rows. New values are normal there, and only a large share is a signal: a
changed unit, say. Raising it lets more of them pass."""
NOISE = 3.0
"""Standard deviations of chance by which a night of fewer rows than usual may lie farther away."""
FAR, TWICE = 5.0, 2.0
"""A baseline night is left out of the thresholds if its excess is so many median absolute deviations (in units of a standard
deviation) above the median, and so many times the largest excess of the nights that are not."""
RECENT = 28
"""The last nights of a baseline that a night is also compared with: four of each weekday."""
FEW = 28
"""One night of so many may be left out. More of them are no exception."""
NEWEST = 7
"""The newest nights are never left out: they may be the first of a new normal."""
REPEATED_NOISE = 4.0
"""Standard deviations of chance by which a night may always lie away where the same entities come every night. Their nights look
alike, so the baseline's do not show how far they drift until labels are there. What is farther away than as many other entities
would be is unusual."""


@dataclass(frozen=True)
class Threshold:
    """How far a night may lie from the baseline in one column and signal."""

    excess: float
    """Excess over chance above which a night of typical size is unusual."""
    spread: float
    """Median standard deviation of chance of the baseline's nights: what a night of typical size has."""

    def tolerance(self, spread: Floats) -> Floats:
        """Return the excess that counts as unusual for nights whose chance has the given spread."""
        more = np.maximum((NOISE * spread) ** 2 - (NOISE * self.spread) ** 2, 0.0)
        return np.sqrt(self.excess**2 + more)


@dataclass(frozen=True)
class Measurement:
    """One column and signal of one night."""

    column: str
    signal: str
    value: float
    threshold: float
    normalised_excess: float
    """Excess over chance, divided by the excess that is unusual for this column and signal. Stored and shown as the ratio."""
    quantile: float
    """Share of the baseline's nights that lay nearer to the rest of the baseline."""


@dataclass(frozen=True)
class Calibration:
    """A baseline of nights, and the thresholds that follow from it."""

    bins: Mapping[str, Bins]
    columns: Mapping[str, Column]
    """Per column, the baseline's nights, one row each (or windows of several nights)."""
    window: int
    watched: frozenset[str]
    """The columns that count for the family-wise limit."""
    repeated: bool = False
    """Whether the same entities come every night: then many nights tell no more of their distribution than one does."""

    @property
    def nights(self) -> int:
        """Return how many nights the baseline has."""
        return len(next(iter(self.columns.values())).rows) if self.columns else 0

    @cached_property
    def _past(self) -> dict[tuple[str, str], Distance]:
        """The distance of every baseline night (or window) to the rest of the baseline."""
        by_signal = {}
        for name, column in self.columns.items():
            parts = column.windows(self.window)
            rest = self._drawn(column.sum().without(parts), max(self.nights - self.window, 1))
            for signal, distance in distances(self._drawn(parts, self.window), rest, self.bins[name]).items():
                by_signal[name, signal] = distance
        return by_signal

    @cached_property
    def thresholds(self) -> dict[tuple[str, str], Threshold]:
        """Return the threshold of every column and signal: the largest excess of any baseline night, with a floor."""
        return {
            (name, signal): Threshold(
                _threshold_excess(
                    calm(distance.excess), self._small_sample_factor, self._floor(name, signal, distance)
                ),
                float(np.median(distance.spread)),
            )
            for (name, signal), distance in self._past.items()
        }

    @cached_property
    def familywise_limit(self) -> float:
        """Return the normalised excess above which a night as a whole is unusual, all watched columns and signals considered.

        Every baseline night is compared with the thresholds that the others alone would have given. Of the largest normalised
        excesses, one per night, the limit is the 97th percentile, but at least 1 and at most 1.5, so that one blizzard in the
        baseline does not hide later faults.
        """
        largest = np.zeros(1)
        for (name, signal), distance in self._past.items():
            if name in self.watched:
                excess = calm(distance.excess)
                allowed = np.maximum(
                    _largest_of_others(excess) * self._small_sample_factor, self._floor(name, signal, distance)
                )
                largest = np.maximum(largest, excess / allowed)
        return float(np.clip(np.quantile(largest, 0.97, method="higher"), 1.0, 1.5))

    def _floor(self, name: str, signal: str, distance: Distance) -> float:
        floor = NEW_VALUES if signal == UNSEEN and self.bins[name].kind == "number" else FLOORS[signal]
        return max(floor, REPEATED_NOISE * float(np.median(distance.spread))) if self.repeated else floor

    def _drawn(self, column: Column, nights: int) -> Column:
        """Return the counts of so many nights as those of independent draws: of a night, where entities repeat."""
        return column.divided(nights) if self.repeated else column

    @property
    def _small_sample_factor(self) -> float:
        """Factor that widens the thresholds of short baselines: the maximum of 10 nights is exceeded more often than of 90."""
        return 1 + 10 / max(self.nights, 1)

    def measure(self, profile: Profile, nights: int = 1) -> list[Measurement]:
        """Return every signal of every column of a night, or of some nights together, that the baseline knows."""
        measurements = []
        for name, column in self.columns.items():
            if name not in profile.columns:
                continue
            tonight = self._drawn(Column.of([profile.columns[name]]), nights)
            base = self._drawn(column.sum(), self.nights)
            for signal, distance in distances(tonight, base, self.bins[name]).items():
                limit = self.thresholds[name, signal]
                tolerance = limit.tolerance(distance.spread)
                normalised = float((distance.excess / tolerance)[0])
                allowed = float((distance.noise + tolerance)[0])
                quantile = float(np.mean(self._past[name, signal].excess < distance.excess[0]))
                value = float(distance.value[0])
                measurements.append(Measurement(name, signal, value, allowed, normalised, quantile))
        return measurements


def _threshold_excess(excess: Floats, factor: float, floor: float) -> float:
    return max(float(np.max(excess, initial=0.0)) * factor, floor)


def calm(excess: Floats) -> Floats:
    """Return the excess of a baseline's nights, oldest first, with 0 for the few that lie far beyond all others: a blizzard.

    >>> calm(np.array([0.02, 0.4, 0.01] + [0.03, 0.01] * 15)).max()
    np.float64(0.03)
    """
    middle = np.median(excess)
    near = excess <= middle + FAR * 1.4826 * np.median(np.abs(excess - middle))
    far = ~near & (excess > TWICE * np.max(excess, where=near, initial=0.0))
    far[-NEWEST:] = False
    return np.where(far, 0.0, excess) if 0 < far.sum() <= len(excess) // FEW else excess


def _largest_of_others(values: Floats) -> Floats:
    """Return, for every value, the largest of the others."""
    order = np.argsort(values)
    largest = np.full(len(values), values[order[-1]])
    if len(values) > 1:
        largest[order[-1]] = values[order[-2]]
    return largest


def calibrate(
    nights: Sequence[Profile], bins: Mapping[str, Bins], watched: Set[str], window: int = 1, repeated: bool = False
) -> Calibration:
    """Return the calibration on a baseline of nights, oldest first. ``window`` compares stretches of so many nights.

    ``repeated`` says that the same entities come every night.
    """
    names = [name for name in bins if all(name in night.columns for night in nights)] if nights else []
    columns = {name: Column.of([night.columns[name] for night in nights]) for name in names}
    return Calibration(bins, columns, window, frozenset(watched), repeated)


def measured_against(nights: Sequence[Profile], calibration: Calibration, profile: Profile) -> list[Measurement]:
    """Return every signal of a night against all of the baseline and against its last nights: the lower ratio of the two.

    A season that moves slowly takes a night away from the baseline's middle, but not from the last four weeks.
    """
    whole = calibration.measure(profile)
    if len(nights) <= RECENT:
        return whole
    last = calibrate(nights[-RECENT:], calibration.bins, calibration.watched, repeated=calibration.repeated)
    recent = {(of.column, of.signal): of for of in last.measure(profile)}
    pairs = [(of, recent.get((of.column, of.signal), of)) for of in whole]
    return [
        of if of.normalised_excess <= near.normalised_excess else replace(near, quantile=of.quantile)
        for of, near in pairs
    ]
