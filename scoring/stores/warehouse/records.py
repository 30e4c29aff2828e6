"""The rows of the warehouse's tables as dataclasses, with a field per column in the order of the columns."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True)
class Record:
    """A row of a table of the warehouse."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return every column by name, in the order of the table."""
        return {column.name: getattr(self, column.name) for column in fields(self)}


@dataclass(frozen=True, kw_only=True)
class Run(Record):
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
    evaluator: str | None = None
    shards: int | None = None
    cpu_seconds: float | None = None

    @property
    def pruned(self) -> bool:
        """Return whether retention has removed the run's rows and files. The row of the ledger stays."""
        return self.status != "published" and self.pruned_at is not None


@dataclass(frozen=True, kw_only=True)
class Retraining(Record):
    """One retraining: a row of ``retrainings``."""

    retraining_id: int
    job: str
    night: date
    trigger: str
    reason: str
    decision_id: int | None = None
    airflow_run_id: str | None = None
    since: date
    until: date
    forced: bool
    stage: str
    state: str
    detail: str | None = None
    snapshot: str | None = None
    model_version: int | None = None
    champion_version: int | None = None
    gate: dict[str, Any] | None = None
    started_at: datetime
    finished_at: datetime | None = None
    job_file: dict[str, Any] | None = None

    @property
    def open(self) -> bool:
        """Return whether the retraining is not finished."""
        return self.finished_at is None


@dataclass(frozen=True, kw_only=True)
class Shadow(Record):
    """A version that scores the nights of a champion beside it: a row of ``shadows``."""

    shadow_id: int
    job: str
    model_version: int
    model_sha256: str
    model_uri: str
    role: str
    champion_version: int
    first_night: date
    nights: int
    state: str
    detail: str | None = None
    evidence: dict[str, Any] | None = None
    retraining_id: int | None = None
    started_at: datetime
    ended_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Return whether the version is still in the shadow."""
        return self.ended_at is None


@dataclass(frozen=True)
class Disagreement:
    """How a version in the shadow and the champion differ on a night's rows."""

    decisions_changed: float | None = None
    """Share of the rows, or None for a regression, which decides nothing."""
    mean: float | None = None
    mean_absolute: float | None = None
    quantiles: dict[str, float] = field(default_factory=dict)
    segments: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class ShadowLosses:
    """The losses of a version in the shadow and of the champion on a night's rows with outcomes."""

    rows: int
    """Rows with an outcome."""
    champion: float
    """The champion's loss, summed over these rows."""
    shadow: float
    metrics: dict[str, dict[str, float | None]] = field(default_factory=dict)
    groups: list[list[float]] | None = None
    """Of a snapshot job: rows, and the champion's loss less the shadow's, by group of entities."""

    @property
    def means(self) -> tuple[float, float] | tuple[None, None]:
        """Return the mean loss of the champion and of the shadow, or None without rows."""
        return (self.champion / self.rows, self.shadow / self.rows) if self.rows else (None, None)


@dataclass(frozen=True, kw_only=True)
class ShadowNight(Record):
    """Scoring and measurements of a version in the shadow on a run's rows: a row of ``shadow_nights``."""

    run_id: str
    model_version: int
    job: str
    night: date
    champion_version: int
    status: str
    reason: str | None = None
    rows: int | None = None
    seconds: float | None = None
    disagreement: dict[str, Any] | None = None
    sums: dict[str, Any] | None = None
    scored_at: datetime
    measured_at: datetime | None = None

    @property
    def differences(self) -> Disagreement:
        """Return how the version and the champion differ, without values for a night that failed."""
        return Disagreement(**(self.disagreement or {}))

    @property
    def losses(self) -> ShadowLosses | None:
        """Return the losses of both versions, or None until they are measured."""
        return ShadowLosses(**self.sums) if self.sums is not None else None
