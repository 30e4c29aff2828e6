"""Airflow's own command line in this installation. A backfill gets the running Airflow that it needs."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from cli import console
from demo import processes
from demo.local_airflow import LocalAirflow, environment, migrate, reached
from scoring.errors import NightshiftError
from scoring.job import load_jobs
from scoring.settings import Settings

CLOSING_SECONDS = 45
"""Airflow's scheduler closes a backfill up to 30 s after its last run. Until then the DAG takes no other one."""
ABOUT_ONE_DAG = {"pause", "unpause", "trigger", "details", "show", "state", "next-execution"}
"""Subcommands of ``airflow dags`` that need the DAG to be known."""
LAST_DAY = re.compile(r"(--to-date=)?\d{4}-\d\d-\d\d$")


def airflow_command(settings: Settings, arguments: list[str]) -> int:
    """Return the exit code of any command of Airflow's own command line.

    Airflow's tables and DAGs are there before it begins. ``backfill create`` uses the Airflow that ``make up`` runs; when
    none runs, one is started until the backfill's nights have ended.
    """
    dag_id = None if {"-h", "--help"} & set(arguments) else option(arguments, "--dag-id")
    if arguments[:2] == ["backfill", "create"] and dag_id is not None:
        return _backfill(settings, dag_id, whole_days(arguments))
    record = processes.shared(settings.airflow_home)
    variables = environment(settings, record.port if record and record.port else settings.airflow_port)
    migrate(settings, variables, _say)
    if record is None and arguments[:1] == ["dags"] and ABOUT_ONE_DAG & set(arguments[1:2]):
        _reserialize(variables)  # while Airflow runs, its dag-processor does it
    return _run(variables, arguments).returncode


def option(arguments: list[str], name: str) -> str | None:
    """Return the value of an option, given as ``--name value`` or ``--name=value``, or None when it is not given.

    >>> option(["--dag-id", "a_nightly"], "--dag-id"), option(["--dag-id=b_nightly"], "--dag-id"), option([], "--dag-id")
    ('a_nightly', 'b_nightly', None)
    """
    for position, argument in enumerate(arguments):
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
        if argument == name and position + 1 < len(arguments):
            return arguments[position + 1]
    return None


def whole_days(arguments: list[str]) -> list[str]:
    """Return the arguments with the last day of ``--to-date`` up to its end, so that nights at a later hour are in it.

    >>> whole_days(["--from-date", "2013-04-01", "--to-date", "2013-04-30"])
    ['--from-date', '2013-04-01', '--to-date', '2013-04-30T23:59:59']
    >>> whole_days(["--to-date=2013-04-30T12:00:00"])
    ['--to-date=2013-04-30T12:00:00']
    """
    return [
        f"{argument}T23:59:59" if LAST_DAY.match(argument) and "--to-date" in (before, argument[:9]) else argument
        for before, argument in zip(["", *arguments], arguments, strict=False)
    ]


def _backfill(settings: Settings, dag_id: str, arguments: list[str]) -> int:
    _require_name(settings, dag_id)
    with ExitStack() as stack:
        show = stack.enter_context(console.step("looking for Airflow"))
        airflow = stack.enter_context(reached(settings, show))
        stays = processes.shared(settings.airflow_home) is not None
        show(f"waiting for the DAG {dag_id}")
        airflow.wait_for_dag(dag_id)
        dry = "--dry-run" in arguments
        if not dry:
            _require_unpaused(airflow, dag_id)
            wait_until_closed(airflow, dag_id, show)
        show(f"creating the backfill of {dag_id}")
        _create(airflow, arguments)
        if dry:
            return 0
        if stays:
            console.OUT.print(f"created; its nights run in {airflow.url}", highlight=False, soft_wrap=True)
            return 0
        nights = _finished(airflow, _newest(airflow, dag_id), show)
    again = "" if nights else "; nights that were run before are run again with --reprocess-behavior completed"
    console.OUT.print(f"{dag_id}: {nights} nights done{again}", highlight=False, soft_wrap=True)
    return 0


def _require_name(settings: Settings, dag_id: str) -> None:
    jobs, broken = load_jobs(settings.jobs_dir)
    dag_ids = [f"{name}_nightly" for name in sorted([*(job.name for job in jobs), *broken])]
    if dag_id not in dag_ids:
        raise NightshiftError(
            "backfill create",
            found=f"--dag-id {dag_id}",
            expected=f"the DAG of a job's nights: {', '.join(dag_ids)}",
            next_step="`nightshift new-job` makes a new one" if not dag_ids else "give one of these",
        )


