"""Estimates a night's performance before its labels are there, from its probabilities and the calibration at training."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.performance.metrics import TINY, finite
from scoring.rows import PROBABILITY_GRID, Profile


def estimate(profile: Profile, reference: pa.Table | None) -> dict[str, float | None] | None:
    """Return the metrics that a binary classifier would have if its reference calibration still held.

    Confidence-based performance estimation (CBPE): the chance of each outcome follows from the probability, through an
    isotonic map fitted on out-of-fold predictions. It sees changes of the inputs, never one of the concept.
    ``reference`` has the columns ``probability`` and ``outcome``. None when there is nothing to estimate from.
    """
    from sklearn.isotonic import IsotonicRegression  # 2 s, which the pages do without

    counts = profile.columns.get(PROBABILITY_GRID)
    if counts is None or counts.present == 0 or reference is None or "probability" not in reference.schema.names:
        return None
    labelled = reference.filter(pc.is_valid(reference.column("outcome")))
    if labelled.num_rows == 0:
        return None
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    fitted.fit(
        np.asarray(labelled.column("probability")), np.asarray(pc.cast(labelled.column("outcome"), pa.float64()))
    )
    n = np.asarray(counts.bins, dtype=np.float64)
    p = (np.arange(len(n)) + 0.5) / len(n)
    chance = fitted.predict(p)
    total = n.sum()
    positive, negative = n * chance, n * (1 - chance)
    loss = -(positive * np.log(p) + negative * np.log1p(-p)).sum() / total
    brier = (positive * np.square(1 - p) + negative * np.square(p)).sum() / total
    below = np.cumsum(negative) - negative / 2
    auc = (positive * below).sum() / max(positive.sum() * negative.sum(), TINY)
    metrics = {"log_loss": loss, "brier": brier, "auc": auc, "base_rate": positive.sum() / total}
    return {name: finite(float(value)) for name, value in metrics.items()}
