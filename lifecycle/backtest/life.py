"""Lives a job's nights under one policy, with the project's own decisions: governor, gate and rollback.

At the end of night N the labels of the nights before ``N + 1 - label.delay_days`` are known. A version that is trained then
has seen no other outcome, and scores from the next night on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from drift.performance import Floats, NightScores, losses_of
from lifecycle.backtest.fits import Fits
from lifecycle.backtest.gate import Contest, Ruling, Sides, judged, losses_on
from lifecycle.backtest.history import History, Version
from lifecycle.backtest.refits import Origin
from lifecycle.comparison import gain_of, holdout_nights, judge_predecessor
from scoring.errors import PipelineError, TrainingDataError
from scoring.job import PromotionPolicy
from scoring.progress import Progress, silent
from scoring.stores.warehouse import Pooled

AFTERWARDS = 14
"""Nights after a promotion on which it is seen whether it made things worse."""
LEAST_AFTERWARDS = 7


@dataclass(frozen=True)
class Retrained:
    """A retraining: the night at whose end it was made, why, and what became of the version."""

    night: int
    reason: str
    version: Version
    champion: Version
    outcome: str
    """``promoted``, ``refused`` or ``failed``."""
    detail: str = ""
    proven: bool = False
    """Whether the version had shown by itself that it was better."""
    spread: float | None = None
    """How far the gain of one night usually lies from its mean."""
    refits: Pooled | None = None
    """What refits had gained by then."""


@dataclass
class Life:
    """What has happened so far under a policy."""

    fits: Fits
    first: Version
    """The champion that it began with."""
    champion: Version
    night: int
    served: list[Version] = field(default_factory=list)
    """The version that scored each night from the first one on."""
    retrained: list[Retrained] = field(default_factory=list)
    rolled_back: list[int] = field(default_factory=list)
    begun: int = 0
    """Place of the first night."""
    promotion: PromotionPolicy = field(default_factory=PromotionPolicy)
    origins: list[Origin] = field(default_factory=list)
    """Fits that were made only to learn what refitting gains."""
    scores: dict[tuple[int, int, int], NightScores] = field(default_factory=dict, repr=False)
    """Of a snapshot job: what was computed of nights for intervals."""

    @property
    def history(self) -> History:
        """Return the nights that are lived."""
        return self.fits.history

    @property
    def known(self) -> int:
        """Return the place before which labels are known tonight."""
        return self.history.known(self.night)

    @property
    def proven(self) -> Version:
        """Return the champion, or the one before it that had last shown by itself that it was better."""
        line: list[Retrained] = []
        version = self.champion
        while version != self.first:
            row = next(row for row in reversed(self.promoted) if row.version == version)
            if row.proven or row in line:
                break
            line.append(row)
            version = row.champion
        return version

    @property
    def promoted(self) -> list[Retrained]:
        """Return the retrainings whose version became champion."""
        return [row for row in self.retrained if row.outcome == "promoted"]

    @property
    def made(self) -> list[Version]:
        """Return every version so far, promoted or not, oldest first."""
        return [self.first, *(row.version for row in self.retrained if row.outcome != "failed")]

    def measured(self, version: Version) -> np.ndarray:
        """Return the nights with known labels that a version scored, as places."""
        places = [self.begun + place for place, served in enumerate(self.served) if served == version]
        rows = self.fits.sums(version).nights[:, 0]
        return np.array([place for place in places if place < self.known and rows[place] > 0], dtype=np.int64)


@dataclass(frozen=True)
class Due:
    """Why to retrain tonight, and since which night the outcome is known to follow other rules, if that is why."""

    reason: str
    changed_on: int | None = None


Trigger = Callable[[Life], Due | None]
"""Whether to retrain at the end of a life's night."""
Gate = Callable[[Contest], Ruling]
"""What stands between a trained version and the nights to come."""


@dataclass(frozen=True)
class Policy:
    """When to train, and whether gate and rollback stand between a trained version and the nights."""

    name: str
    words: str
    """What the policy does, for people."""
    trigger: Callable[[], Trigger]
    gated: bool = True
    settings: str | None = None
    """Lines of a job file that make the job live so, or None where there are none."""
    evaluates: bool = False
    """Whether a training also fits without its holdout although nothing judges it, for the governor's facts."""
    promotion: PromotionPolicy | None = None
    """What gate and rollback ask for. Default: the job's."""


@dataclass(frozen=True)
class Followed:
    """A promotion: both ends of its gain's 95 % interval in the 14 nights after it, and when it was rolled back."""

    night: int
    low: float
    high: float
    back_after: int | None
    """Nights until a rollback, or None without one."""


