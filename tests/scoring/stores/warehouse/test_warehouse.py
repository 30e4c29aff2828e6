"""The warehouse on real PostgreSQL: schema, roles, partitions, ledger, pointer, promotions, and when it is away."""

from __future__ import annotations

import itertools
import random
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from pydantic import SecretStr

from scoring.errors import (
    ContractError,
    LakeFileMissing,
    NightHeld,
    Permanent,
    PredictionError,
    RunMissing,
    WarehouseUnavailable,
)
from scoring.interval import DataInterval
from scoring.job.definition import Job
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.rows.prediction import prediction_schema
from scoring.settings import HOME, Settings
from scoring.stores.installation import Stores
from scoring.stores.warehouse import Run, Warehouse, ledger, open_warehouse, promotions
from scoring.stores.warehouse.connection import sql_text
from scoring.stores.warehouse.job_tables import views
from scoring.stores.warehouse.load import count_rows, load, remove_rows
from scoring.stores.warehouse.promotions import Promotion, champion_at
from scoring.stores.warehouse.schema import ensure_job, ensure_partition, migrate
from scoring.stores.warehouse.tables import RUNS
from tests.conftest import Toy, new_database
from tests.support.toy import NIGHT, ROWS, write_job

MOMENT = datetime(2024, 6, 1, 4, tzinfo=UTC)
SECRET = "s3cr3t-pa55"
TABLES = ("jobs", "scoring_runs", "published_nights", "publications", "model_promotions")
SHARED = {"loaded_chunks"}
RETRAINING = {"retrainings", "model_cards", "shadows", "shadow_nights", "refit_losses", "model_manifests"}
ERASURE = {"erasures", "erased_runs"}
MONITORING = ("drift_results", "drift_columns", "performance_results", "retraining_decisions", "alerts")
VIEWS = (
    "scoring_status",
    "drift_by_night",
    "performance_by_night",
    "performance_by_window",
    "decisions_by_threshold",
)
OTHERS = {"night_profiles", "alembic_version", "locks", "actions", "mean_shifts"}
_numbers = itertools.count()


def opened(data_dir: Path, template: str) -> Iterator[Warehouse]:
    """Give a fresh warehouse without sources, registry and lake; analysts log in to it as to the embedded default."""
    url = new_database(data_dir, template)
    analyst = url.replace("postgres@", "nightshift_analyst@")
    settings = Settings(data_dir=data_dir, warehouse_url=SecretStr(url), analyst_url=SecretStr(analyst))
    warehouse = open_warehouse(settings)
    yield warehouse
    warehouse.engine.dispose()


@pytest.fixture
def warehouse(data_dir: Path, template: str) -> Iterator[Warehouse]:
    yield from opened(data_dir, template)


@pytest.fixture(scope="module")
def kept(data_dir: Path, template: str) -> Iterator[Warehouse]:
    """A warehouse for all tests that change nothing in it."""
    yield from opened(data_dir, template)


def written(folder: Path, **changes: Any) -> Job:
    """Write the files of a job into ``folder`` and return it."""
    for name in ("jobs", "sql"):
        (folder / name).mkdir(exist_ok=True)
    return write_job(folder, f"shop_{next(_numbers)}", **changes)


@pytest.fixture
def job(warehouse: Warehouse, tmp_path: Path) -> Job:
    """A job with its table and views, without source or model."""
    made = written(tmp_path)
    ensure_job(warehouse, made)
    return made


def begun(warehouse: Warehouse, job: Job, night: date = NIGHT, **changes: Any) -> Run:
    """Start a run without extracting anything."""
    return ledger.start(warehouse, first_facts(job, night, **changes))


def first_facts(job: Job, night: date = NIGHT, **changes: Any) -> dict[str, Any]:
    """Return what the ledger is told of a run when it begins."""
    number = next(_numbers)
    interval = DataInterval.of_night(night, "UTC")
    started = MOMENT + timedelta(seconds=number)
    return {
        "run_id": f"{night}-{number}",
        "job": job.name,
        "night": night,
        "interval_start": interval.start,
        "interval_end": interval.end,
        "origin": "test",
        "airflow_run_id": None,
        "started_at": started,
        "model_version": 1,
        "model_sha256": "a" * 64,
        "job_sha256": "b" * 64,
        "sql_sha256": "c" * 64,
        "code_version": "test",
        "library_versions": {"python": "3"},
        **changes,
    }


def predictions(job: Job, night: date, rows: int) -> pa.RecordBatch:
    start = datetime.combine(night, datetime.min.time(), UTC)
    columns = [
        [start + timedelta(seconds=n) for n in range(rows)],
        list(range(rows)),
        [n % 2 == 0 for n in range(rows)],
        [n / rows for n in range(rows)],
    ]
    return pa.RecordBatch.from_pydict(
        dict(zip(prediction_schema(job).names, columns, strict=True)), prediction_schema(job)
    )


def loaded(warehouse: Warehouse, job: Job, night: date = NIGHT, rows: int = 10) -> Run:
    """Start a run and load predictions for it."""
    run = begun(warehouse, job, night)
    batch = predictions(job, night, rows)
    assert load(warehouse, job, run, [batch], batch.schema) == rows
    return run


def flip(warehouse: Warehouse, run: Run, force: bool = False) -> str:
    return ledger.flip(warehouse, run, run.rows_loaded or 0, MOMENT + timedelta(days=1, seconds=next(_numbers)), force)


def asked(warehouse: Warehouse, sql: str) -> list[tuple]:
    """Run one statement as the owner."""
    with warehouse.transaction() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def structure(warehouse: Warehouse) -> list[tuple]:
    """Return every relation, column, comment, right and migration of the warehouse."""
    return asked(
        warehouse,
        """
        select c.relname, c.relkind::text, c.relacl::text, obj_description(c.oid, 'pg_class'), a.attname,
            format_type(a.atttypid, a.atttypmod), a.attnotnull, col_description(c.oid, a.attnum), c.oid::bigint,
            (select string_agg(version_num, ' ') from alembic_version)
        from pg_class as c
        join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
        where c.relnamespace = 'public'::regnamespace
        order by 1, 5
        """,
    )


