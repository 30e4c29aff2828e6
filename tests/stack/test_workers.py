"""A night that two workers share which have nothing in common but the URLs of their stores, and one of which dies."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from tests.stack.api import DAG, User, logged_in, wait
from tests.stack.islands import HOST, islands, living_on
from tests.stack.making import stack_of
from tests.stack.native import Stack
from tests.stack.world import World

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="network namespaces need root and ip"),
]
NIGHT = date(2013, 2, 1)
ROWS = 300_000
SHARDS = 8
WORKERS = ["worker-1", "worker-2"]
SCHEMA = "nightshift_staging"
QUICK = {"retries": 3, "retry_delay_seconds": 5}
RUNS = """
select run_id, shards, status, rows_loaded, predictions_hash, snapshot_hash, finished_at - started_at as took
from scoring_runs where job = 'flight_delay' order by started_at
"""


@pytest.fixture(scope="module")
def apart() -> Iterator[World]:
    """A stack whose workers live on islands, with a large night, a champion and an unpaused DAG."""
    changes = {"shards": SHARDS, "limits": QUICK, "training": {"window": "expanding", "holdout_nights": 14}}
    with islands(len(WORKERS)) as places, stack_of(changes, HOST) as stack:
        (stack.folder / "volumes").mkdir()
        stack.islands = {
            name: living_on(place, stack.folder / "volumes") for name, place in zip(WORKERS, places, strict=True)
        }
        for name in WORKERS:
            stack.services[name] = replace(
                stack.services.get(name, stack.services["worker-2"]), name=name, hostname=name
            )
        alone = {"WORKER_CONCURRENCY": "1", "NIGHTSHIFT_SCORE_THREADS": "1"}
        stack.extra |= {"NIGHTSHIFT_STAGING__DEMO": SCHEMA, **alone}
        stack.up([name for name, service in stack.services.items() if not service.profiles and name not in WORKERS[1:]])
        stack.up(["demo-seed"])
        world = World(stack, logged_in(stack.url("api-server"), "admin", _secret(stack, "airflow_admin_password")), {})
        world.change("source", f"create schema {SCHEMA} authorization source")
        _must(stack, "python", "-c", INFLATE.format(night=NIGHT, rows=ROWS))
        _must(stack, "nightshift", "train", "flight_delay", "--until", str(NIGHT), "--anyway")
        world.admin.unpause(DAG)
        yield world


INFLATE = """
from datetime import date
from demo.seed import inflate
from scoring.settings import load_settings
print(inflate(load_settings().sources["demo"].get_secret_value(), date.fromisoformat("{night}"), {rows}))
"""


def _secret(stack: Stack, name: str) -> str:
    return (stack.folder / "secrets" / name).read_text().strip()


def _must(stack: Stack, *command: str) -> str:
    done = stack.run("worker-1", list(command), timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def scored(world: World, workers: list[str]) -> tuple[Any, ...]:
    """Score the night by some workers, and return what the ledger says of it."""
    for name in workers:
        if name not in world.stack.processes:
            world.stack.up([name])
    run = world.admin.trigger(DAG, partition_key=str(NIGHT))
    published(world.admin, run)
    row = world.rows("warehouse", RUNS)[-1]
    world.stack.say(
        f"{len(workers)} workers: {row[3]:,} rows, {row[1]} shards, {row[6].total_seconds():.1f} s, {row[4][:12]}"
    )
    return row


def published(user: User, run: str) -> None:
    """Wait until a run's night is published."""

    def there() -> bool:
        states = {task["task_id"]: task["state"] for task in user.tasks(DAG, run)}
        assert states.get("publish") not in ("failed", "upstream_failed"), states
        return states.get("publish") == "success"

    wait(there, 900, "the night is published")


def test_islands_see_no_file_and_no_port_of_each_other(apart: World) -> None:
    stack = apart.stack
    (stack.folder / "volumes/lake/here").touch()
    assert "here" not in stack.run("worker-1", ["find", str(stack.folder / "volumes")]).stdout
    probe = "import socket; socket.create_connection(('127.0.0.1', {port}), 2)".format(port=stack.ports["postgres"])
    assert "refused" in stack.run("worker-1", ["python", "-c", probe]).stderr


def test_number_of_workers_changes_no_number(apart: World) -> None:
    whole = _must(apart.stack, "nightshift", "run", "flight_delay", "--night", str(NIGHT), "--no-monitor")
    assert whole
    alone = apart.rows("warehouse", RUNS)[-1]
    apart.stack.say(f"one process: {alone[6].total_seconds():.1f} s")
    runs = [scored(apart, WORKERS[: number + 1]) for number in range(len(WORKERS))]
    assert [run[1] for run in runs] == [SHARDS] * len(WORKERS)
    assert {run[2:6] for run in runs[-1:]} == {("published", *alone[3:6])}
    assert {run[3:6] for run in [alone, *runs]} == {alone[3:6]}
    assert apart.rows("source", f"select count(*) from pg_tables where schemaname = '{SCHEMA}'") == [(0,)]


def test_worker_that_dies_in_the_middle_of_a_shard_costs_time_and_no_row(apart: World) -> None:
    before = apart.rows("warehouse", RUNS)[-1]
    for name in WORKERS:
        if name not in apart.stack.processes:
            apart.stack.up([name])
    run = apart.admin.trigger(DAG, partition_key=str(NIGHT))

    def both_score() -> bool:
        busy = [
            task for task in apart.admin.tasks(DAG, run) if (task["task_id"], task["state"]) == ("score", "running")
        ]
        return len(busy) >= len(WORKERS)

    wait(both_score, 300, "both workers score", pause=0.05)
    killed = apart.stack.kill("worker-1")
    began = time.monotonic()
    published(apart.admin, run)
    apart.stack.say(f"worker-1 killed with {killed - 1} processes; published {time.monotonic() - began:.0f} s later")
    row = apart.rows("warehouse", RUNS)[-1]
    assert row[2:6] == ("published", *before[3:6])
    seen = apart.rows("warehouse", f"select count(*) from flight_delay_predictions where night = '{NIGHT}'")
    assert seen == [(before[3],)]
    assert apart.rows("source", f"select count(*) from pg_tables where schemaname = '{SCHEMA}'") == [(0,)]
