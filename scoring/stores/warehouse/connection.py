"""Connections to the warehouse. Errors of the drivers become errors of Nightshift."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import adbc_driver_manager
import psycopg
import sqlalchemy as sa

from scoring.errors import NightshiftError, Permanent, SettingsError, WarehouseUnavailable
from scoring.settings import Settings
from scoring.stores import embedded
from scoring.stores.failures import heals, lasting
from scoring.stores.urls import database_url, with_options, written

_SQL = Path(__file__).resolve().parents[3] / "sql" / "warehouse"
_ANALYST = "nightshift_analyst"
_READ_ONLY = "-c default_transaction_read_only=on"
_SESSION = "-c lock_timeout=60s -c timezone=UTC"
_LIMITS = "-c statement_timeout=15min -c idle_in_transaction_session_timeout=5min -c lock_timeout=10s"
"""What a question of an analyst may take, even where the role could not be given limits of its own."""
_PATIENCE = {"connect_timeout": "10"}
_NAME = {"application_name": "nightshift"}
_LOCKED = "55P03"
"""PostgreSQL's code for a lock that was not granted in time."""
_POOL: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 2}
_CANCELLED = "57014"
"""PostgreSQL's code for a statement that was cancelled or took too long, which may succeed later."""


def statement(name: str) -> sa.TextClause:
    """Return the statement in ``sql/warehouse/<name>.sql``."""
    return sa.text(sql_text(name))


