"""Pipelines and estimators that test jobs name in their files; unlike those of a test module they can be unpickled."""

from __future__ import annotations

import os
import time
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier


class Spy(ClassifierMixin, BaseEstimator):
    """Remembers the first and last moment and the number of rows that it was fitted on; says a half of everything."""

    def fit(self, frame: pd.DataFrame, target: np.ndarray) -> Self:
        self.classes_ = np.unique(target)
        self.first_, self.last_, self.rows_ = frame["at"].min(), frame["at"].max(), len(frame)
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        return self.classes_[self.predict_proba(frame).argmax(axis=1)]

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        return np.full((len(frame), len(self.classes_)), 1 / len(self.classes_))


def build_spy() -> Spy:
    return Spy()


def build_classifier() -> Pipeline:
    """Return a classifier of numbers only, two classes or more."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def build_regressor() -> Pipeline:
    """Return a regressor of numbers only."""
    return make_pipeline(StandardScaler(), Ridge())


def build_boosted() -> Pipeline:
    """Return a classifier of the toy job's columns, boosted trees on codes."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = make_column_transformer((codes, ["kind"]), remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingClassifier(max_iter=20, early_stopping=False))


def build_bayes() -> Pipeline:
    """Return a classifier of the toy job's columns whose predictions have no exact reasons."""
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["kind"]), (SimpleImputer(), ["x"])
    )
    return make_pipeline(columns, GaussianNB())


def build_linear() -> Pipeline:
    """Return a regressor of the toy job's columns."""
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["kind"]), (SimpleImputer(), ["x"]))
    return make_pipeline(columns, Ridge())


def hours(frame: pd.DataFrame) -> np.ndarray:
    """Return the hour of the day of each datetime column, shape (rows, columns)."""
    return np.column_stack([frame[name].dt.hour.to_numpy(dtype=np.float64) for name in frame])


def build_of_every_type() -> Pipeline:
    """Return a classifier of a bool, an int with nulls, a category with nulls and a datetime with nulls."""
    numbers = ["flag", "count"]
    columns = make_column_transformer(
        (SimpleImputer(strategy="constant", fill_value=-1), numbers),
        (OneHotEncoder(handle_unknown="ignore"), ["kind"]),
        (make_pipeline(FunctionTransformer(hours), SimpleImputer(strategy="constant", fill_value=-1)), ["seen_at"]),
    )
    return make_pipeline(columns, StandardScaler(), LogisticRegression())


def build_memory() -> Pipeline:
    """Return a classifier of the toy job's columns that remembers every row it saw."""
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["kind"]), (SimpleImputer(), ["x"]))
    return make_pipeline(columns, DecisionTreeClassifier(random_state=0))


def build_constant() -> Any:
    """Return what is no pipeline."""
    return 7


def build_of_any_names() -> Pipeline:
    """Return a classifier that takes every number and every category, whatever they are called."""
    numbers, kinds = make_column_selector(dtype_include=np.number), make_column_selector(dtype_include=object)
    columns = make_column_transformer(
        (SimpleImputer(), numbers), (OneHotEncoder(handle_unknown="ignore", max_categories=3), kinds)
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1000))