# ---------------------------------------------------------------- schema


def test_migrate_twice_changes_nothing(warehouse: Warehouse, job: Job) -> None:
    flip(warehouse, loaded(warehouse, job))
    before = structure(warehouse), [asked(warehouse, f"table {name}") for name in TABLES]
    migrate(warehouse)
    ensure_job(warehouse, job)
    assert (structure(warehouse), [asked(warehouse, f"table {name}") for name in TABLES]) == before


def test_migrate_makes_the_schema_once_when_two_begin_at_the_same_time(data_dir: Path) -> None:
    url = SecretStr(new_database(data_dir))
    both = [open_warehouse(Settings(data_dir=data_dir, warehouse_url=url)) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(migrate, both))
    assert asked(both[0], "select count(*) from alembic_version") == [(1,)]
    assert {row[0] for row in structure(both[0])} >= {*TABLES, "scoring_status"}
    for one in both:
        one.engine.dispose()


def migrated_to(warehouse: Warehouse, revision: str) -> None:
    """Bring an empty database to the schema of an older version."""
    config = Config()
    config.set_main_option("script_location", str(HOME / "scoring" / "stores" / "warehouse" / "alembic"))
    with warehouse.transaction() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def migrated_to_the_first(warehouse: Warehouse) -> None:
    """Bring an empty database to the schema of the first version, whose analyst had no login."""
    migrated_to(warehouse, "0001")
    with warehouse.transaction() as connection:
        connection.exec_driver_sql("alter role nightshift_analyst nologin")


def analyst_may_log_in(warehouse: Warehouse) -> bool:
    return asked(warehouse, "select rolcanlogin from pg_roles where rolname = 'nightshift_analyst'") == [(True,)]


def test_migrate_keeps_an_old_clusters_promotions_and_lets_its_analyst_log_in(data_dir: Path, template: str) -> None:
    url = new_database(data_dir)
    analyst = SecretStr(url.replace("postgres@", "nightshift_analyst@"))
    old = open_warehouse(Settings(data_dir=data_dir, warehouse_url=SecretStr(url), analyst_url=analyst))
    try:
        migrated_to_the_first(old)
        with old.transaction() as connection:
            connection.exec_driver_sql("insert into jobs values ('shop', '', '', 'UTC', '2024-01-01')")
            connection.exec_driver_sql(
                "insert into model_promotions (job, model_version, effective_from, kind, reason, promoted_by, promoted_at) "
                "values ('shop', 1, '2024-01-01', 'promotion', '', '', '2024-06-01 04:00Z')"
            )
        with pytest.raises(Permanent, match="nightshift migrate"):
            old.query("select 1")
    finally:
        migrate(old)
    assert promotions.history_of(old, "shop") == [promotion(1, 1)]
    assert analyst_may_log_in(old)
    assert old.query("select session_user")[1] == [("nightshift_analyst",)]
    old.engine.dispose()


def test_migrate_leaves_roles_alone_when_its_user_may_not_change_them(data_dir: Path, template: str) -> None:
    url = new_database(data_dir)
    admin, plain = (
        open_warehouse(Settings(data_dir=data_dir, warehouse_url=SecretStr(one)))
        for one in (url, url.replace("postgres@", "plain_owner@"))
    )
    with admin.transaction() as connection:
        connection.exec_driver_sql("create role plain_owner login")
        connection.exec_driver_sql("alter schema public owner to plain_owner")
        connection.exec_driver_sql("alter role nightshift_analyst nologin")
    try:
        migrate(plain)
        assert not analyst_may_log_in(admin)
        assert asked(plain, "select count(*) from model_promotions") == [(0,)]
    finally:
        with admin.transaction() as connection:
            connection.exec_driver_sql("alter role nightshift_analyst login")
        for one in (admin, plain):
            one.engine.dispose()


def test_fixed_tables_and_views_say_what_they_are(warehouse: Warehouse) -> None:
    comments = {row[0]: row[3] for row in structure(warehouse) if row[1] in "rvp"}
    assert set(comments) == {*TABLES, *MONITORING, *RETRAINING, *SHARED, *ERASURE, *VIEWS, *OTHERS}
    assert [name for name, comment in comments.items() if not comment] == ["alembic_version"]
    columns = {row[4]: row[7] for row in structure(warehouse) if row[0] == "scoring_runs"}
    for name in (
        "run_number",
        "attempt",
        "origin",
        "model_sha256",
        "snapshot_hash",
        "predictions_hash",
        "seconds_score",
    ):
        assert columns[name], name


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_history_and_views_say_what_they_are_column_by_column(warehouse: Warehouse, tmp_path: Path, task: str) -> None:
    label = {"column": "y", **({"classes": ["Low end", "mid", "top"]} if task == "multiclass" else {})}
    job = written(tmp_path, task=task, label=label)
    ensure_job(warehouse, job)
    ensure_partition(warehouse, job, NIGHT)
    rows = [row for row in structure(warehouse) if row[0].startswith(f"{job.name}_")]
    kinds = {row[0]: row[1] for row in rows}
    history = f"{job.name}_predictions_history"
    tables = {name for name, kind in kinds.items() if kind in "rp"}
    assert tables == {history, f"{history}_2024", f"{job.name}_shadow_predictions"}
    assert [(row[0], row[4]) for row in rows if row[0] in tables and not row[7]] == []
    comments = {row[0]: row[3] for row in rows}
    assert comments[history] == "Every run's rows, published or not. Events that end well."
    assert comments[f"{job.name}_predictions"] == "Published predictions: one row per key and night"
    assert comments[f"{job.name}_predictions_as_of"]
    chances = {
        "binary": ["probability"],
        "regression": [],
        "multiclass": ["probability_low_end", "probability_mid", "probability_top"],
    }[task]
    columns, _ = warehouse.query(f"select * from {job.name}_predictions")
    assert columns == ["at", "id", "night", "prediction", *chances, "model_version", "run_id", "scored_at"]


