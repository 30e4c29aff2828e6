"""One night × a baseline × the nights before → a verdict: ``ok``, ``warn`` or ``alert``, with the reasons in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

import numpy as np

from drift.verdict.calibration import FLOORS, NOISE, Measurement, calibrate, measured_against
from drift.verdict.detectable import blind_spots
from drift.verdict.distance import MEANING, NULLS, SHAPE, SHIFT, UNSEEN
from drift.verdict.matched import BREADTH, SCALE, Dated, matched
from scoring.job import Job, MonitorPolicy, Role
from scoring.rows import PROBABILITY_GRID, PROFILED_PREDICTION, Bins, Counts, Profile, merged

Level = Literal["ok", "warn", "alert"]
Status = Literal["ok", "unusual", "gross", "fault", "not compared"]
UNUSUAL: tuple[Status, ...] = ("unusual", "gross", "fault")
QUARANTINED = "quarantined"
WORDS = {
    SHAPE: "values are spread differently",
    SHIFT: "values have moved",
    NULLS: "the share of nulls changed",
    UNSEEN: "values appear that training never had",
    SCALE: "all values were multiplied by about the same",
    BREADTH: "values are missing everywhere",
    QUARANTINED: "rows were quarantined because of it",
}
_MATCHED = {
    SCALE: "logarithm of the factor that three of four quantiles have moved by at least",
    BREADTH: "change of the share of nulls in the middle half of the strata",
}
MEANINGS = {**MEANING, **_MATCHED, QUARANTINED: "share of rows that were quarantined because of the column"}
_QUARANTINE_UNUSUAL = FLOORS[NULLS]
"""Least share of quarantined rows that is unusual: the floor of nulls, because a forbidden null is quarantined."""
_CONSTANT_ROWS = 30
"""Rows from which on a column with one value is a fault: fewer rows may have the same value by chance."""


@dataclass(frozen=True)
class ColumnResult:
    """What a night is like in one column: its most unusual signal, and its fault if it has one."""

    column: str
    role: Role
    weight: float
    status: Status
    signal: str
    value: float = 0.0
    threshold: float = 0.0
    ratio: float = 0.0
    """The normalised excess of the most unusual signal, at most 999."""
    beyond: float = 0.0
    """Share of the baseline's nights that lay nearer, by the most unusual signal."""
    fault: str | None = None
    signals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Per signal its distance, and the distance above which it is unusual."""
    sustained: float = 0.0
    """Ratio of the last 7 nights together next to the training nights: above 1 the column has left the training data."""

    @property
    def unusual(self) -> bool:
        """Return whether the night is unusual in this column."""
        return self.status in UNUSUAL

    @property
    def drifted(self) -> bool:
        """Return whether a monitored column has left the training data for a week."""
        return self.sustained > 1 and self.role == "monitored"

    @property
    def sentence(self) -> str:
        """Return what happened, in words and with the numbers."""
        if self.fault is not None:
            return f"{self.column}: {self.fault}"
        return (
            f"{self.column}: {WORDS[self.signal]} ({self.signal} {self.value:.3f}, unusual above {self.threshold:.3f}, "
            f"ratio {self.ratio:.1f})"
        )


@dataclass(frozen=True)
class Verdict:
    """What a night's drift means."""

    verdict: Level
    reasons: tuple[str, ...]
    columns: tuple[ColumnResult, ...]
    score: float
    """Largest ratio of a monitored column."""
    limit: float
    """Ratio above which a column counts as unusual, all columns considered."""
    baseline_nights: int

    @property
    def faults(self) -> list[str]:
        """Return what is broken, not merely different, one sentence each."""
        return [column.sentence for column in self.columns if column.fault is not None and column.role != "ignored"]

    @property
    def drifted_weight(self) -> float:
        """Return the share of the model's importance whose columns have left the training data for a week."""
        return sum(column.weight for column in self.columns if column.drifted)

    @property
    def drifted_columns(self) -> list[str]:
        """Return the columns behind ``drifted_weight``, the weightiest first."""
        drifted = [column for column in self.columns if column.drifted and column.weight > 0]
        return [column.column for column in sorted(drifted, key=lambda column: -column.weight)]


