"""Did it hurt: published predictions against the outcomes that came later."""

from drift.performance.coarse import coarse, fine, leading, widths
from drift.performance.estimate import estimate
from drift.performance.group_scores import NightScores, difference_of, intervals_of
from drift.performance.metrics import (
    LOSS_UNITS,
    UNITS,
    Floats,
    Interval,
    block_sums,
    compact,
    difference,
    expanded,
    losses_of,
    metrics_of,
    outcome_sums,
    reliability,
    with_intervals,
)
from drift.performance.outcomes import Outcomes, nights_of, outcomes_of, sums_by_group, sums_by_night
from drift.performance.panel import GROUP, GROUPS, Panel, groups_of

__all__ = [
    "GROUP",
    "GROUPS",
    "LOSS_UNITS",
    "UNITS",
    "Floats",
    "Interval",
    "NightScores",
    "Outcomes",
    "Panel",
    "block_sums",
    "coarse",
    "compact",
    "difference",
    "difference_of",
    "estimate",
    "expanded",
    "fine",
    "groups_of",
    "intervals_of",
    "leading",
    "losses_of",
    "metrics_of",
    "nights_of",
    "outcome_sums",
    "outcomes_of",
    "reliability",
    "sums_by_group",
    "sums_by_night",
    "widths",
    "with_intervals",
]
