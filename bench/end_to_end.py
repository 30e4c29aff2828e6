"""One night end to end, next to the bare ``predict_proba`` and the naive loop, on the same rows in one run.

It works in a data folder and an embedded PostgreSQL of its own, so nothing of the demo is touched. CPU seconds and
peak RSS are those of the Python process alone, not of PostgreSQL. The naive loop only predicts and loads: no
contract, no snapshot, no Parquet, no index, no reconciliation, no gate. Exit code 1 if memory grows with the night.
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
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from scoring.settings import HOME, Settings, child_environment, code_version

# A child's peak RSS counts from its parent's, so this process imports little before its end.
from scoring.stores import embedded

JOB = "flight_delay"
NIGHTS, LARGE_NIGHT = ("2013-04-01", "2013-04-02", "2013-04-03"), "2013-04-04"
REPETITIONS = {"run": 3, "bare": 3, "naive": 2}  # a night of its own for each: a night is scored once, as a rule
MOST_GROWTH = 1.2
LIBRARIES = ("numpy", "pandas", "pyarrow", "scikit-learn", "sqlalchemy", "psycopg", "adbc-driver-postgresql")
Facts = dict[str, Any]


class StepFailed(RuntimeError):
    """A process of the benchmark failed, or the ways did not score the same."""


def measure(command: Sequence[str], data: Path, variables: Mapping[str, str] | None = None) -> Facts:
    """Run a command on the data folder; return what the process used, and the JSON that its last line may be."""
    load, began = os.getloadavg()[0], time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        bytecode = {"PYTHONPYCACHEPREFIX": str(data / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}  # compiled, for all
        environment = child_environment({"NIGHTSHIFT_DATA_DIR": str(data), **bytecode, **(variables or {})})
        process = subprocess.Popen(command, cwd=HOME, env=environment, stdout=out, stderr=errors)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        if process.returncode:
            raise StepFailed(f"{' '.join(command)}: exit code {process.returncode}\n{errors.read()[-2000:]}")
        last = (out.read().strip().splitlines() or [""])[-1]
    unit = 1024**2 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB elsewhere
    used_facts = {
        "wall_seconds": wall,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_rss_mib": used.ru_maxrss / unit,
    }
    return {**used_facts, "load_average_before": load, **(json.loads(last) if last.startswith("{") else {})}


def score(night: str, data: Path) -> Facts:
    """Run ``nightshift run`` for a night; return what the process used and what the ledger says."""
    facts = measure([str(Path(sys.executable).parent / "nightshift"), "run", JOB, "--night", night], data)
    return {**facts, **_step(data, "runs", night)["runs"][-1]}


def _step(data: Path, *arguments: str) -> Facts:
    return measure([sys.executable, "-m", "bench.ways", *arguments], data)


def benchmark(settings: Settings, rows: int, large: int) -> Facts:
    """Measure everything in the settings' data folder and return it, every repetition."""
    data = settings.data_dir
    _say(f"preparing {len(NIGHTS)} nights of {rows:,} rows and one of {large:,} in {data}")
    prepared = _step(data, "prepare", *(f"{night}={rows}" for night in NIGHTS), f"{LARGE_NIGHT}={large}")
    model = json.dumps(prepared["model"])
    found: dict[str, list[Facts]] = {way: [] for way in REPETITIONS}
    for repetition, night in enumerate(NIGHTS):
        for way, repetitions in REPETITIONS.items():
            if repetition < repetitions:
                facts = score(night, data) if way == "run" else _step(data, way, night, model)
                found[way].append(with_rates({"night": night, **facts}))
                _say(f"{way} of {night}: {found[way][-1]['wall_seconds']:.1f} s")
    _check_same(found)
    big = with_rates(score(LARGE_NIGHT, data))
    _say(f"run of {big['rows_extracted']:,} rows: {big['wall_seconds']:.1f} s")
    about = {"date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "code_version": code_version(settings), "rows": rows}
    return {**about, "machine": machine(), "model": prepared["model"], **found, "large_run": big}


def with_rates(one: Facts) -> Facts:
    """Return the facts with rows/s of the whole process and, unless the ledger says so, of the work alone."""
    rows = one.get("rows_extracted", one.get("rows"))
    rates = {"process_rows_per_second": rows / one["wall_seconds"]}
    for rate, seconds in {"rows_per_second": "work", "two_at_a_time_rows_per_second": "two_at_a_time"}.items():
        if f"{seconds}_seconds" in one:
            rates[rate] = rows / one[f"{seconds}_seconds"]
    return {**one, **rates}


def _check_same(found: dict[str, list[Facts]]) -> None:
    """Raise unless the naive loop scored the rows that were extracted, and the bare predict those not quarantined."""
    for way, count in {"naive": "rows_extracted", "bare": "rows_loaded"}.items():
        for one, run in zip(found[way], found["run"], strict=False):
            if one["rows"] != run[count]:
                raise StepFailed(f"{way} scored {one['rows']} rows of {one['night']}, run {run[count]}")


def machine() -> Facts:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    libraries = {name: version(name) for name in LIBRARIES}
    python = {"python": platform.python_version(), "libraries": libraries}
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.platform(), **python}


