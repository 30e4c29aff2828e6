"""Streaming a job's SQL: PostgreSQL through ADBC, SQLite through SQLAlchemy, and DuckDB."""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pytest
from psycopg import sql

from scoring.errors import ContractError, Permanent, SourceQueryError, SourceUnavailable
from scoring.interval import DataInterval
from scoring.job.definition import Job
from scoring.stores.reading import feature_batches
from scoring.stores.source import Query, stream
from scoring.stores.source.driver_values import column_of
from scoring.stores.urls import libpq_url
from scoring.stores.workspace import Workspace
from tests.conftest import new_database

NIGHT = DataInterval.of_night(date(2013, 4, 1), "America/New_York")
AWKWARD = """O'Hara "x" %s %(a)s :b $1 \\ ; drop table sales; --"""
ROWS = [  # moment from the night's start, id, name, price
    (timedelta(0), 7, AWKWARD, "10.50"),
    (timedelta(hours=23, minutes=59, seconds=59), 3, "b", "0.10"),
    (timedelta(hours=24), 1, "the next night", "1.00"),
    (timedelta(seconds=-1), 2, "the night before", "1.00"),
    (timedelta(hours=5), 5, None, None),
    (timedelta(hours=5), 4, "B", "-3.25"),
    (timedelta(hours=6), 6, "", "99999999.99"),
]
SELECT = """
-- what: the night's sales
select id, name, price, sold_at
from sales
where sold_at >= :interval_start
  and sold_at < :interval_end
"""
BOUNDS = "where :interval_start < :interval_end"


@dataclass(frozen=True)
class Source:
    """A database with a table of sales, and a way to look into it."""

    kind: str
    url: str
    run: Callable[[str], list[Any]]


@pytest.fixture(scope="module")
def postgresql(data_dir) -> Iterator[Source]:
    url = new_database(data_dir)
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        database = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("alter database {} set timezone = 'Asia/Tokyo'").format(database))
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        connection.execute("create table sales (id int, name text, price numeric(10, 2), sold_at timestamptz)")
        for moment, *values in ROWS:
            connection.execute("insert into sales values (%s, %s, %s, %s)", [*values, NIGHT.start + moment])

        def run(statement: str) -> list[Any]:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

        yield Source("postgresql", url, run)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory) -> Iterator[Source]:
    path = tmp_path_factory.mktemp("source") / "sales.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("create table sales (id integer, name text, price numeric, sold_at text)")
        for moment, *values in ROWS:
            at = (NIGHT.start + moment).strftime("%Y-%m-%d %H:%M:%S")
            connection.execute("insert into sales values (?, ?, ?, ?)", [*values, at])
        yield Source("sqlite", f"sqlite:///{path}", lambda statement: connection.execute(statement).fetchall())


@pytest.fixture(scope="module")
def duck(tmp_path_factory) -> Source:
    path = tmp_path_factory.mktemp("source") / "sales.duckdb"

    def run(statement: str) -> list[Any]:
        with duckdb.connect(path) as connection:
            return connection.execute(statement).fetchall()

    run("create table sales (id int, name text, price numeric(10, 2), sold_at timestamptz)")
    with duckdb.connect(path) as connection:
        for moment, *values in ROWS:
            connection.execute("insert into sales values (?, ?, ?, ?)", [*values, NIGHT.start + moment])
    return Source("duckdb", f"duckdb:///{path}", run)


@pytest.fixture(params=["postgresql", "sqlite", "duck"])
def source(request) -> Source:
    return request.getfixturevalue(request.param)


@pytest.fixture
def query(tmp_path) -> Callable[..., Query]:
    """Make a query of SQL text, as the file sql/shop/features.sql."""

    def of(text: str, columns: tuple[str, ...] = ("id",), order_by: tuple[str, ...] = ("id",), **more: Any) -> Query:
        path = tmp_path / "sql" / "shop" / "features.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return Query(path, columns, order_by, **more)

    return of


