"""``Stores``: warehouse, registry and lake of one installation, opened from the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa

from scoring.errors import SettingsError
from scoring.interval import DataInterval
from scoring.job import Job
from scoring.rows import ARROW_TYPES, label_type
from scoring.settings import Settings
from scoring.stores import embedded
from scoring.stores.lake import Lake
from scoring.stores.registry import Registry
from scoring.stores.source import Query
from scoring.stores.urls import database_url
from scoring.stores.warehouse import Warehouse, open_warehouse

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Stores:
    """Settings, warehouse, registry, lake and clock of one installation."""

    settings: Settings
    warehouse: Warehouse
    registry: Registry
    lake: Lake
    clock: Clock

    def source_url(self, job: Job) -> str:
        """Return the URL of the job's source. Raises ``SettingsError`` that names the variable to set."""
        return source_url(self.settings, job.source, f" of job {job.name}")

    def end_of(self, job: Job, night: date) -> datetime:
        """Return when a night of the job ends, in UTC."""
        return DataInterval.of_night(night, job.schedule.timezone).end

    def over(self, job: Job, night: date) -> bool:
        """Return whether a night of the job has ended by the clock."""
        return self.end_of(job, night) <= self.clock()

    def features_query(self, job: Job) -> Query:
        """Return the job's ``features.sql``."""
        return _query(self.settings.sql_path(job.name, "features"), job, tuple(job.columns))

    def features_schema(self, job: Job) -> pa.Schema:
        """Return the keys and features of a job, each with its type."""
        return pa.schema(list(self.features_query(job).types.items()))

    def by_night(self, job: Job, query: Query) -> bool:
        """Return whether a statement of the job binds ``:night``, so that it gives one night at a time."""
        url = database_url(self.source_url(job), query.source)
        return query.statement(url.get_backend_name()).by_night

    def labels_query(self, job: Job) -> Query:
        """Return the job's ``labels.sql``."""
        column = str(job.label.column)
        query = _query(self.settings.sql_path(job.name, "labels"), job, (*job.key, column))
        return replace(query, types={**query.types, column: label_type(job)})

    def labels_sha256(self, job: Job) -> str | None:
        """Return the sha256 of the job's ``labels.sql``, or None for a job without a label."""
        return self.labels_query(job).sha256 if job.has_labels else None


def open_stores(settings: Settings, clock: Clock) -> Stores:
    """Return the stores that the settings name. ``clock`` returns the present time."""
    warehouse = open_warehouse(settings)
    return Stores(settings, warehouse, Registry(settings, warehouse), Lake(settings.lake_root), clock)


def source_url(settings: Settings, name: str, of: str = "") -> str:
    """Return the URL of the source ``name``. Raises ``SettingsError`` that names the variable to set."""
    if name in settings.sources:
        return settings.sources[name].get_secret_value()
    if name == "demo":
        return embedded.url(settings.postgres_dir, "source")
    raise SettingsError(
        f"source {name!r}{of}",
        found=f"known sources {sorted({*settings.sources, 'demo'})}",
        next_step=f"set {source_variable(name)} to its URL, such as postgresql+psycopg://… or duckdb:///…",
    )


def source_variable(name: str) -> str:
    """Return the environment variable that holds the URL of a source."""
    return f"NIGHTSHIFT_SOURCES__{name.upper()}"


def variable_of(job: Job) -> str:
    """Return the environment variable that names the job's source."""
    return source_variable(job.source)


def _query(path: Path, job: Job, columns: tuple[str, ...]) -> Query:
    text_keys = frozenset(name for name, kind in job.key.items() if kind == "string")
    types = {name: ARROW_TYPES[feature.type] for name, feature in job.features.items()}
    types |= {name: ARROW_TYPES[kind] for name, kind in job.key.items()}
    zone, variable = job.source_timezone, variable_of(job)
    return Query(path, columns, tuple(job.key), text_keys, zone, variable, types, job.is_snapshot)
