"""``SourceTable``: a table of a source, as a new job begins from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Declared = Literal["bool", "int", "float", "text", "moment", "day", "any", "unfit"]
"""What a column's declared type can hold. ``any``: its values tell (SQLite); ``unfit``: nothing that a model reads."""
SAMPLE_ROWS = 20_000
SAMPLE_VALUES = 2_000_000
"""Values that a sample has at most: a table of 300 columns gets fewer rows."""


@dataclass(frozen=True)
class TableColumn:
    """One column as the database declares it."""

    name: str
    type: str
    """The type's name in the database."""
    declared: Declared
    nullable: bool
    sql: str
    """The name as SQL has it, in quotes where it needs them."""
    is_text: bool = False
    """Whether functions of text take it as it is, which an enum's or a uuid's values they do not."""


@dataclass(frozen=True)
class SourceTable:
    """A table or view of a source, and a sample of it. Times in the sample are text, as ISO 8601 writes them."""

    name: str
    database: str
    """SQLAlchemy's name of the kind of database."""
    sql: str
    """What stands behind ``from`` in a statement."""
    columns: tuple[TableColumn, ...]
    primary_key: tuple[str, ...]
    rows: pa.Table
    """The columns that are fit to be read."""
    whole: bool
    """Whether the sample is the whole table."""
    spread: bool
    """Whether the sample comes from all over the table, not from its beginning only."""
    estimate: int | None
    """About how many rows the table has, if that is known without counting."""

    @property
    def by_name(self) -> dict[str, TableColumn]:
        """Return the columns by name."""
        return {column.name: column for column in self.columns}
