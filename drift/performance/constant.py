"""The prediction that needs no features: always the base rate of the training data, or its mean. What a night is beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.performance.metrics import Floats, row_losses
from scoring.job import Job

LEAST_ROWS = 20
"""Rows with an outcome below which a night by itself is not judged: their mean is no normal variable yet."""
CONFIDENCE = 0.99
"""Confidence of a night's interval, so that a version without any skill is an alert on one night in 200."""
_QUANTILE = 2.5758
"""Standard normal quantile that belongs to ``CONFIDENCE``."""


@dataclass(frozen=True)
class Gap:
    """How much a night's loss lies above that of the constant prediction, with its interval over the night's rows."""

    value: float
    low: float
    high: float
    saying: float | None
    """What is always said: the base rate or the mean; None for several classes."""

    @property
    def established(self) -> bool:
        """Return whether the night was worse than the constant with its whole interval."""
        return self.low > 0

    def as_json(self) -> dict[str, float | None]:
        """Return the gap for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "saying": self.saying}


@dataclass(frozen=True)
class Constant:
    """The shares of the outcomes at training, by their text, or the mean of a number."""

    shares: Mapping[str, float]
    mean: float | None

    @classmethod
    def of(cls, reference: pa.Table | None, job: Job) -> Self | None:
        """Return the constant of a version's sample of its training rows, or None without outcomes in it.

        A night's own base rate would be hindsight: nobody could have said it.
        """
        if reference is None or "outcome" not in reference.column_names:
            return None
        outcome = pc.drop_null(reference.column("outcome"))
        if not len(outcome):
            return None
        if not job.task.classifies:
            return cls({}, float(pc.mean(outcome).as_py()))
        counts = {str(pair["values"]): pair["counts"] for pair in pc.value_counts(outcome).to_pylist()}
        share = {name: count / len(outcome) for name, count in counts.items()}
        return cls({"": 0.5 / len(outcome), **share}, share.get("True", 0.0) if job.task.has_positive else None)

    def losses(self, outcome: Any, job: Job) -> Floats:
        """Return what the constant would have lost on each outcome."""
        if not job.task.classifies:
            return np.abs(np.asarray(outcome, dtype=np.float64) - float(self.mean or 0.0))
        encoded = pc.dictionary_encode(pa.chunked_array(outcome).combine_chunks(), null_encoding="encode")
        names = [str(value) for value in encoded.dictionary.to_pylist()]
        of_level = np.array([-np.log(self.shares.get(name, self.shares[""])) for name in names])
        losses: Floats = of_level[encoded.indices.to_numpy()]
        return losses

    def gap(self, predictions: pa.Table, outcome: Any, job: Job) -> Gap | None:
        """Return how a night did beside the constant, or None for too few rows. All rows have an outcome."""
        if predictions.num_rows < LEAST_ROWS:
            return None
        more = row_losses(predictions, outcome, job) - self.losses(outcome, job)
        value, margin = float(more.mean()), _QUANTILE * float(more.std(ddof=1)) / len(more) ** 0.5
        return Gap(value, value - margin, value + margin, self.mean)
