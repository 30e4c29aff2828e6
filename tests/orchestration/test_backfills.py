"""Backfills in a real Airflow: beside runs that wait, and from the command line."""

from __future__ import annotations

import time
from datetime import date, timedelta

import pytest

from demo.backfills import airflow_command
from scoring.errors import NightshiftError
from tests.support.airflow import DAG, AirflowUnderTest, backfill
from tests.support.toy import NIGHT

pytestmark = [pytest.mark.airflow, pytest.mark.slow]
NIGHTS_AIRFLOW_LOOKS_AT = 20
"""Airflow's default of max_dagruns_per_loop_to_schedule."""


def create(airflow: AirflowUnderTest, *options: str, dag_id: str = DAG, night: date = NIGHT) -> int:
    days = ["--from-date", str(night), "--to-date", str(night)]
    return airflow_command(airflow.stores.settings, ["backfill", "create", "--dag-id", dag_id, *days, *options])


def waiting(airflow: AirflowUnderTest) -> int:
    """Return how many runs of the DAG that waits have been looked at by the scheduler and wait now."""
    found = airflow.api.call("GET", "/dags/waiting/dagRuns/~/taskInstances?limit=1&state=up_for_reschedule")
    return int(found["total_entries"])


@pytest.mark.nightly
def test_backfill_ends_although_more_runs_wait_than_airflow_looks_at_by_default(airflow: AirflowUnderTest) -> None:
    many = NIGHTS_AIRFLOW_LOOKS_AT + 1
    made = [airflow.api.call("POST", "/dags/waiting/dagRuns", {"logical_date": None}) for _ in range(many)]
    try:
        deadline = time.monotonic() + 180  # 30 s on two idle cores
        while waiting(airflow) < many and time.monotonic() < deadline:
            time.sleep(0.5)
        assert waiting(airflow) == many
        day = NIGHT + timedelta(days=6)
        (run,) = backfill(airflow, day, day)
        assert (run["partition_key"], run["state"]) == (str(day), "success")
        assert waiting(airflow) == many
    finally:
        for run in made:
            airflow.api.call("PATCH", f"/dags/waiting/dagRuns/{run['dag_run_id']}", {"state": "failed"})


def test_backfill_of_a_paused_dag_is_refused_with_the_command_that_unpauses_it(airflow: AirflowUnderTest) -> None:
    with pytest.raises(
        NightshiftError, match=r"air_broken_nightly: found it is paused.*dags unpause air_broken_nightly"
    ):
        create(airflow, dag_id="air_broken_nightly")


def test_backfill_that_airflow_refuses_is_one_sentence(airflow: AirflowUnderTest) -> None:
    with pytest.raises(NightshiftError, match="found Backfill cannot be executed for future dates") as caught:
        create(airflow, dag_id="air_skip_nightly", night=date(2131, 1, 1))
    assert "\n" not in str(caught.value)
