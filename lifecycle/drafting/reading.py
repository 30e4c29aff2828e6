"""How the values of a column are read: their type, and the SQL that makes text out of a form into plain values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.drafting.names_of_columns import looks_personal
from scoring.rows import ARROW_TYPES, read_as
from scoring.stores.source import TableColumn

Kind = Literal["bool", "int", "float", "text", "moment", "day", "empty", "unfit"]
NOT_A_VALUE = frozenset({"", "n/a", "nan", "null", "-", "--", "?", "#n/a"})
"""Texts that stand for no value, in small letters and without spaces around."""
NO_NUMBER = NOT_A_VALUE | {"na", "none", "unknown", ".", "nil", "missing"}
"""Texts that stand for no value among numbers, where nobody can take them for a level."""
SEEN = 2_000
"""Texts of a column that are looked at for mail addresses and phone numbers."""
WORDS = 4
"""Different texts that stand for no value, at most."""
_SIGNS = ("EUR", "USD", "GBP", "CHF", "€", "$", "£", "%", " ")
"""What may stand beside a number, of money or percent."""
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?")


@dataclass(frozen=True)
class Reading:
    """A column as a job reads it."""

    column: TableColumn
    kind: Kind
    values: pa.Array
    """The sample in Arrow's type for the kind; null where there is no value."""
    sql: str
    """The expression that gives the values."""
    notes: tuple[str, ...] = ()
    """What was done to the values, and why."""

    @property
    def name(self) -> str:
        """Return the column's name."""
        return self.column.name

    @property
    def null_share(self) -> float:
        """Return the share of rows without a value."""
        return self.values.null_count / len(self.values) if len(self.values) else 0.0

    @property
    def distinct(self) -> int:
        """Return how many different values there are."""
        return int(pc.count_distinct(self.values, mode="only_valid").as_py())


def read_column(column: TableColumn, values: pa.Array | None, zone: str) -> Reading:
    """Return how a column is read. ``values`` is its sample, None if it has none; times without a zone are in ``zone``."""
    if values is None or pa.types.is_binary(values.type):
        return Reading(column, "unfit", pa.nulls(0), column.sql, (f"type {column.type}",))
    if pa.types.is_null(values.type) or values.null_count == len(values):
        return Reading(column, "empty", values, column.sql, ("no value in the sample",))
    if pa.types.is_integer(values.type):
        truth = column.declared == "bool" and pc.all(pc.is_in(values, value_set=pa.array([0, 1, None]))).as_py()
        return Reading(column, "bool" if truth else "int", pc.cast(values, pa.bool_()) if truth else values, column.sql)
    if pa.types.is_floating(values.type):
        return _read_floats(column, values)
    return _read_text(column, values, zone)


def _read_floats(column: TableColumn, values: pa.Array) -> Reading:
    """Return numbers, of which NaN is no value: files that other programs wrote have it in place of null."""
    if not pc.any(pc.is_nan(values)).as_py():
        return Reading(column, "float", values, column.sql)
    text = f"lower(cast({column.sql} as varchar))"  # databases do not agree on what NaN is compared with
    sql = f"cast(nullif({text}, 'nan') as double precision)"
    return Reading(column, "float", pc.if_else(pc.is_nan(values), None, values), sql, ("NaN read as null",))


def _read_text(column: TableColumn, values: pa.Array, zone: str) -> Reading:
    if column.declared in ("bool", "int", "float", "moment", "day"):
        kind: Kind = column.declared
        return Reading(column, kind, _cast(values, kind, column.name, zone), column.sql)
    texts = [text for text in pc.unique(values).to_pylist() if text is not None]
    personal = looks_personal(column.name, texts[:SEEN]) is not None  # a phone number is no number
    return (
        _as_times(column, values, texts, zone)
        or (None if personal else _as_numbers(column, values, texts))
        or _as_levels(column, values, texts)
    )


