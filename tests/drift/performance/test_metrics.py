"""Metrics from sums: equal to scikit-learn's, additive over rows and nights, with intervals that cover."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics

from drift.performance.estimate import estimate
from drift.performance.metrics import UNITS, compact, difference, expanded, metrics_of, outcome_sums, with_intervals
from scoring.rows.bins import PROBABILITY_GRID, bins_of
from scoring.rows.profile import Profile
from tests.support.jobs import make_job

CLASSES = ["red", "green", "blue"]
BINARY, REGRESSION = make_job("binary"), make_job("regression")
MULTICLASS = make_job("multiclass", label={"column": "y", "classes": CLASSES})


def binary(rows: int, seed: int = 0, bias: float = 0.0) -> tuple[pa.Table, pa.Array]:
    """Calibrated probabilities and outcomes; ``bias`` makes the probabilities too high."""
    random = np.random.default_rng(seed)
    p = random.beta(2, 5, rows)
    given = np.clip(p + bias, 0, 1)
    table = pa.table({"prediction": given >= 0.5, "probability": given})
    return table, pa.array(random.random(rows) < p)


def number(value: float | None) -> float:
    """Return a value that there must be."""
    assert value is not None
    return value


def test_binary_metrics_are_those_of_scikit_learn() -> None:
    table, outcome = binary(900)
    y, p = np.asarray(outcome).astype(int), table.column("probability").to_numpy()
    found = metrics_of(outcome_sums(table, outcome, BINARY).sum(axis=0), BINARY)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(y, p))
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(y, p))
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(y, p), abs=2e-3)
    assert (found["base_rate"], found["calibration_gap"]) == (
        pytest.approx(y.mean()),
        pytest.approx(p.mean() - y.mean()),
    )
    edges = np.minimum((p * 10).astype(int), 9)
    expected = sum(abs(p[edges == b].sum() - y[edges == b].sum()) for b in range(10)) / len(p)
    assert found["calibration_error"] == pytest.approx(expected)
    constant = metrics.log_loss(y, np.full(len(y), y.mean()))
    assert found["excess_log_loss"] == pytest.approx(metrics.log_loss(y, p) - constant)


def test_regression_metrics_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    y, found = random.normal(size=500), random.normal(size=500)
    got = metrics_of(outcome_sums(pa.table({"prediction": found}), pa.array(y), REGRESSION).sum(axis=0), REGRESSION)
    assert got["mae"] == pytest.approx(metrics.mean_absolute_error(y, found))
    assert got["rmse"] == pytest.approx(metrics.root_mean_squared_error(y, found))
    assert got["bias"] == pytest.approx((found - y).mean())


def test_multiclass_metrics_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    chances = random.dirichlet(np.ones(len(CLASSES)), 400)
    best = [CLASSES[place] for place in chances.argmax(axis=1)]
    truth = random.choice(CLASSES, 400)
    columns = dict(zip(MULTICLASS.probability_columns, chances.T, strict=True))
    found = metrics_of(
        outcome_sums(pa.table({"prediction": best, **columns}), pa.array(truth), MULTICLASS).sum(axis=0), MULTICLASS
    )
    order = np.argsort(CLASSES)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, chances[:, order], labels=sorted(CLASSES)))
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, best))


def test_sums_of_parts_are_the_sums_of_the_whole() -> None:
    table, outcome = binary(5000)
    whole = outcome_sums(table, outcome, BINARY)
    assert whole.shape[0] == 2000  # blocks
    parts = [
        outcome_sums(table.slice(n, 1250), outcome.slice(n, 1250), BINARY).sum(axis=0) for n in range(0, 5000, 1250)
    ]
    assert np.allclose(np.sum(parts, axis=0), whole.sum(axis=0), rtol=1e-12)
    assert np.array_equal(expanded(compact(whole.sum(axis=0))), whole.sum(axis=0))


def test_rows_without_an_outcome_are_left_out() -> None:
    table, outcome = binary(100)
    gaps = pa.array([None if place % 3 else value for place, value in enumerate(outcome.to_pylist())], pa.bool_())
    assert len(outcome_sums(table, gaps, BINARY)) == 34
    none = outcome_sums(table, pa.nulls(100, pa.bool_()), BINARY)
    assert none.shape == (0, 5 + 3 * 500)
    assert with_intervals(none, BINARY) == {}


def test_metric_without_meaning_is_null_not_a_number() -> None:
    table, _ = binary(50)
    found = with_intervals(outcome_sums(table, pa.array([False] * 50), BINARY), BINARY)
    assert found["auc"] == {"value": None, "low": None, "high": None}
    assert number(found["log_loss"]["value"]) > 0
    assert found["base_rate"]["value"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("rows", [400, 6000])
def test_intervals_cover_the_truth_about_as_often_as_they_say(rows: int) -> None:
    truth = metrics_of(outcome_sums(*binary(200_000, seed=99), BINARY).sum(axis=0), BINARY)
    covered = {"log_loss": 0, "auc": 0, "brier": 0}
    for seed in range(40):
        found = with_intervals(outcome_sums(*binary(rows, seed=seed), BINARY), BINARY)
        for name in covered:
            covered[name] += int(number(found[name]["low"]) <= float(truth[name]) <= number(found[name]["high"]))
    assert all(33 <= times <= 40 for times in covered.values()), covered  # 95 % of 40 is 38


def test_difference_is_established_only_when_there_is_one() -> None:
    before = np.stack([outcome_sums(*binary(300, seed=n), BINARY).sum(axis=0) for n in range(14)])
    same = np.stack([outcome_sums(*binary(300, seed=n), BINARY).sum(axis=0) for n in range(20, 34)])
    worse = np.stack([outcome_sums(*binary(300, seed=n, bias=0.3), BINARY).sum(axis=0) for n in range(40, 54)])
    nothing, something = (difference(recent, before, BINARY, "excess_log_loss") for recent in (same, worse))
    assert number(nothing["low"]) < 0 < number(nothing["high"])
    assert 0 < number(something["low"]) < number(something["value"]) < number(something["high"])


def test_base_rate_alone_is_no_loss_of_performance() -> None:
    """Nights with more positives have a higher log loss, although the model is as good; the excess stays."""
    random = np.random.default_rng(0)

    def night(low: float, high: float) -> np.ndarray:
        p = random.uniform(low, high, 20_000)
        table = pa.table({"prediction": p >= 0.5, "probability": p})
        return outcome_sums(table, pa.array(random.random(len(p)) < p), BINARY).sum(axis=0)

    few, many = metrics_of(night(0.05, 0.15), BINARY), metrics_of(night(0.4, 0.5), BINARY)
    assert many["log_loss"] - few["log_loss"] > 0.3
    assert abs(many["excess_log_loss"] - few["excess_log_loss"]) < 0.01


def test_estimate_is_near_the_truth_while_calibration_holds() -> None:
    table, outcome = binary(20_000, seed=1)
    reference, known = binary(10_000, seed=2)
    columns = {PROBABILITY_GRID: table.column("probability")}
    profile = Profile.of(bins_of(columns), columns, 20_000)
    guess = estimate(profile, reference.append_column("outcome", known))
    truth = metrics_of(outcome_sums(table, outcome, BINARY).sum(axis=0), BINARY)
    assert guess is not None
    for name in ("log_loss", "brier", "auc", "base_rate"):
        assert guess[name] == pytest.approx(float(truth[name]), abs=0.02), name
    assert estimate(profile, None) is None
    assert estimate(Profile(), reference) is None


def test_every_metric_has_a_unit() -> None:
    found = metrics_of(np.zeros(5 + 3 * 500), BINARY) | metrics_of(np.zeros(4), REGRESSION)
    assert found.keys() <= UNITS.keys()