def test_ensure_job_takes_the_files_newest_description_and_end(warehouse: Warehouse, tmp_path: Path, job: Job) -> None:
    schedule = {"timezone": "America/New_York", "first_night": date(2023, 1, 1), "last_night": date(2024, 5, 5)}
    ensure_job(warehouse, write_job(tmp_path, job.name, description="Other words.", owner="us", schedule=schedule))
    assert warehouse.query("select * from jobs")[1] == [
        (job.name, "Other words.", "us", "America/New_York", date(2023, 1, 1), date(2024, 5, 5), None, None)
    ]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"key": {"at": "datetime", "id": "int", "shop": "string"}}, "'shop TEXT'"),
        ({"key": {"at": "datetime"}}, "'id BIGINT'"),
        ({"key": {"id": "int", "at": "datetime"}}, "['id BIGINT', 'at "),
        ({"key": {"at": "datetime", "id": "string"}}, "'id TEXT'"),
        ({"task": "regression"}, "'prediction DOUBLE PRECISION'"),
        ({"task": "multiclass", "label": {"column": "y", "classes": ["a", "b", "c"]}}, "'probability_a "),
    ],
)
def test_ensure_job_refuses_another_key_or_task(
    warehouse: Warehouse, job: Job, changes: dict[str, Any], found: str
) -> None:
    before = structure(warehouse)
    with pytest.raises(Permanent, match=f"{job.name}_predictions_history") as caught:
        ensure_job(warehouse, Job.model_validate({**job.model_dump(), **changes}))
    assert found in str(caught.value)
    assert "copy it to a new job name" in str(caught.value).replace(job.name, "it")
    assert structure(warehouse) == before


def test_ensure_job_takes_other_features(warehouse: Warehouse, tmp_path: Path, job: Job) -> None:
    before = structure(warehouse)
    ensure_job(warehouse, write_job(tmp_path, job.name, features={"other": {"type": "bool"}}, chunk_rows=7))
    assert structure(warehouse) == before


def test_ensure_job_names_the_command_when_there_is_no_schema(data_dir: Path, tmp_path: Path) -> None:
    empty = open_warehouse(Settings(data_dir=data_dir, warehouse_url=SecretStr(new_database(data_dir))))
    with pytest.raises(Permanent, match="nightshift migrate"):
        ensure_job(empty, written(tmp_path))
    empty.engine.dispose()


def test_ensure_job_makes_the_tables_once_when_many_begin_at_the_same_time(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    job = written(tmp_path)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: ensure_job(warehouse, job), range(12)))
    assert warehouse.query(f"select count(*) from {job.name}_predictions")[1] == [(0,)]


# ---------------------------------------------------------------- partitions


def partitions(warehouse: Warehouse, job: Job) -> dict[str, str]:
    """Return the bounds of each partition of the job's history, by the end of its name."""
    rows = asked(
        warehouse,
        f"""select c.relname, pg_get_expr(c.relpartbound, c.oid) from pg_inherits as i
        join pg_class as c on c.oid = i.inhrelid
        where i.inhparent = '{job.name}_predictions_history'::regclass and c.relkind = 'r'""",
    )
    return {name.removeprefix(f"{job.name}_predictions_history_"): bounds for name, bounds in rows}


def monthly(warehouse: Warehouse, job: Job, first: str, until: str) -> None:
    """Make a partition of a month, as Nightshift did before it made those of a year."""
    history = f"{job.name}_predictions_history"
    with warehouse.transaction() as connection:
        connection.exec_driver_sql(
            f"create table {history}_{first[:4]}_{first[5:7]} partition of {history} for values from ('{first}') to ('{until}')"
        )


def test_ensure_partition_goes_from_december_to_january(warehouse: Warehouse, job: Job) -> None:
    for night in (date(2024, 12, 31), date(2025, 1, 1), date(2024, 2, 29), date(2024, 12, 1)):
        ensure_partition(warehouse, job, night)
    assert partitions(warehouse, job) == {
        "2024": "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        "2025": "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    }
    for night in (date(2024, 12, 31), date(2025, 1, 1)):
        flip(warehouse, loaded(warehouse, job, night))
    counts = f"select tableoid::regclass::text, count(*) from {job.name}_predictions_history group by 1 order by 1"
    history = f"{job.name}_predictions_history"
    assert asked(warehouse, counts) == [(f"{history}_2024", 10), (f"{history}_2025", 10)]
    assert warehouse.query(f"select night, count(*) from {job.name}_predictions group by 1 order by 1")[1] == [
        (date(2024, 12, 31), 10),
        (date(2025, 1, 1), 10),
    ]


