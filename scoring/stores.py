"""Everything a use-case reads from and writes to, opened once from the settings."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa

from scoring import embedded
from scoring.contract import Contract, Split, key_at, mark_duplicates
from scoring.errors import SettingsError
from scoring.interval import DataInterval
from scoring.job import Job
from scoring.lake import Lake
from scoring.registry import Registry
from scoring.settings import Settings
from scoring.source import Query, stream
from scoring.urls import database_url
from scoring.warehouse import Warehouse, open_warehouse

Clock = Callable[[], datetime]
Progress = Callable[[str, int], None]
"""Told the stage and how many more rows it has done."""


def silent(stage: str, rows: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Stores:
    """Settings, warehouse, registry, lake and clock of one installation."""

    settings: Settings
    warehouse: Warehouse
    registry: Registry
    lake: Lake
    clock: Clock

    def source_url(self, job: Job) -> str:
        """Return the URL of the job's source; raises ``SettingsError`` that names the variable to set."""
        known = self.settings.sources
        if job.source in known:
            return known[job.source].get_secret_value()
        if job.source == "demo":
            return embedded.url(self.settings.postgres_dir, "source")
        raise SettingsError(
            f"source {job.source!r} of job {job.name}",
            found=f"known sources {sorted({*known, 'demo'})}",
            next_step=f"set {variable_of(job)} to its SQLAlchemy URL",
        )

    def end_of(self, job: Job, night: date) -> datetime:
        """Return when a night of the job ends, in UTC."""
        return DataInterval.of_night(night, job.schedule.timezone).end

    def over(self, job: Job, night: date) -> bool:
        """Return whether a night of the job has ended by the clock."""
        return self.end_of(job, night) <= self.clock()

    def features_query(self, job: Job) -> Query:
        """Return the job's ``features.sql``."""
        return _query(self.settings.sql_path(job.name, "features"), job, tuple(job.columns))

    def by_night(self, job: Job, query: Query) -> bool:
        """Return whether a statement of the job gives one night at a time, since it binds ``:night``."""
        url = database_url(self.source_url(job), query.source)
        return query.statement(url.get_backend_name()).by_night

    def labels_query(self, job: Job) -> Query:
        """Return the job's ``labels.sql``."""
        return _query(self.settings.sql_path(job.name, "labels"), job, (*job.key, job.label.column))


def open_stores(settings: Settings, clock: Clock) -> Stores:
    """Return the stores that the settings name; ``clock`` gives the times that are written into records."""
    return Stores(settings, open_warehouse(settings), Registry(settings), Lake(settings.lake_root), clock)


@contextmanager
def contracted(
    stores: Stores, job: Job, interval: DataInterval, known: dict[str, list[str]] | None = None
) -> Iterator[Iterator[tuple[pa.RecordBatch, Split]]]:
    """Give the job's feature rows of an interval, batch by batch, as found and after the contract.

    A row whose key is not unique is quarantined with all its copies, also across batches: rows come in key order.
    """
    contract = Contract(job, interval, known)
    query = stores.features_query(job)
    with (
        stream(stores.source_url(job), query, interval, job.chunk_rows) as batches,
        closing(_ahead(batches)) as fetched,  # so that no fetch is under way when the connection closes
    ):
        yield _split(contract, list(job.key), fetched)


def _ahead(batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
    """Yield the batches while a thread fetches the one after: the source works while we do."""
    with ThreadPoolExecutor(1, thread_name_prefix="fetch") as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def _split(
    contract: Contract, keys: list[str], batches: Iterator[pa.RecordBatch]
) -> Iterator[tuple[pa.RecordBatch, Split]]:
    last = None
    batch = next(batches, None)
    while batch is not None:
        following = next(batches, None)
        first_after = key_at(following, keys, 0) if following is not None and following.num_rows else None
        duplicate = mark_duplicates(batch, keys, (last, first_after))
        yield batch, contract.split(batch, duplicate if duplicate.any() else None)
        last = key_at(batch, keys, batch.num_rows - 1) if batch.num_rows else None
        batch = following


def variable_of(job: Job) -> str:
    """Return the environment variable that names the job's source."""
    return f"NIGHTSHIFT_SOURCES__{job.source.upper()}"


def _query(path: Path, job: Job, columns: tuple[str, ...]) -> Query:
    text_keys = frozenset(name for name, kind in job.key.items() if kind == "string")
    return Query(path, columns, tuple(job.key), text_keys, job.source_timezone, variable_of(job))
