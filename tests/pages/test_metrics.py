"""``/nightshift/metrics``: what a scraper gets, and who gets nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.core_api.security import get_user
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from pages import scraping, web
from pages.content import Places
from scoring.errors import SettingsError
from scoring.metrics import METRICS
from scoring.settings import load_settings
from tests.conftest import Toy
from tests.support.living import score
from tests.support.toy import NIGHT

TOKEN = "a-token-of-the-scraper"


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment of the web application, to be changed by a test."""
    load_settings.cache_clear()
    yield monkeypatch
    load_settings.cache_clear()


@pytest.fixture
def scraper(client: TestClient, configured: pytest.MonkeyPatch) -> TestClient:
    """A scraper that has the token; the web application behind it has no user."""
    del web.app.dependency_overrides[get_user]
    create_auth_manager()  # Airflow's own, which refuses tokens that it did not make
    configured.setenv("NIGHTSHIFT_METRICS_TOKEN", TOKEN)
    client.headers["Authorization"] = f"Bearer {TOKEN}"
    return client


def test_scraper_with_the_token_gets_what_prometheus_reads(scraper: TestClient, toy: Toy) -> None:
    score(toy, NIGHT)
    answer = scraper.get("metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    exposed = {metric.exposed.removesuffix("_total"): metric for metric in METRICS}
    assert set(families) <= set(exposed)
    assert {"nightshift_night_rows", "nightshift_late_seconds", "nightshift_rows_scored"} <= set(families)
    for name, family in families.items():
        assert (family.type, family.documentation) == (exposed[name].kind, exposed[name].meaning)
        assert {label for sample in family.samples for label in sample.labels} == set(exposed[name].labels)


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer nothing", f"Bearer {TOKEN}x", f"Basic {TOKEN}"])
def test_nobody_else_gets_anything(scraper: TestClient, header: str | None) -> None:
    del scraper.headers["Authorization"]
    answer = scraper.get("metrics", headers={"Authorization": header} if header else {})
    assert answer.status_code in (401, 403)
    assert "nightshift_" not in answer.text


def test_without_a_token_in_the_settings_no_token_opens(scraper: TestClient, configured: pytest.MonkeyPatch) -> None:
    configured.delenv("NIGHTSHIFT_METRICS_TOKEN")
    for token in (TOKEN, "", "None"):
        assert scraper.get("metrics", headers={"Authorization": f"Bearer {token}"}).status_code in (401, 403)


def test_token_opens_no_other_page(scraper: TestClient, toy: Toy) -> None:
    assert [scraper.get(path).status_code for path in ("./", f"jobs/{toy.job.name}")] == [403, 403]


def test_token_can_be_a_secret_file(scraper: TestClient, configured: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "metrics_token").write_text(f"{TOKEN}\n")
    configured.setenv("NIGHTSHIFT_SECRETS_DIR", str(tmp_path))
    configured.setenv("NIGHTSHIFT_METRICS_TOKEN", "{metrics_token}")
    load_settings.cache_clear()
    assert scraper.get("metrics").status_code == 200
    (tmp_path / "metrics_token").write_text("another-token-of-it")
    load_settings.cache_clear()
    assert scraper.get("metrics").status_code in (401, 403)


def test_token_that_could_be_guessed_is_refused(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("NIGHTSHIFT_METRICS_TOKEN", "guess-me")
    with pytest.raises(SettingsError, match="expected a token of 16 characters or more") as caught:
        load_settings()
    assert "guess-me" not in str(caught.value)


def test_many_scrapers_read_the_warehouse_once(scraper: TestClient, toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    before = scraper.get("metrics").text
    score(toy, NIGHT)
    assert scraper.get("metrics").text == before
    monkeypatch.setattr(scraping, "KEPT_SECONDS", -1)
    assert scraper.get("metrics").text != before


@pytest.fixture
def asked_in_a_loop() -> list[bool]:
    """Whether each question to Airflow's database was asked on the event loop."""
    return []


@pytest.fixture
def alone(toy: Toy, asked_in_a_loop: list[bool], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[TestClient, Any]]:
    """A browser of somebody who is logged in, at nothing but the metrics, and what they keep."""

    async def somebody(*_: object) -> str:
        return "somebody"

    def readable_jobs(_: object) -> frozenset[str]:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asked_in_a_loop.append(False)
        else:
            asked_in_a_loop.append(True)
        return frozenset({toy.job.name})

    monkeypatch.setattr(scraping, "get_user", somebody)
    app, read = FastAPI(), Places(toy.stores.warehouse, toy.stores.lake, lambda name: toy.job)
    measurements = scraping.add_metrics(app, lambda: read, readable_jobs)
    with TestClient(app) as client:
        yield client, measurements


def test_airflows_database_is_asked_beside_the_event_loop(alone: tuple[TestClient, Any], asked_in_a_loop) -> None:
    assert alone[0].get("metrics").status_code == 200
    assert asked_in_a_loop == [False]


def test_warehouse_that_does_not_answer_lets_others_go(
    alone: tuple[TestClient, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, measurements = alone
    monkeypatch.setattr(scraping, "WAIT_SECONDS", 0.1)
    with measurements._lock:
        assert client.get("metrics").status_code == 503
    assert client.get("metrics").status_code == 200