def read(url: str, query: Query, rows: int = 100, interval: DataInterval = NIGHT) -> list[pa.RecordBatch]:
    with stream(url, query, interval, rows) as batches:
        return list(batches)


def values(batches: list[pa.RecordBatch], name: str) -> list[Any]:
    return [value for batch in batches for value in batch.column(name).to_pylist()]


# ---------------------------------------------------------------- rows, order, batches


def test_stream_gives_the_rows_of_the_half_open_interval_in_key_order(source, query):
    batches = read(source.url, query(SELECT))
    assert values(batches, "id") == [3, 4, 5, 6, 7]
    assert batches[0].schema.names == ["id", "name", "price", "sold_at"]


def test_stream_orders_by_all_keys(source, query):
    batches = read(source.url, query(SELECT, order_by=("sold_at", "id")))
    assert values(batches, "id") == [7, 4, 5, 6, 3]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 6, 100])
def test_stream_gives_batches_of_at_most_the_rows_asked_for(source, query, rows):
    batches = read(source.url, query(SELECT), rows)
    assert max(batch.num_rows for batch in batches) <= rows
    assert all(batch.num_rows == rows for batch in batches[:-1])
    assert all(batch.num_rows for batch in batches)
    assert values(batches, "id") == [3, 4, 5, 6, 7]


def test_stream_bounds_every_batch_of_a_large_result(source, query):
    many = "with recursive n (id) as (select 1 union all select id + 1 from n where id < 20000) select id from n "
    sizes = [batch.num_rows for batch in read(source.url, query(many + BOUNDS), 3000)]
    assert sizes == [3000] * 6 + [2000]


def test_stream_gives_one_empty_batch_with_the_columns_when_there_are_no_rows(source, query):
    batches = read(source.url, query(SELECT), interval=DataInterval.of_night(date(1999, 1, 1), "UTC"))
    assert [batch.num_rows for batch in batches] == [0]
    assert batches[0].schema.names == ["id", "name", "price", "sold_at"]


def test_stream_leaves_values_and_awkward_text_alone(source, query):
    batches = read(source.url, query(SELECT), rows=2)
    assert values(batches, "name") == ["b", "B", None, "", AWKWARD]
    moments = [datetime.fromisoformat(str(value)).replace(tzinfo=UTC) for value in values(batches, "sold_at")]
    assert moments == [NIGHT.start + timedelta(seconds=s) for s in (86399, 18000, 18000, 21600, 0)]


def test_stream_gives_numeric_columns_without_loss(source, query):
    prices = values(read(source.url, query(SELECT)), "price")
    if source.kind == "postgresql":  # as text, which the contract reads
        assert prices == ["0.10", "-3.25", None, "99999999.99", "10.50"]
    elif source.kind == "duckdb":
        assert [price and str(price) for price in prices] == ["0.10", "-3.25", None, "99999999.99", "10.50"]
    else:
        assert prices == [0.1, -3.25, None, 99999999.99, 10.5]


@pytest.mark.parametrize("kind", ["postgresql", "duck"])
def test_stream_binds_the_ends_of_the_interval_as_moments(kind, query, request):
    url = request.getfixturevalue(kind).url
    (batch,) = read(url, query("select 1 as id, :interval_start as first, :interval_end as until"))
    assert batch.to_pylist() == [{"id": 1, "first": NIGHT.start, "until": NIGHT.end}]
    assert batch.schema.field("first").type == pa.timestamp("us", "UTC")


def test_stream_binds_text_that_sqlite_compares_with_its_own_times(sqlite, query):
    (batch,) = read(sqlite.url, query("select 1 as id, :interval_start as first, :interval_end as until"))
    assert batch.to_pylist() == [{"id": 1, "first": "2013-04-01 04:00:00", "until": "2013-04-02 04:00:00"}]


