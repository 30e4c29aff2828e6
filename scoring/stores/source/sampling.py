"""A bounded sample of a table, from all over it where the database can give that without reading everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

BLOCKS = 40
"""Places of a SQLite table that the sample comes from, so that it holds old rows and new ones."""
PAGES = 1_000
"""Pages of a PostgreSQL table that are read for a sample."""
PAGE_BYTES = 8_192
DRAWING = 20
"""Seconds in which all rows of a view may be gone through for a sample."""
STEPS_A_SECOND = 5_000_000
"""Instructions of SQLite's virtual machine in a second, about."""
ENOUGH = 0.25
"""Share of the wanted rows below which a sample from all over the table is dropped for its first rows."""

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Taken:
    """Rows of a table, and where they come from."""

    rows: list[Row]
    whole: bool
    spread: bool
    estimate: int | None


def sampled(connection: sa.Connection, table: sa.TableClause, columns: Sequence[str], rows: int) -> Taken:
    """Return at most ``rows`` rows with the given columns: all of a small table, else from all over it where possible."""
    wanted: list[sa.ColumnElement[Any]] = [sa.column(name) for name in columns]
    if not wanted:
        return Taken([], True, True, None)
    first = [tuple(row) for row in connection.execute(sa.select(*wanted).select_from(table).limit(rows + 1))]
    if len(first) <= rows:
        return Taken(first, True, True, len(first))
    spread = _SPREAD.get(connection.dialect.name)
    taken, estimate = spread(connection, table, wanted, rows) if spread else ([], None)
    if len(taken) >= ENOUGH * rows:
        return Taken(taken, False, True, estimate)
    return Taken(first[:rows], False, False, estimate)


def _from_postgresql(
    connection: sa.Connection, table: sa.TableClause, wanted: list[sa.ColumnElement[Any]], rows: int
) -> tuple[list[Row], int | None]:
    """Return rows of pages drawn from the table and its partitions, in any order, and about how many rows it has."""
    itself = sa.cast(connection.dialect.identifier_preparer.format_table(table), postgresql.REGCLASS)
    part = sa.func.pg_partition_tree(itself).table_valued("relid")
    kinds = sa.table("pg_class", *map(sa.column, ("oid", "relkind")))
    pages = connection.execute(
        sa.select(sa.func.sum(sa.func.pg_relation_size(kinds.c.oid)) / PAGE_BYTES)
        .where((kinds.c.oid == itself) | kinds.c.oid.in_(sa.select(part.c.relid)))
        .where(kinds.c.relkind.in_(("r", "m")))
    ).scalar_one()
    if not pages:  # a view, or a foreign table
        return _drawn(connection, table, wanted, rows), None
    percent = min(100.0, 100.0 * PAGES / float(pages))
    drawn = table.tablesample(sa.func.system(percent), seed=sa.literal(0))
    count = connection.execute(sa.select(sa.func.count()).select_from(drawn)).scalar_one()
    chosen = sa.select(*wanted).select_from(drawn).order_by(sa.func.random()).limit(rows)
    return [tuple(row) for row in connection.execute(chosen)], round(count * 100 / percent)


def _from_sqlite(
    connection: sa.Connection, table: sa.TableClause, wanted: list[sa.ColumnElement[Any]], rows: int
) -> tuple[list[Row], int | None]:
    """Return rows from places all over the table, and about how many there are. A view has no row ids: it is drawn from."""
    number: sa.ColumnClause[Any] = sa.column("rowid", is_literal=True)
    try:
        ends = sa.select(sa.func.min(number), sa.func.max(number)).select_from(table)
        first, last = connection.execute(ends).one()
    except sa.exc.DBAPIError:
        first = last = None
    if not isinstance(first, int) or not isinstance(last, int):
        return _drawn(connection, table, wanted, rows), None
    width, step = -(-rows // BLOCKS), max(1, (last - first + 1) // BLOCKS)
    taken: list[Row] = []
    for start in range(first, last + 1, step):
        block = sa.select(*wanted).select_from(table).where(number >= start, number < start + min(width, step))
        taken += [tuple(row) for row in connection.execute(block)]
    return taken[:rows], last - first + 1


def _drawn(
    connection: sa.Connection, table: sa.TableClause, wanted: list[sa.ColumnElement[Any]], rows: int
) -> list[Row]:
    """Return rows drawn from everything that a view gives, or none when that takes longer than ``DRAWING`` seconds."""
    chosen = sa.select(*wanted).select_from(table).order_by(sa.func.random()).limit(rows)
    driver: Any = connection.connection.driver_connection
    started = connection.begin_nested()
    try:
        if connection.dialect.name == "sqlite":
            driver.set_progress_handler(lambda: 1, DRAWING * STEPS_A_SECOND)
        else:
            connection.exec_driver_sql(f"set local statement_timeout = '{DRAWING}s'")
        return [tuple(row) for row in connection.execute(chosen)]
    except sa.exc.DBAPIError:
        return []
    finally:
        started.rollback()
        if connection.dialect.name == "sqlite":
            driver.set_progress_handler(None, 0)


_SPREAD: dict[str, Callable[..., tuple[list[Row], int | None]]] = {
    "postgresql": _from_postgresql,
    "sqlite": _from_sqlite,
}
