"""Arrow batches as a driver gives them, made batches of a given size in types that the contract reads."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc


def even(batches: Iterator[pa.RecordBatch], schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows as batches of ``rows`` rows, the last one of fewer, with plain types. No rows give one empty batch.

    >>> parts = pa.table({"id": [1, 2, 3, 4, 5]}).to_batches(max_chunksize=3)
    >>> [batch.column("id").to_pylist() for batch in even(iter(parts), parts[0].schema, 2)]
    [[1, 2], [3, 4], [5]]
    """
    parts: list[pa.RecordBatch] = []
    missing, empty = rows, True
    for whole in batches:
        batch = whole
        while batch.num_rows:
            parts.append(batch.slice(0, missing))
            batch, missing = batch.slice(missing), missing - parts[-1].num_rows
            if not missing:
                yield _joined(parts)
                parts, missing, empty = [], rows, False
    if parts or empty:
        yield _joined(parts or [pa.RecordBatch.from_pylist([], schema=schema)])


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    batch = parts[0] if len(parts) == 1 else pa.concat_batches(parts)
    return pa.RecordBatch.from_arrays([_plain(column) for column in batch.columns], batch.schema.names)


def _plain(column: pa.Array) -> pa.Array:
    """Return the column as the contract reads it.

    An enum is text. A time is in microseconds, what is finer is cut off. An integer of 64 bits without a sign is a
    decimal, so that the contract judges each value and not the column.
    """
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        return pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
    if pa.types.is_uint64(column.type):
        return pc.cast(column, pa.decimal128(20))
    return column
