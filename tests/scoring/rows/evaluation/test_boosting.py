"""Evaluators of boosted trees give scikit-learn's own bits, on values at every threshold and beyond all reason."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from scoring.job.definition import Job
from scoring.rows.decision import Rule, decision_of
from scoring.rows.evaluation.bits import unequal
from scoring.rows.evaluation.evaluator import evaluator_of
from scoring.rows.evaluation.hostile import hostile_rows
from scoring.rows.evaluation.proof import difference
from scoring.rows.prediction import predict, raw_output, to_frame
from tests.support.evaluations import ROWS, fitted, outcome_of, rows_of


def encoder() -> OrdinalEncoder:
    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan, min_frequency=5
    )


def coded(model: Any) -> Any:
    return make_pipeline(make_column_transformer((encoder(), ["kind", "place"]), remainder="passthrough"), model)


def prove(pipeline: Any, batch: pa.RecordBatch, job: Job) -> None:
    """Compare evaluator and pipeline on the rows that they were fitted on, on others, and on hostile ones."""
    evaluator, rule = evaluator_of(pipeline, job), Rule(decision_of(pipeline, job))
    assert difference(evaluator, pipeline, batch, job, rule) is None
    others = rows_of(99, 1_500)
    assert predict(pipeline, others, job, rule, evaluator).equals(predict(pipeline, others, job, rule))
    whole = evaluator.output(others)
    for first, count in ((0, 1), (1, 1), (2, 5), (7, 16), (23, 17), (40, 2)):  # few rows are computed another way
        assert unequal(evaluator.output(others.slice(first, count)), whole[first : first + count]) == 0
    hostile = hostile_rows(batch, job, evaluator.thresholds)
    with np.errstate(all="ignore"):
        assert unequal(evaluator.output(hostile), raw_output(pipeline, hostile, job, rule)) == 0


SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "categories": {"categorical_features": [0, 1]},
    "wide": {"categorical_features": [0, 1], "max_leaf_nodes": 64, "min_samples_leaf": 2},
    "200 leaves": {"categorical_features": [0, 1], "max_leaf_nodes": 200, "min_samples_leaf": 1},
    "no limit": {"max_leaf_nodes": None, "min_samples_leaf": 1, "categorical_features": [1]},
    "shallow": {"max_depth": 2},
    "one leaf": {"min_samples_leaf": ROWS},
    "few bins": {"max_bins": 7},
    "monotonic": {"monotonic_cst": [0, 0, 1, 0, 0, 0]},
    "interactions": {"interaction_cst": [{0, 1}, {2, 3, 4, 5}]},
    "stops early": {"early_stopping": True, "validation_fraction": 0.2, "n_iter_no_change": 3},
}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_evaluator_gives_the_pipelines_bits(setting: str, task: str) -> None:
    if setting == "monotonic" and task == "multiclass":
        pytest.skip("scikit-learn has no monotonic constraints for several classes")
    model = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    options = {"max_iter": 19, "early_stopping": False, "random_state": 0, **SETTINGS[setting]}
    for seed in (len(setting), len(setting) + 100):
        prove(*fitted(coded(model(**options)), task, seed))


@pytest.mark.parametrize("loss", ["poisson", "gamma", "absolute_error", "quantile"])
def test_evaluator_has_the_link_of_every_loss(loss: str) -> None:
    options = {"quantile": 0.8} if loss == "quantile" else {}
    model = HistGradientBoostingRegressor(loss=loss, max_iter=20, early_stopping=False, **options)
    prove(*fitted(coded(model), "regression", 3))


def test_weights_and_the_estimators_own_categories() -> None:
    model = HistGradientBoostingClassifier(max_iter=15, early_stopping=False)
    prove(*fitted(coded(model), "binary", 4, weights=True))
    own = HistGradientBoostingClassifier(categorical_features=["kind", "place"], max_iter=15, early_stopping=False)
    prove(*fitted(make_pipeline(own), "binary", 5))


def test_categories_by_dtype_are_coded_by_a_step_of_ones_own() -> None:
    from sklearn.preprocessing import FunctionTransformer

    step = FunctionTransformer(_as_categories)
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=15, early_stopping=False)
    prove(*fitted(make_pipeline(step, model), "binary", 6))


def _as_categories(frame: Any) -> Any:
    import pandas as pd

    levels = {"kind": list("abcdefg"), "place": [f"p{number}" for number in range(60)]}
    return frame.assign(**{name: pd.Categorical(frame[name], some) for name, some in levels.items()})


def test_steps_that_are_not_understood_are_done_by_the_pipeline() -> None:
    numbers = ["size", "count", "flag", "small"]
    steps = make_column_transformer((StandardScaler(), numbers), (encoder(), ["kind", "place"]))
    pipeline = make_pipeline(steps, HistGradientBoostingClassifier(max_iter=15, early_stopping=False))
    fit, batch, job = fitted(pipeline, "binary", 7)
    assert evaluator_of(fit, job).thresholds == {}
    prove(fit, batch, job)


def test_wrappers_that_pass_probabilities_on_are_looked_through() -> None:
    model = HistGradientBoostingClassifier(max_iter=10, early_stopping=False)
    prove(*fitted(FixedThresholdClassifier(coded(model), threshold=0.3), "binary", 8))
    search = GridSearchCV(coded(model), {"histgradientboostingclassifier__max_depth": [2, 3]}, cv=2)
    prove(*fitted(search, "binary", 9))


@pytest.mark.parametrize("method", ["isotonic", "sigmoid"])
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_calibrated_probabilities_have_the_same_bits(task: str, method: str) -> None:
    model, batch, job = fitted(coded(HistGradientBoostingClassifier(max_iter=10)), task, 13)
    late = rows_of(14)
    calibrated = CalibratedClassifierCV(FrozenEstimator(model), method=method)
    prove(calibrated.fit(to_frame(late, job), outcome_of(late, task, 14)), batch, job)


def test_several_threads_use_one_evaluator_at_once() -> None:
    pipeline, _, job = fitted(coded(HistGradientBoostingClassifier(max_iter=30)), "binary", 15)
    evaluator = evaluator_of(pipeline, job)
    batches = [rows_of(seed, 6_000) for seed in range(8)]
    alone = [evaluator.output(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(evaluator.output, batches * 3))
    assert all(unequal(output, expected) == 0 for output, expected in zip(together, alone * 3, strict=True))


def test_small_batches_and_blocks_give_the_same_bits() -> None:
    pipeline, batch, job = fitted(coded(HistGradientBoostingClassifier(max_iter=10)), "binary", 10)
    evaluator, rule = evaluator_of(pipeline, job), Rule(decision_of(pipeline, job))
    many = pa.Table.from_batches([batch] * 13).combine_chunks().to_batches()[0]
    whole = evaluator.output(many)
    assert unequal(whole, raw_output(pipeline, many, job, rule)) == 0
    for start, count in ((0, 1), (4_095, 2), (4_096, 1), (8_000, 1_100)):
        assert unequal(evaluator.output(many.slice(start, count)), whole[start : start + count]) == 0
