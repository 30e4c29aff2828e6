"""PostgreSQL's types in Arrow: which can be read, and how types unknown to Arrow become text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from scoring.errors import ContractError

_UNNAMED = re.compile(r"unnamed<oid:(\d+)>")
_HINTS = {
    "json": "take one value of it, such as {0} ->> 'key'",
    "jsonb": "take one value of it, such as {0} ->> 'key'",
    "money": "cast it: {0}::numeric",
    "interval": "make a number of it: extract(epoch from {0})",
}
TEXT_SENDERS = frozenset({"textsend", "varcharsend", "bpcharsend", "namesend", "enum_send"})
"""Functions of PostgreSQL that send a value as its text, also used by extensions' types such as citext."""


def opaque_types(schema: pa.Schema, columns: Iterable[str]) -> tuple[set[str], set[int]]:
    """Return the types of the columns whose values the driver does not know: their names, and their numbers if unnamed."""
    names = {_name_of(schema.field(name)) for name in columns if _is_opaque(schema.field(name))}
    numbers = {int(match[1]) for match in map(_UNNAMED.fullmatch, names) if match}
    return names, numbers


def require_values(where: str, schema: pa.Schema, columns: Iterable[str], types: Mapping[str, tuple[str, str]]) -> None:
    """Raise ``ContractError`` for a column whose values have no plain form, such as an array, json, interval, inet.

    ``types`` are the opaque types with the function that sends their values, by the driver's name of the type.
    """
    for name in columns:
        driver_name = _name_of(schema.field(name))
        kind, sender = types.get(driver_name, (driver_name, ""))
        if not _is_opaque(schema.field(name)) or sender in TEXT_SENDERS:
            continue
        hint = _HINTS.get(kind, "cast it: {0}::text").format(name)
        raise ContractError(
            f"{where}: column {name!r}: wrong type",
            found=kind,
            expected="text, a number, a boolean, a date, a time or a uuid",
            next_step=f"{hint}, in the SQL",
        )


def _is_opaque(field: pa.Field) -> bool:
    kind = field.type
    if isinstance(kind, pa.OpaqueType):  # such as numeric, which comes as text, and inet, which comes as bytes
        return not pa.types.is_string(kind.storage_type)
    nested = pa.types.is_nested(kind) or pa.types.is_interval(kind) or pa.types.is_duration(kind)
    return nested or _name_of(field) in ("json", "jsonb", "money")


def _name_of(field: pa.Field) -> str:
    metadata = field.metadata or {}
    name: bytes = metadata.get(b"POSTGRESQL:type", str(field.type).encode())
    return name.decode()


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows with Arrow's own types: a uuid as text, other extension types as their storage."""
    return pa.RecordBatch.from_arrays([_plain(column) for column in batch.columns], batch.schema.names)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema of ``plain`` rows."""
    empty = pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in schema.types], schema.names)
    return plain(empty).schema


def _plain(column: pa.Array) -> pa.Array:
    if not isinstance(column, pa.ExtensionArray):
        return column
    return _uuid_text(column.storage) if isinstance(column.type, pa.UuidType) else column.storage


def _uuid_text(column: pa.Array) -> pa.Array:
    """Return uuids, 16 bytes each, as PostgreSQL prints them.

    >>> _uuid_text(pa.array([bytes(range(16)), None], pa.binary(16))).to_pylist()
    ['00010203-0405-0607-0809-0a0b0c0d0e0f', None]
    """
    raw = b"".join(value or bytes(16) for value in column.to_pylist())
    digits = np.frombuffer(raw.hex().encode(), dtype=np.uint8).reshape(-1, 32)
    text = np.insert(digits, [8, 12, 16, 20], ord("-"), axis=1)
    written = text.view("S36").ravel().astype(str)
    return pa.array(written, pa.string(), mask=column.is_null().to_numpy(zero_copy_only=False))
