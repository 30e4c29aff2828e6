"""Columns of numbers, and columns of few different values, as an evaluator takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Coded:
    """A column of few different values."""

    places: np.ndarray
    """Place of each row's value among the levels, (rows,) of intp."""
    levels: np.ndarray
    """The different values, null as NaN."""

    @property
    def values(self) -> np.ndarray:
        """Return the value of each row."""
        return np.asarray(self.levels[self.places])


Column = np.ndarray | Coded
