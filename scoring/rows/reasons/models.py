"""Models whose margin is a sum over their columns: what each adds to it, and the margin itself, by the model's own code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from scoring.rows.decision import sklearn_name
from scoring.rows.reasons.boosters import LIBRARIES, booster_of
from scoring.rows.reasons.forest import Forest
from scoring.rows.reasons.linear import LINEAR, Linear
from scoring.rows.reasons.matrices import dense
from scoring.rows.reasons.nodes import Nodes, boosted_nodes, plain_nodes
from scoring.rows.reasons.unexplained import SUPPORTED, Unexplained


class Model(Protocol):
    """A fitted model without its preprocessing. It holds no state from call to call."""

    unit: str
    """What the margin is counted in."""

    def margins(self, matrix: Any) -> np.ndarray:
        """Return the margin of each output by the model's own code, (rows, outputs)."""

    def contributions(self, matrix: Any, output: int) -> tuple[float | np.ndarray, np.ndarray]:
        """Return the base of an output, for all rows or each, and what each feature adds to it, (rows, features)."""

    def ended(self, margins: np.ndarray) -> np.ndarray | None:
        """Return the probabilities, (rows, classes), or predictions, (rows,), of margins; None where that is not known."""


def model_of(model: Any, features: np.ndarray, width: int, means: np.ndarray | None) -> Model:
    """Return a fitted model with its contributions.

    ``features`` gives the place among ``width`` features that each column of the matrix was made of, ``means`` the mean of
    each column on the reference, which linear models are compared with. Raises ``Unexplained``.
    """
    name = sklearn_name(model)
    if name in _TREES:
        return _TREES[name](model, features, width)
    if name in LINEAR:
        return Linear(model, features, width, means)
    if type(model).__module__.partition(".")[0] in LIBRARIES:
        return booster_of(model, features, width)
    raise Unexplained(f"{type(model).__name__}; supported is {SUPPORTED}")


class _Forests:
    """Outputs that are sums of trees."""

    def __init__(self, trees: list[list[Nodes]], outputs: list[int], features: np.ndarray, width: int) -> None:
        """Build the tables: ``trees`` of each output, and which of their values is the output's."""
        self._forests = [Forest(some, at, features, width) for some, at in zip(trees, outputs, strict=True)]

    def contributions(self, matrix: np.ndarray, output: int) -> tuple[float, np.ndarray]:
        """Return the base of an output, and what each feature adds to it, (rows, features)."""
        forest = self._forests[output]
        return forest.base, forest.contributions(matrix)


class HistBoosting:
    """A histogram gradient boosting model."""

    def __init__(self, model: Any, features: np.ndarray, width: int) -> None:
        """Read the trees."""
        self._model = model
        if model._preprocessor is not None:  # it puts categories first
            features = np.concatenate([features[model.is_categorical_], features[~model.is_categorical_]])
        trees = boosted_nodes(model)
        self._forests = _Forests(trees, [0] * len(trees), features, width)
        self._start = np.asarray(model._baseline_prediction, dtype=np.float64).ravel()
        self.unit = "log-odds" if hasattr(model, "classes_") else _unit_of(model._loss.link)

    def margins(self, matrix: Any) -> np.ndarray:
        """Return the margin of each output by the model's own code, (rows, outputs)."""
        return np.asarray(self._model._raw_predict(matrix))

    def contributions(self, matrix: Any, output: int) -> tuple[float, np.ndarray]:
        """Return the base of an output, and what each feature adds to it, (rows, features)."""
        columns = np.asarray(self._model._preprocess_X(matrix, reset=False), dtype=np.float64)
        base, values = self._forests.contributions(columns, output)
        return base + float(self._start[output]), values

    def ended(self, margins: np.ndarray) -> np.ndarray | None:
        """Return the probabilities, (rows, classes), or predictions, (rows,), of margins."""
        if hasattr(self._model, "classes_"):
            return np.asarray(self._model._loss.predict_proba(margins))
        return np.asarray(self._model._loss.link.inverse(margins.ravel()))


