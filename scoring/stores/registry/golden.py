"""Golden rows: a few rows with their predictions at training, scored again whenever a version is loaded."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib import metadata
from typing import Any

import numpy as np
import pyarrow as pa

from scoring.errors import ArtifactMismatch, GoldenRowsMismatch
from scoring.job import Job
from scoring.rows import predict
from scoring.stores.registry.facts import TrainingFacts
from scoring.stores.registry.version import GOLDEN_FILE, GOLDEN_PREDICTIONS_FILE
from scoring.stores.registry.version_files import VersionFiles

GOLDEN_TOLERANCE = 1e-9
LIBRARIES = ("scikit-learn", "numpy", "pandas", "pyarrow", "joblib", "scipy")


def library_versions() -> dict[str, str]:
    """Return the versions of Python and the libraries that a prediction depends on."""
    return {"python": platform.python_version(), **{name: _installed(name) for name in LIBRARIES}}


@lru_cache
def _installed(name: str) -> str:
    """Return the version of a library: a search for it takes 2 ms."""
    return metadata.version(name)


Golden = tuple[pa.RecordBatch, pa.RecordBatch]
"""Golden rows, and what they got at training."""


def golden_rows(files: VersionFiles) -> Golden:
    """Return the golden rows and their predictions at training. Raises ``ArtifactMismatch``."""
    rows, expected = (_batch(files, name) for name in (GOLDEN_FILE, GOLDEN_PREDICTIONS_FILE))
    if rows.num_rows != expected.num_rows:
        raise ArtifactMismatch(
            f"{files.what}: golden rows",
            found=f"{rows.num_rows} rows with {expected.num_rows} predictions",
            expected="a prediction for each",
            next_step="if `nightshift forget` was interrupted, run it again; otherwise restore the files",
        )
    return rows, expected


def _batch(files: VersionFiles, name: str) -> pa.RecordBatch:
    """Return a file's rows in one batch. A version always has golden rows, so none at all means a broken file."""
    batches = files.table(name).combine_chunks().to_batches()
    if batches:
        return batches[0]
    raise ArtifactMismatch(
        f"{files.what}: {name}",
        found="no rows",
        expected="golden rows",
        next_step="restore the file, or train a new version",
    )


def check_golden_rows(golden: Golden, pipeline: Any, facts: TrainingFacts, job: Job, what: str) -> None:
    """Raise ``GoldenRowsMismatch`` unless the golden rows get the predictions of training again, within 1e-9."""
    rows, expected = golden
    difference = largest_difference(predict(pipeline, rows, job, facts.rule(job)), expected, job)
    if difference <= GOLDEN_TOLERANCE:
        return
    trained, now = facts.library_versions, library_versions()
    changed = [f"{name} {trained.get(name)} → {now[name]}" for name in now if trained.get(name) != now[name]]
    raise GoldenRowsMismatch(
        f"{what}: golden rows",
        found=f"predictions up to {difference:.3g} away from those at training; changed libraries: {changed or 'none'}",
        expected=f"at most {GOLDEN_TOLERANCE:g}",
        next_step="install the versions the model was trained with, or train a new version",
    )


def largest_difference(predicted: pa.RecordBatch, expected: pa.RecordBatch, job: Job) -> float:
    """Return the largest difference between predicted numbers, or infinity when a predicted class differs."""
    if job.task.classifies and not predicted.column("prediction").equals(expected.column("prediction")):
        return float("inf")
    names = job.number_columns
    gaps = [np.abs(np.asarray(predicted.column(name)) - np.asarray(expected.column(name))) for name in names]
    return float(np.max(gaps)) if predicted.num_rows else 0.0
