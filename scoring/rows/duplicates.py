"""Marks rows whose key is not unique. All copies are marked, since nobody knows which of them is right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.rows.value_text import as_found

Key = tuple[str | None, ...]
_STEP = np.uint64(0x9E3779B97F4A7C15)
"""Multiplier that mixes the hashes of a key's columns, from splitmix64. It is odd, so that no bits are lost."""


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


def key_hashes(keys: pa.RecordBatch) -> np.ndarray:
    """Return 64 bits for each row. Equal keys give equal bits, and different keys almost never do."""
    import pandas as pd

    hashes = np.zeros(keys.num_rows, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in keys.columns:
            hashes = hashes * _STEP + pd.util.hash_array(_plain(column), categorize=False)
            hashes ^= hashes >> np.uint64(32)
    return hashes


def _plain(column: pa.Array) -> np.ndarray:
    """Return the values for hashing as integers or text. Nulls become 0 or an empty text."""
    if pa.types.is_integer(column.type) or pa.types.is_temporal(column.type):
        wide = pc.cast(column, pa.int32()) if pa.types.is_date32(column.type) else column
        filled = pc.fill_null(pc.cast(wide, pa.int64()), 0)
    else:
        filled = pc.fill_null(as_found(column), "")
    return np.asarray(filled.to_numpy(zero_copy_only=False))


def repeated(hashes: Sequence[np.ndarray]) -> np.ndarray:
    """Return the hashes that come more than once, sorted. Nearly all of them belong to repeated keys."""
    ordered = np.sort(np.concatenate([*hashes, np.zeros(0, dtype=np.uint64)]))
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def keys_as_text(keys: pa.RecordBatch) -> list[Key]:
    """Return every row's key as text."""
    return list(zip(*(as_found(column).to_pylist() for column in keys.columns), strict=True))
