"""Measured performance × what is usual of the version → a verdict: ``ok``, ``warn`` or ``alert``, with the reasons in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa

from drift.performance.breaks import Break, break_of
from drift.performance.constant import CONFIDENCE, LEAST_ROWS, Constant, Gap
from drift.performance.group_scores import NightScores, spread_of_metric
from drift.performance.metrics import Floats, metrics_of
from drift.performance.outcomes import nights_of, sums_by_group, sums_by_night
from drift.performance.panel import GROUP, Spread
from drift.performance.training_nights import night_spread
from drift.performance.usual import LEAST_NIGHTS, Nightly, Usual, least_spread
from scoring.job import Job

Level = Literal["ok", "warn", "alert"]
WARN, ALERT = 0.99, 0.998
"""Confidence of the interval that must lie wholly above what is allowed: of 1,000 nights that are as usual, one is an alert."""
WINDOWS = {"night": (1, 1), "7": (7, LEAST_NIGHTS), "28": (28, 8)}
"""Nights that are judged together, and how many there must be: fewer than 8 would be the week again."""

WORSE = "worse than always saying"
"""How the reason begins that a night was worse than a constant."""


@dataclass(frozen=True)
class Standard:
    """What nights of a version are held against: its holdout, night by night, and the constant known at training."""

    holdout: Nightly
    usual: Usual | None
    least: float
    """Least standard deviation of a night."""
    allowed: float
    """Rise of the metric that is allowed (``retraining.max_loss``), in its unit."""
    constant: Constant | None

    @classmethod
    def of(cls, held_out: pa.Table | None, reference: pa.Table | None, job: Job) -> Self | None:
        """Return what a version is held against, from its holdout and the sample of its training rows, or None without one."""
        if held_out is None or held_out.num_rows == 0:
            return None
        days = nights_of(held_out.column("night"))
        holdout = Nightly.of(days, sums_by_night(held_out, job), job)
        spread = night_spread(reference, float(np.median(holdout.rows)), job)
        standard = cls.of_sums(days, sums_by_night(held_out, job), job, spread, _spread(held_out, days, job))
        return replace(standard, constant=Constant.of(reference, job))

    @classmethod
    def of_sums(
        cls, days: Sequence[date], sums: Floats, job: Job, least: float = 0.0, spread: Spread | None = None
    ) -> Self:
        """Return what a version is held against, from the sums of its holdout nights, shape (nights, sums).

        ``least`` is the least standard deviation of a night; ``spread`` that of the level of a snapshot job.
        """
        holdout, least = Nightly.of(days, sums, job), max(least, least_spread(sums, job))
        level = float(metrics_of(sums.sum(axis=0), job)[job.task.loss_metric])
        return cls(holdout, Usual.of(holdout, job, least, spread), least, job.retraining.max_loss * level, None)

    def break_of(self, nights: Nightly, job: Job) -> Break:
        """Return whether nights of the version since its training, oldest first, have become worse for good."""
        return break_of(self.holdout, nights, job, self.least, self.allowed)


def _spread(held_out: pa.Table, days: Sequence[date], job: Job) -> Spread | None:
    """Return how far chance moves the holdout's level where entities come again every night, or None for events."""
    if not job.is_snapshot or GROUP not in held_out.column_names:
        return None
    scores = [NightScores.of(*of, job) for of in zip(days, sums_by_group(held_out, job), strict=True)]
    return spread_of_metric(scores, job.task.primary_metric, job)


@dataclass(frozen=True)
class Rise:
    """How far nights lie above the holdout, with the interval that has in it how far nights differ."""

    nights: int
    value: float
    low: float
    high: float
    confidence: float
    verdict: Level

    @classmethod
    def of(cls, nights: Nightly, usual: Usual, allowed: float) -> Self:
        """Return the rise of nights: an alert, or a warning, where the whole interval lies above what is allowed."""
        value = usual.rise_of(nights)
        levels: tuple[tuple[float, Level], ...] = ((ALERT, "alert"), (WARN, "warn"))
        for confidence, level in levels:
            margin = usual.margin(nights, confidence)
            if value - margin > allowed:
                return cls(len(nights), value, value - margin, value + margin, confidence, level)
        return cls(len(nights), value, value - margin, value + margin, WARN, "ok")


