"""Locks as rows of the warehouse's table ``locks``, which only those who may write can take. A killed process lets go at once.

A lock of PostgreSQL's own that stands for nothing (an advisory lock) could be taken by every login.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa

from scoring.errors import WarehouseUnavailable
from scoring.stores.warehouse.connection import Warehouse, holders, lock_refused, statement, translated


def take(connection: sa.Connection, name: str) -> None:
    """Hold a lock until the connection's transaction ends. Raises ``WarehouseUnavailable`` that says who holds it."""
    with _granted(connection, name):
        connection.execute(statement("take_lock"), {"name": name})


@contextmanager
def _granted(connection: sa.Connection, name: str) -> Iterator[None]:
    """Translate the refusal of a lock into ``WarehouseUnavailable`` that says who holds it."""
    try:
        yield
    except sa.exc.OperationalError as error:
        if not lock_refused(error):
            raise
        raise WarehouseUnavailable(
            f"lock of {name}",
            found=f"a lock timeout; it is held by {holders(connection.engine, 'lock_holders', name=name)}",
            expected="a holder that ends soon",
            next_step="try again once the holder is done; `select pg_terminate_backend(pid)` ends one that hangs",
        ) from None


def is_free(connection: sa.Connection, name: str) -> bool:
    """Return whether nobody else holds a lock; if so, it is held until the connection's transaction ends."""
    connection.execute(statement("make_lock"), {"name": name})
    return connection.execute(statement("try_lock"), {"name": name}).first() is not None


@contextmanager
def shared(warehouse: Warehouse, *names: str) -> Iterator[None]:
    """Hold locks, beside others who hold them like this, until the block ends or this process dies."""
    with _session(warehouse, *names) as connection:
        for name in names:
            with translated(), _granted(connection, name):
                connection.execute(statement("share_lock"), {"name": name})
        yield


@contextmanager
def tried(warehouse: Warehouse, name: str) -> Iterator[bool]:
    """Give whether nobody else holds a lock; if so, it is held until the block ends or this process dies."""
    with _session(warehouse, name) as connection:
        with translated():
            free = connection.execute(statement("try_lock"), {"name": name}).first() is not None
        yield free


@contextmanager
def _session(warehouse: Warehouse, *names: str) -> Iterator[sa.Connection]:
    """Give a connection in a transaction that may stay open for hours. The locks' rows are there for everybody."""
    with translated():
        connection = warehouse.engine.connect()
        connection.detach()  # a session of its own: the lock goes with it
    try:
        with translated():
            connection.execute(statement("stay_connected"))
            for name in names:
                connection.execute(statement("make_lock"), {"name": name})
            connection.commit()
        yield connection
    finally:
        with suppress(sa.exc.DBAPIError):  # a session that the server ended has let go already
            connection.close()


@contextmanager
def schema(warehouse: Warehouse) -> Iterator[sa.Connection]:
    """Give a connection in a transaction that holds the lock for changing tables, even before there is any table."""
    with warehouse.transaction() as connection:
        there = sa.inspect(connection).has_table("locks")
    if not there:
        with translated(), suppress(sa.exc.IntegrityError), warehouse.engine.begin() as connection:
            connection.execute(statement("create_locks"))  # two at the same moment: the second finds that it is there
    with warehouse.transaction() as connection:
        take(connection, "schema")
        yield connection
