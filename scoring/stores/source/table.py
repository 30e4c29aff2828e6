"""A table of a source as a new job begins from it: its columns, and a bounded sample of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from scoring.errors import NightshiftError, SourceQueryError
from scoring.stores.failures import missing_driver, translated
from scoring.stores.source.adapters import ends_in_duckdb, read_duckdb
from scoring.stores.source.driver_values import column_of
from scoring.stores.source.read_only import make_read_only, require_file
from scoring.stores.source.sampling import sampled
from scoring.stores.source.source_table import SAMPLE_ROWS, SAMPLE_VALUES, Declared, SourceTable, TableColumn
from scoring.stores.source.table_names import Place, find_table, near_names
from scoring.stores.urls import database_url

SECONDS = 60
"""How long one question about a table may take on PostgreSQL, so that no new job keeps a server busy."""
_KINDS: tuple[tuple[type[sa.types.TypeEngine[Any]], Declared], ...] = (
    (sa.Boolean, "bool"),
    (sa.Integer, "int"),
    (sa.Numeric, "float"),
    (sa.Float, "float"),
    (sa.LargeBinary, "unfit"),
    (sa.Uuid, "text"),
    (sa.String, "text"),
    (sa.DateTime, "moment"),
    (sa.Date, "day"),
)


Reader = Callable[[sa.URL, str, str], SourceTable]
Asker = Callable[[sa.URL, SourceTable, str, str, str], tuple[Any, Any]]


def read_table(url: str, name: str, variable: str) -> SourceTable:
    """Return a table with a sample of at most ``SAMPLE_ROWS`` rows. ``variable`` is the setting that holds the URL.

    Raises ``SourceQueryError`` that lists names alike when there is no such table, or when it may not be read.
    """
    location = database_url(url, variable)
    return _READERS.get(location.get_backend_name(), _read_any)(location, name, variable)


def ends_of(url: str, table: SourceTable, expression: str, condition: str, variable: str) -> tuple[Any, Any]:
    """Return the least and the greatest value of an SQL expression, of the rows that keep a condition.

    Text is returned for times. Both are None when no row has a value, or when the database takes too long.
    """
    location = database_url(url, variable)
    return _ASKERS.get(location.get_backend_name(), _ends_any)(location, table, expression, condition, variable)


def _read_any(url: sa.URL, name: str, variable: str) -> SourceTable:
    with _connected(url, name, variable) as connection:
        place = find_table(connection, name)
        if place is None:
            near, everything = near_names(connection, name)
            raise SourceQueryError(
                f"table {name!r} of {variable}",
                found=f"no table or view of that name among {everything}",
                expected="one that the login of the URL sees, with its schema if that is not on the search path",
                next_step=f"did you mean {' or '.join(near)}?" if near else "give --table one of these",
            )
        described = _described(connection, place, name)
        fit = [column.name for column in described.columns if column.declared != "unfit"]
        rows = min(SAMPLE_ROWS, SAMPLE_VALUES // max(len(fit), 1))
        taken = sampled(connection, place.table, fit, rows)
    columns = list(zip(*taken.rows, strict=True)) or [() for _ in fit]
    arrays = [column_of(values, None, column) for column, values in zip(fit, columns, strict=True)]
    return replace(
        described,
        rows=pa.Table.from_arrays(arrays, fit),
        whole=taken.whole,
        spread=taken.spread,
        estimate=taken.estimate,
    )


def _described(connection: sa.Connection, place: Place, name: str) -> SourceTable:
    inspector, quote = sa.inspect(connection), connection.dialect.identifier_preparer.quote
    columns = []
    for facts in inspector.get_columns(place.name, place.schema):
        kind, declared = str(facts["type"]) if not _is_null(facts["type"]) else "unknown type", _declared(facts["type"])
        if connection.dialect.name == "sqlite":  # which lets any value into any column
            declared = "bool" if declared == "bool" else "any"
        text = isinstance(facts["type"], sa.String) and not isinstance(facts["type"], sa.Enum)
        columns.append(TableColumn(facts["name"], kind, declared, bool(facts["nullable"]), quote(facts["name"]), text))
    keys = inspector.get_pk_constraint(place.name, place.schema)
    written = f"{quote(place.schema)}.{quote(place.name)}" if place.schema else quote(place.name)
    primary = tuple(keys["constrained_columns"])  # a view has none
    return SourceTable(
        name, connection.dialect.name, written, tuple(columns), primary, pa.table({}), False, False, None
    )


def _is_null(kind: Any) -> bool:
    return isinstance(kind, sa.types.NullType)


def _declared(kind: Any) -> Declared:
    """Return what a column of SQLAlchemy's type can hold."""
    inner = getattr(kind, "data_type", kind)  # a domain of PostgreSQL stands on another type
    return next((declared for base, declared in _KINDS if isinstance(inner, base)), "unfit")


def _ends_any(url: sa.URL, table: SourceTable, expression: str, condition: str, variable: str) -> tuple[Any, Any]:
    value: sa.ColumnElement[Any] = sa.literal_column(expression)
    place = sa.text(table.sql.replace(":", r"\:"))
    asked = sa.select(sa.func.min(value), sa.func.max(value)).select_from(place).where(sa.literal_column(condition))
    try:
        with _connected(url, table.name, variable) as connection:
            least, greatest = connection.execute(asked).one()
    except NightshiftError:  # such as a statement that was ended after SECONDS: the sample has to do
        return None, None
    return (None, None) if least is None else tuple(column_of([least, greatest], None, expression).to_pylist())


@contextmanager
def _connected(url: sa.URL, name: str, variable: str) -> Iterator[sa.Connection]:
    """Give a connection that reads only."""
    require_file(url, variable)
    try:
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise missing_driver(url, variable, error) from None
    advice = "let the login of the URL read the table (grant select), or name another"
    with translated(f"table {name!r}", variable, advice), engine.connect() as connection:
        make_read_only(connection)
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("set transaction isolation level repeatable read, read only")
            connection.exec_driver_sql(f"set local statement_timeout = '{SECONDS}s'")
        yield connection
        connection.rollback()


_READERS: dict[str, Reader] = {"duckdb": read_duckdb}
"""Readers of sources that SQLAlchemy does not read, by the kind of database."""
_ASKERS: dict[str, Asker] = {"duckdb": ends_in_duckdb}
