"""Any database that SQLAlchemy has a dialect for: rows as Python values, made Arrow batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import sqlalchemy as sa

from scoring.interval import DataInterval
from scoring.rows import require_columns
from scoring.stores.failures import missing_driver, translated
from scoring.stores.source.driver_values import column_of
from scoring.stores.source.night_select import Types, bound_values, in_key_order, without_rows
from scoring.stores.source.query import Query
from scoring.stores.source.read_only import make_read_only, require_file
from scoring.stores.source.sql_text import INTERVAL
from scoring.stores.source.sqlite_times import as_stored

_WITHOUT_ZONE = ("mysql", "mariadb", "mssql")
"""Databases whose drivers drop the zone of a moment. Moments are bound as local times in the source's zone."""


@contextmanager
def stream(url: sa.URL, query: Query, interval: DataInterval, rows: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """Fetch rows through SQLAlchemy, with a server-side cursor where the driver has one."""
    require_file(url, query.source)
    try:
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise missing_driver(url, query.source, error) from None
    statement = query.statement(engine.dialect.name)
    collation = "BINARY" if engine.dialect.name == "sqlite" else None
    with translated(query.name, query.variable), engine.connect() as connection:
        make_read_only(connection)
        types: Types = {"interval_start": sa.DateTime(timezone=True), "interval_end": sa.DateTime(timezone=True)}
        values = bound_values(statement, interval, query)
        if engine.dialect.name == "sqlite":
            statement, values = as_stored(connection, statement, values, query.timezone, query.name)
            types = {}
        elif engine.dialect.name in _WITHOUT_ZONE:
            types |= {name: sa.DateTime() for name in INTERVAL}
            zone = ZoneInfo(query.timezone)
            values |= {n: values[n].astimezone(zone).replace(tzinfo=None) for n in INTERVAL & statement.names}
        probe = connection.execute(without_rows(query, statement, types), values)
        require_columns(query.name, query.columns, list(probe.keys()))
        streaming = connection.execution_options(stream_results=True, yield_per=rows)
        yield _partitions(streaming.execute(in_key_order(query, statement, collation, types), values), rows, query)
        connection.rollback()


def _partitions(result: sa.CursorResult[Any], rows: int, query: Query) -> Iterator[pa.RecordBatch]:
    names = list(result.keys())
    empty = True
    parts = result.partitions(rows)
    while True:
        with translated(query.name, query.variable):
            part = next(parts, None)
        if part is None:
            break
        empty = False
        columns = zip(names, zip(*part, strict=True), strict=True)
        arrays = [column_of(values, query.types.get(name), name) for name, values in columns]
        yield pa.RecordBatch.from_arrays(arrays, names)
    if empty:
        yield pa.RecordBatch.from_arrays([pa.nulls(0) for _ in names], names)
