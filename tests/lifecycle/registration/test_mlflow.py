"""Models that other people logged with MLflow: the file is taken as it is, and MLflow opens nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lifecycle.registration import model_file
from scoring.errors import ArtifactMismatch, RegistryUnavailable
from tests.conftest import Toy
from tests.support.elsewhere import build_catboost, fitted, rows_before


def of_sklearn(mlflow: Any, name: str) -> None:
    mlflow.sklearn.log_model(fitted(), name=name, registered_model_name=name, serialization_format="cloudpickle")


def of_skops(mlflow: Any, name: str) -> None:
    mlflow.sklearn.log_model(
        fitted(),
        name=name,
        registered_model_name=name,
        serialization_format="skops",
        skops_trusted_types=["numpy.dtype"],
    )


def of_lightgbm(mlflow: Any, name: str) -> None:
    import lightgbm

    data = lightgbm.Dataset(rows_before()[["x"]], rows_before().y.astype(int))
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, num_boost_round=3)
    mlflow.lightgbm.log_model(booster, name=name, registered_model_name=name)


def of_xgboost(mlflow: Any, name: str) -> None:
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(rows_before()[["x"]], rows_before().y.astype(int))
    mlflow.xgboost.log_model(model, name=name, registered_model_name=name)


def of_catboost(mlflow: Any, name: str) -> None:
    model = build_catboost()[-1].fit(rows_before()[["x"]], rows_before().y.astype(int))
    mlflow.catboost.log_model(model, name=name, registered_model_name=name)


@pytest.fixture
def logged(tmp_path: Path) -> Any:
    """Log a model with MLflow into a registry of somebody else's, and return its URL."""
    import mlflow

    before, url = mlflow.get_tracking_uri(), f"sqlite:///{tmp_path}/mlflow.db"

    def log(make: Callable[[Any, str], None], name: str) -> str:
        mlflow.set_tracking_uri(url)
        mlflow.set_experiment(experiment_id=mlflow.create_experiment(name, artifact_location=str(tmp_path / "files")))
        with mlflow.start_run():
            make(mlflow, name)
        return url

    yield log
    mlflow.set_tracking_uri(before)


NIGHTLY = [
    pytest.param(make, form, marks=pytest.mark.nightly)
    for make, form in ((of_sklearn, "joblib"), (of_skops, "skops"), (of_lightgbm, "lightgbm"), (of_xgboost, "xgboost"))
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("make", "form"), NIGHTLY)
def test_a_model_of_mlflow_is_the_file_that_was_logged(untrained: Toy, logged: Any, make: Any, form: str) -> None:
    url = logged(make, "theirs")
    file = model_file(untrained.stores, "models:/theirs/1", url)
    assert (file.form.name, file.source) == (form, "models:/theirs/1")
    model = file.form.open(file.content, untrained.job, ["numpy.dtype"])
    assert model.predict_proba(rows_before()[["x", "kind"]]).shape == (1200, 2)
    assert list(model.feature_names_in_) == (["x", "kind"] if form in ("joblib", "skops") else ["x"])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.nightly
def test_a_model_of_another_flavour_is_refused(untrained: Toy, logged: Any) -> None:
    url = logged(of_catboost, "theirs")
    with pytest.raises(ArtifactMismatch, match=r"'catboost'.*expected one of sklearn, lightgbm, xgboost, onnx"):
        model_file(untrained.stores, "models:/theirs/1", url)


def test_a_model_that_mlflow_does_not_have_is_named(untrained: Toy) -> None:
    with pytest.raises(RegistryUnavailable, match=r"nobody.*--tracking-url"):
        model_file(untrained.stores, "models:/nobody/7")
