"""Fits a job's pipeline on a window of nights and registers it as a model version."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
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

from scoring.contract import ARROW_TYPES, Contract, read_as, require_columns
from scoring.errors import TrainingDataError
from scoring.interval import DataInterval, nights_between
from scoring.job import Job
from scoring.registry import ARTIFACT, VersionRef, library_versions
from scoring.score import Summary, predict, to_frame
from scoring.settings import code_version
from scoring.source import Query, stream
from scoring.stores import Progress, Stores, contracted, silent

GOLDEN_ROWS = 32
_LABEL = "nightshift_label"


@dataclass(frozen=True)
class Trained:
    """A registered version and how it did on the nights it had not seen."""

    ref: VersionRef
    rows: int
    metrics: dict[str, float]


def train(stores: Stores, job: Job, window: tuple[date, date], progress: Progress = silent) -> Trained:
    """Fit, evaluate on the last nights, fit again on all, and register; return the new version.

    ``window`` is ``(since, until)``, half-open: no row at or after ``until`` is read. Raises ``TrainingDataError``
    when the window has too few labelled rows or one class only.
    """
    since, until = window
    split = max(since, until - timedelta(days=job.training.holdout_nights))
    progress("read", 0)
    early = labelled_rows(stores, job, (since, split), progress) if split > since else None
    late = labelled_rows(stores, job, (split, until), progress)
    rows = pa.concat_tables([early, late]) if early is not None else late
    _check(rows, job, window)
    progress("evaluate", 0)
    scores = _evaluate(job, early, late) if early is not None and _fits(early, job) and late.num_rows else {}
    progress("fit", rows.num_rows)
    pipeline = job.pipeline_factory()()
    pipeline.fit(to_frame(rows, job), _target(rows, job))
    facts = _facts(stores, job, window, rows, scores)
    progress("register", 0)
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), job, pipeline, rows, facts)
        ref = stores.registry.register(job.name, Path(folder), facts, scores)
    return Trained(ref, rows.num_rows, scores)


def labelled_rows(stores: Stores, job: Job, window: tuple[date, date], progress: Progress = silent) -> pa.Table:
    """Return the window's rows that passed the contract and have a label, in key order, label last.

    Keys are unique within a night. Without a time column nothing in them says which, so such a job is read night by
    night, each exactly as it would be scored, and the nights follow one another.
    """
    spans = [window]
    if job.time_column is None:
        nights = nights_between(window[0], window[1] - timedelta(days=1))
        spans = [(night, night + timedelta(days=1)) for night in nights] or [window]
    intervals = [DataInterval.of_nights(*span, job.schedule.timezone) for span in spans]
    return pa.concat_tables([_labelled(stores, job, interval, progress) for interval in intervals])


def _labelled(stores: Stores, job: Job, interval: DataInterval, progress: Progress) -> pa.Table:
    accepted = [Contract(job, interval).schema.empty_table()]
    with contracted(stores, job, interval) as batches:
        for _, part in batches:
            progress("read", part.accepted.num_rows)
            accepted.append(pa.Table.from_batches([part.accepted]))
    labels = _labels(stores, job, interval)
    joined = pa.concat_tables(accepted).join(labels, keys=list(job.key), join_type="inner")
    return joined.sort_by([(name, "ascending") for name in job.key])


def _labels(stores: Stores, job: Job, interval: DataInterval) -> pa.Table:
    """Return key and label of every row whose outcome is known.

    Raises ``TrainingDataError`` on duplicate keys and on values that are not of the declared type.
    """
    query = stores.labels_query(job)
    kind = {"binary": pa.bool_(), "multiclass": pa.string(), "regression": pa.float64()}[job.task]
    schema = pa.schema([*((name, ARROW_TYPES[key]) for name, key in job.key.items()), (_LABEL, kind)])
    parts = [schema.empty_table()]
    with stream(stores.source_url(job), query, interval, job.chunk_rows) as batches:
        for batch in batches:
            require_columns(query.name, query.columns, batch.schema.names)
            columns = [_declared(batch.column(name), schema.field(name).type, query, name) for name in job.key]
            columns.append(_declared(batch.column(job.label.column), kind, query, job.label.column))
            parts.append(pa.Table.from_arrays(columns, schema=schema))
    table = pa.concat_tables(parts)
    unique = table.group_by(list(job.key)).aggregate([]).num_rows
    if unique != table.num_rows:
        raise TrainingDataError(
            query.name, found=f"{table.num_rows - unique} rows with a key that is there already", expected="unique keys"
        )
    known = pc.is_finite(table.column(_LABEL)) if job.task == "regression" else pc.is_valid(table.column(_LABEL))
    return table.filter(known)


def _declared(column: pa.Array, kind: pa.DataType, query: Query, name: str) -> pa.Array:
    """Return the column as the contract reads it; no value may be unreadable."""
    values, unreadable = read_as(column, kind, name)
    bad = pc.sum(unreadable).as_py() or 0
    if bad:
        first = column.filter(unreadable)[0].as_py()
        raise TrainingDataError(
            f"{query.name}: column {name}", found=f"{bad} values such as {first!r}", expected=f"values of type {kind}"
        )
    return values


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
    return sorted(pc.unique(rows.column(_LABEL)).to_pylist())


def _target(rows: pa.Table, job: Job) -> np.ndarray:
    column = rows.column(_LABEL)
    if job.task == "binary":
        zeros_and_ones: np.ndarray = pc.cast(column, pa.int8()).to_numpy()
        return zeros_and_ones
    return np.array(column.to_pylist(), dtype=object if job.task == "multiclass" else np.float64)


def _evaluate(job: Job, early: pa.Table, late: pa.Table) -> dict[str, float]:
    """Return metrics on the late nights of a pipeline fitted on the early ones."""
    pipeline = job.pipeline_factory()()
    pipeline.fit(to_frame(early, job), _target(early, job))
    truth = _target(late, job)
    if job.task == "regression":
        found = pipeline.predict(to_frame(late, job))
        return {
            "holdout_mae": float(metrics.mean_absolute_error(truth, found)),
            "holdout_rmse": float(metrics.root_mean_squared_error(truth, found)),
        }
    chances = pipeline.predict_proba(to_frame(late, job))
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


def _write(folder: Path, job: Job, pipeline: Any, rows: pa.Table, facts: dict[str, Any]) -> None:
    """Write the version's files: artifact, facts, reference sample and profile, golden rows."""
    joblib.dump(pipeline, folder / ARTIFACT)
    batch = rows.combine_chunks().to_batches()[0]
    predictions = predict(pipeline, batch, job)
    chosen = np.sort(np.random.default_rng(0).permutation(len(batch))[: job.training.reference_rows])
    outcome = [predictions.column(name) for name in ("prediction", *job.probability_columns)]
    names = [*batch.schema.names, "prediction", *job.probability_columns]
    reference = pa.RecordBatch.from_arrays([*batch.columns, *outcome], names).take(pa.array(chosen))
    pq.write_table(pa.Table.from_batches([reference]), folder / "reference.parquet")
    golden = _golden(batch, job)
    pq.write_table(pa.Table.from_batches([golden]), folder / "golden.parquet")
    pq.write_table(pa.Table.from_batches([predict(pipeline, golden, job)]), folder / "golden_predictions.parquet")
    profile = {"prediction": Summary.of(predictions, job).as_dict(), "categories": _categories(batch, job)}
    (folder / "reference_profile.json").write_text(json.dumps({**profile, "features": _profile(batch, job)}))
    (folder / "facts.json").write_text(json.dumps(facts, indent=1))


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


def _categories(batch: pa.RecordBatch, job: Job) -> dict[str, list[str]]:
    kinds = [name for name, feature in job.features.items() if feature.type == "category"]
    return {name: sorted(pc.unique(pc.drop_null(batch.column(name))).to_pylist()) for name in kinds}


def _profile(batch: pa.RecordBatch, job: Job) -> dict[str, dict[str, Any]]:
    """Return, by feature, the null share and what describes its values: quantiles, or the most frequent levels."""
    frame = to_frame(batch, job)
    profile: dict[str, dict[str, Any]] = {}
    for name, feature in job.features.items():
        column: pd.Series[Any] = frame[name]
        facts: dict[str, Any] = {"null_share": float(column.isna().mean())}
        present = column.dropna()
        if feature.type == "category":
            facts["levels"] = dict(Counter(present).most_common(200))
        elif feature.type != "datetime" and len(present):
            facts["quantiles"] = [float(q) for q in np.quantile(present, np.linspace(0, 1, 21))]
            facts |= {"mean": float(present.mean()), "sd": float(present.std(ddof=0))}
        profile[name] = facts
    return profile
