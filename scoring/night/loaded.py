"""``Loaded``: what was sent to the warehouse for a run, and the hash of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from scoring.night.chunk import ChunkPredictions
from scoring.progress import Progress
from scoring.rows import RowsDigest


@dataclass(frozen=True)
class Loaded:
    """A loaded run: its rows in the table, the hash of the rows sent, and seconds without the waits for chunks."""

    rows: int
    predictions_hash: str
    seconds: float


def digested(
    chunks: Iterable[ChunkPredictions], digest: RowsDigest, keys: int, progress: Progress
) -> Iterator[pa.RecordBatch]:
    """Yield the batches of the chunks, adding each to the digest. ``keys`` is how many columns the key has."""
    for chunk in chunks:
        row, hashes = 0, chunk.key_hashes
        for batch in chunk.batches:
            digest.add(batch, None if hashes is None else (hashes[row : row + batch.num_rows], keys))
            row += batch.num_rows
            yield batch
            progress("publish", batch.num_rows)
