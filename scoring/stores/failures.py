"""Translates the errors of source drivers: which heal by themselves, and which need somebody to change something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import adbc_driver_manager
import sqlalchemy as sa

from scoring.errors import SettingsError, SourceQueryError, SourceUnavailable

_HEALING_STATES = ("08", "40001", "40P01", "53", "55P03", "57P")
"""PostgreSQL's error classes that heal: connection, serialization, deadlock, resources, lock, shutdown."""
_LASTING_STATES = ("08P01", "57P04")
"""Error codes below those that do not heal: a protocol that is not PostgreSQL's, a database that was dropped."""
_HEALING_SQLITE = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_PROTOCOL", "SQLITE_INTERRUPT", "SQLITE_FULL")
_LASTING = re.compile(
    r"authentication failed|no password supplied|password .*(expired|incorrect|missing)|(role|user|database) .+? does not exist|"
    r"access denied|login failed|invalid username|unknown database|unknown user|cannot open database|not permitted to log in|"
    r"permission denied for database|no pg_hba\.conf entry|pg_hba\.conf rejects|"
    r"invalid (connection|uri|integer|port|sslmode|value|percent)|invalid .* parameter|unsupported frontend protocol|"
    r"SSL was required|certificate|unrecognized configuration parameter|"
    r"could not decode|codec can't decode|invalid byte sequence|no such (table|column|function)|doesn't exist|"
    r"server .* not .* support SSL|is not a database",
    re.IGNORECASE | re.DOTALL,
)
"""Matches messages of lasting failures that come without an error code, as from libpq while it connects."""
_CONNECTING = re.compile(
    r"connect|connection|host name|timeout|timed out|refused|reset by peer|could not translate|"
    r"starting up|shutting down|too many|server closed|gone away|recovery mode|temporar",
    re.IGNORECASE,
)
_PACKAGES = {
    "MySQLdb": "mysqlclient",
    "psycopg2": "psycopg2-binary",
    "redshift": "sqlalchemy-redshift",
    "databricks": "databricks-sqlalchemy",
    "trino": "trino",
    "clickhouse": "clickhouse-sqlalchemy",
    "clickhousedb": "clickhouse-connect",
    "awsathena": "PyAthena",
    "db2": "ibm-db-sa",
    "ibm_db_sa": "ibm-db-sa",
    "hana": "sqlalchemy-hana",
    "exa": "sqlalchemy-exasol",
    "teradatasql": "teradatasqlalchemy",
    "cockroachdb": "sqlalchemy-cockroachdb",
}
"""Name of the package on PyPI, by the missing module or the URL's scheme, where these differ."""


def heals(state: str, reason: str) -> bool:
    """Return whether trying again can help after an error of PostgreSQL with this code (or none) and message.

    >>> heals("", "connection failed: Connection refused"), heals("", 'FATAL: database "shop" does not exist')
    (True, False)
    >>> heals("", 'connection failed: FATAL: database "shop" is not currently accepting connections')
    True
    """
    if len(state) == 5:
        return state.startswith(_HEALING_STATES) and not state.startswith(_LASTING_STATES)
    return _CONNECTING.search(reason) is not None and _LASTING.search(reason) is None


def lasting(reason: str) -> bool:
    """Return whether a driver's message names a failure that stays: a wrong password, a database that is not there."""
    return _LASTING.search(reason) is not None


@contextmanager
def translated(statement: str, variable: str, advice: str = "") -> Iterator[None]:
    """Translate drivers' errors at a job's statement. ``variable`` is the setting with the source's URL.

    ``advice`` is what to do about a statement that is refused; default: correct it.

    Raises ``SourceUnavailable`` for errors that heal and ``SourceQueryError`` for the others. The driver's error is not kept
    as the cause, since a log would print it, and it may contain the URL.
    """
    try:
        yield
    except adbc_driver_manager.Error as error:
        reason, state = str(error), error.sqlstate or ""
        raise _named((statement, variable, advice), reason, heals(state, reason)) from None
    except sa.exc.DBAPIError as error:
        raise _named((statement, variable, advice), str(error.orig), _heals_in_sqlalchemy(error)) from None
    except (sa.exc.SQLAlchemyError, UnicodeDecodeError) as error:
        raise _named((statement, variable, advice), str(error), healing=False) from None


def _heals_in_sqlalchemy(error: sa.exc.DBAPIError) -> bool:
    sqlite = getattr(error.orig, "sqlite_errorname", None)
    if sqlite is not None:
        return str(sqlite).startswith(_HEALING_SQLITE)
    likely = error.connection_invalidated or isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
    return likely and _LASTING.search(str(error.orig)) is None


def _named(place: tuple[str, str, str], reason: str, healing: bool) -> SourceUnavailable | SourceQueryError:
    statement, variable, advised = place
    source = f"source of {statement} ({variable})" if variable else f"source of {statement}"
    if healing:
        return SourceUnavailable(source, found=reason, next_step="try again once it answers")
    if _LASTING.search(reason) and not re.search("no such|doesn't exist|decode|byte sequence", reason, re.IGNORECASE):
        return SourceQueryError(source, found=reason, next_step=f"correct {variable or 'the URL'}, or what it leads to")
    if re.search("decode|byte sequence", reason, re.IGNORECASE):
        advice = f"convert the column in {statement}, or correct its bytes in the source, which are not UTF-8"
        return SourceQueryError(statement, found=reason, next_step=advice)
    return SourceQueryError(
        statement, found=reason, next_step=advised or f"correct {statement} and run the night again"
    )


def missing_driver(url: sa.URL, where: str, error: Exception) -> SettingsError:
    """Return the error for a database without an installed driver. It names the package and how to add it."""
    module = getattr(error, "name", None)
    name = str(module).partition(".")[0] if module else url.get_backend_name()
    package = _PACKAGES.get(name, name if module else None)
    if package is None:
        return SettingsError(
            where,
            found=f"a URL that begins with {url.drivername}://, which no installed package knows",
            expected="a database that SQLAlchemy has a dialect for",
            next_step="correct the scheme, or add the dialect's package to requirements.in and run `make lock`",
        )
    also = ", or write mysql+pymysql:// and add pymysql, which needs no compiler" if name == "MySQLdb" else ""
    return SettingsError(
        where,
        found=f"no driver for {url.drivername}://",
        expected=f"the package {package}{also}",
        next_step=f"add {package} to requirements.in and run `make lock`: the next `make` installs it; "
        "where Airflow runs in containers, build the image again: `docker compose build`",
    )
