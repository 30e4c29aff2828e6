"""What a batch must look like; splits one into accepted rows and quarantined rows with every reason they broke."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.errors import ContractError
from scoring.interval import DataInterval
from scoring.job import Feature, Job
from scoring.local_times import moments
from scoring.names import select_advice

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
_WHOLE = r"^\s*[+-]?\d{1,18}(\.0*)?\s*$"
_OFFSET = r"(Z|[+-]\d{2}(:?[0-5]\d)?)"
_TIMESTAMP = rf"^\d{{4}}-\d{{2}}-\d{{2}}([ T]\d{{2}}:\d{{2}}(:\d{{2}}(\.\d{{1,6}})?)?{_OFFSET}?)?$"
_CALENDAR = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

Key = tuple[str | None, ...]


@dataclass(frozen=True)
class Split:
    """One batch after the contract: accepted rows in the declared types, the rest as found, with reasons."""

    accepted: pa.RecordBatch
    quarantined: pa.RecordBatch
    reasons: dict[str, int] = field(default_factory=dict)
    """Rows by reason, ``column:rule``; a row counts once under each reason it broke."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Accepted rows whose category the model never saw, by column."""


def require_columns(where: str, required: Iterable[str], present: Sequence[str]) -> None:
    """Raise ``ContractError`` that lists all missing and all present columns, unless every required one is there.

    >>> require_columns("sql/x/features.sql", ["a"], ["a", "b"])
    """
    missing = [name for name in required if name not in present]
    if missing:
        raise ContractError(
            f"{where}: missing columns {missing}",
            found=str(list(present)),
            expected=str(list(required)),
            next_step=select_advice(missing, present),
        )
    repeated = [name for name in required if present.count(name) > 1]
    if repeated:
        raise ContractError(
            f"{where}: columns {repeated} come more than once", found=str(list(present)), expected="each of them once"
        )


class Contract:
    """The declared columns of a job, as vectorised checks on Arrow record batches."""

    def __init__(self, job: Job, interval: DataInterval, known: Mapping[str, Sequence[str]] | None = None) -> None:
        """Make the contract of ``job`` for one interval; ``known`` are the categories the model saw, by column."""
        self._job = job
        self._interval = interval
        self._known = {name: pa.array(sorted(levels), pa.string()) for name, levels in (known or {}).items()}
        self.types = {name: ARROW_TYPES[kind] for name, kind in job.key.items()}
        self.types |= {name: ARROW_TYPES[feature.type] for name, feature in job.features.items()}

    @property
    def schema(self) -> pa.Schema:
        """Return the schema of accepted rows: keys, then features, in the declared types."""
        return pa.schema(list(self.types.items()))

    def split(self, batch: pa.RecordBatch, duplicate: np.ndarray | None = None) -> Split:
        """Return the batch's accepted and quarantined rows; ``duplicate`` marks rows whose key is not unique.

        A row that breaks several rules has several reasons. Raises ``ContractError`` for a missing column or one
        whose type cannot be read as the declared one at all.
        """
        require_columns(f"result for job {self._job.name}", self.types, batch.schema.names)
        broken: dict[str, pa.Array] = {}
        columns: dict[str, pa.Array] = {}
        for name, target in self.types.items():
            columns[name], unreadable = read_as(batch.column(name), target, name, self._job.source_timezone)
            broken[f"{name}:type"] = unreadable
            missing = pc.and_not(pc.is_null(columns[name]), unreadable)
            broken |= {f"{name}:{rule}": rows for rule, rows in self._rules_of(name, columns[name], missing).items()}
        if duplicate is not None:
            broken["duplicate_key"] = pa.array(duplicate)
        return self._divide(batch, columns, {reason: pc.fill_null(rows, False) for reason, rows in broken.items()})

    def _rules_of(self, name: str, column: pa.Array, missing: pa.Array) -> dict[str, pa.Array]:
        """Return the rows that break each rule of one column."""
        feature = self._job.features.get(name)
        rules: dict[str, pa.Array] = {}
        if feature is None or not feature.nullable or name in self._job.key:
            rules["null"] = missing
        if pa.types.is_floating(column.type):
            rules["not_finite"] = pc.invert(pc.is_finite(column))
        if name == self._job.time_column:
            before = pc.less(column, pa.scalar(self._interval.start, column.type))
            after = pc.greater_equal(column, pa.scalar(self._interval.end, column.type))
            rules["outside_interval"] = pc.or_(before, after)
        if feature is not None:
            rules |= self._limits_of(name, feature, column)
        return rules

    def _limits_of(self, name: str, feature: Feature, column: pa.Array) -> dict[str, pa.Array]:
        rules: dict[str, pa.Array] = {}
        if feature.min is not None:
            rules["below_min"] = pc.less(pc.cast(column, pa.float64(), safe=False), feature.min)
        if feature.max is not None:
            rules["above_max"] = pc.greater(pc.cast(column, pa.float64(), safe=False), feature.max)
        if feature.allowed is not None:
            rules["not_allowed"] = _not_in(column, pa.array(feature.allowed, pa.string()))
        if feature.unknown == "quarantine" and name in self._known:
            rules["unknown_category"] = _not_in(column, self._known[name])
        return rules

    def _divide(self, batch: pa.RecordBatch, columns: dict[str, pa.Array], broken: dict[str, pa.Array]) -> Split:
        reasons = {reason: count for reason, rows in broken.items() if (count := pc.sum(rows).as_py() or 0)}
        bad = np.zeros(batch.num_rows, dtype=bool)
        for reason in reasons:
            bad |= broken[reason].to_numpy(zero_copy_only=False)
        accepted = pa.RecordBatch.from_arrays(list(columns.values()), schema=self.schema)
        if reasons:
            accepted = accepted.filter(pa.array(~bad))
        return Split(accepted, _as_found(batch, bad, {r: broken[r] for r in reasons}), reasons, self._unknown(accepted))

    def _unknown(self, accepted: pa.RecordBatch) -> dict[str, int]:
        counts = {
            name: pc.sum(_not_in(accepted.column(name), levels)).as_py() or 0 for name, levels in self._known.items()
        }
        return {name: count for name, count in counts.items() if count}


