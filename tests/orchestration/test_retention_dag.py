"""The retention DAG in a real Airflow: a task per job, and nothing removed unless the run says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.stores.warehouse import ledger
from scoring.stores.workspace import Workspace
from tests.support.airflow import AirflowUnderTest, states, trigger
from tests.support.toy import NIGHT, ROWS

pytestmark = [pytest.mark.airflow, pytest.mark.slow]
DAG = "nightshift_retention"
DAY = timedelta(days=1)


def returned(airflow: AirflowUnderTest, run_id: str, job: str) -> dict[str, int]:
    entry = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/{job}/xcomEntries/return_value"
    return airflow.api.call("GET", entry)["value"]


def test_retention_removes_only_when_the_run_says_so(airflow: AirflowUnderTest) -> None:
    job, stores, night = airflow.jobs["chunks"], airflow.stores, NIGHT + 5 * DAY
    runs = [run_night(Workspace(stores, job), NightRequest(night, datetime.now(UTC), "test")).run_id for _ in range(2)]
    long_ago = datetime.now(UTC) - 31 * DAY
    ledger.record(stores.warehouse, runs[0], started_at=long_ago, finished_at=long_ago)
    with stores.warehouse.transaction() as connection:
        connection.exec_driver_sql("update publications set visible_until = %s where run_id = %s", (long_ago, runs[0]))

    said = trigger(airflow, DAG)
    names = [one.name for one in airflow.jobs.values()]
    assert states(airflow, DAG, said["dag_run_id"]) == dict.fromkeys(names, "success"), "the broken job has no task"
    found = returned(airflow, said["dag_run_id"], job.name)
    assert (found["would_be_removed"], found["rows"]) == (1, ROWS)
    assert found["bytes"] > 1000
    assert not ledger.get(stores.warehouse, runs[0]).pruned

    done = trigger(airflow, DAG, conf={"apply": True})
    assert returned(airflow, done["dag_run_id"], job.name) == {"removed": 1, "bytes": found["bytes"], "rows": ROWS}
    assert ledger.get(stores.warehouse, runs[0]).pruned
    assert ledger.published(stores.warehouse, job.name, night) == {night: runs[1]}
