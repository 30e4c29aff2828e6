"""A table of a DuckDB source, or files below its root by path or glob: columns, a sample, and the ends of an expression."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from scoring.errors import NightshiftError, SourceQueryError
from scoring.stores.source.adapters.duckdb_source import DuckdbSource, source_of
from scoring.stores.source.driver_values import column_of
from scoring.stores.source.source_table import SAMPLE_ROWS, SAMPLE_VALUES, Declared, SourceTable, TableColumn
from scoring.stores.source.sql_text import with_root
from scoring.stores.source.table_names import parts_of

if TYPE_CHECKING:
    import duckdb

_READERS = {"parquet": "read_parquet", "csv": "read_csv", "gz": "read_csv", "tsv": "read_csv", "json": "read_json"}
"""The function that reads a file, by how its name ends. Anything else without a dot is a folder of Parquet files."""
_KINDS: tuple[tuple[tuple[str, ...], Declared], ...] = (
    (("BOOLEAN",), "bool"),
    (("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"), "int"),
    (("FLOAT", "DOUBLE", "DECIMAL"), "float"),
    (("VARCHAR", "ENUM", "UUID"), "text"),
    (("TIMESTAMP", "DATETIME"), "moment"),
    (("DATE",), "day"),
)


def read_duckdb(url: sa.URL, name: str, variable: str) -> SourceTable:
    """Return a table, or the files of a path or glob below the root, with a sample from all over them."""
    source = source_of(url, variable)
    sql = _sql_of(source, name)
    with _opened(source, name, variable) as connection:
        everything = connection.sql(_text(source, sa.select(sa.text("*")).select_from(_from(sql))))
        columns = tuple(_column(*pair) for pair in zip(everything.columns, everything.types, strict=True))
        fit = [column for column in columns if column.declared != "unfit"]
        count = min(SAMPLE_ROWS, SAMPLE_VALUES // max(len(fit), 1))
        (total,) = connection.execute(_text(source, sa.select(sa.func.count()).select_from(_from(sql)))).fetchone() or (
            0,
        )
        drawn = sql if total <= count else f"{sql} tablesample reservoir({count} rows) repeatable (0)"
        wanted: list[sa.ColumnElement[Any]] = [sa.literal_column(column.sql) for column in fit]
        rows = connection.execute(_text(source, sa.select(*wanted).select_from(_from(drawn)))).fetchall() if fit else []
    values = list(zip(*rows, strict=True)) or [() for _ in fit]
    arrays = [column_of(each, None, column.name) for each, column in zip(values, fit, strict=True)]
    sample = pa.Table.from_arrays(arrays, [column.name for column in fit])
    return SourceTable(name, "duckdb", sql, columns, (), sample, total <= count, True, total)


def ends_in_duckdb(url: sa.URL, table: SourceTable, expression: str, condition: str, variable: str) -> tuple[Any, Any]:
    """Return the least and the greatest value of an expression, times as text, of the rows that keep a condition."""
    source = source_of(url, variable)
    value: sa.ColumnElement[Any] = sa.literal_column(expression)
    asked = sa.select(sa.func.min(value), sa.func.max(value)).select_from(_from(table.sql))
    try:
        with _opened(source, table.name, variable) as connection:
            row = connection.execute(_text(source, asked.where(sa.literal_column(condition)))).fetchone()
    except NightshiftError:  # the sample has to do
        return None, None
    if row is None or row[0] is None:
        return None, None
    least, greatest = column_of(row, None, expression).to_pylist()
    return least, greatest


def _sql_of(source: DuckdbSource, name: str) -> str:
    """Return what stands behind ``from``: a table of the source's file, or files below its root."""
    path = name.removeprefix("{root}").strip("/")
    ending = path.rpartition(".")[2].lower()
    if ending in _READERS:
        return f"{_READERS[ending]}('{{root}}/{_quoted(path)}')"
    if source.file is None or "/" in path or "*" in path:
        return f"read_parquet('{{root}}/{_quoted(path)}/**/*.parquet')"
    return ".".join(_identifier(part) for part in parts_of(name))


def _quoted(path: str) -> str:
    return path.replace("'", "''")


def _identifier(name: str) -> str:
    preparer = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]
    return str(preparer.quote(name))  # DuckDB's names follow PostgreSQL's rules


def _column(name: str, kind: Any) -> TableColumn:
    written = str(kind)
    base = written.partition("(")[0].partition(" ")[0].partition("_")[0]
    declared = next((declared for names, declared in _KINDS if base in names), None)
    if declared is None or written.endswith("]"):  # a list or an array of such values
        declared = "unfit"
    return TableColumn(name, written, declared, True, _identifier(name), base == "VARCHAR")


def _from(sql: str) -> sa.TextClause:
    return sa.text(sql.replace(":", r"\:"))


def _text(source: DuckdbSource, statement: sa.Select[Any]) -> str:
    return with_root(str(statement.compile(dialect=postgresql.dialect(paramstyle="named"))), source.root, "--table")  # type: ignore[no-untyped-call]


@contextmanager
def _opened(source: DuckdbSource, name: str, variable: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give a connection of the source. DuckDB's errors become ``SourceQueryError`` about the table."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="nightshift-duckdb-") as spill:
        try:
            with source.opened(spill, "UTC") as connection:
                yield connection
        except duckdb.Error as error:
            raise SourceQueryError(
                f"table {name!r} of {variable}",
                found=" ".join(str(error).split()),
                expected="a file or a glob below the root, such as orders/*.parquet, or a table of the URL's file",
                next_step="correct --table",
            ) from None
