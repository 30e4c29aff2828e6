"""Predictions × outcomes → metrics with intervals, by way of sums that add up over rows and nights.

Every metric is a function of sums, so a week's metrics follow exactly from its nights' sums, and a bootstrap is a product
of weights with a matrix of sums. The area under the ROC curve is taken on 500 equal bins of the probability.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.performance.interval_sums import interval_metrics, interval_values
from scoring.job import BINARY, MULTICLASS, REGRESSION, SCORE, TASKS, Job, Task

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Interval = dict[str, float | None]

LOSS_UNITS = {task.loss: task.loss_unit for task in TASKS}
UNITS = {
    "log_loss": "nats",
    "excess_log_loss": "nats above the base rate's",
    "brier": "0 to 1",
    "auc": "0 to 1",
    "calibration_error": "probability",
    "calibration_gap": "probability",
    "base_rate": "share",
    "accuracy": "share",
    "mae": "unit of the label",
    "rmse": "unit of the label",
    "bias": "unit of the label",
    "coverage": "share of outcomes in the interval",
    "interval_width": "unit of the label",
}
REPLICATES = 200
"""Bootstrap samples of an interval."""
_BLOCKS = 2_000
"""Blocks of rows that a bootstrap draws from, at most."""
_RELIABILITY = 10
"""Bins of the probability in a calibration plot."""
_ROC = 500
"""Bins of the probability from which the area under the ROC curve is computed."""
TINY = 1e-15


def outcome_sums(predictions: pa.Table, outcome: pa.ChunkedArray | pa.Array, job: Job) -> Floats:
    """Return the sums of blocks of rows, shape (blocks, sums): every row alone, or 2,000 random blocks of more.

    ``outcome`` belongs to ``predictions`` row by row; rows without an outcome are left out.
    """
    labelled = pc.is_valid(outcome)
    predictions, outcome = predictions.filter(labelled), outcome.filter(labelled)
    rows = predictions.num_rows
    block = np.arange(rows)
    if rows > _BLOCKS:
        block = np.random.default_rng(0).permutation(rows) % _BLOCKS
    return block_sums(predictions, outcome, job, block, min(rows, _BLOCKS))


def block_sums(predictions: pa.Table, outcome: Any, job: Job, block: np.ndarray, blocks: int) -> Floats:
    """Return the sums of the rows of each block, shape (blocks, sums). ``block`` has each row's; all rows have an outcome."""
    rows = predictions.num_rows
    values, cells, size = _SUMS[job.task].cells(predictions, outcome, job)
    sums = [np.bincount(block, weights=value, minlength=blocks) for value in (np.ones(rows), *values)]
    parts = [np.stack(sums, axis=1) if rows else np.zeros((0, len(sums)))]
    for place, weight in cells:
        filled = np.bincount(block * size + place, weights=weight, minlength=blocks * size)
        parts.append(filled.reshape(blocks, size))
    return np.concatenate(parts, axis=1)


Cells = tuple[list[Floats], list[tuple[np.ndarray, Floats]], int]


def _binary(predictions: pa.Table, outcome: Any, job: Job) -> Cells:
    p = np.asarray(predictions.column("probability"), dtype=np.float64)
    y = np.asarray(pc.cast(outcome, pa.float64()))
    safe = np.clip(p, TINY, 1 - TINY)
    loss = -(y * np.log(safe) + (1 - y) * np.log1p(-safe))
    place = np.minimum((p * _ROC).astype(np.int64), _ROC - 1)
    return [y, p, loss, np.square(p - y)], [(place, y), (place, 1 - y), (place, p)], _ROC


def _multiclass(predictions: pa.Table, outcome: Any, job: Job) -> Cells:
    classes = job.label.classes or []
    place = np.asarray(pc.index_in(outcome, pa.array(classes)), dtype=np.int64)
    chances = np.stack([np.asarray(predictions.column(name)) for name in job.probability_columns], axis=1)
    chance = np.clip(chances[np.arange(len(place)), place], TINY, 1)
    right = np.asarray(pc.equal(predictions.column("prediction"), outcome)).astype(np.float64)
    return [-np.log(chance), right], [(place, np.ones(len(place)))], len(classes)


def _regression(predictions: pa.Table, outcome: Any, job: Job) -> Cells:
    error = np.asarray(predictions.column("prediction")) - np.asarray(outcome)
    ends = [] if job.interval is None else interval_values(predictions, outcome)
    return [np.abs(error), np.square(error), error, *ends], [], 0


def metrics_of(sums: Floats, job: Job) -> dict[str, Floats]:
    """Return every metric of sums of shape (…, sums), each of shape (…), or NaN where it has no meaning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return _SUMS[job.task].metrics(sums)


def _binary_metrics(sums: Floats) -> dict[str, Floats]:
    n, y, p, loss, brier = (sums[..., i] for i in range(5))
    positive, negative, chance = (sums[..., 5 + i * _ROC : 5 + (i + 1) * _ROC] for i in range(3))
    below = np.cumsum(negative, axis=-1) - negative / 2
    auc = (positive * below).sum(axis=-1) / (positive.sum(axis=-1) * negative.sum(axis=-1))
    by_bin = [part.reshape(*part.shape[:-1], _RELIABILITY, -1).sum(axis=-1) for part in (positive, chance)]
    gaps = np.abs(by_bin[0] - by_bin[1]).sum(axis=-1) / n
    base = y / n
    return {
        "log_loss": loss / n,
        "excess_log_loss": loss / n - _entropy(np.stack([base, 1 - base], axis=-1)),
        "brier": brier / n,
        "auc": auc,
        "calibration_error": gaps,
        "calibration_gap": (p - y) / n,
        "base_rate": base,
    }


def _multiclass_metrics(sums: Floats) -> dict[str, Floats]:
    n, loss, right = (sums[..., i] for i in range(3))
    shares = sums[..., 3:] / n[..., None]
    return {"log_loss": loss / n, "excess_log_loss": loss / n - _entropy(shares), "accuracy": right / n}


def _regression_metrics(sums: Floats) -> dict[str, Floats]:
    n, absolute, square, error = (sums[..., i] for i in range(4))
    return {"mae": absolute / n, "rmse": np.sqrt(square / n), "bias": error / n, **interval_metrics(sums[..., 4:])}


@dataclass(frozen=True)
class _Sums:
    """How a task's rows become sums, and sums become metrics."""

    cells: Callable[[pa.Table, Any, Job], Cells]
    metrics: Callable[[Floats], dict[str, Floats]]
    loss: int
    """Column of the sums that holds the summed loss."""