def test_stream_reads_times_in_utc_whatever_the_databases_timezone(postgresql, query):
    text = """
        select id, sold_at, sold_at::text as shown
        from sales
        where sold_at >= :interval_start
          and sold_at < :interval_end
          and sold_at::timestamp = timestamp '2013-04-01 04:00'
          and timestamp '2013-04-01 04:00' = :interval_start
    """
    assert postgresql.run("select setting from pg_settings where name = 'TimeZone'") == [("Asia/Tokyo",)]
    (batch,) = read(postgresql.url, query(text))
    assert batch.to_pylist() == [{"id": 7, "sold_at": NIGHT.start, "shown": "2013-04-01 04:00:00+00"}]


@pytest.mark.parametrize(
    "text",
    [
        "select id from sales {where} -- a comment ends the file",
        "select id from sales {where};",
        "select id from sales {where} ; \n\n",
        "-- a comment\nselect id from sales /* ; */ {where}",
        "with t as (select id from sales {where}) select id from t",
        "select id from sales {where} order by id desc limit 7",
        "select id from sales {where} union all select 99 from sales where 1 = 0",
        "select id, '100%' as share, '%s' as odd, 'a\\:b' as colon, '12:30' as clock from sales {where}",
    ],
)
def test_stream_takes_sql_as_people_write_it(source, query, text):
    assert sorted(values(read(source.url, query(text.format(where=BOUNDS))), "id")) == [1, 2, 3, 4, 5, 6, 7]


COLONS = r"""
select id, ':noon' as noon, '{"a":true}' as doc, '(?:a|b)' as pattern, '12:30' as clock, 'a\:b %s 100%' as odd -- todo :later
from sales -- it's :fine
where sold_at >= :interval_start and sold_at < :interval_end /* :maybe */ ; -- :done"""
ON_POSTGRESQL = r"""
select id, E'it\'s :x' as escaped, $a$ :b $a$ as dollars, (array[1,2,3])[1:2] as slice, '{"a":true}'::jsonb ->> 'a' as flag,
    "name:x" as quoted, :interval_start::timestamptz as first, /* a /* :b */ :c */ :night::text as day
from (select *, name as "name:x" from sales) as s
where sold_at>=:interval_start::timestamptz and sold_at <:interval_end"""


def test_stream_gives_text_with_colons_as_it_is_written(source, query):
    (batch,) = read(source.url, query(COLONS))
    assert values([batch], "id") == [3, 4, 5, 6, 7]
    shown = {"noon": ":noon", "doc": '{"a":true}', "pattern": "(?:a|b)", "clock": "12:30", "odd": r"a\:b %s 100%"}
    assert {name: values([batch], name)[0] for name in shown} == shown


def test_stream_gives_every_colon_that_postgresql_has_as_it_is_written(postgresql, query):
    (batch,) = read(postgresql.url, query(ON_POSTGRESQL))
    assert values([batch], "id") == [3, 4, 5, 6, 7]
    assert batch.drop_columns(["id"]).to_pylist()[0] == {
        "escaped": "it's :x",
        "dollars": " :b ",
        "slice": [1, 2],
        "flag": "true",
        "quoted": "b",
        "first": NIGHT.start,
        "day": "2013-04-01",
    }


def test_stream_takes_sql_with_a_byte_order_mark(source, query):
    chosen = query(SELECT)
    plain = chosen.sha256
    chosen.path.write_text(SELECT, encoding="utf-8-sig")
    assert values(read(source.url, chosen), "id") == [3, 4, 5, 6, 7]
    assert chosen.sha256 == plain


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_stream_refuses_sql_that_is_not_utf_8(source, query, encoding):
    chosen = query(SELECT)
    chosen.path.write_bytes("select 'é' as id, :night".encode(encoding))
    with pytest.raises(SourceQueryError, match=r"sql/shop/features\.sql: found .*expected UTF-8 text"):
        read(source.url, chosen)


