"""The demo's tables as Parquet files in a folder, and one night scored from there and from PostgreSQL, side by side."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from time import perf_counter
from urllib.parse import quote

import adbc_driver_postgresql.dbapi
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
from pydantic import SecretStr

from scoring.errors import NightshiftError
from scoring.interval import DataInterval
from scoring.night import champion_version
from scoring.rows import RowsDigest
from scoring.settings import HOME
from scoring.stores import Workspace, feature_batches, libpq_url

_SQL = HOME / "sql" / "demo" / "lake"
_PARTITION = pa.schema([("night", pa.date32())])
_OPEN_FILES = 400
"""Files that are written at the same time, so that each night of a year has one file."""


@dataclass(frozen=True)
class ReadNight:
    """One night as it was read from one source and scored in memory."""

    source: str
    rows: int
    accepted: int
    snapshot_hash: str
    predictions_hash: str
    seconds: float
    """Seconds in which the rows were read and the contract applied."""


def export(url: str, folder: Path, show: Callable[[str], None]) -> None:
    """Write the source's tables below ``folder``: the flights a file a night, weather and planes a file each.

    They are streamed, and take the place of an earlier export as a whole. ``show`` takes the name of what is being written.
    """
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    with closing(adbc_driver_postgresql.dbapi.connect(libpq_url(url))) as connection, connection.cursor() as cursor:
        for table in ("weather", "planes"):
            show(f"writing {table}")
            with (
                _read(cursor, table) as batches,
                pq.ParquetWriter(fresh / f"{table}.parquet", batches.schema) as writer,
            ):
                for batch in batches:
                    writer.write_batch(batch)
        show("writing flights")
        with _read(cursor, "flights") as batches:
            pyarrow.dataset.write_dataset(
                batches,
                fresh / "flights",
                format="parquet",
                partitioning=pyarrow.dataset.partitioning(_PARTITION, flavor="hive"),
                max_partitions=_OPEN_FILES,
                max_open_files=_OPEN_FILES,
            )
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _read(cursor: adbc_driver_postgresql.dbapi.Cursor, name: str) -> pa.RecordBatchReader:
    """Return the rows of a statement, as they come from the server."""
    cursor.execute((_SQL / f"{name}.sql").read_text(encoding="utf-8"))
    reader = cursor.fetch_record_batch()
    schema = pa.schema([field.remove_metadata() for field in reader.schema])
    return pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in reader))


def from_folder(work: Workspace, folder: Path) -> Workspace:
    """Return the same job with the folder of Parquet files as its source, and the SQL that reads them."""
    url = SecretStr(f"duckdb:///:memory:?root={quote(str(folder))}")
    settings = work.settings.model_copy(
        update={"sources": {**work.settings.sources, work.job.source: url}, "sql_dir": _SQL}
    )
    return replace(work, stores=replace(work.stores, settings=settings))


def read_night(work: Workspace, night: date, source: str) -> ReadNight:
    """Read a night and score it with its champion, in memory: nothing is written or published."""
    ref = work.registry.resolve(work.job.name, champion_version(work, night))
    model = work.registry.load(ref, work.job)
    features, predictions = RowsDigest(), RowsDigest()
    rows = accepted = 0
    parts = []
    began = perf_counter()
    interval = DataInterval.of_night(night, work.job.schedule.timezone)
    with feature_batches(work, interval, model.categories, unused=work.registry.unused(ref, work.job)) as batches:
        for batch, split in batches:
            rows, accepted = rows + batch.num_rows, accepted + split.accepted.num_rows
            features.add(split.accepted)
            parts.append(split.accepted)
    seconds = perf_counter() - began
    for part in parts:
        predictions.add(model.predict(part, work.job))
    return ReadNight(source, rows, accepted, features.hexdigest(), predictions.hexdigest(), seconds)


def require_same(one: ReadNight, other: ReadNight) -> None:
    """Raise ``NightshiftError`` unless both sources gave the same rows and the same predictions."""
    if (one.rows, one.snapshot_hash, one.predictions_hash) != (other.rows, other.snapshot_hash, other.predictions_hash):
        raise NightshiftError(
            f"the night from {other.source}",
            found=f"snapshot_hash {other.snapshot_hash}, {other.rows} rows",
            expected=f"that of {one.source}: {one.snapshot_hash}, {one.rows} rows",
            next_step="please report it",
        )
