"""The page about the warehouse, from a migrated database: its tables, views, columns and their comments."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import ReflectedColumn

from scoring.job import Job
from scoring.stores.warehouse import Warehouse
from tools.reference.markdown import page, table

INTRODUCTION = """\
Tables and views of the warehouse. The role `nightshift_analyst` may read what is marked *analyst*, and nothing else. `<job>`
stands for a job's name; its key and probability columns are its own, here those of `flight_delay`. Start with the views;
what they are made from is in the tables. Examples: [analyst](../people/analyst.md)."""
ANALYST = "nightshift_analyst"
INTERNAL = {"alembic_version"}


def warehouse(store: Warehouse, job: Job) -> str:
    """Return the page. ``job`` is registered in the migrated warehouse and stands for all jobs."""
    inspector = sa.inspect(store.engine)
    views, tables = sorted(inspector.get_view_names()), sorted(set(inspector.get_table_names()) - INTERNAL)
    parts = ["## Views", *(_section(store, inspector, name, job) for name in views)]
    parts += ["## Tables", *(_section(store, inspector, name, job) for name in tables)]
    return page("Warehouse", INTRODUCTION, parts)


def _section(store: Warehouse, inspector: sa.Inspector, name: str, job: Job) -> str:
    comment = inspector.get_table_comment(name)["text"] or ""
    readers = "Read by: analyst." if _readable(store, name) else "Internal."
    rows = [_row(store, column) for column in inspector.get_columns(name)]
    title = name.replace(f"{job.name}_", "<job>_", 1)
    sentence = f"{comment.rstrip('.')}. {readers}" if comment else readers
    return f"### `{title}`\n\n{sentence}\n\n" + table(("column", "type", "meaning"), rows)


def _readable(store: Warehouse, name: str) -> bool:
    with store.engine.connect() as connection:
        return bool(connection.scalar(sa.select(sa.func.has_table_privilege(ANALYST, name, "select"))))


def _row(store: Warehouse, column: ReflectedColumn) -> tuple[str, str, str]:
    kind = column["type"].compile(store.engine.dialect).lower().replace("timestamp with time zone", "timestamptz")
    return f"`{column['name']}`", kind, column.get("comment") or ""
