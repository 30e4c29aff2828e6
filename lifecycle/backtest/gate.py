"""The promotion gate as a function of sums: what it would have said of a challenger at the end of a night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from drift.performance import Floats, Interval, Panel, difference, fine, losses_of, metrics_of
from lifecycle.backtest.fits import Fits
from lifecycle.backtest.history import History, Version
from lifecycle.backtest.refits import Origin, Refits
from lifecycle.backtest.sums import Sums
from lifecycle.comparison import (
    LEAST_SINCE_CHANGE,
    Judgement,
    Losses,
    blocks_of,
    gain_of,
    judge,
    pooled,
    spread_of_night,
)
from scoring.job import PromotionPolicy
from scoring.stores.warehouse import ComparedVersion, Evaluation, Holdout, Metrics, Pooled, Segment, SinceChange

SAME = {"champion": 1.0, "challenger": 1.0}
"""Latency and size are not compared: both versions come of one pipeline."""


@dataclass(frozen=True)
class Sides:
    """What two versions say of the same nights."""

    champion: Sums
    challenger: Sums


@dataclass(frozen=True)
class Contest:
    """A challenger and the champion at the end of a night, and all that bears on which of them is better."""

    fits: Fits
    champion: Version
    challenger: Version
    policy: PromotionPolicy
    made: Sequence[Version]
    """Every version before the challenger, promoted or not, oldest first."""
    proven: Version
    """The last champion that had shown by itself that it was better, or the first one."""
    origins: list[Origin] = field(default_factory=list)
    """Fits that were made only to learn what refitting gains; new ones are added."""
    changed_on: int | None = None
    """First night since which the outcome is known to depend on the features in another way."""

    @property
    def history(self) -> History:
        """Return the nights that are lived."""
        return self.fits.history

    @property
    def holdout(self) -> np.ndarray:
        """Return the holdout nights whose outcomes overlap none that the champion was fitted on."""
        first = max(self.challenger.since, self.challenger.until - self.challenger.holdout)
        return np.arange(max(first, self.fits.unseen(self.champion)), self.challenger.until)


@dataclass(frozen=True)
class Ruling:
    """What a gate says, and how far the gain of one night usually lies from its mean, for the rollback."""

    judgement: Judgement
    spread: float | None = None
    refits: Pooled | None = None
    """What refits had gained by then."""


def losses_on(nights: np.ndarray, sides: Sides, history: History) -> Losses:
    """Return the losses of both on those of the nights that have rows."""
    job = history.job
    rows, champion = sides.champion.losses(job)
    nights = nights[rows[nights] > 0]
    gains = None
    if sides.champion.groups is not None and sides.challenger.groups is not None:
        (of_group, old), (_, new) = (losses_of(groups[nights], job) for groups in _groups(sides))
        gains = Panel(tuple(history.days[place] for place in nights), of_group, old - new, history.horizon)
    challenger = sides.challenger.losses(job)[1]
    return Losses(rows[nights], champion[nights], challenger[nights], gains if len(nights) else None)


def _groups(sides: Sides) -> tuple[Floats, Floats]:
    assert sides.champion.groups is not None
    assert sides.challenger.groups is not None
    return sides.champion.groups, sides.challenger.groups


def judged(contest: Contest) -> Ruling:
    """Return what the job's gate says of a challenger, on the holdout nights that neither version has seen."""
    evaluation = evaluated(contest)
    if evaluation is None:
        return Ruling(Judgement(False, "too few nights to fit without the holdout", ()))
    return Ruling(
        judge(evaluation, contest.policy, contest.history.job.task.loss), spread_of_night(evaluation), evaluation.refits
    )


