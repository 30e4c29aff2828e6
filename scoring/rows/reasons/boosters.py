"""Models of LightGBM, XGBoost and CatBoost: contributions and margins by the library's own code."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

_ROUNDING = 1e-5
"""How far sums of 32 bits lie from each other over hundreds of trees, as a share of the margin where it is larger than 1."""
LIBRARIES = ("lightgbm", "xgboost", "catboost")


class Booster:
    """A fitted model of such a library, with its scikit-learn interface."""

    def __init__(self, model: Any, features: np.ndarray, width: int) -> None:
        """Take the model."""
        self._model, self._features, self._width = model, features, width
        self._library = type(model).__module__.partition(".")[0]
        self._classifies = hasattr(model, "classes_")
        self.unit = "log-odds" if self._classifies else "score"

    def margins(self, matrix: Any) -> np.ndarray:
        """Return the margin of each output by the model's own code, (rows, outputs)."""
        margins = np.asarray(_MARGINS[self._library](self._model, matrix), dtype=np.float64)
        return margins.reshape(matrix.shape[0], -1)

    def contributions(self, matrix: Any, output: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the base of an output in each row, and what each feature adds to it, (rows, features)."""
        raw = _CONTRIBUTIONS[self._library](self._model, matrix)
        raw = np.asarray(raw.toarray() if hasattr(raw, "toarray") else raw, dtype=np.float64)
        values = raw.reshape(matrix.shape[0], -1, len(self._features) + 1)[:, output]
        summed = np.zeros((len(values), self._width))
        for column, feature in enumerate(self._features):
            summed[:, feature] += values[:, column]
        return self._settled(matrix, output, values[:, -1], summed), summed

    def _settled(self, matrix: Any, output: int, base: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the base of each row. XGBoost computes in 32 bits: what its own rounding leaves over goes to the base."""
        if self._library != "xgboost":
            return base
        margin = self.margins(matrix)[:, output]
        left = margin - base - values.sum(axis=1)
        return base + np.where(np.abs(left) <= _ROUNDING * np.maximum(1, np.abs(margin)), left, 0)

    def ended(self, margins: np.ndarray) -> np.ndarray | None:
        """Return None: the library ends them."""
        return None


def booster_of(model: Any, features: np.ndarray, width: int) -> Booster:
    """Return a model of one of the libraries."""
    return Booster(model, features, width)


def _matrix_of_xgboost(matrix: Any) -> Any:
    return import_module("xgboost").DMatrix(matrix, enable_categorical=True)


def _pool_of_catboost(model: Any, matrix: Any) -> Any:
    return import_module("catboost").Pool(matrix, cat_features=model.get_cat_feature_indices())


_MARGINS = {
    "lightgbm": lambda model, matrix: model.predict(matrix, raw_score=True),
    "xgboost": lambda model, matrix: model.predict(matrix, output_margin=True),
    "catboost": lambda model, matrix: model.predict(matrix, prediction_type="RawFormulaVal"),
}
_CONTRIBUTIONS = {
    "lightgbm": lambda model, matrix: model.predict(matrix, pred_contrib=True),
    "xgboost": lambda model, matrix: model.get_booster().predict(_matrix_of_xgboost(matrix), pred_contribs=True),
    "catboost": lambda model, matrix: model.get_feature_importance(_pool_of_catboost(model, matrix), "ShapValues"),
}
