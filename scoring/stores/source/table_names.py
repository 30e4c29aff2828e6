"""Finds a table by the name that a person gives: with or without schema, quotes, or the right case."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

LISTED = 20
"""Names of tables that a message lists at most."""
_PART = re.compile(r'"((?:[^"]|"")+)"|`([^`]+)`|\[([^\]]+)\]|([^.]+)')


@dataclass(frozen=True)
class Place:
    """Where a table or view lies: its name and its schema, or None for the one that the database looks into by itself."""

    name: str
    schema: str | None

    @property
    def table(self) -> sa.TableClause:
        """Return the table for a statement."""
        return sa.table(self.name, schema=self.schema)


def parts_of(name: str) -> list[str]:
    """Return the parts of a name with dots, without their quotes.

    >>> parts_of('public."Order Items"'), parts_of("orders")
    (['public', 'Order Items'], ['orders'])
    """
    return ["".join(match.groups(default="")).replace('""', '"') for match in _PART.finditer(name)]


def find_table(connection: sa.Connection, name: str) -> Place | None:
    """Return where the table or view ``name`` lies, or None. In another case it is found if just one is called so."""
    inspector = sa.inspect(connection)
    for place in _readings(name):
        if inspector.has_table(place.name, place.schema):
            return place
    for place in _readings(name):
        alike = [other for other in names_in(connection, place.schema) if other.lower() == place.name.lower()]
        if len(alike) == 1:
            return Place(alike[0], place.schema)
    return None


def _readings(name: str) -> Iterator[Place]:
    """Yield the ways to read a name: as it is, then with what stands before the last dot as schema."""
    yield Place(name, None)
    parts = parts_of(name)
    if parts and parts != [name]:
        yield Place(parts[-1], ".".join(parts[:-1]) or None)


def names_in(connection: sa.Connection, schema: str | None) -> list[str]:
    """Return the tables and views of a schema. None of a schema that is not there."""
    inspector = sa.inspect(connection)
    if schema is not None and schema not in inspector.get_schema_names():
        return []
    return sorted({*inspector.get_table_names(schema), *inspector.get_view_names(schema)})


def near_names(connection: sa.Connection, name: str) -> tuple[list[str], str]:
    """Return names that are alike, in any schema, and the names that there are, as a message lists them."""
    inspector = sa.inspect(connection)
    default = inspector.default_schema_name
    plain = names_in(connection, None)
    others = [
        f"{schema}.{table}"
        for schema in inspector.get_schema_names()
        if schema not in (default, "information_schema") and connection.dialect.name != "sqlite"
        for table in names_in(connection, schema)
    ]
    everything = [*plain, *others]
    short = {table.lower().rpartition(".")[2]: table for table in reversed(everything)}
    wanted = (parts_of(name) or [name])[-1].lower()
    near = [short[match] for match in difflib.get_close_matches(wanted, short, 3, 0.6)]
    listed = ", ".join(everything[:LISTED]) or "none at all"
    return near, listed if len(everything) <= LISTED else f"{listed} and {len(everything) - LISTED} more"
