"""Summaries of a chunk's predictions for the publish gate. Summaries of chunks add up to that of the night."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from scoring.job import Job
from scoring.rows.prediction import certainty

ROUNDING = 1e-7
"""Share of the predictions' magnitude below which a difference counts as rounding, since sums of squares are rounded."""


@dataclass(frozen=True)
class Summary:
    """Sums and extremes of predictions, which the publish gate compares with those of the reference."""

    rows: int = 0
    nulls: int = 0
    total: float = 0.0
    squares: float = 0.0
    low: float = float("inf")
    high: float = float("-inf")

    @classmethod
    def of(cls, predictions: pa.RecordBatch | pa.Table, job: Job) -> Self:
        """Return the summary of the number that stands for a prediction, see ``certainty``."""
        nulls = sum(predictions.column(name).null_count for name in job.prediction_columns)
        if predictions.num_rows == 0:
            return cls()
        values = certainty(predictions, job)
        return cls(
            rows=len(values),
            nulls=nulls,
            total=float(values.sum()),
            squares=float(np.square(values).sum()),
            low=float(values.min()),
            high=float(values.max()),
        )

    def __add__(self, other: Summary) -> Summary:
        """Return the summary of both parts together."""
        return Summary(
            self.rows + other.rows,
            self.nulls + other.nulls,
            self.total + other.total,
            self.squares + other.squares,
            min(self.low, other.low),
            max(self.high, other.high),
        )

    @property
    def mean(self) -> float:
        """Return the mean, or NaN of no rows."""
        return self.total / self.rows if self.rows else float("nan")

    @property
    def sd(self) -> float:
        """Return the standard deviation, or NaN of no rows."""
        if not self.rows:
            return float("nan")
        return float(np.sqrt(max(self.squares / self.rows - self.mean**2, 0.0)))

    def as_dict(self) -> dict[str, float]:
        """Return the fields, for JSON. Infinities of an empty summary become null."""
        return {name: value for name, value in asdict(self).items() if np.isfinite(value)}

    @classmethod
    def from_dict(cls, content: Mapping[str, float]) -> Self:
        """Return the summary that ``as_dict`` wrote."""
        return cls(**content)  # type: ignore[arg-type]
