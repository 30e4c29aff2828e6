"""Secrets are taken out of every message, in whatever encoding a driver shows them."""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from urllib.parse import quote, quote_plus

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from cli import console
from scoring.errors import (
    NightshiftError,
    Permanent,
    RegistryUnavailable,
    Retryable,
    SettingsError,
    SourceQueryError,
    SourceUnavailable,
    WarehouseUnavailable,
    described,
)
from scoring.interval import DataInterval
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.secrets import MASK, SECRETS, Secrets, secrets_of
from scoring.settings import Settings
from scoring.stores import embedded
from scoring.stores.installation import Stores
from scoring.stores.registry.registry import Registry
from scoring.stores.source import Query, stream
from scoring.stores.warehouse import ledger, open_warehouse
from scoring.stores.workspace import Workspace
from tests.conftest import Toy, administration, new_database
from tests.support.toy import NIGHT

PASSWORD = "pa+ss w%rd:9@x"
NIGHT_OF_MAY = DataInterval.of_night(date(2024, 5, 1), "UTC")


def forms(password: str) -> list[str]:
    return [password, quote(password, safe=""), quote(password, safe=" +"), quote_plus(password), repr(password)[1:-1]]


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("postgresql://u:s3cret@h/d", "s3cret"),
        ("postgresql://u:s3cr%40et@h/d", "s3cr%40et"),
        ("postgresql://u:s3cr@et@h/d", "s3cr@et"),
        ("postgresql://u:s3/cr@h/d", "s3/cr"),
        ("postgresql://u:s3?cr@h/d", "s3?cr"),
        ("'postgresql://u:s3cret@h/d'", "s3cret"),
        ("postgresql://h/d?user=u&password=s3cret", "s3cret"),
        ("host=h password=s3cret dbname=d", "s3cret"),
        ("host=h password='s3 c\\'ret'", "s3 c\\'ret"),
        ("jdbc:postgresql://h/d?user=u&password=s3cret", "s3cret"),
        ("Driver={x};UID=u;PWD={s3;cret};Server=h", "s3;cret"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Ds3cret%3BServer%3Dh", "s3cret"),
        ("https://s3cret-token@registry/x", "s3cret-token"),
        ("s3://bucket/lake?aws_secret_access_key=s3cret", "s3cret"),
    ],
)
def test_secrets_of_finds_the_password_wherever_it_stands(url, secret):
    assert secret in secrets_of(url)


@pytest.mark.parametrize(
    "url", ["postgresql://u@h:5432/d?sslmode=require", "sqlite:////tmp/u@x/a.db", "postgresql://u@/d?host=/run/x"]
)
def test_secrets_of_finds_none_where_there_is_none(url):
    assert secrets_of(url) == []


LEFT, RIGHT = "Zq7xK9abc", "Wm4tR2def"
"""The two halves of a password."""
WRITTEN = {
    "before a host": "postgresql://u:{}@host/db",
    "without a database": "postgresql://u:{}@host:5432",
    "of an e-mail address": "postgresql://me@corp.example:{}@host/db",
    "without a user": "redis://:{}@host:6379/0",
    "of a lake": "s3://key:{}@bucket/lake",
    "of a key with a slash": "s3://ke/y:{}@bucket/lake",
    "without the scheme": "u:{}@host/db",
    "with half a scheme": "postgres:/u:{}@host/db",
    "with a scheme without slashes": "postgresql:u:{}@host/db",
    "in the query": "postgresql://host/db?user=u&password={}&sslmode=require",
    "last in the query": "postgresql://host/db?user=u&password={}",
    "of a key": "postgresql://host/db?sslpassword={}",
    "as a variable": "PGPASSWORD={}",
    "in a connection string": "host=x password={} dbname=y",
    "in quotes": "host=x password='{}' dbname=y",
}
NO_AT = {"without host": "postgresql://u:{}", "without an @": "postgresql://u:{}/db", "a login alone": "user:{}"}
"""As somebody writes who has forgotten the host; an @ in it would be the one before the host."""