def test_stream_orders_text_keys_as_bytes_whatever_the_collation(postgresql, sqlite, duck, query):
    # An enum sorts as it was declared, unless it is compared as text.
    postgresql.run("create type word as enum ('b', 'a', '_', 'B', 'é', 'A')")
    postgresql.run("create table words (word word, n int)")
    sqlite.run("create table words (word text collate nocase, n int)")
    duck.run("create table words (word text collate nocase, n int)")
    for source in (postgresql, sqlite, duck):
        source.run(
            "insert into words values ('b', 1), ('A', 2), ('a', 3), ('B', 4), ('a', 5), ('_', 6), ('A', 7), ('é', 8)"
        )
        chosen = query(f"select word, n from words {BOUNDS}", ("word",), ("word", "n"), text_keys=frozenset(["word"]))
        batches = read(source.url, chosen, rows=3)
        assert values(batches, "word") == ["A", "A", "B", "_", "a", "a", "b", "é"], source.kind
        assert values(batches, "n") == [2, 7, 4, 6, 3, 5, 1, 8]


def test_stream_makes_text_of_a_column_of_mixed_types(sqlite, query):
    sqlite.run("create table mixed (id integer, value)")
    sqlite.run("insert into mixed values (1, 5), (2, 'five'), (3, null), (4, 2.5), (5, 7), (6, 9223372036854775807)")
    batches = read(sqlite.url, query(f"select id, value from mixed {BOUNDS}"), rows=4)
    assert values(batches, "value") == ["5", "five", None, "2.5", 7, 9223372036854775807]


@pytest.mark.parametrize("number", [2**63, 2**64, 2**80])  # an unsigned bigint, as MySQL has it
def test_column_of_makes_text_of_numbers_that_are_too_large(number):
    assert column_of((1, number, None), None, "x").to_pylist() == ["1", str(number), None]


def test_stream_gives_nulls_and_types_that_arrow_knows_from_postgresql(postgresql, query):
    text = f"""select 1 as id, null as nothing, 'a'::varchar as word, 1.5::real as small, true as flag,
        date '2013-04-01' as day, timestamp '2013-04-01 05:00' as naive, 1::smallint as short,
        'NaN'::numeric as odd, '{{1,2}}'::int[] as list, jsonb_build_object('a', 1) as doc {BOUNDS}"""
    (batch,) = read(postgresql.url, query(text))
    assert batch.to_pylist() == [
        {
            "id": 1,
            "nothing": None,
            "word": "a",
            "small": 1.5,
            "flag": True,
            "day": date(2013, 4, 1),
            "naive": datetime(2013, 4, 1, 5),  # noqa: DTZ001
            "short": 1,
            "odd": "nan",
            "list": [1, 2],
            "doc": '{"a": 1}',
        }
    ]
    assert not any(isinstance(kind, pa.ExtensionType) for kind in batch.schema.types)
    assert not any(field.metadata for field in batch.schema)


# ---------------------------------------------------------------- what a statement may and may not do


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("", "[]"),
        ("where sold_at >= :interval_start", "['interval_start']"),
        (
            "where sold_at >= :interval_start and sold_at < :interval_end and id > :least",
            "['interval_end', 'interval_start', 'least']",
        ),
        ("where sold_at >= :interval_begin and sold_at < :interval_end", "['interval_begin', 'interval_end']"),
    ],
)
def test_stream_refuses_sql_with_missing_or_extra_parameters(source, query, where, found):
    with pytest.raises(SourceQueryError) as caught:
        read(source.url, query(f"select id from sales {where}"))
    message = str(caught.value)
    for part in ("sql/shop/features.sql: parameters", f"found {found}", ":interval_start and :interval_end"):
        assert part in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("selekt id from sales {where}", "syntax error"),
        ("select id from nowhere {where}", "nowhere"),
        ("select id, nothing from sales {where}", "nothing"),
        ("select id from sales {where}; select 1 as id", ""),
        ("select id from sales {where}) as night; delete from sales; --", ""),
    ],
)
def test_stream_names_the_file_when_the_sql_is_broken(source, query, text, said):
    with pytest.raises(SourceQueryError, match=r"sql/shop/features\.sql") as caught:
        read(source.url, query(text.format(where=BOUNDS)))
    assert said in str(caught.value)
    assert not caught.value.retryable
    assert source.run("select count(*) from sales") == [(7,)]


