"""Who works on a run: killed processes are seen at once, whoever lives is never called dead, and a mistake does no harm."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from scoring.errors import RunMissing
from scoring.night.extract import extract
from scoring.night.publish import publish
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.night.score import score_chunk
from scoring.settings import HOME, RetentionPolicy, child_environment
from scoring.stores.warehouse import Run, ledger, liveness
from scoring.stores.warehouse.liveness import SILENT_FOR, abandon_dead, held
from scoring.stores.workspace import Workspace
from scoring.upkeep.retention import apply, plan
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.crashes import die_at
from tests.support.retention import at, files
from tests.support.runs import expected, shown
from tests.support.shell import nightshift
from tests.support.toy import NIGHT, ROWS

pytestmark = pytest.mark.slow

HANG = """
import importlib, sys, time
module, name = sys.argv[1], sys.argv[2]
where = importlib.import_module(module)
real = getattr(where, name)
def waiting(*args, **kwargs):
    print("there", flush=True)
    sys.stdin.readline()
    return real(*args, **kwargs)
setattr(where, name, waiting)
from cli.main import main
sys.argv = ["nightshift", "run", sys.argv[3], "--night", sys.argv[4]]
main()
"""
MINUTE = timedelta(minutes=1)


@contextmanager
def hanging(commands: Path, toy: Toy, function: str = "_pass_gate") -> Iterator[subprocess.Popen[str]]:
    """Give a `run` in a process of its own that waits for a line before it publishes."""
    command = [str(commands / "nightshift"), "-c", HANG, "scoring.night.publish", function, toy.job.name, str(NIGHT)]
    child = subprocess.Popen(
        command,
        env=child_environment(toy.stores.settings.environment()),
        cwd=HOME,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "there\n"
        yield child
    finally:
        child.kill()
        child.communicate()


def go_on(child: subprocess.Popen[str]) -> int:
    child.communicate("\n", timeout=120)
    return child.returncode


def runs(toy: Toy) -> list[Run]:
    return ledger.runs_of(toy.stores.warehouse, toy.job.name, NIGHT)


def statuses(toy: Toy) -> list[str]:
    return [run.status for run in runs(toy)]


def look(toy: Toy, moment: datetime | None = None) -> list[str]:
    return abandon_dead(toy.stores.warehouse, moment or datetime.now(UTC), toy.job.name)


def extracted(toy: Toy, airflow_run_id: str | None = "scheduled__1", moment: datetime | None = None) -> str:
    request = NightRequest(NIGHT, moment or datetime.now(UTC), "scheduled", airflow_run_id=airflow_run_id)
    return extract(toy.work, request).run_id


def score(toy: Toy, run_id: str) -> None:
    chunks = ledger.get(toy.stores.warehouse, run_id).chunks
    assert chunks is not None
    for number in range(chunks):
        score_chunk(toy.work, run_id, number)


def next_run(toy: Toy) -> None:
    run_night(toy.work, NightRequest(NIGHT, datetime.now(UTC), "test"))


def status_command(toy: Toy) -> None:
    subprocess.run(
        nightshift("status"),
        env=child_environment(toy.stores.settings.environment()),
        cwd=HOME,
        capture_output=True,
        timeout=120,
        check=True,
    )


SEEN_BY: dict[str, Callable[[Toy], object]] = {
    "the next run": next_run,
    "status": status_command,
    "verify": lambda toy: verify(toy.work),
    "retention": lambda toy: plan(toy.work, RetentionPolicy()),
}


@pytest.mark.parametrize("by", SEEN_BY)
def test_killed_run_is_abandoned_as_soon_as_somebody_looks(toy: Toy, commands: Path, by: str) -> None:
    die_at(commands, toy, "loaded, before the flip")
    assert statuses(toy) == ["running"]
    SEEN_BY[by](toy)
    dead = runs(toy)[0]
    assert dead.status == "abandoned"
    assert dead.reason is not None
    assert dead.reason.startswith("its process was killed or is gone: nobody works on it")
    assert dead.finished_at is not None
    assert dead.finished_at == dead.seen_at
    assert dead.started_at < dead.finished_at < datetime.now(UTC)


def test_rows_and_files_of_a_killed_run_are_removed(toy: Toy, commands: Path) -> None:
    die_at(commands, toy, "loaded, before the flip")
    later = at(toy, datetime.now(UTC) + timedelta(days=31))
    (removal,) = plan(Workspace(later, toy.job), RetentionPolicy(failed_days=30))
    (dead,) = runs(toy)
    assert (removal.what, removal.rows) == (dead.run_id, ROWS)
    apply(Workspace(later, toy.job), [removal])
    assert not files(toy, dead.run_id)
    assert runs(toy)[0].pruned


def test_run_that_lives_stays_running_beside_another_however_slow_it_is(toy: Toy, commands: Path) -> None:
    with hanging(commands, toy) as slow:
        assert look(toy, datetime.now(UTC) + timedelta(days=400)) == []
        next_run(toy)
        verify(toy.work)
        assert statuses(toy) == ["running", "published"]
        assert go_on(slow) == 0
    assert statuses(toy) == ["superseded", "published"]


def test_run_killed_beside_one_that_lives_is_the_only_one_abandoned(toy: Toy, commands: Path) -> None:
    with hanging(commands, toy) as alive, hanging(commands, toy) as dying:
        os.kill(dying.pid, signal.SIGKILL)
        dying.wait()
        deadline = time.monotonic() + 30
        while not (gone := look(toy)) and time.monotonic() < deadline:  # the server sees it within milliseconds
            time.sleep(0.05)
        assert statuses(toy) == ["running", "abandoned"]
        assert gone == [runs(toy)[1].run_id]
        assert go_on(alive) == 0
    assert statuses(toy) == ["published", "abandoned"]
    assert shown(toy) == expected(toy)


def end_session(toy: Toy) -> None:
    """End the database session that holds a run's lock, as an administrator or a restart would."""
    name = toy.stores.warehouse.engine.url.database
    folder = toy.stores.warehouse.engine.url.query["host"]
    with psycopg.connect(f"postgresql://postgres@/{name}?host={folder}", autocommit=True) as connection:
        held_by = (
            "select pg_terminate_backend(pid, 5000) from pg_locks "
            "where relation = 'locks'::regclass and mode = 'RowShareLock'"
        )
        assert connection.execute(held_by).fetchall() == [(True,)]