@pytest.mark.parametrize("written", [*WRITTEN.values(), *NO_AT.values()], ids=[*WRITTEN, *NO_AT])
@pytest.mark.parametrize("letter", list("@#/%?: &=+;,é\n"))
def test_no_half_of_a_password_is_shown_whatever_is_between(written: str, letter: str) -> None:
    if letter == "@" and written in NO_AT.values():
        letter = "$"
    secrets = Secrets()
    secrets.add(secrets_of(written.format(f"{LEFT}{letter}{RIGHT}")))
    for shown in (written.format(f"{LEFT}{letter}{RIGHT}"), f'no host "{RIGHT}@host"', f'port "{LEFT}"', quote(RIGHT)):
        said = secrets.redact(f"failed: {shown}")
        assert not [half for half in (LEFT, RIGHT) if half in said and letter != "$"], said
        assert f"{LEFT}{letter}{RIGHT}" not in said


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://host:5432/db",
        "postgresql://[::1]:5432/db",
        "s3:/bucket/x",
        "folder/rows.duckdb",
        "https://host/a/b",
    ],
)
def test_what_is_no_password_is_shown(text: str) -> None:
    assert secrets_of(text) == []


def test_whole_urls_of_receivers_are_secret_with_their_tokens():
    found = secrets_of("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general", whole=True)
    assert {"T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ"} < set(found)


@pytest.mark.parametrize("form", forms(PASSWORD))
def test_redact_masks_every_encoding(form):
    secrets = Secrets()
    secrets.add(secrets_of(f"postgresql://reader:{quote(PASSWORD, safe='')}@host/shop"))
    text = secrets.redact(f"connection to postgresql://reader:{form}@host failed for '{form}'")
    assert text == f"connection to postgresql://reader:{MASK}@host failed for '{MASK}'"


def test_redact_masks_the_half_of_a_password_that_a_driver_takes_for_the_host():
    secrets = Secrets()
    secrets.add(secrets_of("postgresql://reader:left-half@right-half@db.internal/shop"))
    said = secrets.redact('could not translate host name "right-half@db.internal", password left-half')
    assert said == f'could not translate host name "{MASK}db.internal", password {MASK}'


def test_redact_leaves_words_alone_that_only_hold_a_plain_word():
    secrets = Secrets()
    secrets.add(["postgres", "abc"])
    assert secrets.redact("postgresql, abcdef, postgres, abc.") == f"postgresql, abcdef, {MASK}, {MASK}."


def test_settings_make_all_their_secrets_known():
    Settings(
        sources={"a": SecretStr("postgresql://u:k1-source@h/d")},
        warehouse_url=SecretStr("postgresql://u:k1-ware@h/d"),
        analyst_url=SecretStr("postgresql://u:k1-analyst@h/d"),
        registry_url=SecretStr("https://u:k1-registry@h"),
        alert_urls=SecretStr("mailto://u:k1-mail@h, discord://12345678/k1-hook-token"),
        lake_url="s3://b?secret=k1-lake",
    )
    text = "k1-source k1-ware k1-analyst k1-registry k1-mail k1-hook-token k1-lake"
    assert str(NightshiftError(text)) == " ".join([MASK] * 7)
    assert described(ValueError(text)) == f"ValueError: {' '.join([MASK] * 7)}"


# ---------------------------------------------------------------- every way in which something does not answer


@pytest.fixture
def silent_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def strict(data_dir) -> Iterator[str]:
    """Return the start of the URL of a server's TCP port that asks for a password; the role ``reader`` has another one."""
    folder = data_dir / "postgres"
    embedded.socket_folder(folder)
    hba = folder / "pg_hba.conf"
    before = hba.read_text()
    with administration(data_dir) as connection:
        connection.execute(sql.SQL("create role strict_reader login password 'another'"))
        connection.execute("grant connect on database postgres to strict_reader")  # which an embedded cluster refuses
        hba.write_text(f"local all strict_reader scram-sha-256\n{before}")
        connection.execute("select pg_reload_conf()")
        yield f"?host={embedded.socket_folder(folder)}"
        hba.write_text(before)
        connection.execute("select pg_reload_conf()")
        connection.execute("revoke connect on database postgres from strict_reader")
        connection.execute(sql.SQL("drop role strict_reader"))


def shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + str(error) + repr(error)


def clean(error: BaseException, *also: str) -> None:
    text = shown(error)
    for form in (*forms(PASSWORD), *also):
        assert form not in text


