"""A model that takes its columns in an order of its own, by their names or by their places in an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_OTHERS = ("predict_proba", "score_samples", "decision_function", "transform")


class ByPlace:
    """A model, and the columns that it takes in its own order: a frame if it knows their names, else an array."""

    def __init__(self, model: Any, inputs: list[str]) -> None:
        """Wrap a model whose n-th column is the n-th of ``inputs``."""
        self.model, self.inputs = model, inputs

    @property
    def classes_(self) -> Any:
        """Return the classes that the model was fitted on."""
        return self.model.classes_

    def predict(self, frame: pd.DataFrame) -> Any:
        """Return what the model predicts."""
        return self.model.predict(self.nightshift_given(frame))

    def __getattr__(self, name: str) -> Any:
        """Return one of the model's other methods that take rows, where the model has it."""
        if name not in _OTHERS:
            raise AttributeError(name)
        method = getattr(self.__dict__["model"], name)
        return lambda frame: method(self.nightshift_given(frame))

    def nightshift_given(self, frame: pd.DataFrame) -> Any:
        """Return what the model is given of a frame of the job's features."""
        columns = frame[self.inputs]
        return columns if names_of(self.model) is not None else np.asarray(columns.to_numpy())


def names_of(model: Any) -> list[str] | None:
    """Return the names of the columns that a model was fitted on, or None if it knows none."""
    try:
        names = [str(name) for name in model.feature_names_in_]
    except Exception:  # noqa: BLE001 - a model of one's own may raise anything: it has no names then
        return None
    made_up = all(name == f"Column_{place}" for place, name in enumerate(names))  # LightGBM's, for an array
    return None if made_up else names
