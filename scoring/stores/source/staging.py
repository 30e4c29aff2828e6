"""Keeps a night's rows in a table of the source, for tasks that read them side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import sqlalchemy as sa

from scoring.errors import SettingsError, StageLost
from scoring.interval import DataInterval
from scoring.stores.source.adapters import Staging, adapter_of
from scoring.stores.source.file_stage import FileStage
from scoring.stores.source.query import Query
from scoring.stores.source.stage import AnyStage, Stage, StagePlace
from scoring.stores.urls import database_url


def stage_rows(url: str, query: Query, interval: DataInterval, place: StagePlace) -> Stage:
    """Run the query once into a table of the source and return it. Raises ``SettingsError`` where that is not supported."""
    location, staging = _staging(url, query)
    return staging.stage(location, query, interval, place)


def slice_files(url: str, query: Query, interval: DataInterval, rows: int) -> FileStage | None:
    """Return the night's rows in slices of at most ``rows`` rows of a file, or None where the source does not allow it."""
    location = database_url(url, query.source)
    files = adapter_of(location).files
    return None if files is None else files.slices(location, query, interval, rows)


@contextmanager
def read_stage(
    url: str, query: Query, interval: DataInterval, stage: AnyStage, parts: Iterable[tuple[int, int]]
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Give an iterator with one batch for each part. Raises ``StageLost`` when table or files are not as they were."""
    if isinstance(stage, Stage):
        location, staging = _staging(url, query)
        reading = staging.read_parts(location, query, stage, parts)
    else:
        location = database_url(url, query.source)
        files = adapter_of(location).files
        if files is None:
            raise StageLost(
                query.source,
                found=f"a source that is {location.get_backend_name()}",
                expected="the files that the task extract looked at",
                next_step="clear the task extract of the run",
            )
        reading = files.read_parts(location, query, interval, stage, parts)
    with reading as batches:
        yield batches


def drop_stage(url: str, query: Query, place: StagePlace) -> None:
    """Remove the table of a run, if it is there."""
    location, staging = _staging(url, query)
    staging.drop(location, query, place)


def stages_in(url: str, query: Query, schema: str) -> list[StagePlace]:
    """Return the tables of runs that there are in a schema of the source."""
    location, staging = _staging(url, query)
    return staging.stages(location, query, schema)


def _staging(url: str, query: Query) -> tuple[sa.URL, Staging]:
    location = database_url(url, query.source)
    staging = adapter_of(location).staging
    if staging is None:
        raise SettingsError(
            query.variable.replace("SOURCES", "STAGING"),
            found=f"a schema of a source that is {location.get_backend_name()}",
            expected="a source that is PostgreSQL",
            next_step="unset it: one task then reads the night, and the others share the scoring",
        )
    return location, staging