def query(tmp_path) -> Query:
    path = tmp_path / "sql" / "shop" / "features.sql"
    path.parent.mkdir(parents=True)
    path.write_text("select 1 as id where :interval_start < :interval_end")
    return Query(path, ("id",), ("id",), variable="NIGHTSHIFT_SOURCES__SHOP")


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("reader:{p}@127.0.0.1:{port}/shop", SourceUnavailable),
        ("reader:{p}@no-such-host.invalid/shop", SourceUnavailable),
        ("strict_reader:{p}@/postgres{socket}", SourceQueryError),
        ("postgres:{p}@/no_such_database{socket}", SourceQueryError),
        ("no_such_role:{p}@/postgres{socket}", SourceQueryError),
        ("postgres:{p}@/postgres{socket}&options=-c no_such_setting=1", SourceQueryError),
        ("reader:{p}@127.0.0.1:port/shop", SettingsError),
    ],
)
def test_a_source_that_cannot_be_opened_is_named_without_its_password(tmp_path, strict, silent_port, place, kind):
    url = "postgres://" + place.format(p=quote(PASSWORD, safe=""), port=silent_port, socket=strict)
    with pytest.raises(NightshiftError) as caught, stream(url, query(tmp_path), NIGHT_OF_MAY, 10):
        pass
    assert type(caught.value) is kind
    assert caught.value.retryable is issubclass(kind, Retryable)
    assert "NIGHTSHIFT_SOURCES__SHOP" in str(caught.value)
    assert "Airflow" not in str(caught.value)
    clean(caught.value)


@pytest.mark.parametrize(
    "password", ["plain", "with space", "a+b", "a@b", "a%b", "a:b", "100%", "%41", "a/b?c#d&e=f", PASSWORD]
)
def test_the_right_password_opens_source_and_warehouse_whatever_is_in_it(
    tmp_path, settings, data_dir, strict, password
):
    with administration(data_dir) as connection:
        connection.execute(sql.SQL("alter role strict_reader password {}").format(sql.Literal(password)))
    url = f"postgres://strict_reader:{quote(password, safe='')}@/postgres{strict}&options=-c search_path=shop"
    with stream(url, query(tmp_path), NIGHT_OF_MAY, 10) as batches:
        assert next(batches).num_rows == 1
    warehouse = open_warehouse(settings.model_copy(update={"warehouse_url": SecretStr(url)}))
    with warehouse.transaction() as connection:
        assert connection.exec_driver_sql("show search_path").scalar() == "shop"
        assert connection.exec_driver_sql("show lock_timeout").scalar() == "1min"
    warehouse.engine.dispose()
    with administration(data_dir) as connection:
        connection.execute("alter role strict_reader password 'another'")


def test_half_a_password_before_an_at_is_not_shown_as_a_host(tmp_path):
    url = "mysql+pymysql://reader:left@half!@no-such-host.invalid/shop"
    with pytest.raises(NightshiftError) as caught, stream(url, query(tmp_path), NIGHT_OF_MAY, 10):
        pass
    clean(caught.value, "left@", "half!")


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("reader:{p}@127.0.0.1:{port}/shop", WarehouseUnavailable),
        ("strict_reader:{p}@/postgres{socket}", Permanent),
        ("postgres:{p}@/no_such_database{socket}", Permanent),
        ("no_such_role:{p}@/postgres{socket}", Permanent),
    ],
)
def test_a_warehouse_that_cannot_be_opened_is_named_without_its_password(settings, strict, silent_port, place, kind):
    url = "postgres://" + place.format(p=quote(PASSWORD, safe=""), port=silent_port, socket=strict)
    warehouse = open_warehouse(settings.model_copy(update={"warehouse_url": SecretStr(url)}))
    for ask in (lambda: ledger.published(warehouse, "x"), lambda: warehouse.query("select 1")):
        with pytest.raises(NightshiftError) as caught:
            ask()
        assert type(caught.value) is kind
        clean(caught.value)
    assert PASSWORD not in repr(warehouse)
    warehouse.engine.dispose()


