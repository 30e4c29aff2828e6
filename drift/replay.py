"""Verdict and governor run again over past nights, with these or other settings, writing nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

from drift.decide import facts_of
from drift.governor import LASTING, Decision, decide
from drift.runs import night_of_run, past_of, reference_of
from drift.verdict import Night, Past, Reference, Verdict, earliest, verdict_on
from drift.watch import result_of
from scoring.interval import Nights
from scoring.stores import RunFolder, Workspace
from scoring.stores.warehouse import NightVerdict, Run, Span, ledger, monitoring

AS_IF = "scheduled"
"""Origin that every replayed night is given, so that backfilled nights are decided too."""


@dataclass(frozen=True)
class Replayed:
    """One past night, judged and decided again, beside the decision on record."""

    night: date
    model_version: int
    rows: int
    verdict: Verdict
    decision: Decision
    recorded: str | None


def replay(work: Workspace, nights: Nights) -> Iterator[Replayed]:
    """Yield every published night of ``nights`` as the job's settings would judge and decide it, had it been scheduled.

    Every night sees only the nights before it, as when it was lived through; decisions made here count for the cooldown
    and budget of those after. Nights before the first are taken as recorded.
    """
    published = ledger.published(work.warehouse, work.job.name)
    before = Span(work.job.name, Nights(earliest(work.job, nights.first), nights.first))
    decided = monitoring.decisions(work.warehouse, Span(work.job.name, Nights.before(nights.until)))
    recorded = {row.run_id: row.decision for row in decided}
    retrained = [row.night for row in decided if row.night < nights.first and row.decision == "retrain"]
    seen = monitoring.drift(work.warehouse, before)
    past: dict[int, list[Past]] = {}
    references: dict[int, Reference] = {}
    for night in (night for night in published if night in nights):
        run = ledger.get(work.warehouse, published[night])
        if run.provisional:
            continue
        version = run.model_version
        if version not in references:
            references[version] = reference_of(work, RunFolder(work.lake, run).version_ref())
            past[version] = past_of(work.stores, before, version)
        observation = night_of_run(work, run)
        verdict = verdict_on(references[version], past[version], night, observation)
        past[version].append(Past.of(night, observation.profile, verdict))
        seen.append(_as_judged(run, observation, verdict))
        lately = [earlier for earlier in seen if earlier.night > night - timedelta(days=LASTING[1])]
        facts = replace(facts_of(work, run, lately, retrained), origin=AS_IF)
        decision = decide(facts, work.job.retraining)
        if decision.decision == "retrain":
            retrained.append(night)
        yield Replayed(night, version, observation.profile.rows, verdict, decision, recorded.get(run.run_id))


def _as_judged(run: Run, night: Night, verdict: Verdict) -> NightVerdict:
    """Return the verdict as it would stand on the record, had the night been judged when it was scored."""
    return NightVerdict(
        run_id=run.run_id,
        job=run.job,
        night=run.night,
        model_version=run.model_version,
        rows=night.profile.rows,
        evaluated_at=run.started_at,
        **result_of(verdict),
    )
