"""Connections through ADBC: what the driver reads of a database's types, and when it reads them again."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from scoring.settings import HOME
from scoring.stores.arrow_connections import arrow_connection
from scoring.stores.urls import libpq_url
from tests.conftest import new_database


def words(url: str) -> list[object]:
    with closing(arrow_connection(url)) as connection, connection.cursor() as cursor:
        cursor.execute("select word from words")
        return list(cursor.fetch_arrow_table().column("word").to_pylist())


def test_a_type_that_is_new_since_the_first_connection_is_read(data_dir: Path) -> None:
    url = libpq_url(new_database(data_dir))
    with closing(arrow_connection(url)) as connection, connection.cursor() as cursor:
        cursor.execute("create type word as enum ('a', 'b')")
        cursor.execute("create table words (word word)")
        cursor.execute("insert into words values ('b')")
        connection.commit()
    assert words(url) == ["b"]


def test_a_closed_connection_leaves_no_session(data_dir: Path) -> None:
    url = libpq_url(new_database(data_dir))
    for _ in range(3):
        arrow_connection(url).close()
    with closing(arrow_connection(url)) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) as sessions from pg_stat_activity where datname = current_database()")
        assert cursor.fetch_arrow_table().column("sessions").to_pylist() == [1]


def test_sessions_do_not_share_a_transaction(data_dir: Path) -> None:
    url = libpq_url(new_database(data_dir))
    with closing(arrow_connection(url)) as first, closing(arrow_connection(url)) as second:
        with first.cursor() as cursor:
            cursor.execute("create table words (word text)")
        with second.cursor() as cursor:
            cursor.execute("select to_regclass('words') is null as absent")
            assert cursor.fetch_arrow_table().column("absent").to_pylist() == [True]


def test_a_process_that_has_read_a_database_ends_in_silence(data_dir: Path) -> None:
    url = libpq_url(new_database(data_dir))
    code = f"from scoring.stores.arrow_connections import arrow_connection; arrow_connection({url!r}).close()"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=HOME, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
