"""One chunk of a night while it is in memory: its rows, and its predictions on their way to the warehouse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from scoring.rows import Bits


@dataclass(frozen=True)
class Chunk:
    """The accepted rows of one chunk, which are on the lake too, and the hash of each row's key."""

    number: int
    rows: pa.RecordBatch
    key_hashes: Bits


@dataclass(frozen=True)
class ChunkPredictions:
    """The predictions of one chunk in batches, and the hash of each row's key where it is known."""

    batches: Iterable[pa.RecordBatch]
    key_hashes: Bits | None = None
