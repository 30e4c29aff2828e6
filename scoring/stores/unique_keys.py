"""Marks the rows of a night's batches whose key is not unique in the whole night."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from scoring.rows import Bits, Contract, Key, Split, key_at, keys_as_text, mark_duplicates, repeated, row_hashes

KeysOf = Callable[[pa.RecordBatch], pa.RecordBatch]
Marked = Generator[tuple[pa.RecordBatch, np.ndarray], None, None]


class RepeatedKeys(Exception):
    """A key seems to come more than once in a night whose rows were used while they were read."""


def once(batches: Iterator[pa.RecordBatch], contract: Contract) -> Iterator[tuple[pa.RecordBatch, Split]]:
    """Yield batches in any order, at once, split by the contract, as if every key came once. 8 bytes a row stay in memory.

    Raises ``RepeatedKeys`` at the end if a key came twice, or, once in 370,000 nights of 10 million rows, if it seems so.
    """
    hashes: list[Bits] = []
    for batch in batches:
        part = contract.split(batch)
        hashes.append(part.key_hashes)
        yield batch, part
    if len(repeated(hashes)):
        raise RepeatedKeys


def beside(batches: Iterator[pa.RecordBatch], keys_of: KeysOf) -> Marked:
    """Yield batches with masks, at once, for batches in the order of their keys, where equal keys are neighbours."""
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
    """Yield batches with masks, after all were read, for batches in any order, where equal keys may be far apart.

    Until then they lie in a temporary file, and 8 bytes a row in memory.
    """
    with tempfile.TemporaryFile(prefix="nightshift-night-") as file:
        starts: list[int] = []
        hashes: list[Bits] = []
        for batch in batches:
            starts.append(file.tell())
            with pa.ipc.new_stream(file, batch.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
                writer.write_batch(batch)
            hashes.append(row_hashes(keys_of(batch)))
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
    """Return the keys that come more than once. The rows in ``suspects`` have repeated hashes, and rarely different keys."""
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