def test_stream_names_the_file_when_the_sql_breaks_on_the_data(postgresql, query):
    text = f"select id, 1 / (id - 5) as broken from sales {BOUNDS}"
    with pytest.raises(SourceQueryError, match=r"sql/shop/features\.sql: .*division by zero") as caught:
        read(postgresql.url, query(text))
    assert not caught.value.retryable


def test_stream_names_the_file_when_there_is_none_or_it_is_no_text(source, query, tmp_path):
    missing = Query(tmp_path / "shop" / "labels.sql", ("id",), ("id",))
    with pytest.raises(SourceQueryError, match=r"sql/shop/labels\.sql: found no such file"):
        read(source.url, missing)
    chosen = query("")
    chosen.path.write_bytes(b"select '\xe9' as id")
    with pytest.raises(SourceQueryError, match=r"sql/shop/features\.sql: found .*expected UTF-8 text"):
        read(source.url, chosen)


def test_stream_lists_all_missing_and_all_present_columns(source, query):
    with pytest.raises(ContractError) as caught:
        read(source.url, query(SELECT, ("id", "region", "price", "sold_on"), ("id", "region")))
    message = str(caught.value)
    for part in (
        "sql/shop/features.sql: missing columns ['region', 'sold_on']",
        "found ['id', 'name', 'price', 'sold_at']",
        "expected ['id', 'region', 'price', 'sold_on']",
    ):
        assert part in message


@pytest.mark.parametrize("kind", ["postgresql", "duck"])
def test_stream_refuses_a_result_that_has_a_column_twice(kind, query, request):
    text = f"select s.id, t.id from sales as s join sales as t on s.id = t.id {BOUNDS}"
    with pytest.raises(ContractError, match=r"sql/shop/features\.sql: columns \['id'\] come more than once"):
        read(request.getfixturevalue(kind).url, query(text))


@pytest.mark.parametrize(
    "text",
    [
        "insert into sales select id, name, price, sold_at from sales {where} returning id",
        "with gone as (delete from sales {where} returning id) select id from gone",
        "update sales set price = 0 {where} returning id",
        "delete from sales {where}",
        "drop table sales -- {where}",
    ],
)
def test_stream_refuses_sql_that_writes_and_changes_nothing(source, query, text):
    before = source.run("select * from sales order by id")
    with pytest.raises(SourceQueryError):
        read(source.url, query(text.format(where=BOUNDS)))
    assert source.run("select * from sales order by id") == before


def test_stream_refuses_a_function_that_writes(postgresql, query):
    postgresql.run(
        "create function sneak() returns int language plpgsql as "
        "$$ begin insert into sales (id) values (99); return 99; end $$"
    )
    with pytest.raises(SourceQueryError, match="read-only transaction"):
        read(postgresql.url, query(f"select sneak() as id {BOUNDS}"))
    assert postgresql.run("select count(*) from sales") == [(7,)]


# ---------------------------------------------------------------- connections


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A loopback port that is taken, so that nobody else listens on it, and refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_stream_says_unavailable_when_nobody_listens_and_keeps_the_password(query, silent_port):
    url = f"postgresql+psycopg://reader:s3cr3t@127.0.0.1:{silent_port}/shop"
    with pytest.raises(SourceUnavailable, match=r"source of sql/shop/features\.sql: found .*refused") as caught:
        read(url, query(SELECT))
    assert caught.value.retryable
    assert "s3cr3t" not in str(caught.value)


