"""A metric as the pages name it: its value, its interval, its unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drift.performance import UNITS
from scoring.job import PRIMARY_METRICS
from scoring.rows import SMALLER_IS_BETTER

NEAREST_TO_ZERO = {"calibration_gap", "bias"}

NEITHER = {
    "base_rate": "share of positives; neither is better",
    "coverage": "nearer to the job's level is better",
    "interval_width": "smaller is better at the same coverage",
}
"""What is to be said of metrics of which neither small nor large values are better."""


@dataclass(frozen=True)
class Metric:
    """One metric with its interval, and how to read it."""

    name: str
    value: float | None
    low: float | None
    high: float | None

    @property
    def words(self) -> str:
        """Return the name as people write it."""
        return self.name.replace("_", " ")

    @property
    def unit(self) -> str:
        """Return the unit, as it stands after the number."""
        unit = UNITS.get(self.name, "")
        return {"0 to 1": "on a scale from 0 to 1", "share": "as a share"}.get(unit, unit)

    @property
    def better(self) -> str:
        """Return which values are better, in words."""
        if self.name in NEAREST_TO_ZERO:
            return "nearer to 0 is better"
        if self.name in NEITHER:
            return NEITHER[self.name]
        return "smaller is better" if self.name in SMALLER_IS_BETTER else "larger is better"


def metrics_of(stored: Mapping[str, Any]) -> list[Metric]:
    """Return the metrics that a performance row keeps, the primary one first. Other entries are left out."""
    metrics = [Metric(name, **interval) for name, interval in stored.items() if isinstance(interval, dict)]
    return sorted(metrics, key=lambda metric: (metric.name not in PRIMARY_METRICS, metric.name))
