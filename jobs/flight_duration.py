"""The pipeline behind ``flight_duration``."""

from __future__ import annotations

from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline

from jobs.flights import BOOSTING, coded


def build_pipeline() -> Pipeline:
    """Return an unfitted pipeline of category codes and gradient boosting."""
    return coded(HistGradientBoostingRegressor(**BOOSTING))