class GradientBoosting:
    """A gradient boosting model of ``sklearn.tree`` trees."""

    def __init__(self, model: Any, features: np.ndarray, width: int) -> None:
        """Read the trees. Raises ``Unexplained`` for one that begins with another model."""
        if model.init is not None and model.init != "zero":
            raise Unexplained(f"{type(model).__name__} whose init is {type(model.init).__name__}")
        self._model = model
        trees = [[plain_nodes(tree.tree_, model.learning_rate) for tree in some] for some in model.estimators_.T]
        self._forests = _Forests(trees, [0] * len(trees), features, width)
        self._start = np.asarray(model._raw_predict_init(np.zeros((1, len(features)), np.float32))).ravel()
        self.unit = "log-odds" if hasattr(model, "classes_") else "prediction"

    def margins(self, matrix: Any) -> np.ndarray:
        """Return the margin of each output by the model's own code, (rows, outputs)."""
        return np.asarray(self._model._raw_predict(_as_float32(matrix)))

    def contributions(self, matrix: Any, output: int) -> tuple[float, np.ndarray]:
        """Return the base of an output, and what each feature adds to it, (rows, features)."""
        base, values = self._forests.contributions(_as_float32(matrix).astype(np.float64), output)
        return base + float(self._start[output]), values

    def ended(self, margins: np.ndarray) -> np.ndarray | None:
        """Return the probabilities, (rows, classes), or predictions, (rows,), of margins."""
        classifies = hasattr(self._model, "classes_")
        if classifies and self._model.loss != "log_loss":
            return None
        return np.asarray(self._model._loss.predict_proba(margins)) if classifies else margins.ravel()


class MeanOfTrees:
    """A tree, or a forest whose trees are averaged: the margin of a classifier is its probability."""

    def __init__(self, model: Any, features: np.ndarray, width: int) -> None:
        """Read the trees."""
        self._model = model
        estimators = getattr(model, "estimators_", [model])
        trees = [plain_nodes(tree.tree_, 1 / len(estimators)) for tree in estimators]
        outputs = trees[0].values.shape[1]
        places = list(range(outputs)) if outputs != 2 else [1]
        self._forests = _Forests([trees] * len(places), places, features, width)
        self.unit = "probability" if hasattr(model, "classes_") else "prediction"

    def margins(self, matrix: Any) -> np.ndarray:
        """Return the margin of each output by the model's own code, (rows, outputs): of two classes that of the second."""
        if not hasattr(self._model, "classes_"):
            return np.asarray(self._model.predict(matrix)).reshape(-1, 1)
        chances = np.asarray(self._model.predict_proba(matrix))
        return chances[:, 1:] if chances.shape[1] == 2 else chances

    def contributions(self, matrix: Any, output: int) -> tuple[float, np.ndarray]:
        """Return the base of an output, and what each feature adds to it, (rows, features)."""
        return self._forests.contributions(_as_float32(matrix).astype(np.float64), output)

    def ended(self, margins: np.ndarray) -> np.ndarray | None:
        """Return the probabilities, (rows, classes), or predictions, (rows,), of margins."""
        if not hasattr(self._model, "classes_"):
            return margins.ravel()
        return np.column_stack([1 - margins, margins]) if margins.shape[1] == 1 else margins


def _unit_of(link: Any) -> str:
    """Return what the margin of a regressor is counted in."""
    return "prediction" if link.inverse(np.full(1, 2.0))[0] == 2.0 else "log of the prediction"


def _as_float32(matrix: Any) -> np.ndarray:
    """Return a matrix as ``sklearn.tree`` compares it with thresholds."""
    return dense(matrix).astype(np.float32)


_TREES: dict[str, Callable[[Any, np.ndarray, int], Model]] = {
    "DecisionTreeClassifier": MeanOfTrees,
    "DecisionTreeRegressor": MeanOfTrees,
    "ExtraTreeClassifier": MeanOfTrees,
    "ExtraTreeRegressor": MeanOfTrees,
    "ExtraTreesClassifier": MeanOfTrees,
    "ExtraTreesRegressor": MeanOfTrees,
    "GradientBoostingClassifier": GradientBoosting,
    "GradientBoostingRegressor": GradientBoosting,
    "HistGradientBoostingClassifier": HistBoosting,
    "HistGradientBoostingRegressor": HistBoosting,
    "RandomForestClassifier": MeanOfTrees,
    "RandomForestRegressor": MeanOfTrees,
}