def mark_duplicates(batch: pa.RecordBatch, keys: Sequence[str], around: tuple[Key | None, Key | None]) -> np.ndarray:
    """Return a mask of the rows whose key also stands on the row before or after, in rows ordered by key.

    ``around`` are the last key of the batch before and the first of the batch after. Every copy is marked: which
    of them is right cannot be known.

    >>> mark_duplicates(pa.RecordBatch.from_pydict({"k": [1, 2, 2, 3]}), ["k"], (None, ("3",))).tolist()
    [False, True, True, True]
    """
    if batch.num_rows == 0:
        return np.zeros(0, dtype=bool)
    same_as_next = np.ones(batch.num_rows - 1, dtype=bool)
    for name in keys:
        column = batch.column(name)
        if pa.types.is_nested(column.type) or pa.types.is_dictionary(column.type):
            column = _as_text(column)
        codes = column.dictionary_encode(null_encoding="encode").indices.to_numpy()
        same_as_next &= codes[1:] == codes[:-1]
    duplicate = np.concatenate([[key_at(batch, keys, 0) == around[0]], same_as_next])
    duplicate[:-1] |= same_as_next
    duplicate[-1] |= key_at(batch, keys, batch.num_rows - 1) == around[1]
    return duplicate


def key_at(batch: pa.RecordBatch, keys: Sequence[str], row: int) -> Key:
    """Return the key of one row as text, for comparing rows across batches."""
    return tuple(_as_text(batch.column(name).slice(row, 1))[0].as_py() for name in keys)


def quarantine_schema(columns: Sequence[str]) -> pa.Schema:
    """Return the schema of a quarantine file: every column as text, as found, then the reasons."""
    return pa.schema([*((name, pa.string()) for name in columns), ("reasons", pa.list_(pa.string()))])


def _as_found(batch: pa.RecordBatch, bad: np.ndarray, broken: dict[str, pa.Array]) -> pa.RecordBatch:
    """Return the bad rows, every value as text, with the list of reasons of each."""
    rows = np.flatnonzero(bad)
    found = batch.take(pa.array(rows))
    masks = {reason: mask.to_numpy(zero_copy_only=False)[rows] for reason, mask in broken.items()}
    reasons = [[reason for reason, mask in masks.items() if mask[row]] for row in range(len(rows))]
    columns = [_as_text(column) for column in found.columns]
    schema = quarantine_schema(batch.schema.names)
    return pa.RecordBatch.from_arrays([*columns, pa.array(reasons, pa.list_(pa.string()))], schema=schema)


