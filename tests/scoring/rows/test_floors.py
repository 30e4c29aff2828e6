"""What a first version must reach: metrics of its holdout against the job's floors, and its loss against a constant's."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics

from scoring.rows.floors import constant_checks, constant_loss, floor_checks, holdout_metrics
from tests.support.jobs import make_job

RANDOM = np.random.default_rng(0)


def test_constant_of_two_classes_is_the_early_base_rate() -> None:
    early, late = np.array([0, 0, 0, 1]), np.array([1, 1, 0])
    expected = -(2 * np.log(0.25) + np.log(0.75)) / 3
    assert constant_loss(make_job("binary"), early, late) == pytest.approx(expected)


def test_constant_of_several_classes_is_each_ones_early_share() -> None:
    early, late = np.array(["a", "b", "b", "c"], dtype=object), np.array(["b"], dtype=object)
    assert constant_loss(make_job("multiclass", ["a", "b", "c"]), early, late) == pytest.approx(np.log(2))


def test_constant_of_a_regression_is_the_early_mean() -> None:
    assert constant_loss(make_job("regression"), np.array([1.0, 3.0]), np.array([2.0, 5.0])) == 1.5


@pytest.mark.parametrize(("version", "passed"), [(0.5, True), (0.6, True), (0.6 * (1 + 1e-12), True), (0.61, False)])
def test_version_may_be_as_good_as_the_constant_but_not_worse(version: float, passed: bool) -> None:
    (check,) = constant_checks("log loss", {"version": version, "constant": 0.6})
    assert check.passed is passed
    assert "always saying the base rate of the nights before has 0.6" in check.sentence


def test_nothing_is_compared_without_a_holdout() -> None:
    assert constant_checks("log loss", None) == []
    assert holdout_metrics(None, make_job()) == {}
    assert not floor_checks({}, {"auc": 0.5})[0].passed


def test_binary_metrics_are_those_of_scikit_learn() -> None:
    p = np.round(RANDOM.random(500), 2)
    y = RANDOM.random(500) < p
    found = holdout_metrics(pa.table({"outcome": y, "prediction": p > 0.5, "probability": p}), make_job())
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(y, p))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(y, p))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(y, np.clip(p, 1e-15, 1 - 1e-15)))
    assert found["excess_log_loss"] == pytest.approx(found["log_loss"] - metrics.log_loss(y, np.full(500, y.mean())))


def test_metrics_have_the_names_that_measured_performance_has() -> None:
    """Floors of a retraining are of drift's metrics."""
    from drift.performance.metrics import UNITS

    p = np.array([0.25, 0.75])
    binary = pa.table({"outcome": [False, True], "prediction": [False, True], "probability": p})
    number = pa.table({"outcome": p, "prediction": p})
    chances = {f"probability_{name}": p for name in "abc"}
    several = pa.table({"outcome": ["a", "b"], "prediction": ["a", "a"], **chances})
    found = [holdout_metrics(binary, make_job()), holdout_metrics(number, make_job("regression"))]
    found.append(holdout_metrics(several, make_job("multiclass", ["a", "b", "c"])))
    of_intervals = {"coverage", "interval_width"}  # a holdout has none: its predictions are no published ones
    assert {name for one in found for name in one} == set(UNITS) - of_intervals
    assert found[2]["accuracy"] == 0.5


def test_area_under_the_curve_of_one_class_is_not_measured() -> None:
    one_class = pa.table({"outcome": [True, True], "prediction": [True, True], "probability": [0.5, 0.6]})
    assert holdout_metrics(one_class, make_job())["auc"] is None
