"""Lives a stream night by night under one retraining policy, with the project's own decisions.

At the end of night N the labels of the nights before it are known. A version trained then has seen the nights before N
and scores from night N+1 on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from bench import default_rules
from bench.policy_world import FIRST, Floats, Version, World, as_measured, nightly
from drift.governor import LASTING, Facts, Loss, decide
from drift.performance import difference, metrics_of
from drift.verdict import Night, Past, Verdict, verdict_on
from lifecycle.comparison import gain_of, holdout_nights, judge, judge_predecessor
from scoring.job import PromotionPolicy, RetrainingPolicy, TrainingPolicy
from scoring.stores.warehouse import ComparedVersion, Evaluation, Holdout

AFTERWARDS = 14
LEAST_AFTERWARDS = 7
COOLDOWN = 7
"""Nights that the default drift rule rests after a retraining."""
TRAINING = TrainingPolicy()


@dataclass
class Life:
    """What has happened so far."""

    world: World
    window: str
    champion: Version
    night: int = FIRST
    served: list[Version] = field(default_factory=list)
    """The version that scored each night from the first one on."""
    retrained: list[int] = field(default_factory=list)
    promoted: list[tuple[int, Version, Version]] = field(default_factory=list)
    rolled_back: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    reasons: list[tuple[int, str]] = field(default_factory=list)
    judged: dict[tuple[Version, int], Verdict] = field(default_factory=dict)
    past: dict[Version, list[Past]] = field(default_factory=dict)
    sides: dict[Version, Any] = field(default_factory=dict)

    def measured(self, version: Version) -> np.ndarray:
        """Return the labelled nights that a version scored."""
        places = [FIRST + place for place, one in enumerate(self.served) if one == version]
        return np.array([place for place in places if place < self.night], dtype=np.int64)


Trigger = Callable[[Life], str | None]
"""Why to retrain at the end of a life's night, or None."""


@dataclass(frozen=True)
class Policy:
    """When to train, and what stands between a trained version and the crown: None for nothing."""

    name: str
    trigger: Callable[[], Trigger]
    gate: PromotionPolicy | None = None
    rollback: bool = True
    evaluates: bool = False
    """Whether a training also fits without its holdout, for the governor's facts; a gate always does."""


@dataclass(frozen=True)
class Run:
    """How a policy's life went."""

    policy: str
    window: str
    life: Life
    log_loss: Floats
    """Mean log loss of each night from the first on."""
    brier: Floats
    seconds: float

    @cached_property
    def afterwards(self) -> list[tuple[int, float, float]]:
        """Return, per promotion with enough nights left, the night, and both ends of its gain in the 14 nights after."""
        found = []
        world = self.life.world
        for night, old, new in self.life.promoted:
            nights = np.arange(night + 1, min(night + 1 + AFTERWARDS, len(world.days)))
            if len(nights) >= LEAST_AFTERWARDS:
                gain = gain_of(world.losses(nights, world.sums(old), world.sums(new)), 0.95)
                found.append((night, float(gain.low or 0.0), float(gain.high or 0.0)))
        return found

    @property
    def worse(self) -> int:
        """Return how many promotions made the following 14 nights significantly worse."""
        return sum(high < 0 for _, _, high in self.afterwards)


def lived(world: World, window: str, policy: Policy) -> Run:
    """Return how the stream goes under a policy."""
    life = Life(world, window, world.version(window, FIRST, TRAINING.holdout_nights))
    trigger, seconds = policy.trigger(), 0.0
    for night in range(FIRST, len(world.days)):
        life.night = night
        life.served.append(life.champion)
        if policy.gate is not None and policy.rollback and _rolled_back(life, policy.gate):
            continue
        reason = trigger(life)
        if reason is None:
            continue
        new = night - life.champion.until
        least = policy.gate.min_nights if policy.gate else PromotionPolicy().min_nights
        holdout = holdout_nights(new, TRAINING.holdout_nights, least)
        challenger = world.version(window, night, holdout)
        life.retrained.append(night)
        life.reasons.append((night, reason))
        if night + 1 < len(world.days):
            world.sums(challenger)
        seconds += world.fit_seconds(challenger, policy.gate is not None or policy.evaluates)
        if policy.gate is None or _passes(life, challenger, policy.gate):
            life.promoted.append((night, life.champion, challenger))
            life.champion = challenger
        else:
            life.refused.append(night)
    served = [world.sums(version)[FIRST + place] for place, version in enumerate(life.served)]
    return Run(policy.name, window, life, *nightly(served), seconds)


def _passes(life: Life, challenger: Version, gate: PromotionPolicy) -> bool:
    """Return what the gate says of a challenger, on the holdout that neither version has seen."""
    world, champion = life.world, life.champion
    nights = np.arange(max(life.night - challenger.holdout, champion.until), life.night)
    sides = world.sums(champion), world.honest(challenger)
    losses = world.losses(nights, *sides)
    errors = [
        {"calibration_error": {"value": _calibration_error(world, one[nights])}} if len(nights) else {} for one in sides
    ]
    same = {"champion": 1.0, "challenger": 1.0}
    side = ComparedVersion(0, "", date.min, date.min)
    evaluation = Evaluation(
        challenger=side,
        champion=side,
        holdout=Holdout(None, None, losses.nights, losses.nights, int(losses.rows.sum())),
        loss=world.job.task.loss,
        metrics=dict(zip(same, errors, strict=True)),
        by_night=[],
        segments=[],
        calibration={},
        gain=gain_of(losses, gate.confidence),
        latency=same,
        size=same,
    )
    return judge(evaluation, gate, world.job.task.loss).passed


