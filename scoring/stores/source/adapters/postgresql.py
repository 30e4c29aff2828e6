"""PostgreSQL through ADBC: Arrow batches from a server-side cursor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from scoring.interval import DataInterval
from scoring.rows import require_columns
from scoring.stores.arrow_connections import arrow_connection
from scoring.stores.failures import translated
from scoring.stores.source.night_select import bound_values, in_key_order, numbered, without_rows
from scoring.stores.source.postgresql_types import opaque_types, plain, require_values
from scoring.stores.source.query import Query
from scoring.stores.urls import libpq_url, written

_CURSOR = "nightshift_night"
_SORT_MEMORY = "128MB"
"""Memory with which the server may sort a night by key before it writes to disk. PostgreSQL's default is 4 MB."""


@contextmanager
def stream(url: sa.URL, query: Query, interval: DataInterval, rows: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """Fetch Arrow batches through ADBC from a server-side cursor: COPY, its faster way, takes no bound parameters."""
    statement = query.statement("postgresql")
    with translated(query.name, query.variable), closing(arrow_connection(libpq_url(written(url)))) as connection:
        cursor = connection.cursor()
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute("set local cursor_tuple_fraction = 1.0")  # all rows will be read: plan for that
        cursor.execute("select set_config('timezone', $1, true)", parameters=[query.timezone])
        cursor.execute(f"set local work_mem = '{_SORT_MEMORY}'")
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
        values = bound_values(statement, interval, query)
        probe, bound = numbered(without_rows(query, statement, {}), values)
        cursor.execute(probe, parameters=bound)
        schema = cursor.fetch_arrow_table().schema
        require_columns(query.name, query.columns, schema.names)
        senders = _senders(cursor, *opaque_types(schema, query.columns))
        require_values(query.name, schema, query.columns, senders)
        ordered, bound = numbered(in_key_order(query, statement, "C", {}), values)
        cursor.execute(f"declare {_CURSOR} no scroll cursor for {ordered}", parameters=bound)
        yield _fetch(cursor, rows, query)
        connection.rollback()


def compared_types(url: sa.URL, query: Query) -> dict[str, set[str]]:
    """Return the types that PostgreSQL infers for each parameter.

    A parameter that is cast there has the type with ``cast to`` before it.
    """
    statement = query.statement("postgresql").numbered
    with translated(query.name, query.variable), closing(arrow_connection(libpq_url(written(url)))) as connection:
        cursor = connection.cursor()
        text, names = numbered(without_rows(query, statement, {}), {name: name for name in statement.names})
        cursor.execute("set transaction read only")
        cursor.execute(f"prepare {_CURSOR} as {text}")
        types = sa.cast(sa.column("parameter_types"), postgresql.ARRAY(sa.Text)).label("types")
        prepared = sa.select(types).select_from(sa.table("pg_prepared_statements"))
        cursor.execute(numbered(prepared, {})[0])
        types = cursor.fetch_arrow_table().column("types")[0].as_py()
        connection.rollback()
    kinds: dict[str, set[str]] = {}
    for name, kind in zip(names, types, strict=True):
        kinds.setdefault(name.rpartition("_")[0], set()).add(f"cast to {kind}" if name in statement.cast else kind)
    return kinds


def _senders(cursor: Any, names: set[str], numbers: set[int]) -> dict[str, tuple[str, str]]:
    """Return PostgreSQL types with the function that sends their values, by the driver's names of the types."""
    if not names:
        return {}
    kind = sa.table("pg_type", *map(sa.column, ("oid", "typname", "typsend")))
    function = sa.table("pg_proc", *map(sa.column, ("oid", "prosrc")))
    query = sa.select(kind.c.oid, kind.c.typname, function.c.prosrc).join(function, function.c.oid == kind.c.typsend)
    query = query.where(kind.c.typname.in_(names) | kind.c.oid.in_(numbers))
    cursor.execute(str(query.compile(compile_kwargs={"literal_binds": True})))
    rows = cursor.fetchall()
    return {alias: (name, sender) for number, name, sender in rows for alias in (name, f"unnamed<oid:{number}>")}


def _fetch(cursor: Any, rows: int, query: Query) -> Iterator[pa.RecordBatch]:
    count = rows
    first = True
    while count == rows or first:
        with translated(query.name, query.variable):
            cursor.execute(f"fetch forward {rows:d} from {_CURSOR}")
            table = cursor.fetch_arrow_table()
        count = table.num_rows
        if count or first:
            yield plain(table)
        first = False
