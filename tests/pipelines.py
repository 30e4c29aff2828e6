"""Pipelines and estimators that test jobs name in their files; unlike those of a test module they can be unpickled."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
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
