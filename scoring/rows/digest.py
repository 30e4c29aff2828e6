"""A content hash of rows that does not depend on their order, on batch sizes or on file formats."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Bits = np.ndarray[tuple[int], np.dtype[np.uint64]]
Begun = tuple[Bits, int]
"""Hashes of rows' first columns, shape (rows,), and how many columns these are."""
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_NULL = np.uint64(0x6E756C6C6E756C6C)


class RowsDigest:
    """Computes one hash of a multiset of rows, batch by batch.

    Every row is mixed to 64 bits (splitmix64 over its columns), two sums over all rows are kept, and the result is
    the sha256 of sums, count and column names. It tells equal from different data; it is no protection from an
    adversary.

    >>> one, two = RowsDigest(), RowsDigest()
    >>> one.add(pa.RecordBatch.from_pydict({"k": [1, 2], "p": [0.5, None]}))
    >>> two.add(pa.RecordBatch.from_pydict({"k": [2, 1], "p": [None, 0.5]}))
    >>> one.hexdigest() == two.hexdigest()
    True
    """

    def __init__(self) -> None:
        """Begin with no rows."""
        self._names: list[str] = []
        self._rows = 0
        self._sums = [0, 0]

    @property
    def rows(self) -> int:
        """Return how many rows were added."""
        return self._rows

    def add(self, batch: pa.RecordBatch, begun: Begun | None = None) -> None:
        """Add the rows of a batch. All batches must have the same columns in the same order.

        ``begun`` are the hashes of the first columns, where they are known.
        """
        self._names = batch.schema.names
        self._rows += batch.num_rows
        if batch.num_rows == 0:
            return
        mixed = row_hashes(batch, begun)
        with np.errstate(over="ignore"):
            self._sums[0] += int(mixed.sum(dtype=np.uint64))
            self._sums[1] += int(_mix(mixed).sum(dtype=np.uint64))

    def through(self, batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        """Yield the batches unchanged, adding each."""
        for batch in batches:
            self.add(batch)
            yield batch

    def merge(self, other: RowsDigest) -> None:
        """Add the rows of another digest, which has the same columns in the same order, or no rows."""
        self._names = self._names or other._names
        self._rows += other._rows
        self._sums = [total + added for total, added in zip(self._sums, other._sums, strict=True)]

    def as_dict(self) -> dict[str, Any]:
        """Return the digest so far as JSON values.

        >>> part = RowsDigest()
        >>> part.add(pa.RecordBatch.from_pydict({"k": [1, 2]}))
        >>> RowsDigest.from_dict(part.as_dict()).hexdigest() == part.hexdigest()
        True
        """
        return {"names": self._names, "rows": self._rows, "sums": [total % 2**64 for total in self._sums]}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> RowsDigest:
        """Return the digest whose JSON values these are."""
        digest = cls()
        digest._names, digest._rows = list(content["names"]), int(content["rows"])
        digest._sums = [int(total) for total in content["sums"]]
        return digest

    def hexdigest(self) -> str:
        """Return the hash of all rows added so far, 64 hex digits."""
        sums = [total % 2**64 for total in self._sums]
        return hashlib.sha256(repr((self._names, self._rows, sums)).encode()).hexdigest()


def row_hashes(batch: pa.RecordBatch, begun: Begun | None = None) -> Bits:
    """Return 64 bits for each row: the same for equal rows, on every machine.

    ``begun`` are the hashes of the first columns, which are not computed again.

    >>> first, other, again = row_hashes(pa.RecordBatch.from_pydict({"k": ["a", "b", "a"]}))
    >>> bool(first == again), bool(first == other)
    (True, False)
    """
    with np.errstate(over="ignore"):
        mixed, done = begun or (np.zeros(batch.num_rows, dtype=np.uint64), 0)
        for column in batch.columns[done:]:
            mixed = _mix(mixed * _FIRST + _bits(column))
    return mixed


def _bits(column: pa.Array) -> Bits:
    """Return 64 bits for each value. Equal values give equal bits, and nulls have bits of their own."""
    if pa.types.is_string(column.type):
        encoded = column.dictionary_encode()
        levels = [int.from_bytes(hashlib.sha256(v.encode()).digest()[:8]) for v in encoded.dictionary.to_pylist()]
        codes = pc.fill_null(encoded.indices, len(levels)).to_numpy()
        hashes: Bits = np.array([*levels, int(_NULL)], dtype=np.uint64)[codes]
        return hashes
    if pa.types.is_floating(column.type):
        numbers = pc.fill_null(column, 0.0).to_numpy().astype(np.float64) + 0.0  # -0.0 is 0.0
    else:
        wide = pc.cast(column, pa.int32()) if pa.types.is_date32(column.type) else column
        numbers = pc.fill_null(pc.cast(wide, pa.int64()), 0).to_numpy()
    bits = np.ascontiguousarray(numbers).view(np.uint64)
    return np.where(column.is_null().to_numpy(zero_copy_only=False), _NULL, bits) if column.null_count else bits


def _mix(values: Bits) -> Bits:
    """Return splitmix64's finaliser of each value (Steele, Lea, Flood: Fast splittable generators, 2014)."""
    values = values + _GOLDEN
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    mixed: Bits = values ^ (values >> np.uint64(31))
    return mixed