def medians(found: Facts) -> Facts:
    """Return each way's medians."""
    made: Facts = {}
    for way in REPETITIONS:
        numbers = [name for name, value in found[way][0].items() if isinstance(value, int | float)]
        made[way] = {name: median(one[name] for one in found[way]) for name in numbers}
    return made


def ratios(found: Facts, middle: Facts) -> Facts:
    """Return how the run compares: rows/s, CPU seconds and peak RSS, and how its memory grows with the night."""
    run, bare, naive = (middle[way] for way in REPETITIONS)
    growth = found["large_run"]["peak_rss_mib"] / run["peak_rss_mib"]
    return {
        "run_to_naive_process_rows_per_second": run["process_rows_per_second"] / naive["process_rows_per_second"],
        "run_to_naive_rows_per_second": run["rows_per_second"] / naive["rows_per_second"],
        "run_to_naive_cpu_seconds": run["cpu_seconds"] / naive["cpu_seconds"],
        "run_to_naive_peak_rss": run["peak_rss_mib"] / naive["peak_rss_mib"],
        "run_to_bare_process_rows_per_second": run["process_rows_per_second"] / bare["rows_per_second"],
        "run_to_bare_rows_per_second": run["rows_per_second"] / bare["rows_per_second"],
        "run_to_bare_two_at_a_time": run["process_rows_per_second"] / bare["two_at_a_time_rows_per_second"],
        "run_to_bare_two_at_a_time_without_start_up": run["rows_per_second"] / bare["two_at_a_time_rows_per_second"],
        "run_to_bare_cpu_seconds": run["cpu_seconds"] / bare["work_cpu_seconds"],
        "large_to_run_peak_rss": growth,
        "memory": "PASS" if growth <= MOST_GROWTH else "FAIL",
    }