def test_a_year_that_began_by_month_goes_on_by_month(warehouse: Warehouse, job: Job) -> None:
    monthly(warehouse, job, "2024-11-01", "2024-12-01")
    for night in (date(2024, 11, 30), date(2024, 12, 31), date(2024, 2, 29), date(2025, 1, 1), date(2023, 12, 31)):
        flip(warehouse, loaded(warehouse, job, night))
    assert partitions(warehouse, job) == {
        "2023": "FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')",
        "2024_02": "FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')",
        "2024_11": "FOR VALUES FROM ('2024-11-01') TO ('2024-12-01')",
        "2024_12": "FOR VALUES FROM ('2024-12-01') TO ('2025-01-01')",
        "2025": "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    }
    assert warehouse.query(f"select count(*) from {job.name}_predictions")[1] == [(50,)]


def test_ensure_partition_makes_each_once_when_many_begin_at_the_same_time(warehouse: Warehouse, job: Job) -> None:
    nights = [date(year, 1, day) for year in (2023, 2024, 2025) for day in (1, 2, 28)]
    with ThreadPoolExecutor(9) as pool:
        list(pool.map(lambda night: ensure_partition(warehouse, job, night), nights))
    assert sorted(partitions(warehouse, job)) == ["2023", "2024", "2025"]


def indexes(warehouse: Warehouse, table: str) -> list[str]:
    """Return kind and columns of each index of a table."""
    rows = asked(warehouse, f"select indexdef from pg_indexes where tablename = '{table}' order by 1")
    return [definition.partition(" USING ")[2] for (definition,) in rows]


def test_partitions_have_the_index_of_the_table(warehouse: Warehouse, job: Job) -> None:
    ensure_partition(warehouse, job, NIGHT)
    assert indexes(warehouse, f"{job.name}_predictions_history_2024") == ["btree (night, run_number, at, id)"]


# ---------------------------------------------------------------- histories of before


NIGHTS = [date(2024, 1, 9), date(2024, 1, 10), date(2024, 2, 9)]
MONTHS = {"2024_01": ("2024-01-01", "2024-02-01"), "2024_02": ("2024-02-01", "2024-03-01")}
OLD_INDEXES = ["brin (night, run_number)", "btree (at, id, night, run_number)"]
NEW_INDEXES = ["btree (night, run_number, at, id)"]


def to_older_layout(connection: sa.Connection, job: Job) -> None:
    """Give a history without rows key and index of before migration 0011, and partitions by month."""
    table = f"{job.name}_predictions_history"
    connection.exec_driver_sql(
        f"alter table {table} drop constraint {table}_pkey, add primary key (at, id, night, run_number)"
    )
    connection.exec_driver_sql(f"create index {job.name}_one_night on {table} using brin (night, run_number)")
    for name, (first, until) in MONTHS.items():
        connection.exec_driver_sql(
            f"create table {table}_{name} partition of {table} for values from ('{first}') to ('{until}')"
        )


def apply_0011(warehouse: Warehouse) -> None:
    """Do again what migration 0011 does: all else of the schema is of today, which the ledger needs."""
    with warehouse.transaction() as connection:
        connection.exec_driver_sql(sql_text("migrations/0011_a_run_at_the_end"))


def test_histories_of_before_get_the_new_key_and_keep_their_rows(warehouse: Warehouse, tmp_path: Path) -> None:
    job, other = written(tmp_path), written(tmp_path)
    for each in (job, other):
        ensure_job(warehouse, each)
    with warehouse.transaction() as connection:
        to_older_layout(connection, job)
    assert indexes(warehouse, f"{job.name}_predictions_history_2024_02") == OLD_INDEXES
    runs = [loaded(warehouse, job, night, rows=20) for night in NIGHTS]
    for run in runs:
        flip(warehouse, run)
    shown = f"select * from {job.name}_predictions order by night, id"
    before = warehouse.query(shown)
    assert len(before[1]) == 60

    apply_0011(warehouse)
    ensure_job(warehouse, job)
    assert warehouse.query(shown) == before
    assert [count_rows(warehouse, job, run) for run in runs] == [20, 20, 20]
    tables = [f"{job.name}_predictions_history{name}" for name in ("", "_2024_01", "_2024_02")]
    assert {table: indexes(warehouse, table) for table in tables} == dict.fromkeys(tables, NEW_INDEXES)
    assert indexes(warehouse, f"{other.name}_predictions_history") == NEW_INDEXES

    again = begun(warehouse, job, NIGHTS[1])
    batch = predictions(job, NIGHTS[1], 30)
    assert load(warehouse, job, again, [batch], batch.schema) == 30
    assert flip(warehouse, ledger.get(warehouse, again.run_id)) == "published"
    assert sorted(partitions(warehouse, job)) == ["2024_01", "2024_02"]
    assert asked(warehouse, f"select night, count(*) from {job.name}_predictions group by 1 order by 1") == [
        (NIGHTS[0], 20),
        (NIGHTS[1], 30),
        (NIGHTS[2], 20),
    ]


def test_histories_that_have_the_new_key_already_stay(warehouse: Warehouse, tmp_path: Path) -> None:
    job = written(tmp_path)
    ensure_job(warehouse, job)
    run = loaded(warehouse, job)
    apply_0011(warehouse)
    apply_0011(warehouse)
    assert indexes(warehouse, f"{job.name}_predictions_history_2024") == NEW_INDEXES
    assert count_rows(warehouse, job, run) == 10


# ---------------------------------------------------------------- what queries touch


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def plan_of(warehouse: Warehouse, sql: str) -> list[dict[str, Any]]:
    """Return the nodes of the plan that an analyst's query runs, those that were executed only."""
    ((plan,),) = warehouse.query(f"explain (format json, analyze) {sql}")[1]
    return [node for node in nodes(plan[0]["Plan"]) if node["Actual Loops"]]


def test_queries_of_one_night_or_one_key_touch_little(warehouse: Warehouse, job: Job) -> None:
    """Six nights over three years, two runs each: one night reads its year only, one key goes by the primary key."""
    nights = [date(year, 2, day) for year in (2023, 2024, 2025) for day in (9, 10)]
    for night in (*nights, *nights):
        flip(warehouse, loaded(warehouse, job, night, rows=4000))
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("vacuum analyze")
    history, view = f"{job.name}_predictions_history", f"{job.name}_predictions"
    for sql in (
        f"select * from {view} where night = '2024-02-10'",
        f"select count(*) from {view}_as_of where night = '2024-02-10'",
    ):
        touched = {node["Relation Name"] for node in plan_of(warehouse, sql) if "Relation Name" in node}
        assert {name for name in touched if name.startswith(history)} == {f"{history}_2024"}, sql
    one_key = plan_of(warehouse, f"select night, probability from {view} where at = '2024-02-10 00:00:05Z' and id = 5")
    reads = [node for node in one_key if node.get("Relation Name", node.get("Index Name", "")).startswith(history)]
    assert {node["Node Type"] for node in reads} <= {
        "Index Scan",
        "Index Only Scan",
        "Bitmap Heap Scan",
        "Bitmap Index Scan",
    }
    assert reads
    assert all("_pkey" in node["Index Name"] for node in reads if "Index Name" in node)
    assert (
        sum(node["Actual Rows"] * node["Actual Loops"] for node in reads) <= 4
    )  # two runs of one night, index and heap


# ---------------------------------------------------------------- what an analyst may do


@pytest.fixture(scope="module")
def shown(kept: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job with one published night of ten rows, in the warehouse that is kept."""
    job = written(tmp_path_factory.mktemp("shown"))
    ensure_job(kept, job)
    flip(kept, loaded(kept, job))
    return job


def test_analyst_reads_views_and_ledger(kept: Warehouse, shown: Job) -> None:
    for name in (*TABLES, *MONITORING, *VIEWS, *views(shown)):
        columns, rows = kept.query(f"select * from {name}")
        empty = ("model_promotions", *MONITORING, *VIEWS[1:])
        assert columns and (rows or name in empty), name
    assert kept.query("select current_user, '100%' as share;") == (
        ["current_user", "share"],
        [("nightshift_analyst", "100%")],
    )
    assert kept.query("show timezone")[1]
    assert kept.query("values (1), (2)")[1] == [(1,), (2,)]


FORBIDDEN = {
    "insert": "insert into jobs values ('x', 'x', 'x', 'UTC', '2024-01-01', null) returning job",
    "update": "update published_nights set rows = 0 returning job",
    "delete": "delete from {job}_predictions returning id",
    "truncate": "truncate published_nights",
    "update the ledger in a with": "with gone as (delete from scoring_runs returning 1) select * from gone",
    "drop": "drop view {job}_predictions",
    "create table": "create table mine (a int)",
    "create table as": "create table mine as select 1 as a",
    "create temporary table": "create temporary table mine (a int)",
    "create schema": "create schema mine",
    "alter": "alter table published_nights add column a int",
    "grant": "grant all on published_nights to nightshift_analyst",
    "history": "select * from {job}_predictions_history",
    "one year of the history": "select count(*) from {job}_predictions_history_2024",
    "migrations": "select * from alembic_version",
    "roles' passwords": "select * from pg_authid",
    "files of the server": "select pg_read_file('postgresql.conf')",
    "large object": "select lo_create(0)",
    "lock": "select * from published_nights for update",
    "copy to a program": "copy (select 1) to program 'touch {file}'",
    "copy to the client": "copy (select 1) to stdout",
    "set role": "set role none",
    "reset role": "reset role",
    "set session authorization": "set session authorization default",
    "set the transaction": "set transaction read write",
    "commit": "commit",
    "block": "do $$ begin set role none; execute $q$ copy (select 1) to program 'touch {file}' $q$; end $$",
    "two statements": "select 1; delete from published_nights",
    "two statements, role first": "set role none; select * from {job}_predictions_history",
    "end and go on": "commit; set role none; drop table published_nights",
    "writing after the role": "select set_config('role', 'none', false); delete from published_nights",
    "file, out of the role": """
        select set_config('role', 'none', false),
            (select string_agg(word, ' ') from ts_stat('select to_tsvector(pg_read_file(''/etc/passwd''))'))
    """,
    "folder, out of the role": "select set_config('role', 'none', false), (select count(*) from pg_ls_dir('/'))",
    "table, out of the role": """
        select set_config('role', 'none', false),
            (select count(*) from ts_stat('select to_tsvector(version_num) from alembic_version'))
    """,
    "nothing": "",
    "a comment": "-- nothing",
    "nonsense": "selekt 1",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_analyst_cannot(kept: Warehouse, shown: Job, data_dir: Path, what: str) -> None:
    file = data_dir / "postgres" / "escaped"  # where the server may write
    tables = (*TABLES, f"{shown.name}_predictions_history")
    before = structure(kept), [asked(kept, f"table {name}") for name in tables]
    with pytest.raises(Permanent) as caught:
        kept.query(FORBIDDEN[what].replace("{job}", shown.name).replace("{file}", str(file)))
    assert "found" in str(caught.value)
    assert (structure(kept), [asked(kept, f"table {name}") for name in tables]) == before
    assert not file.exists()


def test_analyst_logs_in_to_the_embedded_warehouse_as_nobody_else(data_dir: Path, template: str) -> None:
    embedded_one = open_warehouse(Settings(data_dir=data_dir))
    for what in ("file, out of the role", "folder, out of the role", "table, out of the role"):
        with pytest.raises(Permanent, match="permission denied"):
            embedded_one.query(FORBIDDEN[what])
    asked_of_it = """
        select session_user, current_user, current_setting('transaction_read_only'),
            current_setting('default_transaction_read_only'), has_database_privilege(current_database(), 'temporary')
    """
    assert embedded_one.query(asked_of_it)[1] == [("nightshift_analyst", "nightshift_analyst", "on", "on", False)]
    embedded_one.engine.dispose()


def test_query_names_the_command_when_a_table_is_missing(kept: Warehouse) -> None:
    with pytest.raises(Permanent, match=r'relation "nothing" does not exist(.|\n)*nightshift migrate'):
        kept.query("select * from nothing")


# ---------------------------------------------------------------- load


def test_load_replaces_the_rows_of_an_interrupted_try(warehouse: Warehouse, job: Job) -> None:
    run, other = loaded(warehouse, job, rows=10), loaded(warehouse, job, rows=5)
    fewer = predictions(job, NIGHT, 7)
    assert load(warehouse, job, run, [fewer.slice(0, 3), fewer.slice(3)], fewer.schema) == 7
    assert (count_rows(warehouse, job, run), count_rows(warehouse, job, other)) == (7, 5)
    assert remove_rows(warehouse, job, run) == 7
    assert (count_rows(warehouse, job, run), count_rows(warehouse, job, other)) == (0, 5)


def test_load_counts_what_the_server_holds_and_not_what_was_sent(warehouse: Warehouse, job: Job) -> None:
    """A trigger that loses a row stands for whatever may happen to one on its way."""
    ensure_partition(warehouse, job, NIGHT)
    with warehouse.transaction() as connection:
        connection.exec_driver_sql(
            "create function lose() returns trigger language plpgsql as "
            "$$ begin if new.id = 3 then return null; end if; return new; end $$"
        )
        connection.exec_driver_sql(
            f"create trigger lose before insert on {job.name}_predictions_history for each row execute function lose()"
        )
    batch = predictions(job, NIGHT, 10)
    assert load(warehouse, job, begun(warehouse, job), [batch], batch.schema) == 9


def test_rows_of_a_batch_lie_in_the_order_of_the_key(warehouse: Warehouse, job: Job) -> None:
    shuffled = predictions(job, NIGHT, 100).take(pa.array(random.Random(1).sample(range(100), 100)))
    load(warehouse, job, begun(warehouse, job), [shuffled.slice(0, 50), shuffled.slice(50)], shuffled.schema)
    stored = [number for (number,) in asked(warehouse, f"select id from {job.name}_predictions_history order by ctid")]
    sent = shuffled.column("id").to_pylist()
    assert stored == [*sorted(sent[:50]), *sorted(sent[50:])]


def parts(batch: pa.RecordBatch, size: int) -> list[pa.RecordBatch]:
    return [batch.slice(start, size) for start in range(0, batch.num_rows, size)]


def connections_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the URLs that loading connects to from now on, one for each connection."""
    opened: list[str] = []
    module = sys.modules[load.__module__]
    connect = module.arrow_connection

    def counted(url: str) -> Any:
        opened.append(url)
        return connect(url)

    monkeypatch.setattr(module, "arrow_connection", counted)
    return opened


def test_rows_of_a_new_run_come_through_several_connections(warehouse: Warehouse, job: Job, monkeypatch) -> None:
    batch, run = predictions(job, NIGHT, 60), begun(warehouse, job)
    opened = connections_of(monkeypatch)

    def slowly() -> Iterator[pa.RecordBatch]:
        for part in parts(batch, 10):
            time.sleep(0.1)  # so that the others have their turn
            yield part

    assert load(warehouse, job, run, slowly(), batch.schema, connections=3) == 60
    assert (len(opened), count_rows(warehouse, job, run)) == (3, 60)
    ids = [number for (number,) in asked(warehouse, f"select id from {job.name}_predictions_history order by id")]
    assert ids == list(range(60))


@pytest.mark.timeout(60)
def test_a_row_that_fails_in_one_connection_leaves_none_of_the_others(
    warehouse: Warehouse, job: Job, monkeypatch
) -> None:
    """The last row is the first one again: its connection waits for the one that has sent that, or fails by itself."""
    monkeypatch.setattr(sys.modules[load.__module__], "_WAIT", "2s")
    batch, run = predictions(job, NIGHT, 60), begun(warehouse, job)
    with pytest.raises((Permanent, WarehouseUnavailable), match=r"duplicate key|lock timeout"):
        load(warehouse, job, run, [*parts(batch, 7), batch.slice(0, 1)], batch.schema, connections=3)
    assert count_rows(warehouse, job, run) == 0
    assert load(warehouse, job, run, parts(batch, 7), batch.schema, connections=3) == 60


@pytest.mark.timeout(60)
def test_rows_that_cannot_be_made_leave_none(warehouse: Warehouse, job: Job) -> None:
    batch, run = predictions(job, NIGHT, 60), begun(warehouse, job)

    def broken() -> Iterator[pa.RecordBatch]:
        yield from parts(batch, 7)
        raise LakeFileMissing("predictions", found="no file")

    with pytest.raises(LakeFileMissing):
        load(warehouse, job, run, broken(), batch.schema, connections=3)
    assert count_rows(warehouse, job, run) == 0


def test_a_run_that_has_rows_is_replaced_in_one_transaction(warehouse: Warehouse, job: Job, monkeypatch) -> None:
    """A held run may be released: it must never stand without its rows."""
    run = loaded(warehouse, job, rows=60)
    fewer, opened = predictions(job, NIGHT, 40), connections_of(monkeypatch)
    assert load(warehouse, job, run, parts(fewer, 7), fewer.schema, connections=3) == 40
    assert (len(opened), count_rows(warehouse, job, run)) == (1, 40)


def test_load_of_no_rows_is_no_row(warehouse: Warehouse, job: Job) -> None:
    assert load(warehouse, job, begun(warehouse, job), [], prediction_schema(job)) == 0


def test_load_leaves_what_was_there_when_it_breaks_midway(warehouse: Warehouse, job: Job) -> None:
    run = loaded(warehouse, job, rows=10)

    def breaking() -> Iterator[pa.RecordBatch]:
        yield predictions(job, NIGHT, 4)
        raise PredictionError("midway")

    with pytest.raises(Exception, match="midway"):
        load(warehouse, job, run, breaking(), prediction_schema(job))
    assert count_rows(warehouse, job, run) == 10


def test_load_refuses_a_key_twice_and_keeps_what_was_there(warehouse: Warehouse, job: Job) -> None:
    run = loaded(warehouse, job, rows=10)
    twice = predictions(job, NIGHT, 3)
    with pytest.raises(Permanent, match="duplicate key"):
        load(warehouse, job, run, [twice, twice], twice.schema)
    assert count_rows(warehouse, job, run) == 10


# ---------------------------------------------------------------- ledger and pointer


def test_start_counts_attempts_by_night(warehouse: Warehouse, job: Job) -> None:
    attempts = [begun(warehouse, job, night).attempt for night in (NIGHT, NIGHT, NIGHT + timedelta(days=1), NIGHT)]
    assert attempts == [1, 2, 1, 3]
    assert [run.attempt for run in ledger.runs_of(warehouse, job.name, NIGHT)] == [1, 2, 3]


def test_start_again_at_the_same_instant_is_the_same_run(warehouse: Warehouse, job: Job) -> None:
    first = begun(warehouse, job, run_id="same", airflow_run_id="a")
    ledger.record(warehouse, "same", chunks=4)
    second = begun(warehouse, job, run_id="same", airflow_run_id="a")
    assert (second.run_number, second.attempt, second.status, second.chunks) == (first.run_number, 1, "running", 4)


def test_start_abandons_unfinished_attempts_of_the_same_airflow_run(
    warehouse: Warehouse, job: Job, tmp_path: Path
) -> None:
    other_job = written(tmp_path)
    ensure_job(warehouse, other_job)
    failed = begun(warehouse, job, airflow_run_id="scheduled-1")
    ledger.record_failure(warehouse, failed.run_id, "broken", MOMENT)
    crashed = begun(warehouse, job, airflow_run_id="scheduled-1")
    untouched = [
        begun(warehouse, job, airflow_run_id="scheduled-2"),
        begun(warehouse, job),
        begun(warehouse, job, NIGHT + timedelta(days=1), airflow_run_id="scheduled-1"),
        begun(warehouse, other_job, airflow_run_id="scheduled-1"),
    ]
    again = begun(warehouse, job, airflow_run_id="scheduled-1")
    found = ledger.get(warehouse, crashed.run_id)
    assert (found.status, found.finished_at) == ("abandoned", again.started_at)
    assert found.reason is not None
    assert "new attempt" in found.reason
    assert ledger.get(warehouse, failed.run_id).status == "failed"
    assert {ledger.get(warehouse, run.run_id).status for run in (*untouched, again)} == {"running"}


def test_start_gives_each_attempt_its_number_when_many_begin_at_the_same_time(warehouse: Warehouse, job: Job) -> None:
    with ThreadPoolExecutor(6) as pool:
        runs = list(pool.map(lambda _: begun(warehouse, job), range(12)))
    assert sorted(run.attempt for run in runs) == list(range(1, 13))


def test_get_names_a_run_that_is_not_there(warehouse: Warehouse, job: Job) -> None:
    with pytest.raises(RunMissing, match="no run 'nothing' in the ledger"):
        ledger.get(warehouse, "nothing")
    with pytest.raises(AttributeError, match="colour"):
        _ = begun(warehouse, job).colour  # type: ignore[attr-defined]


def test_facts_of_a_run_are_its_columns_in_the_order_of_the_table(warehouse: Warehouse, job: Job) -> None:
    assert list(begun(warehouse, job).facts) == [column.name for column in RUNS.c]


def test_record_failure_leaves_a_run_that_ended(warehouse: Warehouse, job: Job) -> None:
    run = loaded(warehouse, job)
    flip(warehouse, run)
    ledger.record_failure(warehouse, run.run_id, "too late", MOMENT)
    assert (ledger.get(warehouse, run.run_id).status, ledger.get(warehouse, run.run_id).reason) == ("published", None)


def test_flip_twice_changes_nothing(warehouse: Warehouse, job: Job) -> None:
    run = loaded(warehouse, job)
    assert flip(warehouse, run) == "published"
    before = [asked(warehouse, f"table {name}") for name in TABLES]
    assert [flip(warehouse, run), flip(warehouse, run, force=True)] == ["published", "published"]
    assert [asked(warehouse, f"table {name}") for name in TABLES] == before


def test_flip_keeps_a_later_run_unless_forced(warehouse: Warehouse, job: Job) -> None:
    early, late = loaded(warehouse, job), loaded(warehouse, job)
    assert [flip(warehouse, late), flip(warehouse, early)] == ["published", "superseded"]
    assert ledger.published(warehouse, job.name) == {NIGHT: late.run_id}
    reason = ledger.get(warehouse, early.run_id).reason
    assert reason is not None
    assert f"run {late.run_id} began later" in reason
    assert flip(warehouse, early, force=True) == "published"
    assert ledger.published(warehouse, job.name, NIGHT) == {NIGHT: early.run_id}
    assert ledger.get(warehouse, late.run_id).status == "superseded"


def test_flip_of_one_run_by_many_at_the_same_time_publishes_once(warehouse: Warehouse, job: Job) -> None:
    run = loaded(warehouse, job)
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda _: flip(warehouse, run), range(12))) == {"published"}
    assert asked(warehouse, "select count(*), count(visible_until) from publications") == [(1, 0)]


