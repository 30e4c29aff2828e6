"""Cells: the ranges between the thresholds of a column, so that all splits of a model on a value become one small number."""

from __future__ import annotations

import numpy as np

_BUCKETS = (64, 256, 1024, 4096, 16_384)
"""Sizes of the table that finds a value's cell. Larger ones no longer stay in the processor's cache."""
_MOST_ROUNDS = 3
"""Thresholds in one bucket beyond which a binary search is faster."""
LEVELS = 256
"""Cells of a column of category codes: 0 to 254, and the last for a null or a code out of range."""


class Cells:
    """The cells of a column of numbers.

    A value's cell is the number of thresholds that lie below it. It is read off a table of equal buckets, whose exact place
    does not matter: rounding keeps order, so a threshold of a lower bucket is smaller and one of a higher bucket larger.
    Within a bucket the value itself is compared.
    """

    def __init__(self, thresholds: np.ndarray) -> None:
        """Make the cells of ``thresholds``: sorted, without repeats and NaN."""
        self.thresholds = thresholds
        self.missing = len(thresholds) + 1
        self.size = len(thresholds) + 2
        self._rounds: list[np.ndarray] = []
        finite = thresholds[np.isfinite(thresholds)]
        with np.errstate(all="ignore"):
            if len(finite) and np.isfinite(finite[-1] - finite[0]) and not np.isneginf(thresholds[0]):
                self._fill_buckets(finite)

    def _fill_buckets(self, finite: np.ndarray) -> None:
        self._low, self._high = finite[0], finite[-1]
        for buckets in _BUCKETS:
            self._scale = (buckets - 1) / (self._high - self._low) if self._high > self._low else 0.0
            if not np.isfinite(self._scale):  # denormal distances
                return
            counts = np.bincount(self._buckets(finite), minlength=buckets)
            if counts.max() <= 1:
                break
        if counts.max() > _MOST_ROUNDS:
            return
        self._first = (np.cumsum(counts) - counts).astype(np.intp)
        for turn in range(counts.max()):
            compared, filled = np.full(len(counts), np.inf), counts > turn
            compared[filled] = finite[self._first[filled] + turn]
            self._rounds.append(compared)

    def _buckets(self, values: np.ndarray) -> np.ndarray:
        near = np.fmin(np.fmax(values, self._low), self._high)  # a NaN falls into the first bucket
        near -= self._low
        near *= self._scale
        return np.asarray(near, dtype=np.float64).astype(np.intp)

    def of(self, values: np.ndarray, out: np.ndarray) -> None:
        """Write the cell of each value into ``out``, shape (rows,) of intp."""
        if self._rounds:
            buckets = self._buckets(values)
            self._first.take(buckets, out=out, mode="clip")
            for compared in self._rounds:
                out += values > compared.take(buckets, mode="clip")
        else:
            out[:] = self.thresholds.searchsorted(values)
        missing = np.isnan(values)
        if missing.any():
            out[missing] = self.missing


class Levels:
    """The cells of a column of category codes."""

    thresholds = np.zeros(0)
    missing = LEVELS - 1
    size = LEVELS

    def of(self, values: np.ndarray, out: np.ndarray) -> None:
        """Write the cell of each code into ``out``, shape (rows,) of intp. What is no code is missing."""
        codes = np.nan_to_num(values, nan=self.missing, posinf=self.missing, neginf=self.missing)
        out[:] = np.where((codes < 0) | (codes >= self.missing), self.missing, codes)
