"""The Airflow under test: runs are triggered and waited for, states and logs are read, through its API."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date
from typing import Any

from demo.local_airflow import LocalAirflow
from scoring.job.definition import Job
from scoring.stores.installation import Stores
from tests.support.otlp import Sink

DAG = "air_chunks_nightly"
"""Of the job that backfills are made for."""

PATIENCE = 240
"""Seconds until runs that have not ended are a failure: some take 15 on two idle cores, and more than 60 on busy ones."""


@dataclass
class AirflowUnderTest:
    """A running Airflow, the jobs it has, and the stores it writes to."""

    api: LocalAirflow
    stores: Stores
    jobs: dict[str, Job]
    heard: list[str]
    """The alerts that a receiver on loopback was sent."""
    metrics: Sink
    """The metrics that a sink on loopback was sent."""


def tasks(airflow: AirflowUnderTest, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    """Return the task instances of a run."""
    found: list[dict[str, Any]] = airflow.api.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")[
        "task_instances"
    ]
    return found


def states(airflow: AirflowUnderTest, dag_id: str, run_id: str) -> dict[str, str]:
    """Return the state of each task of a run."""
    return {task["task_id"]: task["state"] for task in tasks(airflow, dag_id, run_id)}


def trigger(airflow: AirflowUnderTest, dag_id: str, **body: Any) -> dict[str, Any]:
    """Trigger a run and return it once it ended."""
    run_id = airflow.api.call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, **body})["dag_run_id"]
    airflow.api.wait(dag_id, seconds=PATIENCE)
    return airflow.api.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")


def backfill(airflow: AirflowUnderTest, first: date, last: date, **options: Any) -> list[dict[str, Any]]:
    """Run a backfill of the chunks job and return the runs it made, by night."""
    before = {run["dag_run_id"] for run in airflow.api.runs(DAG)}
    deadline = time.monotonic() + 90
    while True:  # Airflow closes a backfill up to 30 s after its last run; until then a new one is refused
        try:
            airflow.api.backfill(DAG, first, last, **options)
            break
        except Exception as error:
            if "409" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(1)
    runs = [run for run in airflow.api.wait(DAG, seconds=PATIENCE) if run["dag_run_id"] not in before]
    return sorted(runs, key=lambda run: run["partition_key"])


def night_events(airflow: AirflowUnderTest, job: str = "air_chunks") -> list[dict[str, Any]]:
    """Return the asset events of a job's nights, oldest first."""
    (asset,) = airflow.api.call("GET", f"/assets?name_pattern={job}_nights")["assets"]
    found = airflow.api.call("GET", f"/assets/events?asset_id={asset['id']}&limit=100")["asset_events"]
    return sorted(found, key=lambda event: str(event["timestamp"]))


def log_of(airflow: AirflowUnderTest, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
    """Return the log of an attempt of a task."""
    return str(airflow.api.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"))


def why(airflow: AirflowUnderTest, dag_id: str, run_id: str) -> str:
    """Return the end of the log of every failed task of a run."""
    failed = [task for task in tasks(airflow, dag_id, run_id) if task["state"] == "failed"]
    logs = (log_of(airflow, dag_id, run_id, task["task_id"], task["try_number"])[-3000:] for task in failed)
    return "\n".join(f"{task['task_id']}: {log}" for task, log in zip(failed, logs, strict=True))
