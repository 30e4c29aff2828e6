"""Models of other libraries: their own contributions, held against their own margins."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from scoring.rows import predict, to_frame
from scoring.rows.reasons import Explainer
from tests.support.reasons import coded, hot, job_of, rows_of, target_of

MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "lightgbm, binary": ("binary", "lightgbm.LGBMClassifier", {"n_estimators": 20, "n_jobs": 1, "verbose": -1}),
    "lightgbm, multiclass": ("multiclass", "lightgbm.LGBMClassifier", {"n_estimators": 8, "n_jobs": 1, "verbose": -1}),
    "lightgbm, regression": ("regression", "lightgbm.LGBMRegressor", {"n_estimators": 20, "n_jobs": 1, "verbose": -1}),
    "xgboost, binary": ("binary", "xgboost.XGBClassifier", {"n_estimators": 100, "n_jobs": 1}),
    "xgboost, regression": ("regression", "xgboost.XGBRegressor", {"n_estimators": 100, "n_jobs": 1}),
    "catboost, binary": ("binary", "catboost.CatBoostClassifier", {"iterations": 20, "thread_count": 1, "verbose": 0}),
    "catboost, regression": (
        "regression",
        "catboost.CatBoostRegressor",
        {"iterations": 20, "thread_count": 1, "verbose": 0},
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("around", [coded, hot])
def test_contributions_of_other_libraries_sum_to_their_margin(name, around, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # CatBoost leaves a folder where it is fitted
    task, path, settings = MODELS[name]
    library, _, model = path.partition(".")
    build = getattr(import_module(library), model)
    job, batch = job_of(task), rows_of(0)
    target = target_of(batch, task)
    pipeline = around(build(**settings)).fit(to_frame(batch, job), target.astype(int) if task == "binary" else target)
    other = rows_of(1, 300)
    predictions = predict(pipeline, other, job)
    result = Explainer(pipeline, job).contributions(pipeline, other, predictions)
    assert np.abs(result.base + result.values.sum(axis=1) - result.margin).max() < 1e-6 * max(
        1, np.abs(result.margin).max()
    )
    assert np.abs(result.values).max() > 0.1
