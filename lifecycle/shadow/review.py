"""Versions in the shadow, judged by the outcomes of the nights they scored: challengers, and dethroned champions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from drift.performance import (
    GROUPS,
    Floats,
    Outcomes,
    Panel,
    block_sums,
    groups_of,
    losses_of,
    metrics_of,
    outcome_sums,
    outcomes_of,
)
from lifecycle.comparison import (
    Judgement,
    Losses,
    gain_of,
    judge_predecessor,
    judge_shadow,
    losses_from,
    spread_of_night,
)
from lifecycle.promotion import rollback
from scoring.job import Job
from scoring.stores import LABEL_COLUMN, RunFolder, Stores, Workspace
from scoring.stores.warehouse import (
    Evaluation,
    NightLosses,
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
"""How many nights past its last one a shadow waits for missing scores or labels before it is given up."""


@dataclass(frozen=True)
class Reviewed:
    """How the review of a version in the shadow ended."""

    model_version: int
    role: str
    state: str
    detail: str
    rolled_back: bool = False


def review(work: Workspace, night: date, may_roll_back: bool = True) -> list[Reviewed]:
    """Judge the versions in the shadow on what was known at the end of ``night`` and return those whose stay this ended.

    A dethroned champion that did better than its successor, with evidence, gets the crown back. Reviewing again changes
    nothing that was decided. Nothing is judged at a night that is not over.
    """
    if not work.stores.over(work.job, night):
        return []
    measure(work, night)
    champion = champion_at(promotions.history_of(work.warehouse, work.job.name), date.max)
    results = []
    for shadow in shadows.running(work.warehouse, work.job.name):
        if shadow.champion_version != champion:
            results.append(_end(work.stores, shadow, "ended", f"version {champion} is champion now", None))
        elif shadow.role == "challenger":
            results += _review_challenger(work, shadow, night)
        elif may_roll_back:
            results += _review_predecessor(work, shadow, night)
    return results


def measure(work: Workspace, known_at: date) -> list[date]:
    """Measure both versions on shadow nights whose labels have matured by the end of ``known_at`` and return the nights."""
    last = known_at - timedelta(days=work.job.label.delay_days)
    measured = []
    for row in shadows.nights(work.warehouse, work.job.name):
        if row.status != "scored" or row.sums is not None or row.night > last:
            continue
        run = ledger.get(work.warehouse, row.run_id)
        shadow = outcomes_of(work, run, _shadow_predictions(work, run, row.model_version))
        if not shadow.labelled:
            continue
        champion = _on_rows_of(shadow, outcomes_of(work, run), work.job)
        losses = _losses(work.job, row.night, {"champion": champion.predictions, "shadow": shadow.predictions})
        facts = {"sums": asdict(losses), "measured_at": work.clock()}
        shadows.save_sums(work.warehouse, row.run_id, row.model_version, **facts)
        measured.append(row.night)
    return measured


def _on_rows_of(shadow: Outcomes, champion: Outcomes, job: Job) -> Outcomes:
    """Return what the champion said of the rows that the shadow took. It may use features that the champion does not."""
    if shadow.labelled == champion.labelled:
        return champion
    same = champion.predictions.join(
        shadow.predictions.select(list(job.key)), keys=list(job.key), join_type="left semi"
    )
    return replace(champion, predictions=same, outcome=same.column(LABEL_COLUMN))


def _losses(job: Job, night: date, predictions: Mapping[str, pa.Table]) -> ShadowLosses:
    """Return the losses of both sides on a night's rows with outcomes, for a snapshot job by group of entities as well."""
    cells = {side: _cells(table, job) for side, table in predictions.items()}
    (rows, champion), (_, shadow) = (losses_of(cells[side], job) for side in ("champion", "shadow"))
    gains = Panel((night,), rows[None], (champion - shadow)[None], job.label.horizon).as_json()
    metrics = {side: _values(of_side.sum(axis=0), job) for side, of_side in cells.items()}
    groups = gains[0] if job.is_snapshot else None
    return ShadowLosses(int(rows.sum()), float(champion.sum()), float(shadow.sum()), metrics, groups)


def _cells(table: pa.Table, job: Job) -> Floats:
    """Return the sums of each group of entities, shape (groups, sums). Events are all in one group."""
    outcome = table.column(LABEL_COLUMN)
    if job.is_snapshot:
        return block_sums(table, outcome, job, groups_of(table, job), GROUPS)
    return np.asarray(outcome_sums(table, outcome, job).sum(axis=0, keepdims=True))


