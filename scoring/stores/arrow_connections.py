"""Connections to PostgreSQL through ADBC, which gives and takes Arrow."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adbc_driver_postgresql.dbapi import Connection


def arrow_connection(url: str) -> Connection:
    """Return a new connection to the database at a libpq URL. Its types are read at the first one of the process.

    Reading them, and the columns of every table, took 35 ms of this process and as much of the server's at each connection.
    """
    return _database(url).adbc_clone()


@cache
def _database(url: str) -> Connection:
    """Return a connection that is closed already, and holds what the driver knows of the database."""
    import adbc_driver_postgresql.dbapi  # loads pandas, which whoever only reads jobs has no use for

    connection = adbc_driver_postgresql.dbapi.connect(url)
    connection.adbc_connection.close()
    return connection
