"""The embedded PostgreSQL seen from outside: its CPU seconds, its WAL, its sizes. Linux only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg

from scoring.stores import embedded

_TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """The embedded PostgreSQL, seen from outside: its CPU seconds, its WAL, its sizes."""

    def __init__(self, folder: Path) -> None:
        self._url = embedded.url(folder, "warehouse").replace("+psycopg", "")
        self._postmaster = int((folder / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])

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
        own = _ticks(self._postmaster)
        children = (_ticks(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        running = sum(user + system for parent, user, system, *_ in children if parent == self._postmaster)
        return (running + sum(own[1:])) / _TICKS

    def wal_bytes(self) -> int:
        """Return how many bytes of WAL were written so far."""
        return int(self.administer("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0])

    def mebibytes(self, table: str) -> float:
        """Return the size of a table, its partitions and indexes."""
        query = f"select sum(pg_total_relation_size(relid)) from pg_partition_tree('{table}')"
        return float(self.administer(query)[0][0]) / 2**20


def backend_seconds(connection: psycopg.Connection[Any]) -> float:
    """Return the CPU seconds so far of the server's process behind a connection."""
    _, user, system, *_ = _ticks(connection.info.backend_pid)
    return (user + system) / _TICKS


def _ticks(pid: int) -> tuple[int, int, int, int, int]:
    """Return the parent of a process, and its ticks: user, system, and those of its children that ended. 0s if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return (0, 0, 0, 0, 0)
    parent, user, system, children_user, children_system = (int(fields[place]) for place in (1, 11, 12, 13, 14))
    return parent, user, system, children_user, children_system
