"""Jobs and their nights for pages and commands, joined from the ledger, the pointer and monitoring. Nothing is written."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on

from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.monitoring import evidence
from scoring.stores.warehouse.records import Run
from scoring.stores.warehouse.results import ColumnNight, Decided, Measured, TriedNight
from scoring.stores.warehouse.span import Row, Span
from scoring.stores.warehouse.tables import (
    DECISIONS,
    DRIFT,
    DRIFT_COLUMNS,
    JOBS,
    PERFORMANCE,
    PUBLISHED,
    RUNS,
    fixed_table,
)

STATUS = fixed_table(
    "scoring_status",
    "job expected_night expected_night_published latest_night latest_rows latest_rows_quarantined model_version run_id "
    "published_at nights_published nights_held last_run_night last_run_status last_run_reason latest_provisional "
    "retired_at retired_reason nights_missing missing",
)
_WITHOUT_SUMS = [
    PERFORMANCE.c[column.name] for column in fields(Measured) if column.name not in ("sums", "labels_hash")
]
"""Columns of measured performance without the sums, which are large."""


def known_jobs(warehouse: Warehouse) -> list[str]:
    """Return the names of all jobs that were ever used."""
    return [row["job"] for row in warehouse.rows(sa.select(JOBS.c.job).order_by(JOBS.c.job))]


def statuses(warehouse: Warehouse, jobs: Collection[str]) -> list[Row]:
    """Return the rows of ``scoring_status`` for jobs that were ever used, with columns of their job files."""
    joined = sa.join(STATUS, JOBS, JOBS.c.job == STATUS.c.job)
    about = [JOBS.c[name] for name in ("description", "owner", "timezone", "first_night", "last_night")]
    query = sa.select(*STATUS.c, *about).select_from(joined).where(STATUS.c.job.in_(list(jobs)))
    return warehouse.rows(query.order_by(STATUS.c.job))


def nights(warehouse: Warehouse, span: Span) -> list[TriedNight]:
    """Return one row per night that was ever tried, oldest first: the published run, or else the newest attempt.

    ``newest_status`` is that of the newest attempt. Verdict and scores are null for a run without a verdict.
    """
    is_published = PUBLISHED.c.run_id.is_not(None)
    newest = sa.func.first_value(RUNS.c.status).over(partition_by=RUNS.c.night, order_by=RUNS.c.started_at.desc())
    joined = sa.outerjoin(RUNS, PUBLISHED, PUBLISHED.c.run_id == RUNS.c.run_id)
    query = (
        sa.select(
            RUNS.c.night,
            RUNS.c.run_id,
            RUNS.c.status,
            RUNS.c.model_version,
            RUNS.c.provisional,
            newest.label("newest_status"),
            DRIFT.c.verdict,
            DRIFT.c.score,
            DRIFT.c.score_limit,
        )
        .select_from(joined.outerjoin(DRIFT, DRIFT.c.run_id == RUNS.c.run_id))
        .ext(distinct_on(RUNS.c.night))
        .where(span.of(RUNS))
        .order_by(RUNS.c.night, is_published.desc(), RUNS.c.started_at.desc())
    )
    return [TriedNight(**row) for row in warehouse.rows(query)]


def neighbours(warehouse: Warehouse, job: str, night: date) -> tuple[date | None, date | None]:
    """Return the nearest nights before and after ``night`` that were tried, or None where there is none."""
    of_job = RUNS.c.job == job
    before = sa.select(sa.func.max(RUNS.c.night)).where(of_job, RUNS.c.night < night).scalar_subquery()
    after = sa.select(sa.func.min(RUNS.c.night)).where(of_job, RUNS.c.night > night).scalar_subquery()
    with warehouse.transaction() as connection:
        row = connection.execute(sa.select(before, after)).one()
        return row[0], row[1]


def measured(warehouse: Warehouse, span: Span, newest: int | None = None) -> list[Measured]:
    """Return the performance of nights by the newest labels, oldest first, or only the ``newest`` of them."""
    query = (
        sa.select(*_WITHOUT_SUMS)
        .ext(distinct_on(PERFORMANCE.c.night))
        .where(span.of(PERFORMANCE), evidence(PERFORMANCE))
        .order_by(PERFORMANCE.c.night.desc(), PERFORMANCE.c.known_at.desc())
    )
    return [Measured(**row) for row in warehouse.rows(query.limit(newest))][::-1]


def newest_decision(warehouse: Warehouse, job: str) -> Decided | None:
    """Return the decision on the last night that has one, or None if there is none."""
    order = (DECISIONS.c.night.desc(), DECISIONS.c.decision_id.desc())
    rows = warehouse.rows(sa.select(DECISIONS).where(DECISIONS.c.job == job).order_by(*order).limit(1))
    return Decided(**rows[0]) if rows else None


def decision_of(warehouse: Warehouse, run_id: str) -> Decided | None:
    """Return the decision after a run, or None if there is none."""
    rows = warehouse.rows(sa.select(DECISIONS).where(DECISIONS.c.run_id == run_id))
    return Decided(**rows[0]) if rows else None


def column_history(warehouse: Warehouse, span: Span, column: str, newest: int | None = None) -> list[ColumnNight]:
    """Return the verdicts on a column on published nights, oldest first, or only the ``newest`` of them."""
    verdicts = sa.join(DRIFT_COLUMNS, DRIFT, DRIFT.c.run_id == DRIFT_COLUMNS.c.run_id)
    joined = verdicts.join(PUBLISHED, PUBLISHED.c.run_id == DRIFT.c.run_id)
    about = [DRIFT.c[name] for name in ("night", "model_version", "score_limit", "baseline_nights")]
    query = sa.select(*DRIFT_COLUMNS.c, *about).select_from(joined)
    history = query.where(span.of(DRIFT), DRIFT_COLUMNS.c.column_name == column).order_by(DRIFT.c.night.desc())
    return [ColumnNight(**row) for row in warehouse.rows(history.limit(newest))][::-1]


def run_of_airflow(warehouse: Warehouse, job: str, airflow_run_id: str) -> Run | None:
    """Return the newest attempt that a DAG run made for a job, or None if it made none."""
    of_dag_run = sa.and_(RUNS.c.job == job, RUNS.c.airflow_run_id == airflow_run_id)
    rows = warehouse.rows(sa.select(*RUNS.c).where(of_dag_run).order_by(RUNS.c.started_at.desc()).limit(1))
    return Run(**rows[0]) if rows else None