def sql_text(name: str) -> str:
    """Return the text of ``sql/warehouse/<name>.sql``."""
    return (_SQL / f"{name}.sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Warehouse:
    """A warehouse: its URLs, which may hold passwords and so stay out of every repr, and its engine."""

    url: str = field(repr=False)
    analyst_url: str = field(repr=False)
    engine: sa.Engine = field(repr=False)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Give a connection in one transaction: all of it is committed, or none.

        Raises ``WarehouseUnavailable`` when trying again can help.
        """
        with self._translated(), self.engine.begin() as connection:
            yield connection

    def rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """Return the rows of a select, each as a dictionary."""
        with self.transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return column names and rows of one statement, run read-only as the analyst role."""
        engine = sa.create_engine(self.analyst_url, poolclass=sa.pool.NullPool)
        with self._translated(), engine.connect() as connection:
            connection.exec_driver_sql("set transaction read only")
            cursor: Any = connection.connection.cursor()
            _refuse_unless_it_gives_rows(cursor, sql)
            result = cursor.execute(sql, prepare=True)
            return [column.name for column in result.description], result.fetchall()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate the drivers' errors. Before the first `migrate` say so, instead of which table or role is not there."""
        with translated():
            try:
                yield
            except (sa.exc.DBAPIError, psycopg.Error) as error:
                if _about_absence(error) and not self._has_schema():
                    raise no_schema() from None
                if lock_refused(error):
                    raise self._locked(error) from None
                raise

    def _locked(self, error: sa.exc.DBAPIError | psycopg.Error) -> WarehouseUnavailable:
        """Return the error about a lock that was not granted, with the sessions that may hold it."""
        reason = str(getattr(error, "orig", error)).strip()
        return WarehouseUnavailable(
            "warehouse",
            found=f"{reason}; locks on tables are held by {holders(self.engine, 'open_transactions')}",
            next_step="try again once they are done; `select pg_terminate_backend(pid)` ends one that hangs",
        )

    def _has_schema(self) -> bool:
        with self.engine.connect() as connection:
            return sa.inspect(connection).has_table("jobs")


def lock_refused(error: BaseException) -> bool:
    """Return whether an error of the driver is about a lock that was not granted in time."""
    return getattr(getattr(error, "orig", error), "sqlstate", None) == _LOCKED


def holders(engine: sa.Engine, query: str, **parameters: str) -> str:
    """Return the sessions that ``sql/warehouse/<query>.sql`` finds, in words."""
    with engine.connect() as connection:
        connection.exec_driver_sql("set local lock_timeout = '1s'")
        try:
            rows = connection.execute(statement(query), parameters).all()
        except sa.exc.OperationalError:  # the table of locks itself is locked
            connection.rollback()
            rows = connection.execute(statement("open_transactions")).all()
    return "; ".join(_session(*row) for row in rows) or "a session that has ended meanwhile"


def _session(pid: int, user: str, application: str | None, since: datetime | None) -> str:
    began = f", since {since:%Y-%m-%d %H:%M:%S} UTC" if since else ""
    return f"pid {pid}, user {user}, application {application or 'unnamed'}{began}"


def no_schema() -> Permanent:
    """Return the error about a warehouse that was never migrated."""
    return Permanent("warehouse", found="no schema", next_step="run `nightshift migrate`")


def open_warehouse(settings: Settings, pool: bool = True) -> Warehouse:
    """Return the warehouse that the settings name, or the embedded one (started if needed).

    Without a ``pool`` each transaction has a connection of its own.

    Analysts log in to the embedded one as themselves. On a server without an ``analyst_url`` their role is only set, and
    a set role can be left.
    """
    if settings.warehouse_url is not None:
        url = _on_postgresql(settings.warehouse_url.get_secret_value(), "NIGHTSHIFT_WAREHOUSE_URL")
        analyst = with_options(url, f"-c role={_ANALYST} {_READ_ONLY} {_LIMITS}")
    else:
        url = _on_postgresql(embedded.url(settings.postgres_dir, "warehouse"), "embedded PostgreSQL")
        own = embedded.url(settings.postgres_dir, "warehouse", user=_ANALYST)
        analyst = with_options(_on_postgresql(own, "embedded PostgreSQL"), f"{_READ_ONLY} {_LIMITS}")
    if settings.analyst_url is not None:
        analyst = _on_postgresql(settings.analyst_url.get_secret_value(), "NIGHTSHIFT_ANALYST_URL")
    ours = {name: value for name, value in {**_PATIENCE, **_NAME}.items() if name not in url.query}
    session = with_options(url, _SESSION).update_query_dict(ours)
    engine = sa.create_engine(session, **(_POOL if pool else {"poolclass": sa.pool.NullPool}))
    return Warehouse(url=written(url), analyst_url=written(analyst), engine=engine)


def require_answer(url: str) -> None:
    """Raise at once when a PostgreSQL database cannot be opened. Other databases are not tried."""
    location = database_url(url, "database URL")
    if location.get_backend_name() == "postgresql":
        engine = sa.create_engine(location.update_query_dict(_PATIENCE), poolclass=sa.pool.NullPool)
        with engine.connect():
            pass


def _on_postgresql(text: str, variable: str) -> sa.URL:
    """Return the URL of a PostgreSQL database. Raises ``SettingsError``."""
    url = database_url(text, variable)
    if url.get_backend_name() != "postgresql":
        raise SettingsError(
            variable, found=f"{url.drivername}://", expected="postgresql://, the only warehouse there is"
        )
    return url


def _refuse_unless_it_gives_rows(cursor: Any, sql: str) -> None:
    """Raise unless ``sql`` is one statement with a result, before it runs: a ``do`` or ``set`` could leave the role.

    A prepared statement holds one command only, so nothing can be smuggled in behind a semicolon.
    """
    server = cursor.connection.pgconn
    prepared = server.prepare(b"", sql.encode())
    if prepared.status != psycopg.pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(prepared)
    if server.describe_prepared(b"").nfields == 0:
        raise Permanent("sql", found="a statement without a result", expected="a select")


@contextmanager
def translated() -> Iterator[None]:
    """Translate the drivers' errors: those that heal into ``WarehouseUnavailable``, others into ``Permanent``."""
    try:
        yield
    except NightshiftError:
        raise
    except sa.exc.DBAPIError as error:
        raise _named(error.orig or error) from None  # a log would print the cause, and what it knows of the URL
    except (psycopg.Error, adbc_driver_manager.Error) as error:
        raise _named(error) from None


def _about_absence(error: sa.exc.DBAPIError | psycopg.Error) -> bool:
    """Return whether an error is about a table, or the analysts' role, that is not there."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    return isinstance(cause, psycopg.errors.UndefinedTable) or f'role "{_ANALYST}" does not exist' in str(cause)


def _named(error: BaseException) -> NightshiftError:
    reason = str(error).strip()
    state = getattr(error, "sqlstate", None) or ""
    unanswered = isinstance(error, psycopg.OperationalError | adbc_driver_manager.OperationalError) and not state
    if unanswered and f'role "{_ANALYST}"' in reason:
        return Permanent("warehouse", found=reason, next_step="`nightshift migrate` makes the analyst's login")
    if unanswered and lasting(reason):
        step = "correct NIGHTSHIFT_WAREHOUSE_URL or NIGHTSHIFT_ANALYST_URL, or what it leads to"
        return Permanent("warehouse", found=reason, next_step=step)
    if unanswered or state == _CANCELLED or heals(state, reason):
        return WarehouseUnavailable("warehouse", found=reason, next_step="try again once it answers")
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return Permanent("warehouse", found=reason, next_step="`nightshift migrate` if a table should be there")
    return Permanent("warehouse", found=reason)
