"""Rows with dirt in them, and models fitted on these, to hold evaluators against."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from scoring.job.definition import Job
from scoring.rows.prediction import to_frame
from tests.support.jobs import make_job

FEATURES: dict[str, Any] = {
    "size": {"type": "float", "nullable": True},
    "count": {"type": "int", "nullable": True},
    "flag": {"type": "bool", "nullable": True},
    "kind": {"type": "category", "nullable": True},
    "place": {"type": "category", "nullable": True},
    "small": {"type": "float", "nullable": True},
}
ROWS = 700


def job_of(task: str) -> Job:
    label = {"column": "y", "classes": ["a", "b", "c", "d", "e"]} if task == "multiclass" else {"column": "y"}
    return make_job(task=task, features=FEATURES, label=label)


def rows_of(seed: int, rows: int = ROWS) -> pa.RecordBatch:
    random = np.random.default_rng(seed)

    def some(values: np.ndarray, kind: pa.DataType) -> pa.Array:
        return pa.array(values.tolist(), kind, mask=random.random(rows) < 0.1)

    return pa.RecordBatch.from_pydict(
        {
            "id": pa.array(range(rows), pa.int64()),
            "size": some(random.normal(size=rows) * 10.0 ** random.integers(-3, 4), pa.float64()),
            "count": some(random.integers(-5, 40, rows), pa.int64()),
            "flag": some(random.random(rows) < 0.5, pa.bool_()),
            "kind": some(random.choice(list("abcdefg"), rows), pa.string()),
            "place": some(np.array([f"p{number}" for number in random.integers(0, 60, rows)]), pa.string()),
            "small": some(random.choice([0.0, 1e-310, 5e-324, -1e-309, 1e-300], rows), pa.float64()),
        }
    )


def outcome_of(batch: pa.RecordBatch, task: str, seed: int) -> np.ndarray:
    frame = batch.to_pandas()
    number = frame["size"].fillna(0).rank() / ROWS + frame["count"].fillna(3) / 20 + (frame["kind"] > "c") * 0.7
    number = number.to_numpy() + np.random.default_rng(seed).normal(size=len(frame)) * 0.3
    if task == "binary":
        return (number > np.median(number)).astype(int)
    if task == "multiclass":
        return np.array(list("abcde"), dtype=object)[np.argsort(np.argsort(number)) * 5 // len(number)]
    return np.exp(number)


def fitted(pipeline: Any, task: str, seed: int, weights: bool = False) -> tuple[Any, pa.RecordBatch, Job]:
    job, batch = job_of(task), rows_of(seed)
    extra = {}
    if weights:
        extra = {f"{pipeline.steps[-1][0]}__sample_weight": np.random.default_rng(seed).random(batch.num_rows)}
    return pipeline.fit(to_frame(batch, job), outcome_of(batch, task, seed), **extra), batch, job
