"""Jobs, rows and pipelines for tests of reasons: categories and numbers with nulls, and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from scoring.job import Job

ROWS = 600
NUMBERS = ["a", "b", "c"]


def job_of(task: str) -> Job:
    """Return a job of two categories and three numbers with nulls."""
    features: dict[str, Any] = {name: {"type": "category", "nullable": True} for name in ("kind", "place")}
    features |= {name: {"type": "float", "nullable": True} for name in NUMBERS}
    label = {"column": "y"} | ({"classes": ["low", "middle", "high"]} if task == "multiclass" else {})
    content = {
        "name": "reasons",
        "description": "Reasons.",
        "owner": "tests",
        "schedule": {"timezone": "UTC", "first_night": "2024-01-01"},
        "source": "toy",
        "key": {"id": "int"},
        "features": features,
        "task": task,
        "label": label,
        "pipeline": "jobs.reasons:build",
    }
    return Job.model_validate(content)


def rows_of(seed: int, rows: int = ROWS) -> pa.RecordBatch:
    """Return rows with nulls, categories of which some come once."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {"id": pa.array(range(rows))}
    for name, levels in (("kind", 5), ("place", 40)):
        values = [f"{name}{random.integers(levels)}" if random.random() > 0.1 else None for _ in range(rows)]
        columns[name] = pa.array(values, pa.string())
    for name in NUMBERS:
        numbers = random.normal(size=rows).round(2)
        columns[name] = pa.array(numbers, pa.float64(), mask=random.random(rows) < 0.1)
    return pa.RecordBatch.from_pydict(columns)


def target_of(batch: pa.RecordBatch, task: str) -> np.ndarray:
    """Return outcomes that depend on all columns."""
    frame = batch.to_pandas()
    score = frame["a"].fillna(0) + frame["b"].fillna(1) * frame["c"].fillna(0) + (frame["kind"] == "kind1") * 2.0
    score = (score + frame["place"].isin(["place1", "place7", "place30"]) * 1.5).to_numpy()
    score = score + np.random.default_rng(7).normal(size=len(score))
    if task == "regression":
        return np.asarray(score)
    cut = np.digitize(score, [-0.5, 1.5]) if task == "multiclass" else (score > 0.5).astype(int)
    return np.array(["low", "middle", "high"])[cut] if task == "multiclass" else cut.astype(bool)


def coded(model: Any) -> Any:
    """Return a pipeline of category codes behind numbers, so that columns change their places."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    return make_pipeline(make_column_transformer(("passthrough", NUMBERS), (codes, ["place", "kind"])), model)


def hot(model: Any, sparse: bool = False) -> Any:
    """Return a pipeline of one-hot columns, and scaled, imputed numbers with flags of nulls, in a pipeline in a pipeline."""
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    columns = make_column_transformer(
        (numbers, ["c", "a", "b"]),
        (OneHotEncoder(handle_unknown="ignore", min_frequency=5, sparse_output=sparse), ["kind", "place"]),
    )
    return make_pipeline(make_pipeline(columns), model)
