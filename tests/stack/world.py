"""A stack that runs, and who works with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from tests.stack.api import User
from tests.stack.native import Stack


@dataclass
class World:
    """A stack that runs, and who works with it."""

    stack: Stack
    admin: User
    users: dict[str, User]

    def rows(self, database: str, statement: str) -> list[Any]:
        """Return what a statement gives as superuser of the stack's PostgreSQL."""
        with self._connected(database) as connection:
            return connection.execute(statement).fetchall()

    def change(self, database: str, statement: str) -> None:
        """Run a statement without a result as superuser of the stack's PostgreSQL."""
        with self._connected(database) as connection:
            connection.execute(statement)

    def _connected(self, database: str) -> psycopg.Connection[Any]:
        password = (self.stack.folder / "secrets/postgres_password").read_text()
        return psycopg.connect(
            host=self.stack.host,
            port=self.stack.ports["postgres"],
            dbname=database,
            user="postgres",
            password=password,
        )