def test_a_registry_that_cannot_be_opened_is_named_without_its_password(settings, strict, silent_port):
    for place, kind in (
        ("no_such_role:{p}@/postgres{socket}", SettingsError),
        ("u:{p}@127.0.0.1:{port}/r", RegistryUnavailable),
    ):
        url = "postgres://" + place.format(p=quote(PASSWORD, safe=""), port=silent_port, socket=strict)
        with pytest.raises(NightshiftError) as caught:
            Registry(settings.model_copy(update={"registry_url": SecretStr(url)})).versions("x")
        assert type(caught.value) is kind
        clean(caught.value)


def test_a_night_that_fails_leaves_no_password_in_the_ledger(toy: Toy, strict):
    url = f"postgres://strict_reader:{quote(PASSWORD, safe='')}@/postgres{strict}"
    settings = toy.stores.settings.model_copy(update={"sources": {"toy": SecretStr(url)}})
    stores = replace(toy.stores, settings=settings)
    with pytest.raises(SourceQueryError) as caught:
        run_night(Workspace(stores, toy.job), NightRequest(NIGHT, stores.clock(), "cli"))
    (run,) = ledger.runs_of(stores.warehouse, toy.job.name, NIGHT)
    assert "password authentication failed" in run.facts["reason"]
    assert run.facts["reason"] == described(caught.value)
    clean(caught.value)
    assert all(form not in str(run.facts) for form in forms(PASSWORD))
    assert PASSWORD not in repr(stores)


def test_command_line_prints_no_secret_of_a_fault_of_ours_nor_of_a_library(capsys):
    SECRETS.add(["t0p-s3cret"])

    def broken() -> None:
        logging.getLogger("some.library").warning("connecting with %s", "t0p-s3cret")
        raise ValueError("no port: 't0p-s3cret'")

    with pytest.raises(SystemExit):
        console.run(broken)
    said = capsys.readouterr().err
    assert "ValueError: no port: '***'" in said
    assert "t0p-s3cret" not in said


# ---------------------------------------------------------------- SQLite files and drivers


def opened(url: str, chosen: Query) -> None:
    with stream(url, chosen, NIGHT_OF_MAY, 9) as batches:
        list(batches)


@pytest.mark.parametrize("name", ["no folder/shop.db", "shop.db", ""])
def test_a_sqlite_file_that_is_not_there_is_not_made(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(SettingsError, match="NIGHTSHIFT_SOURCES__SHOP") as caught:
        opened(f"sqlite:///{path}", query(tmp_path))
    assert str(path) in str(caught.value)
    assert not path.is_file()


def test_a_table_that_sqlite_does_not_have_is_permanent(tmp_path):
    (tmp_path / "shop.db").touch()
    chosen = query(tmp_path)
    chosen.path.write_text("select id from nowhere where :night")
    with pytest.raises(SourceQueryError, match="no such table"):
        opened(f"sqlite:///{tmp_path / 'shop.db'}", chosen)


def test_a_file_that_is_no_database_is_permanent(tmp_path):
    (tmp_path / "shop.db").write_text("id,name\n" * 1000)
    chosen = query(tmp_path)
    chosen.path.write_text("select id from shop where :night")
    with pytest.raises(SourceQueryError, match="not a database"):
        opened(f"sqlite:///{tmp_path / 'shop.db'}", chosen)


@pytest.mark.parametrize(
    ("scheme", "package"),
    [
        ("mysql", "mysqlclient"),
        ("mysql+pymysql", "pymysql"),
        ("mariadb+pymysql", "pymysql"),
        ("oracle+oracledb", "oracledb"),
        ("mssql+pyodbc", "pyodbc"),
        ("snowflake", "adbc-driver-snowflake"),
        ("bigquery", "adbc-driver-bigquery"),
    ],
)
def test_a_missing_driver_is_named_with_its_package_and_how_to_add_it(tmp_path, scheme, package):
    with pytest.raises(SettingsError) as caught, stream(f"{scheme}://u:s3cret9@h/d", query(tmp_path), NIGHT_OF_MAY, 9):
        pass
    message = str(caught.value)
    for part in ("NIGHTSHIFT_SOURCES__SHOP", package, "requirements.in", "make lock", "docker compose build"):
        assert part in message
    assert "s3cret9" not in message


def test_stores_show_no_secret(stores: Stores, data_dir):
    assert new_database(data_dir)
    with psycopg.connect(f"postgresql://postgres@/postgres?host={embedded.socket_folder(data_dir / 'postgres')}"):
        assert "SecretStr('**********')" in repr(stores.settings)