def test_run_that_lost_its_session_is_called_dead_and_publishes_all_the_same(toy: Toy, commands: Path) -> None:
    with hanging(commands, toy, "_require_chunks") as child:
        (run,) = runs(toy)
        end_session(toy)
        assert look(toy) == [run.run_id]
        assert go_on(child) == 0
    assert statuses(toy) == ["published"]
    assert runs(toy)[0].reason is None
    assert shown(toy) == expected(toy)
    assert verify(toy.work) == []


def test_lock_is_let_go_with_its_session_when_the_work_is_done(toy: Toy) -> None:
    run_id = extracted(toy, airflow_run_id=None)
    with held(toy.stores.warehouse, run_id, toy.job.name):
        with held(toy.stores.warehouse, run_id, toy.job.name):  # chunks are scored side by side
            assert look(toy) == []
        assert look(toy) == []
    assert look(toy) == [run_id]


def test_run_of_airflow_is_alive_between_its_tasks(toy: Toy) -> None:
    began = datetime.now(UTC)
    run_id = extracted(toy, moment=began)
    assert look(toy, began + SILENT_FOR - MINUTE) == []
    liveness.seen(toy.stores.warehouse, run_id, began + timedelta(days=1))
    assert look(toy, began + SILENT_FOR + MINUTE) == []
    assert look(toy, began + SILENT_FOR + timedelta(days=1) + MINUTE) == [run_id]
    (run,) = runs(toy)
    assert (run.status, run.finished_at) == ("abandoned", began + timedelta(days=1))
    assert run.reason is not None
    assert run.reason.startswith("Airflow run scheduled__1 was killed or is gone")


def test_run_of_airflow_whose_task_works_is_alive_however_long_that_takes(toy: Toy) -> None:
    run_id = extracted(toy)
    with held(toy.stores.warehouse, run_id, toy.job.name):
        assert look(toy, datetime.now(UTC) + timedelta(days=400)) == []


def test_task_that_comes_late_goes_on_with_a_run_that_was_taken_for_dead(toy: Toy) -> None:
    run_id = extracted(toy)
    assert look(toy, datetime.now(UTC) + 2 * SILENT_FOR) == [run_id]
    score_chunk(toy.work, run_id, 0)
    assert [(run.status, run.reason, run.finished_at) for run in runs(toy)] == [("running", None, None)]
    score(toy, run_id)
    assert look(toy, datetime.now(UTC) + 2 * SILENT_FOR) == [run_id]
    assert publish(toy.work, run_id).status == "published"
    assert shown(toy) == expected(toy)


def test_attempt_that_another_of_its_airflow_run_replaced_does_not_come_back(toy: Toy) -> None:
    first = extracted(toy)
    score(toy, first)
    second = extracted(toy)
    assert statuses(toy) == ["abandoned", "running"]
    with pytest.raises(
        RunMissing, match=f"a new attempt of the same Airflow run began.*see run {second}, which took over"
    ):
        publish(toy.work, first)
    assert statuses(toy) == ["abandoned", "running"]


def test_run_whose_files_retention_took_does_not_come_back(toy: Toy) -> None:
    run_id = extracted(toy)
    far = at(toy, datetime.now(UTC) + timedelta(days=99))
    apply(Workspace(far, toy.job), plan(Workspace(far, toy.job), RetentionPolicy()))
    for go in (
        lambda: score_chunk(toy.work, run_id, 0),
        lambda: publish(toy.work, run_id),
    ):
        with pytest.raises(RunMissing, match="its files were removed by retention"):
            go()
    assert statuses(toy) == ["abandoned"]


def test_run_that_failed_or_is_held_is_not_called_abandoned(toy: Toy) -> None:
    run_id = extracted(toy, airflow_run_id=None)
    for status in ("failed", "held", "published", "superseded", "discarded", "skipped"):
        ledger.record(toy.stores.warehouse, run_id, status=status)
        assert look(toy) == []
