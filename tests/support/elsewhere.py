"""Models that were fitted elsewhere: on the toy's events, with no help of Nightshift."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from scoring.interval import Nights
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


def numbers() -> np.ndarray:
    """Return an array of two columns: x without nulls, and the place of the kind."""
    frame = rows_before()
    return np.column_stack([frame.x.fillna(0.0), frame.kind.map({"a": 0, "b": 1, "c": 2})])


def saved(model: Any, path: Path) -> Path:
    """Write a model with joblib and return the path."""
    joblib.dump(model, path)
    return path
