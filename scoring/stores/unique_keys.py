"""A night's batches, each with a mask of the rows whose key is not unique in the whole night."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from scoring.rows import Key, key_at, key_hashes, keys_as_text, mark_duplicates, repeated

KeysOf = Callable[[pa.RecordBatch], pa.RecordBatch]
Marked = Generator[tuple[pa.RecordBatch, np.ndarray], None, None]


def beside(batches: Iterator[pa.RecordBatch], keys_of: KeysOf) -> Marked:
    """Yield batches that come in the order of their keys, as they come: equal keys stand beside each other."""
    last: Key | None = None
    batch = next(batches, None)
    keys = None if batch is None else keys_of(batch)
    while batch is not None and keys is not None:
        after = next(batches, None)
        keys_after = None if after is None else keys_of(after)
        names = keys.schema.names
        first_after = key_at(keys_after, names, 0) if keys_after is not None and keys_after.num_rows else None
        yield batch, mark_duplicates(keys, names, (last, first_after))
        last = key_at(keys, names, keys.num_rows - 1) if keys.num_rows else None
        batch, keys = after, keys_after


def anywhere(batches: Iterator[pa.RecordBatch], keys_of: KeysOf) -> Marked:
    """Yield batches that come in any order, once all have come: equal keys may stand far apart.

    Until then they lie in a temporary file, and 8 bytes a row in memory.
    """
    with tempfile.TemporaryFile(prefix="nightshift-night-") as file:
        starts, hashes = [], []
        for batch in batches:
            starts.append(file.tell())
            with pa.ipc.new_stream(file, batch.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
                writer.write_batch(batch)
            hashes.append(key_hashes(keys_of(batch)))
        suspect_hashes = repeated(hashes)
        suspects = [np.isin(part, suspect_hashes) for part in hashes]
        twice = _repeated_keys(_read(file, starts), suspects, keys_of)
        for batch, suspect in zip(_read(file, starts), suspects, strict=True):
            yield batch, _duplicates(twice, keys_of(batch), suspect)


def _read(file: BinaryIO, starts: Sequence[int]) -> Iterator[pa.RecordBatch]:
    for start in starts:
        file.seek(start)
        with pa.ipc.open_stream(file) as reader:
            yield reader.read_next_batch()


def _repeated_keys(batches: Iterator[pa.RecordBatch], suspects: Sequence[np.ndarray], keys_of: KeysOf) -> set[Key]:
    """Return the keys that come more than once. Rows with equal hashes may have different ones."""
    if not any(suspect.any() for suspect in suspects):
        return set()
    counts: Counter[Key] = Counter()
    for batch, suspect in zip(batches, suspects, strict=True):
        counts.update(keys_as_text(keys_of(batch.filter(pa.array(suspect)))))
    return {key for key, count in counts.items() if count > 1}


def _duplicates(twice: set[Key], keys: pa.RecordBatch, suspect: np.ndarray) -> np.ndarray:
    duplicate = suspect.copy()
    rows = np.flatnonzero(suspect)
    duplicate[rows] = [key in twice for key in keys_as_text(keys.take(pa.array(rows)))]
    return duplicate
