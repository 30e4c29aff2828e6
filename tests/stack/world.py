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
        password = (self.stack.folder / "secrets/postgres_password").read_text()
        with psycopg.connect(
            host="127.0.0.1",
            port=self.stack.ports["postgres"],
            dbname=database,
            user="postgres",
            password=password,
        ) as connection:
            return connection.execute(statement).fetchall()