def test_pointer_publications_and_ledger_agree_after_any_flips(warehouse: Warehouse, job: Job) -> None:
    """Forty flips in a random order (seed 0): every night shows one run, and the three tables say the same one."""
    nights = [NIGHT, NIGHT + timedelta(days=1)]
    runs = [loaded(warehouse, job, night) for night in nights * 4]
    chosen = random.Random(0)
    for _ in range(40):
        run = chosen.choice(runs)
        flip(warehouse, run, force=chosen.random() < 0.5)
        pointer = ledger.published(warehouse, job.name)
        visible = asked(warehouse, "select night, run_id from publications where visible_until is null")
        status = asked(warehouse, "select night, run_id from scoring_runs where status = 'published'")
        rows = warehouse.query(f"select night, run_id, count(*) from {job.name}_predictions group by 1, 2")[1]
        assert sorted(visible) == sorted(status) == sorted(pointer.items())
        assert sorted(rows) == [(night, run_id, 10) for night, run_id in sorted(pointer.items())]
    overlapping = """select count(*) from publications as a join publications as b on a.job = b.job and a.night = b.night
        and a.visible_from < b.visible_from and coalesce(a.visible_until, 'infinity') > b.visible_from"""
    assert asked(warehouse, overlapping) == [(0,)]


# ---------------------------------------------------------------- status