def evaluated(contest: Contest) -> Evaluation | None:
    """Return how a challenger compares with the champion on what is known tonight, or None without a fit that can tell."""
    history, fits, challenger = contest.history, contest.fits, contest.challenger
    honest = fits.honest(challenger)
    if honest is None:
        return None
    sides = Sides(fits.sums(contest.champion), honest)
    losses = losses_on(contest.holdout, sides, history)
    nights = contest.holdout[sides.champion.nights[contest.holdout, 0] > 0]
    of_nights = min(challenger.holdout, challenger.until - challenger.since)
    by_itself = Evaluation(
        champion=_about(contest.champion, history),
        challenger=_about(challenger, history),
        holdout=Holdout(None, None, losses.nights, of_nights, int(losses.rows.sum()), history.horizon),
        loss=history.job.task.loss,
        metrics=metrics_on(nights, sides, history),
        by_night=[],
        segments=segments_on(nights, sides, history),
        calibration={},
        worse_calibrated=_worse_calibrated(nights, sides, history),
        gain=gain_of(losses, contest.policy.confidence),
        latency=SAME,
        size=SAME,
    )
    if contest.policy.evidence != "recipe":
        return by_itself
    refits = Refits(fits, challenger, contest.origins)
    age = fits.fitted_until(challenger) - fits.fitted_until(contest.champion)
    direct = refits.block(fits.early(challenger), honest, contest.champion, nights)
    blocks = blocks_of(known := refits.known(contest.made), known, age, history.horizon)
    proven = None
    if contest.proven != contest.champion:
        unseen = nights[nights >= fits.unseen(contest.proven)]
        proven = refits.block(fits.early(challenger), honest, contest.proven, unseen)
    pool = pooled(blocks, direct, age, history.day(challenger.until - 1))
    return replace(by_itself, refits=pool, proven=proven, since_change=_since_change(contest, refits))


def _since_change(contest: Contest, refits: Refits) -> SinceChange | None:
    """Return how a fit that has seen the first half of the nights since a change does on the second half."""
    history, fits, challenger = contest.history, contest.fits, contest.challenger
    if contest.changed_on is None:
        return None
    rows = fits.sums(contest.champion).nights[:, 0]
    since = [night for night in range(contest.changed_on, challenger.until) if rows[night] > 0]
    if len(since) < LEAST_SINCE_CHANGE:
        return None
    middle = max(since[len(since) // 2], fits.unseen(contest.champion))
    until = middle - history.horizon
    sums = fits.fitted((challenger.since, until), challenger.until)
    nights = np.array([night for night in range(middle, challenger.until) if rows[night] > 0], dtype=np.int64)
    block = None if sums is None else refits.block(until, sums, contest.champion, nights)
    if block is None or sums is None:
        return None
    sides = Sides(fits.sums(contest.champion), sums)
    metrics, segments = metrics_on(nights, sides, history), segments_on(nights, sides, history)
    return SinceChange(history.day(contest.changed_on), block, metrics, segments)


def _about(version: Version, history: History) -> ComparedVersion:
    return ComparedVersion(version.until, "", history.day(version.since), history.day(version.until))


def metrics_on(nights: np.ndarray, sides: Sides, history: History) -> dict[str, Metrics]:
    """Return the calibration error of both sides, for a job that has one."""
    named = {"champion": sides.champion, "challenger": sides.challenger}
    return {name: _metrics(sums.nights[nights], history) for name, sums in named.items()}


def _worse_calibrated(nights: np.ndarray, sides: Sides, history: History) -> Interval | None:
    """Return how much larger the challenger's calibration error is, with its interval, for a job that has one."""
    if not history.job.task.has_positive or not len(nights):
        return None
    challenger, champion = (fine(sums.nights[nights], history.job) for sums in (sides.challenger, sides.champion))
    return difference(challenger, champion, history.job, "calibration_error", paired=True)


def _metrics(sums: Floats, history: History) -> Metrics:
    """Return the calibration error of the nights, for a job that has one."""
    if not history.job.task.has_positive or not len(sums):
        return {}
    value = float(metrics_of(fine(sums.sum(axis=0), history.job), history.job)["calibration_error"])
    return {"calibration_error": {"value": value, "low": None, "high": None}}


def segments_on(nights: np.ndarray, sides: Sides, history: History) -> list[Segment]:
    """Return the mean loss of both on every value of the declared segments."""
    if sides.champion.segments is None or sides.challenger.segments is None:
        return []
    totals = [sums[nights].sum(axis=0) for sums in (sides.champion.segments, sides.challenger.segments)]
    segments = []
    for (name, value), (rows, old), (_, new) in zip(history.segments, *totals, strict=True):
        if rows:
            segments.append(Segment(name, value, float(old / rows), int(rows), float(new / rows)))
    return segments