def _calibration_error(world: World, sums: Floats) -> float:
    return float(metrics_of(as_measured(sums).sum(axis=0), world.job)["calibration_error"])


def _rolled_back(life: Life, gate: PromotionPolicy) -> bool:
    """Give the crown back to a predecessor that does better in the shadow; return whether it was."""
    if not life.promoted or life.rolled_back[-1:] > [life.promoted[-1][0]]:
        return False
    promoted, predecessor, successor = life.promoted[-1]
    if not promoted < life.night <= promoted + gate.predecessor_nights + 1:
        return False
    world = life.world
    nights = np.arange(promoted + 1, min(life.night, promoted + 1 + gate.predecessor_nights))
    losses = world.losses(nights, world.sums(successor), world.sums(predecessor))
    if not judge_predecessor(losses, gate, world.job.task.loss).passed:
        return False
    life.champion = predecessor
    life.rolled_back.append(life.night)
    return True


# ---------------------------------------------------------------- triggers


def never() -> Trigger:
    """Return the trigger that never fires."""
    return lambda life: None


def every(nights: int, later: int = 0) -> Callable[[], Trigger]:
    """Return a trigger that fires every so many nights, the first time so many nights later than it could."""

    def due(life: Life) -> str | None:
        since = life.night - FIRST - later
        return "due" if since >= 0 and since % nights == 0 and life.night > FIRST else None

    return lambda: due


def monthly() -> Trigger:
    """Return a trigger that fires at the end of each month."""
    return lambda life: "due" if (life.world.days[life.night]).day == 1 and life.night > FIRST else None


def default_rule() -> Trigger:
    """Return Evidently's default rule on the features, next to the champion's training rows, with a cooldown."""

    def drifted(life: Life) -> str | None:
        if life.retrained and life.night - life.retrained[-1] < COOLDOWN:
            return None
        world, version = life.world, life.champion
        if version not in life.sides:
            life.sides[version] = _side(world, world.part(version.since, version.until, labelled=False))
        tonight = _side(world, world.part(life.night, life.night + 1, labelled=False))
        found = default_rules.scores(tonight, life.sides[version], list(world.job.features))
        share = float(np.mean([one.beyond[0] for one in found.values()]))
        return f"{share:.0%} of columns" if share >= 0.5 else None

    return drifted


def _side(world: World, rows: pa.Table) -> Any:
    return default_rules.side_of(rows.append_column("probability", pa.nulls(rows.num_rows, pa.float64())), world.job)


def governor(retraining: RetrainingPolicy) -> Callable[[], Trigger]:
    """Return the governor, asked every night with the facts that it would have had."""

    def asked(life: Life) -> str | None:
        facts = facts_of(life, retraining)
        decision = decide(facts, retraining)
        return decision.reason if decision.decision == "retrain" else None

    return lambda: asked


def facts_of(life: Life, retraining: RetrainingPolicy) -> Facts:
    """Return what was known at the end of a life's night, as ``drift.decide.facts_of`` puts it together."""
    world, version = life.world, life.champion
    for place in range(max(FIRST, life.night - LASTING[1] + 1), life.night + 1):
        if life.served[place - FIRST] == version:
            _judge(life, version, place)
    last = [night for night in range(life.night - LASTING[1] + 1, life.night + 1) if (version, night) in life.judged]
    seen = [life.judged[version, night] for night in last]
    return Facts(
        night=world.days[life.night],
        origin="scheduled",
        model_version=version.until,
        trained_until=world.days[version.until],
        new_labelled_nights=life.night - version.until,
        verdict=seen[-1].verdict,
        faults=seen[-1].faults,
        drifted_columns=seen[-1].drifted_columns,
        drifted_weights=[one.drifted_weight for one in seen],
        loss=_loss(life, version, retraining),
        retrained=[world.days[night] for night in life.retrained],
    )


def _judge(life: Life, version: Version, night: int) -> None:
    """Add the verdict on a night; lives in which the version has scored the same nights share it."""
    if (version, night) in life.judged:
        return
    world, past = life.world, life.past.setdefault(version, [])
    key = (version, tuple(place for one, place in life.judged if one == version), night)
    if key not in world.verdicts:
        profile = world.profile(version, night)
        verdict = verdict_on(world.keep(version).reference, past, world.days[night], Night(profile))
        world.verdicts[key] = verdict, Past.of(world.days[night], profile, verdict)
    life.judged[version, night], one = world.verdicts[key]
    past.append(one)


def _loss(life: Life, version: Version, retraining: RetrainingPolicy) -> Loss | None:
    """Return the measured loss as ``drift.decide.loss_of`` has it."""
    world, nights = life.world, life.measured(version)[-retraining.performance_nights :]
    if len(nights) < 3:
        return None
    held = np.arange(version.until - version.holdout, version.until)
    before, recent = as_measured(world.honest(version)[held]), as_measured(world.sums(version)[nights])
    name = world.job.task.primary_metric
    gap = difference(recent, before, world.job, name)
    at_training = metrics_of(before.sum(axis=0), world.job)
    allowed = retraining.max_loss * float(at_training["log_loss"])
    return Loss(name, len(nights), gap["value"], gap["low"], gap["high"], float(at_training[name]), allowed)


def weeks_of(nights: int, random: np.random.Generator, draws: int) -> Iterator[np.ndarray]:
    """Return draws of whole weeks, each as the places of their nights."""
    weeks = [np.arange(start, min(start + 7, nights)) for start in range(0, nights, 7)]
    for _ in range(draws):
        yield np.concatenate([weeks[place] for place in random.integers(0, len(weeks), len(weeks))])
