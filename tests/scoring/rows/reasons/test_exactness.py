"""Contributions against Shapley values by their definition, and against the model's own margin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from scoring.errors import PredictionError
from scoring.job import Job
from scoring.rows import predict, to_frame
from scoring.rows.reasons import Explainer, Unexplained, forest
from tests.support.reasons import coded, hot, job_of, rows_of, target_of
from tests.support.shapley import Value, by_definition, value_of_boosting, value_of_trees

CLASSES = ["high", "low", "middle"]


def explained(
    pipeline: Any, task: str, explained_rows: int = 100
) -> tuple[Any, Any, pa.RecordBatch, pa.RecordBatch, Job]:
    """Return a fitted pipeline, its explainer, other rows with unseen categories, their predictions, and the job."""
    job, batch = job_of(task), rows_of(0)
    pipeline.fit(to_frame(batch, job), target_of(batch, task))
    other = rows_of(1, explained_rows)
    unseen = pa.array(["unseen", *other.column("kind").to_pylist()[1:]], pa.string())
    other = other.set_column(other.schema.get_field_index("kind"), "kind", unseen)
    return pipeline, Explainer(pipeline, job, batch), other, predict(pipeline, other, job), job


BOOSTING = {"max_iter": 8, "early_stopping": False, "random_state": 0}
PIPELINES = {
    "boosting, binary": (
        "binary",
        lambda: coded(HistGradientBoostingClassifier(categorical_features=[3, 4], **BOOSTING)),
    ),
    "boosting, multiclass": (
        "multiclass",
        lambda: coded(HistGradientBoostingClassifier(categorical_features=[3, 4], **BOOSTING)),
    ),
    "boosting, regression": ("regression", lambda: coded(HistGradientBoostingRegressor(**BOOSTING))),
    "boosting on one-hot columns": ("binary", lambda: hot(HistGradientBoostingClassifier(**BOOSTING))),
    "forest": ("binary", lambda: hot(RandomForestClassifier(n_estimators=5, random_state=0), sparse=True)),
    "forest with missing values": (
        "multiclass",
        lambda: coded(RandomForestClassifier(n_estimators=4, max_depth=6, random_state=0)),
    ),
    "forest, regression": ("regression", lambda: hot(RandomForestRegressor(n_estimators=5, random_state=0))),
    "extra trees": ("binary", lambda: hot(ExtraTreesClassifier(n_estimators=5, max_depth=7, random_state=0))),
    "gradient boosting": ("binary", lambda: hot(GradientBoostingClassifier(n_estimators=9))),
    "gradient boosting, multiclass": ("multiclass", lambda: hot(GradientBoostingClassifier(n_estimators=5))),
    "gradient boosting, regression": (
        "regression",
        lambda: hot(GradientBoostingRegressor(n_estimators=9, init="zero")),
    ),
    "tree": ("binary", lambda: hot(DecisionTreeClassifier(max_leaf_nodes=20, random_state=0))),
    "tree, regression": ("regression", lambda: coded(DecisionTreeRegressor(max_depth=5, random_state=0))),
    "logistic": ("binary", lambda: hot(LogisticRegression(), sparse=True)),
    "logistic, multiclass": ("multiclass", lambda: hot(LogisticRegression())),
    "ridge": ("regression", lambda: hot(Ridge())),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_contributions_sum_to_the_margin_on_every_row(name):
    task, build = PIPELINES[name]
    pipeline, explainer, rows, predictions, _ = explained(build(), task)
    result = explainer.contributions(pipeline, rows, predictions)
    assert np.abs(result.base + result.values.sum(axis=1) - result.margin).max() < 1e-9


def columns_of(pipeline: Any, batch: pa.RecordBatch, job: Job) -> np.ndarray:
    """Return the matrix that the pipeline's model is given."""
    matrix: Any = to_frame(batch, job)
    for _, step in pipeline.steps[:-1]:
        matrix = step.transform(matrix)
    model = pipeline.steps[-1][1]
    if hasattr(model, "_preprocess_X"):
        matrix = model._preprocess_X(matrix, reset=False)
    return np.asarray(matrix, dtype=np.float64)


def games(model: Any, outputs: int) -> list[Value]:
    """Return the game of each output of a tree model."""
    if hasattr(model, "_predictors"):
        return [value_of_boosting(model, output) for output in range(outputs)]
    if hasattr(model, "learning_rate"):
        return [value_of_trees(list(trees), 0, model.learning_rate) for trees in model.estimators_.T]
    trees = getattr(model, "estimators_", [model])
    places = [1] if outputs == 1 and hasattr(model, "classes_") else range(outputs)
    return [value_of_trees(trees, place, 1 / len(trees)) for place in places]


CODED = [
    "boosting, binary",
    "boosting, multiclass",
    "boosting, regression",
    "forest with missing values",
    "tree, regression",
]
PLACES = {"coded": [2, 3, 4, 1, 0], "boosting": [1, 0, 2, 3, 4]}
"""The feature behind each column of the matrix; boosting puts its categories first."""


