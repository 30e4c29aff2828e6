"""Fits a job's pipeline on a window of nights and registers it as a model version."""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lifecycle.training.fit import batch_of, classes, evaluate, expected_classes, fit, fits, out_of_fold, parted
from lifecycle.training.made_up_rows import may_be_unseen
from lifecycle.training.reference import reference_nights
from lifecycle.training.row_independence import proven_rule, reference_rows
from lifecycle.training.rows import LABEL, NIGHT, Rows
from lifecycle.training.snapshot import Snapshot, take
from scoring.errors import PipelineError, TrainingDataError
from scoring.job.definition import Job
from scoring.job.faults import steps_of, words_of
from scoring.rows.decision import Rule
from scoring.rows.mean_shift import UsualNights
from scoring.rows.prediction import Summary, certainty, predict
from scoring.settings import code_version
from scoring.stores.installation import Progress, Stores, silent
from scoring.stores.registry.golden import library_versions
from scoring.stores.registry.version import ARTIFACT, HOLDOUT_FILE, NIGHTS_FILE, VersionRef

GOLDEN_ROWS = 32


@dataclass(frozen=True)
class Trained:
    """A registered version and how it did on the nights it had not seen."""

    ref: VersionRef
    rows: int
    metrics: dict[str, float]
    holdout: pa.Table | None = None
    """Night, outcome and prediction of those nights; None if there were none."""
    constant: dict[str, float] | None = None
    """The loss on those nights of the version, and of always saying what the nights before were like."""
    without_outcome: int = 0
    """Rows that passed the contract and have no label: read for the reference, not trained on."""
    unreadable_labels: int = 0
    """Rows of ``labels.sql`` that were left out, as their key cannot be read."""


@dataclass(frozen=True)
class Order:
    """What a retraining asks of its training."""

    holdout_nights: int | None = None
    """The last nights, that judge; default: the job's."""
    retraining_id: int | None = None


NO_ORDER = Order()


@dataclass(frozen=True)
class _Fitted:
    """A pipeline and everything that is stored about it."""

    pipeline: Any
    scores: dict[str, float]
    weights: dict[str, float]
    holdout: pa.Table | None
    """Night, outcome and prediction of the last nights, by a pipeline that never saw them."""
    predictions: pa.Table
    """One per row of the window, out of fold: a model is surer of the rows it was fitted on than of any it meets later."""


def train(stores: Stores, job: Job, window: tuple[date, date], progress: Progress = silent) -> Trained:
    """Keep the window's rows as a snapshot, train on it, register, and return the new version.

    ``window`` is ``(since, until)``, half-open: no row at or after ``until`` is read. Raises ``TrainingDataError``
    when the window has too few labelled rows, one class only, or too many rows in quarantine.
    """
    recipe_of(job)  # what cannot be stored is refused before any row is read
    return train_on(stores, job, take(stores, job, window, progress), progress)


def train_on(
    stores: Stores, job: Job, snapshot: Snapshot, progress: Progress = silent, order: Order = NO_ORDER
) -> Trained:
    """Fit on a snapshot without its last nights, evaluate on these, fit again on all, and register the version.

    The same snapshot gives the same artifact, as far as the pipeline's own seeds are fixed. Without ``training.refit``
    the version is the one that was evaluated. Raises ``TrainingDataError``, or ``PipelineNotRowWise`` when what it says
    of a row depends on more than the row; then there is no version.
    """
    rows, window = snapshot.rows, snapshot.window
    labelled = rows.labelled
    _check(labelled, job, window)
    progress("evaluate", 0)
    split = max(window[0], window[1] - timedelta(days=order.holdout_nights or job.training.holdout_nights))
    evaluated = evaluate(job, *parted(labelled, split))
    progress("fit", labelled.num_rows)
    again = job.training.refit or evaluated.pipeline is None
    pipeline = fit(labelled, job) if again else evaluated.pipeline
    rule = proven_rule(pipeline, reference_rows(batch_of(labelled), job), job, threads=stores.settings.score_threads)
    progress("reference", rows.table.num_rows)
    fitted = _Fitted(
        pipeline, evaluated.scores, evaluated.weights, evaluated.holdout, out_of_fold(job, pipeline, rows.table)
    )
    facts = {
        **_facts(stores, job, window, labelled, evaluated.scores), "snapshot": snapshot.hash,
        "extracted": rows.extracted, "quarantined": rows.reasons, "recipe_sha256": recipe_of(job),
        "fitted_until": str(window[1] if again else split), "evaluated_until": str(split), "refit": again,
        "retraining_id": order.retraining_id, "constant": evaluated.constant, **rule.facts(),
        "without_outcome": rows.table.num_rows - labelled.num_rows, "unreadable_labels": rows.unreadable_labels,
    }  # fmt: skip
    scores = evaluated.scores
    with tempfile.TemporaryDirectory() as folder:
        usual = UsualNights.of(certainty(fitted.predictions, job), rows.table.column(NIGHT))
        _write_version(Path(folder), job, fitted, labelled, facts, usual)
        _write_reference(Path(folder), job, fitted, rows)
        progress("register", 0)
        ref = stores.registry.register(job.name, Path(folder), facts, scores)
    left_out = facts["without_outcome"], rows.unreadable_labels
    return Trained(ref, labelled.num_rows, scores, evaluated.holdout, evaluated.constant, *left_out)


