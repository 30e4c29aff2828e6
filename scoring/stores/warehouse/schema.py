"""Creates and migrates the warehouse's schema. Every function can be repeated at any time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from scoring.errors import Permanent
from scoring.job import Job
from scoring.stores.warehouse import locks
from scoring.stores.warehouse.actions import Action, record_action
from scoring.stores.warehouse.connection import Warehouse, no_schema, sql_text, statement
from scoring.stores.warehouse.job_tables import INTERVAL, STAMPS, history, interval_columns, requests, shadow, views
from scoring.stores.warehouse.reason_tables import reasons_of, view_name, view_of
from scoring.stores.warehouse.tables import JOBS


def migrate(warehouse: Warehouse) -> None:
    """Bring the fixed tables, views and roles to the newest version. Does nothing if they are there."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "alembic"))
    with locks.schema(warehouse) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def ensure_job(warehouse: Warehouse, job: Job) -> None:
    """Register the job and create its tables and views if they are not there.

    Raises ``Permanent`` when the table exists with other columns: a changed key or task needs a new job name.
    """
    with warehouse.transaction() as connection:
        if not sa.inspect(connection).has_table("jobs"):
            raise no_schema()
        _register(connection, job)
        for table in (history(job), shadow(job)):
            if sa.inspect(connection).has_table(table.name):
                _add_interval(connection, table, job)
                _check_columns(connection, table, job)
            else:
                _create(connection, job, table)
        if job.reasons is not None:
            _ensure_reasons(connection, job)
        if _absent(connection, job):  # a view is younger than the job's tables
            locks.take(connection, "schema")
            _create_views(connection, job, _absent(connection, job))


def _ensure_reasons(connection: sa.Connection, job: Job) -> None:
    """Create the table and the view of reasons if they are not there."""
    table, view = reasons_of(job), view_name(job)
    if sa.inspect(connection).has_table(table.name):
        _check_columns(connection, table, job)
        return
    locks.take(connection, "schema")
    if sa.inspect(connection).has_table(table.name):
        return
    _refuse_taken(connection, job, view)
    table.create(connection)
    connection.execute(_filled("grant_history", table=table.name))
    connection.execute(sa.schema.CreateView(view_of(job), view))
    connection.execute(_filled("grant_view", view=view))
    sentence = "Reasons of published predictions: one row per key, night and rank"
    connection.execute(_filled("comment_view", view=view, sentence=sentence))
    meanings = {**STAMPS, **{column.name: column.comment for column in table.columns}}
    for column in sa.inspect(connection).get_columns(view):
        _comment_column(connection, view, column["name"], meanings[column["name"]])


def _add_interval(connection: sa.Connection, table: sa.Table, job: Job) -> None:
    """Add the columns of the interval's ends to a table of a job that has got an interval, and to the views on it."""
    added = [column for column in interval_columns(job) if column.name in table.columns]
    if not added or added[0].name in _names(connection, table):
        return
    locks.take(connection, "schema")
    if added[0].name in _names(connection, table):
        return
    for column in added:
        connection.execute(_filled("add_interval_end", table=table.name, column=column.name))
        _comment_column(connection, table.name, column.name, column.comment)
    inspector = sa.inspect(connection)
    there = [name for name in views(job) if inspector.has_table(name)]
    for name in there:
        connection.execute(sa.schema.CreateView(views(job)[name][0], name, or_replace=True))
    _comment_views(connection, job, there)


def _names(connection: sa.Connection, table: sa.Table) -> list[str]:
    return [column["name"] for column in sa.inspect(connection).get_columns(table.name)]


def ensure_requests(warehouse: Warehouse, job: Job) -> None:
    """Create the table of the job's predictions on demand if it is not there. Raises ``Permanent`` as ``ensure_job`` does."""
    ensure_job(warehouse, job)
    with warehouse.transaction() as connection:
        if sa.inspect(connection).has_table(requests(job).name):
            _check_columns(connection, requests(job), job)
        else:
            _create(connection, job, requests(job))


def _create(connection: sa.Connection, job: Job, table: sa.Table) -> None:
    """Create a table of the job, unless another process has just created it."""
    locks.take(connection, "schema")
    if sa.inspect(connection).has_table(table.name):
        return
    table.create(connection)
    connection.execute(_filled("grant_history", table=table.name))
    if table.name == history(job).name:
        _create_views(connection, job, list(views(job)))
    elif table.name != requests(job).name:  # whose features are no analyst's: some may be sensitive
        connection.execute(_filled("grant_view", view=table.name))


