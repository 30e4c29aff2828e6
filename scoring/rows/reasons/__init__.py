"""Reasons: what each of the job's columns adds to a prediction, exactly."""

from scoring.rows.reasons.explainer import Explainer
from scoring.rows.reasons.means import MeanContributions, mean_contributions
from scoring.rows.reasons.reason_rows import explained_rows, reason_rows, reasons_schema
from scoring.rows.reasons.unexplained import SUPPORTED, Unexplained

__all__ = [
    "SUPPORTED",
    "Explainer",
    "MeanContributions",
    "Unexplained",
    "explained_rows",
    "mean_contributions",
    "reason_rows",
    "reasons_schema",
]