def test_stream_says_unavailable_when_the_server_ends_the_connection(postgresql, query):
    with (
        pytest.raises(SourceUnavailable, match=r"source of sql/shop/features\.sql"),
        stream(postgresql.url, query(SELECT), NIGHT, 2) as batches,
    ):
        assert next(batches).num_rows == 2
        postgresql.run(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        list(batches)


def test_stream_says_unavailable_when_sqlite_is_locked(sqlite, query):
    sqlite.run("begin exclusive")
    try:
        with pytest.raises(SourceUnavailable, match="locked"):
            read(f"{sqlite.url}?timeout=0.1", query(SELECT))
    finally:
        sqlite.run("rollback")


@pytest.mark.parametrize("url", ["no url", "nosuchdialect://host/x"])
def test_stream_says_permanent_when_the_url_is_none(query, url):
    with pytest.raises(Permanent):
        read(url, query(SELECT))


def test_stream_leaves_no_connection_behind_when_the_reader_stops_early(postgresql, query):
    class Enough(Exception):
        pass

    with pytest.raises(Enough), stream(postgresql.url, query(SELECT), NIGHT, 1) as batches:
        next(batches)
        raise Enough
    others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    for _ in range(50):
        if postgresql.run(others) == [(0,)]:
            return
        postgresql.run("select pg_sleep(0.02)")
    pytest.fail("a connection stays open")


def test_stream_sees_one_state_of_the_source_however_long_it_reads(postgresql, query):
    postgresql.run("create table growing as select generate_series(1, 5) as id")
    with stream(postgresql.url, query(f"select id from growing {BOUNDS}"), NIGHT, 2) as batches:
        first = next(batches)
        postgresql.run("insert into growing values (6), (7)")
        postgresql.run("delete from growing where id < 4")
        assert values([first, *batches], "id") == [1, 2, 3, 4, 5]


# ---------------------------------------------------------------- the query itself


def test_query_hash_follows_the_statement_not_the_semicolon(query):
    one = query("select 1;\n").sha256
    assert one == query("select 1").sha256
    assert one != query("select 2").sha256
    assert len(one) == 64


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("postgresql+psycopg://u:p%40ss@h:5433/d", "postgresql://u:p%40ss@h:5433/d"),
        ("postgresql://u@/d?host=/run/x", "postgresql://u@/d?host=%2Frun%2Fx"),
    ],
)
def test_libpq_url_drops_the_driver_and_keeps_the_rest(url, plain):
    assert libpq_url(url) == plain


# ---------------------------------------------------------------- source and contract together


def test_contracted_quarantines_all_copies_of_a_key_also_across_batches(postgresql, sqlite, duck, stores, settings):
    folder = settings.sql_dir / "shop"
    folder.mkdir()
    Path(folder / "features.sql").write_text(
        "select id, word, amount, sold from copies where sold >= :interval_start and sold < :interval_end",
        encoding="utf-8",
    )
    job = Job.model_validate(
        {
            "name": "shop",
            "description": "x",
            "owner": "x",
            "source": "shop",
            "task": "regression",
            "chunk_rows": 2,
            "schedule": {"timezone": "UTC", "first_night": date(2013, 1, 1)},
            "label": {"column": "y"},
            "pipeline": "a:b",
            "key": {"word": "string", "id": "int"},
            "features": {"amount": {"type": "float"}},
        }
    )
    rows = [("a", 1), ("A", 1), ("a", 1), ("b", 1), ("b", 2), ("b", 2), ("b", 2), ("b", 2), ("b", 2), ("c", 1)]
    for source, time in ((postgresql, "timestamptz"), (sqlite, "text"), (duck, "timestamptz")):
        collation = '"C"' if source is postgresql else "nocase"
        source.run(f"create table copies (id int, word text collate {collation}, amount numeric, sold {time})")
        for word, number in rows:
            source.run(f"insert into copies values ({number}, '{word}', 1.5, '2013-04-01 12:00:00+00')")
        known = {"sources": {"shop": source.url}}
        opened = type(stores)(
            type(settings)(**{**settings.model_dump(), **known}),
            stores.warehouse,
            stores.registry,
            stores.lake,
            stores.clock,
        )
        with feature_batches(Workspace(opened, job), DataInterval.of_night(date(2013, 4, 1), "UTC")) as batches:
            parts = list(batches)
        accepted = [(row["word"], row["id"]) for _, part in parts for row in part.accepted.to_pylist()]
        assert accepted == [("A", 1), ("b", 1), ("c", 1)], source.kind
        assert sum(part.reasons.get("duplicate_key", 0) for _, part in parts) == 7
        assert [found.num_rows for found, _ in parts] == [2, 2, 2, 2, 2]
