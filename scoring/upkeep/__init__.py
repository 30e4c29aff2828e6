"""Keeps an installation in order: retention, retired jobs, verification, alerts."""

from scoring.upkeep import retention
from scoring.upkeep.alerts import Alert, Kind, late, send
from scoring.upkeep.retention import apply, plan
from scoring.upkeep.retirement import has_file, retire
from scoring.upkeep.verify import verify

__all__ = ["Alert", "Kind", "apply", "has_file", "late", "plan", "retention", "retire", "send", "verify"]
