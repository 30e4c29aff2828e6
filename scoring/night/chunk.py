"""One chunk of a night while it is in memory: its rows, and its predictions on their way to the warehouse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from scoring.rows import Bits, Split
from scoring.stores import RunFolder


@dataclass(frozen=True)
class Chunk:
    """The accepted rows of one chunk, which are on the lake too, and the hash of each row's key where it is known."""

    number: int
    rows: pa.RecordBatch
    key_hashes: Bits | None = None


@dataclass(frozen=True)
class ChunkPredictions:
    """The predictions of one chunk in batches, and the hash of each row's key where it is known."""

    number: int
    batches: Iterable[pa.RecordBatch]
    key_hashes: Bits | None = None


def write_chunk(folder: RunFolder, number: int, part: Split) -> None:
    """Write a chunk's accepted rows to the lake, and its quarantined ones if there are any."""
    lake = folder.lake
    lake.write(folder.part("features", number), part.accepted.schema, [part.accepted], {})
    if part.quarantined.num_rows:
        lake.write(folder.part("quarantine", number), part.quarantined.schema, [part.quarantined], {})
