"""Opens a database through SQLAlchemy for reading only: a file that is missing is not made, nothing can be written."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from scoring.errors import SettingsError
from scoring.stores.source.driver_values import text_or_bytes


def require_file(url: sa.URL, where: str) -> None:
    """Raise ``SettingsError`` when the file of a SQLite source is missing, since SQLite would make an empty one."""
    name = url.database or ""
    if url.get_backend_name() != "sqlite" or name.startswith(("file:", ":memory:")) or Path(name).is_file():
        return
    raise SettingsError(
        where,
        found=f"no file {str(Path(name).absolute())!r}" if name else "no file",
        expected="a SQLite database",
        next_step="correct the path in the URL: sqlite:///folder/file.db, or sqlite:////folder/file.db from the root",
    )


def make_read_only(connection: sa.Connection) -> None:
    """Let the connection read only, where its database knows such a setting."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("pragma query_only = on")
        connection.connection.driver_connection.text_factory = text_or_bytes  # type: ignore[union-attr]
    elif connection.dialect.name in ("mysql", "mariadb", "oracle"):
        connection.exec_driver_sql("set transaction read only")
