"""How far one night lies from others, per column: histograms × histograms → distances, with the noise of their sizes.

Every distance comes with the mean and the standard deviation it would have if both sides were drawn from the same
distribution, so that nights of 300 and of a million rows can be held to the same standard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring.rows import Bins, Counts

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

SHAPE, SHIFT, NULLS, UNSEEN = "shape", "shift", "nulls", "unseen"
MEANING = {
    SHAPE: "Jensen-Shannon distance of the histograms, 0 to 1",
    SHIFT: "Wasserstein distance in standard deviations of the baseline",
    NULLS: "change of the share of nulls",
    UNSEEN: "growth of the share of values the reference never had",
}
LARGEST = 99.0
"""Standard deviations at which distances are cut off, so that a result is finite whatever a column holds."""
_LOG2 = np.log(2.0)


@dataclass(frozen=True)
class Column:
    """The counts of one column for some nights, or of several nights together: one row each."""

    bins: Floats
    """Shape (nights, bins)."""
    rows: Floats
    nulls: Floats
    unseen: Floats
    total: Floats
    squares: Floats

    @classmethod
    def of(cls, counts: Sequence[Counts]) -> Column:
        """Return the counts stacked, one row per night."""
        names = ("rows", "nulls", "unseen", "total", "squares")
        stacked = {name: np.array([getattr(night, name) for night in counts], dtype=np.float64) for name in names}
        stacked["nulls"] += np.array([night.wrong for night in counts], dtype=np.float64)  # no value either way
        return cls(bins=np.array([night.bins for night in counts], dtype=np.float64), **stacked)

    @property
    def present(self) -> Floats:
        """Return the number of values of each night."""
        return self.rows - self.nulls

    def sum(self) -> Column:
        """Return all nights together, as one row."""
        return Column(**{name: value.sum(axis=0, keepdims=True) for name, value in vars(self).items()})

    def windows(self, nights: int) -> Column:
        """Return every stretch of ``nights`` nights that follow one another, each together."""
        return Column(**{name: _running(value, nights) for name, value in vars(self).items()})

    def divided(self, nights: int) -> Column:
        """Return the counts of an average night of so many together: shares are the same, and chance is that of one night."""
        return Column(**{name: value / nights for name, value in vars(self).items()})

    def without(self, part: Column) -> Column:
        """Return what remains of one row when each row of ``part`` is taken out of it."""
        return Column(**{name: value - getattr(part, name) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Distance:
    """A distance per night, and what pure chance gives for so many rows. All of shape (nights,)."""

    value: Floats
    noise: Floats
    """Mean of the distance when nothing changed."""
    spread: Floats
    """Standard deviation of it."""

    @property
    def excess(self) -> Floats:
        """Return what chance does not explain on average, at least 0."""
        return np.maximum(self.value - self.noise, 0.0)


def distances(some: Column, base: Column, bins: Bins) -> dict[str, Distance]:
    """Return the distance of every night of ``some`` to ``base``, by signal.

    ``base`` has one row, or one for each night. ``shape`` is a divergence in bits here (the square of the distance).
    """
    by_signal = {SHAPE: _shape(some, base), NULLS: _share(some.nulls, some.rows, base.nulls, base.rows, both=True)}
    if bins.kind == "number":
        by_signal[SHIFT] = _shift(some, base, np.array(bins.edges))
    if bins.kind == "category" or bins.values:
        by_signal[UNSEEN] = _share(some.unseen, some.present, base.unseen, base.present, both=False)
    return by_signal


def _shape(some: Column, base: Column) -> Distance:
    """Jensen-Shannon divergence. Its mean under chance is (bins - 1) / 8 · (1/n + 1/m), in nats, and more in rare bins."""
    n, m = some.bins.sum(axis=1), base.bins.sum(axis=1)
    p, q = _shares(some.bins), _shares(base.bins)
    middle = (p + q) / 2
    value = (_divergence(p, middle) + _divergence(q, middle)) / 2
    value = np.where((n == 0) != (m == 0), 1.0, value)
    noise, spread = _shape_by_chance(q, 1 / (1 / np.maximum(n, 1) + 1 / np.maximum(m, 1)))
    return Distance(value, noise, spread)


def _shape_by_chance(shares: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the divergence of so many rows from the shares they are drawn from, in bits.

    A bin of share q and expected count λ adds q · g(K / λ), with K about Poisson; that the counts add up to the rows
    takes away a degree of freedom, and from the variance what goes linearly with the counts (Morris 1975).
    """
    expected = np.maximum(shares * rows[:, None], _EXPECTED[0])
    mean, variance, covariance = (np.interp(np.log(expected), np.log(_EXPECTED), values) for values in _BY_CHANCE)
    total = (shares * mean / expected).sum(axis=1) - 1 / (8 * rows)
    free = (shares**2 * variance / expected**2).sum(axis=1)
    rest = free - (shares * covariance / expected).sum(axis=1) ** 2 / rows - 1 / (32 * rows**2)
    return np.maximum(total, 0.0) / _LOG2, np.sqrt(np.maximum(rest, 0.0)) / _LOG2


