"""What the governor would have known at the end of a night that is lived again, from the sums of the champion's nights."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np

from drift.governor import LASTING, Facts, Loss, Worth
from drift.performance import (
    Interval,
    Nightly,
    NightScores,
    Standard,
    broken_since,
    difference,
    difference_of,
    fine,
    metrics_of,
    spread_among,
)
from drift.verdict import Verdict
from drift.worth import LEAST_SECONDS, cost_of, worth
from lifecycle.backtest.history import Version
from lifecycle.backtest.life import Life
from lifecycle.backtest.sums import Sums

LEAST_MEASURED = 3
"""Measured nights below which no loss is compared, as in ``drift.decide``."""


def facts_of(life: Life, verdicts: list[Verdict | None], watched: bool) -> Facts:
    """Return what was known at the end of a life's night, as ``drift.decide`` puts it together.

    ``verdicts`` are those on the champion's last nights, newest last, tonight's included; None for a night without rows.
    """
    history, version = life.history, life.champion
    lately = [verdict for verdict in verdicts[-LASTING[1] :] if verdict is not None]
    tonight = lately[-1] if verdicts and verdicts[-1] is not None else None
    trained_until, delay = history.day(version.until), history.job.label.delay_days
    unseen = version.until + history.horizon
    rows = life.fits.sums(version).nights[unseen : life.known, 0]
    return Facts(
        night=history.day(life.night),
        origin="scheduled",
        model_version=version.until,
        trained_until=trained_until,
        trained_on=trained_until + timedelta(days=max(delay - 1, 0)),
        nights_to_compare=2 * history.job.promotion.min_nights if history.job.label.horizon else 0,
        new_labelled_nights=int((rows > 0).sum()),
        verdict=tonight.verdict if tonight else None if watched else "ok",
        faults=tonight.faults if tonight else [],
        drifted_columns=tonight.drifted_columns if tonight else [],
        drifted_weights=[verdict.drifted_weight for verdict in lately] if tonight else [],
        loss=loss_of(life, version),
        worth=_worth(life, version),
        retrained=[history.day(row.night) for row in life.retrained],
        **_change(life, version),
    )


def _change(life: Life, version: Version) -> dict[str, Any]:
    """Return what the facts say of a break in performance since the champion's training.

    Single nights that are worse than a constant are left out: sums do not say how far a night's rows differ.
    """
    history, job = life.history, life.history.job
    held_out, nights = _held_out(life, version), life.measured(version)
    nights = nights[nights >= version.until + history.horizon]
    honest = life.fits.honest(version)
    if honest is None or not len(held_out) or not len(nights):
        return {}
    least = _spread_before(life, version)
    standard = Standard.of_sums(_days(life, held_out), fine(honest.nights[held_out], job), job, least)
    measured = Nightly.of(_days(life, nights), fine(life.fits.sums(version).nights[nights], job), job)
    changed_on = standard.break_of(measured, job).changed_on
    if changed_on is None:
        return {}
    since = measured.since(changed_on)
    asked = max((history.day(row.night) for row in life.retrained), default=date.min)
    return {
        "changed_on": changed_on,
        "change": broken_since(changed_on, measured, standard, job),
        "nights_since_change": len(since),
        "asked_since_change": sum(day + timedelta(days=job.label.delay_days) <= asked for day in since.days),
    }


def _spread_before(life: Life, version: Version) -> float:
    """Return how far the nights that were scored before a version's training ended lie from one another.

    In production the training nights themselves say so, each predicted by a fit that did not know it.
    """
    places = range(life.begun, min(version.until, life.night))
    sums = [life.fits.sums(life.served[place - life.begun]).nights[place] for place in places]
    if not sums:
        return 0.0
    job = life.history.job
    return spread_among(Nightly.of(_days(life, np.array(places)), fine(np.stack(sums), job), job).values)


def _days(life: Life, places: np.ndarray) -> list[date]:
    return [life.history.day(place) for place in places.tolist()]


def _held_out(life: Life, version: Version) -> np.ndarray:
    """Return the holdout nights of a version that have rows."""
    honest = life.fits.honest(version)
    places = np.arange(max(version.since, version.until - version.holdout), version.until)
    return places[:0] if honest is None else places[honest.nights[places, 0] > 0]


def _worth(life: Life, version: Version) -> Worth | None:
    """Return what a version trained tonight would spare, by what refits had gained when one was last compared."""
    job, pool = life.history.job, next((row.refits for row in reversed(life.retrained) if row.refits is not None), None)
    rows, loss = life.fits.sums(version).losses(job)
    nights = np.arange(version.until + life.history.horizon, life.known)
    nights = nights[rows[nights] > 0]
    if pool is None or not len(nights):
        return None
    cost = cost_of(job, life.fits.seconds(version, honest=True), LEAST_SECONDS, float(loss[nights].mean()))
    return None if cost is None else worth(job, pool, len(nights), float(rows[nights].mean()), cost)


def loss_of(life: Life, version: Version) -> Loss | None:
    """Return how much worse a version does on its last measured nights than on its holdout, or None without either."""
    history, job = life.history, life.history.job
    honest = life.fits.honest(version)
    nights = life.measured(version)
    nights = nights[nights >= version.until + history.horizon][-job.retraining.performance_nights :]
    if honest is None or len(nights) < LEAST_MEASURED:
        return None
    held_out = _held_out(life, version)
    if not len(held_out):
        return None
    before, recent = fine(honest.nights[held_out], job), fine(life.fits.sums(version).nights[nights], job)
    name = job.task.primary_metric
    gap = _difference(life, version, nights, held_out) or difference(recent, before, job, name)
    at_training = metrics_of(before.sum(axis=0), job)
    allowed = job.retraining.max_loss * float(at_training[job.task.loss_metric])
    return Loss(name, len(nights), gap["value"], gap["low"], gap["high"], float(at_training[name]), allowed)


def _difference(life: Life, version: Version, nights: np.ndarray, held_out: np.ndarray) -> Interval | None:
    """Return the rise of the primary metric where entities come again every night, or None for events."""
    fits, job = life.fits, life.history.job
    before = fits.honest(version)
    if not job.is_snapshot or before is None:
        return None
    since, sums = version.since, fits.sums(version)
    recent = [_scores(life, sums, (since, fits.fitted_until(version), night)) for night in nights.tolist()]
    training = [_scores(life, before, (since, fits.early(version), night)) for night in held_out.tolist()]
    return difference_of(recent, training, job, job.task.primary_metric)


def _scores(life: Life, sums: Sums, key: tuple[int, int, int]) -> NightScores:
    """Return what a night tells of the metrics. ``key`` is the nights that were fitted on, and the night."""
    if key not in life.scores:
        cells = np.zeros(0) if sums.groups is None else sums.groups[key[2]]
        life.scores[key] = NightScores.of(life.history.day(key[2]), fine(cells, life.history.job), life.history.job)
    return life.scores[key]
