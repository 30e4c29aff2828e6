"""The results of monitoring as dataclasses: rows of its tables, and rows joined from several tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from scoring.stores.warehouse.records import Record


@dataclass(frozen=True, kw_only=True)
class NightVerdict(Record):
    """The drift verdict on a scored night: a row of ``drift_results``."""

    run_id: str
    job: str
    night: date
    model_version: int
    verdict: str
    reasons: list[str]
    faults: list[str]
    score: float
    score_limit: float
    drifted_weight: float
    drifted_columns: list[str]
    baseline_nights: int
    baseline_first: date | None = None
    rows: int
    estimate: dict[str, float | None] | None = None
    report: str | None = None
    report_error: str | None = None
    evaluated_at: datetime


@dataclass(frozen=True, kw_only=True)
class ColumnVerdict(Record):
    """The most unusual signal of a column of a night: a row of ``drift_columns``."""

    run_id: str
    column_name: str
    role: str
    weight: float
    status: str
    signal: str
    value: float
    threshold: float
    ratio: float
    beyond: float
    fault: str | None = None
    signals: dict[str, list[float]]
    """Distance, and the distance that is unusual, of each signal."""
    sustained: float


@dataclass(frozen=True, kw_only=True)
class Measured(Record):
    """Performance of a published night by its matured labels: a row of ``performance_results``."""

    job: str
    night: date
    known_at: date
    run_id: str
    model_version: int
    rows_published: int
    rows_labelled: int
    share_labelled: float
    metrics: dict[str, dict[str, float | None]]
    rolling: dict[str, dict[str, Any]]
    sums: list[list[float]] = field(default_factory=list)
    labels_hash: str = ""
    """Empty, like ``sums``, where only the metrics are read."""
    measured_at: datetime
    verdict: str | None = None
    """``ok``, ``warn`` or ``alert``; None where performance could not be judged, or was measured before it was."""
    reasons: list[str] = field(default_factory=list)
    judgement: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Decided(Record):
    """The governor's decision after a night, with its reason and inputs: a row of ``retraining_decisions``."""

    decision_id: int
    job: str
    night: date
    run_id: str
    model_version: int
    decision: str
    reason: str
    inputs: dict[str, Any]
    origin: str
    decided_at: datetime
    retraining: str | None = None
    trained_version: int | None = None


@dataclass(frozen=True)
class ProfiledNight:
    """The profile of a published night, with verdict, score and faults if there is a verdict."""

    run_id: str
    night: date
    profile: dict[str, Any]
    verdict: str | None
    score: float | None
    faults: list[str] | None


@dataclass(frozen=True)
class TriedNight:
    """A night with at least one attempt: its published run, or else the newest attempt, with its verdict if there is one."""

    night: date
    run_id: str
    status: str
    model_version: int
    provisional: bool
    newest_status: str
    """Status of the newest attempt."""
    verdict: str | None = None
    score: float | None = None
    score_limit: float | None = None


@dataclass(frozen=True, kw_only=True)
class ColumnNight(ColumnVerdict):
    """A column on one of its published nights."""

    night: date
    model_version: int
    score_limit: float
    baseline_nights: int
