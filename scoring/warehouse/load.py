"""Bulk load of one run's predictions by binary COPY, invisible until the pointer is flipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime

import adbc_driver_postgresql.dbapi
import pyarrow as pa
import sqlalchemy as sa

from scoring.job import Job
from scoring.source import libpq_url
from scoring.warehouse.connection import Warehouse, translated
from scoring.warehouse.schema import ensure_month
from scoring.warehouse.tables import history


@dataclass(frozen=True)
class Stamp:
    """What every row of a load says about its run."""

    night: date
    run_id: str
    model_version: int
    scored_at: datetime

    def onto(self, batch: pa.RecordBatch, order: list[str]) -> pa.RecordBatch:
        """Return the batch with the stamp's columns, in the table's column order."""
        constants = {
            "night": pa.scalar(self.night, pa.date32()),
            "run_id": pa.scalar(self.run_id, pa.string()),
            "model_version": pa.scalar(self.model_version, pa.int32()),
            "scored_at": pa.scalar(self.scored_at, pa.timestamp("us", "UTC")),
        }
        arrays = [
            pa.repeat(constants[name], batch.num_rows) if name in constants else batch.column(name) for name in order
        ]
        return pa.RecordBatch.from_arrays(arrays, order)

    def schema(self, predictions: pa.Schema, order: list[str]) -> pa.Schema:
        """Return the schema of stamped batches of ``predictions``."""
        return self.onto(pa.RecordBatch.from_pylist([], predictions), order).schema


def load(warehouse: Warehouse, job: Job, stamp: Stamp, batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> int:
    """Load a run's predictions unless they are there already; return how many rows of the run the table holds.

    All rows become part of the table in one transaction or none do; a run's rows from an interrupted try are
    replaced. ``schema`` is the one of ``batches``. Raises ``WarehouseUnavailable`` when trying again can help.
    """
    table = history(job)
    order = [column.name for column in table.columns]
    ensure_month(warehouse, job, stamp.night)
    reader = pa.RecordBatchReader.from_batches(
        stamp.schema(schema, order), (stamp.onto(batch, order) for batch in batches)
    )
    with translated(), closing(adbc_driver_postgresql.dbapi.connect(libpq_url(warehouse.url))) as connection:
        with connection.cursor() as cursor:
            cursor.execute(_delete_run(table), parameters=[stamp.night, stamp.run_id])
            cursor.adbc_ingest(table.name, reader, mode="append")
        connection.commit()
    return count_rows(warehouse, job, stamp.night, stamp.run_id)


def count_rows(warehouse: Warehouse, job: Job, night: date, run_id: str) -> int:
    """Return how many rows of a run the history table holds."""
    table = history(job)
    counting = sa.select(sa.func.count()).select_from(table).where(table.c.night == night, table.c.run_id == run_id)
    with warehouse.transaction() as connection:
        return connection.execute(counting).scalar_one()


def remove_rows(warehouse: Warehouse, job: Job, night: date, run_id: str) -> int:
    """Remove a run's rows from the history table; return how many there were."""
    table = history(job)
    with warehouse.transaction() as connection:
        return connection.execute(sa.delete(table).where(table.c.night == night, table.c.run_id == run_id)).rowcount


def _delete_run(table: sa.Table) -> str:
    dialect = sa.dialects.postgresql.dialect(paramstyle="numeric_dollar")
    gone = sa.delete(table).where(table.c.night == sa.bindparam("night"), table.c.run_id == sa.bindparam("run_id"))
    return str(gone.compile(dialect=dialect))
