"""Fits a job's pipeline on a window of nights and registers it as a model version."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn import metrics

from scoring.errors import TrainingDataError
from scoring.job import Job
from scoring.reference import fold_of, importance, reference_nights, sample_places
from scoring.registry import ARTIFACT, HOLDOUT_FILE, NIGHTS_FILE, VersionRef, library_versions
from scoring.score import Summary, predict, to_frame
from scoring.settings import code_version
from scoring.stores import Progress, Stores, silent
from scoring.training_rows import LABEL, NIGHT, Rows, read_rows

GOLDEN_ROWS = 32
FOLDS = 3
"""Stretches of nights, each predicted by a pipeline fitted on the others, that the reference predictions come from."""
_LOSS = {"binary": "holdout_log_loss", "multiclass": "holdout_log_loss", "regression": "holdout_mae"}


@dataclass(frozen=True)
class Trained:
    """A registered version and how it did on the nights it had not seen."""

    ref: VersionRef
    rows: int
    metrics: dict[str, float]


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
    """Fit, evaluate on the last nights, fit again on all, and register; return the new version.

    ``window`` is ``(since, until)``, half-open: no row at or after ``until`` is read. Raises ``TrainingDataError``
    when the window has too few labelled rows or one class only.
    """
    progress("read", 0)
    rows = read_rows(stores, job, window, progress)
    labelled = rows.labelled
    _check(labelled, job, window)
    progress("evaluate", 0)
    split = max(window[0], window[1] - timedelta(days=job.training.holdout_nights))
    scores, weights, holdout = _evaluate(job, *_parted(labelled, split))
    progress("fit", labelled.num_rows)
    pipeline = _fit(labelled, job)
    progress("reference", rows.table.num_rows)
    fitted = _Fitted(pipeline, scores, weights, holdout, out_of_fold(job, pipeline, rows.table))
    facts = _facts(stores, job, window, labelled, scores)
    with tempfile.TemporaryDirectory() as folder:
        _write_version(Path(folder), job, fitted, labelled, facts)
        _write_reference(Path(folder), job, fitted, rows)
        progress("register", 0)
        ref = stores.registry.register(job.name, Path(folder), facts, scores)
    return Trained(ref, labelled.num_rows, scores)


def _parted(labelled: pa.Table, split: date) -> tuple[pa.Table, pa.Table]:
    """Return the rows of the nights before ``split`` and of those from it on."""
    before = pc.less(labelled.column(NIGHT), pa.scalar(split, pa.date32()))
    return labelled.filter(before), labelled.filter(pc.invert(before))


def _fit(labelled: pa.Table, job: Job) -> Any:
    pipeline = job.pipeline_factory()()
    pipeline.fit(to_frame(labelled, job), _target(labelled, job))
    return pipeline


def _check(rows: pa.Table, job: Job, window: tuple[date, date]) -> None:
    if rows.num_rows < job.training.min_rows:
        raise TrainingDataError(
            f"training {job.name} on {window[0]} to {window[1]}",
            found=f"{rows.num_rows} labelled rows that pass the contract",
            expected=f"at least training.min_rows, {job.training.min_rows}",
            next_step="widen the window or check features.sql and labels.sql",
        )
    if not _fits(rows, job):
        raise TrainingDataError(
            f"training {job.name}",
            found=f"classes {_classes(rows)}",
            expected=f"each of {_expected_classes(job)}, and no other",
            next_step="widen the window or check labels.sql",
        )


def _fits(rows: pa.Table, job: Job) -> bool:
    """Return whether the rows hold every class, so that the pipeline gives the columns the job declares."""
    if job.task == "regression":
        return bool(rows.num_rows)
    return _classes(rows) == _expected_classes(job)


def _expected_classes(job: Job) -> list[Any]:
    return [False, True] if job.task == "binary" else sorted(job.label.classes or [])


def _classes(rows: pa.Table) -> list[Any]:
    return sorted(pc.unique(rows.column(LABEL)).to_pylist())


def _target(rows: pa.Table, job: Job) -> np.ndarray:
    column = rows.column(LABEL)
    if job.task == "binary":
        zeros_and_ones: np.ndarray = pc.cast(column, pa.int8()).to_numpy()
        return zeros_and_ones
    return np.array(column.to_pylist(), dtype=object if job.task == "multiclass" else np.float64)


def _evaluate(job: Job, early: pa.Table, late: pa.Table) -> tuple[dict[str, float], dict[str, float], pa.Table | None]:
    """Return metrics on the late nights of a pipeline fitted on the early ones, the columns' weights, its predictions.

    Without enough early or late rows there are no metrics, and every feature weighs the same.
    """
    if not (early.num_rows and late.num_rows and _fits(early, job)):
        return {}, dict.fromkeys(job.features, 1 / len(job.features)), None
    pipeline = _fit(early, job)
    truth = _target(late, job)
    found = predict(pipeline, _batch(late), job)
    outcome = [late.column(NIGHT).combine_chunks(), late.column(LABEL).combine_chunks()]
    names = ["prediction", *job.probability_columns]
    holdout = pa.table([*outcome, *(found.column(name) for name in names)], ["night", "outcome", *names])
    chosen = sample_places(late.num_rows)
    frame, some = to_frame(late, job).iloc[chosen].reset_index(drop=True), truth[chosen]
    weights = importance(lambda shuffled: _scores(job, pipeline, shuffled, some)[_LOSS[job.task]], frame)
    return _scores(job, pipeline, to_frame(late, job), truth), weights, holdout


def _scores(job: Job, pipeline: Any, frame: pd.DataFrame, truth: np.ndarray) -> dict[str, float]:
    """Return the holdout metrics of a fitted pipeline."""
    if job.task == "regression":
        found = pipeline.predict(frame)
        return {
            "holdout_mae": float(metrics.mean_absolute_error(truth, found)),
            "holdout_rmse": float(metrics.root_mean_squared_error(truth, found)),
        }
    chances = pipeline.predict_proba(frame)
    scores = {"holdout_log_loss": float(metrics.log_loss(truth, chances, labels=list(pipeline.classes_)))}
    if job.task == "binary" and len(set(truth)) == 2:
        scores["holdout_auc"] = float(metrics.roc_auc_score(truth, chances[:, 1]))
    if job.task == "multiclass":
        best = np.asarray(pipeline.classes_)[chances.argmax(axis=1)]
        scores["holdout_accuracy"] = float(metrics.accuracy_score(list(truth), list(best)))
    return scores


def _facts(
    stores: Stores, job: Job, window: tuple[date, date], rows: pa.Table, scores: dict[str, float]
) -> dict[str, Any]:
    return {
        "job": job.name, "since": str(window[0]), "until": str(window[1]), "rows": rows.num_rows,
        "trained_at": stores.clock().isoformat(), "metrics": scores, "code_version": code_version(stores.settings),
        "features_sql_sha256": stores.features_query(job).sha256,
        "labels_sql_sha256": stores.labels_query(job).sha256, "library_versions": library_versions(),
    }  # fmt: skip


def _write_version(folder: Path, job: Job, fitted: _Fitted, labelled: pa.Table, facts: dict[str, Any]) -> None:
    """Write artifact, facts, the profile that the publish gate and the contract need, and golden rows."""
    joblib.dump(fitted.pipeline, folder / ARTIFACT)
    batch = _batch(labelled)
    profile = {
        "prediction": Summary.of(fitted.predictions, job).as_dict(),
        "categories": _categories(batch, job),
        "weights": fitted.weights,
    }
    (folder / "reference_profile.json").write_text(json.dumps(profile))
    golden = _golden(batch, job)
    pq.write_table(pa.Table.from_batches([golden]), folder / "golden.parquet")
    pq.write_table(
        pa.Table.from_batches([predict(fitted.pipeline, golden, job)]), folder / "golden_predictions.parquet"
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


def out_of_fold(job: Job, pipeline: Any, table: pa.Table) -> pa.Table:
    """Return a prediction per row by a pipeline that was fitted without the row's stretch of nights, where that can be."""
    nights = table.column(NIGHT).to_pylist()
    folds = fold_of(sorted(set(nights)), FOLDS)
    fold = np.array([folds[night] for night in nights])
    parts, places = [], []
    for number in sorted(set(folds.values())):
        place = np.flatnonzero(fold == number)
        others = table.filter(pa.array(fold != number))
        others = others.filter(pc.is_valid(others.column(LABEL)))
        honest = _fit(others, job) if others.num_rows and _fits(others, job) else pipeline
        parts.append(predict(honest, _batch(table.take(pa.array(place))), job))
        places.append(place)
    together = pa.Table.from_batches(parts)
    return together.take(pa.array(np.argsort(np.concatenate(places))))


def _batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]


def _categories(batch: pa.RecordBatch, job: Job) -> dict[str, list[str]]:
    kinds = [name for name, feature in job.features.items() if feature.type == "category"]
    return {name: sorted(pc.unique(pc.drop_null(batch.column(name))).to_pylist()) for name in kinds}


def _golden(batch: pa.RecordBatch, job: Job) -> pa.RecordBatch:
    """Return a few rows of the training data, then one with an unseen category and a null wherever one may be."""
    rows = batch.take(pa.array(np.linspace(0, len(batch) - 1, min(GOLDEN_ROWS, len(batch))).astype(int)))
    rows = rows.select(job.columns)
    strange = []
    for name in job.columns:
        feature = job.features.get(name)
        if feature is not None and feature.nullable:
            strange.append(pa.nulls(1, rows.column(name).type))
        elif feature is not None and feature.type == "category":
            strange.append(pa.array(["never seen at training"]))
        else:
            strange.append(rows.column(name).slice(0, 1))
    return pa.concat_batches([rows, pa.RecordBatch.from_arrays(strange, schema=rows.schema)])
