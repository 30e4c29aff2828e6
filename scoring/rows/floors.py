"""The checks of a first version, which has no champion to be compared with: the job's floors, and a constant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.job import BINARY, MULTICLASS, REGRESSION, SCORE, TASKS, Job, Task

SMALLER_IS_BETTER = {"log_loss", "excess_log_loss", "brier", "calibration_error", "mae", "rmse"}
ROUNDING = 1e-9
"""Share of the constant's loss that counts as rounding, so that a version which predicts the constant is not worse."""
_BINS = 10
_CONSTANTS = {task.loss: task.constant for task in TASKS}
_TINY = 1e-15


@dataclass(frozen=True)
class Check:
    """One check of the promotion gate: a sentence with the value and the limit, and whether it passed."""

    name: str
    passed: bool
    sentence: str


def floor_checks(metrics: Mapping[str, float | None], floors: Mapping[str, float]) -> list[Check]:
    """Return a check for each of ``promotion.floors``: at most, where smaller is better, else at least.

    >>> floor_checks({"auc": 0.5}, {"auc": 0.6})
    [Check(name='floor auc', passed=False, sentence='auc is 0.5, at least 0.6 is asked for')]
    """
    checks = []
    for name, limit in floors.items():
        value = metrics.get(name)
        at_most = name in SMALLER_IS_BETTER
        enough = value is not None and (value <= limit if at_most else value >= limit)
        words = "not measured" if value is None else f"{value:.4g}"
        demand = f"{'at most' if at_most else 'at least'} {limit:g} is asked for"
        checks.append(Check(f"floor {name}", enough, f"{name} is {words}, {demand}"))
    return checks


def constant_loss(job: Job, early: np.ndarray, late: np.ndarray) -> float:
    """Return the loss, on the late outcomes, of a constant prediction made from the early ones.

    That is the log loss (nats) of the share of each class, or the mean absolute error of the mean. Outcomes as
    ``lifecycle.training.fit.target`` gives them; every late class is among the early ones.
    """
    if not job.task.classifies:
        return float(np.abs(late - early.mean()).mean())
    classes, counts = np.unique(early.astype(str), return_counts=True)
    shares = dict(zip(classes, counts / counts.sum(), strict=True))
    return float(-np.mean([np.log(max(shares.get(outcome, 0.0), _TINY)) for outcome in late.astype(str)]))


def constant_checks(loss: str, losses: Mapping[str, float] | None) -> list[Check]:
    """Return the check of a version's loss on the holdout against the constant's loss. There is none without a holdout.

    ``losses`` has both as ``version`` and ``constant``; a version from before they were kept has none. ``loss`` is its
    name: log loss, or mean absolute error.
    """
    if not losses:
        return []
    version, constant = losses["version"], losses["constant"]
    saying = _CONSTANTS[loss]
    sentence = (
        f"{loss} {version:.4g} on the holdout, always saying the {saying} of the nights before has {constant:.4g}"
    )
    return [Check(saying, version <= constant * (1 + ROUNDING) + _TINY, sentence)]


def holdout_metrics(holdout: pa.Table | None, job: Job) -> dict[str, float | None]:
    """Return the metrics that floors may name, computed on the holdout, or an empty mapping without a holdout."""
    if holdout is None or holdout.num_rows == 0:
        return {}
    return _METRICS[job.task](holdout, job)


def _regression(holdout: pa.Table, job: Job) -> dict[str, float | None]:
    error = np.asarray(holdout.column("prediction")) - np.asarray(holdout.column("outcome"))
    values = {"mae": np.abs(error).mean(), "rmse": np.sqrt(np.square(error).mean()), "bias": error.mean()}
    return {name: float(value) for name, value in values.items()}


def _binary(holdout: pa.Table, job: Job) -> dict[str, float | None]:
    p = np.asarray(holdout.column("probability"), dtype=np.float64)
    y = np.asarray(pc.cast(holdout.column("outcome"), pa.float64()))
    safe = np.clip(p, _TINY, 1 - _TINY)
    loss = float(-(y * np.log(safe) + (1 - y) * np.log1p(-safe)).mean())
    place = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.abs(np.bincount(place, y - p, minlength=_BINS)).sum() / len(y)
    base = float(y.mean())
    return {
        "log_loss": loss,
        "excess_log_loss": loss - _entropy(np.array([base, 1 - base])),
        "auc": _auc(p, y),
        "brier": float(np.square(p - y).mean()),
        "calibration_error": float(gaps),
        "calibration_gap": float((p - y).mean()),
        "base_rate": base,
    }


def _auc(p: np.ndarray, y: np.ndarray) -> float | None:
    """Return the area under the ROC curve by ranks (Mann-Whitney), ties counted half, or None for a single class."""
    positive = y.sum()
    if not 0 < positive < len(y):
        return None
    _, place, counts = np.unique(p, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((rank[y > 0].sum() - positive * (positive + 1) / 2) / (positive * (len(y) - positive)))


def _multiclass(holdout: pa.Table, job: Job) -> dict[str, float | None]:
    place = np.asarray(pc.index_in(holdout.column("outcome"), pa.array(job.label.classes)), dtype=np.int64)
    chances = np.stack([np.asarray(holdout.column(name)) for name in job.probability_columns], axis=1)
    loss = float(-np.log(np.clip(chances[np.arange(len(place)), place], _TINY, 1)).mean())
    right = pc.mean(pc.cast(pc.equal(holdout.column("prediction"), holdout.column("outcome")), pa.float64())).as_py()
    shares = np.bincount(place) / len(place)
    return {"log_loss": loss, "excess_log_loss": loss - _entropy(shares), "accuracy": right}


_METRICS: dict[Task, Callable[[pa.Table, Job], dict[str, float | None]]] = {
    BINARY: _binary,
    MULTICLASS: _multiclass,
    REGRESSION: _regression,
    SCORE: _regression,
}


def _entropy(shares: np.ndarray) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log(present)).sum())
