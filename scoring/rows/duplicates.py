"""Marks rows whose key is not unique. All copies are marked, since nobody knows which of them is right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from scoring.rows.value_text import as_found

Key = tuple[str | None, ...]
_RANGES, _TOP = 16, np.uint64(60)
"""Ranges of hashes that are compared one after the other, and the bits below those that tell the range."""


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
            column = as_found(column)
        codes = column.dictionary_encode(null_encoding="encode").indices.to_numpy()
        same_as_next &= codes[1:] == codes[:-1]
    duplicate = np.concatenate([[key_at(batch, keys, 0) == around[0]], same_as_next])
    duplicate[:-1] |= same_as_next
    duplicate[-1] |= key_at(batch, keys, batch.num_rows - 1) == around[1]
    return duplicate


def key_at(batch: pa.RecordBatch, keys: Sequence[str], row: int) -> Key:
    """Return the key of one row as text, for comparing rows across batches."""
    return tuple(as_found(batch.column(name).slice(row, 1))[0].as_py() for name in keys)


def repeated(hashes: Sequence[np.ndarray]) -> np.ndarray:
    """Return the hashes that come more than once, sorted. Nearly all of them belong to repeated keys.

    Hashes are compared a range of their values at a time, so that a night needs little more memory than its hashes.
    """
    parts = []
    for top in range(_RANGES):
        of_range = np.concatenate([part[part >> _TOP == top] for part in (*hashes, np.zeros(0, dtype=np.uint64))])
        of_range.sort()
        parts.append(np.unique(of_range[1:][of_range[1:] == of_range[:-1]]))
    return np.concatenate(parts)


def keys_as_text(keys: pa.RecordBatch) -> list[Key]:
    """Return every row's key as text."""
    return list(zip(*(as_found(column).to_pylist() for column in keys.columns), strict=True))
