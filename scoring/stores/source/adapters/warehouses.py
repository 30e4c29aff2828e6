"""Snowflake and BigQuery through their ADBC drivers, where these are installed, and through SQLAlchemy otherwise.

Neither service could be tried by this project: what is checked is the connection's options and the statement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from importlib import import_module
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from scoring.errors import SettingsError
from scoring.interval import DataInterval
from scoring.rows import require_columns
from scoring.stores.failures import translated
from scoring.stores.source.adapters import any_dialect
from scoring.stores.source.arrow_batches import even
from scoring.stores.source.night_select import bound_values, in_key_order, with_marks
from scoring.stores.source.query import Query

_SNOWFLAKE = {"warehouse": "adbc.snowflake.sql.warehouse", "role": "adbc.snowflake.sql.role"}
_BIGQUERY = "adbc.bigquery.sql"


def stream(
    url: sa.URL, query: Query, interval: DataInterval, rows: int
) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
    """Fetch Arrow batches through the ADBC driver of the database, or rows through SQLAlchemy where only that is there."""
    name = url.get_backend_name()
    try:
        driver = import_module(f"adbc_driver_{name}.dbapi")
    except ModuleNotFoundError:
        if _in_sqlalchemy(url):
            return any_dialect.stream(url, query, interval, rows)
        raise _missing(url, query.source) from None
    return _stream(driver, url, query, interval, rows)


@contextmanager
def _stream(
    driver: Any, url: sa.URL, query: Query, interval: DataInterval, rows: int
) -> Iterator[Iterator[pa.RecordBatch]]:
    name = url.get_backend_name()
    statement = query.statement(name)
    select = in_key_order(query, statement, None, {})
    text, bound = with_marks(select, bound_values(statement, interval, query))
    options = connection_options(url, query.source)
    with (
        translated(query.name, query.variable),
        closing(driver.connect(db_kwargs=options)) as connection,
        connection.cursor() as cursor,
    ):
        if name == "snowflake":
            zone = sa.literal(query.timezone).compile(compile_kwargs={"literal_binds": True})
            cursor.execute(f"alter session set timezone = {zone}")
        cursor.execute(text, parameters=bound)
        reader = cursor.fetch_record_batch()
        schema = _named(reader.schema)
        require_columns(query.name, query.columns, schema.names)
        yield even(_read(reader, schema.names, query), schema, rows)


def _read(reader: pa.RecordBatchReader, names: list[str], query: Query) -> Iterator[pa.RecordBatch]:
    while True:
        with translated(query.name, query.variable):
            batch = next(reader, None)
        if batch is None:
            return
        yield pa.RecordBatch.from_arrays(batch.columns, names)


def _named(schema: pa.Schema) -> pa.Schema:
    """Return the schema with names that are in capitals only, as Snowflake writes unquoted ones, in small letters."""
    return pa.schema([field.with_name(field.name.lower() if field.name.isupper() else field.name) for field in schema])


def connection_options(url: sa.URL, where: str) -> dict[str, str]:
    """Return the options of the ADBC driver for a URL as SQLAlchemy's dialects of the databases have it.

    Raises ``SettingsError`` for an option that is not passed on.
    """
    options, passed = _OPTIONS[url.get_backend_name()](url)
    if unknown := sorted(set(url.query) - set(passed)):
        raise SettingsError(
            where, found=f"options {unknown}", expected=f"some of {', '.join(passed)}", next_step="correct the URL"
        )
    return {name: value for name, value in options.items() if value}


def _snowflake(url: sa.URL) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the options of ``snowflake://user:password@account/database/schema?warehouse=…&role=…``."""
    database, _, schema = (url.database or "").partition("/")
    options = {
        "username": url.username or "",
        "password": url.password or "",
        "adbc.snowflake.sql.account": url.host or "",
        "adbc.snowflake.sql.db": database,
        "adbc.snowflake.sql.schema": schema,
    }
    return options | {option: _text(url, name) for name, option in _SNOWFLAKE.items()}, tuple(_SNOWFLAKE)


def _bigquery(url: sa.URL) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the options of ``bigquery://project/dataset?credentials_path=…&location=…``."""
    path = _text(url, "credentials_path")
    options = {
        f"{_BIGQUERY}.project_id": url.host or "",
        f"{_BIGQUERY}.dataset_id": url.database or "",
        f"{_BIGQUERY}.location": _text(url, "location"),
        f"{_BIGQUERY}.auth_type": f"{_BIGQUERY}.auth_type.json_credential_file" if path else "",
        f"{_BIGQUERY}.auth_credentials": path,
    }
    return options, ("credentials_path", "location")


_OPTIONS: Mapping[str, Callable[[sa.URL], tuple[dict[str, str], tuple[str, ...]]]] = {
    "snowflake": _snowflake,
    "bigquery": _bigquery,
}


def _text(url: sa.URL, name: str) -> str:
    value = url.query.get(name, "")
    return value if isinstance(value, str) else value[-1]


def _in_sqlalchemy(url: sa.URL) -> bool:
    try:
        url.get_dialect()
    except (ImportError, sa.exc.NoSuchModuleError):
        return False
    return True


def _missing(url: sa.URL, where: str) -> SettingsError:
    name = url.get_backend_name()
    return SettingsError(
        where,
        found=f"no driver for {url.drivername}://",
        expected=f"the package adbc-driver-{name}",
        next_step=f"add the line `-r requirements-{name}.txt` to requirements.in and run `make lock`: the next `make` "
        "installs it; where Airflow runs in containers, build the image again: `docker compose build`",
    )
