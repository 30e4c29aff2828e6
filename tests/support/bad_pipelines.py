"""Pipelines with a fault each, for ``check`` to find; none of them is in use."""

from __future__ import annotations

import os
import signal
import sys
import time
from threading import Lock
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, TargetEncoder

COLUMNS = {"kind": OneHotEncoder(handle_unknown="ignore")}


def columns(encoder: Any = None) -> Any:
    """Return what makes numbers of the toy job's columns."""
    encoder = encoder or OneHotEncoder(handle_unknown="ignore")
    return make_column_transformer((encoder, ["kind"]), (SimpleImputer(), ["x"]))


def module_lambda() -> Pipeline:
    return make_pipeline(columns(), FunctionTransformer(lambda values: values * 2), LogisticRegression())


def closure() -> Pipeline:
    factor = 2

    def scaled(values: np.ndarray) -> np.ndarray:
        return values * factor

    return make_pipeline(columns(), FunctionTransformer(scaled), LogisticRegression())


def local_class() -> Any:
    class Local(LogisticRegression):
        pass

    return make_pipeline(columns(), Local())


class Locked(LogisticRegression):
    """Keeps a lock."""

    def fit(self, *given: Any) -> Locked:
        super().fit(*given)
        self.lock_ = Lock()
        return self


def keeps_a_lock() -> Pipeline:
    return make_pipeline(columns(), Locked())


def no_probabilities() -> Pipeline:
    return make_pipeline(columns(), SGDClassifier())


def frame() -> pd.DataFrame:
    return pd.DataFrame({"x": [1]})


def nothing() -> None:
    make_pipeline(columns(), LogisticRegression())


def a_class() -> type:
    return LogisticRegression


def regressor() -> Pipeline:
    return make_pipeline(columns(), Ridge())


def unencoded() -> Pipeline:
    return make_pipeline(SimpleImputer(strategy="most_frequent"), LogisticRegression())


def dummies() -> Pipeline:
    return make_pipeline(FunctionTransformer(pd.get_dummies), HistGradientBoostingClassifier(max_iter=5))


def without_nulls(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[["x"]].dropna()


def drops_rows() -> Pipeline:
    return make_pipeline(FunctionTransformer(without_nulls), LogisticRegression())


class DropsAtPredict(ClassifierMixin, BaseEstimator):
    """Forgets rows with a null when it predicts."""

    def fit(self, rows: pd.DataFrame, target: np.ndarray) -> DropsAtPredict:
        self.classes_ = np.unique(target)
        return self

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        return np.full((len(rows.dropna()), 2), 0.5)

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]


def drops_at_predict() -> DropsAtPredict:
    return DropsAtPredict()


def strict_encoder() -> Pipeline:
    return make_pipeline(columns(OneHotEncoder()), LogisticRegression())


def no_nulls() -> Pipeline:
    encoder = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(make_column_transformer((encoder, ["kind"]), remainder="passthrough"), LogisticRegression())


def other_columns() -> Pipeline:
    return make_pipeline(make_column_transformer((SimpleImputer(), ["amount"])), LogisticRegression())


def own_error(rows: pd.DataFrame) -> pd.DataFrame:
    raise ValueError("amounts are in the wrong currency")


def raises_in_a_step() -> Pipeline:
    return Pipeline([("currency", FunctionTransformer(own_error)), ("model", LogisticRegression())])


def raises() -> Pipeline:
    raise RuntimeError("no licence")


def needs_arguments(depth: int) -> Pipeline:
    return make_pipeline(columns(), LogisticRegression(C=depth))


def exits() -> Pipeline:
    sys.exit(3)


def leaves() -> Pipeline:
    os._exit(7)


def hangs() -> Pipeline:
    print("waiting")
    if os.fork() == 0:
        time.sleep(600)
    time.sleep(600)
    return regressor()


def crashes() -> Pipeline:
    os.kill(os.getpid(), signal.SIGSEGV)
    return regressor()


def forks() -> Pipeline:
    os.fork()
    return make_pipeline(columns(), LogisticRegression())


SHARED = make_pipeline(columns(), LogisticRegression())


def shared() -> Pipeline:
    return SHARED


def shares_a_step() -> Pipeline:
    return make_pipeline(columns(), SHARED[-1])


class Forgets(LogisticRegression):
    """Keeps what it learnt where no file has it."""

    learnt: ClassVar[dict[str, float]] = {}

    def fit(self, rows: np.ndarray, target: np.ndarray) -> Forgets:
        Forgets.learnt["sign"] = -1.0
        return super().fit(rows, target)

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        return super().predict_proba(rows * Forgets.learnt.get("sign", 1.0))


def forgets() -> Pipeline:
    return make_pipeline(columns(), Forgets())


def search_of_failures() -> GridSearchCV:
    return GridSearchCV(unencoded(), {"logisticregression__C": [0.1, 1.0]}, cv=2)


not_a_function = make_pipeline(columns(), LogisticRegression())


# ---------------------------------------------------------------- without a fault


def needs_many_rows() -> Pipeline:
    return make_pipeline(columns(), KNeighborsClassifier(1_000))


def prints() -> Pipeline:
    print("hello")
    print("hello", file=sys.stderr)
    return make_pipeline(columns(), LogisticRegression())


def target_encoder() -> Pipeline:
    return make_pipeline(columns(TargetEncoder(cv=10)), LogisticRegression())


def search() -> GridSearchCV:
    pipeline = make_pipeline(columns(), LogisticRegression())
    return GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=10)
