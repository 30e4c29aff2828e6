"""Bulk-loads predictions by binary COPY: a run's (invisible until it is published) or a shadow version's (never published)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from threading import Lock
from typing import Any

import adbc_driver_manager
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from scoring.errors import KeysRepeat, NightshiftError
from scoring.job import Job
from scoring.stores.arrow_connections import arrow_connection
from scoring.stores.urls import libpq_url
from scoring.stores.warehouse.connection import Warehouse, translated
from scoring.stores.warehouse.job_tables import history, shadow
from scoring.stores.warehouse.reason_tables import existing_reasons, reasons_of
from scoring.stores.warehouse.records import Run
from scoring.stores.warehouse.schema import ensure_partition
from scoring.stores.warehouse.tables import LOADED_CHUNKS

_WAIT = "60s"
"""How long a connection waits for a lock. Keys are unique by then; one that came twice would wait for ever, not fail."""
_UNIQUE_VIOLATION = "23505"
"""PostgreSQL's code for a key that is there already."""


def load(
    warehouse: Warehouse,
    job: Job,
    run: Run,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    connections: int = 1,
) -> int:
    """Load a run's predictions, invisible until it is published, and return how many rows of the run the table holds.

    The server counts the rows before they are committed; a run's rows from an interrupted try are replaced in the same
    transaction. Rows of a new run come through several ``connections``, which commit once all of them have sent and
    counted theirs: a kill in that moment may leave some of the rows, which nobody sees and the next try replaces.
    ``schema`` is the one of ``batches``. Raises ``WarehouseUnavailable`` when trying again can help.
    """
    ensure_partition(warehouse, job, run.night)
    with _Loading(warehouse, history(job), _constants(run)) as loading:
        if loading.replaced():
            connections = 1
        return loading.send(batches, schema, connections)


@dataclass(frozen=True)
class LoadedChunk:
    """A chunk of a shared run whose predictions are loaded: its number, its rows, and sums over them as JSON values."""

    chunk: int
    rows: int
    facts: dict[str, Any]


def load_chunks(
    warehouse: Warehouse,
    job: Job,
    run: Run,
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    chunks: Callable[[], list[LoadedChunk]],
) -> None:
    """Load predictions of some chunks of a run beside those of its others, invisible until it is published, all or none.

    ``chunks`` says, once the batches were taken, which they were of: they are recorded in the same transaction. Raises
    ``KeysRepeat`` when the run has a row with one of the keys already.
    """
    ensure_partition(warehouse, job, run.night)
    with _Loading(warehouse, history(job), _constants(run)) as loading:
        loading.add(batches, schema, lambda: [_recording(run, chunk) for chunk in chunks()])


def loaded_chunks(warehouse: Warehouse, run: Run) -> dict[int, LoadedChunk]:
    """Return the chunks of a shared run whose predictions are loaded, by number."""
    of_this_run = sa.select(LOADED_CHUNKS).where(LOADED_CHUNKS.c.run_number == run.run_number)
    rows = warehouse.rows(of_this_run.order_by(LOADED_CHUNKS.c.chunk))
    return {row["chunk"]: LoadedChunk(row["chunk"], row["rows"], row["facts"]) for row in rows}


def _recording(run: Run, chunk: LoadedChunk) -> str:
    numbers = {"run_number": run.run_number, "chunk": chunk.chunk, "rows": chunk.rows}
    values: dict[str, Any] = {name: sa.literal(number, sa.BigInteger) for name, number in numbers.items()}
    values["facts"] = sa.cast(sa.literal(json.dumps(chunk.facts), sa.Text), JSONB)
    return _text(sa.insert(LOADED_CHUNKS).values(values), literal_binds=True)


def load_shadow(
    warehouse: Warehouse, job: Job, run: Run, version: int, batches: Iterable[pa.RecordBatch], schema: pa.Schema
) -> None:
    """Load the predictions of a version in the shadow for a run's rows, in one transaction, replacing an earlier try."""
    constants = {**_constants(run), "model_version": pa.scalar(version, pa.int32())}
    with _Loading(warehouse, shadow(job), constants) as loading:
        loading.replaced()
        loading.send(batches, schema, 1)


