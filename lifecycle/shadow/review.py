"""Versions in the shadow, judged by the outcomes of the nights they scored: challengers, and dethroned champions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from drift.performance import Floats, losses_of, metrics_of, outcome_sums, outcomes_of
from lifecycle.comparison import Judged, Losses, gain_of, judge_predecessor, judge_shadow, losses_from
from lifecycle.promotion import rollback
from scoring.job import Job
from scoring.stores import LABEL_COLUMN, RunFolder, Stores, Workspace
from scoring.stores.warehouse import (
    Evaluation,
    Row,
    Run,
    Shadow,
    ShadowLosses,
    ShadowNight,
    champion_at,
    ledger,
    promotions,
    retrainings,
    shadows,
)

GIVE_UP_NIGHTS = 14
"""Published nights after its last one that a shadow waits for nights and labels that it still lacks."""


@dataclass(frozen=True)
class Reviewed:
    """What a look at a version in the shadow came to."""

    model_version: int
    role: str
    state: str
    detail: str
    rolled_back: bool = False


def review(work: Workspace, night: date, may_roll_back: bool = True) -> list[Reviewed]:
    """Judge the versions in the shadow on what was known at the end of ``night``; return those that this ended.

    A dethroned champion that did better than its successor, with evidence, gets the crown back. Looking again changes
    nothing that was decided. Nothing is judged at a night that is not over.
    """
    if not work.stores.over(work.job, night):
        return []
    measure(work, night)
    champion = champion_at(promotions.history_of(work.warehouse, work.job.name), date.max)
    found = []
    for one in shadows.running(work.warehouse, work.job.name):
        if one.champion_version != champion:
            found.append(_end(work.stores, one, "ended", f"version {champion} is champion now", None))
        elif one.role == "challenger":
            found += _review_challenger(work, one, night)
        elif may_roll_back:
            found += _review_predecessor(work, one, night)
    return found


def measure(work: Workspace, known_at: date) -> list[date]:
    """Measure both versions on shadow nights whose labels have matured by the end of ``known_at``; return the nights."""
    last = known_at - timedelta(days=work.job.label.delay_days)
    measured = []
    for row in shadows.nights(work.warehouse, work.job.name):
        if row.status != "scored" or row.sums is not None or row.night > last:
            continue
        run = ledger.get(work.warehouse, row.run_id)
        champion = outcomes_of(work, run)
        if not champion.labelled:
            continue
        shadow = outcomes_of(work, run, _said(work, run, row.model_version))
        sums = {
            side: outcome_sums(found.predictions, found.predictions.column(LABEL_COLUMN), work.job).sum(axis=0)
            for side, found in (("champion", champion), ("shadow", shadow))
        }
        rows, loss = losses_of(sums["champion"], work.job)
        metrics = {side: _values(found, work.job) for side, found in sums.items()}
        losses = ShadowLosses(int(rows), float(loss), float(losses_of(sums["shadow"], work.job)[1]), metrics)
        facts = {"sums": asdict(losses), "measured_at": work.clock()}
        shadows.save_sums(work.warehouse, row.run_id, row.model_version, **facts)
        measured.append(row.night)
    return measured


def _values(sums: Floats, job: Job) -> dict[str, float | None]:
    found = metrics_of(sums, job)
    return {name: float(value) if np.isfinite(value) else None for name, value in found.items()}


def _said(work: Workspace, run: Run, version: int) -> pa.Table:
    folder = RunFolder(work.lake, run)
    return pa.concat_tables(work.lake.table(folder.shadow_part(version, number)) for number in folder.chunks)


def nights_of_shadow(stores: Stores, one: Shadow) -> list[ShadowNight]:
    """Return the published nights of the champion that a version scored in the shadow, from its first night on."""
    return shadows.beside(shadows.nights(stores.warehouse, one.job, one.model_version), one)


def losses_of_nights(rows: Sequence[ShadowNight]) -> Losses:
    """Return the losses of the measured ones of a shadow's nights; the shadow stands as the challenger."""
    measured = [losses for row in rows if (losses := row.losses) is not None]
    return Losses(
        rows=np.array([night.rows for night in measured], dtype=np.float64),
        champion=np.array([night.champion for night in measured], dtype=np.float64),
        challenger=np.array([night.shadow for night in measured], dtype=np.float64),
    )


def _review_challenger(work: Workspace, one: Shadow, night: date) -> list[Reviewed]:
    """Decide once every night of the shadow is measured, or too much time went by without."""
    rows = nights_of_shadow(work.stores, one)
    losses = losses_of_nights(rows)
    if losses.nights < one.nights:
        last = one.first_night + timedelta(days=one.nights + work.job.label.delay_days + GIVE_UP_NIGHTS)
        if night < last:
            return []
        failed = sum(row.status == "failed" for row in rows)
        missing = f"only {losses.nights} of {one.nights} nights are measured ({failed} failed) by night {night}"
        return [_end(work.stores, one, "failed", missing, None)]
    judged = judge_shadow(losses, _holdout(work.stores, one), work.job.promotion, work.job.task.loss)
    return [
        _end(
            work.stores,
            one,
            "passed" if judged.passed else "failed",
            judged.reason,
            _evidence(losses, work.job, judged),
        )
    ]


def _holdout(stores: Stores, one: Shadow) -> Losses:
    """Return the nights on which the gate compared a challenger; none for one that a person pinned."""
    card = retrainings.card(stores.warehouse, one.job, one.model_version) if one.retraining_id else None
    return losses_from(Evaluation.from_json(card["evaluation"]).by_night if card else [])


def _review_predecessor(work: Workspace, one: Shadow, night: date) -> list[Reviewed]:
    rows = nights_of_shadow(work.stores, one)
    losses = losses_of_nights(rows)
    judged = judge_predecessor(losses, work.job.promotion, work.job.task.loss)
    evidence = _evidence(losses, work.job, judged)
    if judged.passed:
        rollback(work, f"automatic: {judged.reason}", "nightshift", one.model_version)
        return [_end(work.stores, one, "passed", judged.reason, evidence, rolled_back=True)]
    over = one.first_night + timedelta(days=one.nights + work.job.label.delay_days + GIVE_UP_NIGHTS)
    if losses.nights == one.nights or night >= over:
        return [_end(work.stores, one, "ended", f"no reason to go back: {judged.reason}", evidence)]
    return []


def _evidence(losses: Losses, job: Job, judged: Judged) -> Row:
    return {"gain": asdict(gain_of(losses, job.promotion.confidence)), **judged.as_dict()}


def _end(
    stores: Stores, one: Shadow, state: str, detail: str, evidence: Row | None, rolled_back: bool = False
) -> Reviewed:  # fmt: skip
    shadows.end(
        stores.warehouse, one.shadow_id, state=state, detail=detail, evidence=evidence, ended_at=stores.clock()
    )  # fmt: skip
    return Reviewed(one.model_version, one.role, state, detail, rolled_back)
