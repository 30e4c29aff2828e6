"""What a new job is asked for, and the columns that are named in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scoring.errors import JobFileError
from scoring.job import Kind
from scoring.stores.source import SourceTable
from scoring.validation import nearest


@dataclass(frozen=True)
class DraftRequest:
    """What is said of a job that begins from a table. What is not said is guessed."""

    name: str
    source: str
    table: str
    label: str
    keys: tuple[str, ...] = ()
    time: str | None = None
    kind: Kind = "events"
    task: str | None = None
    positive: str | None = None
    delay_days: int | None = None
    horizon_days: int | None = None
    timezone: str = "UTC"
    source_timezone: str = "UTC"


def column_named(table: SourceTable, name: str, option: str) -> str:
    """Return the name of a column as the table has it. Raises ``JobFileError`` that lists the columns."""
    names = [column.name for column in table.columns]
    alike = [other for other in names if other.lower() == name.lower()]
    if name in names or len(alike) == 1:
        return name if name in names else alike[0]
    meant = nearest(name, names)
    raise JobFileError(
        option,
        found=f"{name!r}, which is no column of {table.name}",
        expected=f"one of {listed(names)}",
        next_step=f"did you mean {meant}?" if meant else "",
    )


def listed(names: Sequence[str], most: int = 40) -> str:
    """Return names for a message, not more than it can hold.

    >>> listed(["a", "b"]), listed(["a", "b", "c"], 2)
    ('a, b', 'a, b and 1 more')
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