def status_of(warehouse: Warehouse, job: Job) -> dict[str, Any]:
    columns, rows = warehouse.query(f"select * from scoring_status where job = '{job.name}'")
    return dict(zip(columns, rows[0], strict=True))


def ending(night: date | None) -> dict[str, Any]:
    return {"timezone": "UTC", "first_night": date(2024, 1, 1), **({"last_night": night} if night else {})}


def test_status_says_whether_the_expected_night_is_there(toy: Toy) -> None:
    warehouse = toy.stores.warehouse
    ensure_job(warehouse, toy.change(schedule=ending(NIGHT)))
    before = status_of(warehouse, toy.job)
    assert (before["expected_night"], before["expected_night_published"], before["nights_published"]) == (
        NIGHT,
        False,
        0,
    )
    assert {before[name] for name in ("latest_night", "run_id", "published_at", "last_run_status")} == {None}
    done = run_night(toy.work, NightRequest(NIGHT, datetime.now(UTC), "test"))
    after = status_of(warehouse, toy.job)
    assert (after["expected_night_published"], after["latest_night"], after["latest_rows"]) == (True, NIGHT, ROWS)
    assert (after["run_id"], after["model_version"], after["latest_rows_quarantined"]) == (done.run_id, 1, 0)
    assert (after["last_run_night"], after["last_run_status"], after["nights_published"]) == (NIGHT, "published", 1)


