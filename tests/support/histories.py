"""Histories in memory for tests of backtests: a stream of events whose outcome depends on one number, and changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.linear_model import LinearRegression, LogisticRegression

from lifecycle.backtest.history import History
from lifecycle.training import NIGHT
from scoring.job.definition import Job
from scoring.stores import LABEL_COLUMN
from tests.support.toy import FIRST

BEFORE = 14
"""Nights before the first that is lived."""
CHANGE = 24
"""Place of the first night on which the outcome depends on ``x`` the other way."""
SETTINGS: dict[str, Any] = {
    "name": "stream",
    "description": "Made up.",
    "owner": "tests",
    "source": "none",
    "task": "binary",
    "schedule": {"timezone": "UTC", "first_night": FIRST},
    "key": {"id": "int"},
    "label": {"column": "y", "delay_days": 1},
    "pipeline": "tests.support.histories:build_line",
    "features": {"x": {"type": "float"}, "kind": {"type": "float"}},
    "training": {"window_days": BEFORE, "holdout_nights": 7},
    "promotion": {"min_nights": 2},
}


def build_line() -> LogisticRegression:
    """Return an unfitted classifier that can learn the stream."""
    return LogisticRegression(C=1e6, solver="newton-cholesky")


def build_number() -> LinearRegression:
    """Return an unfitted regressor."""
    return LinearRegression()


def stream_job(**changes: Any) -> Job:
    """Return the stream's job with other settings."""
    return Job.model_validate({**SETTINGS, **changes})


def history(
    job: Job, nights: int = 50, rows: int = 150, outcome: Callable[[int, np.ndarray], Any] | None = None
) -> History:
    """Return a stream of nights; ``outcome`` gives the labels of a night from its place and ``x``."""
    random = np.random.default_rng(3)
    parts = []
    for place in range(nights):
        x, noise = random.normal(size=rows), random.normal(size=rows)
        y = (x * (1 if place < CHANGE else -1) + noise > 0) if outcome is None else outcome(place, x)
        ids = np.arange(rows) if job.is_snapshot else place * 1_000 + np.arange(rows)
        columns = {"id": ids, "x": x, "kind": noise * 0.1}
        night = pa.repeat(pa.scalar(day(place), pa.date32()), rows)
        parts.append(pa.table({**columns, NIGHT: night, LABEL_COLUMN: pa.array(y)}))
    return History(job, [day(place) for place in range(nights)], pa.concat_tables(parts), BEFORE, "stream")


def day(place: int) -> date:
    """Return the night at a place."""
    return FIRST + timedelta(days=place)
