"""Does refitting by this recipe gain anything? Every refit so far, against a version as much older as the champion is now.

A champion and a challenger meet on a week or two of noisy nights, which cannot decide. The method behind both has many more:
Giacomini and White (Tests of conditional predictive ability, 2006) compare methods of forecasting, estimation included.
Stretches of nights after each refit are pooled with random effects (DerSimonian, Laird 1986), older ones count less, and a
prior centred on no gain at all has to be overcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from scipy import stats

from drift.performance import Floats, Panel
from scoring.stores.warehouse import Block, Evaluation, NightLoss, Pooled, growth

HALF_LIFE_NIGHTS = 90
"""Nights after which the variance of a stretch counts twice: what refitting gained long ago tells less of now."""
LONGEST_NIGHTS = 30
"""Nights after a refit that its stretch has at most."""
LEAST_NIGHTS = 3
"""Nights that a stretch needs to say how far its nights spread."""
APART_NIGHTS = 7
"""Nights between two refits that both have a stretch, where one of them is no version: a week."""
BORROWED_NIGHTS = 5
"""Nights' worth of the usual spread that stand beside a stretch's own, for a few nights may look alike by chance."""
PRIOR = 3.0
"""Standard deviation of the prior, in median standard errors of a stretch."""
LEAST_SHARE_OF_AGE = 1 / 3
"""A stretch between versions of less than this share of the champion's age would have to be scaled up too far."""


@dataclass(frozen=True)
class Refit:
    """A fit by some recipe, and its losses on nights that it has not seen."""

    version: int | None
    """None for a fit that was made only to learn what refitting gains."""
    until: date
    """First night that it was not fitted on."""
    nights: Mapping[date, NightLoss]


def blocks_of(refits: Sequence[Refit], older: Sequence[Refit], age: int, horizon: int = 0) -> list[Block]:
    """Return a stretch per refit: its gain over the one among ``older`` that was ``age`` nights older, as near as there is.

    A stretch has the refit's nights until the next refit's, so that no night counts twice. A fit that was made only to learn
    what refitting gains makes way for a version fitted less than ``APART_NIGHTS`` before or after it.
    """
    blocks = []
    versions = [refit.until for refit in refits if refit.version is not None]
    apart = [refit for refit in refits if refit.version is not None or _apart(refit.until, versions)]
    ordered = sorted(apart, key=lambda refit: (refit.until, refit.version is None))
    for place, refit in enumerate(ordered):
        later = [other.until for other in ordered[place + 1 :] if other.until > refit.until]
        ends = min([*later, refit.until + timedelta(days=LONGEST_NIGHTS)]) + timedelta(days=horizon)
        nights = [night for night in sorted(refit.nights) if night < ends]
        if place and ordered[place - 1].until == refit.until:
            continue
        against = _against(refit, [other for other in older if _both(nights, other)], age)
        if against is not None:
            blocks.append(block_of(refit, against, [night for night in nights if night in against.nights], horizon))
    return blocks


def _both(nights: Sequence[date], other: Refit) -> bool:
    """Return whether another fit was measured on enough of the nights."""
    return sum(night in other.nights for night in nights) >= LEAST_NIGHTS


def _apart(until: date, versions: Sequence[date]) -> bool:
    return all(abs((until - other).days) >= APART_NIGHTS for other in versions)


def _against(refit: Refit, older: Sequence[Refit], age: int) -> Refit | None:
    """Return the one among older versions that is nearest in age to the champion, which counts as 60 nights old at most."""
    wanted = growth(age)
    candidates = [other for other in older if (refit.until - other.until).days >= max(1.0, LEAST_SHARE_OF_AGE * wanted)]
    return min(candidates, key=lambda other: abs((refit.until - other.until).days - wanted), default=None)


def block_of(refit: Refit, against: Refit, nights: Sequence[date], horizon: int = 0) -> Block:
    """Return how much less the refit lost than the other on these nights, at least two, which both were measured on."""
    new, old = [refit.nights[night] for night in nights], [against.nights[night] for night in nights]
    rows = np.array([night.rows for night in new], dtype=np.float64)
    gains = np.array([before.loss for before in old]) - np.array([after.loss for after in new])
    gain = float(gains.sum() / rows.sum())
    return Block(
        refit_version=refit.version,
        refit_until=refit.until,
        against_version=against.version,
        against_until=against.until,
        first=nights[0],
        last=nights[-1],
        nights=len(nights),
        rows=int(rows.sum()),
        gain=gain,
        error=_error(gains - gain * rows, rows, _panel(new, old, nights, horizon)),
    )


