"""Equality of numbers to the last bit."""

from __future__ import annotations

import numpy as np


def unequal(output: np.ndarray, expected: np.ndarray) -> int:
    """Return the number of rows in which a bit differs, or all if shapes or types do. NaN equals NaN."""
    if output.shape != expected.shape or output.dtype != expected.dtype:
        return len(expected)
    nan = np.isnan(output) & np.isnan(expected)
    kind = f"i{output.dtype.itemsize}"
    same = nan | (np.ascontiguousarray(output).view(kind) == np.ascontiguousarray(expected).view(kind))
    return int((~same.reshape(len(same), -1).all(axis=1)).sum())