def load_reasons(warehouse: Warehouse, job: Job, run: Run, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
    """Load the reasons of a run's predictions, invisible until it is published, and return how many rows the table has.

    They are loaded in one transaction, replacing those of an earlier try.
    """
    with _Loading(warehouse, reasons_of(job), _constants(run)) as loading:
        loading.replaced()
        return loading.send(batches, schema, 1)


def _constants(run: Run) -> dict[str, pa.Scalar]:
    return {"night": pa.scalar(run.night, pa.date32()), "run_number": pa.scalar(run.run_number, pa.int64())}


class _Loading:
    """Transactions that replace the rows with these constants. Those that are not committed are rolled back at the end."""

    def __init__(self, warehouse: Warehouse, table: sa.Table, constants: dict[str, pa.Scalar]) -> None:
        self._url, self._table, self._constants = libpq_url(warehouse.url), table, constants
        self._opened: list[Any] = []
        self._failures: list[Exception] = []
        self._values = [constant.as_py() for constant in constants.values()]

    def __enter__(self) -> _Loading:
        return self

    def __exit__(self, *error: object) -> None:
        for connection in self._opened:
            connection.close()

    def replaced(self) -> bool:
        """Remove the rows that there are, and return whether there were any."""
        with translated(), self._open().cursor() as cursor:
            if not self._count(cursor):
                return False
            cursor.execute(_numbered(sa.delete(self._table), self._table, self._constants), parameters=self._values)
            return True

    def send(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, connections: int) -> int:
        """Send the batches, through several connections where there are as many batches, and return how many rows there are."""
        shared = _Shared(_remembered(batches, self._failures))
        try:
            with translated():
                with ThreadPoolExecutor(connections, "load") as pool:
                    sent = [pool.submit(self._share, shared, schema, number) for number in range(connections)]
                rows = sum(share.result() for share in sent)
                for connection in self._opened:
                    connection.commit()
                return rows
        except NightshiftError as error:
            raise self._failures[0] if self._failures else error  # noqa: B904 - no failure of the database

    def add(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, statements: Callable[[], list[str]]) -> None:
        """Send the batches beside the rows that there are, and commit them together with ``statements``."""
        rows = self._rows(_remembered(batches, self._failures), schema)
        try:
            with translated(), self._open().cursor() as cursor:
                with _keys_once(self._table):
                    cursor.adbc_ingest(self._table.name, rows, mode="append")
                for statement in statements():
                    cursor.execute(statement)
                self._opened[0].commit()
        except NightshiftError as error:
            raise self._failures[0] if self._failures else error  # noqa: B904 - no failure of the database

    def _share(self, shared: _Shared, schema: pa.Schema, number: int) -> int:
        """Send the batches that the others leave, and return how many rows the server counts in this transaction."""
        first = next(shared, None) if number else None
        if number and first is None:
            return 0
        connection = self._open() if number else self._opened[0]
        own = shared if first is None else chain([first], shared)
        try:
            with connection.cursor() as cursor:
                cursor.adbc_ingest(self._table.name, self._rows(own, schema), mode="append")
                return self._count(cursor)
        except BaseException:
            connection.rollback()  # at once: another share may wait for what this one did with the same key
            raise

    def _rows(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatchReader:
        """Return the rows as the table has them, those of a batch in the order of the key.

        The index takes neighbours one after the other at half the cost of rows from all over.
        """
        table, constants = self._table, self._constants
        order, names = [column.key for column in table.columns], [column.name for column in table.columns]
        by_key = [(column.key, "ascending") for column in table.primary_key if column.key not in constants]
        return pa.RecordBatchReader.from_batches(
            stamped(pa.RecordBatch.from_pylist([], schema), constants, order).rename_columns(names).schema,
            (stamped(batch.sort_by(by_key), constants, order).rename_columns(names) for batch in batches),
        )

    def _open(self) -> Any:
        connection = arrow_connection(self._url)
        self._opened.append(connection)
        with connection.cursor() as cursor:
            cursor.execute(f"set lock_timeout = '{_WAIT}'")
        return connection

    def _count(self, cursor: Any) -> int:
        cursor.execute(_numbered(_counted(self._table), self._table, self._constants), parameters=self._values)
        ((rows,),) = cursor.fetchall()
        return int(rows)


@contextmanager
def _keys_once(table: sa.Table) -> Iterator[None]:
    """Translate the server's refusal of a key that it has already."""
    try:
        yield
    except adbc_driver_manager.Error as error:
        if error.sqlstate != _UNIQUE_VIOLATION:
            raise
        raise KeysRepeat(
            f"rows of {table.name}",
            found="a key that the run has already",
            expected="each key once in a night",
            next_step="run the night again: one task then reads it in the order of its keys, and quarantines the copies",
        ) from None


class _Shared:
    """An iterator that several threads take from, one at a time."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches, self._lock = batches, Lock()

    def __iter__(self) -> _Shared:
        return self

    def __next__(self) -> pa.RecordBatch:
        with self._lock:
            return next(self._batches)


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


def count_reasons(warehouse: Warehouse, job: Job, run: Run) -> int:
    """Return how many rows the table of reasons holds of a run, 0 without a table."""
    with warehouse.transaction() as connection:
        tables = existing_reasons(connection, job)
        return sum(connection.execute(_counted(table).where(of_run(table, run))).scalar_one() for table in tables)


def remove_rows(warehouse: Warehouse, job: Job, run: Run) -> int:
    """Remove a run's rows from the history table, and their reasons, and return how many there were."""
    table = history(job)
    with warehouse.transaction() as connection:
        for reasons in existing_reasons(connection, job):
            connection.execute(sa.delete(reasons).where(of_run(reasons, run)))
        return connection.execute(sa.delete(table).where(of_run(table, run))).rowcount


def of_run(table: sa.Table, run: Run) -> sa.ColumnElement[bool]:
    """Return the condition that a history row is of a run."""
    return sa.and_(table.c.night == run.night, table.c.run_number == run.run_number)


def _counted(table: sa.Table) -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(table)


def _numbered(query: sa.Select[Any] | sa.Delete, table: sa.Table, constants: dict[str, pa.Scalar]) -> str:
    """Return the text of a statement about the rows with these constants, which are its parameters $1, $2, …"""
    return _text(query.where(*(table.c[name] == sa.bindparam(name) for name in constants)))


def _text(query: sa.ClauseElement, **rendering: bool) -> str:
    dialect = sa.dialects.postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    return str(query.compile(dialect=dialect, compile_kwargs=rendering))