def test_status_shows_held_and_failed_nights(toy: Toy) -> None:
    warehouse = toy.stores.warehouse
    toy.change(schedule=ending(NIGHT), gate={"min_rows": 1000})
    with pytest.raises(NightHeld):
        run_night(toy.work, NightRequest(NIGHT, datetime.now(UTC), "test"))
    held = status_of(warehouse, toy.job)
    assert (held["expected_night_published"], held["nights_held"], held["last_run_status"]) == (False, 1, "held")
    assert "gate.min_rows is 1000" in held["last_run_reason"]
    toy.stores.features_query(toy.job).path.write_text("select :interval_start as at, :interval_end as until, 7 as id")
    with pytest.raises(ContractError):
        run_night(toy.work, NightRequest(NIGHT, datetime.now(UTC), "test"))
    failed = status_of(warehouse, toy.job)
    assert (failed["expected_night_published"], failed["nights_held"], failed["last_run_status"]) == (
        False,
        1,
        "failed",
    )
    assert failed["last_run_reason"].startswith("ContractError: ")
    assert "'kind'" in failed["last_run_reason"]


def test_status_expects_yesterday_in_the_jobs_timezone(warehouse: Warehouse, tmp_path: Path) -> None:
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):  # 25 hours apart: never the same day
        ensure_job(warehouse, written(tmp_path, schedule={"timezone": zone, "first_night": date(2024, 1, 1)}))
    rows = warehouse.query(
        """select expected_night = (now() at time zone timezone)::date - 1, expected_night
        from scoring_status join jobs using (job)"""
    )[1]
    assert [right for right, _ in rows] == [True, True]
    assert rows[0][1] != rows[1][1]


