"""Boosters in LightGBM's and XGBoost's own formats, with the methods of a fitted pipeline. Both are optional requirements."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.errors import ArtifactMismatch
from scoring.job import Job
from scoring.stores.registry.formats.classes import classes_for

if TYPE_CHECKING:
    import pandas as pd


class _Booster(ABC):
    """A booster that is asked in one thread."""

    def __init__(self, content: bytes, job: Job | None) -> None:
        """Open the booster of a file's bytes. Raises ``ArtifactMismatch`` where its library is not installed."""
        self._content, self._job = content, job
        self.booster = self._opened(content)
        if job is not None and job.task.classifies:
            self.classes_ = classes_for(job)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Booster:
        """Return a copy with a booster of its own."""
        return type(self)(self._content, self._job)

    @abstractmethod
    def _opened(self, content: bytes) -> Any:
        """Return the library's booster."""

    @abstractmethod
    def _output(self, frame: pd.DataFrame) -> np.ndarray:
        """Return what the booster gives: (rows,) or (rows, classes)."""

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the probability of each class, shape (rows, classes)."""
        values = np.asarray(self._output(frame))
        return np.asarray(values if values.ndim == 2 else np.column_stack([1 - values, values]))

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the most probable class, or the number, of each row, shape (rows,)."""
        if not hasattr(self, "classes_"):
            return np.asarray(self._output(frame), dtype=np.float64)
        places = self.predict_proba(frame).argmax(axis=1)
        return np.array([self.classes_[place] for place in places], dtype=object)


class LightGbmModel(_Booster):
    """A booster in LightGBM's text format."""

    def _opened(self, content: bytes) -> Any:
        return _library("lightgbm").Booster(model_str=content.decode())

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Return the names of the columns that the booster was fitted on."""
        return np.array(self.booster.feature_name(), dtype=object)

    def _output(self, frame: Any) -> np.ndarray:
        if isinstance(frame, np.ndarray):
            return np.asarray(self.booster.predict(frame, num_threads=1))
        names = [name for name in frame.columns if frame[name].dtype.kind == "O"]
        typed = frame.astype(dict.fromkeys(names, "category")) if names else frame
        return np.asarray(self.booster.predict(typed[list(self.feature_names_in_)], num_threads=1))


class XgboostModel(_Booster):
    """A booster in XGBoost's binary JSON format (or JSON)."""

    def _opened(self, content: bytes) -> Any:
        booster = _library("xgboost").Booster({"nthread": 1})
        booster.load_model(bytearray(content))
        return booster

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Return the names of the columns that the booster was fitted on. Raises ``AttributeError`` where it has none."""
        if not self.booster.feature_names:
            raise AttributeError("feature_names_in_")
        return np.array(self.booster.feature_names, dtype=object)

    @property
    def n_features_in_(self) -> int:
        """Return how many columns the booster takes."""
        return int(self.booster.num_features())

    def _output(self, frame: Any) -> np.ndarray:
        rows = frame[list(self.booster.feature_names)] if self.booster.feature_names else np.asarray(frame)
        matrix = _library("xgboost").DMatrix(rows, nthread=1)
        return np.asarray(self.booster.predict(matrix))


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ArtifactMismatch(
            f"a model of {name}",
            found=str(error),
            expected=f"{name}, which is an optional requirement",
            next_step=f"install requirements-{name}.txt",
        ) from error
