"""Did it hurt: published predictions against the outcomes that came later."""

from drift.performance.estimate import estimate
from drift.performance.metrics import (
    LOSS_UNITS,
    UNITS,
    Floats,
    compact,
    difference,
    expanded,
    losses_of,
    metrics_of,
    outcome_sums,
    reliability,
    with_intervals,
)
from drift.performance.outcomes import nights_of, outcomes_of, sums_by_night

__all__ = [
    "LOSS_UNITS",
    "UNITS",
    "Floats",
    "compact",
    "difference",
    "estimate",
    "expanded",
    "losses_of",
    "metrics_of",
    "nights_of",
    "outcome_sums",
    "outcomes_of",
    "reliability",
    "sums_by_night",
    "with_intervals",
]
