"""The report pages behind the real login of a running Airflow."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.stores.workspace import Workspace
from tests.support.airflow import AirflowUnderTest
from tests.support.toy import NIGHT

pytestmark = [pytest.mark.airflow, pytest.mark.slow]
JOB = "air_retrain"


def get(airflow: AirflowUnderTest, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    asked = urllib.request.Request(f"{airflow.api.url}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def token(airflow: AirflowUnderTest) -> str:
    body = json.dumps({"username": "admin", "password": airflow.api.password}).encode()
    asked = urllib.request.Request(
        f"{airflow.api.url}/auth/token", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return str(found["access_token"])


def test_pages_ask_for_airflows_login(airflow: AirflowUnderTest) -> None:
    stores = airflow.stores
    run_night(Workspace(stores, airflow.jobs["retrain"]), NightRequest(NIGHT, stores.clock(), "cli"))
    paths = ("/nightshift/", f"/nightshift/jobs/{JOB}", f"/nightshift/jobs/{JOB}/nights/{NIGHT}", "/nightshift/run")
    assert [get(airflow, path)[0] for path in paths] == [401] * 4
    assert get(airflow, paths[0], {"Authorization": "Bearer forged"})[0] in (401, 403)
    known = token(airflow)
    for headers in ({"Authorization": f"Bearer {known}"}, {"Cookie": f"_token={known}"}):
        found = [get(airflow, path, headers) for path in paths]
        assert [status for status, _ in found] == [200] * 4
        assert all(JOB in page for _, page in found[:3])
        assert f'href="/nightshift/jobs/{JOB}/nights/{NIGHT}"' in found[1][1]


def test_airflow_lists_the_plugin(airflow: AirflowUnderTest) -> None:
    (plugin,) = (one for one in airflow.api.call("GET", "/plugins")["plugins"] if one["name"] == "nightshift_pages")
    assert [(view["name"], view["destination"]) for view in plugin["external_views"]] == [
        ("Nightshift", "nav"),
        ("Nightshift", "dag_run"),
    ]
    assert airflow.api.call("GET", "/plugins/importErrors")["import_errors"] == []
