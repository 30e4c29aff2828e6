"""Fits a job's pipeline on labelled rows, and says how it does on rows that it did not see. Reads and writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn import metrics
from sklearn.base import is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from drift.performance import GROUP, groups_of
from lifecycle.training.reference import fold_of, importance, nights_away, sample_places
from lifecycle.training.rows import NIGHT
from scoring.errors import PipelineError, TrainingDataError
from scoring.job import BINARY, MULTICLASS, REGRESSION, SCORE, Job, Task, place_of, step_of, words_of
from scoring.rows import Rule, constant_loss, decision_of, predict, to_frame
from scoring.stores import LABEL_COLUMN

FOLDS = 3
"""Stretches of nights, each predicted by a pipeline fitted on the others, that the reference predictions come from."""


def parted(labelled: pa.Table, split: date, gap: int = 0) -> tuple[pa.Table, pa.Table]:
    """Return the rows of the nights before ``split``, without the last ``gap`` of them, and of those from it on.

    With the label's horizon as gap every outcome of the first part is over when the second begins (purging: Lopez de
    Prado, Advances in Financial Machine Learning, 2018, chapter 7).
    """
    nights = labelled.column(NIGHT)
    before = pc.less(nights, pa.scalar(split - timedelta(days=gap), pa.date32()))
    return labelled.filter(before), labelled.filter(pc.greater_equal(nights, pa.scalar(split, pa.date32())))


def fit(labelled: pa.Table, job: Job) -> Any:
    """Return the job's pipeline fitted on the rows. With calibration, its probabilities are calibrated on the last nights."""
    pipeline = job.pipeline_factory()()
    if job.training.calibration == "none":
        return _fitted(pipeline, labelled, job, pipeline)
    early, late = _before_calibration(labelled, job)
    if not (fits(early, job) and fits(late, job)):
        gap = f", which lie label.horizon_days, {job.label.horizon}, apart" if job.label.horizon else ""
        raise TrainingDataError(
            f"training {job.name} with calibration",
            found=f"classes {classes(early)} in the nights to fit on, {classes(late)} in the last ones to calibrate on",
            expected=f"each of {expected_classes(job)} in both{gap}",
            next_step="widen the window, or lower training.calibration_nights",
        )
    _fitted(pipeline, early, job, pipeline)
    calibrated = CalibratedClassifierCV(FrozenEstimator(pipeline), method=job.training.calibration)
    return _fitted(calibrated, late, job, pipeline)


def _before_calibration(labelled: pa.Table, job: Job) -> tuple[pa.Table, pa.Table]:
    """Return the rows that a pipeline with calibration is fitted on, and those that its probabilities are calibrated on."""
    last = pc.max(labelled.column(NIGHT)).as_py()
    if last is None:
        return labelled, labelled
    return parted(labelled, last - timedelta(days=job.training.calibration_nights - 1), job.label.horizon)


def _fitted(model: Any, rows: pa.Table, job: Job, pipeline: Any) -> Any:
    """Return the model fitted on the rows. Errors name the steps of ``pipeline``, the job's own."""
    try:
        fitted = model.fit(to_frame(rows, job), target(rows, job) if job.has_labels else None)
    except Exception as error:  # whatever a pipeline raises is its own: named and raised again
        step, where = step_of(pipeline, error), place_of(error)
        raise PipelineError(
            f"fitting the pipeline of {job.name} on {rows.num_rows:,} rows",
            found=f"{words_of(error)}{f' in step {step}' if step else ''}{f' ({where})' if where else ''}",
            next_step=f"correct it, then `nightshift check {job.name}`",
        ) from error
    return model if fitted is None else fitted


def kind_of(pipeline: Any) -> str | None:
    """Return ``classifier`` or ``regressor`` as a pipeline says of itself, or None if it does not say."""
    try:
        kinds = {"classifier": is_classifier(pipeline), "regressor": is_regressor(pipeline)}
    except Exception:  # noqa: BLE001  an object of one's own, without scikit-learn's tags
        return None
    return next((kind for kind, matches in kinds.items() if matches), None)


def fits(rows: pa.Table, job: Job) -> bool:
    """Return whether the rows hold every class, so that the pipeline gives the columns the job declares."""
    if not job.task.classifies:
        return bool(rows.num_rows)
    return classes(rows) == expected_classes(job)


def expected_classes(job: Job) -> list[Any]:
    """Return the classes that the job declares, sorted."""
    return sorted(job.outcomes)


def classes(rows: pa.Table) -> list[Any]:
    """Return the outcomes that there are, sorted."""
    return sorted(pc.unique(rows.column(LABEL_COLUMN)).to_pylist())


def target(rows: pa.Table, job: Job) -> np.ndarray:
    """Return the outcomes as pipelines are fitted on them, shape (rows,): 0 and 1, names of classes, or numbers."""
    return _METHODS[job.task].target(rows.column(LABEL_COLUMN))


@dataclass(frozen=True)
class HoldoutFit:
    """A pipeline that never saw the last nights, and its metrics on them. Without enough rows only the weights are there."""

    pipeline: Any
    scores: dict[str, float]
    weights: dict[str, float]
    holdout: pa.Table | None
    constant: dict[str, float] | None = None
    """Loss on the last nights: of the ``version``, and of the ``constant`` prediction that fits the nights before best."""


def fit_and_hold_out(job: Job, early: pa.Table, late: pa.Table) -> HoldoutFit:
    """Return a pipeline fitted on the early nights with its metrics, predictions and column weights on the late ones.

    Without enough early or late rows there is no pipeline, and every feature weighs the same.
    """
    if not (job.has_labels and early.num_rows and late.num_rows and fits(early, job)):
        return HoldoutFit(None, {}, dict.fromkeys(job.features, 1 / len(job.features)), None)
    return held_out(fit(early, job), early, late, job)


