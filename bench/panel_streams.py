"""Made-up nights of a snapshot job: the same entities every night, days that hit all of them, outcomes that overlap.

An entity has a rate of its own for as long as it is there, a day multiplies the rates of all, and the outcome of a night is
whether anything happens to the entity in the ``horizon`` days after it. Two fixed versions predict it, so what one gains over
the other in the long run is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
FIRST = date(2024, 1, 1)
RATE = 0.25
"""Mean number of events of an entity in the days of one outcome."""
ENTITY = 0.7
"""Standard deviation of the logarithm of the entities' rates."""
PRESENT = 0.95
"""Chance that an entity has a row on a night."""


@dataclass(frozen=True)
class Stream:
    """Nights by entities: outcomes and who is there; per entity what both versions predict, which never changes."""

    outcome: np.ndarray
    present: np.ndarray
    champion: Floats
    challenger: Floats
    horizon: int

    @property
    def nights(self) -> list[date]:
        """Return the nights, one after the other."""
        return [FIRST + timedelta(days=number) for number in range(len(self.outcome))]

    @property
    def gains(self) -> Floats:
        """Return the champion's log loss less the challenger's of every night and entity; 0 for those not there."""
        return np.where(self.present, _gain(self.outcome, self.champion, self.challenger), 0.0)


def stream(seed: int, horizon: int, shock: float, entities: int = 1_000, nights: int = 14) -> Stream:
    """Return a stream. ``shock`` is the standard deviation of the logarithm of what a day does to all rates."""
    random = np.random.default_rng([seed, horizon])
    own, champion, challenger = _entities(random, entities)
    days = random.normal(0, shock, nights + horizon)
    rate = RATE / horizon * np.exp(own[:, None] - ENTITY**2 / 2 + days[None] - shock**2 / 2)
    events = np.cumsum(random.random(rate.shape) < 1 - np.exp(-rate), axis=1)
    outcome = np.stack([events[:, night + horizon] > events[:, night] for night in range(nights)])
    return Stream(outcome, random.random(outcome.shape) < PRESENT, champion, challenger, horizon)


def true_gain(horizon: int, shock: float, entities: int = 400_000) -> float:
    """Return what the challenger gains a row in the long run, with an error of about 0.0001."""
    random = np.random.default_rng(1)
    own, champion, challenger = _entities(random, entities)
    days = np.zeros(entities)
    for _ in range(horizon):
        days += np.exp(random.normal(0, shock, entities) - shock**2 / 2)
    chance = 1 - np.exp(-RATE / horizon * np.exp(own - ENTITY**2 / 2) * days)
    both = _gain(np.array([[True], [False]]), champion, challenger)
    return float((chance * both[0] + (1 - chance) * both[1]).mean())


def _entities(random: np.random.Generator, count: int) -> tuple[Floats, Floats, Floats]:
    """Return the logarithm of each entity's rate, and what champion and challenger predict from what they see of it."""
    own = random.normal(0, ENTITY, count)
    seen, more = own + random.normal(0, 0.7, count), own + random.normal(0, 0.7, count)
    return own, _chance(-1.6 + 0.3 * seen), _chance(-1.2 + 0.35 * seen + 0.35 * more)


def _chance(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def _gain(outcome: np.ndarray, champion: Floats, challenger: Floats) -> Floats:
    return np.where(outcome, np.log(challenger / champion), np.log((1 - challenger) / (1 - champion)))