def _require_unpaused(airflow: LocalAirflow, dag_id: str) -> None:
    if airflow.call("GET", f"/dags/{dag_id}")["is_paused"]:
        raise NightshiftError(
            f"DAG {dag_id}",
            found="it is paused, so that the nights of a backfill would wait",
            next_step=f"`nightshift demo airflow dags unpause {dag_id}`, then the same command again",
        )


def wait_until_closed(airflow: LocalAirflow, dag_id: str, show: Callable[[str], None]) -> None:
    """Wait until Airflow has closed a backfill whose runs have all ended. One that still works is Airflow's to refuse."""
    deadline = time.monotonic() + CLOSING_SECONDS
    while (last := _newest(airflow, dag_id)) and not last["completed_at"] and time.monotonic() < deadline:
        if _runs(airflow, last, "queued", "running")["total_entries"]:
            return
        show("waiting for Airflow to close the backfill before")
        time.sleep(1)


def _create(airflow: LocalAirflow, arguments: list[str]) -> None:
    port = int(airflow.url.rpartition(":")[2])
    process = _run(environment(airflow.settings, port), arguments, stderr=subprocess.PIPE)
    if process.returncode == 0:
        return
    if "Traceback" not in process.stderr:
        sys.stderr.write(process.stderr)
        raise NightshiftError("airflow backfill create", found=f"exit code {process.returncode}")
    last = process.stderr.strip().splitlines()[-1]
    raise NightshiftError(
        "airflow backfill create",
        found=last.partition(": ")[2] or last,
        next_step="correct the command, or look at the DAG's backfills in the UI (`make up`)",
    )


def _newest(airflow: LocalAirflow, dag_id: str) -> dict[str, Any]:
    """Return the DAG's newest backfill, or an empty mapping if it has had none."""
    backfills = airflow.call("GET", f"/backfills?dag_id={dag_id}&order_by=-id&limit=1")["backfills"]
    return backfills[0] if backfills else {}


def _runs(airflow: LocalAirflow, backfill: dict[str, Any], *states: str) -> dict[str, Any]:
    """Return Airflow's answer about the runs of a backfill in these states, or in any."""
    since = urllib.parse.quote(backfill["created_at"])
    query = "".join(f"&state={state}" for state in states)
    return airflow.call(
        "GET", f"/dags/{backfill['dag_id']}/dagRuns?run_type=backfill&updated_at_gte={since}&limit=100{query}"
    )


def _finished(airflow: LocalAirflow, backfill: dict[str, Any], show: Callable[[str], None]) -> int:
    """Return how many nights a backfill had, once all have ended. Raises ``NightshiftError`` that names failed ones."""
    dag_id, total = backfill["dag_id"], int(_runs(airflow, backfill)["total_entries"])
    while still_open := int(_runs(airflow, backfill, "queued", "running")["total_entries"]):
        show(f"{dag_id}: {total - still_open} of {total} nights done")
        health = airflow.call("GET", "/monitor/health")["scheduler"]["status"]
        if health != "healthy":
            logs = airflow.settings.airflow_home / "scheduler.log"
            raise NightshiftError("Airflow's scheduler", found=str(health), next_step=f"read {logs}")
        time.sleep(1)
    failed = sorted(str(run["partition_key"]) for run in _runs(airflow, backfill, "failed")["dag_runs"])
    if failed:
        raise NightshiftError(
            f"backfill of {dag_id}",
            found=f"failed nights: {', '.join(failed)}",
            next_step="`make up`, and look at the red tasks",
        )
    return total


def _reserialize(variables: dict[str, str]) -> None:
    """Let Airflow read the DAG files, as its dag-processor does while it runs."""
    command = [sys.executable, "-m", "airflow", "dags", "reserialize"]
    subprocess.run(command, env=variables, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _run(
    variables: dict[str, str], arguments: list[str], stderr: int | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airflow", *arguments], env=variables, check=False, text=True, stderr=stderr
    )


def _say(what: str) -> None:
    console.ERR.print(what, highlight=False, soft_wrap=True)
