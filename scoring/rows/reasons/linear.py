"""Linear models: a column adds its coefficient times how far its value lies from the mean of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from scoring.rows.decision import sklearn_name
from scoring.rows.reasons.matrices import dense

_LOG = ("GammaRegressor", "PoissonRegressor", "TweedieRegressor")
"""Regressors whose prediction may be an exponential of the margin."""
LINEAR = frozenset(
    {
        "ARDRegression",
        "BayesianRidge",
        "ElasticNet",
        "ElasticNetCV",
        "HuberRegressor",
        "Lars",
        "LarsCV",
        "Lasso",
        "LassoCV",
        "LassoLars",
        "LassoLarsCV",
        "LassoLarsIC",
        "LinearDiscriminantAnalysis",
        "LinearRegression",
        "LinearSVR",
        "LogisticRegression",
        "LogisticRegressionCV",
        "OrthogonalMatchingPursuit",
        "OrthogonalMatchingPursuitCV",
        "QuantileRegressor",
        "Ridge",
        "RidgeCV",
        "SGDClassifier",
        "SGDRegressor",
        "TheilSenRegressor",
        *_LOG,
    }
)


class Linear:
    """A linear model. Its base is the margin of a row whose columns have the means of the reference."""

    def __init__(self, model: Any, features: np.ndarray, width: int, means: np.ndarray | None) -> None:
        """Read the coefficients. Without ``means`` columns are compared with 0."""
        self._model, self._features, self._width = model, features, width
        self._coefficients = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
        self._intercepts = np.atleast_1d(np.asarray(model.intercept_, dtype=np.float64))
        self._means = np.zeros(len(features)) if means is None else means
        self._classifies = hasattr(model, "classes_")
        plain = sklearn_name(model) not in _LOG or _is_plain(model)
        self.unit = "log-odds" if self._classifies else "prediction" if plain else "log of the prediction"

    def margins(self, matrix: Any) -> np.ndarray:
        """Return the margin of each output by the model's own code, (rows, outputs)."""
        if self._classifies:
            margins = self._model.decision_function(matrix)
        elif sklearn_name(self._model) in _LOG:
            margins = self._model._linear_predictor(matrix)
        else:
            margins = self._model.predict(matrix)
        return np.asarray(margins).reshape(matrix.shape[0], -1)

    def contributions(self, matrix: Any, output: int) -> tuple[float, np.ndarray]:
        """Return the base of an output, and what each feature adds to it, (rows, features)."""
        from scipy import sparse

        coefficients = self._coefficients[output]
        places = (np.arange(len(self._features)), self._features)
        by_feature = sparse.csr_matrix((coefficients, places), shape=(len(self._features), self._width))
        if not hasattr(matrix, "toarray"):
            matrix = dense(matrix)
        added = matrix @ by_feature
        values = added.toarray() if hasattr(added, "toarray") else np.asarray(added)
        base = float(self._intercepts[output] + coefficients @ self._means)
        return base, values - self._means @ by_feature

    def ended(self, margins: np.ndarray) -> np.ndarray | None:
        """Return the probabilities, (rows, classes), or predictions, (rows,), of margins; None where that is not known."""
        if not self._classifies:
            return margins.ravel() if self.unit == "prediction" else np.exp(margins.ravel())
        if margins.shape[1] > 1 or not sklearn_name(self._model).startswith("LogisticRegression"):
            return None
        chances = 1 / (1 + np.exp(-margins))
        return np.column_stack([1 - chances, chances])


def _is_plain(model: Any) -> bool:
    """Return whether a generalised linear model predicts the margin itself."""
    return bool(model._base_loss.link.inverse(np.full(1, 2.0))[0] == 2.0)