# ---------------------------------------------------------------- champions


def promotion(version: int, day: int) -> Promotion:
    return Promotion("shop", version, date(2024, 1, day), "promotion", "", "", MOMENT)


@pytest.mark.parametrize(
    ("promoted", "night", "champion"),
    [
        ([], 5, None),
        ([(1, 6)], 5, None),
        ([(1, 5)], 5, 1),
        ([(1, 1), (2, 5)], 4, 1),
        ([(1, 1), (2, 5)], 5, 2),
        ([(2, 5), (1, 1)], 9, 2),  # the later night counts, not the later record
        ([(1, 5), (2, 5), (3, 5)], 5, 3),  # of equals, the later record
        ([(3, 5), (2, 5), (1, 5), (9, 1)], 6, 1),
        ([(1, 1), (2, 5), (1, 8)], 9, 1),  # rolled back
        ([(1, 1), (2, 5), (1, 8)], 7, 2),
    ],
)
def test_champion_at_is_the_latest_effective_then_the_last_recorded(
    promoted: list[tuple[int, int]], night: int, champion: int | None
) -> None:
    assert champion_at([promotion(*one) for one in promoted], date(2024, 1, night)) == champion


def test_promotions_come_back_in_the_order_of_their_record(warehouse: Warehouse, job: Job) -> None:
    made = [Promotion(job.name, n, date(2024, 1, 10 - n), "promotion", f"it's {n}", "me", MOMENT) for n in (1, 2, 3)]
    made.append(replace(made[0], model_sha256="a" * 64, model_uri="/models/1"))
    for one in made:
        promotions.add(warehouse, one)
    assert promotions.history_of(warehouse, job.name) == made
    assert promotions.history_of(warehouse, "another") == []


# ---------------------------------------------------------------- away, and secrets


@pytest.fixture
def away() -> Iterator[Warehouse]:
    """A warehouse on a loopback port where nobody listens, its password ``SECRET``."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = SecretStr(f"postgresql+psycopg://owner:{SECRET}@127.0.0.1:{port}/warehouse")
    opened = open_warehouse(Settings(warehouse_url=url))
    yield opened
    opened.engine.dispose()


def test_warehouse_that_does_not_answer_is_unavailable(away: Warehouse, job: Job) -> None:
    run = Run(**first_facts(job), run_number=1, attempt=1, status="running", stage="extract", provisional=False)
    calls = [
        lambda: away.query("select 1"),
        lambda: migrate(away),
        lambda: ensure_job(away, job),
        lambda: ledger.get(away, "x"),
        lambda: load(away, job, run, [], prediction_schema(job)),
    ]
    for call in calls:
        with pytest.raises(WarehouseUnavailable, match="Connection refused") as caught:
            call()
        assert caught.value.retryable
        for error in (caught.value, caught.value.__cause__, caught.value.__context__):
            assert SECRET not in f"{error} {error!r}"


def test_lock_that_is_not_granted_in_time_is_unavailable(warehouse: Warehouse, job: Job) -> None:
    run = loaded(warehouse, job)
    with warehouse.transaction() as holder, pytest.raises(WarehouseUnavailable, match="lock timeout"):
        ledger.hold_lock(holder, job.name, NIGHT)
        with warehouse.transaction() as waiting:
            waiting.exec_driver_sql("set local lock_timeout = '50ms'")
            ledger.hold_lock(waiting, job.name, NIGHT)
    assert flip(warehouse, run) == "published"


def test_no_repr_holds_a_password(away: Warehouse) -> None:
    url = SecretStr(f"postgresql+psycopg://owner:{SECRET}@db.example/warehouse")
    secret = Settings(warehouse_url=url, analyst_url=url, registry_url=url, sources={"crm": url})
    for one in (secret, away, Stores(secret, away, None, None, datetime.now)):  # type: ignore[arg-type]
        assert SECRET not in f"{one!r} {one}"


def test_session_speaks_utc_and_waits_a_minute_for_locks(warehouse: Warehouse) -> None:
    with warehouse.transaction() as connection:
        found = [str(connection.execute(sa.text(f"show {name}")).scalar()) for name in ("timezone", "lock_timeout")]
    assert found[0].lower() == "utc"
    assert found[1] in ("60s", "1min")
