"""After a night is scored: its drift, held against the nights before it, and its report."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from drift.performance import estimate
from drift.report import Reporter, report_of
from drift.runs import night_of_run, past_of, reference_of, scored_run
from drift.verdict import Verdict, earliest, verdict_on
from scoring.interval import Nights
from scoring.job import Job
from scoring.stores import RunFolder, Workspace
from scoring.stores.warehouse import Span, monitoring


@dataclass(frozen=True)
class DriftResult:
    """What the drift of a night came to."""

    run_id: str
    verdict: str
    reasons: tuple[str, ...]
    report: str | None
    report_error: str | None


def watch(work: Workspace, run_id: str, reporter: Reporter | None = None) -> DriftResult:
    """Judge a scored run, keep profile and verdict, and make its page. Return the result.

    Judging a run again replaces its verdict. The verdict is kept before the page is made, so a page that fails loses
    nothing.
    """
    run = scored_run(work, run_id)
    observation = night_of_run(work, run)
    keys = {"run_id": run.run_id, "job": run.job, "night": run.night, "model_version": run.model_version}
    monitoring.save_profile(
        work.warehouse, {**keys, "rows": observation.profile.rows, "profile": observation.profile.as_dict()}
    )
    ref = RunFolder(work.lake, run).version_ref()
    reference = reference_of(work, ref)
    past = past_of(work.stores, _before(work.job, run.night), run.model_version)
    verdict = verdict_on(reference, past, run.night, observation)
    estimated = estimate(observation.profile, work.registry.table(ref, "reference.parquet"))
    facts = {**keys, **result_of(verdict), "rows": observation.profile.rows, "estimate": estimated}
    columns = [_column(column) for column in verdict.columns]
    monitoring.save_drift(work.warehouse, {**facts, "evaluated_at": work.clock()}, columns)
    if reporter is None:
        return DriftResult(run_id, verdict.verdict, verdict.reasons, None, None)
    page, problem = report_of(work, run, reporter)
    return DriftResult(run_id, verdict.verdict, verdict.reasons, page, problem)


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
