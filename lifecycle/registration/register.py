"""Makes a version of a model that was fitted elsewhere: all that a trained version has, from the job's own SQL."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from time import process_time
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.registration.job_fit import inputs_of, require_fit
from lifecycle.registration.opening import Opened
from lifecycle.training import (
    NIGHT,
    Fitted,
    HoldoutFit,
    Rows,
    Snapshot,
    batch_of,
    chosen_evaluator,
    held_out,
    known_before,
    proven_rule,
    reference_rows,
    take,
    training_window,
    unseen_from,
    write_beside,
    write_reasons,
    write_reference,
)
from scoring.errors import TrainingDataError
from scoring.interval import DAY, Nights
from scoring.job import Job
from scoring.progress import Progress, silent
from scoring.rows import Rule, UsualNights, certainty, predict
from scoring.settings import code_version
from scoring.stores import Workspace, no_erasure
from scoring.stores.registry import TrainingFacts, VersionRef, declared, library_versions


@dataclass(frozen=True)
class RegistrationRequest:
    """What is said of a model that was fitted elsewhere."""

    trained_until: date
    """First night that it did not learn from: only nights from it on say how good it is."""
    since: date | None = None
    """First night of the reference. Default: the job's training policy."""
    evidence_until: date | None = None
    """First night that it is no longer judged on. Default: after ``training.holdout_nights`` nights."""
    columns: tuple[str, ...] = ()
    """Columns in the order of the array that it was fitted on, for a model that knows no names."""
    retraining_id: int | None = None


@dataclass(frozen=True)
class Registered:
    """A registered version, the rows that it was made with, and how it did on nights that it had not seen."""

    ref: VersionRef
    facts: TrainingFacts
    snapshot: Snapshot
    evidence: Nights | None
    """The nights that it was judged on, or None if there were none."""
    holdout: pa.Table | None
    was_there: bool = False
    """Whether the same file was registered before on the same rows: then this is that version."""


@no_erasure
def register(
    work: Workspace, opened: Opened, request: RegistrationRequest, seen_until: date, progress: Progress = silent
) -> Registered:
    """Return the version of a model that was opened, with reference, golden rows and proofs from the job's own rows.

    ``seen_until`` is the first night that neither it nor the champion learned from. Raises ``PipelineError`` for a model that
    does not fit the job, ``PipelineNotRowWise``, ``PredictionError`` when the job has reasons and the model no exact ones, and
    ``TrainingDataError`` when there are no rows to make a reference of.
    """
    job = work.job
    inputs = inputs_of(opened, job, request.columns)
    window = known_before(job, request.trained_until, request.since)
    evidence = evidence_nights(work, request, seen_until)
    snapshot = take(work, Nights(window.first, evidence.until if evidence else window.until), progress)
    before, after = _parted(snapshot, window.until, evidence)
    if not before.num_rows:
        raise TrainingDataError(
            f"reference of {job.name}",
            found=f"no rows of the nights {window}",
            expected="rows that pass the contract, from before --trained-until",
            next_step="check features.sql, or give --since and --trained-until of nights that the source has",
        )
    same = _same_version(work, recipe_of_file(opened, inputs, job), snapshot)
    if same is not None:
        return Registered(same, work.registry.facts(same), snapshot, evidence, None, was_there=True)
    began = process_time()
    rows = reference_rows(batch_of(before), job)
    model = require_fit(opened, inputs, rows, job)
    progress("prove", rows.num_rows)
    rule = proven_rule(model, rows, job, threads=work.settings.threads)
    progress("evaluate", after.num_rows)
    judged = _judged(model, before, after, work)
    facts = _facts(work, opened, request, snapshot, judged)
    facts = replace(facts, until=request.trained_until, since=window.first, rows=before.num_rows)
    facts = replace(facts, evaluated_until=evidence.first if evidence else request.trained_until, **rule.facts())
    facts = replace(facts, inputs=getattr(model, "inputs", None) if model is not opened.model else None)
    facts = replace(facts, **asdict(chosen_evaluator(model, batch_of(before), job, rule)))
    ref = _stored(work, opened, _Made(model, rule, judged, before), replace(facts, seconds=process_time() - began))
    return Registered(ref, work.registry.facts(ref), snapshot, evidence if after.num_rows else None, judged.holdout)


