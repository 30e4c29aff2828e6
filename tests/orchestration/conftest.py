"""One real Airflow (scheduler, dag-processor, api-server, triggerer) for all tests of the DAGs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from demo import processes
from demo.local_airflow import free_port, running
from scoring.settings import Settings
from scoring.stores import embedded
from scoring.stores.installation import open_stores
from scoring.stores.workspace import Workspace
from tests.conftest import new_database
from tests.support.airflow import AirflowUnderTest
from tests.support.customers import create_states, write_customers
from tests.support.otlp import Sink, collecting
from tests.support.toy import FIRST, TRAIN_NIGHTS, add, create_source, events, execute, train_champion, write_job

NIGHTS = 15
GUARDS = {"max_latency_ratio": 1000}
"""Predicting takes toy models no time, so the ratio of two of them is noise."""
WAITING = """
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG

with DAG("waiting", schedule=None, max_active_runs=100):
    PythonSensor(task_id="wait", python_callable=lambda: False, mode="reschedule", poke_interval=3600)
"""
"""A DAG whose runs wait like a retraining that waits for nights in the shadow."""
CONSUMER = """
from airflow.sdk import DAG, Asset, PartitionedAssetTimetable, get_current_context, task

NIGHTS = Asset(name="air_chunks_nights", uri="nightshift://air_chunks/nights")

with DAG("consumer", schedule=PartitionedAssetTimetable(assets=NIGHTS)):

    @task
    def take():
        context = get_current_context()
        (event,) = context["triggering_asset_events"][NIGHTS]
        return [context["partition_key"], event.extra]

    take()
"""
"""A DAG that waits for the nights of a job, as the operator's page shows it."""


@pytest.fixture(scope="session")
def receiver() -> Iterator[tuple[str, list[str]]]:
    """The URL of a webhook on loopback, and what it was sent."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["message"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"json://127.0.0.1:{server.server_port}", heard
        server.shutdown()


def with_other_dags(folder: Path) -> dict[str, str]:
    """Return the variables that make Airflow read a folder beside the project's DAGs, with DAGs that wait."""
    folder.mkdir()
    (folder / "waiting.py").write_text(WAITING)
    (folder / "consumer.py").write_text(CONSUMER)
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    bundles = [
        {"name": "dags-folder", "classpath": local, "kwargs": {}},
        {"name": "tests", "classpath": local, "kwargs": {"path": str(folder)}},
    ]
    return {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",  # no test changes a DAG, so each is read once
    }


@pytest.fixture(scope="session")
def sink() -> Iterator[Sink]:
    """Where Airflow under test sends its metrics."""
    with collecting() as opened:
        yield opened


@pytest.fixture(scope="session")
def airflow(data_dir: Path, template: str, receiver: tuple[str, list[str]], sink: Sink) -> Iterator[AirflowUnderTest]:
    """A running Airflow with eight toy jobs and one whose file is broken."""
    folder = data_dir / "airflow-tests"
    for name in ("jobs", "sql"):
        (folder / name).mkdir(parents=True)
    source, story = new_database(data_dir), new_database(data_dir)
    create_source(source, nights=NIGHTS)
    create_states(source, nights=NIGHTS)
    create_source(story, nights=TRAIN_NIGHTS)
    for first, count, change in ((TRAIN_NIGHTS, 10, True), (TRAIN_NIGHTS + 10, 5, False)):
        nights = [events(FIRST + timedelta(days=n)) for n in range(first, first + count)]
        for rows in nights:  # the world changes, and changes back
            add(story, rows.assign(y=~rows["y"]) if change else rows)
    settings = Settings(
        data_dir=data_dir,
        jobs_dir=folder / "jobs",
        sql_dir=folder / "sql",
        sources={
            "toy": SecretStr(source),
            "story": SecretStr(story),
            "gone": SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/nothing"),
        },
        warehouse_url=SecretStr(new_database(data_dir, template)),
        registry_url=SecretStr(embedded.url(data_dir / "postgres", "registry")),
        code_version="test",
        alert_urls=SecretStr(receiver[0]),
        metrics_token=SecretStr("the-token-of-the-scraper"),
        staging={"toy": "shared_nights"},
    )
    execute(source, "create schema shared_nights")
    quick = {"retries": 2, "retry_delay_seconds": 1}
    patient = {"retries": 20, "retry_delay_seconds": 1}  # a registry is away for a while in one of its tests
    jobs = {
        "chunks": write_job(folder, "air_chunks", limits=quick, tags=["toys"]),
        "skip": write_job(folder, "air_skip", on_empty="skip", limits=patient),
        "gate": write_job(folder, "air_gate", gate={"min_rows": 1000}, limits=quick),
        "retrain": write_job(
            folder,
            "air_retrain",
            limits=quick,
            shards=2,
            retraining={"max_age_nights": 1, "min_new_labelled_nights": 1, "drift_weight": 1.0, "max_loss": 9.0},
        ),
        "gone": write_job(folder, "air_gone", limits=quick),
        "story": write_job(
            folder,
            "air_story",
            source="story",
            limits={**quick, "poke_seconds": 5},
            chunk_rows=1000,
            training={"window_days": 6, "holdout_nights": 2},
            retraining={"min_new_labelled_nights": 6, "drift_weight": 1.0, "max_age_nights": None},
            promotion={"promote": "shadow", "shadow_nights": 2, "min_nights": 2, **GUARDS},
        ),
        "human": write_job(
            folder,
            "air_human",
            source="story",
            limits=quick,
            training={"window_days": 6, "holdout_nights": 2},
            promotion={"promote": "human", "min_nights": 2, "approval_hours": 0.005, **GUARDS},
        ),
        "customers": write_customers(
            folder,
            "air_customers",
            schedule={"timezone": "UTC", "first_night": FIRST, "last_night": FIRST + timedelta(days=30)},
            label={"column": "y", "delay_days": 1, "horizon_days": 1},
            limits=quick,
            training={"window_days": 8, "holdout_nights": 2},
            promotion={"min_nights": 2, "evidence": "not_worse", **GUARDS},
        ),
    }
    stores = open_stores(settings, lambda: datetime.now(UTC))
    for job in jobs.values():
        train_champion(Workspace(stores, job))
    jobs["gone"] = write_job(folder, "air_gone", source="gone", limits=quick)
    (folder / "jobs" / "air_broken.yaml").write_text("name: air_broken\nfeatures: 3\n")
    changed = {**with_other_dags(folder / "dags"), **sink.environment()}
    with (
        processes.claimed(settings.airflow_home, processes.UP),  # so that commands use it
        running(settings, free_port(), changed=changed) as api,
    ):
        dags = [f"{job.name}_{kind}" for job in jobs.values() for kind in ("nightly", "retraining")]
        for dag_id in [*dags, "late_nights", "nightshift_retention", "waiting", "consumer"]:
            api.wait_for_dag(dag_id)
            api.unpause(dag_id)
        api.wait_for_dag("air_broken_nightly")
        yield AirflowUnderTest(api, stores, jobs, receiver[1], sink)
    stores.warehouse.engine.dispose()
