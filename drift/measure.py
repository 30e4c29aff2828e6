"""Performance of nights whose labels have matured, measured again when labels come late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np

from drift.performance import (
    GROUPS,
    Floats,
    Judgement,
    NightScores,
    Outcomes,
    block_sums,
    compact,
    expanded,
    groups_of,
    intervals_of,
    outcome_sums,
    outcomes_of,
    with_intervals,
)
from drift.standards import Standards
from scoring.interval import Nights
from scoring.job import Job
from scoring.stores import Workspace, no_erasure
from scoring.stores.warehouse import Run, Span, ledger, monitoring

REVISITED = 7
"""Nights after maturity in which late and corrected labels are looked for. Later ones are measured on demand."""


@no_erasure
def measure(work: Workspace, known_at: date, nights: Nights | None = None) -> list[date]:
    """Measure published nights whose labels have matured by the end of night ``known_at`` and return those measured.

    Looked at are the nights that matured in the last week and those of the last 28 that have no measurement yet, or
    all of ``nights``, if given. A night whose labels and run are the ones that were measured before keeps its row; late
    or corrected labels give it a new one. Provisional nights are not measured, nor is anything at a night that is not
    over.
    """
    if not work.stores.over(work.job, known_at):
        return []
    matured = known_at - timedelta(days=work.job.label.delay_days)
    window = Nights.up_to(matured, work.job.retraining.performance_nights) if nights is None else nights
    span = Span(work.job.name, Nights(window.first, known_at))
    recorded = {row.night for row in monitoring.performance(work.warehouse, span, known_at)}
    settled = {night for night in recorded if night <= matured - timedelta(days=REVISITED)} if nights is None else set()
    published = ledger.settled(work.warehouse, work.job.name, work.clock())
    measured, standards = [], Standards(work)
    for night in (night for night in published if night in window and night <= matured and night not in settled):
        run = ledger.get(work.warehouse, published[night])
        if _measure_night(standards, run, known_at):
            measured.append(night)
    return measured


def alarm_of(work: Workspace, days: Sequence[date], known_at: date) -> tuple[date, str] | None:
    """Return the last of the nights whose measured performance is an alert, with its reasons, or None if there is none."""
    if not days:
        return None
    rows = monitoring.performance(work.warehouse, Span(work.job.name, Nights.including(min(days), max(days))), known_at)
    alarms = [row for row in rows if row.night in days and row.verdict == "alert"]
    return (alarms[-1].night, "; ".join(alarms[-1].reasons)) if alarms else None


def _measure_night(standards: Standards, run: Run, known_at: date) -> bool:
    work = standards.work
    outcomes = outcomes_of(work, run)
    before = monitoring.performance(work.warehouse, Span(work.job.name, Nights.of(run.night)), known_at)
    unchanged = before and (before[0].labels_hash, before[0].run_id) == (outcomes.labels_hash, run.run_id)
    if not outcomes.labelled or unchanged:
        return False
    blocks = outcome_sums(outcomes.predictions, outcomes.outcome, work.job)
    sums = _kept(work.job, run.night, outcomes, blocks)
    judgement = standards.judged(run, known_at, outcomes, blocks.sum(axis=0))
    facts: dict[str, Any] = {
        "job": work.job.name,
        "night": run.night,
        "known_at": known_at,
        "run_id": run.run_id,
        "model_version": run.model_version,
        "rows_published": outcomes.rows,
        "rows_labelled": outcomes.labelled,
        "share_labelled": outcomes.labelled / outcomes.rows,
        "metrics": with_intervals(blocks, work.job),
        "rolling": _rolling(work, run.night, known_at, sums),
        "sums": sums,
        "labels_hash": outcomes.labels_hash,
        "measured_at": work.clock(),
        **_result_of(judgement),
    }
    monitoring.save_performance(work.warehouse, facts)
    return True


def _result_of(judgement: Judgement) -> dict[str, Any]:
    """Return the verdict as its row has it."""
    return {"verdict": judgement.verdict, "reasons": list(judgement.reasons), "judgement": judgement.as_json()}


def _kept(job: Job, night: date, outcomes: Outcomes, blocks: Floats) -> list[list[float]]:
    """Return what is kept of a night for intervals of several: its sums, and what each group of entities moves if they repeat."""
    if not job.is_snapshot:
        return compact(blocks.sum(axis=0))
    groups = groups_of(outcomes.predictions, job)
    return NightScores.of(night, block_sums(outcomes.predictions, outcomes.outcome, job, groups, GROUPS), job).as_json()


def _rolling(work: Workspace, night: date, known_at: date, sums: list[list[float]]) -> dict[str, Any]:
    """Return the metrics of the 7 and 28 nights up to ``night``, whatever version scored them."""
    rows = monitoring.performance(work.warehouse, Span(work.job.name, Nights.before(night, 27)), known_at)
    rolling = {}
    for nights in (7, 28):
        near = [(row.night, row.sums) for row in rows if row.night > night - timedelta(days=nights)]
        near.append((night, sums))
        rolling[str(nights)] = {"nights": len(near), **_together(near, work.job)}
    return rolling


def _together(nights: Sequence[tuple[date, list[list[float]]]], job: Job) -> dict[str, Any]:
    if not job.is_snapshot:
        return with_intervals(np.stack([expanded(sums) for _, sums in nights]), job)
    scores = [NightScores.from_json(night, sums, job) for night, sums in nights]
    return intervals_of([of_night for of_night in scores if of_night is not None], job)
