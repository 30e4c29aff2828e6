"""Models that were fitted elsewhere: on the toy's events, with no help of Nightshift."""

from __future__ import annotations

import importlib
import os
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from lifecycle.registration import Opened, Registered, RegistrationRequest, model_file, register, seen_until
from scoring.interval import Nights
from scoring.stores.registry import opened
from tests.conftest import Toy
from tests.support.toy import FIRST, UNTIL, build_pipeline, events


@cache
def rows_before(until: date = UNTIL, rows: int = 200) -> pd.DataFrame:
    """Return the toy's events of the nights before ``until``, as somebody's own query would give them."""
    frames = [events(night, rows) for night in Nights(FIRST, until)]
    return pd.concat(frames, ignore_index=True)


def fitted(pipeline: Any | None = None, columns: list[str] | None = None, until: date = UNTIL) -> Any:
    """Return a pipeline fitted on the toy's events."""
    frame = rows_before(until)
    return (build_pipeline() if pipeline is None else pipeline).fit(
        frame[columns or ["x", "kind"]], frame.y.astype(int)
    )


def registered(toy: Toy, path: Path | str, **said: Any) -> Registered:
    """Register a file of which all is trusted, opened in this process only, which saves two seconds."""
    file, allowed = model_file(toy.stores, str(path)), said.pop("allowed", ())
    model = Opened(file, opened(file.form, file.content, toy.job, allowed, None), tuple(allowed))
    request = RegistrationRequest(said.pop("until", UNTIL), **said)
    return register(toy.work, model, request, seen_until(toy.work, request.trained_until))


def numbers() -> np.ndarray:
    """Return an array of two columns: x without nulls, and the place of the kind."""
    frame = rows_before()
    return np.column_stack([frame.x.fillna(0.0), frame.kind.map({"a": 0, "b": 1, "c": 2})])


def saved(model: Any, path: Path) -> Path:
    """Write a model with joblib and return the path."""
    joblib.dump(model, path)
    return path


class SelectX(BaseEstimator, TransformerMixin):
    """Takes x by its name and fills its nulls."""

    def fit(self, X: Any, y: Any = None) -> SelectX:
        """Learn nothing."""
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return x, shape (rows, 1)."""
        return X[["x"]].fillna(0.0).to_numpy()


class Twice:
    """Gives two rows for each."""

    classes_ = np.array([0, 1])

    def predict(self, frame: Any) -> np.ndarray:
        """Return too many classes."""
        return np.zeros(2 * len(frame))

    def predict_proba(self, frame: Any) -> np.ndarray:
        """Return too many probabilities."""
        return np.full((2 * len(frame), 2), 0.5)


class Centred:
    """Says something else of a row when other rows stand beside it."""

    classes_ = np.array([0, 1])

    def predict(self, frame: Any) -> np.ndarray:
        """Return the most probable class."""
        return self.predict_proba(frame).argmax(axis=1)

    def predict_proba(self, frame: Any) -> np.ndarray:
        """Return probabilities around the mean of the rows."""
        x = frame.x.fillna(0.0).to_numpy()
        chance = 1 / (1 + np.exp(x.mean() - x))
        return np.column_stack([1 - chance, chance])


class Ends:
    """Ends the process that unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what runs when it is unpickled."""
        return os._exit, (7,)


class Missing:
    """Needs a module that is not there."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what runs when it is unpickled."""
        return importlib.import_module, ("nowhere",)


def build_lightgbm() -> Any:
    """Return an unfitted pipeline of LightGBM."""
    from lightgbm import LGBMClassifier

    return boosted(LGBMClassifier(n_estimators=10, n_jobs=1, verbose=-1))


def build_xgboost() -> Any:
    """Return an unfitted pipeline of XGBoost."""
    from xgboost import XGBClassifier

    return boosted(XGBClassifier(n_estimators=10, n_jobs=1))


def build_catboost() -> Any:
    """Return an unfitted pipeline of CatBoost."""
    from catboost import CatBoostClassifier

    return boosted(CatBoostClassifier(iterations=10, thread_count=1, verbose=False, allow_writing_files=False))


def boosted(model: Any) -> Any:
    """Return a pipeline whose last step gets the kind in columns of its own, and nulls of x as they are."""
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = make_column_transformer((encoder, ["kind"]), ("passthrough", ["x"]), verbose_feature_names_out=False)
    return make_pipeline(columns.set_output(transform="pandas"), model)