@dataclass(frozen=True)
class Night:
    """What is compared: a night's profile, and the rows that each column sent to quarantine."""

    profile: Profile
    quarantined: Mapping[str, int] = field(default_factory=dict)

    @property
    def extracted(self) -> int:
        """Return the rows before quarantine, or more: a row with two reasons counts twice."""
        return self.profile.rows + max(self.quarantined.values(), default=0)


@dataclass(frozen=True)
class Baseline:
    """What a night is compared with."""

    bins: Mapping[str, Bins]
    nights: Sequence[Profile]
    weights: Mapping[str, float] = field(default_factory=dict)
    quarantined: Mapping[str, float] = field(default_factory=dict)
    """Share of rows that each column sent to quarantine at training."""
    days: Sequence[date] = ()
    """The dates of ``nights``. Without them no level is expected of a weekday."""
    lately: Dated | None = None
    """Tonight, after the one or two nights directly before it."""


def roles_of(job: Job) -> dict[str, Role]:
    """Return the role of every profiled column. The prediction is monitored, the grid of probabilities is not."""
    roles: dict[str, Role] = {name: feature.role for name, feature in job.features.items()}
    return {**roles, PROFILED_PREDICTION: "monitored", PROBABILITY_GRID: "ignored"}


def watched_of(job: Job) -> set[str]:
    """Return the columns that may alarm."""
    return {name for name, role in roles_of(job).items() if role == "monitored"}


def judge(
    night: Night,
    baseline: Baseline,
    job: Job,
    before: Sequence[Mapping[str, bool]] = (),
    sustained: Mapping[str, float] | None = None,
) -> Verdict:
    """Return the verdict on a night.

    ``before`` says for the nights before, newest last, which columns were unusual; ``sustained`` gives each column's
    ratio of the last 7 nights to the training nights. Whatever a column holds, it gets a finite result, and the others
    get theirs.
    """
    roles = roles_of(job)
    calibration = calibrate(baseline.nights, baseline.bins, watched_of(job), repeated=job.is_snapshot)
    limit = calibration.familywise_limit if baseline.nights else 1.0
    measured: dict[str, list[Measurement]] = {}
    signals = measured_against(baseline.nights, calibration, night.profile)
    if baseline.lately is not None and not job.is_snapshot:  # entities that come again say little of usual nights
        signals += matched(Dated(baseline.days, baseline.nights), baseline.lately, baseline.bins)
    for measurement in signals:
        measured.setdefault(measurement.column, []).append(measurement)
    usual = merged(baseline.nights)
    results = []
    for name in (name for name in roles if name != PROBABILITY_GRID):
        result = _column(name, roles[name], night, measured.get(name, []), baseline)
        result = _with_fault(result, night, usual.columns.get(name), baseline, name)
        result = replace(result, sustained=(sustained or {}).get(name, 0.0))
        results.append(_with_status(result, limit, job.monitor))
    return _verdict(results, before, limit, len(baseline.nights), job.monitor)


def _column(name: str, role: Role, night: Night, measured: list[Measurement], baseline: Baseline) -> ColumnResult:
    """Return the column's most unusual signal."""
    rows = max(night.extracted, 1)
    share, usual = night.quarantined.get(name, 0) / rows, baseline.quarantined.get(name, 0.0)
    chance = max(usual, 1 / rows) / rows
    tolerance = float(np.sqrt(_QUARANTINE_UNUSUAL**2 + NOISE**2 * chance))
    normalised = max(share - usual, 0.0) / tolerance
    signals = [*measured, Measurement(name, QUARANTINED, share, usual + tolerance, normalised, 0.0)]
    worst = max(signals, key=lambda measurement: measurement.normalised_excess)
    pairs = {measurement.signal: _as_shown(measurement) for measurement in signals}
    weight = baseline.weights.get(name, 0.0)
    ratio = min(worst.normalised_excess, 999.0)
    return ColumnResult(
        name, role, weight, "ok", worst.signal, *pairs[worst.signal], ratio, worst.quantile, signals=pairs
    )