def table_rows(found: Facts, middle: Facts, compared: Facts) -> list[tuple[str, ...]]:
    """Return what the table shows, a line each."""
    run, bare, naive = (middle[way] for way in REPETITIONS)
    big = found["large_run"]

    def process(name: str, one: Facts) -> tuple[str, ...]:
        whole, work = f"{one['process_rows_per_second']:,.0f}", f"{one['rows_per_second']:,.0f}"
        seconds = f"{one['wall_seconds']:.1f}", f"{one['cpu_seconds']:.1f}"
        return (name, *seconds, whole, work, f"{one['peak_rss_mib']:.0f}")

    def times(name: str, *ratio: str) -> tuple[str, ...]:
        return (name, "", *(f"× {compared[one]:.2f}" if one else "" for one in ratio))

    stages = {"extract": "", "score": " (both threads added up)", "publish": " (load and reconcile)"}
    alone = f"{bare['work_seconds']:.1f}", f"{bare['work_cpu_seconds']:.1f}", "", f"{bare['rows_per_second']:,.0f}", ""
    pair = f"{bare['two_at_a_time_seconds']:.1f}", "", "", f"{bare['two_at_a_time_rows_per_second']:,.0f}", ""
    to_naive = [
        f"run_to_naive_{name}" for name in ("cpu_seconds", "process_rows_per_second", "rows_per_second", "peak_rss")
    ]
    to_bare = [f"run_to_bare_{name}" for name in ("cpu_seconds", "process_rows_per_second", "rows_per_second")]
    to_pair = ["", "run_to_bare_two_at_a_time", "run_to_bare_two_at_a_time_without_start_up", ""]
    growth = f"× {compared['large_to_run_peak_rss']:.2f}"
    return [
        process(f"nightshift run {JOB}", run),
        *(
            (f"  stage {stage}{note}", f"{run[f'seconds_{stage}']:.1f}", "", "", "", "")
            for stage, note in stages.items()
        ),
        ("bare predict_proba in memory, chunk after chunk", *alone),
        ("bare predict_proba in memory, two chunks at a time", *pair),
        process("naive loop: read_sql, predict_proba, to_sql", naive),
        times("run ÷ naive loop", *to_naive),
        times("run ÷ bare predict_proba, chunk after chunk", *to_bare, ""),
        times("run ÷ bare predict_proba, two chunks at a time", *to_pair),
        process(f"run of {big['rows_extracted']:,} rows", big),
        (f"its memory ÷ that of {found['rows']:,} rows, at most {MOST_GROWTH}", "", "", "", compared["memory"], growth),
    ]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def own_settings(folder: Path) -> Settings:
    """Return settings for the folder; raises ``StepFailed`` if others point at databases that are not the benchmark's."""
    settings = Settings(data_dir=folder)
    urls = ("sources", "warehouse_url", "registry_url", "artifacts_url", "lake_url")
    foreign = [f"NIGHTSHIFT_{name.upper()}" for name in urls if getattr(settings, name)]
    if foreign:
        raise StepFailed(f"the benchmark writes, and to its own databases only: unset {', '.join(foreign)}")
    return settings


def main() -> int:
    """Measure, print the table, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.end_to_end", description="Measure one night end to end.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the night that every way scores")
    parser.add_argument("--large", type=int, default=5_000_000, help="rows of the night that shows the memory")
    parser.add_argument("--json", type=Path, default=HOME / "bench" / "results" / "end_to_end.json")
    parser.add_argument(
        "--data", type=Path, help="data folder to use and keep; default: one that is removed at the end"
    )
    asked = parser.parse_args()
    (HOME / "data").mkdir(exist_ok=True)
    folder = asked.data.resolve() if asked.data else Path(tempfile.mkdtemp(prefix="bench-", dir=HOME / "data"))
    settings = own_settings(folder)
    try:
        found = benchmark(settings, asked.rows, asked.large)
    finally:
        embedded.stop(settings.postgres_dir)
        if asked.data is None:
            shutil.rmtree(folder)
    middle = medians(found)
    compared = ratios(found, middle)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(
        json.dumps({**found, "medians": middle, "ratios": compared}, indent=1) + "\n", encoding="utf-8"
    )
    _print(found, middle, compared)
    _say(f"every repetition: {asked.json}")
    return 0 if compared["memory"] == "PASS" else 1


def _print(found: Facts, middle: Facts, compared: Facts) -> None:
    from cli import tables

    counts = ", ".join(f"{count} × {way}" for way, count in REPETITIONS.items())
    loads = [one["load_average_before"] for way in REPETITIONS for one in found[way]]
    busy = f"load average before each process {min(loads):.1f} to {max(loads):.1f}"
    machine = f"{found['machine']['cpu']}, {found['machine']['cores']} cores"
    title = f"{found['rows']:,} rows of {JOB} on {machine}; medians of {counts}, interleaved; {busy}"
    columns = ("", "wall s", "CPU s of Python", "rows/s with start-up", "rows/s without it", "peak RSS MiB of Python")
    tables.table(title, columns, table_rows(found, middle, compared))


if __name__ == "__main__":
    sys.exit(main())