_SUMS: dict[Task, _Sums] = {
    BINARY: _Sums(_binary, _binary_metrics, loss=3),
    MULTICLASS: _Sums(_multiclass, _multiclass_metrics, loss=1),
    REGRESSION: _Sums(_regression, _regression_metrics, loss=1),
    SCORE: _Sums(_regression, _regression_metrics, loss=1),
}


def _entropy(shares: Floats) -> Floats:
    return np.asarray(-np.where(shares > 0, shares * np.log(np.maximum(shares, TINY)), 0.0).sum(axis=-1))


def with_intervals(blocks: Floats, job: Job) -> dict[str, Interval]:
    """Return every metric with its 95 % bootstrap interval over the blocks, or null where it has no meaning."""
    if len(blocks) == 0:
        return {}
    values = metrics_of(blocks.sum(axis=0), job)
    drawn = metrics_of(_replicates(blocks), job)
    intervals = {}
    for name, value in values.items():
        low, high = (_quantile(drawn[name], q) for q in (0.025, 0.975))
        intervals[name] = {"value": finite(float(value)), "low": low, "high": high}
    return intervals


def difference(recent: Floats, before: Floats, job: Job, name: str, *, paired: bool = False) -> Interval:
    """Return how much a metric of ``recent`` lies above that of ``before``, with its 95 % bootstrap interval.

    Both are sums per night, shape (nights, sums); nights are drawn, for the rows of one night go together. If they are
    ``paired``, both are of the same nights, and these are drawn for both at once.
    """
    value = metrics_of(recent.sum(axis=0), job)[name] - metrics_of(before.sum(axis=0), job)[name]
    drawn = (
        metrics_of(_replicates(recent), job)[name] - metrics_of(_replicates(before, seed=0 if paired else 1), job)[name]
    )
    return {"value": finite(float(value)), "low": _quantile(drawn, 0.025), "high": _quantile(drawn, 0.975)}


def losses_of(sums: Floats, job: Job) -> tuple[Floats, Floats]:
    """Return rows and summed loss of sums of shape (…, sums): log loss in nats, or absolute error in the label's unit."""
    return sums[..., 0], sums[..., _SUMS[job.task].loss]


def row_losses(predictions: pa.Table, outcome: Any, job: Job) -> Floats:
    """Return the loss of each row, all of which have an outcome: log loss in nats, or absolute error in the label's unit."""
    values, _, _ = _SUMS[job.task].cells(predictions, outcome, job)
    return values[_SUMS[job.task].loss - 1]


def reliability(sums: Floats) -> list[dict[str, float]]:
    """Return the calibration plot of a binary classifier: per tenth of the probability rows, mean of it, share that was true."""
    positive, negative, chance = (
        sums[5 + i * _ROC : 5 + (i + 1) * _ROC].reshape(_RELIABILITY, -1).sum(axis=1) for i in range(3)
    )
    points = []
    for yes, no, total in zip(positive, negative, chance, strict=True):
        rows = float(yes + no)
        if rows:
            points.append({"rows": rows, "predicted": float(total) / rows, "observed": float(yes) / rows})
    return points


def _replicates(blocks: Floats, seed: int = 0) -> Floats:
    drawn = np.random.default_rng(seed).multinomial(len(blocks), np.full(len(blocks), 1 / len(blocks)), REPLICATES)
    return np.asarray(drawn @ blocks)


def _quantile(values: Floats, q: float) -> float | None:
    values = values[np.isfinite(values)]
    return finite(float(np.quantile(values, q))) if len(values) else None


def finite(value: float) -> float | None:
    """Return the value, or None for an infinity or NaN, which JSON does not have."""
    return value if np.isfinite(value) else None


def stacked(nights: Sequence[Sequence[Sequence[float]]]) -> Floats:
    """Return the vectors that ``compact`` wrote for nights, shape (nights, sums): a job may have got an interval meanwhile."""
    size = max(int(stored[2][0]) for stored in nights)
    return np.stack([expanded(stored, size) for stored in nights])


def compact(sums: Floats) -> list[list[float]]:
    """Return a vector of sums as places and values of what is not 0, for JSON."""
    places = np.flatnonzero(sums)
    return [places.tolist(), sums[places].tolist(), [len(sums)]]


def expanded(stored: Sequence[Sequence[float]], size: int = 0) -> Floats:
    """Return the vector that ``compact`` wrote, of at least ``size`` sums: those that are new are 0."""
    sums = np.zeros(max(int(stored[2][0]), size))
    sums[np.asarray(stored[0], dtype=np.int64)] = stored[1]
    return sums
