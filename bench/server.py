"""The embedded PostgreSQL seen from outside: its CPU seconds, its WAL, its sizes. Linux only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench.usage import Cluster, cpu_seconds
from scoring.stores import embedded


class Server:
    """The embedded PostgreSQL, seen from outside: its CPU seconds, its WAL, its sizes."""

    def __init__(self, folder: Path) -> None:
        self._url = embedded.url(folder, "warehouse").replace("+psycopg", "")
        self._cluster = Cluster(folder)

    def connect(self) -> psycopg.Connection[Any]:
        """Return a new connection of the administrator."""
        return psycopg.connect(self._url, autocommit=True)

    def administer(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements, each in a transaction of its own, and return the rows of the last if it has any."""
        with self.connect() as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all of the server's processes so far, those that ended included."""
        return self._cluster.cpu_seconds()

    def wal_bytes(self) -> int:
        """Return how many bytes of WAL were written so far."""
        return int(self.administer("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0])

    def mebibytes(self, table: str) -> float:
        """Return the size of a table, its partitions and indexes."""
        query = f"select sum(pg_total_relation_size(relid)) from pg_partition_tree('{table}')"
        return float(self.administer(query)[0][0]) / 2**20


def backend_seconds(connection: psycopg.Connection[Any]) -> float:
    """Return the CPU seconds so far of the server's process behind a connection."""
    return cpu_seconds(psutil.Process(connection.info.backend_pid))
