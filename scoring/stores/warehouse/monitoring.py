"""The results of monitoring: profiles and verdicts of nights, measured performance, decisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert

from scoring.stores.warehouse import locks
from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.results import ColumnVerdict, Decided, Measured, NightVerdict, ProfiledNight
from scoring.stores.warehouse.span import Row, Span
from scoring.stores.warehouse.tables import DECISIONS, DRIFT, DRIFT_COLUMNS, PERFORMANCE, PROFILES, PUBLISHED, RUNS


@contextmanager
def judging(warehouse: Warehouse, job: str) -> Iterator[None]:
    """Hold the lock of a job's verdicts: of two nights judged side by side, the second one sees the first."""
    with warehouse.transaction() as connection:
        locks.take(connection, f"verdicts of {job}")
        yield


def save_profile(warehouse: Warehouse, facts: Row) -> None:
    """Save a run's profile, replacing an earlier one."""
    _upsert(warehouse, PROFILES, facts, ["run_id"])


def evidence(table: sa.TableClause) -> sa.ColumnElement[bool]:
    """Return the condition that a table's rows may be used to learn and decide.

    Their night must be published, and their run published or superseded. Unpublished runs do not count, nor provisional
    ones, which began before their night was over.
    """
    pointer, runs = PUBLISHED.alias("pointer"), RUNS.alias("counted")  # the select may read the tables itself
    published = sa.exists().where(pointer.c.job == table.c.job, pointer.c.night == table.c.night)
    counts = sa.exists().where(
        runs.c.run_id == table.c.run_id, runs.c.status.in_(["published", "superseded"]), sa.not_(runs.c.provisional)
    )
    return sa.and_(published, counts)


def profiles(warehouse: Warehouse, span: Span, version: int) -> list[ProfiledNight]:
    """Return the profiles of published nights of a version, oldest first, with verdict and score.

    Provisional nights are left out, see ``evidence``.
    """
    published = sa.join(PROFILES, PUBLISHED, PUBLISHED.c.run_id == PROFILES.c.run_id)
    joined = published.outerjoin(DRIFT, DRIFT.c.run_id == PROFILES.c.run_id)  # nights without a verdict count too
    query = (
        sa.select(
            PROFILES.c.run_id, PROFILES.c.night, PROFILES.c.profile, DRIFT.c.verdict, DRIFT.c.score, DRIFT.c.faults
        )
        .select_from(joined)
        .where(span.of(PROFILES), PROFILES.c.model_version == version, evidence(PROFILES))
        .order_by(PROFILES.c.night)
    )
    return [ProfiledNight(**row) for row in warehouse.rows(query)]


def save_drift(warehouse: Warehouse, facts: Row, columns: Sequence[Row]) -> None:
    """Save a run's verdict and those of its columns, replacing earlier ones."""
    row = insert(DRIFT).values(facts)
    with warehouse.transaction() as connection:
        connection.execute(row.on_conflict_do_update(index_elements=["run_id"], set_=facts))
        connection.execute(sa.delete(DRIFT_COLUMNS).where(DRIFT_COLUMNS.c.run_id == facts["run_id"]))
        if columns:
            connection.execute(sa.insert(DRIFT_COLUMNS), [{**column, "run_id": facts["run_id"]} for column in columns])


def save_report(warehouse: Warehouse, run_id: str, report: str | None, problem: str | None) -> None:
    """Save the path of a run's drift page, and what the page lacks."""
    with warehouse.transaction() as connection:
        changed = sa.update(DRIFT).where(DRIFT.c.run_id == run_id)
        connection.execute(changed.values(report=report, report_error=problem))


def drift(warehouse: Warehouse, span: Span) -> list[NightVerdict]:
    """Return the verdicts on the published nights of a span, oldest first."""
    joined = sa.join(DRIFT, PUBLISHED, PUBLISHED.c.run_id == DRIFT.c.run_id)
    query = sa.select(DRIFT).select_from(joined).where(span.of(DRIFT), evidence(DRIFT))
    return [NightVerdict(**row) for row in warehouse.rows(query.order_by(DRIFT.c.night))]


