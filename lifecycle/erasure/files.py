"""Parquet files of the lake without an entity's rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.erasure.inventory import Inventory
from lifecycle.erasure.key import EntityKey
from scoring.errors import LakeFileMissing
from scoring.stores import Lake


def name_of(path: str) -> str:
    """Return the name of a file."""
    return PurePosixPath(path).name


def batches_of(lake: Lake, path: str) -> Iterator[pa.RecordBatch]:
    """Yield a file's batches, none of a file that retention has removed since it was listed."""
    with suppress(LakeFileMissing):
        yield from lake.batches(path)


def rows_in(lake: Lake, path: str, inventory: Inventory) -> int:
    """Return how many rows of a file are the entity's."""
    rows = 0
    for batch in batches_of(lake, path):
        if not inventory.key.in_columns(batch.schema.names):
            return 0
        rows += inventory.look(batch)
    return rows


def erase(lake: Lake, path: str, key: EntityKey) -> int:
    """Write a file anew without the entity's rows, if it has any, and return how many went. It is replaced as a whole."""
    rows = sum(int(pc.sum(key.rows(batch)).as_py() or 0) for batch in lake.batches(path) if _can_hold(batch, key))
    if rows:
        facts = {name: value for name, value in (lake.facts(path) or {}).items() if name != "rows"}
        batches = lake.batches(path)
        first = next(batches)
        schema = first.schema.remove_metadata()
        lake.write(path, schema, _others(chain([first], batches), key), facts)
    return rows


def _can_hold(batch: pa.RecordBatch, key: EntityKey) -> bool:
    return key.in_columns(batch.schema.names)


def _others(batches: Iterator[pa.RecordBatch], key: EntityKey) -> Iterator[pa.RecordBatch]:
    return (batch.filter(pc.invert(key.rows(batch))) for batch in batches)


def leftovers(lake: Lake, folder: str) -> list[str]:
    """Return the files that a killed process began to write in a folder: they may hold any row."""
    return [path for path in lake.files(folder) if name_of(path).startswith(".writing-")]
