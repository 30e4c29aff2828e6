"""What is normal: the distances of past nights from each other → how far a night may lie before it is unusual.

Weather, holidays and timetables make every night different from the others, so thresholds come from whole nights, each
compared with the rest, never from rows drawn at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from drift.verdict.distance import NULLS, SHAPE, SHIFT, UNSEEN, Column, Distance, Floats, distances
from scoring.rows import Bins, Profile

FLOORS = {SHAPE: 0.002, SHIFT: 0.05, NULLS: 0.01, UNSEEN: 0.005}
"""The least excess that can be unusual, whatever the nights were like; ``shape`` in bits."""
NEW_VALUES = 0.05
"""That of ``unseen`` in a number column: numbers go on to take values they never had; a new unit gives them in bulk."""
NOISE = 3.0
"""How many standard deviations of chance a small night may add."""


@dataclass(frozen=True)
class Threshold:
    """How far a night may lie from the baseline in one column and signal."""

    reach: float
    """Excess over chance that counts as unusual for a night of typical size."""
    spread: float
    """Standard deviation of chance that the nights had while this was found."""

    def tolerance(self, spread: Floats) -> Floats:
        """Return the excess that counts as unusual for nights whose chance has the given spread."""
        more = np.maximum((NOISE * spread) ** 2 - (NOISE * self.spread) ** 2, 0.0)
        return np.sqrt(self.reach**2 + more)


@dataclass(frozen=True)
class Measured:
    """One column and signal of one night."""

    column: str
    signal: str
    value: float
    threshold: float
    ratio: float
    """Excess over chance by what is unusual for this column and signal; the family's limit says when a night is."""
    beyond: float
    """Share of the baseline's nights that lay nearer."""


@dataclass(frozen=True)
class Calibration:
    """A baseline of nights and what is unusual next to it."""

    bins: Mapping[str, Bins]
    columns: Mapping[str, Column]
    """Per column, the baseline's nights, one row each (or windows of several nights)."""
    window: int
    watched: frozenset[str]
    """The columns that count for the family's limit."""

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
            for signal, distance in distances(parts, column.sum().without(parts), self.bins[name]).items():
                by_signal[name, signal] = distance
        return by_signal

    @cached_property
    def thresholds(self) -> dict[tuple[str, str], Threshold]:
        """Return the threshold of every column and signal: the largest excess of any baseline night, with a floor."""
        return {
            (name, signal): Threshold(
                _reach(distance.excess, self._few, self._floor(name, signal)), float(np.median(distance.spread))
            )
            for (name, signal), distance in self._past.items()
        }

    @cached_property
    def family(self) -> float:
        """Return the ratio above which a night as a whole is unusual, all watched columns and signals considered.

        Every baseline night is held to what the others alone would have allowed; of the largest ratios, one per night,
        the limit is the 97th percentile, but at least 1 and at most 1.5: one blizzard blinds nobody.
        """
        largest = np.zeros(1)
        for (name, signal), distance in self._past.items():
            if name in self.watched:
                allowed = np.maximum(_largest_of_others(distance.excess) * self._few, self._floor(name, signal))
                largest = np.maximum(largest, distance.excess / allowed)
        return float(np.clip(np.quantile(largest, 0.97, method="higher"), 1.0, 1.5))

    def _floor(self, name: str, signal: str) -> float:
        return NEW_VALUES if signal == UNSEEN and self.bins[name].kind == "number" else FLOORS[signal]

    @property
    def _few(self) -> float:
        """How much more is allowed for having few nights: the largest of ten is exceeded oftener than that of ninety."""
        return 1 + 10 / max(self.nights, 1)

    def measure(self, profile: Profile) -> list[Measured]:
        """Return every signal of every column of a night (or window) that the baseline knows."""
        measurements = []
        for name, column in self.columns.items():
            if name not in profile.columns:
                continue
            tonight = Column.of([profile.columns[name]])
            for signal, distance in distances(tonight, column.sum(), self.bins[name]).items():
                limit = self.thresholds[name, signal]
                tolerance = limit.tolerance(distance.spread)
                ratio = float((distance.excess / tolerance)[0])
                allowed = float((distance.noise + tolerance)[0])
                nearer = float(np.mean(self._past[name, signal].excess < distance.excess[0]))
                value = float(distance.value[0])
                measurements.append(Measured(name, signal, value, allowed, ratio, nearer))
        return measurements


def _reach(excess: Floats, few: float, floor: float) -> float:
    return max(float(np.max(excess, initial=0.0)) * few, floor)


def _largest_of_others(values: Floats) -> Floats:
    """Return, for every value, the largest of the others."""
    order = np.argsort(values)
    largest = np.full(len(values), values[order[-1]])
    if len(values) > 1:
        largest[order[-1]] = values[order[-2]]
    return largest


def calibrate(nights: Sequence[Profile], bins: Mapping[str, Bins], watched: Set[str], window: int = 1) -> Calibration:
    """Return the calibration on a baseline of nights, oldest first; ``window`` compares stretches of so many nights."""
    names = [name for name in bins if all(name in night.columns for night in nights)] if nights else []
    columns = {name: Column.of([night.columns[name] for night in nights]) for name in names}
    return Calibration(bins, columns, window, frozenset(watched))
