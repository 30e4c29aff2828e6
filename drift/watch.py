"""After a night is scored: its drift, the performance of nights whose labels came, and the decision. A task each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from drift.governor import LASTING, Facts, Loss, decide
from drift.performance.metrics import (
    PRIMARY,
    Floats,
    compact,
    difference,
    estimate,
    expanded,
    metrics_of,
    outcome_sums,
    with_intervals,
)
from drift.performance.outcomes import outcomes_of, sums_by_night
from drift.verdict.baseline import Past, Reference, by_column, earliest, verdict_on
from drift.verdict.verdict import UNUSUAL, Night, Verdict
from scoring.errors import RunMissing
from scoring.job.definition import Job
from scoring.rows.profile import Profile, merged
from scoring.stores.installation import Stores
from scoring.stores.registry.version import HOLDOUT_FILE, NIGHTS_FILE, VersionRef
from scoring.stores.warehouse import ledger, monitoring, retrainings
from scoring.stores.warehouse.ledger import Run
from scoring.stores.warehouse.monitoring import Span

REVISITED = 7
"""Nights after maturity in which late and corrected labels are looked for; later ones are measured on demand."""
STALE_NIGHTS = 30
"""A retraining that says for so long that it runs was killed, and forbids no other."""
SCORED = ("published", "held", "superseded")
Reporter = Callable[[Stores, Job, Run], tuple[str | None, str | None]]
"""Makes the page of a judged run; returns its path below the lake and what it lacks, or None and why there is none."""


@dataclass(frozen=True)
class Watched:
    """What the drift of a night came to."""

    run_id: str
    verdict: str
    reasons: tuple[str, ...]
    report: str | None
    report_error: str | None


def version_of(stores: Stores, job: Job, run: Run) -> VersionRef:
    """Return the model version that a run was pinned to."""
    folder = stores.lake.run_folder(job.name, run.night, run.run_id)
    uri = stores.lake.read_json(f"{folder}/run.json")["model_uri"]
    return VersionRef(job.name, run.model_version, run.model_sha256, uri)


def reference_of(stores: Stores, job: Job, ref: VersionRef) -> Reference:
    """Return what a version keeps of the data it was trained on; nothing is unpickled."""
    nights, profile = (stores.registry.content(ref, name) for name in (NIGHTS_FILE, "reference_profile.json"))
    return Reference.of(nights, profile, job)


def scored_run(stores: Stores, job: Job, run_id: str) -> Run:
    """Return a run whose rows were all scored; raises ``RunMissing`` otherwise."""
    run = ledger.get(stores.warehouse, run_id, job.name)
    if run.status not in SCORED:
        raise RunMissing(f"run {run_id}", found=f"status {run.status}", expected=f"one of {', '.join(SCORED)}")
    return run


def published_run(stores: Stores, job: Job, night: date) -> Run:
    """Return the run that a night shows, or the last held one; raises ``RunMissing`` when there is neither."""
    shown = ledger.published(stores.warehouse, job.name, night).get(night)
    if shown is not None:
        return ledger.get(stores.warehouse, shown)
    held = [run for run in ledger.runs_of(stores.warehouse, job.name, night) if run.status == "held"]
    if not held:
        raise RunMissing(
            f"night {night} of {job.name}", found="no published and no held run", expected="a scored night",
            next_step=f"python -m scoring run {job.name} --night {night}",
        )  # fmt: skip
    return held[-1]


def night_of_run(stores: Stores, job: Job, run: Run) -> Night:
    """Return what is compared of a run: the merged profiles of its chunks, and its quarantine by column.

    Raises ``RunMissing`` for a run without profiles.
    """
    folder = stores.lake.run_folder(job.name, run.night, run.run_id)
    paths = [f"{folder}/profile-{number:05d}.json" for number in range(run.chunks or 0)]
    missing = sum(not stores.lake.exists(path) for path in paths)
    if missing:
        raise RunMissing(
            f"profiles of run {run.run_id}", found=f"{missing} of {len(paths)} chunks have none", expected="one per chunk",
            next_step=f"score the night again: python -m scoring run {job.name} --night {run.night}",
        )  # fmt: skip
    chunks = (Profile.from_dict(stores.lake.read_json(path)) for path in paths)
    return Night(merged(chunks), by_column(run.quarantine_reasons or {}))


def past_of(stores: Stores, span: Span, version: int) -> list[Past]:
    """Return the published nights of a span that a version scored, with their verdicts, oldest first."""
    rows = monitoring.profiles(stores.warehouse, span, version)
    flags = _unusual(stores, [row["run_id"] for row in rows])
    return [
        Past(
            row["night"], Profile.from_dict(row["profile"]), row["verdict"], row["score"] or 0.0, row["faults"] or [],
            flags.get(row["run_id"], {}),
        )
        for row in rows
    ]  # fmt: skip


def _unusual(stores: Stores, run_ids: list[str]) -> dict[str, dict[str, bool]]:
    found: dict[str, dict[str, bool]] = {}
    for row in monitoring.columns_of(stores.warehouse, run_ids):
        found.setdefault(row["run_id"], {})[row["column_name"]] = row["status"] in UNUSUAL
    return found


def watch(stores: Stores, job: Job, run_id: str, reporter: Reporter | None = None) -> Watched:
    """Judge a scored run, keep profile and verdict, and make its page; return what it came to.

    Looking again replaces what was found. The verdict is kept before the page is made, so a page that fails loses
    nothing.
    """
    run = scored_run(stores, job, run_id)
    found = night_of_run(stores, job, run)
    keys: dict[str, Any] = {name: run.facts[name] for name in ("run_id", "job", "night", "model_version")}
    monitoring.save_profile(stores.warehouse, {**keys, "rows": found.profile.rows, "profile": found.profile.as_dict()})
    ref = version_of(stores, job, run)
    reference = reference_of(stores, job, ref)
    past = past_of(stores, _before(job, run.night), run.model_version)
    verdict = verdict_on(reference, past, run.night, found)
    estimated = estimate(found.profile, stores.registry.table(ref, "reference.parquet"))
    facts = {**keys, **result_of(verdict), "rows": found.profile.rows, "estimate": estimated}
    columns = [_column(one) for one in verdict.columns]
    monitoring.save_drift(stores.warehouse, {**facts, "evaluated_at": stores.clock()}, columns)
    if reporter is None:
        return Watched(run_id, verdict.verdict, verdict.reasons, None, None)
    page, problem = _report(stores, job, run, reporter)
    return Watched(run_id, verdict.verdict, verdict.reasons, page, problem)


def _report(stores: Stores, job: Job, run: Run, reporter: Reporter) -> tuple[str | None, str | None]:
    page, problem = reporter(stores, job, run)
    monitoring.save_report(stores.warehouse, run.run_id, page, problem)
    return page, problem


def _before(job: Job, night: date) -> Span:
    return Span(job.name, earliest(job, night), night)


def result_of(verdict: Verdict) -> dict[str, Any]:
    """Return the verdict as its row has it."""
    return {
        "verdict": verdict.verdict, "reasons": list(verdict.reasons), "faults": verdict.faults, "score": verdict.score,
        "score_limit": verdict.limit, "drifted_weight": verdict.drifted_weight,
        "baseline_nights": verdict.baseline_nights, "drifted_columns": verdict.drifted_columns,
    }  # fmt: skip


def _column(one: Any) -> dict[str, Any]:
    facts = asdict(one)
    return {"column_name": facts.pop("column"), **facts}


def measure(
    stores: Stores, job: Job, known_at: date, first: date | None = None, reporter: Reporter | None = None,
    last: date | None = None,
) -> list[date]:  # fmt: skip
    """Measure published nights whose labels have matured by the end of night ``known_at``; return those measured.

    Looked at are the nights that matured in the last week and those of the last 28 that have no measurement yet, or
    all from ``first`` on (to ``last``, if given). A night whose labels and run are the ones that were measured before
    keeps its row; late or corrected labels give it a new one. Provisional nights are not measured, nor is anything at a
    night that is not over.
    """
    if not stores.over(job, known_at):
        return []
    last = min(known_at - timedelta(days=job.label.delay_days), last or known_at)
    begin = first or last - timedelta(days=job.retraining.performance_nights - 1)
    span = Span(job.name, begin, known_at)
    known = {row["night"] for row in monitoring.performance(stores.warehouse, span, known_at)}
    settled = {night for night in known if night <= last - timedelta(days=REVISITED)} if first is None else set()
    shown = ledger.settled(stores.warehouse, job.name, stores.clock())
    measured = []
    for night in (night for night in shown if begin <= night <= last and night not in settled):
        run = ledger.get(stores.warehouse, shown[night])
        if _measure_night(stores, job, run, known_at):
            measured.append(night)
            if reporter is not None and monitoring.drift_of(stores.warehouse, run.run_id):
                _report(stores, job, run, reporter)  # the page shows outcomes now
    return measured


def _measure_night(stores: Stores, job: Job, run: Run, known_at: date) -> bool:
    found = outcomes_of(stores, job, run)
    before = monitoring.performance(
        stores.warehouse, Span(job.name, run.night, run.night + timedelta(days=1)), known_at
    )
    unchanged = before and (before[0]["labels_hash"], before[0]["run_id"]) == (found.labels_hash, run.run_id)
    if not found.labelled or unchanged:
        return False
    blocks = outcome_sums(found.predictions, found.outcome, job)
    sums = blocks.sum(axis=0)
    facts = {
        "job": job.name, "night": run.night, "known_at": known_at, "run_id": run.run_id,
        "model_version": run.model_version, "rows_published": found.rows, "rows_labelled": found.labelled,
        "share_labelled": found.labelled / found.rows, "metrics": with_intervals(blocks, job),
        "rolling": _rolling(stores, job, run.night, known_at, sums), "sums": compact(sums),
        "labels_hash": found.labels_hash, "measured_at": stores.clock(),
    }  # fmt: skip
    monitoring.save_performance(stores.warehouse, facts)
    return True


def _rolling(stores: Stores, job: Job, night: date, known_at: date, sums: Floats) -> dict[str, Any]:
    """Return the metrics of the 7 and 28 nights up to ``night``, whatever version scored them."""
    rows = monitoring.performance(stores.warehouse, Span(job.name, night - timedelta(days=27), night), known_at)
    found = {}
    for nights in (7, 28):
        near = [row for row in rows if row["night"] > night - timedelta(days=nights)]
        together = np.stack([*(expanded(row["sums"]) for row in near), sums])
        found[str(nights)] = {"nights": len(together), **with_intervals(together, job)}
    return found


def conclude(stores: Stores, job: Job, run_id: str) -> dict[str, Any]:
    """Decide after a night, on what was known at its end, and return the decision that stands on the record."""
    run = scored_run(stores, job, run_id)
    span = Span(job.name, run.night - timedelta(days=LASTING[1] - 1), run.night)
    tonight = monitoring.drift_of(stores.warehouse, run_id)
    seen = [*monitoring.drift(stores.warehouse, span), *([tonight] if tonight else [])]
    past = monitoring.decisions(stores.warehouse, Span(job.name, None, run.night))
    retrained = [row["night"] for row in past if row["decision"] == "retrain"]
    facts = facts_of(stores, job, run, seen, retrained)
    lately = run.night - timedelta(days=STALE_NIGHTS)
    open_ones = [row["night"] for row in past if row["retraining"] == "running"]
    open_ones += [row["night"] for row in retrainings.of_job(stores.warehouse, job.name) if row["finished_at"] is None]
    facts = replace(facts, running=any(lately < night <= run.night for night in open_ones))
    decision = decide(facts, job.retraining)
    row = {name: run.facts[name] for name in ("job", "night", "run_id", "model_version", "origin")}
    inputs = {**facts.as_dict(), "evidence": decision.evidence}
    row |= {"decision": decision.decision, "reason": decision.reason, "inputs": inputs, "decided_at": stores.clock()}
    return monitoring.save_decision(stores.warehouse, row)


def facts_of(stores: Stores, job: Job, run: Run, seen: Sequence[Mapping[str, Any]], retrained: Sequence[date]) -> Facts:
    """Return what was known at the end of a run's night: no row of a later night is looked at.

    ``seen`` are the verdicts on the last nights, newest last, this night's included if it has one.
    """
    ref = version_of(stores, job, run)
    until = date.fromisoformat(stores.registry.facts(ref)["until"])
    known = monitoring.performance(stores.warehouse, Span(job.name, until, run.night + timedelta(days=1)), run.night)
    mine = [one for one in seen if one["model_version"] == run.model_version]
    tonight = mine[-1] if mine and mine[-1]["night"] == run.night else None
    return Facts(
        night=run.night, origin="provisional" if run.provisional else run.origin,
        model_version=run.model_version, trained_until=until,
        new_labelled_nights=len(known), verdict=tonight["verdict"] if tonight else None,
        faults=tonight["faults"] if tonight else [], drifted_columns=tonight["drifted_columns"] if tonight else [],
        drifted_weights=[one["drifted_weight"] for one in mine] if tonight else [],
        loss=loss_of(stores, job, ref, known), retrained=retrained,
    )  # fmt: skip


def loss_of(stores: Stores, job: Job, ref: VersionRef, known: list[dict[str, Any]]) -> Loss | None:
    """Return how much worse a version does on its last measured nights than on its holdout; None without either."""
    held_out = stores.registry.table(ref, HOLDOUT_FILE)
    mine = [row for row in known if row["model_version"] == ref.version][-job.retraining.performance_nights :]
    if held_out is None or len(mine) < 3:
        return None
    before = sums_by_night(held_out, job)
    recent = np.stack([expanded(row["sums"]) for row in mine])
    name = PRIMARY[job.task]
    gap = difference(recent, before, job, name)
    at_training = metrics_of(before.sum(axis=0), job)
    allowed = job.retraining.max_loss * float(at_training["mae" if job.task == "regression" else "log_loss"])
    return Loss(name, len(mine), gap["value"], gap["low"], gap["high"], float(at_training[name]), allowed)
