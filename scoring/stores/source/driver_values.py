"""Values as a database driver gives them in Python, as Arrow arrays: each is read alike, whatever stands beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from scoring.errors import ContractError
from scoring.rows import as_found

_ARROW: dict[type, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
}


def column_of(values: Sequence[Any], target: pa.DataType | None, name: str) -> pa.Array:
    """Return the values of a column. ``target`` is the type that it will be read as, None if nobody reads it.

    Numbers, text and bytes stay what they are where all are of one kind and reading them is the same as reading their
    text; everything else becomes its text. Raises ``ContractError`` for a list or a mapping in a column that is read.

    >>> column_of([1, 2.5, None, "x", 1.0], pa.string(), "size").to_pylist()
    ['1', '2.5', None, 'x', '1']
    """
    kinds = _kinds(values)
    if kinds - set(_ARROW):
        values = [_plain(value, target, name) for value in values]
        kinds = _kinds(values)
    if not kinds:
        return pa.nulls(len(values))
    kind = next(iter(kinds))
    if len(kinds) == 1 and _keeps(kind, target):
        try:
            return pa.array(values, _ARROW[kind])
        except OverflowError:  # an integer of more than 64 bits
            return pa.array([None if value is None else str(value) for value in values], pa.string())
    if bytes in kinds and _is_text(target):
        return pa.array([text.encode() if isinstance(text, str) else text for text in _texts(values)], pa.binary())
    return pa.array([str(text) if isinstance(text, bytes) else text for text in _texts(values)], pa.string())


def _kinds(values: Iterable[Any]) -> set[type]:
    return set(map(type, values)) - {type(None)}


def _keeps(kind: type, target: pa.DataType | None) -> bool:
    """Return whether values of a kind are read as their text would be."""
    number = target is not None and (pa.types.is_integer(target) or pa.types.is_floating(target))
    return kind is str or _is_text(target) or (number and kind in (int, float))


def _is_text(target: pa.DataType | None) -> bool:
    return target is None or pa.types.is_string(target)


def _texts(values: Sequence[Any]) -> list[str | bytes | None]:
    """Return the text of integers, floats and text, and bytes unchanged."""
    floats = [value for value in values if isinstance(value, float)]
    written = iter(as_found(pa.array(floats, pa.float64())).to_pylist())
    return [next(written) if isinstance(v, float) else str(v) if isinstance(v, int) else v for v in values]


def _plain(value: Any, target: pa.DataType | None, name: str) -> Any:
    """Return an integer, a float, text, bytes or None for a value of any type."""
    if value is None or type(value) in _ARROW:
        return value
    if isinstance(value, bool):
        truth = target is None or not (pa.types.is_integer(target) or pa.types.is_floating(target))
        return str(value).lower() if truth else int(value)
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if isinstance(value, datetime | date | time):
        return _written(value)
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else str(float(value))
    if isinstance(value, list | tuple | set | dict) and target is not None:
        raise ContractError(
            f"column {name!r}: wrong type",
            found=f"a {type(value).__name__}",
            expected=str(target),
            next_step=f"select a single value for {name} in the SQL",
        )
    return str(value)


def _written(value: datetime | date | time) -> str:
    """Return a point in time as Arrow writes it, moments in UTC."""
    if not isinstance(value, datetime):
        return value.isoformat("microseconds") if isinstance(value, time) else value.isoformat()
    if value.tzinfo is None:
        return value.isoformat(" ", "microseconds")
    try:
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds") + "Z"
    except OverflowError:  # outside of the years 1 to 9999, in UTC
        return value.isoformat(" ", "microseconds")


def text_or_bytes(raw: bytes) -> str | bytes:
    """Return what SQLite keeps as text. Bytes that are not UTF-8 as they are, where its driver would end the night."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
