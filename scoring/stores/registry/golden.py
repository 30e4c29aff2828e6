"""Golden rows: a few rows with their predictions at training, scored again whenever a version is loaded."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scoring.errors import GoldenRowsMismatch
from scoring.job import Job
from scoring.rows import predict
from scoring.stores.registry.facts import TrainingFacts
from scoring.stores.registry.files import readable

GOLDEN_TOLERANCE = 1e-9
LIBRARIES = ("scikit-learn", "numpy", "pandas", "pyarrow", "joblib", "scipy")


def library_versions() -> dict[str, str]:
    """Return the versions of Python and the libraries that a prediction depends on."""
    return {"python": platform.python_version(), **{name: _installed(name) for name in LIBRARIES}}


@lru_cache
def _installed(name: str) -> str:
    """Return the version of a library: a search for it takes 2 ms."""
    return metadata.version(name)


def check_golden_rows(folder: Path, pipeline: Any, facts: TrainingFacts, job: Job, what: str) -> pa.RecordBatch:
    """Return the golden rows. Raises ``GoldenRowsMismatch`` unless they get the predictions of training again, within 1e-9."""
    rows = _rows(folder / "golden.parquet", what)
    unseen = [name for name in job.columns if name not in rows.schema.names]
    if unseen:
        raise GoldenRowsMismatch(
            what,
            found=f"it was trained on columns {rows.schema.names}",
            expected=f"also {unseen}, as the job file has now",
            next_step="train a new version, or take the columns out of the job file",
        )
    expected = _rows(folder / "golden_predictions.parquet", what)
    difference = largest_difference(predict(pipeline, rows, job, facts.rule(job)), expected, job)
    if difference <= GOLDEN_TOLERANCE:
        return rows
    trained, now = facts.library_versions, library_versions()
    changed = [f"{name} {trained.get(name)} → {now[name]}" for name in now if trained.get(name) != now[name]]
    raise GoldenRowsMismatch(
        f"{what}: golden rows",
        found=f"predictions up to {difference:.3g} away from those at training; changed libraries: {changed or 'none'}",
        expected=f"at most {GOLDEN_TOLERANCE:g}",
        next_step="install the versions the model was trained with, or train a new version",
    )


def _rows(path: Path, what: str) -> pa.RecordBatch:
    with readable(path, what):
        return pq.read_table(path).combine_chunks().to_batches()[0]


def largest_difference(predicted: pa.RecordBatch, expected: pa.RecordBatch, job: Job) -> float:
    """Return the largest difference between predicted numbers, or infinity when a predicted class differs."""
    if job.task.classifies and not predicted.column("prediction").equals(expected.column("prediction")):
        return float("inf")
    names = job.number_columns
    gaps = [np.abs(np.asarray(predicted.column(name)) - np.asarray(expected.column(name))) for name in names]
    return float(np.max(gaps)) if predicted.num_rows else 0.0
