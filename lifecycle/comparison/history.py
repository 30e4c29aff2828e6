"""What bears on a comparison beyond its own nights: earlier refits, the last proven champion, a change since some night."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import pyarrow as pa

from drift.performance import nights_of
from lifecycle.comparison.recipe import Refit, block_of, blocks_of, pooled
from lifecycle.comparison.refits import measured_refits
from lifecycle.comparison.same_rows import CHALLENGER, CHAMPION, SameRows
from lifecycle.training import NIGHT, Snapshot, batch_of, fit, fits, parted, unseen_from
from scoring.rows import Rule, decision_of, predict
from scoring.stores import Workspace
from scoring.stores.registry import ModelVersion, VersionRef
from scoring.stores.warehouse import Block, Evaluation, SinceChange

LEAST_SINCE_CHANGE = 4
"""Labelled nights since a change that a second fit needs: two of them to learn from, two to be judged on."""


@dataclass(frozen=True)
class Rivals:
    """Whom a version is compared with, and since when the world is known to be another."""

    champion: VersionRef | None = None
    proven: VersionRef | None = None
    """The last champion that was proven to be better, if that is not the champion."""
    changed_on: date | None = None
    """First night since which the outcome is known to depend on the features in another way."""


def with_history(
    work: Workspace, evaluation: Evaluation, compared: SameRows, judged_until: date, snapshot: Snapshot, rivals: Rivals
) -> Evaluation:
    """Return a comparison with what bears on it beyond its own nights.

    ``compared`` are the rows of the holdout, which a fit on the nights before ``judged_until`` was judged on.
    """
    if rivals.champion is None or evaluation.champion is None or work.job.pipeline is None:
        return evaluation
    horizon = work.job.label.horizon
    judged = Refit(evaluation.challenger.version, judged_until, compared.night_losses(CHALLENGER))
    crowned = Refit(evaluation.champion.version, evaluation.champion.fitted_until, compared.night_losses(CHAMPION))
    direct = block_of(judged, crowned, compared.nights, horizon) if len(compared.nights) > 1 else None
    newer, older = measured_refits(work, snapshot, rivals.champion)
    age = (evaluation.challenger.fitted_until - crowned.until).days
    pool = pooled(blocks_of(newer, older, age, horizon), direct, age, snapshot.window.last)
    return replace(
        evaluation,
        refits=pool,
        proven=_against_proven(work, compared, judged, rivals.proven),
        since_change=_since_change(work, snapshot, rivals),
    )


def _against_proven(work: Workspace, compared: SameRows, judged: Refit, proven: VersionRef | None) -> Block | None:
    """Return the judged fit against the last proven champion, on the nights of the holdout that this has not seen."""
    if proven is None or len(compared.nights) < 2:
        return None
    model = work.registry.load(proven, work.job)
    says = model.predict(batch_of(compared.rows), work.job)
    both = SameRows(work.job, compared.rows, {CHAMPION: pa.Table.from_batches([says])})
    unseen = unseen_from(work.job, model.facts.seen.until)
    nights = [night for night in compared.nights if night >= unseen]
    older = Refit(proven.version, model.facts.seen.until, both.night_losses(CHAMPION))
    return block_of(judged, older, nights, work.job.label.horizon) if len(nights) > 1 else None


def _since_change(work: Workspace, snapshot: Snapshot, rivals: Rivals) -> SinceChange | None:
    """Return how a fit that has seen the first half of the nights since a change does on the second half.

    A challenger is not judged only by a fit that knows nothing of the world it is made for.
    """
    changed_on, job = rivals.changed_on, work.job
    if changed_on is None or rivals.champion is None:
        return None
    champion = work.registry.load(rivals.champion, job)
    labelled = snapshot.rows.labelled
    since = nights_of(parted(labelled, changed_on)[1].column(NIGHT))
    if len(since) < LEAST_SINCE_CHANGE:
        return None
    middle = max(since[len(since) // 2], unseen_from(job, champion.facts.seen.until))
    early, late = parted(labelled, middle, job.label.horizon)
    if not fits(early, job) or len(nights_of(late.column(NIGHT))) < 2:
        return None
    both = _both(work, early, late, champion)
    until, nights = middle - timedelta(days=job.label.horizon), both.nights
    newer = Refit(None, until, both.night_losses(CHALLENGER))
    older = Refit(rivals.champion.version, champion.facts.seen.until, both.night_losses(CHAMPION))
    return SinceChange(changed_on, block_of(newer, older, nights, job.label.horizon), both.metrics, both.segments)


def _both(work: Workspace, early: pa.Table, late: pa.Table, champion: ModelVersion) -> SameRows:
    """Return what a fit on the early rows and the champion say of the late ones."""
    pipeline, batch = fit(early, work.job), batch_of(late)
    new = predict(pipeline, batch, work.job, Rule(decision_of(pipeline, work.job)))
    old = champion.predict(batch, work.job)
    sides = {CHALLENGER: pa.Table.from_batches([new]), CHAMPION: pa.Table.from_batches([old])}
    return SameRows(work.job, late, sides)
