"""PostgreSQL through ADBC: Arrow batches by COPY."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Literal

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from scoring.interval import DataInterval
from scoring.rows import require_columns
from scoring.stores.arrow_connections import arrow_connection
from scoring.stores.failures import translated
from scoring.stores.source.arrow_batches import even
from scoring.stores.source.night_select import bound_values, in_key_order, literals, numbered, without_rows
from scoring.stores.source.postgresql_types import opaque_types, plain, plain_schema, require_values
from scoring.stores.source.query import Query
from scoring.stores.source.sql_text import Statement
from scoring.stores.urls import libpq_url, written

_CURSOR = "nightshift_night"
_SORT_MEMORY = "128MB"
"""Memory with which the server may sort a night by key before it writes to disk. PostgreSQL's default is 4 MB."""


@contextmanager
def stream(url: sa.URL, query: Query, interval: DataInterval, rows: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """Fetch Arrow batches by COPY, which takes no bound parameters: the interval's ends and the night are typed literals."""
    statement = filled(query, interval)
    with session(url, query, "read only") as cursor:
        require_readable(cursor, query, statement)
        with copied(cursor, query, in_key_order(query, statement, "C", {})) as (fetched, schema):
            yield even(fetched, schema, rows)


def filled(query: Query, interval: DataInterval) -> Statement:
    """Return the statement with typed literals for the interval's ends and the night."""
    statement = query.statement("postgresql")
    return statement.filled(literals(bound_values(statement, interval, query)))


@contextmanager
def session(url: sa.URL, query: Query, mode: Literal["read only", "read write"], advice: str = "") -> Iterator[Any]:
    """Give a cursor in one transaction of one snapshot, which is committed if it may write.

    ``advice`` is what to do about a statement that is refused.
    """
    with (
        translated(query.name, query.variable, advice),
        closing(arrow_connection(libpq_url(written(url)))) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f"set transaction isolation level repeatable read, {mode}")
        cursor.execute("select set_config('timezone', $1, true)", parameters=[query.timezone])
        cursor.execute(f"set local work_mem = '{_SORT_MEMORY}'")
        yield cursor
        connection.commit() if mode == "read write" else connection.rollback()


def require_readable(cursor: Any, query: Query, statement: Statement) -> None:
    """Raise ``ContractError`` unless the statement gives the query's columns, each of a type that can be read."""
    cursor.execute(numbered(without_rows(query, statement, {}), {})[0])
    schema = cursor.fetch_arrow_table().schema
    require_columns(query.name, query.columns, schema.names)
    require_values(query.name, schema, query.columns, _senders(cursor, *opaque_types(schema, query.columns)))


@contextmanager
def copied(cursor: Any, query: Query, select: sa.Select[Any]) -> Iterator[tuple[Iterator[pa.RecordBatch], pa.Schema]]:
    """Give the rows of a select by COPY, as Arrow batches of any size with plain types, and their schema."""
    cursor.execute(numbered(select, {})[0])
    reader = cursor._results.reader  # fetch_record_batch() gives one whose errors have no SQLSTATE
    fetched = _read(reader, query)
    yield fetched, plain_schema(reader.schema)
    if next(fetched, None) is not None:  # rows are left that nobody wants
        cursor.adbc_cancel()
    reader.close()


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


def _read(reader: pa.RecordBatchReader, query: Query) -> Iterator[pa.RecordBatch]:
    while True:
        with translated(query.name, query.variable):
            batch = next(reader, None)
        if batch is None:
            return
        yield plain(batch)
