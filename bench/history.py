"""What a night's load costs, and what queries cost, on 0, 1 and 3 years of history: CPU of PostgreSQL, WAL, milliseconds.

It works in an embedded PostgreSQL of its own, with autovacuum off so that none falls into a measurement. The history is
made up in the server: the same planes every night, as in a snapshot job, whose keys are the hardest to load. CPU is that
of all of the server's processes, from Linux's ``/proc``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import sqlalchemy as sa

from bench.server import Server, backend_seconds
from scoring.interval import DataInterval
from scoring.job import Job, find_job
from scoring.rows import prediction_schema
from scoring.settings import HOME, Settings
from scoring.stores import embedded
from scoring.stores.warehouse import (
    Run,
    Warehouse,
    ensure_job,
    ledger,
    load,
    migrate,
    open_warehouse,
    pruning,
    remove_rows,
)

JOB = "plane_grounded"
LAST = date(2023, 12, 30)
"""Last night of the history, at the end of a year: its partition is as full as it gets."""
YEARS = (0, 1, 3)
NIGHT_ROWS = 27_000
"""Rows of each night of the history, of which 3 years are 30 million."""
BATCH_ROWS = 50_000
REPETITIONS = 3
TIMES = 50
"""Runs of each query."""
RE_RUNS = 30
SPAN = 73
"""Nights that are made up in one transaction."""
QUERIES = {
    "one key, every night": "select * from {job}_predictions where tailnum = 'N0000077'",
    "newest of one key": "select * from {job}_predictions_newest where tailnum = 'N0000077'",
    "one key, every publication": "select * from {job}_predictions_as_of where tailnum = 'N0000077'",
    "one key, one night": "select * from {job}_predictions where tailnum = 'N0000077' and night = '{night}'",
    "count of one night": "select count(*) from {job}_predictions where night = '{night}'",
}
_SQL = HOME / "sql" / "bench" / "history"
Facts = dict[str, Any]


def measure(folder: Path, rows: int = 1_000_000) -> Facts:
    """Measure a night of ``rows`` rows and the queries on each length of history, in ``folder``, which has to be empty."""
    settings = Settings(data_dir=folder, warehouse_url=None, analyst_url=None)
    try:
        server, warehouse = Server(settings.postgres_dir), open_warehouse(settings)
        job = find_job(settings.jobs_dir, JOB)
        migrate(warehouse)
        ensure_job(warehouse, job)
        server.administer("alter system set autovacuum = off", "select pg_reload_conf()")
        facts: Facts = {"rows": rows, "night_rows": NIGHT_ROWS, "load_average_before": os.getloadavg()[0], "years": {}}
        facts["re_runs"] = _re_runs(server, warehouse, job)
        for before, years in zip((0, *YEARS), YEARS, strict=False):
            _fill(warehouse, job, before, years)
            server.administer("vacuum analyze")
            facts["years"][years] = {"load": _loads(server, warehouse, job, rows)}
            facts["years"][years]["queries"] = _queries(server, job) if years else {}
            print(f"{years} years of history: done", file=sys.stderr, flush=True)
        warehouse.engine.dispose()
    finally:
        embedded.stop(settings.postgres_dir)
    return facts


def _fill(warehouse: Warehouse, job: Job, before: int, years: int) -> None:
    """Add the nights between so many years before ``LAST`` and so many to the history."""
    if years == before:
        return
    first, until = _ago(years), _ago(before)
    day = first
    while day < until:  # the partitions, as a load makes them
        load(warehouse, job, _started(warehouse, job, day), [], prediction_schema(job))
        day = min(until, (day.replace(day=1) + timedelta(days=31)).replace(day=1))
    while first < until:
        last = min(first + timedelta(days=SPAN), until) - timedelta(days=1)
        with warehouse.transaction() as connection:
            for name in ("runs", "pointer", "publications", "predictions"):
                text = sa.text((_SQL / f"{name}.sql").read_text(encoding="utf-8"))
                values = {"job": job.name, "first": first, "last": last, "rows": NIGHT_ROWS}
                connection.execute(text, {name: values[name] for name in text.compile().params})
        first = last + timedelta(days=1)


def _ago(years: int) -> date:
    """Return the first night of so many years up to and with ``LAST``."""
    return LAST + timedelta(days=1 - 365 * years)


def _started(warehouse: Warehouse, job: Job, night: date) -> Run:
    """Start a run of a night that nothing extracts."""
    interval, now = DataInterval.of_night(night, "UTC"), datetime.now(UTC)
    facts = {"run_id": f"{night} {now:%H%M%S%f}", "job": job.name, "night": night, "origin": "bench", "started_at": now}
    facts |= {"interval_start": interval.start, "interval_end": interval.end, "model_version": 1, "model_sha256": ""}
    return ledger.start(
        warehouse, {**facts, "job_sha256": "", "sql_sha256": "", "code_version": "", "library_versions": {}}
    )


def _night(job: Job, rows: int, shuffled: bool) -> list[pa.RecordBatch]:
    """Return a night's predictions, in the order of the key or in none."""
    random = np.random.default_rng(0)
    numbers = random.permutation(rows) if shuffled else np.arange(rows)
    chances = random.random(rows)
    keys = pa.array(np.char.add("N", np.char.zfill(numbers.astype(str), 7)))
    columns = [keys, pa.array(chances >= 0.5), pa.array(chances)]
    return pa.Table.from_arrays(columns, schema=prediction_schema(job)).to_batches(BATCH_ROWS)


