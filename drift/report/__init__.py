"""The drift report of a night, for people: Evidently's page and how it is written."""

from drift.report.evidently_page import evidently_page
from drift.report.harmless import harmless
from drift.report.night_report import prune_reports, sample_sides, write_report, write_report_of_alert
from drift.report.reporter import Reporter, reported, runs_to_report

__all__ = [
    "Reporter",
    "evidently_page",
    "harmless",
    "prune_reports",
    "reported",
    "runs_to_report",
    "sample_sides",
    "write_report",
    "write_report_of_alert",
]
