"""A small job and made-up nights for the tests of drift."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from drift.verdict.baseline import Past, Reference
from scoring.job.definition import Job
from scoring.rows.bins import Bins, bins_of
from scoring.rows.profile import Profile

FIRST = date(2024, 1, 1)
NUMBER = {"type": "float", "nullable": True}
JOB = Job.model_validate(
    {
        "name": "made_up",
        "description": "Made up.",
        "owner": "tests",
        "source": "none",
        "task": "binary",
        "schedule": {"timezone": "UTC", "first_night": FIRST},
        "key": {"id": "int"},
        "label": {"column": "y"},
        "pipeline": "none:none",
        "features": {
            "x": NUMBER,
            "kind": {"type": "category"},
            "weather": {**NUMBER, "drift": "seasonal"},
            "noted": {**NUMBER, "drift": "ignored"},
        },
    }
)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def rows(seed: int, count: int = 1_000, **changes: Any) -> dict[str, pa.Array]:
    """Return a night's columns, i.i.d. whatever the night, with others in place of some."""
    random = np.random.default_rng([seed, count])
    made = {
        "x": pa.array(random.normal(size=count)),
        "kind": pa.array(random.choice(list("abc"), count, p=[0.6, 0.3, 0.1])),
        "weather": pa.array(random.normal(size=count)),
        "noted": pa.array(random.normal(size=count)),
        "prediction": pa.array(random.random(count)),
    }
    return {name: column for name, column in {**made, **changes}.items() if column is not None}


def known_bins() -> dict[str, Bins]:
    parts = [rows(number) for number in range(10)]
    return bins_of({name: pa.concat_arrays([part[name] for part in parts]) for name in parts[0]})


BINS = known_bins()


def profile(seed: int, count: int = 1_000, **changes: Any) -> Profile:
    return Profile.of(BINS, rows(seed, count, **changes), count)


def reference(nights: int = 30, count: int = 1_000, job: Job = JOB) -> Reference:
    made = {day(number): profile(number, count) for number in range(nights)}
    return Reference(BINS, made, {"x": 0.5, "kind": 0.3, "weather": 0.2}, {}, job)


def past(number: int, verdict: str = "ok", score: float = 0.5, **unusual: bool) -> Past:
    return Past(day(number), profile(number), verdict, score, (), unusual)
