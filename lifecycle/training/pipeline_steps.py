"""Finds the step of a fitted pipeline whose output differs first when its rows come in other calls."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

_TOLERANCE = 1e-9
"""Difference of an output, of its largest number, that the rounding of a matrix product does not explain."""
_INNER = ("best_estimator_", "estimator_", "regressor_", "transformer_")
"""Where wrappers (searches, thresholds, transformed targets, frozen estimators) keep what they fitted."""


def differing_step(pipeline: Any, frame: pd.DataFrame, calls: list[np.ndarray], same_copy: bool = False) -> str:
    """Return the path of the first step that gives a row another output when the rows come in ``calls``, or an empty text.

    ``calls`` are the places of the rows of each call; with ``same_copy`` they follow the first on the same object.
    Best effort: a step that fails, or hides inside an estimator that is not known here, is not found.
    """
    if not calls:
        return ""
    try:
        return _search(pipeline, frame, calls, same_copy)
    except Exception:  # noqa: BLE001 - the refusal stands without a name of a step; it is raised by whoever asks
        return ""


def _search(model: Any, rows: Any, calls: list[np.ndarray], same_copy: bool) -> str:
    """Return the path below ``model`` to what differs first."""
    for name, step in getattr(model, "steps", []):
        if step in (None, "passthrough"):
            continue
        if _differs(step, rows, calls, same_copy):
            return _path(name, step, rows, calls, same_copy)
        if step is not model.steps[-1][1]:
            rows = copy.deepcopy(step).transform(rows)
    for name, part, columns in _parts(model):
        some = rows if columns is None else _columns(rows, columns)
        if _differs(part, some, calls, same_copy):
            return _path(name, part, some, calls, same_copy)
    for inner in _wrapped(model):
        if _differs(inner, rows, calls, same_copy):
            return _search(inner, rows, calls, same_copy) or type(inner).__name__
    return ""


def _wrapped(model: Any) -> Iterator[Any]:
    """Yield the fitted estimators that a wrapper passes its rows on to."""
    yield from (classifier.estimator for classifier in getattr(model, "calibrated_classifiers_", []))
    yield from (inner for name in _INNER if hasattr(inner := getattr(model, name, None), "fit"))
    if type(model).__name__ == "FrozenEstimator":
        yield model.estimator


def _parts(model: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the parts of a column transformer or a union, each with its columns, or None for all."""
    for name, part, columns in getattr(model, "transformers_", []):
        if part not in ("drop", "passthrough"):
            yield name, part, columns
    for name, part in getattr(model, "transformer_list", []):
        if part not in ("drop", "passthrough"):
            yield name, part, None
    names = list(getattr(model, "named_estimators_", {}).items())
    yield from ((name, part, None) for name, part in names)


def _path(name: str, step: Any, rows: Any, calls: list[np.ndarray], same_copy: bool) -> str:
    inner = _search(step, rows, calls, same_copy)
    return f"{name} > {inner}" if inner else f"{name!r} ({_title(step)})"


def _title(step: Any) -> str:
    function = getattr(getattr(step, "func", None), "__name__", "")
    return f"{type(step).__name__} of {function}" if function else type(step).__name__


def _columns(rows: Any, columns: Any) -> Any:
    if isinstance(rows, pd.DataFrame):
        by_place = not isinstance(columns, str) and all(isinstance(column, int | np.integer) for column in columns)
        return rows.iloc[:, columns] if by_place else rows[columns]
    return rows[:, columns]


def _differs(step: Any, rows: Any, calls: list[np.ndarray], same_copy: bool) -> bool:
    """Return whether the step's output of a row depends on the call. A call that fails is a difference."""
    first = copy.deepcopy(step)
    whole = _output(first, rows)
    other = first if same_copy else copy.deepcopy(step)
    places = np.concatenate(calls)
    try:
        parts = [_output(other, _rows_at(rows, some)) for some in calls]
    except Exception:  # noqa: BLE001 - it could take the same rows in one call: this is the difference that is looked for
        return True
    if len(whole) != _length(rows) or any(part.shape[1:] != whole.shape[1:] for part in parts):
        return True
    output = np.concatenate(parts)
    return len(output) != len(places) or not _equal(output, whole[places])


def _output(step: Any, rows: Any) -> np.ndarray:
    """Return what a step gives: transformed columns, or probabilities, or predictions, always as a matrix."""
    for name in ("transform", "predict_proba", "predict"):
        if hasattr(step, name):
            output = getattr(step, name)(rows)
            output = output.toarray() if hasattr(output, "toarray") else np.asarray(output)
            if name == "predict_proba":
                output = np.column_stack([output, _codes(step, rows)])
            return np.asarray(output.reshape(len(output), -1))
    raise TypeError(f"{type(step).__name__} gives nothing")


def _codes(step: Any, rows: Any) -> np.ndarray:
    classes = [str(label) for label in step.classes_]
    return np.array([classes.index(str(label)) for label in step.predict(rows)], dtype=np.float64)


def _rows_at(rows: Any, places: np.ndarray) -> Any:
    return rows.iloc[places].reset_index(drop=True) if hasattr(rows, "iloc") else rows[places]


def _length(rows: Any) -> int:
    return int(rows.shape[0])


def _equal(output: np.ndarray, expected: np.ndarray) -> bool:
    if not {output.dtype.kind, expected.dtype.kind} <= set("biuf"):
        return bool(pd.DataFrame(output).astype(str).equals(pd.DataFrame(expected).astype(str)))
    scale = np.nanmax(np.abs(expected), initial=0.0)
    return bool(np.allclose(output, expected, rtol=0, atol=_TOLERANCE * max(scale, 1e-300), equal_nan=True))
