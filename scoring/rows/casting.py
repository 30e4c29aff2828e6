"""Casts a source's columns to the declared types. Equal values give equal results, whatever else their batch holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from scoring.errors import ContractError
from scoring.rows.local_times import moments
from scoring.rows.value_text import text_of

ARROW_TYPES: Mapping[str, pa.DataType] = {
    "float": pa.float64(),
    "int": pa.int64(),
    "bool": pa.bool_(),
    "category": pa.string(),
    "string": pa.string(),
    "datetime": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
}
_NUMBER = r"^\s*[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|[iI]nf(inity)?|[nN]a[nN])\s*$"
_TRUTH = r"^(true|false|t|f|[01](\.0*)?)$"
_TRUE = r"^(true|t|1(\.0*)?)$"
_WHOLE = r"^\s*[+-]?0*\d{1,18}(\.0*)?\s*$"
_LONGEST = r"^\s*[+-]?0*\d{19}(\.0*)?\s*$"
"""Matches whole numbers of 19 digits, of which some fit into 64 bits."""
_OFFSET = r"(Z|[+-]\d{2}(:?[0-5]\d)?)"
_TIMESTAMP = rf"^\d{{4}}-\d{{2}}-\d{{2}}([ T]\d{{2}}:\d{{2}}(:\d{{2}}(\.\d{{1,6}})?)?{_OFFSET}?)?$"
_CALENDAR = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def read_as(column: pa.Array, target: pa.DataType, name: str, zone: str = "UTC") -> tuple[pa.Array, pa.Array]:
    """Return the column in the declared type, unreadable values null, and a mask of the unreadable values.

    Times without a zone are in ``zone``.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        cast = text_of(column)[0] if target == pa.string() else _in_calendar(_read(column, target, zone))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ContractError(
            f"column {name!r}: wrong type",
            found=str(column.type),
            expected=str(target),
            next_step=f"cast {name} in the SQL, or change its type in the job file",
        ) from error
    return cast, pc.and_not(pc.is_valid(column), pc.is_valid(cast))


def _read(column: pa.Array, target: pa.DataType, zone: str) -> pa.Array:
    if column.type == target:
        return column
    number = pa.types.is_integer(target) or pa.types.is_floating(target)
    if _is_text(column.type) or (number and pa.types.is_decimal(column.type)):  # which a float would round
        column = text_of(column)[0]
    readable = _readable(column, target)
    if readable is not None:
        column = pc.if_else(readable, column, pa.scalar(None, column.type))
    return _cast(column, target, zone)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _readable(column: pa.Array, target: pa.DataType) -> pa.Array | None:
    """Return which values can be read as ``target``, or None when Arrow's cast decides for the whole column."""
    if _is_text(column.type):
        return _readable_text(column, target)
    if pa.types.is_integer(target) and pa.types.is_floating(column.type):
        number = pc.cast(column, pa.float64())
        return pc.and_(pc.equal(pc.floor(number), number), pc.less(pc.abs(number), 2.0**53))
    if pa.types.is_boolean(target) and pa.types.is_integer(column.type):
        return pc.is_in(column, value_set=pa.array([0, 1], column.type))
    return None


def _readable_text(column: pa.Array, target: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(target):
        return pc.match_substring_regex(pc.utf8_lower(column), _TRUTH)
    if pa.types.is_floating(target):
        return pc.match_substring_regex(column, _NUMBER)
    if pa.types.is_integer(target):
        short = pc.match_substring_regex(column, _WHOLE)
        return pc.if_else(pc.match_substring_regex(column, _LONGEST), _fits(column), short)
    return pc.match_substring_regex(column, _TIMESTAMP)


def _fits(column: pa.Array) -> pa.Array:
    """Return which texts of 19 digits are integers of 64 bits."""
    long = pc.match_substring_regex(column, _LONGEST)
    if not pc.any(long).as_py():
        return long
    texts = pc.if_else(long, column, pa.scalar("0", pa.string())).to_pylist()
    return pa.array([None if text is None else -(2**63) <= int(text.partition(".")[0]) < 2**63 for text in texts])


def _cast(column: pa.Array, target: pa.DataType, zone: str) -> pa.Array:
    text = _is_text(column.type)
    if text and pa.types.is_boolean(target):
        return pc.match_substring_regex(pc.utf8_lower(column), _TRUE)
    if text:
        column = pc.utf8_trim_whitespace(column)
    if text and pa.types.is_integer(target):
        column = pc.replace_substring_regex(column, r"^\+|\.0*$", "")
    if text and pa.types.is_temporal(target):
        return _parse_times(column, target, zone)
    if pa.types.is_timestamp(column.type) and column.type.tz is None and pa.types.is_timestamp(target):
        return pc.cast(moments(column, zone), target)
    if pa.types.is_floating(column.type) and pa.types.is_boolean(target):
        raise pa.ArrowInvalid("a float is not a bool")
    if pa.types.is_date(column.type) and pa.types.is_timestamp(target):
        return pc.cast(moments(pc.cast(column, pa.timestamp("us"), safe=False), zone), target)
    if pa.types.is_temporal(column.type) and not pa.types.is_temporal(target):
        raise pa.ArrowInvalid("a point in time is neither a number nor a bool")
    if pa.types.is_temporal(target) and not (pa.types.is_temporal(column.type) or pa.types.is_null(column.type)):
        raise pa.ArrowInvalid("a number is no point in time: of which unit?")
    rounds = pa.types.is_integer(column.type) and pa.types.is_floating(target)
    return pc.cast(column, target, safe=not rounds)


def _in_calendar(column: pa.Array) -> pa.Array:
    """Return the column with times outside the years 1 to 9999 null, such as what PostgreSQL's infinity arrives as."""
    if not pa.types.is_temporal(column.type):
        return column
    first, last = (pa.scalar(end, column.type) for end in _CALENDAR)
    inside = pc.and_(pc.greater_equal(column, first), pc.less_equal(column, last))
    return pc.if_else(inside, column, pa.scalar(None, column.type))


def _parse_times(column: pa.Array, target: pa.DataType, zone: str) -> pa.Array:
    """Return times in text as UTC. Text without an offset is in ``zone``, except for a date column."""
    offset = pc.match_substring_regex(column, f":.*{_OFFSET}$")
    none = pa.scalar(None, pa.string())
    try:
        zoned = pc.cast(pc.if_else(offset, column, none), pa.timestamp("us", "UTC"))
        naive = pc.cast(pc.if_else(offset, none, column), pa.timestamp("us"))
    except pa.ArrowInvalid:  # a day that does not exist, 2013-02-30: find which rows
        parsed = [_parse_time(value) for value in column.to_pylist()]
        zoned = pa.array([at if at and at.tzinfo else None for at in parsed], pa.timestamp("us", "UTC"))
        naive = pa.array([None if at and at.tzinfo else at for at in parsed], pa.timestamp("us"))
    return pc.cast(pc.coalesce(zoned, moments(naive, zone if pa.types.is_timestamp(target) else "UTC")), target)


def _parse_time(value: str | None) -> datetime | None:
    try:
        return None if value is None else datetime.fromisoformat(value)
    except ValueError:
        return None
