"""The stack of docker-compose.yml: a night, the rights of each role, a backfill whose worker dies, a retraining with approval."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psutil
import pytest

from tests.stack.api import DAG, User, backfill_of, wait
from tests.stack.world import World

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(1500)]
NIGHT = date(2013, 2, 1)
NIGHTS = [NIGHT + timedelta(days=n) for n in range(1, 6)]
AFTER = [NIGHT + timedelta(days=n) for n in (6, 7)]
"""Nights of the backfill during which Redis is killed."""
LAST = [NIGHT + timedelta(days=n) for n in (8, 9)]
"""Nights of the backfill during which the scheduler is killed."""
DEAD_WORKER_SECONDS = 120
RETRAINING = "flight_delay_retraining"
ONCE = """
select s.night, r.rows_extracted, r.rows_scored + r.rows_quarantined, r.rows_scored - count(*),
       count(*) - count(distinct (s.time_hour, s.carrier, s.flight, s.origin))
from flight_delay_predictions as s
join published_nights as p on p.job = 'flight_delay' and p.night = s.night
join scoring_runs as r on r.run_id = p.run_id
group by s.night, r.run_id order by s.night
"""
"""Per night: rows of the source, rows scored or in quarantine, scored rows that are not seen, rows that are seen twice."""
RUNS = (
    "select night, status, count(*) from scoring_runs where job = 'flight_delay' group by night, status order by night"
)
SOURCE = """
select (time_hour at time zone 'America/New_York')::date, count(*) from flights
where time_hour < '2013-02-20' group by 1
"""


def exactly_once(world: World, nights: list[date]) -> None:
    """Assert that every night shows all of its flights once, from one published run, and nothing is at work any more."""
    flights = dict(world.rows("source", SOURCE))
    seen = {night: tuple(counts) for night, *counts in world.rows("warehouse", ONCE)}
    assert list(seen) == nights
    assert seen == {night: (flights[night], flights[night], 0, 0) for night in nights}
    published = {night: count for night, status, count in world.rows("warehouse", RUNS) if status == "published"}
    assert published == dict.fromkeys(nights, 1)


def test_a_night_is_scored_and_its_report_is_served(world: World) -> None:
    run = world.admin.trigger(DAG, partition_key=str(NIGHT))
    assert world.admin.ended(DAG, run, 300) == "success", _failed(world.admin, DAG, run)
    world.stack.say(f"night {NIGHT} is published, judged and measured")
    exactly_once(world, [NIGHT])
    status, page = world.users["viewer"].ask("GET", f"/nightshift/jobs/flight_delay/nights/{NIGHT}")
    assert status == 200
    report = page.split('href="/nightshift/reports/')[1].split('"')[0]
    status, content = world.users["viewer"].ask("GET", f"/nightshift/reports/{report}")
    assert status == 200
    assert "evidently" in content.lower()
    assert world.users["nobody"].ask("GET", f"/nightshift/reports/{report}")[0] == 401
    world.stack.say(f"drift report of {NIGHT}: {len(content):,} bytes through the pages")


def test_dead_worker_costs_less_than_two_minutes_and_no_row(world: World) -> None:
    admin, stack = world.users["operator"], world.stack
    backfill = admin.call("POST", "/backfills", backfill_of(NIGHTS[0], NIGHTS[-1]))
    began = time.monotonic()
    wait(lambda: _busy(stack.processes["worker-1"].pid) > 0, 120, "worker-1 runs a task", pause=0.05)
    time.sleep(0.5)
    killed, at = stack.kill("worker-1"), datetime.now(UTC)
    lost = _open(admin)
    stack.say(f"worker-1 is killed with {killed - 1} processes below it; tasks running or queued: {sorted(lost)}")
    ids = [run["dag_run_id"] for run in admin.runs(DAG) if run["run_type"] == "backfill"]
    assert len(ids) == len(NIGHTS), backfill
    states = [admin.ended(DAG, run, 900) for run in ids]
    assert states == ["success"] * len(NIGHTS), [_failed(admin, DAG, run) for run in ids]
    late = {name: _started_again(admin, *place, at) for name, place in lost.items()}
    stack.say(f"five nights after {time.monotonic() - began:.0f} s; seconds until lost tasks ran again: {late}")
    assert max(late.values()) <= DEAD_WORKER_SECONDS
    exactly_once(world, [NIGHT, *NIGHTS])
    verified = stack.run("worker-2", ["nightshift", "verify", "flight_delay"])
    assert verified.returncode == 0, verified.stdout + verified.stderr
    stack.say(f"ledger, table and lake ({stack.extra['NIGHTSHIFT_LAKE_URL']}) hold the same rows")


def test_libraries_are_loaded_before_a_task_begins(world: World) -> None:
    families = {name: psutil.Process(world.stack.processes[name].pid) for name in ("worker-2", "scheduler")}
    loaded = {
        name: [("sklearn" in maps, "pyarrow" in maps) for maps in map(_mapped, [top, *top.children(recursive=True)])]
        for name, top in families.items()
    }
    assert any(both == (True, True) for both in loaded["worker-2"])
    assert not any(any(both) for both in loaded["scheduler"]), "what only sends tasks away loads nothing"


def test_retraining_waits_for_a_reviewer(world: World) -> None:
    run = world.users["operator"].trigger(RETRAINING, conf={"night": str(NIGHTS[-1]), "reason": "test of the stack"})
    path = f"/dags/{RETRAINING}/dagRuns/{run}/taskInstances/approve"

    def waits() -> bool:
        return any(
            task["task_id"] == "approve" and task["state"] in ("deferred", "awaiting_input")
            for task in world.admin.tasks(RETRAINING, run)
        )

    wait(waits, 400, "approve waits for a person")
    world.stack.say("the challenger waits for approval")
    yes = {"chosen_options": ["Approve"], "params_input": {}}
    answers = {
        name: world.users[name].ask("PATCH", f"/api/v2{path}/-1/hitlDetails", yes)[0]
        for name in ("nobody", "viewer", "operator", "one_job", "reviewer")
    }
    assert answers == {"nobody": 401, "viewer": 403, "operator": 403, "one_job": 403, "reviewer": 200}
    assert world.admin.ended(RETRAINING, run, 300) == "success", _failed(world.admin, RETRAINING, run)
    promotions = world.rows(
        "warehouse", "select model_version, promoted_by from model_promotions order by promotion_id"
    )
    assert [version for version, _ in promotions] == [1, 2]
    assert "reviewer" in promotions[-1][1]
    world.stack.say(f"approved and promoted: {promotions[-1]}")


@pytest.mark.parametrize(("service", "nights"), [("redis", AFTER), ("scheduler", LAST)])
def test_service_that_dies_during_a_backfill_loses_no_night(world: World, service: str, nights: list[date]) -> None:
    admin, stack = world.users["operator"], world.stack
    before = {night for night, *_ in world.rows("warehouse", ONCE)}
    asked = backfill_of(nights[0], nights[-1])
    wait(lambda: admin.ask("POST", "/api/v2/backfills", asked)[0] < 300, 120, "the backfill before is closed")
    began = time.monotonic()
    wait(lambda: bool(_open(admin)), 120, "a task runs or is queued", pause=0.05)
    lost = _open(admin)
    stack.kill(service)
    stack.say(f"{service} is killed; tasks running or queued: {sorted(lost)}")
    time.sleep(2)
    stack.up([service])
    ids = [run["dag_run_id"] for run in admin.runs(DAG) if run["partition_key"] in map(str, nights)]
    assert len(ids) == len(nights), ids
    states = [admin.ended(DAG, run, 900) for run in ids]
    assert states == ["success"] * len(nights), [_failed(admin, DAG, run) for run in ids]
    stack.say(f"two nights {time.monotonic() - began:.0f} s after the backfill was asked for")
    exactly_once(world, sorted({*before, *nights}))


MATRIX: dict[str, tuple[str, str, Any]] = {
    "pages": ("GET", "/nightshift/", None),
    "runs": ("GET", f"/api/v2/dags/{DAG}/dagRuns", None),
    "trigger": (
        "POST",
        "/api/v2/dags/plane_grounded_nightly/dagRuns",
        {"logical_date": None, "partition_key": "2013-03-01"},
    ),
    "backfill": ("POST", "/api/v2/backfills/dry_run", backfill_of(NIGHT, NIGHT)),
    "pause": ("PATCH", "/api/v2/dags/late_nights?update_mask=is_paused", {"is_paused": True}),
    "users": ("GET", "/auth/fab/v1/users", None),
    "connections": ("GET", "/api/v2/connections", None),
}
ALLOWED = {
    "nobody": set[str](),
    "one_job": {"pages"},
    "viewer": {"pages", "runs"},
    "reviewer": {"pages", "runs", "pause"},
    "operator": {"pages", "runs", "trigger", "backfill", "pause"},
    "admin": set(MATRIX),
}
"""What each role may do: the table of docs/people/operator.md, but for the answer to an approval."""


def test_roles_may_do_what_the_operators_page_says(world: World) -> None:
    answers = {name: {what: user.ask(*ask)[0] for what, ask in MATRIX.items()} for name, user in world.users.items()}
    refused = {name: 401 if name == "nobody" else 403 for name in answers}
    expected = {
        name: {what: 200 if what in ALLOWED[name] else refused[name] for what in MATRIX} for name in world.users
    }
    world.stack.say(f"answers by role: {answers}")
    assert answers == expected


def test_pages_show_the_jobs_that_a_user_may_read(world: World) -> None:
    shown = {name: world.users[name].ask("GET", "/nightshift/")[1] for name in ("viewer", "one_job")}
    assert "flight_delay" in shown["one_job"]
    assert "flight_duration" in shown["viewer"]
    assert "flight_duration" not in shown["one_job"]
    assert world.users["one_job"].ask("GET", f"/nightshift/jobs/flight_delay/nights/{NIGHT}")[0] == 200


def _failed(user: User, dag_id: str, run_id: str) -> Any:
    """Return the end of the log of each failed task of a run."""
    bad = [task for task in user.tasks(dag_id, run_id) if task["state"] in ("failed", "upstream_failed")]
    base = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
    return {
        task["task_id"]: str(user.ask("GET", f"{base}/{task['task_id']}/logs/{task['try_number']}")[1])[-2000:]
        for task in bad
    }


def _busy(pid: int) -> int:
    """Return how many tasks a Celery worker runs: processes below those of its pool."""
    pool = [child for child in psutil.Process(pid).children() if child.children()]
    return len(pool)


def _open(user: User) -> dict[str, tuple[str, str, int]]:
    """Return where the tasks are that run or are queued now, by a name to be shown."""
    places = {}
    for run in user.runs(DAG):
        for task in user.tasks(DAG, run["dag_run_id"]):
            if task["state"] in ("running", "queued"):
                name = f"{run['partition_key']} {task['task_id']} {task['state']}"
                places[name] = (run["dag_run_id"], task["task_id"], task["map_index"])
    return places


def _started_again(user: User, run_id: str, task_id: str, map_index: int, at: datetime) -> int:
    """Return how many seconds after ``at`` the try of a task that ended well began; 0 for one that nothing happened to."""
    (task,) = [task for task in user.tasks(DAG, run_id) if (task["task_id"], task["map_index"]) == (task_id, map_index)]
    return max(0, round((datetime.fromisoformat(task["start_date"]) - at).total_seconds()))


def _mapped(process: psutil.Process) -> str:
    return " ".join(region.path for region in process.memory_maps())