def held_out(pipeline: Any, early: pa.Table, late: pa.Table, job: Job) -> HoldoutFit:
    """Return what a pipeline that did not see the late rows says of them. A constant is made from the early rows."""
    truth = target(late, job)
    predictions = predict(pipeline, batch_of(late), job, Rule(decision_of(pipeline, job)))
    outcome = [late.column(NIGHT).combine_chunks(), late.column(LABEL_COLUMN).combine_chunks()]
    names = job.prediction_columns
    holdout = pa.table([*outcome, *(predictions.column(name) for name in names)], ["night", "outcome", *names])
    if job.is_snapshot:
        holdout = holdout.append_column(GROUP, pa.array(groups_of(late, job)))
    places = sample_places(late.num_rows)
    frame, some = to_frame(late, job).iloc[places].reset_index(drop=True), truth[places]
    scored, loss = _METHODS[job.task].scores, f"holdout_{job.task.loss_metric}"
    weights = importance(lambda shuffled: scored(pipeline, shuffled, some)[loss], frame)
    scores = scored(pipeline, to_frame(late, job), truth)
    constant = {"version": scores[loss], "constant": constant_loss(job, target(early, job), truth)}
    return HoldoutFit(pipeline, scores, weights, holdout, constant)


def _zeros_and_ones(outcome: pa.ChunkedArray) -> np.ndarray:
    numbers: np.ndarray = pc.cast(outcome, pa.int8()).to_numpy()
    return numbers


def _names(outcome: pa.ChunkedArray) -> np.ndarray:
    return np.array(outcome.to_pylist(), dtype=object)


def _numbers(outcome: pa.ChunkedArray) -> np.ndarray:
    return np.array(outcome.to_pylist(), dtype=np.float64)


def _binary_scores(pipeline: Any, frame: pd.DataFrame, truth: np.ndarray) -> dict[str, float]:
    chances = pipeline.predict_proba(frame)
    scores = {"holdout_log_loss": float(metrics.log_loss(truth, chances, labels=list(pipeline.classes_)))}
    if len(set(truth)) == 2:
        scores["holdout_auc"] = float(metrics.roc_auc_score(truth, chances[:, 1]))
    return scores


def _multiclass_scores(pipeline: Any, frame: pd.DataFrame, truth: np.ndarray) -> dict[str, float]:
    loss = metrics.log_loss(truth, pipeline.predict_proba(frame), labels=list(pipeline.classes_))
    accuracy = metrics.accuracy_score(list(truth), list(pipeline.predict(frame)))
    return {"holdout_log_loss": float(loss), "holdout_accuracy": float(accuracy)}


def _regression_scores(pipeline: Any, frame: pd.DataFrame, truth: np.ndarray) -> dict[str, float]:
    predictions = pipeline.predict(frame)
    return {
        "holdout_mae": float(metrics.mean_absolute_error(truth, predictions)),
        "holdout_rmse": float(metrics.root_mean_squared_error(truth, predictions)),
    }


@dataclass(frozen=True)
class _Method:
    """How outcomes of a task are given to a pipeline, and what its metrics on the holdout are."""

    target: Callable[[pa.ChunkedArray], np.ndarray]
    scores: Callable[[Any, pd.DataFrame, np.ndarray], dict[str, float]]


_METHODS: dict[Task, _Method] = {
    BINARY: _Method(_zeros_and_ones, _binary_scores),
    MULTICLASS: _Method(_names, _multiclass_scores),
    REGRESSION: _Method(_numbers, _regression_scores),
    SCORE: _Method(_numbers, _regression_scores),
}


def out_of_fold(job: Job, pipeline: Any, table: pa.Table) -> pa.Table:
    """Return a prediction per row by a pipeline that was fitted without the row's nights, where that is possible.

    Nor was it fitted on those whose outcomes overlap the row's, as far as half of the nights are left to fit on: fitted on
    much less, a pipeline says other things than the one that scores. An entity's other nights stay in, for the version that
    scores it has seen it as well.
    """
    nights = table.column(NIGHT).to_pylist()
    folds = fold_of(sorted(set(nights)), FOLDS)
    fold = np.array([folds[night] for night in nights])
    parts, places = [], []
    for number in sorted(set(folds.values())):
        place = np.flatnonzero(fold == number)
        away = nights_away([night for night in folds if folds[night] == number], list(folds), job.label.horizon)
        others = table.filter(pc.is_in(table.column(NIGHT), pa.array(sorted(away), pa.date32())))
        others = others.filter(pc.is_valid(others.column(LABEL_COLUMN))) if job.has_labels else others
        honest = fit(others, job) if others.num_rows and _can_be_fitted(others, job) else pipeline
        parts.append(predict(honest, batch_of(table.take(pa.array(place))), job, Rule(decision_of(honest, job))))
        places.append(place)
    together = pa.Table.from_batches(parts)
    return together.take(pa.array(np.argsort(np.concatenate(places))))


def _can_be_fitted(rows: pa.Table, job: Job) -> bool:
    """Return whether the rows hold every class, and so do both parts of them when probabilities are calibrated."""
    parts = (rows,) if job.training.calibration == "none" or not job.label.horizon else _before_calibration(rows, job)
    return all(part.num_rows and fits(part, job) for part in parts)


def batch_of(table: pa.Table) -> pa.RecordBatch:
    """Return a table as one batch."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)