def _chance_by_expected(expected: Floats) -> tuple[Floats, Floats, Floats]:
    """Return λ · mean and λ² · variance of g(K / λ), and λ · its covariance with K, for K ~ Poisson(λ).

    They are constant when λ is large. With x = K / λ, a bin's part of the divergence by its share is
    g(x) = (x ln x - (1 + x) ln((1 + x) / 2)) / 2: near 1, (x - 1)² / 8.
    """
    counts = np.arange(int(expected[-1] + 12 * np.sqrt(expected[-1])) + 12, dtype=np.float64)
    logs = np.concatenate([[0.0], np.cumsum(np.log(counts[1:]))])
    chance = np.exp(counts * np.log(expected)[:, None] - expected[:, None] - logs)
    x = counts / expected[:, None]
    part = (x * np.log(np.maximum(x, 1e-300)) - (1 + x) * np.log((1 + x) / 2)) / 2
    mean = (chance * part).sum(axis=1)
    centred = part - mean[:, None]
    covariance = (chance * centred * (counts - expected[:, None])).sum(axis=1)
    return mean * expected, (chance * centred**2).sum(axis=1) * expected**2, covariance * expected


def _shares(counts: Floats) -> Floats:
    total = counts.sum(axis=1, keepdims=True)
    return np.asarray(counts / np.maximum(total, 1))


def _divergence(p: Floats, middle: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(p > 0, p * np.log(p / middle), 0.0).sum(axis=1) / _LOG2)


def _shift(some: Column, base: Column, edges: Floats) -> Distance:
    """Wasserstein distance between the inner edges, at least the distance of the means, over the baseline's sd."""
    n, m = np.maximum(some.present, 1), np.maximum(base.present, 1)
    mean, base_mean = some.total / n, base.total / m
    sd = np.sqrt(np.maximum(base.squares / m - base_mean**2, 0.0))
    sd = np.maximum(sd, 1e-9 * np.maximum(np.abs(base_mean), 1.0))
    p, q = np.cumsum(_shares(some.bins), axis=1)[:, :-1], np.cumsum(_shares(base.bins), axis=1)[:, :-1]
    between = np.abs(p - q)
    area = ((between[:, 1:] + between[:, :-1]) / 2 * np.diff(edges)).sum(axis=1) if len(edges) > 1 else np.zeros(len(n))
    value = np.minimum(np.maximum(area, np.abs(mean - base_mean)) / sd, LARGEST)
    value = np.where((some.present > 0) & (base.present > 0), value, 0.0)
    chance = np.sqrt(1 / n + 1 / m)
    return Distance(value, 1.2 * chance, 0.6 * chance)


def _share(some: Floats, of: Floats, base: Floats, base_of: Floats, both: bool) -> Distance:
    n, m = np.maximum(of, 1), np.maximum(base_of, 1)
    change = some / n - base / m
    expected = (base + 0.5) / (m + 1)
    spread = np.sqrt(expected * (1 - expected) * (1 / n + 1 / m))
    value = np.abs(change) if both else np.maximum(change, 0.0)
    return Distance(value, (0.8 if both else 0.4) * spread, spread)


def _running(values: Floats, nights: int) -> Floats:
    total = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), axis=0)
    return np.asarray(total[nights:] - total[:-nights])


_EXPECTED = np.geomspace(1e-3, 1e3, 121)
"""Expected counts of a bin at which the moments of ``g`` are tabulated. Below 1e-3 they hardly change; above 1e3 ``g`` is
practically quadratic, so that the scaled moments are constant: the ends of the table serve beyond it."""
_BY_CHANCE = _chance_by_expected(_EXPECTED)
