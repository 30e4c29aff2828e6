"""Pipelines whose categories are encoded level by level: the same matrix, and so the same bits."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from scoring.rows.decision import Rule, decision_of
from scoring.rows.evaluation.evaluator import evaluator_of
from scoring.rows.evaluation.proof import difference
from scoring.rows.evaluation.unsupported import Unsupported
from scoring.rows.prediction import predict, to_frame
from tests.support.evaluations import fitted, outcome_of, rows_of

CATEGORIES = ["kind", "place"]
NUMBERS = ["size", "count", "flag", "small"]
ENCODERS: dict[str, Any] = {
    "sparse": OneHotEncoder(handle_unknown="ignore"),
    "dense": OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    "infrequent": OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10),
    "first dropped": OneHotEncoder(handle_unknown="ignore", drop="first"),
    "codes": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
}
MODELS: dict[str, tuple[str, Any]] = {
    "logistic": ("binary", LogisticRegression(max_iter=50, tol=0.1)),
    "several classes": ("multiclass", LogisticRegression(max_iter=50, tol=0.1)),
    "stochastic": ("binary", SGDClassifier(loss="log_loss", random_state=0)),
    "ridge": ("regression", Ridge()),
    "least squares": ("regression", LinearRegression()),
    "forest": ("binary", RandomForestClassifier(10, random_state=0)),
    "extra trees": ("multiclass", ExtraTreesClassifier(10, random_state=0)),
    "forest of numbers": ("regression", RandomForestRegressor(10, random_state=0)),
}


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("model", MODELS)
def test_encoder_gives_the_pipelines_bits(model: str, encoder: str) -> None:
    task, estimator = MODELS[model]
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer((ENCODERS[encoder], CATEGORIES), (numbers, NUMBERS))
    pipeline, batch, job = fitted(make_pipeline(columns, estimator), task, 11)
    rule = Rule(decision_of(pipeline, job), None if "forest" in model or "trees" in model else 256)
    evaluator = evaluator_of(pipeline, job, rule.block_rows)
    assert evaluator.name == "encoder"
    assert difference(evaluator, pipeline, batch, job, rule) is None
    others = rows_of(98, 1_001)
    assert predict(pipeline, others, job, rule, evaluator).equals(predict(pipeline, others, job, rule))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_calibrated_probabilities_have_the_same_bits() -> None:
    columns = make_column_transformer((ENCODERS["sparse"], CATEGORIES), (SimpleImputer(), NUMBERS))
    pipeline, _, job = fitted(make_pipeline(columns, LogisticRegression(tol=0.1, max_iter=1_000)), "binary", 13)
    late = rows_of(14)
    calibrated = CalibratedClassifierCV(FrozenEstimator(pipeline), method="isotonic")
    calibrated.fit(to_frame(late, job), outcome_of(late, "binary", 14))
    rule = Rule(decision_of(calibrated, job), 256)
    assert difference(evaluator_of(calibrated, job, 256), calibrated, late, job, rule) is None


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_model_that_was_given_a_frame_is_left_to_scikit_learn() -> None:
    columns = make_column_transformer((ENCODERS["dense"], CATEGORIES), (SimpleImputer(), NUMBERS))
    pipeline = make_pipeline(columns, LogisticRegression(tol=0.1, max_iter=1_000)).set_output(transform="pandas")
    fit, _, job = fitted(pipeline, "binary", 12)
    with pytest.raises(Unsupported, match="LogisticRegression has no evaluator"):
        evaluator_of(fit, job)


def test_pipeline_without_categories_has_nothing_to_encode() -> None:
    columns = make_column_transformer((make_pipeline(SimpleImputer(), StandardScaler()), NUMBERS))
    pipeline, _, job = fitted(make_pipeline(columns, LogisticRegression(tol=0.1, max_iter=1_000)), "binary", 12)
    with pytest.raises(Unsupported, match="without categories"):
        evaluator_of(pipeline, job)
