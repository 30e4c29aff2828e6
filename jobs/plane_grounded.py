"""The pipeline behind ``plane_grounded``."""

from __future__ import annotations

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline

from jobs.flights import BOOSTING, coded


def build_pipeline() -> Pipeline:
    """Return an unfitted pipeline of category codes and gradient boosting."""
    return coded(HistGradientBoostingClassifier(**BOOSTING))
