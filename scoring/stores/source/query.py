"""``Query``: one statement of a job, as it lies in its file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from scoring.errors import SourceQueryError
from scoring.stores.source.sql_text import Statement, statement_of


@dataclass(frozen=True)
class Query:
    """One statement of a job: its file, the columns its result must have, and the keys it is ordered by."""

    path: Path
    columns: tuple[str, ...]
    order_by: tuple[str, ...]
    """Keys that the rows are ordered by. Without any they come as the source gives them."""
    text_keys: frozenset[str] = frozenset()
    """Keys ordered as bytes, so that the order is the same on every server whatever its collation."""
    timezone: str = "UTC"
    """The zone that times without one are in, in the source."""
    variable: str = ""
    """The environment variable that holds the source's URL."""
    types: Mapping[str, pa.DataType] = field(default_factory=dict, hash=False)
    """Declared type of each column, by name."""
    snapshot: bool = False
    """Whether the result is the state of every entity at the end of one night."""
    written: str | None = None
    """The SQL as it was when a run began, in place of what the file holds now."""

    @property
    def unordered(self) -> Query:
        """Return the query without an order of its rows."""
        return replace(self, order_by=())

    @property
    def name(self) -> str:
        """Return the path as people write it, ``sql/<job>/<statement>.sql``."""
        return f"sql/{self.path.parent.name}/{self.path.name}"

    @property
    def source(self) -> str:
        """Return the setting and the statement that lead to the source, for messages."""
        return f"source of {self.name}" if not self.variable else f"{self.variable} (source of {self.name})"

    @property
    def text(self) -> str:
        """Return the SQL as written, without a trailing semicolon."""
        if self.written is not None:
            return self.written
        try:
            text = self.path.read_text(encoding="utf-8-sig")  # editors may put a mark before it
        except OSError as error:
            raise SourceQueryError(self.name, found="no such file", expected="the job's SQL") from error
        except UnicodeDecodeError as error:
            raise SourceQueryError(self.name, found=str(error), expected="UTF-8 text") from error
        if "\0" in text:
            raise SourceQueryError(self.name, found="NUL bytes, as in UTF-16", expected="UTF-8 text")
        return text.strip().rstrip(";")

    def statement(self, database: str, text: str | None = None) -> Statement:
        """Return the statement in the SQL of ``database``. ``text`` is what stands for the SQL as written.

        Raises ``SourceQueryError`` for other parameters than allowed.
        """
        statement = statement_of(self.text if text is None else text, database, self.name)
        statement.require_parameters(self.name, snapshot=self.snapshot)
        return statement

    @property
    def sha256(self) -> str:
        """Return the hex sha256 of the SQL as written."""
        return hashlib.sha256(self.text.encode()).hexdigest()