def _panel(new: Sequence[NightLoss], old: Sequence[NightLoss], nights: Sequence[date], horizon: int) -> Panel | None:
    """Return the gains by night and group of entities, where these come again every night."""
    if any(night.groups is None for night in (*new, *old)):
        return None
    rows = np.array([night.groups[0] for night in new])  # type: ignore[index]
    losses = [np.array([night.groups[1] for night in side]) for side in (old, new)]  # type: ignore[index]
    return Panel(tuple(nights), rows, losses[0] - losses[1], horizon)


def _error(residuals: Floats, rows: Floats, panel: Panel | None) -> float:
    """Return the standard error of a stretch's gain: nights are drawn, and entities where they repeat."""
    spread = panel.spread() if panel is not None else None
    if spread is not None:
        return spread.error
    few = len(rows) / (len(rows) - 1)
    return float(np.sqrt(few * np.square(residuals).sum()) / rows.sum())


def pooled(blocks: Sequence[Block], direct: Block | None, age: int, night: date) -> Pooled | None:
    """Return what all stretches together say of a refit's gain over a champion ``age`` nights old, or None without any.

    ``direct`` is the challenger against the champion on the holdout. Its ``refit_until`` is that of the judged fit, which
    lacks the holdout, and so is scaled like the others.
    """
    every = [block for block in (*blocks, direct) if block is not None and block.error > 0]  # else both say the same
    if not every:
        return None
    scale = np.array([growth(age) / growth(block.age) for block in every])
    gains = scale * np.array([block.gain for block in every])
    errors = scale * _borrowed(every)
    ages = np.array([max((night - block.last).days, 0) for block in every])
    variances = np.square(errors) * 2 ** (ages / HALF_LIFE_NIGHTS)
    prior = PRIOR * float(np.median(errors))
    between = _between(gains, variances)
    weights = 1 / (variances + between)
    precision = weights.sum() + 1 / prior**2 if prior else np.inf
    mean, sd = float((weights * gains).sum() / precision), float(precision**-0.5)
    shown = [
        replace(block, weight=float(weight / precision), scaled=float(gain), scaled_error=float(error))
        for block, weight, gain, error in zip(every, weights, gains, variances**0.5, strict=True)
    ]
    return Pooled(age=age, mean=mean, sd=sd, prior_sd=prior, between_sd=float(between**0.5), blocks=shown)


def _borrowed(blocks: Sequence[Block]) -> Floats:
    """Return the standard errors, each drawn towards the usual spread of a night."""
    nights = np.array([block.nights for block in blocks], dtype=np.float64)
    by_night = np.array([block.error for block in blocks]) ** 2 * nights
    usual = float(np.median(by_night))
    freedom = nights - 1
    return np.asarray(np.sqrt((BORROWED_NIGHTS * usual + freedom * by_night) / (BORROWED_NIGHTS + freedom) / nights))


def _between(gains: Floats, variances: Floats) -> float:
    """Return the variance between stretches that their own errors do not explain (DerSimonian, Laird)."""
    if len(gains) < 2:
        return 0.0
    weights = 1 / variances
    mean = (weights * gains).sum() / weights.sum()
    excess = (weights * np.square(gains - mean)).sum() - (len(gains) - 1)
    return max(float(excess / (weights.sum() - np.square(weights).sum() / weights.sum())), 0.0)


def spread_of_night(evaluation: Evaluation) -> float | None:
    """Return how far the gain of one night usually lies from its mean, or None where fewer than three nights say so."""
    pool = evaluation.refits
    if pool is not None:
        spreads = [block.error * block.nights**0.5 * growth(pool.age) / growth(block.age) for block in pool.blocks]
        return float(np.median(spreads))
    gains = [(night.champion - night.challenger) / night.rows for night in evaluation.by_night if night.rows]
    return float(np.std(gains, ddof=1)) if len(gains) >= LEAST_NIGHTS else None


def certainty(block: Block, least: float = 0.0) -> float:
    """Return how sure a stretch is by itself that the gain is more than ``least``: by a t distribution over its nights."""
    if not block.error:
        return float(block.gain > least)
    return float(stats.t.sf((least - block.gain) / block.error, block.nights - 1))


def expected(block: Block, pool: Pooled) -> float:
    """Return the gain that has to be expected after a stretch: its own, together with what refits of that age have gained."""
    ratio = growth(block.age) / growth(pool.age)
    variance = (pool.sd**2 + pool.between_sd**2) * ratio**2
    weight = variance / (variance + block.error**2) if block.error else 1.0
    return weight * block.gain + (1 - weight) * pool.gain_over(block.age)


def probability(pool: Pooled, least: float) -> float:
    """Return the probability that a refit gains more than ``least``, by the pooled mean and its standard deviation."""
    if not pool.sd:
        return float(pool.mean > least)
    return float(stats.norm.sf((least - pool.mean) / pool.sd))
