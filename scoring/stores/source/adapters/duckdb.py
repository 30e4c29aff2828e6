"""Parquet, CSV, Iceberg, Delta and DuckDB's own files, through DuckDB: Arrow batches sorted with bounded memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa

from scoring.errors import ContractError, SourceQueryError
from scoring.interval import DataInterval
from scoring.rows import require_columns
from scoring.stores.source.adapters.duckdb_failures import explained
from scoring.stores.source.adapters.duckdb_source import source_of
from scoring.stores.source.arrow_batches import even
from scoring.stores.source.night_select import bound_values, in_key_order, numbered, verbatim
from scoring.stores.source.query import Query
from scoring.stores.source.sql_text import Statement, with_root

if TYPE_CHECKING:
    import duckdb

_HINTS = {
    "JSON": "take one value of it, such as {0} ->> 'key'",
    "INTERVAL": "make a number of it: epoch({0})",
    "UHUGEINT": "cast it: {0}::varchar",
    "BIGNUM": "cast it: {0}::varchar",
    "TIME WITH TIME ZONE": "cast it: {0}::varchar",
}
_WITHOUT_PLAIN_FORM = {"list", "array", "struct", "map", "union", "variant", "bit", "geometry"}
"""DuckDB's kinds of types whose values are no single value."""


@contextmanager
def stream(url: sa.URL, query: Query, interval: DataInterval, rows: int) -> Iterator[Iterator[pa.RecordBatch]]:
    """Fetch Arrow batches from DuckDB, which sorts the night within its memory limit and else in a temporary folder."""
    with opened(url, query) as connection:
        statement, values = statement_in(url, query, interval)
        require_readable(connection, *numbered(verbatim(statement, {}), values), query)
        text, bound = numbered(in_key_order(query, statement, "C", {}), values)
        with read(connection, text, bound, query, rows) as batches:
            yield batches


def statement_in(url: sa.URL, query: Query, interval: DataInterval) -> tuple[Statement, dict[str, Any]]:
    """Return the statement with the source's root, and the values of its parameters."""
    statement = query.statement("duckdb", with_root(query.text, source_of(url, query.source).root, query.name))
    return statement, bound_values(statement, interval, query)


@contextmanager
def opened(url: sa.URL, query: Query) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection of the source, whose errors are translated. It may write to a temporary folder alone."""
    source = source_of(url, query.source)
    with (
        tempfile.TemporaryDirectory(prefix="nightshift-duckdb-") as spill,
        explained(query),
        source.opened(spill, query.timezone) as connection,
    ):
        yield connection


@contextmanager
def read(
    connection: duckdb.DuckDBPyConnection, text: str, bound: list[Any], query: Query, rows: int
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Give an iterator over a statement's rows in batches of ``rows`` rows."""
    with explained(query, reading=True):
        reader = connection.sql(text, params=bound).to_arrow_reader(rows)
    with closing(reader):
        yield even(_read(reader, query), reader.schema, rows)


def require_readable(connection: duckdb.DuckDBPyConnection, text: str, bound: list[Any], query: Query) -> None:
    """Raise ``SourceQueryError`` or ``ContractError`` for a statement that is no SELECT of the columns of a job."""
    _require_select(connection, text, query)
    result = connection.sql(text, params=bound)
    require_columns(query.name, query.columns, result.columns)
    _require_values(result, query)


def _require_select(connection: duckdb.DuckDBPyConnection, text: str, query: Query) -> None:
    """Raise ``SourceQueryError`` for a statement that is not one SELECT, such as COPY, which writes a file."""
    import duckdb

    kinds = [statement.type for statement in connection.extract_statements(text)]
    if kinds != [duckdb.StatementType.SELECT]:
        raise SourceQueryError(
            query.name,
            found=", ".join(kind.name for kind in kinds) or "no statement",
            expected="one SELECT",
            next_step=f"write {query.name} as a select; a source is only read",
        )


def _require_values(result: duckdb.DuckDBPyRelation, query: Query) -> None:
    """Raise ``ContractError`` for a column whose values have no plain form, such as a list, a struct or an interval."""
    for name, kind in zip(result.columns, result.types, strict=True):
        if name in query.columns and (str(kind) in _HINTS or kind.id in _WITHOUT_PLAIN_FORM):
            hint = _HINTS.get(str(kind), "take one value of it, or cast it: {0}::varchar").format(name)
            raise ContractError(
                f"{query.name}: column {name!r}: wrong type",
                found=str(kind),
                expected="text, a number, a boolean, a date, a time or a uuid",
                next_step=f"{hint}, in the SQL",
            )


def _read(reader: pa.RecordBatchReader, query: Query) -> Iterator[pa.RecordBatch]:
    while True:
        with explained(query, reading=True):
            batch = next(reader, None)
        if batch is None:
            return
        yield batch
