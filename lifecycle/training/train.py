"""Fits a job's pipeline on a window of nights and registers it as a model version."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from time import process_time

import pyarrow as pa

from lifecycle.training.evaluator import chosen_evaluator
from lifecycle.training.fit import (
    HoldoutFit,
    batch_of,
    classes,
    expected_classes,
    fit,
    fit_and_hold_out,
    fits,
    out_of_fold,
    parted,
)
from lifecycle.training.row_independence import proven_rule, reference_rows
from lifecycle.training.rows import NIGHT
from lifecycle.training.snapshot import Snapshot, take
from lifecycle.training.version_folder import Fitted, pickled, write_reference, write_version
from lifecycle.training.window import no_holdout
from scoring.errors import TrainingDataError
from scoring.interval import Nights
from scoring.job import Job
from scoring.progress import Progress, silent
from scoring.rows import UsualNights, certainty
from scoring.settings import code_version
from scoring.stores import Workspace, no_erasure
from scoring.stores.registry import TrainingFacts, VersionRef, declared, library_versions


@dataclass(frozen=True)
class Trained:
    """A registered version and how it did on the nights it had not seen."""

    ref: VersionRef
    rows: int
    metrics: dict[str, float]
    holdout: pa.Table | None = None
    """Night, outcome and prediction of those nights, or None if there were none."""
    constant: dict[str, float] | None = None
    """Loss on those nights: of the version, and of the constant prediction that fits the nights before best."""
    without_outcome: int = 0
    """Rows that passed the contract and have no label: read for the reference, not trained on."""
    unreadable_labels: int = 0
    """Rows of ``labels.sql`` that were left out, as their key cannot be read."""
    too_short: str | None = None
    """Why there is no holdout, when the window has too few nights for one."""


@dataclass(frozen=True)
class TrainingRequest:
    """What is wanted of a training besides its rows: the holdout, and what goes into the facts."""

    holdout_nights: int | None = None
    """Last nights of the window that judge the version. Default: the job's ``training.holdout_nights``."""
    retraining_id: int | None = None
    asked_until: date | None = None
    """The night before which the labels had to be known, where a person gave it."""


DEFAULT_TRAINING = TrainingRequest()


@no_erasure
def train(
    work: Workspace, window: Nights, progress: Progress = silent, request: TrainingRequest = DEFAULT_TRAINING
) -> Trained:
    """Keep the window's rows as a snapshot, train on it, register, and return the new version.

    No row at or after ``window.until`` is read. Raises ``TrainingDataError`` when the window has too few labelled rows,
    one class only, or too many rows in quarantine, and ``NightNotOver`` when its labels are not known yet.
    """
    recipe_of(work.job)  # what cannot be stored is refused before any row is read
    return train_on(work, take(work, window, progress), progress, request)


def train_on(
    work: Workspace, snapshot: Snapshot, progress: Progress = silent, request: TrainingRequest = DEFAULT_TRAINING
) -> Trained:
    """Fit on a snapshot without its last nights, evaluate on these, fit again on all, and register the version.

    The same snapshot gives the same artifact, as far as the pipeline's own seeds are fixed. Without ``training.refit``
    the version is the one that was evaluated. Raises ``TrainingDataError``, or ``PipelineNotRowWise`` when what it says
    of a row depends on more than the row; then there is no version.
    """
    rows, window = snapshot.rows, snapshot.window
    labelled = rows.labelled
    _check(labelled, work.job, window)
    progress("evaluate", 0)
    began = process_time()
    gap, held_out = work.job.label.horizon, request.holdout_nights or work.job.training.holdout_nights
    split = max(window.first, window.until - timedelta(days=held_out))
    evaluated = fit_and_hold_out(work.job, *parted(labelled, split, gap))
    progress("fit", labelled.num_rows)
    again = work.job.training.refit or evaluated.pipeline is None
    pipeline = fit(labelled, work.job) if again else evaluated.pipeline
    rule = proven_rule(pipeline, reference_rows(batch_of(labelled), work.job), work.job, threads=work.settings.threads)
    progress("reference", rows.table.num_rows)
    fitted = Fitted(
        pipeline, evaluated.scores, evaluated.weights, evaluated.holdout, out_of_fold(work.job, pipeline, rows.table)
    )
    until = window.until if again else split - timedelta(days=gap)
    facts = replace(_facts(work, snapshot, evaluated), fitted_until=until, evaluated_until=split, refit=again)
    facts = replace(facts, retraining_id=request.retraining_id, asked_until=request.asked_until, **rule.facts())
    facts = replace(facts, **asdict(chosen_evaluator(pipeline, batch_of(labelled), work.job, rule)))
    facts = replace(facts, seconds=process_time() - began)
    scores = evaluated.scores
    with tempfile.TemporaryDirectory() as folder:
        usual = UsualNights.of(certainty(fitted.predictions, work.job), rows.table.column(NIGHT))
        write_version(Path(folder), work.job, fitted, labelled, facts, usual)
        write_reference(Path(folder), work.job, fitted, rows)
        progress("register", 0)
        ref = work.registry.register(work.job.name, Path(folder), facts, scores)
    left_out = rows.table.num_rows - labelled.num_rows, rows.unreadable_labels
    short = None if scores else no_holdout(work.job, window, held_out)
    return Trained(ref, labelled.num_rows, scores, evaluated.holdout, evaluated.constant, *left_out, short)


def recipe_of(job: Job) -> str:
    """Return the sha256 of what makes a version out of rows: the unfitted pipeline, the columns, how it is trained."""
    later = {name for name in ("threshold", "horizon_days") if getattr(job.label, name) is None}
    unset = {"label": later} if later else None  # as before there were such settings
    text = job.model_dump_json(include={"features", "key", "label", "task", "training"}, exclude=unset)
    return hashlib.sha256(text.encode() + pickled(job.pipeline_factory()(), job)).hexdigest()


def _check(rows: pa.Table, job: Job, window: Nights) -> None:
    if rows.num_rows < job.training.min_rows:
        raise TrainingDataError(
            f"training {job.name} on {window.first} to {window.until}",
            found=f"{rows.num_rows} labelled rows that pass the contract",
            expected=f"at least training.min_rows, {job.training.min_rows}",
            next_step="widen the window or check features.sql and labels.sql",
        )
    if not fits(rows, job):
        raise TrainingDataError(
            f"training {job.name}",
            found=f"classes {classes(rows)}",
            expected=f"each of {expected_classes(job)}, and no other",
            next_step="widen the window or check labels.sql",
        )


def _facts(work: Workspace, snapshot: Snapshot, fitted: HoldoutFit) -> TrainingFacts:
    """Return what is known of a training before the version is fitted."""
    rows, labelled = snapshot.rows, snapshot.rows.labelled.num_rows
    return TrainingFacts(
        job=work.job.name,
        since=snapshot.window.first,
        until=snapshot.window.until,
        rows=labelled,
        trained_at=work.clock(),
        metrics=fitted.scores,
        code_version=code_version(work.settings),
        features_sql_sha256=work.stores.features_query(work.job).sha256,
        labels_sql_sha256=work.stores.labels_query(work.job).sha256,
        library_versions=library_versions(),
        snapshot=snapshot.hash,
        extracted=rows.extracted,
        quarantined=rows.reasons,
        recipe_sha256=recipe_of(work.job),
        declaration=declared(work.job),
        constant=fitted.constant,
        without_outcome=rows.table.num_rows - labelled,
        unreadable_labels=rows.unreadable_labels,
    )
