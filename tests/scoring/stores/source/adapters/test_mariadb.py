"""MariaDB as a source, through SQLAlchemy. Needs the server (Debian: mariadb-server) and a driver, which are no requirements."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from scoring.errors import SourceQueryError, SourceUnavailable
from scoring.interval import DataInterval
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.rows import ARROW_TYPES, read_as
from scoring.stores.installation import Stores
from scoring.stores.source import Query, stream
from scoring.stores.warehouse import Run, ledger
from scoring.stores.workspace import Workspace
from tests.support.toy import FEATURES, FIRST, LABELS, NIGHT, ROWS, TRAIN_NIGHTS, events, train_champion, write_job

DRIVER = next((name for name in ("pymysql", "MySQLdb") if find_spec(name)), None)
SERVER = next(
    (path for name in ("mariadbd", "mysqld") if (path := shutil.which(name, path="/usr/sbin:/usr/bin"))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(SERVER is None, reason="no MariaDB server on this machine (Debian: mariadb-server)"),
    pytest.mark.skipif(DRIVER is None, reason="no driver for MariaDB in this environment (pymysql or mysqlclient)"),
]
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL, without a database, of a MariaDB of this test run, on a socket in a folder of its own."""
    assert SERVER is not None
    with tempfile.TemporaryDirectory(prefix="ns-maria-") as folder:
        install = shutil.which("mariadb-install-db") or "mysql_install_db"
        where = [f"--datadir={folder}/data", *(["--user=root"] if os.geteuid() == 0 else [])]
        making = [install, "--no-defaults", *where, "--auth-root-authentication-method=normal"]
        subprocess.run(making, check=True, capture_output=True)
        options = [
            f"--socket={folder}/s",
            f"--pid-file={folder}/pid",
            "--skip-networking",
            "--innodb-buffer-pool-size=32M",
        ]
        with subprocess.Popen([SERVER, "--no-defaults", *where, *options], stderr=subprocess.DEVNULL) as process:
            try:
                yield _answering(f"mysql+{str(DRIVER).lower()}://root@/{{}}?unix_socket={folder}/s")
            finally:
                process.terminate()
                process.wait(30)


def _answering(url: str) -> str:
    engine = sa.create_engine(url.format("mysql"), poolclass=sa.NullPool)
    for _ in range(300):
        try:
            with engine.connect() as connection:
                connection.execute(sa.text("create database shop"))
                connection.commit()
            return url
        except sa.exc.OperationalError:
            time.sleep(0.1)
    pytest.fail("MariaDB does not answer")