def recipe_of(job: Job) -> str:
    """Return the sha256 of what makes a version out of rows: the unfitted pipeline, the columns, how it is trained."""
    unset = {"label": {"threshold"}} if job.label.threshold is None else None  # as before there was such a setting
    told = job.model_dump_json(include={"features", "key", "label", "task", "training"}, exclude=unset)
    return hashlib.sha256(told.encode() + pickled(job.pipeline_factory()(), job)).hexdigest()


def pickled(pipeline: Any, job: Job) -> bytes:
    """Return the pipeline's bytes; raises ``PipelineError`` that names the step when it cannot be stored."""
    file = io.BytesIO()
    try:
        joblib.dump(pipeline, file)
    except Exception as error:  # pickle raises errors of several types, and those of the objects themselves
        step = next(
            (
                f" in step {name} ({type(one).__name__})"
                for name, one in steps_of(pipeline)[::-1]
                if not _is_stored(one)
            ),
            "",
        )
        raise PipelineError(
            f"storing the pipeline of {job.name}", found=f"{words_of(error)}{step}",
            expected="functions and classes with a name at the top of a module, and no open files, locks or connections",
            next_step="write lambdas, closures and local classes as functions and classes of jobs/, at the top of a module",
        ) from error  # fmt: skip
    return file.getvalue()


def _is_stored(part: Any) -> bool:
    try:
        joblib.dump(part, io.BytesIO())
    except Exception:  # noqa: BLE001  asked again only to find out which part it is; the error itself is raised by the caller
        return False
    return True


def _check(rows: pa.Table, job: Job, window: tuple[date, date]) -> None:
    if rows.num_rows < job.training.min_rows:
        raise TrainingDataError(
            f"training {job.name} on {window[0]} to {window[1]}",
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


def _facts(
    stores: Stores, job: Job, window: tuple[date, date], rows: pa.Table, scores: dict[str, float]
) -> dict[str, Any]:
    return {
        "job": job.name, "since": str(window[0]), "until": str(window[1]), "rows": rows.num_rows,
        "trained_at": stores.clock().isoformat(), "metrics": scores, "code_version": code_version(stores.settings),
        "features_sql_sha256": stores.features_query(job).sha256,
        "labels_sql_sha256": stores.labels_query(job).sha256, "library_versions": library_versions(),
    }  # fmt: skip


def _write_version(
    folder: Path, job: Job, fitted: _Fitted, labelled: pa.Table, facts: dict[str, Any], usual: UsualNights
) -> None:
    """Write artifact, facts, the profile that the publish gate and the contract need, and golden rows."""
    (folder / ARTIFACT).write_bytes(pickled(fitted.pipeline, job))
    batch = batch_of(labelled)
    profile = {
        "prediction": Summary.of(fitted.predictions, job).as_dict(),
        "usual_nights": usual.as_dict(),
        "categories": _categories(batch, job),
        "weights": fitted.weights,
    }
    (folder / "reference_profile.json").write_text(json.dumps(profile))
    golden = _golden(batch, job)
    pq.write_table(pa.Table.from_batches([golden]), folder / "golden.parquet")
    pq.write_table(
        pa.Table.from_batches([predict(fitted.pipeline, golden, job, Rule.of_facts(facts, job))]),
        folder / "golden_predictions.parquet",
    )
    (folder / "facts.json").write_text(json.dumps(facts, indent=1))


def _write_reference(folder: Path, job: Job, fitted: _Fitted, rows: Rows) -> None:
    """Write what drift and performance are compared with: a sample, every night's profile, the holdout's outcomes."""
    table, predictions = rows.table, fitted.predictions
    nights = table.column(NIGHT).combine_chunks()
    reference = reference_nights(table, predictions, nights, job)
    reference["quarantined"] = {"extracted": rows.extracted, "reasons": rows.reasons}
    (folder / NIGHTS_FILE).write_text(json.dumps(reference))
    chosen = pa.array(np.sort(np.random.default_rng(0).permutation(len(table))[: job.training.reference_rows]))
    names = ["prediction", *job.probability_columns]
    outcome = {"outcome": table.column(LABEL), **{name: predictions.column(name) for name in names}}
    sample = pa.table({NIGHT: nights, **{name: table.column(name) for name in job.columns}, **outcome})
    pq.write_table(sample.take(chosen), folder / "reference.parquet")
    if fitted.holdout is not None:
        pq.write_table(fitted.holdout, folder / HOLDOUT_FILE)


def _categories(batch: pa.RecordBatch, job: Job) -> dict[str, list[str]]:
    kinds = [name for name, feature in job.features.items() if feature.type == "category"]
    return {name: sorted(pc.unique(pc.drop_null(batch.column(name))).to_pylist()) for name in kinds}


def _golden(batch: pa.RecordBatch, job: Job) -> pa.RecordBatch:
    """Return a few rows of the training data, then one with an unseen category and a null wherever one may be."""
    rows = batch.take(pa.array(np.linspace(0, len(batch) - 1, min(GOLDEN_ROWS, len(batch))).astype(int)))
    rows = rows.select(job.columns)
    strange, known = [], _categories(batch, job)
    for name in job.columns:
        feature = job.features.get(name)
        if feature is not None and feature.nullable:
            strange.append(pa.nulls(1, rows.column(name).type))
        elif (level := may_be_unseen(job, name, known.get(name, []))) is not None:
            strange.append(pa.array([level]))
        else:
            strange.append(rows.column(name).slice(0, 1))
    return pa.concat_batches([rows, pa.RecordBatch.from_arrays(strange, schema=rows.schema)])
