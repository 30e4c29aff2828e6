"""The reasons of a registered version's predictions: its explainer, made once for the threads of a process."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock

import pyarrow as pa

from scoring.errors import PredictionError
from scoring.job import Job
from scoring.rows.reasons import (
    SUPPORTED,
    Explainer,
    MeanContributions,
    Unexplained,
    explained_rows,
    mean_contributions,
    reason_rows,
)
from scoring.stores.registry.declaration import narrowed
from scoring.stores.registry.registry import Registry
from scoring.stores.registry.version import REFERENCE_FILE, VersionRef

REASONS_FILE = "reasons.json"
"""The mean contributions on the reference, of a version that was trained by a job with reasons."""
_KEPT = 4
"""Explainers that stay made."""
_LOCK = Lock()


class VersionReasons:
    """The reasons of a version's predictions. Several threads may use it at once: each loads the version for itself."""

    def __init__(self, registry: Registry, ref: VersionRef, job: Job) -> None:
        """Load the version and make its explainer, unless there is one. Raises ``PredictionError`` if it cannot have one."""
        self._registry, self._ref, self._whole = registry, ref, job
        self._job = narrowed(job, registry.load(ref, job).features)
        with _LOCK:
            self.explainer = _explainer(registry, ref, job.model_dump_json())

    def asked_for(self, batch: pa.RecordBatch, predictions: pa.RecordBatch) -> pa.RecordBatch:
        """Return the reasons that the job asks for: of the rows whose predictions meet its condition."""
        return explained_rows(self.explainer, self._pipeline, batch, predictions, self._job)

    def of(self, batch: pa.RecordBatch, predictions: pa.RecordBatch, top: int) -> pa.RecordBatch:
        """Return the ``top`` reasons of every row: key, rank, feature, value as text, contribution."""
        return reason_rows(self.explainer, self._pipeline, batch, predictions, self._job, top)

    def means(self, rows: pa.RecordBatch | pa.Table, predictions: pa.RecordBatch | pa.Table) -> MeanContributions:
        """Return the mean of the contributions to some predictions."""
        return mean_contributions(self.explainer, self._pipeline, rows, predictions, self._job)

    def reference(self) -> MeanContributions:
        """Return the mean of the contributions on the version's reference, as it was stored, or computed anew."""
        stored = self._registry.content(self._ref, REASONS_FILE)
        if stored and set(stored["by_feature"]) == set(self._job.features):
            return MeanContributions(**stored)
        reference = self._registry.table(self._ref, REFERENCE_FILE)
        if reference is None:
            raise no_reasons(f"model version {self._ref.version}", Unexplained("a version without a reference sample"))
        batch = next(iter(reference.select(self._job.columns).combine_chunks().to_batches()))
        version = self._registry.load(self._ref, self._whole)
        return self.means(batch, version.predict(batch, self._job))

    @property
    def _pipeline(self) -> object:
        return self._registry.load(self._ref, self._whole).pipeline


@lru_cache(_KEPT)
def _explainer(registry: Registry, ref: VersionRef, job_json: str) -> Explainer:
    job = Job.model_validate_json(job_json)
    version = registry.load(ref, job)
    if version.elsewhere:
        raise PredictionError(
            f"reasons of model version {ref.version} of {ref.job}",
            found=f"a pipeline that only its own libraries open: {version.scored_by}",
            expected="one that is opened here, whose trees or coefficients can be read",
            next_step="train a new version with today's libraries, or take `reasons` out of the job file until there is one",
        )
    try:
        return Explainer(version.pipeline, narrowed(job, version.features), registry.table(ref, REFERENCE_FILE))
    except Unexplained as error:
        raise no_reasons(f"model version {ref.version} of {ref.job}", error) from error


def no_reasons(what: str, error: Unexplained) -> PredictionError:
    """Return the error about a pipeline whose predictions have no exact reasons."""
    return PredictionError(
        f"reasons of {what}", found=str(error), expected=SUPPORTED, next_step="take `reasons` out of the job file"
    )
