"""After a night is scored: its drift, held against the nights before it, and its report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from drift.performance import estimate
from drift.report import Reporter, reported
from drift.runs import night_of_run, past_of, reference_of, scored_run
from drift.verdict import Night, Past, Reference, Verdict, earliest, verdict_on
from scoring.interval import Nights
from scoring.job import Job
from scoring.stores import RunFolder, Workspace, no_erasure
from scoring.stores.warehouse import Run, Span, ledger, monitoring

BACKFILL = "backfill"
"""Origin of the runs whose nights may be judged side by side, in any order."""


@dataclass(frozen=True)
class DriftResult:
    """What the drift of a night came to."""

    run_id: str
    verdict: str
    reasons: tuple[str, ...]
    report: str | None
    report_error: str | None
    again: tuple[str, ...] = ()
    """Runs of later nights whose verdicts changed by this one, as nights of a backfill may be judged in any order."""


@no_erasure
def watch(work: Workspace, run_id: str, reporter: Reporter | None = None) -> DriftResult:
    """Judge a scored run, keep profile and verdict, and make its page. Return the result.

    Judging a run again replaces its verdict. The verdict is kept before the page is made, so a page that fails loses
    nothing. Nights of a backfill that were judged too early, before this one, are judged again in order.
    """
    run = scored_run(work, run_id)
    observation = night_of_run(work, run)
    reference = reference_of(work, RunFolder(work.lake, run).version_ref())
    with monitoring.judging(work.warehouse, run.job):
        keys = {"run_id": run.run_id, "job": run.job, "night": run.night, "model_version": run.model_version}
        monitoring.save_profile(
            work.warehouse, {**keys, "rows": observation.profile.rows, "profile": observation.profile.as_dict()}
        )
        past = past_of(work.stores, _before(work.job, run.night), run.model_version)
        verdict = verdict_on(reference, past, run.night, observation)
        _save(work, run, observation, verdict)
        changed = _judged_again(work, run, reference) if run.origin == BACKFILL else []
    page, problem = None, None
    if reporter is not None:
        pages = reported(work, [*changed, run], reporter)
        page, problem = pages[run_id]
    again = tuple(each.run_id for each in changed)
    return DriftResult(run_id, verdict.verdict, verdict.reasons, page, problem, again)


def _judged_again(work: Workspace, run: Run, reference: Reference) -> list[Run]:
    """Judge again the later nights of the backfill that did not know this one, in order. Return those whose verdict changed.

    So the verdicts of a backfill are those that its nights would have had one after the other.
    """
    after = Span(work.job.name, Nights.since(run.night + timedelta(days=1)))
    run_ids = monitoring.judged_after(work.warehouse, after, run.model_version, BACKFILL)
    if not run_ids:
        return []
    later = [ledger.get(work.warehouse, run_id) for run_id in run_ids]
    span = Span(work.job.name, Nights(earliest(work.job, later[0].night), later[-1].night))
    past = {night.night: night for night in past_of(work.stores, span, run.model_version)}
    changed = []
    for each in later:
        observation = night_of_run(work, each)
        before = monitoring.drift_of(work.warehouse, each.run_id)
        earlier = [past[night] for night in sorted(past) if night < each.night]
        verdict = verdict_on(reference, earlier, each.night, observation)
        past[each.night] = Past.of(each.night, observation.profile, verdict)
        _save(work, each, observation, verdict)
        if before is None or (before.verdict, before.reasons) != (verdict.verdict, list(verdict.reasons)):
            changed.append(each)
    return changed


def _save(work: Workspace, run: Run, observation: Night, verdict: Verdict) -> None:
    ref = RunFolder(work.lake, run).version_ref()
    facts = {"run_id": run.run_id, "job": run.job, "night": run.night, "model_version": run.model_version}
    facts |= {**result_of(verdict), "rows": observation.profile.rows, "evaluated_at": work.clock()}
    facts["estimate"] = estimate(observation.profile, work.registry.table(ref, "reference.parquet"))
    monitoring.save_drift(work.warehouse, facts, [_column(column) for column in verdict.columns])


def _before(job: Job, night: date) -> Span:
    return Span(job.name, Nights(earliest(job, night), night))


def result_of(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as its row has it."""
    return {
        "verdict": verdict.verdict,
        "reasons": list(verdict.reasons),
        "faults": verdict.faults,
        "score": verdict.score,
        "score_limit": verdict.limit,
        "drifted_weight": verdict.drifted_weight,
        "baseline_nights": verdict.baseline_nights,
        "drifted_columns": verdict.drifted_columns,
    }


def _column(result: Any) -> dict[str, Any]:
    facts = asdict(result)
    return {"column_name": facts.pop("column"), **facts}
