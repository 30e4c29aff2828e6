"""A model in ONNX, computed by onnxruntime in one thread. onnxruntime is an optional requirement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scoring.errors import ArtifactMismatch, PredictionError
from scoring.job import Job
from scoring.stores.registry.formats.classes import classes_for, labels_of

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


class OnnxModel:
    """An ONNX model with the methods of a fitted pipeline. A category that is null is the empty text."""

    def __init__(self, content: bytes, job: Job | None) -> None:
        """Open the model of a file's bytes. Raises ``ArtifactMismatch`` where onnxruntime is not installed."""
        self._content, self._session = content, _session(content)
        self.inputs = {entry.name: entry for entry in self._session.get_inputs()}
        if job is not None and job.task.classifies:
            self.classes_ = classes_for(job)

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxModel:
        """Return a copy with a session of its own."""
        copied = object.__new__(OnnxModel)
        copied.__dict__.update(self.__dict__)
        copied._session = _session(self._content)
        return copied

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Return the columns of a model with an input for each. Raises ``AttributeError`` for one with a matrix."""
        if self.takes_matrix:
            raise AttributeError("feature_names_in_")
        return np.array(list(self.inputs), dtype=object)

    @property
    def takes_matrix(self) -> bool:
        """Return whether the model's only input is a matrix of all columns."""
        shapes = [entry.shape for entry in self.inputs.values()]
        return len(shapes) == 1 and len(shapes[0]) == 2 and shapes[0][1] != 1

    @property
    def n_features_in_(self) -> int | None:
        """Return how many columns the model takes, or None for a matrix whose width is open."""
        width = next(iter(self.inputs.values())).shape[1] if self.takes_matrix else len(self.inputs)
        return width if isinstance(width, int) else None

    def predict(self, frame: pd.DataFrame | np.ndarray) -> np.ndarray:
        """Return the labels of a classifier, or the numbers of any other model, shape (rows,)."""
        outputs = self._run(frame)
        if hasattr(self, "classes_"):
            return labels_of(outputs[0], self.classes_)
        return np.asarray(outputs[-1], dtype=np.float64).reshape(len(frame))

    def predict_proba(self, frame: pd.DataFrame | np.ndarray) -> np.ndarray:
        """Return the probability of each class, shape (rows, classes), as exact as the model computes: mostly 32 bits."""
        last = self._run(frame)[-1]
        if isinstance(last, list):  # one mapping a row, which skl2onnx calls ZipMap
            by_name = [{str(name): chance for name, chance in row.items()} for row in last]
            return np.array([[row[str(name)] for name in self.classes_] for row in by_name], dtype=np.float32)
        return np.asarray(last)

    def _run(self, frame: pd.DataFrame | np.ndarray) -> list[Any]:
        if self.takes_matrix:
            ((name, entry),) = self.inputs.items()
            feeds: dict[str, Any] = {name: np.asarray(frame).astype(_DTYPES[entry.type])}
        else:
            feeds = {name: _column(frame, name, entry.type) for name, entry in self.inputs.items()}
        return list(self._session.run(None, feeds))


def _column(frame: Any, name: str, kind: str) -> np.ndarray:
    values = frame[name].to_numpy()
    if kind == "tensor(string)":
        values = np.array([value if isinstance(value, str) else "" for value in values], dtype=object)
    if kind not in _DTYPES:
        raise PredictionError(f"input {name} of an ONNX model", found=kind, expected=f"one of {sorted(_DTYPES)}")
    return np.asarray(values.astype(_DTYPES[kind]).reshape(-1, 1))


def _session(content: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ArtifactMismatch(
            "a model in ONNX",
            found=str(error),
            expected="onnxruntime, which is an optional requirement",
            next_step="install requirements-onnx.txt",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises errors of several types of its own
        raise ArtifactMismatch(
            "a model in ONNX", found=" ".join(str(error).split()), expected="a whole file"
        ) from error