@dataclass(frozen=True)
class Judgement:
    """The verdict on a measured night, of the nights before it, and what it comes from. None: it could not be judged."""

    verdict: Level | None
    reasons: tuple[str, ...]
    windows: dict[str, Rise]
    gap: Gap | None = None
    changed_on: date | None = None
    coverage: dict[str, Any] | None = None
    """What was judged of the intervals, for JSON; None for a job without."""

    @classmethod
    def none(cls, because: str) -> Self:
        """Return that a night cannot be judged."""
        return cls(None, (f"not judged: {because}",), {})

    def as_json(self) -> dict[str, Any]:
        """Return what the verdict comes from, for JSON."""
        windows = {name: asdict(rise) for name, rise in self.windows.items()}
        changed = None if self.changed_on is None else str(self.changed_on)
        more = {} if self.coverage is None else {"coverage": self.coverage}
        constant = None if self.gap is None else self.gap.as_json()
        return {"windows": windows, "constant": constant, "changed_on": changed, **more}


def judge(nights: Nightly, standard: Standard | None, gap: Gap | None, job: Job) -> Judgement:
    """Return the verdict on the last of ``nights``, all nights of one version that were measured since its training.

    ``gap`` is how the last night did beside the constant.
    """
    worse = [_worse(gap, job)] if gap is not None and gap.established else []
    if standard is None or standard.usual is None:
        judgement = Judgement.none(_no_standard(standard))
        return Judgement("alert", (*worse, *judgement.reasons), {}, gap) if worse else judgement
    change, windows, unjudged = standard.break_of(nights, job), {}, []
    for name, (count, needed) in WINDOWS.items():
        together = nights.last(count)
        problem = _too_few(together, needed)
        if problem is None:
            windows[name] = Rise.of(together, standard.usual, standard.allowed)
        elif name == "night":
            unjudged.append(problem)
    if change.changed_on is not None:
        worse.append(broken_since(change.changed_on, nights, standard, job))
    alerts = worse + [_risen(name, rise, standard, job) for name, rise in windows.items() if rise.verdict == "alert"]
    warnings = [_risen(name, rise, standard, job) for name, rise in windows.items() if rise.verdict == "warn"]
    level: Level | None = "alert" if alerts else "warn" if warnings else "ok" if windows else None
    return Judgement(level, (*alerts, *warnings, *unjudged), windows, gap, change.changed_on)


def _no_standard(standard: Standard | None) -> str:
    if standard is None:
        return "the version has no holdout to be held against"
    return f"its version's holdout has {len(standard.holdout)} nights, {LEAST_NIGHTS} say how far nights differ"


def _too_few(nights: Nightly, needed: int) -> str | None:
    if len(nights) < needed:
        return f"not judged: {len(nights)} measured nights of its version, {needed} are needed"
    rows = int(nights.rows.sum())
    return f"not judged by itself: {rows} rows with a label, {LEAST_ROWS} are needed" if rows < LEAST_ROWS else None


def _worse(gap: Gap, job: Job) -> str:
    constant = f"the training data's {job.task.constant}" + ("" if gap.saying is None else f", {gap.saying:.4g}")
    return (
        f"{WORSE} {constant}: {job.task.loss_metric} of the night's rows is {gap.value:+.4f} above it "
        f"({100 * CONFIDENCE:g} % interval {gap.low:+.4f} to {gap.high:+.4f})"
    )


def broken_since(since: date, nights: Nightly, standard: Standard, job: Job) -> str:
    """Return in words that performance has been worse since a night."""
    measured = nights.since(since)
    now, before = float(measured.values.mean()), standard.usual.mean if standard.usual else 0.0
    return (
        f"performance broke on {since}: {job.task.primary_metric} is {now:.4f} on the {_counted(len(measured))} measured since, "
        f"{before:.4f} on the holdout at training"
    )


def _risen(name: str, rise: Rise, standard: Standard, job: Job) -> str:
    what = "the night" if name == "night" else f"the last {rise.nights} measured nights"
    return (
        f"{job.task.primary_metric} of {what} lies {rise.value:+.4f} above the holdout's at training "
        f"({100 * rise.confidence:g} % interval {rise.low:+.4f} to {rise.high:+.4f}), {standard.allowed:.4f} is allowed"
    )


def _counted(nights: int) -> str:
    return "1 night" if nights == 1 else f"{nights} nights"
