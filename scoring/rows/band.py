"""How far outcomes lie from predicted values: what the interval around a prediction is made of.

Split conformal prediction (Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005) on predictions by pipelines
that were fitted without the rows' nights, with residuals in units of what is usual of predictions of that size (Lei et al.,
Distribution-Free Predictive Inference for Regression, 2018). Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
SIZES = 20
"""Groups of predictions of about the same size, each with as many rows, whose usual residuals are told apart, at most."""
GROUP_ROWS = 100
"""Rows of a group at least: the mean of few residuals would follow each of them, and hide how large they can be."""
LEAST_ROWS = 100
"""Rows with an outcome below which there is no interval: the 5 % at an end would be fewer than five rows."""
RANKS = 2_001
"""Residuals that are kept, at evenly spaced ranks with both farthest ones: between two of them lies 0.05 % of the rows."""
_LEAST_SHARE = 1e-9
"""Least usual residual, as a share of the largest predicted value: a pipeline that is always right has none."""


@dataclass(frozen=True, eq=False)
class Band:
    """The residuals of a version on rows that it did not know: usual size by predicted value, and their distribution."""

    rows: int
    """Rows with an outcome that it comes from."""
    sizes: Floats
    """Mean predicted value of each group of predictions, ascending."""
    usual: Floats
    """Mean absolute residual of each group."""
    residuals: Floats
    """Outcome less prediction, in units of the usual residual, ascending, at evenly spaced ranks."""

    @classmethod
    def of(cls, predicted: Floats, outcome: Floats) -> Self | None:
        """Return the band of predictions and outcomes, row by row, or None for fewer than 100 rows with both.

        >>> band = Band.of(np.arange(200.0), np.arange(200.0) + np.tile([1.0, -1.0], 100))
        >>> [float(ends[0]) for ends in band.limits(np.array([7.0]), 0.1)]
        [6.0, 8.0]
        """
        there = np.isfinite(predicted) & np.isfinite(outcome)
        predicted, residual = predicted[there], (outcome - predicted)[there]
        if len(predicted) < LEAST_ROWS:
            return None
        order = np.argsort(predicted, kind="stable")
        parts = np.array_split(order, min(SIZES, len(order) // GROUP_ROWS))
        sizes, group = np.unique([predicted[part].mean() for part in parts], return_inverse=True)  # equal ones are one
        sums = np.bincount(group, [np.abs(residual[part]).sum() for part in parts])
        usual = sums / np.bincount(group, [len(part) for part in parts])
        usual = np.maximum(usual, _LEAST_SHARE * max(float(np.abs(predicted).max()), 1.0))
        units = np.sort(residual / np.interp(predicted, sizes, usual))
        ranks = np.unique(np.linspace(0, len(units) - 1, min(RANKS, len(units))).round().astype(int))
        return cls(len(units), sizes, usual, units[ranks])

    def limits(self, predicted: Floats, miss: float) -> tuple[Floats, Floats]:
        """Return the ends of the intervals that are to miss a share ``miss`` of the outcomes, half of it at either end."""
        unit = np.interp(predicted, self.sizes, self.usual)
        below, above = self._reach(-self.residuals[::-1], miss), self._reach(self.residuals, miss)
        return predicted - below * unit, predicted + above * unit

    def _reach(self, ascending: Floats, miss: float) -> float:
        """Return how many units an end lies away, so that half of ``miss`` is to lie beyond it.

        The rank has the one more of conformal prediction. Beyond the farthest residual the end moves on in proportion, so
        that an adaptive interval has no end of widening (Angelopoulos, Candès, Tibshirani, Conformal PID Control, 2023).
        """
        least = 2 / (self.rows + 1)
        share = max(1 - max(miss, least) / 2, 0.5) * (self.rows + 1) / self.rows
        place = min(int(np.ceil(share * (len(ascending) - 1))), len(ascending) - 1)
        reach = float(ascending[place])
        return reach if miss >= least else reach + (least - miss) * max(float(np.abs(ascending).max()), 1.0)

    def as_dict(self) -> dict[str, Any]:
        """Return the band for JSON."""
        parts = {name: getattr(self, name).tolist() for name in ("sizes", "usual", "residuals")}
        return {"rows": self.rows, **parts}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the band that ``as_dict`` gave."""
        parts = (np.asarray(content[name], dtype=np.float64) for name in ("sizes", "usual", "residuals"))
        return cls(int(content["rows"]), *parts)