@dataclass(frozen=True)
class Run:
    """How the nights went under a policy."""

    policy: Policy
    life: Life
    rows: Floats
    """Rows with an outcome of each night, from the first that was lived on."""
    loss: Floats
    """Loss summed over them."""
    groups: Floats | None
    """Of a snapshot job: rows and loss of each night and group of entities, shape (2, nights, groups)."""
    seconds: float
    """CPU seconds of fitting."""

    @cached_property
    def followed(self) -> list[Followed]:
        """Return what the promotions came to that have 7 nights or more after them."""
        life, rows = self.life, []
        for row in life.promoted:
            nights = np.arange(row.night + 1, min(row.night + 1 + AFTERWARDS, len(life.history)))
            losses = losses_on(nights, Sides(life.fits.sums(row.champion), life.fits.sums(row.version)), life.history)
            gain = gain_of(losses, 0.95)
            if losses.nights >= LEAST_AFTERWARDS and gain.low is not None and gain.high is not None:
                back = next((night for night in life.rolled_back if night > row.night), None)
                rows.append(Followed(row.night, gain.low, gain.high, None if back is None else back - row.night))
        return rows

    @property
    def worse(self) -> int:
        """Return how many promotions made the nights after them significantly worse."""
        return sum(promotion.high < 0 for promotion in self.followed)


def lived(
    fits: Fits, policy: Policy, first: int | None = None, gate: Gate | None = None, progress: Progress = silent
) -> Run:
    """Return how the nights from ``first`` on go under a policy. Default: from the history's first on, with the job's gate."""
    history = fits.history
    begun = history.first if first is None else first
    champion = history.version(history.known(begun - 1), history.job.training.holdout_nights)
    promotion = policy.promotion or history.job.promotion
    life = Life(fits, champion, champion, begun, begun=begun, promotion=promotion)
    trigger, gate = policy.trigger(), gate or judged
    fits.sums(champion)  # a first champion that cannot be trained ends the backtest
    for night in range(begun, len(history)):
        life.night = night
        life.served.append(life.champion)
        progress("night", 1)
        if policy.gated and _rolled_back(life):
            continue
        due = trigger(life)
        if due is not None:
            life.retrained.append(_retrained(life, due, gate if policy.gated else None))
            if life.retrained[-1].outcome == "promoted":
                life.champion = life.retrained[-1].version
    return _run(policy, life)


def _retrained(life: Life, due: Due, gate: Gate | None) -> Retrained:
    """Return a retraining at the end of tonight, with what the gate says of it."""
    job, champion = life.history.job, life.champion
    new = life.known - life.fits.unseen(champion)
    holdout = holdout_nights(new, job.training.holdout_nights, life.promotion.min_nights)
    version = life.history.version(life.known, holdout)
    about = (life.night, due.reason, version, champion)
    try:
        life.fits.sums(version)
        if gate is None:
            return Retrained(*about, "promoted", "no gate")
        about_it = (life.promotion, life.made, life.proven, life.origins, due.changed_on)
        ruling = gate(Contest(life.fits, champion, version, *about_it))
    except (TrainingDataError, PipelineError) as error:
        return Retrained(*about, "failed", str(error))
    judgement = ruling.judgement
    outcome = "promoted" if judgement.passed else "refused"
    return Retrained(*about, outcome, judgement.reason, judgement.proven, ruling.spread, ruling.refits)


def _rolled_back(life: Life) -> bool:
    """Give the crown back to a predecessor that does better in the shadow; return whether it was."""
    policy, delay = life.promotion, life.history.job.label.delay_days
    last = life.promoted[-1] if life.promoted else None
    if last is None or (life.rolled_back and life.rolled_back[-1] > last.night):
        return False
    if not last.night < life.night <= last.night + policy.predecessor_nights + delay:
        return False
    nights = np.arange(last.night + 1, min(life.known, last.night + 1 + policy.predecessor_nights))
    sides = Sides(life.fits.sums(last.version), life.fits.sums(last.champion))
    losses = losses_on(nights, sides, life.history)
    if not judge_predecessor(losses, last.spread, policy, life.history.job.task.loss).passed:
        return False
    life.champion = last.champion
    life.rolled_back.append(life.night)
    return True


def _run(policy: Policy, life: Life) -> Run:
    """Return what the nights came to."""
    job, fits = life.history.job, life.fits
    places = list(enumerate(life.served, life.begun))
    losses = [fits.sums(version).losses(job) for _, version in places]
    rows, loss = (np.array([of[kind][place] for (place, _), of in zip(places, losses, strict=True)]) for kind in (0, 1))
    groups = (
        np.stack([groups_on(fits, version, place) for place, version in places], axis=1) if job.is_snapshot else None
    )
    honest = policy.gated or policy.evaluates
    seconds = sum(fits.seconds(row.version, honest) for row in life.retrained if row.outcome != "failed")
    for origin in life.origins:
        sums = fits.fitted((origin.since, origin.until), origin.measured_until)
        seconds += sums.seconds if sums is not None else 0.0
    return Run(policy, life, rows, loss, groups, seconds)


def groups_on(fits: Fits, version: Version, place: int) -> Floats:
    """Return rows and loss of each group of entities on a night, shape (2, groups)."""
    cells = fits.sums(version).groups
    assert cells is not None
    return np.stack(losses_of(cells[place], fits.history.job))
