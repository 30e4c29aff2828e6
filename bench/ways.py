"""What nights are compared with, each in a process of its own: ``python -m bench.ways <step> [arguments]``.

Every step prints its facts as one line of JSON. None of them checks, quarantines, keeps, reconciles or gates anything.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from scoring.interval import DataInterval
from scoring.job import find_job
from scoring.rows import RowsDigest, prediction_schema, row_hashes, to_frame
from scoring.settings import load_settings
from scoring.stores import RunFolder, Workspace, open_stores
from scoring.stores.warehouse import ledger

CHUNK_ROWS = 50_000
THREADS = 2
Facts = dict[str, Any]


def _open(job: str) -> Workspace:
    settings = load_settings()
    return Workspace(open_stores(settings, lambda: datetime.now(UTC)), find_job(settings.jobs_dir, job))


def _published(work: Workspace, night: str) -> RunFolder:
    day = date.fromisoformat(night)
    run_id = ledger.published(work.warehouse, work.job.name, day)[day]
    return RunFolder(work.lake, ledger.get(work.warehouse, run_id))


def _pipeline(work: Workspace, folder: RunFolder) -> Any:
    """Return the version's pipeline as scikit-learn fitted it."""
    pipeline = work.registry.load(folder.version_ref(), work.job).pipeline
    if not type(pipeline).__module__.startswith("sklearn."):
        raise TypeError(f"a pipeline of {type(pipeline).__module__}, expected scikit-learn's own")
    return pipeline


def bare(job: str, night: str) -> Facts:
    """Return how long ``predict_proba`` alone takes for a published night's rows that are in memory already.

    With one thread; with two threads of OpenMP; with two chunks at a time and one thread of OpenMP in each.
    """
    from threadpoolctl import threadpool_limits

    work = _open(job)
    folder = _published(work, night)
    batches = [b for number in folder.chunks for b in work.lake.batches(folder.part("features", number))]
    rows = pa.Table.from_batches(batches)
    frame, pipeline = to_frame(rows, work.job), _pipeline(work, folder)
    starts = range(0, len(frame), CHUNK_ROWS)

    def scored(start: int) -> np.ndarray:
        probabilities: np.ndarray = pipeline.predict_proba(frame.iloc[start : start + CHUNK_ROWS])[:, 1]
        return probabilities

    def timed(threads: int, at_once: int) -> tuple[float, float, list[np.ndarray]]:
        with threadpool_limits(threads), ThreadPoolExecutor(at_once) as pool:
            scored(0)  # the first call loads code and starts threads
            began, began_cpu = time.perf_counter(), time.process_time()
            parts = list(pool.map(scored, starts))
            return time.perf_counter() - began, time.process_time() - began_cpu, parts

    one, one_cpu, parts = timed(1, 1)
    openmp, pair = timed(THREADS, 1)[0], timed(1, THREADS)[0]
    facts = {"rows": len(frame), "predictions_hash": _hash(work, rows, np.concatenate(parts))}
    seconds = {"one_thread_seconds": one, "one_thread_cpu_seconds": one_cpu}
    return facts | seconds | {"two_openmp_seconds": openmp, "two_chunks_seconds": pair}


def _hash(work: Workspace, rows: pa.Table, probabilities: np.ndarray) -> str:
    schema, digest = prediction_schema(work.job), RowsDigest()
    columns = [rows.column(name).combine_chunks() for name in work.job.key]
    columns += [pa.array(probabilities >= 0.5), pa.array(probabilities)]
    digest.add(pa.RecordBatch.from_arrays(columns, schema=schema))
    return digest.hexdigest()


def naive(job: str, night: str) -> Facts:
    """Score a night as a first script would, with a server-side cursor and ``to_sql``; return how long it took."""
    work = _open(job)
    folder = _published(work, night)
    interval = DataInterval.of_night(date.fromisoformat(night), work.job.schedule.timezone)
    pipeline = _pipeline(work, folder)
    source, target = sa.create_engine(work.stores.source_url(work.job)), sa.create_engine(work.warehouse.url)
    sa.Table("bench_naive", sa.MetaData()).drop(target, checkfirst=True)
    query = sa.text(work.stores.features_query(work.job).text)
    ends = {"interval_start": interval.start, "interval_end": interval.end}
    rows, began = 0, time.perf_counter()
    with source.connect().execution_options(stream_results=True) as connection:
        for chunk in pd.read_sql(query, connection, params=ends, chunksize=CHUNK_ROWS):
            probability = pipeline.predict_proba(chunk[list(work.job.features)])[:, 1]
            made = chunk[list(work.job.key)].assign(night=night, prediction=probability >= 0.5)
            made.assign(probability=probability).to_sql("bench_naive", target, if_exists="append", index=False)
            rows += len(chunk)
    return {"rows": rows, "work_seconds": time.perf_counter() - began}


def table_hash(job: str, night: str, table: str) -> Facts:
    """Return the rows of a table of predictions in the warehouse, and the ``predictions_hash`` that a run of them has.

    The rows that the published run of the night put into quarantine are left out, as none of the ways but ours does.
    """
    from adbc_driver_postgresql import dbapi

    from scoring.stores import libpq_url

    work = _open(job)
    schema, digest, rows = prediction_schema(work.job), RowsDigest(), 0
    left_out = _quarantined(work, night)
    with dbapi.connect(libpq_url(work.warehouse.url)) as connection, connection.cursor() as cursor:
        cursor.execute(f"select {', '.join(schema.names)} from {table}")
        for batch in cursor.fetch_record_batch():
            columns = [_as(column, kind) for column, kind in zip(batch.columns, schema.types, strict=True)]
            made = pa.RecordBatch.from_arrays(columns, schema=schema)
            hashes = row_hashes(made.select(list(work.job.key)))
            digest.add(made.filter(pa.array(~np.isin(hashes, left_out))))
            rows += batch.num_rows
    return {"table_rows": rows, "predictions_hash": digest.hexdigest()}


def _quarantined(work: Workspace, night: str) -> np.ndarray:
    """Return hashes of the keys in quarantine."""
    schema = prediction_schema(work.job)
    names = list(work.job.key)
    batches = [batch.select(names) for batch in _published(work, night).quarantine()]
    keys = [batch.cast(pa.schema([schema.field(name) for name in names])) for batch in batches]
    return np.concatenate([row_hashes(batch) for batch in keys]) if keys else np.empty(0, dtype=np.uint64)


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        column = column.cast(pa.timestamp(column.type.unit, "UTC"))  # a peer wrote UTC without saying so
    return column.cast(kind)


def peer_model(job: str, night: str, folder: str) -> Facts:
    """Save the pipeline that scores a night as an MLflow model in ``folder``, for the peers; return its features."""
    import mlflow

    work = _open(job)
    target = Path(folder)
    mlflow.sklearn.save_model(
        _pipeline(work, _published(work, night)),
        target,
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",
        pip_requirements=[],  # else it loads the model once more to guess them
    )
    numbers = [name for name, feature in work.job.features.items() if feature.type != "category"]
    return {"features": list(work.job.features), "numbers": numbers, "key": list(work.job.key)}


if __name__ == "__main__":
    steps = {step.__name__: step for step in (bare, naive, table_hash, peer_model)}
    print(json.dumps(steps[sys.argv[1]](*sys.argv[2:]), default=float))
