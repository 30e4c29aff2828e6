"""Runs a job's SQL on its source and streams Arrow record batches with bounded memory, in key order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles

from scoring.errors import NightError, SettingsError
from scoring.interval import DataInterval
from scoring.rows import require_columns
from scoring.stores.failures import missing_driver, translated
from scoring.stores.source.driver_values import column_of, text_or_bytes
from scoring.stores.source.postgresql_types import opaque_types, plain, require_values
from scoring.stores.source.query import Query
from scoring.stores.source.sql_text import INTERVAL, NIGHT, Parameter, Statement
from scoring.stores.source.sqlite_times import as_stored
from scoring.stores.urls import database_url, libpq_url, written

_Types = dict[str, sa.types.TypeEngine[Any]]
_CURSOR = "nightshift_night"
_WITHOUT_ZONE = ("mysql", "mariadb", "mssql")
"""Databases whose drivers drop the zone of a moment. Moments are bound as local times in the source's zone."""
_SORT_MEMORY = "128MB"
"""Memory with which the server may sort a night by key before it writes to disk. PostgreSQL's default is 4 MB."""


@contextmanager
def stream(url: str, query: Query, interval: DataInterval, rows: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """Give an iterator over the query's rows as record batches of at most ``rows`` rows, ordered by the key.

    At least one batch comes, empty if there are no rows. The interval's ends are bound, never formatted; the
    transaction is read-only; memory is bounded by ``rows``. Raises ``SourceUnavailable`` (trying again helps),
    ``SourceQueryError`` or ``ContractError`` (a column is missing).
    """
    location = database_url(url, query.source)
    open_batches = _stream_postgresql if location.get_backend_name() == "postgresql" else _stream_any
    with open_batches(location, query, interval, rows) as batches:
        yield batches


@contextmanager
def _stream_postgresql(
    url: sa.URL, query: Query, interval: DataInterval, rows: int
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Fetch Arrow batches through ADBC from a server-side cursor: COPY, its faster way, takes no bound parameters."""
    import adbc_driver_postgresql.dbapi  # loads pandas, which whoever only reads jobs has no use for

    statement = query.statement("postgresql")
    connect = adbc_driver_postgresql.dbapi.connect
    with translated(query.name, query.variable), closing(connect(libpq_url(written(url)))) as connection:
        cursor = connection.cursor()
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute("set local cursor_tuple_fraction = 1.0")  # all rows will be read: plan for that
        cursor.execute("select set_config('timezone', $1, true)", parameters=[query.timezone])
        cursor.execute(f"set local work_mem = '{_SORT_MEMORY}'")
        cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
        probe, bound = _compiled(_limited(query, statement, {}), _values(statement, interval, query))
        cursor.execute(probe, parameters=bound)
        schema = cursor.fetch_arrow_table().schema
        require_columns(query.name, query.columns, schema.names)
        senders = _senders(cursor, *opaque_types(schema, query.columns))
        require_values(query.name, schema, query.columns, senders)
        ordered, bound = _compiled(_ordered(query, statement, "C", {}), _values(statement, interval, query))
        cursor.execute(f"declare {_CURSOR} no scroll cursor for {ordered}", parameters=bound)
        yield _fetch(cursor, rows, query)
        connection.rollback()


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


def _values(statement: Statement, interval: DataInterval, query: Query) -> dict[str, Any]:
    """Return the value of each parameter: the interval's ends as moments in UTC, the night as a date."""
    if statement.by_night and interval.night is None:
        raise NightError(query.name, found=f"{interval.start} to {interval.end}", expected="one night, for :night")
    values = {"interval_start": interval.start, "interval_end": interval.end, NIGHT: interval.night}
    return {name: values[name] for name in sorted(statement.names)}


def _compiled(statement: sa.Select[Any], values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    dialect = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    compiled = statement.compile(dialect=dialect)
    return str(compiled), [values[name] for name in compiled.positiontup or []]


def compared_types(url: str, query: Query) -> dict[str, set[str]]:
    """Return the types that PostgreSQL infers for each parameter, or an empty mapping for other databases.

    A parameter that is cast there has the type with ``cast to`` before it.
    """
    import adbc_driver_postgresql.dbapi  # loads pandas, which whoever only reads jobs has no use for

    location = database_url(url, query.source)
    if location.get_backend_name() != "postgresql":
        return {}
    statement = query.statement("postgresql").numbered
    connect = adbc_driver_postgresql.dbapi.connect
    with translated(query.name, query.variable), closing(connect(libpq_url(written(location)))) as connection:
        cursor = connection.cursor()
        text, names = _compiled(_limited(query, statement, {}), {name: name for name in statement.names})
        cursor.execute("set transaction read only")
        cursor.execute(f"prepare {_CURSOR} as {text}")
        types = sa.cast(sa.column("parameter_types"), postgresql.ARRAY(sa.Text)).label("types")
        prepared = sa.select(types).select_from(sa.table("pg_prepared_statements"))
        cursor.execute(_compiled(prepared, {})[0])
        types = cursor.fetch_arrow_table().column("types")[0].as_py()
        connection.rollback()
    kinds: dict[str, set[str]] = {}
    for name, kind in zip(names, types, strict=True):
        kinds.setdefault(name.rpartition("_")[0], set()).add(f"cast to {kind}" if name in statement.cast else kind)
    return kinds


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


@contextmanager
def _stream_any(url: sa.URL, query: Query, interval: DataInterval, rows: int) -> Iterator[Iterator[pa.RecordBatch]]:
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
        types: _Types = {"interval_start": sa.DateTime(timezone=True), "interval_end": sa.DateTime(timezone=True)}
        values = _values(statement, interval, query)
        if engine.dialect.name == "sqlite":
            statement, values = as_stored(connection, statement, values, query.timezone, query.name)
            types = {}
        elif engine.dialect.name in _WITHOUT_ZONE:
            types |= {name: sa.DateTime() for name in INTERVAL}
            zone = ZoneInfo(query.timezone)
            values |= {n: values[n].astimezone(zone).replace(tzinfo=None) for n in INTERVAL & statement.names}
        probe = connection.execute(_limited(query, statement, types), values)
        require_columns(query.name, query.columns, list(probe.keys()))
        streaming = connection.execution_options(stream_results=True, yield_per=rows)
        yield _partitions(streaming.execute(_ordered(query, statement, collation, types), values), rows, query)
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


def _ordered(query: Query, statement: Statement, collation: str | None, types: _Types) -> sa.Select[Any]:
    rows = _rows(query, statement, types)
    order: list[sa.ColumnElement[Any]] = []
    for name in query.order_by:
        column: sa.ColumnElement[Any] = rows.c[name]
        order.append(sa.cast(column, sa.Text).collate(collation) if collation and name in query.text_keys else column)
    return sa.select(sa.text("*")).select_from(rows).order_by(*order)


def _limited(query: Query, statement: Statement, types: _Types) -> sa.Select[Any]:
    return sa.select(sa.text("*")).select_from(_rows(query, statement, types)).where(sa.false())


def _rows(query: Query, statement: Statement, types: _Types) -> sa.Subquery:
    """Return the statement as a subquery, on lines of its own since it may end in a comment."""
    written = _Verbatim((*statement.pieces, "\n"), types)
    return written.columns(*(sa.column(name) for name in query.order_by)).subquery("night")


class _Verbatim(sa.TextClause):
    """SQL as it is written, with its parameters. SQLAlchemy's own text() takes any colon for a parameter."""

    inherit_cache = False

    def __init__(self, pieces: tuple[str | Parameter, ...], types: _Types) -> None:
        super().__init__("")
        self.pieces = pieces
        self.bound = {p.name: sa.bindparam(p.name, type_=types.get(p.name)) for p in pieces if isinstance(p, Parameter)}


@compiles(_Verbatim)
def _compile_verbatim(written: _Verbatim, compiler: Any, **more: Any) -> str:
    return "".join(
        compiler.process(written.bound[piece.name], **more)
        if isinstance(piece, Parameter)
        else compiler.post_process_text(piece)
        for piece in written.pieces
    )


def require_file(url: sa.URL, where: str) -> None:
    """Raise ``SettingsError`` when the file of a SQLite source is missing, since SQLite would make an empty one."""
    name = url.database or ""
    if url.get_backend_name() != "sqlite" or name.startswith(("file:", ":memory:")) or Path(name).is_file():
        return
    raise SettingsError(
        where,
        found=f"no file {str(Path(name).absolute())!r}" if name else "no file",
        expected="a SQLite database",
        next_step="correct the path in the URL: sqlite:///folder/file.db, or sqlite:////folder/file.db from the root",
    )


def make_read_only(connection: sa.Connection) -> None:
    """Let the connection read only, where its database knows such a setting."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("pragma query_only = on")
        connection.connection.driver_connection.text_factory = text_or_bytes  # type: ignore[union-attr]
    elif connection.dialect.name in ("mysql", "mariadb", "oracle"):
        connection.exec_driver_sql("set transaction read only")
