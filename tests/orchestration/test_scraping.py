"""The metrics of a running Airflow: who gets them over HTTP, and a real Prometheus that scrapes them."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.local_airflow import free_port
from scoring.settings import HOME
from tests.support.airflow import AirflowUnderTest

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


def get(url: str, token: str | None = None) -> tuple[int, str]:
    asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scrapers_token(airflow: AirflowUnderTest) -> str:
    token = airflow.stores.settings.metrics_token
    assert token is not None
    return token.get_secret_value()


def logged_in(airflow: AirflowUnderTest) -> str:
    body = json.dumps({"username": "admin", "password": airflow.api.password}).encode()
    asked = urllib.request.Request(f"{airflow.api.url}/auth/token", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return str(json.load(answer)["access_token"])


def test_metrics_are_for_the_scraper_and_for_who_is_logged_in(airflow: AirflowUnderTest) -> None:
    url = f"{airflow.api.url}/nightshift/metrics"
    assert get(url)[0] == 401
    assert get(url, "a-forged-token-of-somebody")[0] in (401, 403)
    for token in (scrapers_token(airflow), logged_in(airflow)):
        status, text = get(url, token)
        assert status == 200
        assert 'nightshift_nights_published{job="air_chunks"}' in text
    assert get(f"{airflow.api.url}/api/v2/dags", scrapers_token(airflow))[0] in (401, 403)


@contextmanager
def prometheus(airflow: AirflowUnderTest, folder: Path) -> Iterator[str]:
    """Give the URL of a Prometheus with the files of the profile observability; only names of hosts are changed."""
    port = free_port()
    config = (HOME / "deploy/observability/prometheus.yml").read_text(encoding="utf-8")
    changes = {
        "/run/secrets/metrics_token": str(folder / "token"),
        "api-server:8080": urllib.parse.urlsplit(airflow.api.url).netloc,
        "otel-collector:9464": f"127.0.0.1:{port}",
        "scrape_interval: 30s\n  scrape_timeout: 10s\n  evaluation_interval: 30s": (
            "scrape_interval: 5s\n  scrape_timeout: 5s\n  evaluation_interval: 1s"
        ),
    }
    for before, after in changes.items():
        assert before in config
        config = config.replace(before, after)
    (folder / "prometheus.yml").write_text(config)
    (folder / "token").write_text(scrapers_token(airflow))
    shutil.copy(HOME / "deploy/observability/rules.yml", folder)
    words = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            ["prometheus", *words, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=60)


def asked(url: str, query: str) -> dict[str, float]:
    """Return the answer to a query by job, once there is one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            _, text = get(f"{url}/api/v1/query?query={urllib.parse.quote(query)}")
            rows = json.loads(text)["data"]["result"]
        except (urllib.error.URLError, KeyError, ValueError):  # it starts
            rows = []
        if rows:
            return {row["metric"]["job"]: float(row["value"][1]) for row in rows}
        time.sleep(0.5)
    return {}


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus (of Debian) is not there")
def test_prometheus_scrapes_a_running_airflow_and_evaluates_the_rules(airflow: AirflowUnderTest, tmp_path) -> None:
    with prometheus(airflow, tmp_path) as url:
        assert asked(url, 'up{job="nightshift"} == 1') == {"nightshift": 1}
        assert set(asked(url, "nightshift_nights_published")) == {job.name for job in airflow.jobs.values()}
        assert asked(url, "nightshift_job_file_valid")["air_chunks"] == 1
        groups = json.loads(get(f"{url}/api/v1/rules")[1])["data"]["groups"]
        assert {rule.get("lastError", "") for group in groups for rule in group["rules"]} == {""}