class OfTheBatch(TransformerMixin, BaseEstimator):
    """Looks at the whole batch in transform, in one of the ways of people who tried it on one frame only."""

    def __init__(self, way: str = "mean") -> None:
        self.way = way

    def fit(self, frame: pd.DataFrame, target: Any = None) -> Self:
        self.mean_ = frame.mean()
        return self

    def transform(self, frame: pd.DataFrame) -> Any:
        filled = frame.fillna(self.mean_)
        return getattr(self, f"_{self.way}")(filled, frame)

    def _mean(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        return filled - filled.mean()

    def _slightly(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        return filled + 1e-7 * filled.mean()

    def _rank(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        return filled.rank(pct=True)

    def _fillna(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        return frame.fillna(frame.mean()).fillna(0)

    def _shift(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        return filled.shift(1).fillna(0)

    def _length(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        return filled / len(filled)

    def _noise(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        return filled + np.random.normal(size=filled.shape)

    def _seeded_noise(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        return filled + np.random.default_rng(0).normal(size=filled.shape)

    def _sorted(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        return filled.sort_values(list(filled.columns)).to_numpy()

    def _calls(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        self.calls_ = getattr(self, "calls_", 0) + 1
        return filled + self.calls_

    def _running(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        self.mean_ = 0.9 * self.mean_ + 0.1 * filled.mean()
        return filled - self.mean_

    def _on_self(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        """Of no other row, but two threads may not share it."""
        self.rows_ = filled.to_numpy()
        time.sleep(0.002)
        return self.rows_ * 2

    def _on_class(self, filled: pd.DataFrame, frame: pd.DataFrame) -> Any:
        """Two threads may not use it at all, whatever copies they have."""
        OfTheBatch.rows = filled.to_numpy()
        return OfTheBatch.rows * 2


class MedianDecision(LogisticRegression):
    """Decides against the batch's median; its probabilities are of no other row."""

    def predict(self, frame: Any) -> np.ndarray:
        chances = self.predict_proba(frame)[:, 1]
        return self.classes_[(chances > np.median(chances)).astype(int)]


class Cautious(LogisticRegression):
    """Decides in a way of its own: true only where nothing speaks against it."""

    def predict(self, frame: Any) -> np.ndarray:
        rows = frame.toarray() if hasattr(frame, "toarray") else np.asarray(frame)
        return self.classes_[((self.predict_proba(frame)[:, 1] > 0.2) & (rows[:, -1] < 1)).astype(int)]


def of_the_batch(way: str) -> Pipeline:
    """Return a classifier of the toy job's columns that looks at the whole batch in one way."""
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["kind"]), (OfTheBatch(way), ["x"]))
    return make_pipeline(columns, LogisticRegression())


def build_batch_mean() -> Pipeline:
    return of_the_batch("mean")


def build_on_self() -> Pipeline:
    return of_the_batch("on_self")


def decided_by(model: Any) -> Pipeline:
    """Return a pipeline of the toy job's columns that ends with ``model``."""
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["kind"]), (SimpleImputer(), ["x"]))
    return make_pipeline(columns, model)


def build_fixed_threshold() -> Pipeline:
    return decided_by(FixedThresholdClassifier(LogisticRegression(), threshold=0.3))


def build_cautious() -> Pipeline:
    return decided_by(Cautious())


def build_forest() -> Pipeline:
    """Return a forest that works in two threads, with leaves of many rows: its sums have rounding errors."""
    return decided_by(RandomForestClassifier(20, min_samples_leaf=7, n_jobs=2, random_state=0))


def build_of_any_type() -> Pipeline:
    """Return a classifier of any numbers, bools and categories."""
    numbers = make_column_selector(dtype_exclude=[object, "datetimetz"])
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_include=object)),
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=10_000))


class Upgraded(RegressorMixin, BaseEstimator):
    """Says the number x, and one more where an upgrade is pretended by a variable that workers do not get."""

    def fit(self, frame: pd.DataFrame, target: np.ndarray) -> Self:
        self.n_features_in_ = frame.shape[1]
        return self

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        return frame["x"].fillna(0).to_numpy() + ("NIGHTSHIFT_TOY_UPGRADE" in os.environ)


class Superstitious(Upgraded):
    """Fails on a number."""

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        if (frame["x"] == 13.0).any():
            raise ValueError("13")
        return super().predict(frame)


def build_superstitious() -> Superstitious:
    return Superstitious()


class UpgradedArray:
    """Fitted on an array of two columns, and says something else after an upgrade, as ``Upgraded`` does."""

    n_features_in_ = 2

    def predict(self, rows: Any) -> Any:
        """Return the second column less a bit of the first."""
        return rows[:, 1] - rows[:, 0] / 1000 + ("NIGHTSHIFT_TOY_UPGRADE" in os.environ)


def build_upgraded() -> Upgraded:
    return Upgraded()


def build_imputed() -> Pipeline:
    """Return a classifier of the toy job's columns, linear on numbers without gaps."""
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["kind"]), (SimpleImputer(), ["x"]))
    return make_pipeline(columns, LogisticRegression())
