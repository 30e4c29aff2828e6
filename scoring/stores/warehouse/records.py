"""The rows of the warehouse's tables as objects: a field per column, in the order of the columns."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Run:
    """One attempt to score a night: a row of the ledger ``scoring_runs``, whose comments say what each column holds."""

    run_id: str
    run_number: int
    job: str
    night: date
    interval_start: datetime
    interval_end: datetime
    attempt: int
    origin: str
    airflow_run_id: str | None = None
    status: str
    stage: str
    reason: str | None = None
    model_version: int
    model_sha256: str
    job_sha256: str
    sql_sha256: str
    snapshot_hash: str | None = None
    predictions_hash: str | None = None
    code_version: str
    library_versions: dict[str, str]
    chunks: int | None = None
    rows_extracted: int | None = None
    rows_quarantined: int | None = None
    rows_scored: int | None = None
    rows_loaded: int | None = None
    quarantine_reasons: dict[str, int] | None = None
    unknown_categories: dict[str, int] | None = None
    seconds_extract: float | None = None
    seconds_score: float | None = None
    seconds_publish: float | None = None
    rows_per_second: float | None = None
    started_at: datetime
    finished_at: datetime | None = None
    pruned_at: datetime | None = None
    provisional: bool
    seen_at: datetime | None = None

    @property
    def pruned(self) -> bool:
        """Return whether retention has removed the run's rows and files; its ledger row stays."""
        return self.status != "published" and self.pruned_at is not None

    @property
    def facts(self) -> dict[str, Any]:
        """Return every column by name, in the order of the table."""
        return columns_of(self)


def columns_of(record: Any) -> dict[str, Any]:
    """Return the columns of a row by name, in the order of the table."""
    return {field.name: getattr(record, field.name) for field in fields(record)}
