"""``Adapter``: how one kind of database is read. A database that is not in the table is read through SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pyarrow as pa
import sqlalchemy as sa

from scoring.interval import DataInterval
from scoring.stores.source.adapters import any_dialect, duckdb, duckdb_files, postgresql, postgresql_stage, warehouses
from scoring.stores.source.file_stage import FileStage
from scoring.stores.source.query import Query
from scoring.stores.source.stage import Stage, StagePlace

Stream = Callable[[sa.URL, Query, DataInterval, int], AbstractContextManager[Iterator[pa.RecordBatch]]]


def _no_types(url: sa.URL, query: Query) -> dict[str, set[str]]:
    return {}


@dataclass(frozen=True)
class Staging:
    """The functions that keep a night's rows in a table of the database."""

    stage: Callable[[sa.URL, Query, DataInterval, StagePlace], Stage]
    """Runs the query once into a table."""
    read_parts: Callable[
        [sa.URL, Query, Stage, Iterable[tuple[int, int]]], AbstractContextManager[Iterator[pa.RecordBatch]]
    ]
    """Gives a batch for each part of the table."""
    drop: Callable[[sa.URL, Query, StagePlace], None]
    stages: Callable[[sa.URL, Query, str], list[StagePlace]]
    """Returns the tables that there are in a schema."""


@dataclass(frozen=True)
class Files:
    """The functions that read a night's rows where they lie in files, some of them at a time."""

    slices: Callable[[sa.URL, Query, DataInterval, int], FileStage | None]
    """Returns which rows of which files are the night's, or None where a statement does not take each row by itself."""
    read_parts: Callable[
        [sa.URL, Query, DataInterval, FileStage, Iterable[tuple[int, int]]],
        AbstractContextManager[Iterator[pa.RecordBatch]],
    ]
    """Gives a batch for each part of the slices."""


@dataclass(frozen=True)
class Adapter:
    """The functions that read one kind of database."""

    stream: Stream
    """Gives an iterator over a query's rows of an interval as record batches."""
    compared_types: Callable[[sa.URL, Query], dict[str, set[str]]] = _no_types
    """Returns the types that the database infers for each parameter."""
    in_key_order: bool = False
    """Whether text is ordered as bytes, and a type restricts a column's values, so that equal keys are neighbours."""
    staging: Staging | None = None
    """How a night's rows are kept in a table of the database, or None where that is not supported."""
    files: Files | None = None
    """How a night's rows are read by file, or None where they are in no files."""


_ANY = Adapter(any_dialect.stream)
_ADAPTERS: Mapping[str, Adapter] = {
    "postgresql": Adapter(
        postgresql.stream,
        postgresql.compared_types,
        in_key_order=True,
        staging=Staging(
            postgresql_stage.stage, postgresql_stage.read_parts, postgresql_stage.drop, postgresql_stage.stages
        ),
    ),
    "duckdb": Adapter(duckdb.stream, in_key_order=True, files=Files(duckdb_files.slices, duckdb_files.read_parts)),
    "snowflake": Adapter(warehouses.stream),
    "bigquery": Adapter(warehouses.stream),
}
"""Adapters of the databases that give Arrow themselves, by the name that their URLs begin with."""


def adapter_of(url: sa.URL) -> Adapter:
    """Return how the database of a URL is read."""
    return _ADAPTERS.get(url.get_backend_name(), _ANY)
