"""Bulk load of one run's predictions by binary COPY, invisible until the pointer is flipped."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

import adbc_driver_postgresql.dbapi
import pyarrow as pa
import sqlalchemy as sa

from scoring.job import Job
from scoring.source import libpq_url
from scoring.warehouse.connection import Warehouse, translated
from scoring.warehouse.ledger import Run
from scoring.warehouse.schema import ensure_month
from scoring.warehouse.tables import history


def load(warehouse: Warehouse, job: Job, run: Run, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
    """Load a run's predictions, invisible until it is published; return how many rows of the run the table holds.

    All rows become part of the table in one transaction or none do; a run's rows from an interrupted try are
    replaced. ``schema`` is the one of ``batches``. Raises ``WarehouseUnavailable`` when trying again can help.
    """
    table = history(job)
    constants = {"night": pa.scalar(run.night, pa.date32()), "run_number": pa.scalar(run.run_number, pa.int64())}
    order = [column.name for column in table.columns]
    ensure_month(warehouse, job, run.night)
    reader = pa.RecordBatchReader.from_batches(
        stamped(pa.RecordBatch.from_pylist([], schema), constants, order).schema,
        (stamped(batch, constants, order) for batch in batches),
    )
    with translated(), closing(adbc_driver_postgresql.dbapi.connect(libpq_url(warehouse.url))) as connection:
        with connection.cursor() as cursor:
            cursor.execute(_delete_run(table), parameters=[run.night, run.run_number])
            cursor.adbc_ingest(table.name, reader, mode="append")
        connection.commit()
    return count_rows(warehouse, job, run)


def stamped(batch: pa.RecordBatch, constants: dict[str, pa.Scalar], order: list[str]) -> pa.RecordBatch:
    """Return the batch with a column for each constant, its columns in the given order."""
    arrays = [pa.repeat(constants[name], batch.num_rows) if name in constants else batch.column(name) for name in order]
    return pa.RecordBatch.from_arrays(arrays, order)


def count_rows(warehouse: Warehouse, job: Job, run: Run) -> int:
    """Return how many rows of a run the history table holds."""
    table = history(job)
    with warehouse.transaction() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table).where(of_run(table, run))).scalar_one()


def remove_rows(warehouse: Warehouse, job: Job, run: Run) -> int:
    """Remove a run's rows from the history table; return how many there were."""
    table = history(job)
    with warehouse.transaction() as connection:
        return connection.execute(sa.delete(table).where(of_run(table, run))).rowcount


def of_run(table: sa.Table, run: Run) -> sa.ColumnElement[bool]:
    """Return the condition that a history row is of a run."""
    return sa.and_(table.c.night == run.night, table.c.run_number == run.run_number)


def _delete_run(table: sa.Table) -> str:
    dialect = sa.dialects.postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    gone = sa.delete(table).where(
        table.c.night == sa.bindparam("night"), table.c.run_number == sa.bindparam("run_number")
    )
    return str(gone.compile(dialect=dialect))
