"""A published night in a real Airflow: the asset event that other DAGs wait for, and the metrics in Airflow's stream."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from scoring.stores.warehouse import ledger
from tests.support.airflow import DAG, PATIENCE, AirflowUnderTest, backfill, night_events, states, trigger
from tests.support.toy import NIGHT, ROWS

pytestmark = [pytest.mark.airflow, pytest.mark.slow]
BY_HAND, FILLED_IN = NIGHT + timedelta(days=7), NIGHT + timedelta(days=8)


def consumed(airflow: AirflowUnderTest, key: str, count: int) -> list[dict[str, Any]]:
    """Return the consumer's runs for a night, once there are so many, and a little later."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        runs = [run for run in airflow.api.runs("consumer") if run["partition_key"] == key]
        if len(runs) >= count and all(run["state"] == "success" for run in runs):
            return runs
        time.sleep(0.5)
    return []


def test_published_night_runs_who_waits_for_it_with_its_partition_key(airflow: AirflowUnderTest) -> None:
    run = trigger(airflow, DAG, conf={"night": str(BY_HAND)})  # the run itself has no partition key
    assert (run["state"], run["partition_key"]) == ("success", None)
    (attempt,) = ledger.runs_of(airflow.stores.warehouse, "air_chunks", BY_HAND)
    expected = {
        "job": "air_chunks",
        "night": str(BY_HAND),
        "run_id": attempt.run_id,
        "model_version": attempt.model_version,
        "rows": ROWS,
    }
    (event,) = (event for event in night_events(airflow) if event["extra"]["night"] == str(BY_HAND))
    assert (event["extra"], event["source_task_id"]) == (expected, "announce")
    (reader,) = consumed(airflow, str(BY_HAND), 1)
    path = f"/dags/consumer/dagRuns/{reader['dag_run_id']}/taskInstances/take/xcomEntries/return_value"
    assert airflow.api.call("GET", f"{path}?deserialize=true")["value"] == [str(BY_HAND), expected]


@pytest.mark.nightly
def test_backfill_announces_nothing_unless_it_is_asked(airflow: AirflowUnderTest) -> None:
    before = len(night_events(airflow))
    (silent,) = backfill(airflow, FILLED_IN, FILLED_IN)
    assert (silent["state"], states(airflow, DAG, silent["dag_run_id"])["announce"]) == ("success", "skipped")
    assert len(night_events(airflow)) == before
    asked = {"reprocess_behavior": "completed", "dag_run_conf": {"announce": True}}
    (spoken,) = backfill(airflow, FILLED_IN, FILLED_IN, **asked)
    assert (spoken["state"], states(airflow, DAG, spoken["dag_run_id"])["announce"]) == ("success", "success")
    assert [event["extra"]["night"] for event in night_events(airflow)[before:]] == [str(FILLED_IN)]
    assert len(consumed(airflow, str(FILLED_IN), 1)) == 1


def test_metrics_of_a_night_are_in_airflows_own_stream(airflow: AirflowUnderTest) -> None:
    if not ledger.runs_of(airflow.stores.warehouse, "air_chunks", BY_HAND):  # alone: no night was published yet
        trigger(airflow, DAG, conf={"night": str(BY_HAND)})
    version = str(ledger.runs_of(airflow.stores.warehouse, "air_chunks", BY_HAND)[0].model_version)
    labels = frozenset({("job", "air_chunks"), ("model_version", version)})
    assert airflow.metrics.values("airflow.nightshift.rows_scored")[labels] >= ROWS
    assert airflow.metrics.values("airflow.nightshift.night_rows")[labels] == ROWS
    assert airflow.metrics.values("airflow.nightshift.cpu_seconds_per_million_predictions")[labels] > 0
    verdicts = airflow.metrics.values("airflow.nightshift.drift_verdict")
    assert {value for name, value in verdicts.items() if ("job", "air_chunks") in name} == {0.0, 1.0}
