"""After a night is watched and measured: does it call for a retraining?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import takewhile
from typing import Any

import pyarrow as pa

from drift.governor import LASTING, Facts, Loss, decide
from drift.performance import (
    GROUP,
    Interval,
    Nightly,
    NightScores,
    Standard,
    broken_since,
    difference,
    difference_of,
    metrics_of,
    nights_of,
    stacked,
    sums_by_group,
    sums_by_night,
)
from drift.runs import scored_run
from drift.standards import nightly_of, since_training, worse_than_constant
from drift.worth import worth_of
from scoring.interval import Nights
from scoring.job import Job
from scoring.stores import RunFolder, Workspace
from scoring.stores.registry import HOLDOUT_FILE, VersionRef
from scoring.stores.warehouse import Decided, Measured, NightVerdict, Run, Span, monitoring, retrainings

STALE_NIGHTS = 30
"""Nights after which a retraining that is still recorded as running counts as killed, and no longer forbids another."""


def conclude(work: Workspace, run_id: str) -> Decided:
    """Decide after a night, on what was known at its end, and return the decision that stands on the record."""
    run = scored_run(work, run_id)
    span = Span(work.job.name, Nights.before(run.night, LASTING[1] - 1))
    tonight = monitoring.drift_of(work.warehouse, run_id)
    seen = [*monitoring.drift(work.warehouse, span), *([tonight] if tonight else [])]
    past = monitoring.decisions(work.warehouse, Span(work.job.name, Nights.before(run.night)))
    retrained = [row.night for row in past if row.decision == "retrain"]
    facts = facts_of(work, run, seen, retrained)
    lately = run.night - timedelta(days=STALE_NIGHTS)
    open_ones = [row.night for row in past if row.retraining == "running"]
    open_ones += [row.night for row in retrainings.of_job(work.warehouse, work.job.name) if row.open]
    facts = replace(facts, running=any(lately < night <= run.night for night in open_ones))
    decision = decide(facts, work.job.retraining)
    row: dict[str, Any] = {"job": run.job, "night": run.night, "run_id": run.run_id}
    row |= {"model_version": run.model_version, "origin": run.origin}
    inputs = {**facts.as_dict(), "evidence": decision.evidence}
    row |= {"decision": decision.decision, "reason": decision.reason, "inputs": inputs, "decided_at": work.clock()}
    return monitoring.save_decision(work.warehouse, row)


def facts_of(work: Workspace, run: Run, seen: Sequence[NightVerdict], retrained: Sequence[date]) -> Facts:
    """Return what was known at the end of a run's night: no row of a later night is looked at.

    ``seen`` are the verdicts on the last nights, newest last, this night's included if it has one.
    """
    ref = RunFolder(work.lake, run).version_ref()
    until = work.registry.facts(ref).trained_until
    since = since_training(work, ref)
    unseen = Nights.including(since.first, run.night)
    measured = monitoring.performance(work.warehouse, Span(work.job.name, unseen), run.night)
    verdicts = [verdict for verdict in seen if verdict.model_version == run.model_version]
    tonight = verdicts[-1] if verdicts and verdicts[-1].night == run.night else None
    return Facts(
        night=run.night,
        origin="provisional" if run.provisional else run.origin,
        model_version=run.model_version,
        trained_until=until,
        trained_on=until + timedelta(days=max(work.job.label.delay_days - 1, 0)),
        nights_to_compare=2 * work.job.promotion.min_nights if work.job.label.horizon else 0,
        has_labels=work.job.has_labels,
        new_labelled_nights=len(measured) if work.job.has_labels else max((run.night - until).days + 1, 0),
        verdict=tonight.verdict if tonight else None,
        faults=tonight.faults if tonight else [],
        drifted_columns=tonight.drifted_columns if tonight else [],
        drifted_weights=[verdict.drifted_weight for verdict in verdicts] if tonight else [],
        loss=loss_of(work, ref, measured),
        worth=worth_of(work, run, ref, measured),
        retrained=retrained,
        **_change(
            work.job, since.standard, [row for row in measured if row.model_version == run.model_version], retrained
        ),
    )


def _change(
    job: Job, standard: Standard | None, measured: Sequence[Measured], retrained: Sequence[date]
) -> dict[str, Any]:
    """Return what the facts say of a break in performance, or of a last night that was worse than a constant."""
    if standard is None or not measured:
        return {}
    nights = nightly_of(measured, measured[-1].model_version, job)
    state = standard.break_of(nights, job)
    worse = list(takewhile(worse_than_constant, reversed(measured)))
    changed_on = state.changed_on or (worse[-1].night if worse else None)
    if changed_on is None:
        return {}
    words = broken_since(changed_on, nights, standard, job) if state.changed_on else _collapse(worse)
    return {
        "changed_on": changed_on,
        "change": words,
        "nights_since_change": len(nights.since(changed_on)),
        "asked_since_change": _asked(job, nights.since(changed_on), retrained),
    }


def _collapse(worse: Sequence[Measured]) -> str:
    """Return in words that nights in a row, newest first, were worse than a constant."""
    row = (
        f"{len(worse)} nights in a row, since {worse[-1].night}, were worse than a constant; " if len(worse) > 1 else ""
    )
    return f"{row}night {worse[0].night} was {worse_than_constant(worse[0])}"


def _asked(job: Job, nights: Nightly, retrained: Sequence[date]) -> int:
    """Return how many of the nights were known when a retraining was last decided."""
    known = max(retrained, default=date.min)
    return sum(day + timedelta(days=job.label.delay_days) <= known for day in nights.days)


def loss_of(work: Workspace, ref: VersionRef, measured: Sequence[Measured]) -> Loss | None:
    """Return how much worse a version does on its last measured nights than on its holdout, or None without either."""
    held_out = work.registry.table(ref, HOLDOUT_FILE)
    nights = [row for row in measured if row.model_version == ref.version][-work.job.retraining.performance_nights :]
    if held_out is None or len(nights) < 3:
        return None
    before = sums_by_night(held_out, work.job)
    recent = stacked([row.sums for row in nights])
    name = work.job.task.primary_metric
    gap = _difference(nights, held_out, work.job) or difference(recent, before, work.job, name)
    at_training = metrics_of(before.sum(axis=0), work.job)
    allowed = work.job.retraining.max_loss * float(at_training[work.job.task.loss_metric])
    return Loss(name, len(nights), gap["value"], gap["low"], gap["high"], float(at_training[name]), allowed)


def _difference(nights: Sequence[Measured], held_out: pa.Table, job: Job) -> Interval | None:
    """Return the rise of the primary metric where entities come again every night, or None for events and older records."""
    scores = [NightScores.from_json(row.night, row.sums, job) for row in nights] if job.is_snapshot else []
    recent = [of_night for of_night in scores if of_night is not None]
    if GROUP not in held_out.column_names or not recent or len(recent) < len(scores):
        return None
    days = nights_of(held_out.column("night"))
    before = [NightScores.of(*of, job) for of in zip(days, sums_by_group(held_out, job), strict=True)]
    return difference_of(recent, before, job, job.task.primary_metric)
