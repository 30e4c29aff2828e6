"""Jobs whose columns are called as databases call them: whole nights on PostgreSQL and SQLite, with all that follows."""

from __future__ import annotations

import html
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient
from pydantic import SecretStr

from drift.decide import conclude
from drift.measure import measure
from drift.report.night_report import write_report
from drift.watch import watch
from lifecycle.checks.job import check_job
from lifecycle.retraining.record import RetrainingRequest as Asked
from lifecycle.retraining.tasks import retrain
from lifecycle.shadow.review import measure as measure_shadows
from lifecycle.shadow.score import pin, shadow_run
from pages import web
from pages.content.places import Places
from scoring.interval import Nights
from scoring.job.definition import Job
from scoring.job.files import find_job
from scoring.job.task import MULTICLASS
from scoring.night.difference import diff_runs, two_runs
from scoring.night.request import NightRequest
from scoring.night.rescore import rescore
from scoring.night.run import run_night
from scoring.stores.installation import Stores
from scoring.stores.warehouse import monitoring
from scoring.stores.workspace import Workspace
from scoring.upkeep.retention import plan
from scoring.upkeep.verify import verify
from tests.support.toy import FIRST, NIGHT, TRAIN_NIGHTS, execute, train_champion, write_job

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
ROWS = 60
KEYS = {
    "Seen At": "datetime",
    "CustomerID": "int",
    "CustomerID_second": "int",
    "order": "string",
    "Größe %s": "string",
    "1st": "int",
    "user?": "string",
    '"quoted"': "string",
    "_id": "int",
}
PLAIN = dict(
    zip(
        KEYS,
        ["seen_at", "customerid", "customerid_second", "order", "größe_s", "_1st", "user", "quoted", "_id"],
        strict=True,
    )
)
NUMBERS = [
    "SeniorCitizen",
    "Total Charges",
    "größe",
    "100%",
    "%(x)s",
    "a.b",
    "a",
    "x[0]",
    "2nd",
    "a:b",
    "it's",
    "a/b",
    "no",
    "a#b&c=d?",
    "a..",
    "job",
    "status",
    "<b>",
    "{x}",
    "金額",
]
CLASSES = ["a", "a second", "Ä-b"]
FOLLOWING = 3


def rows_of(nights: int, several: bool) -> pd.DataFrame:
    """Return the rows of some nights, with an outcome ``Left?`` that the first number explains."""
    random = np.random.default_rng(0)
    count = nights * ROWS
    night = np.repeat(np.arange(nights), ROWS)
    start = datetime.combine(FIRST, datetime.min.time(), UTC)
    frame: dict[str, Any] = {name: random.normal(size=count) for name in NUMBERS}
    number = np.arange(count)
    for name, kind in KEYS.items():
        frame[name] = number if kind == "int" else [f"{name} {one}" for one in number]
    frame["Seen At"] = [
        start + timedelta(days=int(n), seconds=int(i % ROWS)) for n, i in zip(night, number, strict=True)
    ]
    frame["Größe %s"] = [["klein", "groß"][one % 2] for one in number]
    score = frame[NUMBERS[0]] + random.normal(size=count) / 4
    frame["Left?"] = [CLASSES[place] for place in np.digitize(score, [-0.4, 0.4])] if several else score > 0
    return pd.DataFrame(frame)


def fill(url: str, rows: pd.DataFrame) -> None:
    if url.startswith("sqlite"):
        rows = rows.assign(**{"Seen At": rows["Seen At"].dt.strftime("%Y-%m-%d %H:%M:%S")})
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            marks = ", ".join("?" for _ in rows)
            connection.execute(f"create table events ({', '.join(map(quoted, rows.columns))})")
            connection.executemany(f"insert into events values ({marks})", rows.astype(object).to_numpy().tolist())
            connection.commit()
        return
    engine = sa.create_engine(url)
    table = sa.Table(
        "events",
        sa.MetaData(),
        *(sa.Column(name, kind_of(rows[name]), key=f"c{i}") for i, name in enumerate(rows.columns)),
    )
    with engine.begin() as connection:
        table.create(connection)
        listed = [{f"c{i}": value for i, value in enumerate(row)} for row in rows.astype(object).to_numpy().tolist()]
        connection.execute(table.insert(), listed)
    engine.dispose()


def kind_of(column: pd.Series) -> Any:
    if column.dtype == bool:
        return sa.Boolean()
    if pd.api.types.is_datetime64_any_dtype(column):
        return sa.DateTime(timezone=True)
    return sa.BigInteger() if column.dtype == int else sa.Double() if column.dtype == float else sa.Text()


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def written(folder: Path, source: str) -> Job:
    """Write a job with strange names; of SQLite's three classes, of PostgreSQL's two."""
    several = source == "lite"
    features: dict[str, Any] = {name: {"type": "float"} for name in NUMBERS}
    features |= {"Größe %s": {"type": "category"}, "user?": {"type": "category", "drift": "ignored"}}
    job = write_job(
        folder,
        f"names_{source}",
        source=source,
        time_column="Seen At",
        key=KEYS,
        features=features,
        task="multiclass" if several else "binary",
        pipeline="tests.support.pipelines:build_of_any_names",
        label={"column": "Left?", **({"classes": CLASSES} if several else {})},
        promotion={"min_nights": 2, "segments": ["Größe %s"], "max_latency_ratio": 1000},
    )
    span = f"from events where {quoted('Seen At')} >= :interval_start and {quoted('Seen At')} < :interval_end"
    for name, columns in {"features": [*KEYS, *NUMBERS], "labels": [*KEYS, "Left?"]}.items():
        (folder / "sql" / job.name / f"{name}.sql").write_text(f"select {', '.join(map(quoted, columns))} {span}\n")
    return job


