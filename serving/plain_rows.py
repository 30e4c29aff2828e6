"""Rows that plainly keep the contract, told without Arrow: checks made once for a version, then a look at each value.

What is not plain here is left to the contract itself, which alone refuses rows. So this may only be too strict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from math import inf
from typing import Any

import pyarrow as pa

from scoring.job import Feature, Job
from scoring.rows import ARROW_TYPES, KEY_BYTES
from serving.columns import Row

_EXACT = 2**53
"""Whole numbers up to this are the same as floats."""
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{6})?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class Unclear(Exception):
    """A value that is for the contract to judge."""


Reader = Callable[[Any], Any]
"""Returns a value in the declared type. Raises ``Unclear``, ``TypeError`` or ``ValueError``."""


class PlainRows:
    """The readers of a job's columns for one version."""

    def __init__(self, job: Job, categories: Mapping[str, Sequence[str]]) -> None:
        """Make the readers. ``categories`` are those that the version saw, by column."""
        kinds = {**job.key, **{name: feature.type for name, feature in job.features.items()}}
        self._schema = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in kinds.items()])
        self._readers = [
            (name, _reader(kind, job.features.get(name), name in job.key, categories.get(name)))
            for name, kind in kinds.items()
        ]
        self._keys = len(job.key)
        self._texts = [name for name, kind in job.key.items() if kind == "string"]

    def batch(self, rows: Sequence[Row]) -> pa.RecordBatch | None:
        """Return rows in the declared types, or None unless the contract would accept every one of them as it is."""
        try:
            columns = [[read(row[name]) for row in rows] for name, read in self._readers]
            if self._texts and max(map(self._key_letters, rows)) * 4 > KEY_BYTES:
                return None
            keys = columns[: self._keys]
            if len(rows) > 1 and len(set(zip(*keys, strict=True))) < len(rows):
                return None
            arrays = [pa.array(values, kind) for values, kind in zip(columns, self._schema.types, strict=True)]
        except (Unclear, KeyError, TypeError, ValueError, OverflowError):
            return None
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _key_letters(self, row: Row) -> int:
        return sum(len(row[name]) for name in self._texts)


def _reader(kind: str, feature: Feature | None, is_key: bool, levels: Iterable[str] | None) -> Reader:
    read = _READERS[kind](feature, levels)
    if feature is None or is_key or not feature.nullable:
        return read
    return lambda value: None if value is None else read(value)


def _floats(feature: Feature | None, levels: Iterable[str] | None) -> Reader:
    low, high = _limits(feature)

    def read(value: Any) -> float:
        if type(value) is int and -_EXACT <= value <= _EXACT:
            value = float(value)
        if type(value) is float and low <= value <= high and -inf < value < inf:
            return value
        raise Unclear

    return read


def _ints(feature: Feature | None, levels: Iterable[str] | None) -> Reader:
    low, high = _limits(feature)

    def read(value: Any) -> int:
        if type(value) is int and -_EXACT <= value <= _EXACT and low <= value <= high:
            return value
        raise Unclear

    return read


def _limits(feature: Feature | None) -> tuple[float, float]:
    low = feature.min if feature is not None and feature.min is not None else -inf
    high = feature.max if feature is not None and feature.max is not None else inf
    return low, high


def _bools(feature: Feature | None, levels: Iterable[str] | None) -> Reader:
    def read(value: Any) -> bool:
        if value is True or value is False:
            return value
        raise Unclear

    return read


def _texts(feature: Feature | None, levels: Iterable[str] | None) -> Reader:
    allowed = _allowed(feature, levels)

    def read(value: Any) -> str:
        if type(value) is str and "\0" not in value and (allowed is None or value in allowed):
            if not value.isascii():
                value.encode()  # fails for half a character, which Arrow would take
            return value
        raise Unclear

    return read


def _allowed(feature: Feature | None, levels: Iterable[str] | None) -> frozenset[str] | None:
    """Return the only categories that are accepted, or None for all."""
    allowed = None if feature is None or feature.allowed is None else frozenset(feature.allowed)
    if feature is None or feature.unknown != "quarantine" or levels is None:
        return allowed
    return frozenset(levels) if allowed is None else allowed & frozenset(levels)


def _moments(feature: Feature | None, levels: Iterable[str] | None) -> Reader:
    def read(value: Any) -> datetime:
        if _MOMENT.fullmatch(value):
            return datetime.fromisoformat(value).astimezone(UTC)
        raise Unclear

    return read


def _days(feature: Feature | None, levels: Iterable[str] | None) -> Reader:
    def read(value: Any) -> date:
        if _DAY.fullmatch(value):
            return date.fromisoformat(value)
        raise Unclear

    return read


_READERS: dict[str, Callable[[Feature | None, Iterable[str] | None], Reader]] = {
    "float": _floats,
    "int": _ints,
    "bool": _bools,
    "category": _texts,
    "string": _texts,
    "datetime": _moments,
    "date": _days,
}
