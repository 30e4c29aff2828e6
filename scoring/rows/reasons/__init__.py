"""Reasons: what each of the job's columns adds to a prediction, exactly."""

from scoring.rows.reasons.explainer import TOLERANCE, Contributions, Explainer
from scoring.rows.reasons.reason_rows import explained_rows, reason_rows, reasons_schema
from scoring.rows.reasons.unexplained import SUPPORTED, Unexplained

__all__ = [
    "SUPPORTED",
    "TOLERANCE",
    "Contributions",
    "Explainer",
    "Unexplained",
    "explained_rows",
    "reason_rows",
    "reasons_schema",
]