def _cast(values: pa.Array, kind: str, name: str, zone: str = "UTC") -> pa.Array:
    arrow = {"moment": "datetime", "day": "date"}.get(kind, kind)
    return read_as(values, ARROW_TYPES[arrow], name, zone)[0]


def _as_times(column: TableColumn, values: pa.Array, texts: Sequence[str], zone: str) -> Reading | None:
    """Return text that holds points in time as ISO 8601 writes them, or None."""
    valid = [text for text in texts if text.strip()]
    if not valid or not all(_TIME.fullmatch(text) for text in valid):
        return None
    kind: Kind = "day" if all(len(text) == len("2024-01-31") for text in valid) else "moment"
    sql = _without_words(column.sql, [text for text in texts if not text.strip()])
    return Reading(column, kind, _cast(values, kind, column.name, zone), sql, ("text that holds times",))


def _as_numbers(column: TableColumn, values: pa.Array, texts: Sequence[str]) -> Reading | None:
    """Return text that holds numbers, or None: also with decimal commas, signs of money or percent, and words for none."""
    words = [text for text in texts if text.strip().lower() in NO_NUMBER]
    numbers = [text.strip() for text in texts if text not in words]
    if not numbers or len(words) > WORDS or any(re.fullmatch(r"[+-]?0\d+", number) for number in numbers):
        return None
    sql, notes = _without_words(column.sql, words), ["text that holds numbers"]
    for sign in [sign for sign in _SIGNS if any(sign in number for number in numbers)]:
        numbers = [number.replace(sign, "") for number in numbers]
        sql, notes = f"replace({sql}, '{sign}', '')", [*notes, f"without {sign!r}"]
    commas = [number for number in numbers if "," in number]
    if commas and all(_THOUSANDS.fullmatch(number) for number in commas):
        sql, notes = f"replace({sql}, ',', '')", [*notes, "with commas between thousands"]
        numbers = [number.replace(",", "") for number in numbers]
    elif commas:
        points = "." in "".join(numbers)
        sql = f"replace(replace({sql}, '.', ''), ',', '.')" if points else f"replace({sql}, ',', '.')"
        notes.append("with decimal commas")
        numbers = [number.replace(".", "").replace(",", ".") for number in numbers]
    read = _cast(pa.array(numbers, pa.string()), "float", column.name)
    if read.null_count:
        return None
    if words:
        notes.append(f"{', '.join(map(repr, words))} read as null")
    plain = dict(zip([text for text in texts if text not in words], read.to_pylist(), strict=True))
    found = pa.array([plain.get(text) for text in values.to_pylist()], pa.float64())
    whole = not commas and all(re.fullmatch(r"[+-]?\d{1,15}", number) for number in numbers)
    return Reading(
        column, "int" if whole else "float", pc.cast(found, pa.int64()) if whole else found, sql, tuple(notes)
    )


def _as_levels(column: TableColumn, values: pa.Array, texts: Sequence[str]) -> Reading:
    """Return text as levels: those that differ in case or spaces only are made one."""
    words = [text for text in texts if text.strip().lower() in NOT_A_VALUE]
    levels = [text for text in texts if text not in words]
    sql, notes = column.sql, []
    folded = {text: text.strip().lower() for text in levels}
    if column.is_text and len(words) <= WORDS:
        sql = _without_words(sql, words)
        notes += [f"{', '.join(map(repr, words))} read as null"] if words else []
        if len({*folded.values()}) < len(levels):
            sql = f"lower(trim({sql}))"
            notes.append(
                f"{len(levels)} spellings of {len({*folded.values()})} levels: in small letters, without spaces around"
            )
        else:
            folded = {text: text for text in levels}
        values = pa.array([folded.get(text) for text in values.to_pylist()], pa.string())
    return Reading(column, "text", values, sql, tuple(notes))


def _without_words(sql: str, words: Sequence[str]) -> str:
    for word in words:
        sql = "nullif({}, '{}')".format(sql, word.replace("'", "''"))
    return sql
