"""Creates and migrates the warehouse's schema. Every function may run again at any time."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from scoring.errors import Permanent
from scoring.job import Job
from scoring.stores.warehouse.connection import Warehouse, sql_text, statement
from scoring.stores.warehouse.job_tables import as_of_view, current_view, history, shadow
from scoring.stores.warehouse.tables import JOBS


def migrate(warehouse: Warehouse) -> None:
    """Bring the fixed tables, views and roles to the newest version. Does nothing if they are there."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "alembic"))
    with warehouse.transaction() as connection:
        connection.execute(statement("lock_schema"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def ensure_job(warehouse: Warehouse, job: Job) -> None:
    """Register the job and create its tables and views if they are not there.

    Raises ``Permanent`` when the table exists with other columns: a changed key or task needs a new job name.
    """
    with warehouse.transaction() as connection:
        if not sa.inspect(connection).has_table("jobs"):
            raise Permanent("warehouse", found="no schema", next_step="run `nightshift migrate`")
        _register(connection, job)
        for table in (history(job), shadow(job)):
            if sa.inspect(connection).has_table(table.name):
                _check_columns(connection, table, job)
            else:
                _create(connection, job, table)


def _create(connection: sa.Connection, job: Job, table: sa.Table) -> None:
    """Create a table of the job, unless somebody else just did."""
    connection.execute(statement("lock_schema"))
    if sa.inspect(connection).has_table(table.name):
        return
    table.create(connection)
    connection.execute(_filled("grant_history", table=table.name))
    if table.name == history(job).name:
        _create_views(connection, job)
    else:
        connection.execute(_filled("grant_view", view=table.name))


def ensure_month(warehouse: Warehouse, job: Job, night: date) -> None:
    """Create the partition of the night's month if it is not there."""
    parent = history(job).name
    first = night.replace(day=1)
    until = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    child = f"{parent}_{first:%Y_%m}"
    with warehouse.transaction() as connection:
        if sa.inspect(connection).has_table(child):
            return
        connection.execute(statement("lock_schema"))
        if not sa.inspect(connection).has_table(child):
            connection.execute(_filled("create_month", parent=parent, child=child))
            connection.execute(
                _filled("attach_partition", parent=parent, child=child, first=f"{first}", until=f"{until}")
            )


def describe_prediction(warehouse: Warehouse, job: Job, sentence: str) -> None:
    """Write what the job's predictions mean on the column ``prediction`` of its tables and views, in place of before."""
    names = (history(job).name, shadow(job).name, f"{job.name}_predictions", f"{job.name}_predictions_as_of")
    with warehouse.transaction() as connection:
        connection.execute(statement("lock_schema"))
        for name in names:
            column: sa.Column[Any] = sa.Column("prediction", comment=sentence)
            sa.Table(name, sa.MetaData(), column)
            connection.execute(sa.schema.SetColumnComment(column))


def _register(connection: sa.Connection, job: Job) -> None:
    values = {
        "description": job.description,
        "owner": job.owner,
        "timezone": job.schedule.timezone,
        "first_night": job.schedule.first_night,
        "last_night": job.schedule.last_night,
        "retired_at": None,
        "retired_reason": None,
    }
    row = insert(JOBS).values(job=job.name, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["job"], set_=values))


def mark_retired(warehouse: Warehouse, job: str, reason: str, now: datetime) -> None:
    """Record that a job is retired, until it is used again."""
    with warehouse.transaction() as connection:
        connection.execute(sa.update(JOBS).where(JOBS.c.job == job).values(retired_at=now, retired_reason=reason))


def _check_columns(connection: sa.Connection, table: sa.Table, job: Job) -> None:
    inspected = sa.inspect(connection).get_columns(table.name)
    columns = [f"{column['name']} {column['type'].compile(connection.dialect)}" for column in inspected]
    expected = [f"{column.name} {column.type.compile(connection.dialect)}" for column in table.columns]
    if columns != expected:
        raise Permanent(
            f"warehouse table {table.name}",
            found=str(columns),
            expected=str(expected),
            next_step=f"keys and task of a job never change; copy {job.name} to a new job name",
        )


def _create_views(connection: sa.Connection, job: Job) -> None:
    views = {
        f"{job.name}_predictions": (current_view(job), "Published predictions: one row per key and night"),
        f"{job.name}_predictions_as_of": (as_of_view(job), "Every publication, with the time it was visible"),
    }
    for name, (select, sentence) in views.items():
        if sa.inspect(connection).has_table(name):
            next_step = f"give job {job.name} another name"
            raise Permanent(f"warehouse view {name}", found="a table or view of this name", next_step=next_step)
        connection.execute(sa.schema.CreateView(select, name))
        connection.execute(_filled("grant_view", view=name))
        connection.execute(_filled("comment_view", view=name, sentence=sentence))


def _filled(name: str, **identifiers: str) -> sa.ExecutableDDLElement:
    """Return a DDL statement of ``sql/warehouse`` with validated identifiers filled in."""
    return sa.DDL(sql_text(name).format(**identifiers))  # type: ignore[no-untyped-call]
