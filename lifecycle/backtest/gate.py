"""The promotion gate as a function of sums: what it would have said of a challenger at the end of a night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drift.performance import Floats, Panel, fine, losses_of, metrics_of
from lifecycle.backtest.fits import Fits
from lifecycle.backtest.history import History, Version
from lifecycle.backtest.sums import Sums
from lifecycle.comparison import Judgement, Losses, gain_of, judge
from scoring.job import PromotionPolicy
from scoring.stores.warehouse import ComparedVersion, Evaluation, Holdout, Metrics, Segment

SAME = {"champion": 1.0, "challenger": 1.0}
"""Latency and size are not compared: both versions come of one pipeline."""


@dataclass(frozen=True)
class Sides:
    """What two versions say of the same nights."""

    champion: Sums
    challenger: Sums


@dataclass(frozen=True)
class Contest:
    """A challenger and the champion at the end of a night, and all that was trained until then."""

    fits: Fits
    champion: Version
    challenger: Version
    night: int
    made: Sequence[Version]
    """Every version so far, promoted or not, oldest first: the challenger is the last."""
    policy: PromotionPolicy

    @property
    def history(self) -> History:
        """Return the nights that are lived."""
        return self.fits.history

    @property
    def holdout(self) -> np.ndarray:
        """Return the holdout nights whose outcomes overlap none that the champion was fitted on."""
        first = max(self.challenger.since, self.challenger.until - self.challenger.holdout)
        return np.arange(max(first, self.fits.unseen(self.champion)), self.challenger.until)


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


def judged(contest: Contest) -> Judgement:
    """Return what the job's gate says of a challenger, on the holdout nights that neither version has seen."""
    job = contest.history.job
    evaluation = evaluated(contest)
    if evaluation is None:
        return Judgement(False, "too few nights to fit without the holdout", ())
    return judge(evaluation, contest.policy, job.task.loss)


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
    return Evaluation(
        champion=_about(contest.champion, history),
        challenger=_about(challenger, history),
        holdout=Holdout(None, None, losses.nights, of_nights, int(losses.rows.sum()), history.horizon),
        loss=history.job.task.loss,
        metrics={name: _metrics(sums.nights[nights], history) for name, sums in _named(sides).items()},
        by_night=[],
        segments=_segments(sides, nights, history),
        calibration={},
        gain=gain_of(losses, contest.policy.confidence),
        latency=SAME,
        size=SAME,
    )


def _named(sides: Sides) -> dict[str, Sums]:
    return {"champion": sides.champion, "challenger": sides.challenger}


def _about(version: Version, history: History) -> ComparedVersion:
    return ComparedVersion(version.until, "", history.day(version.since), history.day(version.until))


def _metrics(sums: Floats, history: History) -> Metrics:
    """Return the calibration error of the nights, for a job that has one."""
    if not history.job.task.has_positive or not len(sums):
        return {}
    value = float(metrics_of(fine(sums.sum(axis=0), history.job), history.job)["calibration_error"])
    return {"calibration_error": {"value": value, "low": None, "high": None}}


def _segments(sides: Sides, nights: np.ndarray, history: History) -> list[Segment]:
    """Return the mean loss of both on every value of the declared segments."""
    if sides.champion.segments is None or sides.challenger.segments is None:
        return []
    totals = [sums[nights].sum(axis=0) for sums in (sides.champion.segments, sides.challenger.segments)]
    segments = []
    for (name, value), (rows, old), (_, new) in zip(history.segments, *totals, strict=True):
        if rows:
            segments.append(Segment(name, value, float(old / rows), int(rows), float(new / rows)))
    return segments