def _as_text(column: pa.Array) -> pa.Array:
    try:
        return pc.cast(column, pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())


def _not_in(column: pa.Array, values: pa.Array) -> pa.Array:
    return pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, value_set=values)))


def read_as(column: pa.Array, target: pa.DataType, name: str, zone: str = "UTC") -> tuple[pa.Array, pa.Array]:
    """Return the column in the declared type, unreadable values null, and a mask of the unreadable values.

    Times without a zone are in ``zone``.
    """
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    readable = _readable(column, target)
    cleaned = column if readable is None else pc.if_else(readable, column, pa.scalar(None, column.type))
    try:
        cast = _in_calendar(cleaned if column.type == target else _cast(cleaned, target, zone))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ContractError(
            f"column {name!r}: wrong type",
            found=str(column.type),
            expected=str(target),
            next_step=f"cast {name} in the SQL, or change its type in the job file",
        ) from error
    return cast, pc.and_not(pc.is_valid(column), pc.is_valid(cast))


def _readable(column: pa.Array, target: pa.DataType) -> pa.Array | None:
    """Return which values can be read as ``target``, or None when Arrow's cast decides for the whole column."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _readable_text(column, target)
    if pa.types.is_integer(target) and (pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        number = pc.cast(column, pa.float64())
        return pc.and_(pc.equal(pc.floor(number), number), pc.less(pc.abs(number), 2.0**53))
    if pa.types.is_boolean(target) and pa.types.is_integer(column.type):
        return pc.is_in(column, value_set=pa.array([0, 1], column.type))
    return None


def _readable_text(column: pa.Array, target: pa.DataType) -> pa.Array | None:
    if pa.types.is_boolean(target):
        return pc.is_in(pc.utf8_lower(column), value_set=pa.array(["true", "false", "1", "0", "t", "f"]))
    for matches, pattern in (
        (pa.types.is_floating, _NUMBER),
        (pa.types.is_integer, _WHOLE),
        (pa.types.is_temporal, _TIMESTAMP),
    ):
        if matches(target):
            return pc.match_substring_regex(column, pattern)
    return None


def _cast(column: pa.Array, target: pa.DataType, zone: str) -> pa.Array:
    text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if text and pa.types.is_boolean(target):
        true = pc.is_in(pc.utf8_lower(column), value_set=pa.array(["true", "1", "t"]))
        return pc.if_else(pc.is_valid(column), true, pa.scalar(None, pa.bool_()))
    if text and target != pa.string():
        column = pc.utf8_trim_whitespace(column)
    if text and pa.types.is_integer(target):
        column = pc.replace_substring_regex(column, r"^\+|\.0*$", "")
    if text and pa.types.is_temporal(target):
        return _parse_times(column, target, zone)
    if pa.types.is_timestamp(column.type) and column.type.tz is None and pa.types.is_timestamp(target):
        return pc.cast(moments(column, zone), target)
    if pa.types.is_floating(column.type) and pa.types.is_boolean(target):
        raise pa.ArrowInvalid("a float is not a bool")
    if pa.types.is_temporal(column.type) and not (pa.types.is_temporal(target) or pa.types.is_string(target)):
        raise pa.ArrowInvalid("a point in time is neither a number nor a bool")
    if pa.types.is_temporal(target) and not (pa.types.is_temporal(column.type) or pa.types.is_null(column.type)):
        raise pa.ArrowInvalid("a number is no point in time: of which unit?")
    rounds = pa.types.is_decimal(column.type) or (pa.types.is_integer(column.type) and pa.types.is_floating(target))
    return pc.cast(column, target, safe=not rounds)


def _in_calendar(column: pa.Array) -> pa.Array:
    """Return the column with times outside the years 1 to 9999 null, such as what PostgreSQL's infinity arrives as."""
    if not pa.types.is_temporal(column.type):
        return column
    first, last = (pa.scalar(end, column.type) for end in _CALENDAR)
    inside = pc.and_(pc.greater_equal(column, first), pc.less_equal(column, last))
    return pc.if_else(inside, column, pa.scalar(None, column.type))


def _parse_times(column: pa.Array, target: pa.DataType, zone: str) -> pa.Array:
    """Return text times as UTC; text without an offset is in ``zone``, a day that is wanted as a day in none."""
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
