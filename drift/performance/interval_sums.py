"""What rows with an interval around their prediction add to a night's sums, and what follows from these."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from scoring.job import INTERVAL_COLUMNS

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def interval_values(predictions: pa.Table, outcome: Any) -> list[Floats]:
    """Return of each row whether it has an interval, whether that holds the outcome, and its width; 0 without one."""
    if any(name not in predictions.column_names for name in INTERVAL_COLUMNS):
        return [np.zeros(predictions.num_rows)] * 3
    lower, upper = (np.asarray(predictions.column(name).to_numpy(), np.float64) for name in INTERVAL_COLUMNS)
    there, truth = np.isfinite(lower) & np.isfinite(upper), np.asarray(outcome)
    inside = there & (truth >= np.where(there, lower, 0.0)) & (truth <= np.where(there, upper, 0.0))
    return [there.astype(np.float64), inside.astype(np.float64), np.where(there, upper - lower, 0.0)]


def interval_metrics(sums: Floats) -> dict[str, Floats]:
    """Return coverage and mean width of sums of ``interval_values``, shape (…, 3), or nothing where no row has an interval."""
    if sums.shape[-1] < 3 or not sums[..., 0].any():
        return {}
    rows, inside, width = (sums[..., place] for place in range(3))
    return {"coverage": inside / rows, "interval_width": width / rows}
