"""The time column of a table: a moment or a calendar day, how the SQL compares it, and the days that it covers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.drafting.names_of_columns import words_of_name
from lifecycle.drafting.reading import Reading
from lifecycle.drafting.request import DraftRequest, listed
from scoring.errors import JobFileError
from scoring.rows import ARROW_TYPES, read_as
from scoring.stores.source import SourceTable

_UNIX = ((1e8, 1e11, 1), (1e11, 1e14, 1000))
"""Ranges of whole numbers that are seconds or thousandths since 1970: of 1973 to 5138."""
_FROM_UNIX: dict[str, str] = {
    "sqlite": "datetime({0}{1}, 'unixepoch')",
    "postgresql": "to_timestamp({0}{1})",
    "duckdb": "to_timestamp({0}{1})",
    "mysql": "from_unixtime({0}{1})",
    "mariadb": "from_unixtime({0}{1})",
}
_WHEN_TEXT = "created time timestamp date at ts datetime event occurred ordered placed purchase moment"
_WHEN = frozenset(_WHEN_TEXT.split())
_LATER_TEXT = "updated modified deleted closed delivered shipped paid birth dob expires due end ended finished"
_LATER = frozenset(_LATER_TEXT.split())


@dataclass(frozen=True)
class TimeColumn:
    """The column by which rows belong to a night."""

    name: str
    by_day: bool
    """Whether it is a calendar day, compared with ``:night``."""
    key_sql: str
    """The expression that is selected."""
    where_sql: str
    """The expression that is compared."""
    values: pa.Array
    """Moments in UTC or days, of the sample."""
    notes: tuple[str, ...] = ()

    @property
    def key_type(self) -> str:
        """Return its type as a key."""
        return "date" if self.by_day else "datetime"


def time_column(table: SourceTable, readings: Mapping[str, Reading], name: str, request: DraftRequest) -> TimeColumn:
    """Return the column ``name`` as a time. Raises ``JobFileError`` if its values are none."""
    reading = readings[name]
    if reading.kind == "int":
        return _unix(table, reading)
    if reading.kind not in ("moment", "day"):
        raise JobFileError(
            "--time",
            found=f"{name}, a column of type {reading.column.type} whose values are no times that can be compared",
            expected=f"moments, days, or text as ISO 8601 writes them; {_candidates_in_words(readings)}",
            next_step="give another column, or a view that casts it",
        )
    values = reading.values
    zones_differ = request.timezone != request.source_timezone
    if reading.kind == "moment" and zones_differ and _at_midnight(values, request.source_timezone):
        moments = TimeColumn(name, False, reading.sql, reading.sql, values)
        days = nights_of_rows(moments, request.source_timezone)
        day_sql = f"date({reading.sql})" if table.database == "sqlite" else f"cast({reading.sql} as date)"
        note = "every value is midnight: it is a calendar day"
        return TimeColumn(name, True, day_sql, day_sql, days, (*reading.notes, note))
    sql = reading.sql
    if reading.column.declared == "text":  # a database that tells text from times
        sql = f"cast({sql} as {'date' if reading.kind == 'day' else 'timestamp'})"
    where = sql
    if table.database == "sqlite" and reading.kind == "moment" and _several_forms(table.rows.column(name)):
        where = f"datetime({sql})"
    return TimeColumn(name, reading.kind == "day", sql, where, values, reading.notes)


def _unix(table: SourceTable, reading: Reading) -> TimeColumn:
    """Return a column of seconds or thousandths since 1970 as moments."""
    ends = pc.min_max(reading.values).as_py()
    parts = next((p for low, high, p in _UNIX if low <= ends["min"] and ends["max"] < high), None)
    template = _FROM_UNIX.get(table.database)
    if parts is None or template is None:
        raise JobFileError(
            "--time",
            found=f"{reading.name}, numbers from {ends['min']} to {ends['max']}",
            expected="moments, days, or seconds since 1970",
            next_step="give another column, or a view that makes a time of it",
        )
    sql = template.format(reading.sql, "" if parts == 1 else f" / {parts}")
    where = reading.sql if table.database == "sqlite" else sql  # the parameter takes the form of what is compared
    unit = "seconds" if parts == 1 else "thousandths of a second"
    values = pc.cast(pc.cast(pc.divide(reading.values, parts), pa.timestamp("s", "UTC")), ARROW_TYPES["datetime"])
    return TimeColumn(reading.name, False, sql, where, values, (f"{unit} since 1970",))


def _at_midnight(values: pa.Array, zone: str) -> bool:
    local = pc.local_timestamp(pc.cast(values.drop_null(), pa.timestamp("us", zone)))
    return len(local) > 0 and bool(pc.all(pc.equal(pc.floor_temporal(local, unit="day"), local)).as_py())


def _several_forms(raw: pa.ChunkedArray) -> bool:
    """Return whether times in text are written in several ways, which cannot be compared as text."""
    shapes = {re.sub(r"\.\d+", "", re.sub(r"\d(?!\.)", "0", text)) for text in pc.unique(raw).to_pylist() if text}
    return len(shapes) > 1


def candidates(readings: Mapping[str, Reading]) -> list[str]:
    """Return the columns that hold times, those first whose name says when a row came to be."""

    def rank(name: str) -> tuple[int, int, int]:
        words = {*words_of_name(name)}
        return (bool(words & _LATER), not (words & _WHEN), readings[name].values.null_count > 0)

    return sorted((name for name, reading in readings.items() if reading.kind in ("moment", "day")), key=rank)


def _candidates_in_words(readings: Mapping[str, Reading]) -> str:
    names = candidates(readings)
    return f"in this table {listed(names)}" if names else "this table has no such column"


def guessed_time(readings: Mapping[str, Reading], label: str) -> str:
    """Return the time column of events by guess. Raises ``JobFileError`` when there is none or more than one may be meant."""
    names = [name for name in candidates(readings) if name != label]
    first = [name for name in names if {*words_of_name(name)} & _WHEN and not {*words_of_name(name)} & _LATER]
    if len(names) == 1 or len(first) == 1:
        return names[0] if len(names) == 1 else first[0]
    raise JobFileError(
        "--time",
        found="none given, and " + (f"several columns of times: {listed(names)}" if names else "no column of times"),
        expected="the column that says in which night a row happened",
        next_step="add --time and one of these" if names else "for rows without a time: --kind snapshot",
    )


@dataclass(frozen=True)
class Days:
    """The days of a table: of its rows, and of those whose outcome is known."""

    first: date
    last: date
    last_labelled: date | None
    from_sample: bool = False

    def until(self, day: date) -> Days:
        """Return the days without those after ``day``."""
        labelled = min(self.last_labelled, day) if self.last_labelled else None
        return replace(self, last=min(self.last, day), last_labelled=labelled)


def days_of(
    column: TimeColumn, label_known: str, request: DraftRequest, ask: Callable[[str, str], tuple[Any, Any]], today: date
) -> Days:
    """Return the days that the table covers, before ``today``. ``ask`` gives the ends of an expression under a condition.

    Where the database takes too long, and for days outside of the years in which the sample lies, the sample counts.
    """
    sampled = column.values.drop_null()
    ends = pc.min_max(sampled).as_py()
    inside = [_day(ends[name], request.timezone) for name in ("min", "max")]
    never, known = f"{column.where_sql} is not null", f"{column.where_sql} is not null and {label_known}"
    all_rows, labelled = (_days(ask(column.key_sql, condition), column, request) for condition in (never, known))
    first, last = all_rows or inside
    if inside[0].year - first.year > 10:  # 1900-01-01 stands for no day
        first = inside[0]
    last_labelled = labelled[1] if labelled else None
    return Days(min(first, today), max(last, first), last_labelled, all_rows is None).until(today)


def _days(ends: tuple[Any, Any], column: TimeColumn, request: DraftRequest) -> list[date] | None:
    if ends[0] is None:
        return None
    kind = ARROW_TYPES[column.key_type]
    read, _ = read_as(pa.array([str(end) for end in ends]), kind, column.name, request.source_timezone)
    return None if read.null_count else [_day(value, request.timezone) for value in read.to_pylist()]


def _day(value: date | datetime, zone: str) -> date:
    return value.astimezone(ZoneInfo(zone)).date() if isinstance(value, datetime) else value


def nights_of_rows(column: TimeColumn, zone: str) -> pa.Array:
    """Return the day of every row of the sample, in a zone."""
    if column.by_day:
        return column.values
    return pc.cast(pc.local_timestamp(pc.cast(column.values, pa.timestamp("us", zone))), pa.date32(), safe=False)