@pytest.mark.parametrize(("many_rows", "most_columns"), [(forest.MANY_ROWS, 12), (0, 12), (0, 2)])
@pytest.mark.parametrize("name", CODED)
def test_contributions_are_shapley_values_by_definition(name, many_rows, most_columns, monkeypatch):
    """Row by row, from tables, and from tables of some of the leaves."""
    monkeypatch.setattr(forest, "MANY_ROWS", many_rows)
    monkeypatch.setattr(forest, "MOST_COLUMNS", most_columns)
    task, build = PIPELINES[name]
    pipeline, explainer, rows, predictions, job = explained(build(), task, 6)
    result, matrix = explainer.contributions(pipeline, rows, predictions), columns_of(pipeline, rows, job)
    model = pipeline.steps[-1][1]
    by_output = games(model, 3 if task == "multiclass" else 1)
    categorical = getattr(model, "is_categorical_", None) is not None
    places = PLACES["boosting" if categorical else "coded"]
    for row in range(len(matrix)):
        output = CLASSES.index(predictions.column("prediction")[row].as_py()) if task == "multiclass" else 0
        expected = np.zeros(5)
        expected[places] = by_definition(by_output[output], matrix[row])
        assert np.abs(result.values[row] - expected).max() < 1e-12


def test_a_column_without_influence_contributes_nothing():
    pipeline, explainer, rows, predictions, _ = explained(
        make_pipeline(make_column_transformer(("passthrough", ["a", "b"])), HistGradientBoostingRegressor(**BOOSTING)),
        "regression",
    )
    values = explainer.contributions(pipeline, rows, predictions).values
    assert (values[:, [0, 1, 4]] == 0).all() and (values[:, [2, 3]] != 0).any(axis=0).all()


def test_linear_contributions_are_coefficients_times_the_distance_from_the_reference():
    pipeline, explainer, rows, predictions, job = explained(
        make_pipeline(make_column_transformer((SimpleImputer(), ["b"]), (SimpleImputer(), ["a"])), Ridge()),
        "regression",
    )
    result = explainer.contributions(pipeline, rows, predictions)
    reference = columns_of(pipeline, rows_of(0), job)
    away = columns_of(pipeline, rows, job) - reference.mean(axis=0)
    assert np.allclose(result.values[:, [3, 2]], away * pipeline.steps[-1][1].coef_, atol=1e-12)
    assert np.allclose(result.base, pipeline.steps[-1][1].predict(reference).mean())


def test_of_a_calibrated_pipeline_the_margin_of_the_inner_model_is_explained():
    job, batch = job_of("binary"), rows_of(0)
    inner = hot(HistGradientBoostingClassifier(**BOOSTING)).fit(to_frame(batch, job), target_of(batch, "binary"))
    pipeline = CalibratedClassifierCV(FrozenEstimator(inner), method="isotonic")
    pipeline.fit(to_frame(batch, job), target_of(batch, "binary"))
    explainer, predictions = Explainer(pipeline, job), predict(pipeline, batch, job)
    result = explainer.contributions(pipeline, batch, predictions)
    assert explainer.calibrated
    assert np.allclose(result.margin, inner.decision_function(to_frame(batch, job)), atol=1e-12)


def test_a_logarithmic_link_is_explained_before_it_is_ended():
    job, batch = job_of("regression"), rows_of(0)
    pipeline = hot(PoissonRegressor()).fit(to_frame(batch, job), np.exp(target_of(batch, "regression") / 3))
    explainer, predictions = Explainer(pipeline, job, batch), predict(pipeline, batch, job)
    assert explainer.unit == "log of the prediction"
    result = explainer.contributions(pipeline, batch, predictions)
    assert np.allclose(np.exp(result.margin), np.asarray(predictions.column("prediction")))


def test_trees_that_changed_after_the_tables_were_made_are_an_error():
    pipeline, explainer, rows, predictions, _ = explained(PIPELINES["boosting, binary"][1](), "binary")
    nodes = pipeline.steps[-1][1]._predictors[3][0].nodes
    nodes["value"] += 1e-3 * nodes["is_leaf"]
    with pytest.raises(PredictionError, match="rows whose margin gives another prediction"):
        explainer.contributions(pipeline, rows, predictions)
    job = job_of("binary")
    with pytest.raises(PredictionError, match="rows whose contributions sum to another margin"):
        explainer.contributions(pipeline, rows, predict(pipeline, rows, job))


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        (lambda: hot(__import__("sklearn.neighbors", fromlist=["x"]).KNeighborsClassifier()), "KNeighborsClassifier"),
        (
            lambda: make_pipeline(
                hot("passthrough").steps[0][1],
                __import__("sklearn.decomposition", fromlist=["x"]).TruncatedSVD(3),
                LogisticRegression(),
            ),
            "TruncatedSVD",
        ),
        (lambda: hot(CalibratedClassifierCV(LogisticRegression(), cv=2)), "CalibratedClassifierCV"),
    ],
)
def test_what_has_no_exact_reasons_is_named(pipeline, words):
    with pytest.raises(Unexplained, match=words):
        explained(pipeline(), "binary")
