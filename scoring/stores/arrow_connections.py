"""Connections to PostgreSQL through ADBC, which gives and takes Arrow."""

from __future__ import annotations

import atexit
from threading import Lock
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from adbc_driver_postgresql.dbapi import Connection

_lock = Lock()
_TYPES = sa.table("pg_type", sa.column("oid"), schema="pg_catalog")
"""PostgreSQL's list of types. It changes whenever a type, or a table with the type of its rows, is created or dropped."""
_databases: dict[str, tuple[Connection, tuple[int, int]]] = {}
"""By URL: a closed connection, which holds what the driver knows of the types, and how many and which the newest was then."""


def arrow_connection(url: str) -> Connection:
    """Return a new connection to the database at a libpq URL. The driver reads the database's types when they have changed.

    It would read them, and the columns of every table, for each connection: 35 ms here and as much in the server.
    """
    with _lock:
        connection = _of_known(url)
        return _of_new(url) if connection is None else connection


def _of_known(url: str) -> Connection | None:
    """Return a connection to a database whose types have not changed since the driver read them, or None."""
    if url not in _databases:
        return None
    closed, before = _databases[url]
    connection = closed.adbc_clone()
    try:
        current = _types(connection)
    except BaseException:  # raised again
        connection.close()
        raise
    if current == before:
        return connection
    connection.close()
    _databases.pop(url)[0].close()
    return None


def _of_new(url: str) -> Connection:
    import adbc_driver_postgresql.dbapi  # loads pandas, which whoever only reads jobs has no use for

    database = adbc_driver_postgresql.dbapi.connect(url)
    try:
        _databases[url] = database, _types(database)
        return database.adbc_clone()
    finally:
        database.adbc_connection.close()  # the session ends; what the driver has read stays


def _types(connection: Connection) -> tuple[int, int]:
    """Return how many types the database has, and the number of the newest."""
    newest = sa.func.max(sa.cast(_TYPES.c.oid, sa.BigInteger))
    with connection.cursor() as cursor:
        cursor.execute(str(sa.select(sa.func.count(), newest).select_from(_TYPES)))
        count, last = cursor.fetchone()
    connection.rollback()
    return int(count), int(last)


@atexit.register
def _forget() -> None:
    """Close what is held of databases while the driver is still there to do it."""
    while _databases:
        _databases.popitem()[1][0].close()
