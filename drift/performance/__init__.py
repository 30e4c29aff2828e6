"""Did it hurt: published predictions against the outcomes that came later."""

from drift.performance.breaks import Break, break_of, breaks
from drift.performance.coarse import coarse, fine, leading, widths
from drift.performance.constant import Constant, Gap
from drift.performance.coverage import Coverage, CoverageStandard, coverage_of, missed_shares, with_coverage
from drift.performance.estimate import estimate
from drift.performance.group_scores import NightScores, difference_of, intervals_of
from drift.performance.judgement import WORSE, Judgement, Standard, broken_since, judge
from drift.performance.metrics import (
    LOSS_UNITS,
    UNITS,
    Floats,
    Interval,
    block_sums,
    compact,
    difference,
    losses_of,
    metrics_of,
    outcome_sums,
    reliability,
    stacked,
    with_intervals,
)
from drift.performance.outcomes import Outcomes, nights_of, outcomes_of, sums_by_group, sums_by_night
from drift.performance.panel import GROUP, GROUPS, Panel, groups_of
from drift.performance.training_nights import spread_among
from drift.performance.usual import Nightly, Usual

__all__ = [
    "GROUP",
    "GROUPS",
    "LOSS_UNITS",
    "UNITS",
    "WORSE",
    "Break",
    "Constant",
    "Coverage",
    "CoverageStandard",
    "Floats",
    "Gap",
    "Interval",
    "Judgement",
    "NightScores",
    "Nightly",
    "Outcomes",
    "Panel",
    "Standard",
    "Usual",
    "block_sums",
    "break_of",
    "breaks",
    "broken_since",
    "coarse",
    "compact",
    "coverage_of",
    "difference",
    "difference_of",
    "estimate",
    "fine",
    "groups_of",
    "intervals_of",
    "judge",
    "leading",
    "losses_of",
    "metrics_of",
    "missed_shares",
    "nights_of",
    "outcome_sums",
    "outcomes_of",
    "reliability",
    "spread_among",
    "stacked",
    "sums_by_group",
    "sums_by_night",
    "widths",
    "with_coverage",
    "with_intervals",
]