def judged_after(warehouse: Warehouse, span: Span, version: int, origin: str) -> list[str]:
    """Return the published runs of a version and an origin in a span that have a verdict, oldest night first."""
    published = sa.join(DRIFT, PUBLISHED, PUBLISHED.c.run_id == DRIFT.c.run_id)
    query = (
        sa.select(DRIFT.c.run_id)
        .select_from(published.join(RUNS, RUNS.c.run_id == DRIFT.c.run_id))
        .where(span.of(DRIFT), DRIFT.c.model_version == version, RUNS.c.origin == origin, sa.not_(RUNS.c.provisional))
        .order_by(DRIFT.c.night)
    )
    return [row["run_id"] for row in warehouse.rows(query)]


def drift_of(warehouse: Warehouse, run_id: str) -> NightVerdict | None:
    """Return the verdict on a run, or None if there is none."""
    rows = warehouse.rows(sa.select(DRIFT).where(DRIFT.c.run_id == run_id))
    return NightVerdict(**rows[0]) if rows else None


def columns_of(warehouse: Warehouse, run_ids: Sequence[str]) -> list[ColumnVerdict]:
    """Return the column results of runs, the most unusual first."""
    query = sa.select(DRIFT_COLUMNS).where(DRIFT_COLUMNS.c.run_id.in_(run_ids))
    ordered = query.order_by(DRIFT_COLUMNS.c.run_id, DRIFT_COLUMNS.c.ratio.desc(), DRIFT_COLUMNS.c.column_name)
    return [ColumnVerdict(**row) for row in warehouse.rows(ordered)]


def save_performance(warehouse: Warehouse, facts: Row) -> None:
    """Save a night's performance with the labels of the end of ``known_at``, replacing an earlier measurement."""
    _upsert(warehouse, PERFORMANCE, facts, ["job", "night", "known_at"])


def performance(warehouse: Warehouse, span: Span, known_at: date) -> list[Measured]:
    """Return the performance of the span's nights by the labels of the end of ``known_at``, oldest first."""
    query = (
        sa.select(PERFORMANCE)
        .ext(distinct_on(PERFORMANCE.c.night))
        .where(span.of(PERFORMANCE), PERFORMANCE.c.known_at <= known_at, evidence(PERFORMANCE))
        .order_by(PERFORMANCE.c.night, PERFORMANCE.c.known_at.desc())
    )
    return [Measured(**row) for row in warehouse.rows(query)]


def is_measured(warehouse: Warehouse, run_id: str) -> bool:
    """Return whether outcomes of a run were measured."""
    return bool(warehouse.rows(sa.select(PERFORMANCE.c.night).where(PERFORMANCE.c.run_id == run_id).limit(1)))


def save_decision(warehouse: Warehouse, facts: Row) -> Decided:
    """Record a decision after a run, unless there is one already, and return the one that is recorded."""
    with warehouse.transaction() as connection:
        row = insert(DECISIONS).values(facts).on_conflict_do_nothing(index_elements=["job", "night", "run_id"])
        connection.execute(row)
        query = sa.select(DECISIONS).where(DECISIONS.c.run_id == facts["run_id"])
        return Decided(**connection.execute(query).mappings().one())


def decisions(warehouse: Warehouse, span: Span) -> list[Decided]:
    """Return the decisions of a span, oldest night first."""
    query = sa.select(DECISIONS).where(span.of(DECISIONS))
    ordered = query.order_by(DECISIONS.c.night, DECISIONS.c.decision_id)
    return [Decided(**row) for row in warehouse.rows(ordered)]


def record_retraining(warehouse: Warehouse, decision_id: int, state: str, version: int | None = None) -> None:
    """Record the state of the retraining that a decision began: ``running``, ``done`` or ``failed``."""
    values: Row = {"retraining": state, "trained_version": version}
    with warehouse.transaction() as connection:
        connection.execute(sa.update(DECISIONS).where(DECISIONS.c.decision_id == decision_id).values(values))


def _upsert(warehouse: Warehouse, table: sa.TableClause, facts: Row, key: list[str]) -> None:
    row = insert(table).values(facts)
    with warehouse.transaction() as connection:
        connection.execute(row.on_conflict_do_update(index_elements=key, set_=facts))
