"""Keeps an installation in order: retention, retired jobs, verification, alerts, metrics."""

from scoring.upkeep import retention
from scoring.upkeep.alerts import Alert, Kind, send
from scoring.upkeep.lateness import Lateness, late, lateness_of
from scoring.upkeep.measurements import measure_jobs
from scoring.upkeep.retention import apply, plan
from scoring.upkeep.retirement import has_file, retire
from scoring.upkeep.verify import verify

__all__ = [
    "Alert",
    "Kind",
    "Lateness",
    "apply",
    "has_file",
    "late",
    "lateness_of",
    "measure_jobs",
    "plan",
    "retention",
    "retire",
    "send",
    "verify",
]
