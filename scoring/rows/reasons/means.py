"""Mean contributions of many rows: what two sets of rows differ in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from scoring.job import Job
from scoring.rows.reasons.explainer import Explainer


@dataclass(frozen=True)
class MeanContributions:
    """The mean margin of some rows by what it is the sum of: base + sum(by_feature)."""

    rows: int
    base: float
    by_feature: dict[str, float]


def mean_contributions(
    explainer: Explainer,
    pipeline: Any,
    batch: pa.RecordBatch | pa.Table,
    predictions: pa.RecordBatch | pa.Table,
    job: Job,
) -> MeanContributions:
    """Return the mean of the contributions to the predictions of a batch, which has rows."""
    result = explainer.contributions(pipeline, batch, predictions)
    means = dict(zip(job.features, result.values.mean(axis=0).tolist(), strict=True))
    return MeanContributions(batch.num_rows, float(result.base.mean()), means)