def evidence_nights(work: Workspace, request: RegistrationRequest, seen_until: date) -> Nights | None:
    """Return the nights whose outcomes are known and say how good the model is, or None if there are none."""
    first = unseen_from(work.job, max(request.trained_until, seen_until))
    today = work.clock().astimezone(ZoneInfo(work.job.schedule.timezone)).date()
    known = training_window(work.job, today - DAY).until
    until = request.evidence_until or first + timedelta(days=work.job.training.holdout_nights)
    nights = Nights(first, min(until, known))
    return nights or None


def _parted(snapshot: Snapshot, until: date, evidence: Nights | None) -> tuple[pa.Table, pa.Table]:
    """Return the rows of the reference, and those with an outcome that the model is judged on."""
    table, labelled = snapshot.rows.table, snapshot.rows.labelled
    before = table.filter(pc.less(table.column(NIGHT), pa.scalar(until, pa.date32())))
    if evidence is None:
        return before, labelled.slice(0, 0)
    return before, labelled.filter(pc.greater_equal(labelled.column(NIGHT), pa.scalar(evidence.first, pa.date32())))


def _same_version(work: Workspace, recipe: str, snapshot: Snapshot) -> VersionRef | None:
    """Return the version of the same file on the same rows, under the same declarations, or None."""
    refs = work.registry.tagged(work.job.name, snapshot=snapshot.hash, recipe_sha256=recipe)
    return refs[-1] if refs else None


def recipe_of_file(opened: Opened, inputs: list[str] | None, job: Job) -> str:
    """Return the sha256 that stands in a registered version for the recipe of a trained one.

    It is of the file, the order of its columns, and what the job file declares: that is pinned to the version.
    """
    declaration = json.dumps(declared(job), sort_keys=True)
    return hashlib.sha256(f"registered {opened.file.sha256} {inputs} {declaration}".encode()).hexdigest()


def _judged(model: Any, before: pa.Table, after: pa.Table, work: Workspace) -> HoldoutFit:
    """Return how the model does on the later rows. Without any, every feature weighs the same."""
    job = work.job
    if not after.num_rows:
        return HoldoutFit(None, {}, dict.fromkeys(job.features, 1 / len(job.features)), None)
    known = Rows(before, before.num_rows).labelled
    return held_out(model, known, after, job)


def _facts(
    work: Workspace, opened: Opened, request: RegistrationRequest, snapshot: Snapshot, judged: HoldoutFit
) -> TrainingFacts:
    """Return what is known of a registered version before it is proven."""
    file, rows = opened.file, snapshot.rows
    return TrainingFacts(
        job=work.job.name,
        fitted_until=request.trained_until,
        trained_at=work.clock(),
        metrics=judged.scores,
        code_version=code_version(work.settings),
        features_sql_sha256=work.stores.features_query(work.job).sha256,
        labels_sql_sha256=work.stores.labels_sha256(work.job),
        library_versions=library_versions(),
        snapshot=snapshot.hash,
        extracted=rows.extracted,
        quarantined=rows.reasons,
        recipe_sha256=recipe_of_file(opened, inputs_of(opened, work.job, request.columns), work.job),
        refit=False,
        retraining_id=request.retraining_id,
        constant=judged.constant,
        unreadable_labels=rows.unreadable_labels,
        declaration=declared(work.job),
        format=file.form.name,
        allowed_types=list(opened.allowed_types),
        registered={"source": file.source, "sha256": file.sha256, "trusted": file.form.runs_code},
    )


@dataclass(frozen=True)
class _Made:
    """A model as it scores, its rule, how it was judged, and the rows of its reference."""

    model: Any
    rule: Rule
    judged: HoldoutFit
    before: pa.Table


def _stored(work: Workspace, opened: Opened, made: _Made, facts: TrainingFacts) -> VersionRef:
    """Register the model's own bytes, beside all that is made of the job's rows."""
    job, batch = work.job, batch_of(made.before)
    predictions = pa.Table.from_batches([predict(made.model, batch, job, made.rule)])
    fitted = Fitted(made.model, made.judged.scores, made.judged.weights, made.judged.holdout, predictions)
    rows = Rows(made.before, facts.extracted or 0, facts.quarantined or {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / opened.file.form.file).write_bytes(opened.file.content)
        usual = UsualNights.of(certainty(predictions, job), made.before.column(NIGHT))
        write_beside(folder, job, fitted, made.before, facts, usual)
        write_reference(folder, job, fitted, rows, out_of_fold=False)
        write_reasons(folder, job, made.model, made.rule)
        return work.registry.register(job.name, folder, facts, made.judged.scores)