def ensure_partition(warehouse: Warehouse, job: Job, night: date) -> None:
    """Create the partition of the night's year if it is not there.

    A year of which an older Nightshift made partitions by month goes on by month.
    """
    with warehouse.transaction() as connection:
        if _covering(night) & _partitions(connection, job):
            return
        locks.take(connection, "schema")
        if not _covering(night) & (partitions := _partitions(connection, job)):
            by_month = any(name.startswith(f"{night:%Y}_") for name in partitions)
            _create_partition(connection, job, _month(night) if by_month else _year(night))


def _covering(night: date) -> set[str]:
    """Return what the partition that takes a night can be called, without the table's name."""
    return {f"{night:%Y}", f"{night:%Y_%m}"}


def _partitions(connection: sa.Connection, job: Job) -> set[str]:
    """Return the names of the history's partitions, without the table's name."""
    parent = history(job).name
    names = connection.execute(statement("partitions"), {"parent": parent}).scalars()
    return {name.removeprefix(f"{parent}_") for name in names}


def _year(night: date) -> tuple[str, date, date]:
    """Return the name of the partition for a year, its first night and the first after it."""
    return f"{night:%Y}", date(night.year, 1, 1), date(night.year + 1, 1, 1)


def _month(night: date) -> tuple[str, date, date]:
    """Return the name of the partition for a month, its first night and the first after it."""
    first = night.replace(day=1)
    until = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return f"{night:%Y_%m}", first, until


def _create_partition(connection: sa.Connection, job: Job, partition: tuple[str, date, date]) -> None:
    name, first, until = partition
    parent = history(job).name
    child = f"{parent}_{name}"
    connection.execute(_filled("create_partition", parent=parent, child=child))
    connection.execute(_filled("attach_partition", parent=parent, child=child, first=f"{first}", until=f"{until}"))


def describe_prediction(warehouse: Warehouse, job: Job, sentence: str) -> None:
    """Set the comment of the column ``prediction`` in the job's tables and views to ``sentence``."""
    with warehouse.transaction() as connection:
        locks.take(connection, "schema")
        for name in (history(job).name, shadow(job).name, *views(job)):
            _comment_column(connection, name, "prediction", sentence)


def _comment_column(connection: sa.Connection, table: str, name: str, sentence: str | None) -> None:
    column: sa.Column[Any] = sa.Column(name, comment=sentence)
    sa.Table(table, sa.MetaData(), column)
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
        record_action(connection, Action(job, "retired", f"job {job}", reason, now))


def _check_columns(connection: sa.Connection, table: sa.Table, job: Job) -> None:
    inspected = sa.inspect(connection).get_columns(table.name)
    columns = [f"{column['name']} {column['type'].compile(connection.dialect)}" for column in inspected]
    expected = [f"{column.name} {column.type.compile(connection.dialect)}" for column in table.columns]
    ends = [f"{name} {sa.Double().compile(connection.dialect)}" for name in INTERVAL]
    if columns == [*expected, *ends]:  # the job had an interval: what it published keeps its own
        return
    if columns != expected:
        raise Permanent(
            f"warehouse table {table.name}",
            found=str(columns),
            expected=str(expected),
            next_step=f"keys and task of a job never change; copy {job.name} to a new job name",
        )


def _absent(connection: sa.Connection, job: Job) -> list[str]:
    inspector = sa.inspect(connection)
    return [name for name in views(job) if not inspector.has_table(name)]


def _create_views(connection: sa.Connection, job: Job, names: Sequence[str]) -> None:
    """Create views of the job, and say what the columns of all its views mean."""
    for name in names:
        select, sentence = views(job)[name]
        _refuse_taken(connection, job, name)
        connection.execute(sa.schema.CreateView(select, name))
        connection.execute(_filled("grant_view", view=name))
        connection.execute(_filled("comment_view", view=name, sentence=sentence))
    _comment_views(connection, job, list(views(job)))


def _comment_views(connection: sa.Connection, job: Job, names: Sequence[str]) -> None:
    """Say what the columns of the job's views mean."""
    inspector = sa.inspect(connection)
    columns = inspector.get_columns(history(job).name)
    meanings = {**STAMPS, **{column["name"]: column.get("comment") for column in columns}}
    for name in names:
        for column in inspector.get_columns(name):
            _comment_column(connection, name, column["name"], meanings[column["name"]])


def _refuse_taken(connection: sa.Connection, job: Job, view: str) -> None:
    if sa.inspect(connection).has_table(view):
        next_step = f"give job {job.name} another name"
        raise Permanent(f"warehouse view {view}", found="a table or view of this name", next_step=next_step)


def _filled(name: str, **identifiers: str) -> sa.ExecutableDDLElement:
    """Return a DDL statement of ``sql/warehouse`` with validated identifiers filled in."""
    return sa.DDL(sql_text(name).format(**identifiers))  # type: ignore[no-untyped-call]