@pytest.fixture(params=["toy", pytest.param("lite", marks=pytest.mark.nightly)])
def lived(request: pytest.FixtureRequest, stores: Stores, tmp_path: Path) -> tuple[Stores, Job, list[str]]:
    """A job trained, and some nights scored and monitored."""
    sources = {**stores.settings.sources, "lite": SecretStr(f"sqlite:///{tmp_path / 'source.db'}")}
    both = replace(stores, settings=stores.settings.model_copy(update={"sources": sources}))
    job = written(tmp_path, request.param)
    execute(sources["toy"].get_secret_value(), "drop table events")
    fill(sources[job.source].get_secret_value(), rows_of(TRAIN_NIGHTS + FOLLOWING + 1, job.task is MULTICLASS))
    check_job(Workspace(both, job))
    train_champion(Workspace(both, job))
    runs = []
    for n in range(FOLLOWING):
        done = run_night(Workspace(both, job), NightRequest(NIGHT + n * DAY, both.clock(), "test"))
        assert done.status == "published"
        runs.append(done.run_id)
    return both, job, runs


def test_a_job_of_any_names_lives_through_everything(lived: tuple[Stores, Job, list[str]]) -> None:
    stores, job, runs = lived
    columns, rows = stores.warehouse.query(f"select * from {job.name}_predictions order by night, customerid")
    assert columns[: len(PLAIN)] == [PLAIN[key] for key in job.key]
    assert len(rows) == FOLLOWING * ROWS
    lake = pq.read_table(stores.lake.current(job.name, NIGHT))
    assert lake.column_names[: len(KEYS)] == list(job.key)
    assert [row[columns.index("customerid")] for row in rows[:ROWS]] == sorted(lake.column("CustomerID").to_pylist())
    assert verify(Workspace(stores, job)) == []

    for run in runs:
        watch(Workspace(stores, job), run)
    judged = {row.column_name for row in monitoring.columns_of(stores.warehouse, [runs[0]])}
    assert {*NUMBERS, "Größe %s"} <= judged
    assert len(measure(Workspace(stores, job), NIGHT + FOLLOWING * DAY)) == FOLLOWING
    assert conclude(Workspace(stores, job), runs[-1]).decision in ("none", "hold", "retrain")
    watched = watch(Workspace(stores, job), runs[0], write_report)  # with outcomes
    assert watched.report is not None
    assert "Evidently" not in (watched.report_error or "")

    again = run_night(Workspace(stores, job), NightRequest(NIGHT, stores.clock(), "test"))
    difference = diff_runs(Workspace(stores, job), *two_runs(Workspace(stores, job), NIGHT))
    assert (difference.rows_compared, difference.rows_changed, again.rows) == (ROWS, 0, ROWS)
    assert plan(Workspace(stores, job), stores.settings.retention) == []


def test_a_job_of_any_names_is_retrained_shadowed_and_rescored(lived: tuple[Stores, Job, list[str]]) -> None:
    stores, job, _ = lived
    row = retrain(Workspace(stores, job), Asked("a test", night=NIGHT + FOLLOWING * DAY, force=True))
    assert row.state in ("kept", "rejected", "promoted", "refused"), row
    pin(Workspace(stores, job), row.model_version or 1, nights=3)
    coming = NIGHT + FOLLOWING * DAY
    shadow_run(
        Workspace(stores, job), run_night(Workspace(stores, job), NightRequest(coming, stores.clock(), "test")).run_id
    )
    assert measure_shadows(Workspace(stores, job), coming + 2 * DAY) == [coming]
    columns, rows = stores.warehouse.query(f"select * from {job.name}_shadow_predictions")
    assert columns[: len(PLAIN)] == [PLAIN[key] for key in job.key]
    assert len(rows) == ROWS
    rescored = list(rescore(Workspace(stores, job), Nights.including(NIGHT, NIGHT), 1, "a test"))
    assert len(rescored) == 1


@pytest.mark.parametrize("lived", ["toy"], indirect=True)
def test_a_column_of_any_name_has_a_page(lived: tuple[Stores, Job, list[str]]) -> None:
    stores, job, runs = lived
    watch(Workspace(stores, job), runs[0])
    places = Places(stores.warehouse, stores.lake, lambda name: find_job(stores.settings.jobs_dir, name))
    web.app.dependency_overrides |= {
        get_user: lambda: SimpleNamespace(name="somebody"),
        web.readable_jobs: lambda: frozenset({job.name}),
        web.places: lambda: places,
    }
    home = f"/jobs/{job.name}"
    with TestClient(web.app) as client:
        night, overview = client.get(f"{home}/nights/{NIGHT}"), client.get(home)
        pages = {name: client.get(f"{home}/columns/{quote(name)}") for name in NUMBERS}
    web.app.dependency_overrides.clear()
    assert (night.status_code, overview.status_code) == (200, 200)
    assert {name for name, page in pages.items() if page.status_code != 200} == set()
    assert {name for name in NUMBERS if f'{home}/columns/{quote(name)}"' not in night.text} == set()
    assert [name for name in NUMBERS if f"column {html.escape(name)}" not in unescaped(pages[name].text)] == []


def unescaped(page: str) -> str:
    """Return a page with quotes escaped as Python does it."""
    return page.replace("&#39;", "&#x27;").replace("&#34;", "&quot;")