@pytest.fixture
def shop(server: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(server.format("shop"), poolclass=sa.NullPool)
    yield engine
    with engine.begin() as connection:
        for table in sa.inspect(connection).get_table_names():
            connection.execute(sa.text(f"drop table {table}"))


def run_sql(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def url_of(engine: sa.Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def query(tmp_path: Path, text: str, columns: tuple[str, ...] = ("id",), **more: Any) -> Query:
    path = tmp_path / "sql" / "shop" / "features.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return Query(path, columns, ("id",), variable="NIGHTSHIFT_SOURCES__SHOP", **more)


def read(
    engine: sa.Engine, chosen: Query, night: date = NIGHT, zone: str = "UTC", rows: int = 1000
) -> list[dict[str, Any]]:
    with stream(url_of(engine), chosen, DataInterval.of_night(night, zone), rows) as batches:
        return [row for batch in batches for row in batch.to_pylist()]


def test_night_from_mariadb_is_the_night_from_postgresql(stores: Stores, shop: sa.Engine, tmp_path: Path) -> None:
    rows = pd.concat([events(FIRST + n * DAY) for n in range(TRAIN_NIGHTS + 2)])
    naive = rows.assign(at=rows["at"].dt.tz_localize(None))
    kinds: Any = {"at": sa.DateTime(), "kind": sa.String(20)}
    naive.to_sql("events", shop, index=False, dtype=kinds)
    sources = {**stores.settings.sources, "shop": SecretStr(url_of(shop))}
    both = replace(stores, settings=stores.settings.model_copy(update={"sources": sources}))
    runs: list[Run] = []
    for source in ("toy", "shop"):
        job = write_job(tmp_path, f"events_{source}", source=source, chunk_rows=70)
        for name, text in (("features", FEATURES), ("labels", LABELS)):
            (tmp_path / "sql" / job.name / f"{name}.sql").write_text(text)
        train_champion(Workspace(both, job))
        done = run_night(Workspace(both, job), NightRequest(NIGHT, datetime.now(UTC), "test"))
        runs.append(ledger.get(both.warehouse, done.run_id))
    assert (runs[1].rows_extracted, runs[1].rows_quarantined) == (ROWS, 0)
    assert (runs[1].snapshot_hash, runs[1].predictions_hash) == (runs[0].snapshot_hash, runs[0].predictions_hash)


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_text_that_differs_in_case_only_is_another_key_though_it_is_the_same_to_mariadb(shop, tmp_path, rows):
    run_sql(shop, "create table words (id varchar(9))", "insert into words values ('b'), ('A'), ('a'), ('B'), ('é')")
    chosen = query(tmp_path, "select id from words where :night is not null", text_keys=frozenset(["id"]))
    assert sorted(row["id"] for row in read(shop, chosen, rows=rows)) == ["A", "B", "a", "b", "é"]


@pytest.mark.parametrize("source_zone", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize(("night", "zone"), [(date(2024, 2, 1), "UTC"), (date(2024, 3, 10), "America/New_York")])
def test_times_are_compared_in_the_zone_of_the_source(shop, tmp_path, night, zone, source_zone):
    first = datetime.combine(night, datetime.min.time(), UTC) - DAY
    moments = [first + timedelta(minutes=30 * number) for number in range(150)]
    local = [moment.astimezone(ZoneInfo(source_zone)).replace(tzinfo=None) for moment in moments]
    table = sa.Table("times", sa.MetaData(), sa.Column("id", sa.Integer), sa.Column("at", sa.DateTime))
    table.create(shop)
    with shop.begin() as connection:
        connection.execute(table.insert(), [{"id": number, "at": at} for number, at in enumerate(local)])
    chosen = query(
        tmp_path, "select id from times where at >= :interval_start and at < :interval_end", timezone=source_zone
    )
    interval = DataInterval.of_night(night, zone)
    expected = [number for number, moment in enumerate(moments) if interval.start <= moment < interval.end]
    assert [row["id"] for row in read(shop, chosen, night, zone)] == expected


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("cast(5 as unsigned)", "int", 5),
        ("cast(18446744073709551615 as unsigned)", "float", 1.8446744073709552e19),
        ("cast(1.50 as decimal(10, 2))", "float", 1.5),
        ("cast(1.50 as decimal(10, 2))", "string", "1.50"),
        ("sum(5)", "int", 5),
        ("1.5e0", "float", 1.5),
        ("true", "bool", True),
        ("b'1'", "string", "\x01"),
        ("date '2024-01-02'", "date", date(2024, 1, 2)),
        ("timestamp '2024-01-02 03:00:00'", "datetime", datetime(2024, 1, 2, 3, tzinfo=UTC)),
        ("'é %s %(a)s'", "string", "é %s %(a)s"),
        ("cast(null as char)", "string", None),
    ],
)
def test_types_are_read(shop, tmp_path, expression, kind, value):
    target = ARROW_TYPES[kind]
    chosen = query(
        tmp_path, f"select {expression} as x, 1 as id where :night is not null", ("x", "id"), types={"x": target}
    )
    with stream(url_of(shop), chosen, DataInterval.of_night(NIGHT, "UTC"), 5) as batches:
        (batch,) = batches
    values, unreadable = read_as(batch.column("x"), target, "x")
    assert (values[0].as_py(), unreadable[0].as_py()) == (value, False)


def test_nothing_is_written_and_errors_name_the_statement(shop, tmp_path):
    run_sql(shop, "create table things (id int)", "insert into things values (1)")
    broken = (
        "select id from nowhere where :night is not null",
        "selekt 1 as id, :night",
        "delete from things where :night > '1'",
    )
    for text in broken:
        with pytest.raises(SourceQueryError, match=r"sql/shop/features\.sql"):
            read(shop, query(tmp_path, text))
    assert read(shop, query(tmp_path, "select id from things where :night is not null")) == [{"id": 1}]


def test_a_large_result_is_streamed(shop, tmp_path):
    text = "select seq as id from seq_1_to_30000 where :night is not null"
    with stream(url_of(shop), query(tmp_path, text), DataInterval.of_night(NIGHT, "UTC"), 7000) as batches:
        assert [batch.num_rows for batch in batches] == [7000] * 4 + [2000]


def test_a_server_that_is_not_there_heals_and_a_wrong_password_does_not(shop, tmp_path):
    run_sql(shop, "create or replace user reader@localhost identified by 's3cret9'")
    chosen = query(tmp_path, "select 1 as id where :night is not null")
    wrong = shop.url.set(username="reader", password="wr0ngpw")
    nowhere = wrong.set(query={"unix_socket": "/nowhere"})
    for url, kind in ((wrong, SourceQueryError), (nowhere, SourceUnavailable)):
        text = url.render_as_string(hide_password=False)
        with pytest.raises(kind) as caught, stream(text, chosen, DataInterval.of_night(NIGHT, "UTC"), 5):
            pass
        assert "NIGHTSHIFT_SOURCES__SHOP" in str(caught.value)
        assert "wr0ngpw" not in str(caught.value)
