"""Evaluators of boosted trees give scikit-learn's own bits, on values at every threshold and beyond all reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
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
from tests.support.jobs import make_job

FEATURES: dict[str, Any] = {
    "size": {"type": "float", "nullable": True},
    "count": {"type": "int", "nullable": True},
    "flag": {"type": "bool", "nullable": True},
    "kind": {"type": "category", "nullable": True},
    "place": {"type": "category", "nullable": True},
    "small": {"type": "float", "nullable": True},
}
ROWS = 700


def job_of(task: str) -> Job:
    label = {"column": "y", "classes": ["a", "b", "c", "d", "e"]} if task == "multiclass" else {"column": "y"}
    return make_job(task=task, features=FEATURES, label=label)


def rows_of(seed: int, rows: int = ROWS) -> pa.RecordBatch:
    random = np.random.default_rng(seed)

    def some(values: np.ndarray, kind: pa.DataType) -> pa.Array:
        return pa.array(values.tolist(), kind, mask=random.random(rows) < 0.1)

    return pa.RecordBatch.from_pydict(
        {
            "id": pa.array(range(rows), pa.int64()),
            "size": some(random.normal(size=rows) * 10.0 ** random.integers(-3, 4), pa.float64()),
            "count": some(random.integers(-5, 40, rows), pa.int64()),
            "flag": some(random.random(rows) < 0.5, pa.bool_()),
            "kind": some(random.choice(list("abcdefg"), rows), pa.string()),
            "place": some(np.array([f"p{number}" for number in random.integers(0, 60, rows)]), pa.string()),
            "small": some(random.choice([0.0, 1e-310, 5e-324, -1e-309, 1e-300], rows), pa.float64()),
        }
    )


def outcome_of(batch: pa.RecordBatch, task: str, seed: int) -> np.ndarray:
    frame = batch.to_pandas()
    number = frame["size"].fillna(0).rank() / ROWS + frame["count"].fillna(3) / 20 + (frame["kind"] > "c") * 0.7
    number = number.to_numpy() + np.random.default_rng(seed).normal(size=len(frame)) * 0.3
    if task == "binary":
        return (number > np.median(number)).astype(int)
    if task == "multiclass":
        return np.array(list("abcde"), dtype=object)[np.argsort(np.argsort(number)) * 5 // len(number)]
    return np.exp(number)


def encoder() -> OrdinalEncoder:
    return OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan, min_frequency=5
    )


def coded(model: Any) -> Any:
    return make_pipeline(make_column_transformer((encoder(), ["kind", "place"]), remainder="passthrough"), model)


def fitted(pipeline: Any, task: str, seed: int, weights: bool = False) -> tuple[Any, pa.RecordBatch, Job]:
    job, batch = job_of(task), rows_of(seed)
    extra = {}
    if weights:
        extra = {f"{pipeline.steps[-1][0]}__sample_weight": np.random.default_rng(seed).random(batch.num_rows)}
    return pipeline.fit(to_frame(batch, job), outcome_of(batch, task, seed), **extra), batch, job


def prove(pipeline: Any, batch: pa.RecordBatch, job: Job) -> None:
    """Compare evaluator and pipeline on the rows that they were fitted on, on others, and on hostile ones."""
    evaluator, rule = evaluator_of(pipeline, job), Rule(decision_of(pipeline, job))
    assert difference(evaluator, pipeline, batch, job, rule) is None
    others = rows_of(99, 1_500)
    assert predict(pipeline, others, job, rule, evaluator).equals(predict(pipeline, others, job, rule))
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


def test_small_batches_and_blocks_give_the_same_bits() -> None:
    pipeline, batch, job = fitted(coded(HistGradientBoostingClassifier(max_iter=10)), "binary", 10)
    evaluator, rule = evaluator_of(pipeline, job), Rule(decision_of(pipeline, job))
    many = pa.Table.from_batches([batch] * 13).combine_chunks().to_batches()[0]
    whole = evaluator.output(many)
    assert unequal(whole, raw_output(pipeline, many, job, rule)) == 0
    for start, count in ((0, 1), (4_095, 2), (4_096, 1), (8_000, 1_100)):
        assert unequal(evaluator.output(many.slice(start, count)), whole[start : start + count]) == 0
