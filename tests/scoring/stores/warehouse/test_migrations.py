"""Migrations of tables that hold predictions: nothing is lost, and the new state is that of a new installation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from pydantic import SecretStr

from scoring.job.definition import Job
from scoring.settings import HOME, Settings
from scoring.stores.warehouse import Warehouse, ledger, open_warehouse
from scoring.stores.warehouse.job_tables import history
from scoring.stores.warehouse.load import count_rows, load
from scoring.stores.warehouse.schema import ensure_job, migrate
from tests.conftest import drop_database, new_database
from tests.scoring.stores.warehouse.test_warehouse import (
    asked,
    begun,
    flip,
    indexes,
    loaded,
    partitions,
    predictions,
    written,
)

NIGHTS = [date(2024, 1, 9), date(2024, 1, 10), date(2024, 2, 9)]
MONTHS = {"2024_01": ("2024-01-01", "2024-02-01"), "2024_02": ("2024-02-01", "2024-03-01")}
OLD_INDEXES = ["brin (night, run_number)", "btree (at, id, night, run_number)"]
NEW_INDEXES = ["btree (night, run_number, at, id)"]


def to_older_layout(connection: sa.Connection, job: Job) -> None:
    """Give a history without rows key and index of before migration 0011, and partitions by month."""
    table = history(job).name
    connection.exec_driver_sql(
        f"alter table {table} drop constraint {table}_pkey, add primary key (at, id, night, run_number)"
    )
    connection.exec_driver_sql(f"create index {job.name}_one_night on {table} using brin (night, run_number)")
    for name, (first, until) in MONTHS.items():
        connection.exec_driver_sql(
            f"create table {table}_{name} partition of {table} for values from ('{first}') to ('{until}')"
        )


@pytest.fixture
def older(data_dir: Path) -> Iterator[Warehouse]:
    """A warehouse with the schema of before migration 0011."""
    url = new_database(data_dir)
    analyst = SecretStr(url.replace("postgres@", "nightshift_analyst@"))
    warehouse = open_warehouse(Settings(data_dir=data_dir, warehouse_url=SecretStr(url), analyst_url=analyst))
    config = Config()
    config.set_main_option("script_location", str(HOME / "scoring" / "stores" / "warehouse" / "alembic"))
    with warehouse.transaction() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0009")
    yield warehouse
    warehouse.engine.dispose()
    drop_database(data_dir, url)


def test_histories_of_before_get_the_new_key_and_keep_their_rows(older: Warehouse, tmp_path: Path) -> None:
    job, other = written(tmp_path), written(tmp_path)
    for each in (job, other):
        ensure_job(older, each)
    with older.transaction() as connection:
        to_older_layout(connection, job)
    assert indexes(older, f"{job.name}_predictions_history_2024_02") == OLD_INDEXES
    runs = [loaded(older, job, night, rows=20) for night in NIGHTS]
    for run in runs:
        flip(older, run)
    shown = f"select * from {job.name}_predictions order by night, id"
    before = older.query(shown)
    assert len(before[1]) == 60

    migrate(older)
    ensure_job(older, job)
    assert older.query(shown) == before
    assert [count_rows(older, job, run) for run in runs] == [20, 20, 20]
    tables = [f"{job.name}_predictions_history{name}" for name in ("", "_2024_01", "_2024_02")]
    assert {table: indexes(older, table) for table in tables} == dict.fromkeys(tables, NEW_INDEXES)
    assert indexes(older, f"{other.name}_predictions_history") == NEW_INDEXES

    again = begun(older, job, NIGHTS[1])
    batch = predictions(job, NIGHTS[1], 30)
    assert load(older, job, again, [batch], batch.schema) == 30
    assert flip(older, ledger.get(older, again.run_id)) == "published"
    assert sorted(partitions(older, job)) == ["2024_01", "2024_02"]
    assert asked(older, f"select night, count(*) from {job.name}_predictions group by 1 order by 1") == [
        (NIGHTS[0], 20),
        (NIGHTS[1], 30),
        (NIGHTS[2], 20),
    ]


def test_histories_that_have_the_new_key_already_stay(older: Warehouse, tmp_path: Path) -> None:
    job = written(tmp_path)
    ensure_job(older, job)
    run = loaded(older, job)
    migrate(older)
    migrate(older)
    assert indexes(older, f"{job.name}_predictions_history_2024") == NEW_INDEXES
    assert count_rows(older, job, run) == 10