def _loads(server: Server, warehouse: Warehouse, job: Job, rows: int) -> dict[str, Facts]:
    """Return the medians of loading a night in the order of the key and in none, per million rows, and its vacuum."""
    orders = {
        "in the order of the key": _night(job, rows, shuffled=False),
        "in no order": _night(job, rows, shuffled=True),
    }
    measured: dict[str, list[Facts]] = {order: [] for order in orders}
    for _ in range(REPETITIONS):
        for order, batches in orders.items():
            run = _started(warehouse, job, LAST + timedelta(days=1))
            measured[order].append(_load(server, warehouse, job, run, batches))
            remove_rows(warehouse, job, run)
            server.administer(f"vacuum {job.name}_predictions_history")
    return {order: {name: median(each[name] for each in all_) for name in all_[0]} for order, all_ in measured.items()}


def _load(server: Server, warehouse: Warehouse, job: Job, run: Run, batches: list[pa.RecordBatch]) -> Facts:
    server.administer("checkpoint")
    cpu, wal, own, began = server.cpu_seconds(), server.wal_bytes(), time.process_time(), time.perf_counter()
    rows = load(warehouse, job, run, batches, batches[0].schema)
    own, seconds = time.process_time() - own, time.perf_counter() - began
    server.administer("checkpoint")
    loaded, written = server.cpu_seconds(), server.wal_bytes()
    server.administer(f"vacuum {job.name}_predictions_history")
    per_million = 1_000_000 / rows
    return {
        "postgresql_cpu_seconds": (loaded - cpu) * per_million,
        "client_cpu_seconds": own * per_million,
        "seconds": seconds * per_million,
        "wal_mib": (written - wal) / 2**20 * per_million,
        "vacuum_cpu_seconds": (server.cpu_seconds() - loaded) * per_million,
    }


def _queries(server: Server, job: Job) -> dict[str, Facts]:
    """Return what each query takes on a connection that has run it before."""
    facts = {}
    for name, query in QUERIES.items():
        text = query.format(job=job.name, night=LAST - timedelta(days=30)).encode()
        with server.connect() as connection:
            rows = len(connection.execute(text).fetchall())
            before = backend_seconds(connection)
            seconds = [_seconds(connection, text) for _ in range(TIMES)]
            cpu = (backend_seconds(connection) - before) / TIMES
        facts[name] = {
            "rows": rows,
            "cpu_ms": 1_000 * cpu,
            "ms": 1_000 * median(seconds),
            "least_ms": 1_000 * min(seconds),
        }
    return facts


def _seconds(connection: psycopg.Connection[Any], query: bytes) -> float:
    began = time.perf_counter()
    connection.execute(query, prepare=False).fetchall()
    return time.perf_counter() - began


def _re_runs(server: Server, warehouse: Warehouse, job: Job) -> Facts:
    """Return the history's MiB after one run of a night, many, retention's removal of all but the last, thrice."""
    batches, night = _night(job, NIGHT_ROWS, shuffled=True), LAST + timedelta(days=2)

    def run_again(times: int) -> Iterator[Run]:
        for _ in range(times):
            run = _started(warehouse, job, night)
            load(warehouse, job, run, batches, batches[0].schema)
            ledger.flip(warehouse, replace(run, rows_loaded=NIGHT_ROWS), NIGHT_ROWS, datetime.now(UTC))
            yield run

    history = f"{job.name}_predictions_history"
    facts = {"one run": (list(run_again(1)), server.mebibytes(history))[1]}
    for turn in ("", ", again", ", a third time"):
        runs = list(run_again(RE_RUNS))
        facts[f"{RE_RUNS} re-runs{turn}"] = server.mebibytes(history)
        for run in runs[:-1]:
            pruning.prune(warehouse, job, run, datetime.now(UTC))
        server.administer(f"vacuum {history}")
        facts[f"removed and vacuumed{turn}"] = server.mebibytes(history)
    return facts


def table_rows(facts: Facts) -> list[tuple[str, ...]]:
    """Return the loads, a line for each length of history and order."""
    return [
        (f"{years} years", order, *(f"{value:,.2f}" for value in load.values()))
        for years, parts in facts["years"].items()
        for order, load in parts["load"].items()
    ]


def query_rows(facts: Facts) -> list[tuple[str, ...]]:
    """Return the queries, a line for each length of history and query."""
    return [
        (f"{years} years", name, f"{query['rows']:,}", *(f"{query[kind]:.1f}" for kind in ("cpu_ms", "ms", "least_ms")))
        for years, parts in facts["years"].items()
        for name, query in parts["queries"].items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.history", description="Measure load and queries by history.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the night that is loaded")
    parser.add_argument("--json", type=Path, default=HOME / "bench" / "results" / "history.json")
    parser.add_argument(
        "--data", type=Path, help="empty folder to use and keep; default: one that is removed at the end"
    )
    asked = parser.parse_args(arguments)
    folder = asked.data.resolve() if asked.data else Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        facts = measure(folder, asked.rows)
    finally:
        if asked.data is None:
            shutil.rmtree(folder)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    _print(facts)
    return 0


def _print(facts: Facts) -> None:
    from cli import tables

    title = f"a night of {facts['rows']:,} rows; per million rows, medians of {REPETITIONS}"
    columns = ("history", "rows come", "CPU s of PostgreSQL", "CPU s of the client", "s", "WAL MiB", "CPU s of VACUUM")
    tables.table(title, columns, table_rows(facts))
    tables.table("queries", ("history", "query", "rows", "CPU ms", "ms", "least ms"), query_rows(facts))
    for what, size in facts["re_runs"].items():
        print(f"{what}: {size:.1f} MiB")


if __name__ == "__main__":
    sys.exit(main())
