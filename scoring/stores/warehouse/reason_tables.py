"""The table and the view of the reasons of a job's predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from scoring.job import REASON_COLUMNS, Job
from scoring.stores.warehouse.connection import Warehouse
from scoring.stores.warehouse.job_tables import identity
from scoring.stores.warehouse.records import Run
from scoring.stores.warehouse.tables import PUBLISHED

OF_FEATURE = "Feature of the job; its contribution is the sum over all columns that the pipeline makes of it"
OF_CONTRIBUTION = (
    "What the value adds to the margin of the prediction, compared with the average row: of two classes to the log-odds of true "
    "(of forests to its probability), of several to that of the predicted class, of numbers to the number or its logarithm"
)


def reasons_of(job: Job) -> sa.Table:
    """Return the table of the reasons of every run's predictions."""
    columns = [
        *identity(job),
        sa.Column("rank", sa.Integer, nullable=False, comment="1 for the reason that adds or takes away most"),
        sa.Column("feature", sa.Text, nullable=False, comment=OF_FEATURE),
        sa.Column("value", sa.Text, comment="Its value in the row as text, null for a null; hidden if it is sensitive"),
        sa.Column("contribution", sa.Double, nullable=False, comment=OF_CONTRIBUTION),
    ]
    key = sa.PrimaryKeyConstraint("night", "run_number", *job.key, "rank")
    comment = f"Reasons of predictions, of every run, published or not. {job.description}"
    return sa.Table(f"{job.name}_reasons_history", sa.MetaData(), *columns, key, comment=comment)


def view_name(job: Job) -> str:
    """Return the name of the view with the reasons of published predictions."""
    return f"{job.name}_reasons"


def view_of(job: Job) -> sa.Select[tuple[object, ...]]:
    """Return the select behind ``<job>_reasons``: of the published run, one row per key, night and rank."""
    rows = reasons_of(job)
    of_pointer = sa.and_(PUBLISHED.c.night == rows.c.night, PUBLISHED.c.run_number == rows.c.run_number)
    columns = [rows.c[name] for name in (*job.key, "night", "rank", "feature", "value", "contribution")]
    stamp = [PUBLISHED.c[name] for name in ("model_version", "run_id", "scored_at")]
    return sa.select(*columns, *stamp).join(PUBLISHED, sa.and_(PUBLISHED.c.job == job.name, of_pointer))


def reasons_by_key(warehouse: Warehouse, job: Job, run: Run, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return key, rank, feature, value and contribution of a run's rows with these values of key columns, in order."""
    table = reasons_of(job)
    columns = [table.c[name] for name in (*job.key, *REASON_COLUMNS)]
    of_run = sa.and_(table.c.night == run.night, table.c.run_number == run.run_number)
    of_key = [table.c[name] == value for name, value in values.items()]
    query = sa.select(*columns).where(of_run, *of_key).order_by(*(table.c[name] for name in (*job.key, "rank")))
    return [tuple(row.values()) for row in warehouse.rows(query)]


def existing_reasons(connection: sa.Connection, job: Job) -> list[sa.Table]:
    """Return the table of reasons if there is one, whether the job still asks for reasons or not."""
    table = reasons_of(job)
    return [table] if sa.inspect(connection).has_table(table.name) else []
