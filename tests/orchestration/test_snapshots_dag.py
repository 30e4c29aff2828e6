"""A snapshot job in a real Airflow: the same customers every night, their performance, and a retraining."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from scoring.interval import Nights
from scoring.stores.warehouse import monitoring, retrainings
from scoring.stores.warehouse.span import Span
from tests.support.airflow import PATIENCE, AirflowUnderTest, trigger, why
from tests.support.customers import CUSTOMERS
from tests.support.toy import NIGHT

pytestmark = [pytest.mark.airflow, pytest.mark.slow]
JOB = "air_customers"
DAYS = [NIGHT + timedelta(days=number) for number in range(3)]


@pytest.mark.nightly
def test_customers_are_scored_judged_measured_and_learned_from_night_by_night(airflow: AirflowUnderTest) -> None:
    airflow.api.backfill(f"{JOB}_nightly", DAYS[0], DAYS[-1], max_active_runs=2)
    runs = airflow.api.wait(f"{JOB}_nightly", seconds=PATIENCE)
    assert {run["partition_key"]: run["state"] for run in runs} == dict.fromkeys(map(str, DAYS), "success")
    stores, span = airflow.stores, Span(JOB, Nights.including(DAYS[0], DAYS[-1]))
    view = f"select night, count(*), count(distinct id) from {JOB}_predictions group by night order by night"
    assert stores.warehouse.query(view)[1] == [(day, CUSTOMERS, CUSTOMERS) for day in DAYS]
    judged = monitoring.drift(stores.warehouse, span)
    assert [(row.night, row.verdict, row.report_error, bool(row.report)) for row in judged] == [
        (day, "ok", None, False) for day in DAYS
    ]  # a backfill makes pages of alerts only
    measured = monitoring.performance(stores.warehouse, span, date.max)
    assert {row.night for row in measured} >= set(DAYS[:-2])  # nights side by side: the last may end before the first
    assert {row.rows_labelled for row in measured} == {CUSTOMERS}
    run = trigger(airflow, f"{JOB}_retraining", conf={"night": str(DAYS[-1]), "reason": "new outcomes"})
    assert run["state"] == "success", why(airflow, f"{JOB}_retraining", run["dag_run_id"])
    (row,) = retrainings.of_job(stores.warehouse, JOB)
    assert row.state in ("promoted", "refused")
    assert row.until == DAYS[-1]  # its label is known a day later