def _as_shown(measurement: Measurement) -> tuple[float, float]:
    """Return value and threshold. The divergence that ``shape`` is measured by becomes a distance, its square root."""
    if measurement.signal == SHAPE:
        return float(max(measurement.value, 0.0)) ** 0.5, min(float(measurement.threshold), 1.0) ** 0.5
    return measurement.value, measurement.threshold


def _with_fault(
    result: ColumnResult, night: Night, usual: Counts | None, baseline: Baseline, name: str
) -> ColumnResult:
    """Return the result, with what is wrong with the column."""
    counts = night.profile.columns.get(name)
    if usual is None:
        return replace(result, status="not compared")
    if night.profile.rows == 0:
        return replace(result, fault="no rows tonight")
    if counts is None:
        return replace(result, fault="the column is missing")
    fault = _fault_of(counts, usual)
    if fault is None and result.role != "seasonal":  # one night of weather may be the hottest, or the same all day
        fault = _degenerate(counts, usual, any(past.columns[name].constant for past in baseline.nights))
    return replace(result, fault=fault)


def _fault_of(counts: Counts, usual: Counts) -> str | None:
    if usual.present and counts.nulls == counts.rows:
        return f"all {counts.rows:,} values are null; {usual.nulls / max(usual.rows, 1):.1%} are in the baseline"
    if counts.wrong > 0.01 * counts.rows:
        return f"{counts.wrong:,} of {counts.rows:,} values are not finite or of another type than at training"
    return None


def _degenerate(counts: Counts, usual: Counts, ever_constant: bool) -> str | None:
    if counts.constant and not ever_constant and counts.present >= _CONSTANT_ROWS:
        return f"all {counts.present:,} values are the same one; no night of the baseline was so"
    if None in (counts.low, counts.high, usual.low, usual.high):
        return None
    if counts.low > usual.high + usual.sd or counts.high < usual.low - usual.sd:  # type: ignore[operator]
        return "every value lies outside the range of the baseline"
    return None


def _with_status(result: ColumnResult, limit: float, policy: MonitorPolicy) -> ColumnResult:
    if result.fault is not None:
        return replace(result, status="fault")
    if result.status == "not compared" or result.ratio <= limit:
        return result
    return replace(result, status="gross" if result.ratio > max(policy.alert_ratio, limit) else "unusual")


def _verdict(
    results: list[ColumnResult], before: Sequence[Mapping[str, bool]], limit: float, nights: int, policy: MonitorPolicy
) -> Verdict:
    """Alert: a fault or a gross change of a monitored column, or one that lasts. Warn: anything unusual."""
    needed, of = policy.persistence
    monitored = [column for column in results if column.role == "monitored"]
    recent = list(before)[-(of - 1) :] if of > 1 else []
    alerts, warnings = [], []
    for column in monitored:
        times = 1 + sum(past.get(column.column, False) for past in recent)
        if column.status in ("gross", "fault"):
            alerts.append(column.sentence)
        elif column.unusual and times >= needed:
            alerts.append(f"{column.sentence}, on {times} of the last {len(recent) + 1} nights")
        elif column.unusual:
            warnings.append(column.sentence)
    if not nights:
        warnings.append("nothing to compare with: the model version keeps no training nights; train a new version")
    warnings += [column.sentence for column in results if column.role == "seasonal" and column.fault is not None]
    level: Level = "alert" if alerts else "warn" if warnings else "ok"
    score = max((column.ratio for column in monitored), default=0.0)
    unseen = [] if level == "alert" else blind_spots({column.column: column.signals for column in monitored})
    return Verdict(level, (*alerts, *warnings, *unseen), tuple(results), score, limit, nights)
