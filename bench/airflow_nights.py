"""Small nights through Airflow: seconds from the trigger to the publication, where they go, and a backfill of 30 nights.

It starts the Airflow of the demo in a data folder of its own, with the demo's flights and one trained job. Nights have
about 930 rows, one chunk. CPU seconds are those of all processes of Airflow, the tasks' included, and of PostgreSQL.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from bench.installation import Facts, machine, own_settings
from bench.usage import Cluster, cpu_seconds
from demo import processes
from demo.commands import UNTIL
from demo.local_airflow import LocalAirflow, free_port, running
from demo.seed import seed
from lifecycle.retraining import RetrainingRequest, retrain
from scoring.job import find_job
from scoring.settings import HOME, Settings
from scoring.stores import Stores, Workspace, embedded, open_stores
from scoring.stores.warehouse import ensure_job, migrate, promotions

JOB = "flight_delay"
DAG = f"{JOB}_nightly"
SINGLE_NIGHTS = 3
BACKFILL_NIGHTS = 30
IDLE_SECONDS = 30
"""How long Airflow is looked at while it has nothing to do."""
PARTS = ("waits_for_scheduler", "waits_for_executor", "waits_for_process", "runs")
"""What the seconds of a task are split into: until it is scheduled, queued, started, ended."""


def measure(folder: Path, backfill_nights: int = BACKFILL_NIGHTS) -> Facts:
    """Return seconds and CPU seconds of single nights, of a backfill and of an idle Airflow, in an installation in ``folder``."""
    settings = own_settings(folder)
    stores = open_stores(settings, lambda: datetime.now(UTC))
    _train(stores, settings)
    try:
        with running(settings, free_port(), _say) as airflow:
            airflow.wait_for_dag(DAG)
            airflow.unpause(DAG)
            _night(airflow, UNTIL)  # the first one loads what the later ones share
            nights = [_night(airflow, UNTIL + timedelta(days=1 + number)) for number in range(SINGLE_NIGHTS)]
            backfill = _backfill(airflow, UNTIL + timedelta(days=10), backfill_nights)
            return {
                "nights": nights,
                "backfill": backfill,
                "idle_cpu_share": _idle(settings),
                "load": os.getloadavg(),
                "machine": machine(),
            }
    finally:
        stores.warehouse.engine.dispose()
        embedded.stop(settings.postgres_dir)


def table(facts: Mapping[str, Any]) -> str:
    """Return where the seconds of the median night go, as a table in Markdown."""
    night = sorted(facts["nights"], key=lambda night: night["published_seconds"])[len(facts["nights"]) // 2]
    lines = ["| task | begins at | " + " | ".join(part.replace("_", " ") for part in PARTS) + " |", "|---" * 6 + "|"]
    for task in night["tasks"]:
        parts = " | ".join(f"{task[part]:.1f}" for part in PARTS)
        lines.append(f"| `{task['task']}` | {task['begins_at']:.1f} s | {parts} |")
    return "\n".join(lines)


def _train(stores: Stores, settings: Settings) -> None:
    migrate(stores.warehouse)
    seed(embedded.url(settings.postgres_dir, "source"), lambda name: _say(f"seeding {name}"))
    work = Workspace(stores, find_job(settings.jobs_dir, JOB))
    ensure_job(work.warehouse, work.job)
    if not promotions.history_of(work.warehouse, JOB):
        _say("training")
        retrain(work, RetrainingRequest("first version", night=UNTIL, since=date(2013, 1, 1)))


def _night(airflow: LocalAirflow, night: date) -> Facts:
    with _cpu(airflow.settings) as spent:
        began = datetime.now(UTC)
        run_id = airflow.call("POST", f"/dags/{DAG}/dagRuns", {"logical_date": None, "partition_key": str(night)})[
            "dag_run_id"
        ]
        _wait(airflow, run_id)
    tasks = sorted(_tasks(airflow, run_id, began), key=lambda task: float(task["begins_at"]))
    published = next(task["ends_at"] for task in tasks if task["task"] == "publish")
    ended = max(task["ends_at"] for task in tasks)
    _say(f"{night}: published after {published:.1f} s, all done after {ended:.1f} s")
    return {"night": str(night), "published_seconds": published, "seconds": ended, "tasks": tasks, **spent}


def _tasks(airflow: LocalAirflow, run_id: str, began: datetime) -> Iterator[Facts]:
    """Yield each task that ran, with its parts and with seconds since the trigger."""
    rows = airflow.call("GET", f"/dags/{DAG}/dagRuns/{run_id}/taskInstances")["task_instances"]
    rows = [row for row in rows if row["start_date"] and row["queued_when"]]
    ends = {row["task_id"]: datetime.fromisoformat(row["end_date"]) for row in rows}
    upstream = {
        task["task_id"]: [name for name in ends if task["task_id"] in _below(airflow, name)]
        for task in airflow.call("GET", f"/dags/{DAG}/tasks")["tasks"]
    }
    for row in rows:
        ready = max([began, *(ends[name] for name in upstream[row["task_id"]])])
        names = ("scheduled_when", "queued_when", "start_date", "end_date")
        moments = [ready, *(datetime.fromisoformat(row[name]) for name in names)]
        spans = [(after - before).total_seconds() for before, after in pairwise(moments)]
        begins, ends_at = ((moment - began).total_seconds() for moment in moments[-2:])
        yield {
            "task": row["task_id"],
            "state": row["state"],
            "begins_at": begins,
            "ends_at": ends_at,
            **dict(zip(PARTS, spans, strict=True)),
        }


def _below(airflow: LocalAirflow, task_id: str) -> list[str]:
    return list(airflow.call("GET", f"/dags/{DAG}/tasks/{task_id}")["downstream_task_ids"])


def _backfill(airflow: LocalAirflow, first: date, nights: int) -> Facts:
    last = first + timedelta(days=nights - 1)
    before = {run["dag_run_id"] for run in airflow.runs(DAG)}
    with _cpu(airflow.settings) as spent:
        began = time.monotonic()
        airflow.backfill(DAG, first, last, max_active_runs=10, reprocess_behavior="completed")
        while len(ended := _ended(airflow, before)) < nights:
            time.sleep(0.5)
        seconds = time.monotonic() - began
    failed = [run["partition_key"] for run in ended if run["state"] == "failed"]
    _say(f"{nights} nights in {seconds:.1f} s")
    return {"nights": nights, "seconds": seconds, "failed": failed, **spent}


def _ended(airflow: LocalAirflow, before: Collection[str]) -> list[Any]:
    """Return the runs that have ended, without those that were there ``before``."""
    new = (run for run in airflow.runs(DAG) if run["dag_run_id"] not in before)
    return [run for run in new if run["state"] in ("success", "failed")]


def _wait(airflow: LocalAirflow, run_id: str) -> None:
    while airflow.call("GET", f"/dags/{DAG}/dagRuns/{run_id}")["state"] in ("queued", "running"):
        time.sleep(0.2)


@contextmanager
def _cpu(settings: Settings) -> Iterator[dict[str, float]]:
    """Give a mapping that holds, after the block, the CPU seconds that Airflow and PostgreSQL took during it."""
    spent: dict[str, float] = {}
    before = _cpu_seconds(settings)
    yield spent
    after = _cpu_seconds(settings)
    spent |= {name: after[name] - before[name] for name in after}


def _cpu_seconds(settings: Settings) -> dict[str, float]:
    record = processes.current(settings.airflow_home)
    roots = [process.pid for process in record.components] if record else []
    postgresql = Cluster(settings.postgres_dir).cpu_seconds()
    return {"airflow_cpu_seconds": _of_trees(roots), "postgresql_cpu_seconds": postgresql}


def _of_trees(roots: Sequence[int]) -> float:
    """Return the CPU seconds of processes, of those below them, and of those below that have ended."""
    trees = [process for root in map(psutil.Process, roots) for process in (root, *root.children(recursive=True))]
    return sum(map(cpu_seconds, trees))


def _idle(settings: Settings) -> dict[str, float]:
    """Return how much of one core Airflow and PostgreSQL use while nothing is to be done."""
    with _cpu(settings) as spent:
        time.sleep(IDLE_SECONDS)
    return {name.removesuffix("_cpu_seconds"): seconds / IDLE_SECONDS for name, seconds in spent.items()}


def _say(what: str) -> None:
    if not what.startswith("waiting"):
        print(what, file=sys.stderr)


def main() -> int:
    """Measure, print the table, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.airflow_nights", description="Small nights through Airflow.")
    parser.add_argument("--json", type=Path, default=HOME / "bench" / "results" / "airflow_nights.json")
    parser.add_argument("--data", type=Path, help="data folder to use and keep; default: one that is removed")
    parser.add_argument("--nights", type=int, default=BACKFILL_NIGHTS, help="nights of the backfill, at most 80")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-airflow-") as temporary:
        facts = measure(asked.data.resolve() if asked.data else Path(temporary), asked.nights)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(table(facts))
    published = median(night["published_seconds"] for night in facts["nights"])
    print(f"\npublished after {published:.1f} s; {asked.nights} nights in {facts['backfill']['seconds']:.0f} s")
    return 1 if facts["backfill"]["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
