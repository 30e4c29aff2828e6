"""Is a retraining worth its cost: what a newer version is expected to spare, by what refits have gained so far."""

from __future__ import annotations

from collections.abc import Sequence

from drift.governor import Worth
from scoring.job import Job
from scoring.stores import Workspace
from scoring.stores.registry import VersionRef
from scoring.stores.warehouse import Evaluation, Measured, Pooled, Run, retrainings

LEAST_SECONDS = 1.0
"""Seconds that a night's scoring counts as at least: what is quicker is mostly start-up, and no measure of a cost."""


def worth_of(work: Workspace, run: Run, ref: VersionRef, measured: Sequence[Measured]) -> Worth | None:
    """Return what a version trained after a run's night would spare, or None where no refit was ever compared.

    ``measured`` are the measured nights that the champion was not trained on.
    """
    pool = _newest_refits(work, run)
    losses = [row.metrics.get(work.job.task.loss_metric, {}).get("value") for row in measured]
    nights = [(row.rows_labelled, loss) for row, loss in zip(measured, losses, strict=True) if loss is not None]
    if pool is None or not nights:
        return None
    rows = sum(count for count, _ in nights) / len(nights)
    loss = sum(count * value for count, value in nights) / len(nights)
    scoring = (run.finished_at - run.started_at).total_seconds() if run.finished_at is not None else None
    cost = cost_of(work.job, work.registry.facts(ref).seconds, scoring, loss)
    return None if cost is None else worth(work.job, pool, len(measured), rows, cost)


def worth(job: Job, pool: Pooled, newer: int, rows: float, cost: float) -> Worth:
    """Return what a version ``newer`` nights newer would spare, on so many rows a night."""
    return Worth(job.task.loss, newer, pool.gain_over(newer), rows, job.retraining.cooldown_nights, cost)


def cost_of(job: Job, training: float | None, scoring: float | None, night_loss: float) -> float | None:
    """Return the cost of a retraining in units of loss times rows, or None where nothing says how long one takes.

    Computing is worth what it is worth every night. A retraining that takes as long as scoring a night has to spare at
    least the smallest gain that matters, on one night; one that takes ten times as long, ten times that. ``night_loss`` is
    the loss summed over the rows of a night.
    """
    if job.retraining.cost is not None:
        return job.retraining.cost
    if training is None or scoring is None:
        return None
    return training / max(scoring, LEAST_SECONDS) * job.promotion.min_gain * night_loss


def _newest_refits(work: Workspace, run: Run) -> Pooled | None:
    """Return what refits had gained when a version was last compared, before a run's night was over."""
    for row in reversed(retrainings.of_job(work.warehouse, work.job.name)):
        card = None
        if row.model_version is not None and row.night < run.night:
            card = retrainings.card(work.warehouse, work.job.name, row.model_version)
        if card is not None:
            refits = Evaluation.from_json(card["evaluation"]).refits
            if refits is not None:
                return refits
    return None
