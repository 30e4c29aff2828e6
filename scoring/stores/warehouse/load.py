"""Bulk-loads predictions by binary COPY: a run's (invisible until it is published) or a shadow version's (never published)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from scoring.errors import NightshiftError
from scoring.job import Job
from scoring.stores.arrow_connections import arrow_connection
from scoring.stores.urls import libpq_url
from scoring.stores.warehouse.connection import Warehouse, translated
from scoring.stores.warehouse.job_tables import history, shadow
from scoring.stores.warehouse.records import Run
from scoring.stores.warehouse.schema import ensure_partition


def load(warehouse: Warehouse, job: Job, run: Run, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
    """Load a run's predictions, invisible until it is published, and return how many rows of the run the table holds.

    All rows become part of the table in one transaction or none do, and the server counts them in it; a run's rows from
    an interrupted try are replaced. ``schema`` is the one of ``batches``. Raises ``WarehouseUnavailable`` when trying
    again can help.
    """
    constants = {"night": pa.scalar(run.night, pa.date32()), "run_number": pa.scalar(run.run_number, pa.int64())}
    ensure_partition(warehouse, job, run.night)
    return _replace(warehouse, history(job), constants, batches, schema)


def load_shadow(
    warehouse: Warehouse, job: Job, run: Run, version: int, batches: Iterable[pa.RecordBatch], schema: pa.Schema
) -> None:
    """Load the predictions of a version in the shadow for a run's rows, in one transaction, replacing an earlier try."""
    constants = {
        "night": pa.scalar(run.night, pa.date32()),
        "run_number": pa.scalar(run.run_number, pa.int64()),
        "model_version": pa.scalar(version, pa.int32()),
    }
    _replace(warehouse, shadow(job), constants, batches, schema)


def _replace(
    warehouse: Warehouse,
    table: sa.Table,
    constants: dict[str, pa.Scalar],
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
) -> int:
    """Replace the rows that have these constants by the batches, each row with the constants added; return how many there are.

    The rows of a batch are sent in the order of the key, since the index takes neighbours one after the other at half the
    cost of rows from all over.
    """
    order, names = [column.key for column in table.columns], [column.name for column in table.columns]
    by_key = [(column.key, "ascending") for column in table.primary_key if column.key not in constants]
    failures: list[Exception] = []
    reader = pa.RecordBatchReader.from_batches(
        stamped(pa.RecordBatch.from_pylist([], schema), constants, order).rename_columns(names).schema,
        (
            stamped(batch.sort_by(by_key), constants, order).rename_columns(names)
            for batch in _remembered(batches, failures)
        ),
    )
    values = [constant.as_py() for constant in constants.values()]
    try:
        with translated(), closing(arrow_connection(libpq_url(warehouse.url))) as connection:
            with connection.cursor() as cursor:
                cursor.execute(_numbered(sa.delete(table), table, constants), parameters=values)
                cursor.adbc_ingest(table.name, reader, mode="append")
                cursor.execute(_numbered(_counted(table), table, constants), parameters=values)
                ((rows,),) = cursor.fetchall()
            connection.commit()
            return int(rows)
    except NightshiftError as error:
        raise failures[0] if failures else error  # noqa: B904 - a failure of reading the batches is not the database's


def _remembered(batches: Iterable[pa.RecordBatch], failures: list[Exception]) -> Iterator[pa.RecordBatch]:
    """Yield the batches, and add the error of reading them to ``failures``, since the driver passes on its text only."""
    try:
        yield from batches
    except Exception as error:  # raised again
        failures.append(error)
        raise


def stamped(batch: pa.RecordBatch, constants: dict[str, pa.Scalar], order: list[str]) -> pa.RecordBatch:
    """Return the batch with a column for each constant, its columns in the given order."""
    arrays = [pa.repeat(constants[name], batch.num_rows) if name in constants else batch.column(name) for name in order]
    return pa.RecordBatch.from_arrays(arrays, order)


def count_rows(warehouse: Warehouse, job: Job, run: Run) -> int:
    """Return how many rows of a run the history table holds."""
    table = history(job)
    with warehouse.transaction() as connection:
        return connection.execute(_counted(table).where(of_run(table, run))).scalar_one()


def remove_rows(warehouse: Warehouse, job: Job, run: Run) -> int:
    """Remove a run's rows from the history table, and return how many there were."""
    table = history(job)
    with warehouse.transaction() as connection:
        return connection.execute(sa.delete(table).where(of_run(table, run))).rowcount


def of_run(table: sa.Table, run: Run) -> sa.ColumnElement[bool]:
    """Return the condition that a history row is of a run."""
    return sa.and_(table.c.night == run.night, table.c.run_number == run.run_number)


def _counted(table: sa.Table) -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(table)


def _numbered(query: sa.Select[Any] | sa.Delete, table: sa.Table, constants: dict[str, pa.Scalar]) -> str:
    """Return the text of a statement about the rows with these constants, which are its parameters $1, $2, …"""
    dialect = sa.dialects.postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    narrowed = query.where(*(table.c[name] == sa.bindparam(name) for name in constants))
    return str(narrowed.compile(dialect=dialect))