def _values(sums: Floats, job: Job) -> dict[str, float | None]:
    metrics = metrics_of(sums, job)
    return {name: float(value) if np.isfinite(value) else None for name, value in metrics.items()}


def _shadow_predictions(work: Workspace, run: Run, version: int) -> pa.Table:
    folder = RunFolder(work.lake, run)
    return pa.concat_tables(work.lake.table(folder.shadow_part(version, number)) for number in folder.chunks)


def nights_of_shadow(stores: Stores, shadow: Shadow) -> list[ShadowNight]:
    """Return the published nights of the champion that a version scored in the shadow, from its first night on."""
    return shadows.beside(shadows.nights(stores.warehouse, shadow.job, shadow.model_version), shadow)


def losses_of_nights(rows: Sequence[ShadowNight], job: Job) -> Losses:
    """Return the losses of those of a shadow's nights that are measured. The shadow stands as the challenger."""
    measured = [(row.night, losses) for row in rows if (losses := row.losses) is not None]
    nights = [NightLosses(night, of.rows, of.champion, of.shadow, of.groups) for night, of in measured]
    return losses_from(nights, job)


def _review_challenger(work: Workspace, shadow: Shadow, night: date) -> list[Reviewed]:
    """Decide once every night of the shadow is measured, or too much time went by without."""
    rows = nights_of_shadow(work.stores, shadow)
    losses = losses_of_nights(rows, work.job)
    if losses.nights < shadow.nights:
        last = shadow.first_night + timedelta(days=shadow.nights + work.job.label.delay_days + GIVE_UP_NIGHTS)
        if night < last:
            return []
        failed = sum(row.status == "failed" for row in rows)
        missing = f"only {losses.nights} of {shadow.nights} nights are measured ({failed} failed) by night {night}"
        return [_end(work.stores, shadow, "failed", missing, None)]
    judgement = judge_shadow(losses, _holdout(work.stores, shadow, work.job), work.job.promotion, work.job.task.loss)
    return [
        _end(
            work.stores,
            shadow,
            "passed" if judgement.passed else "failed",
            judgement.reason,
            _evidence(losses, work.job, judgement),
        )
    ]


def _holdout(stores: Stores, shadow: Shadow, job: Job) -> Losses:
    """Return the nights on which the gate compared a challenger, or none for one that a person pinned."""
    card = retrainings.card(stores.warehouse, shadow.job, shadow.model_version) if shadow.retraining_id else None
    return losses_from(Evaluation.from_json(card["evaluation"]).by_night if card else [], job)


def _review_predecessor(work: Workspace, shadow: Shadow, night: date) -> list[Reviewed]:
    rows = nights_of_shadow(work.stores, shadow)
    losses = losses_of_nights(rows, work.job)
    spread = _usual_spread(work.stores, shadow)
    judgement = judge_predecessor(losses, spread, work.job.promotion, work.job.task.loss)
    evidence = _evidence(losses, work.job, judgement)
    if judgement.passed:
        rollback(work, f"automatic: {judgement.reason}", "nightshift", shadow.model_version)
        return [_end(work.stores, shadow, "passed", judgement.reason, evidence, rolled_back=True)]
    over = shadow.first_night + timedelta(days=shadow.nights + work.job.label.delay_days + GIVE_UP_NIGHTS)
    if losses.nights == shadow.nights or night >= over:
        return [_end(work.stores, shadow, "ended", f"no reason to go back: {judgement.reason}", evidence)]
    return []


def _usual_spread(stores: Stores, shadow: Shadow) -> float | None:
    """Return how far the difference of successor and predecessor usually lies from its mean on one night, or None.

    It comes from the nights on which the gate compared the successor: all it pooled, or those of the holdout.
    """
    if not shadow.retraining_id:
        return None
    card = retrainings.card(stores.warehouse, shadow.job, shadow.champion_version)
    return spread_of_night(Evaluation.from_json(card["evaluation"])) if card else None


def _evidence(losses: Losses, job: Job, judgement: Judgement) -> Row:
    return {"gain": asdict(gain_of(losses, job.promotion.confidence)), **judgement.as_dict()}


def _end(
    stores: Stores, shadow: Shadow, state: str, detail: str, evidence: Row | None, rolled_back: bool = False
) -> Reviewed:
    shadows.end(
        stores.warehouse, shadow.shadow_id, state=state, detail=detail, evidence=evidence, ended_at=stores.clock()
    )
    return Reviewed(shadow.model_version, shadow.role, state, detail, rolled_back)
