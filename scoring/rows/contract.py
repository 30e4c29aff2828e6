"""The contract of a job: splits a batch into accepted rows, and quarantined rows with the rules that they break."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.errors import ContractError
from scoring.interval import DataInterval
from scoring.job import Feature, Job
from scoring.names import select_advice
from scoring.rows.casting import ARROW_TYPES, read_as
from scoring.rows.digest import Bits, row_hashes
from scoring.rows.value_text import as_found

KEY_BYTES = 2_400
"""Bytes of the longest key, all its texts together. PostgreSQL's b-tree takes rows of 2,704 bytes with all columns."""


@dataclass(frozen=True)
class Split:
    """A batch after the contract: accepted rows in the declared types, quarantined rows as text with their reasons."""

    accepted: pa.RecordBatch
    quarantined: pa.RecordBatch
    reasons: dict[str, int] = field(default_factory=dict)
    """Rows by reason, ``column:rule``. A row counts once under each reason it broke."""
    unknown: dict[str, int] = field(default_factory=dict)
    """Accepted rows whose category the model never saw, by column."""
    key_hashes: Bits = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    """A hash of each row's key in the declared types, of all rows of the batch in its order. Unreadable counts as null."""
    accepted_hashes: Bits = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    """Those of the accepted rows."""


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

    def __init__(
        self,
        job: Job,
        interval: DataInterval,
        categories: Mapping[str, Sequence[str]] | None = None,
        unused: Collection[str] = (),
    ) -> None:
        """Make the contract of ``job`` for one interval. ``categories`` are those that the model saw, by column.

        ``unused`` are features that the model does not use: no row is quarantined for them, and a value of them that
        cannot be read is null.
        """
        self._job, self._unused = job, frozenset(unused) - set(job.key)
        self._interval = interval
        self._categories = {name: pa.array(sorted(levels), pa.string()) for name, levels in (categories or {}).items()}
        self.types = {name: ARROW_TYPES[kind] for name, kind in job.key.items()}
        self.types |= {name: ARROW_TYPES[feature.type] for name, feature in job.features.items()}

    @property
    def schema(self) -> pa.Schema:
        """Return the schema of accepted rows: keys, then features, in the declared types."""
        return pa.schema(list(self.types.items()))

    def split(self, batch: pa.RecordBatch, duplicate: np.ndarray | None = None) -> Split:
        """Return the batch's accepted and quarantined rows. ``duplicate`` marks rows whose key is not unique.

        A row that breaks several rules has several reasons. Raises ``ContractError`` for a missing column or one
        whose type cannot be read as the declared one at all.
        """
        columns, broken = self._checked(batch)
        if duplicate is not None:
            broken["duplicate_key"] = pa.array(duplicate)
        return self._divide(batch, columns, {reason: pc.fill_null(rows, False) for reason, rows in broken.items()})

    def accepts(self, batch: pa.RecordBatch) -> np.ndarray:
        """Return which rows of a batch keep every rule, shape (rows,)."""
        bad = np.zeros(batch.num_rows, dtype=bool)
        for rows in self._checked(batch)[1].values():
            bad |= np.asarray(pc.fill_null(rows, False).to_numpy(zero_copy_only=False), dtype=bool)
        return ~bad

    def _checked(self, batch: pa.RecordBatch) -> tuple[dict[str, pa.Array], dict[str, pa.Array]]:
        """Return the columns in their types, and the rows that break each rule."""
        require_columns(f"result for job {self._job.name}", self.types, batch.schema.names)
        broken: dict[str, pa.Array] = {}
        columns: dict[str, pa.Array] = {}
        for name, target in self.types.items():
            if name in self._unused:
                columns[name] = self._as_far_as_readable(batch.column(name), target, name)
                continue
            columns[name], unreadable = read_as(batch.column(name), target, name, self._job.source_timezone)
            broken[f"{name}:{'not_text' if target == pa.string() else 'type'}"] = unreadable
            missing = pc.and_not(pc.is_null(columns[name]), unreadable)
            broken |= {f"{name}:{rule}": rows for rule, rows in self._rules_of(name, columns[name], missing).items()}
        return columns, broken | self._too_long(columns)

    def _as_far_as_readable(self, column: pa.Array, target: pa.DataType, name: str) -> pa.Array:
        """Return a column that nothing depends on, with null for every value that cannot be read."""
        try:
            return read_as(column, target, name, self._job.source_timezone)[0]
        except ContractError:  # of another type altogether: whoever trains on it is told
            return pa.nulls(len(column), target)

    def keys_of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the keys in the declared types, and beside each a column with the text of its unreadable values."""
        columns = {}
        for name in self._job.key:
            column, nothing = batch.column(name), pa.nulls(batch.num_rows, pa.string())
            columns[name], unreadable = read_as(column, self.types[name], name, self._job.source_timezone)
            some = pc.any(unreadable).as_py()
            columns[f"{name}, unreadable"] = pc.if_else(unreadable, as_found(column), nothing) if some else nothing
        return pa.RecordBatch.from_pydict(columns)

    def keeps_order(self, schema: pa.Schema) -> bool:
        """Return whether rows in the source's order of the keys are in order after casting too.

        Then equal keys stand beside each other. Numbers in text or numeric columns, and days from times, need not keep the
        order: '7' < '70' < '007'. Only PostgreSQL's types are considered: in other databases a type restricts no value.
        """
        naive = self._job.source_timezone == "UTC"
        for name in self._job.key:
            kind, target = schema.field(name).type, self.types[name]
            alike = pa.types.is_integer(kind) and pa.types.is_integer(target)
            alike |= pa.types.is_timestamp(kind) and pa.types.is_timestamp(target) and (kind.tz is not None or naive)
            if not (alike or kind == target):
                return False
        return True

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

    def _too_long(self, columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
        """Return the rows whose key is too long for the warehouse, by the key column with the longest text."""
        texts = [name for name in self._job.key if self.types[name] == pa.string()]
        if not texts:
            return {}
        sizes = np.stack([pc.fill_null(pc.binary_length(columns[name]), 0).to_numpy() for name in texts])
        over, longest = sizes.sum(axis=0) > KEY_BYTES, sizes.argmax(axis=0)
        return {f"{name}:too_long": pa.array(over & (longest == place)) for place, name in enumerate(texts)}

    def _limits_of(self, name: str, feature: Feature, column: pa.Array) -> dict[str, pa.Array]:
        rules: dict[str, pa.Array] = {}
        if feature.min is not None:
            rules["below_min"] = pc.less(pc.cast(column, pa.float64(), safe=False), feature.min)
        if feature.max is not None:
            rules["above_max"] = pc.greater(pc.cast(column, pa.float64(), safe=False), feature.max)
        if feature.allowed is not None:
            rules["not_allowed"] = _not_in(column, pa.array(feature.allowed, pa.string()))
        if feature.unknown == "quarantine" and name in self._categories:
            rules["unknown_category"] = _not_in(column, self._categories[name])
        return rules

    def _divide(self, batch: pa.RecordBatch, columns: dict[str, pa.Array], broken: dict[str, pa.Array]) -> Split:
        reasons = {reason: count for reason, rows in broken.items() if (count := pc.sum(rows).as_py() or 0)}
        bad = np.zeros(batch.num_rows, dtype=bool)
        for reason in reasons:
            bad |= broken[reason].to_numpy(zero_copy_only=False)
        accepted = pa.RecordBatch.from_arrays(list(columns.values()), schema=self.schema)
        hashes = row_hashes(accepted.select(list(self._job.key)))
        if reasons:
            accepted = accepted.filter(pa.array(~bad))
        quarantined = _as_found(batch, bad, {reason: broken[reason] for reason in reasons})
        return Split(
            accepted, quarantined, reasons, self._unknown(accepted), hashes, hashes[~bad] if reasons else hashes
        )

    def _unknown(self, accepted: pa.RecordBatch) -> dict[str, int]:
        counts = {
            name: pc.sum(_not_in(accepted.column(name), levels)).as_py() or 0
            for name, levels in self._categories.items()
        }
        return {name: count for name, count in counts.items() if count}


def quarantine_schema(columns: Sequence[str]) -> pa.Schema:
    """Return the schema of a quarantine file: the text of every column, then the reasons."""
    return pa.schema([*((name, pa.string()) for name in columns), ("reasons", pa.list_(pa.string()))])


def _as_found(batch: pa.RecordBatch, bad: np.ndarray, broken: dict[str, pa.Array]) -> pa.RecordBatch:
    """Return the bad rows, every value as text, with the list of reasons of each."""
    rows = np.flatnonzero(bad)
    quarantined = batch.take(pa.array(rows))
    masks = {reason: mask.to_numpy(zero_copy_only=False)[rows] for reason, mask in broken.items()}
    reasons = [[reason for reason, mask in masks.items() if mask[row]] for row in range(len(rows))]
    columns = [as_found(column) for column in quarantined.columns]
    schema = quarantine_schema(batch.schema.names)
    return pa.RecordBatch.from_arrays([*columns, pa.array(reasons, pa.list_(pa.string()))], schema=schema)


def _not_in(column: pa.Array, values: pa.Array) -> pa.Array:
    return pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, value_set=values)))
