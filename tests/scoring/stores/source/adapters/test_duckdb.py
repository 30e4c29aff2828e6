"""DuckDB as a source: files below a root, read only, with bounded memory, in the zone of the source."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import fsspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from scoring.errors import ContractError, NightError, SettingsError, SourceQueryError, SourceUnavailable
from scoring.interval import DataInterval, Nights
from scoring.rows import ARROW_TYPES, read_as
from scoring.secrets import redact
from scoring.settings import HOME, Settings
from scoring.stores.source import Query, stream
from scoring.stores.source.adapters.duckdb_failures import failure
from scoring.stores.source.adapters.duckdb_source import source_of
from scoring.stores.urls import database_url

NIGHT = date(2024, 2, 1)
VARIABLE = "NIGHTSHIFT_SOURCES__SHOP"
ORDERS = "select id, word, night from read_parquet('{root}/orders/*/*.parquet', hive_partitioning = true)"
TONIGHT = f"{ORDERS} where night = :night"


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder with the orders of three nights, a file each, in no order."""
    folder = tmp_path / "it's a lake"
    for number in range(3):
        part = folder / "orders" / f"night={NIGHT + timedelta(days=number - 1)}"
        part.mkdir(parents=True)
        ids = [10 * number + n for n in (3, 1, 2)]
        pq.write_table(pa.table({"id": ids, "word": ["B", "a", "b"]}), part / "part.parquet")
    return folder


@pytest.fixture
def query(tmp_path) -> Callable[..., Query]:
    def of(text: str, columns: tuple[str, ...] = ("id",), order_by: tuple[str, ...] = ("id",), **more: Any) -> Query:
        path = tmp_path / "sql" / "shop" / "features.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return Query(path, columns, order_by, variable=VARIABLE, **more)

    return of


def url_of(root: Path | str, **options: str) -> str:
    return f"duckdb:///:memory:?root={root}" + "".join(f"&{name}={value}" for name, value in options.items())


def read(url: str, query: Query, night: date = NIGHT, zone: str = "UTC", rows: int = 1000) -> list[dict[str, Any]]:
    with stream(url, query, DataInterval.of_night(night, zone), rows) as batches:
        return [row for batch in batches for row in batch.to_pylist()]


def ids(*arguments: Any, **more: Any) -> list[int]:
    return [row["id"] for row in read(*arguments, **more)]


def refused(url: str, query: Query, kind: type[Exception] = SourceQueryError) -> str:
    with pytest.raises(kind) as caught:
        read(url, query)
    return str(caught.value)


# ---------------------------------------------------------------- files below the root


def test_a_night_of_partitions_is_read_by_glob_in_key_order(root, query):
    assert read(url_of(root), query(TONIGHT)) == [
        {"id": 11, "word": "a", "night": NIGHT},
        {"id": 12, "word": "b", "night": NIGHT},
        {"id": 13, "word": "B", "night": NIGHT},
    ]
    chosen = query(TONIGHT, order_by=("word",), text_keys=frozenset(["word"]))
    assert ids(url_of(root), chosen) == [13, 11, 12]


def test_a_file_may_be_named_by_the_night(root, query):
    text = "select id from read_parquet('{root}/orders/night=' || :night || '/*.parquet')"
    assert ids(url_of(root), query(text)) == [11, 12, 13]


def test_csv_and_json_are_read_too(root, query):
    pa.csv.write_csv(pa.table({"id": [2, 1]}), root / "x.csv")
    (root / "x.json").write_text('{"id": 4}\n{"id": 3}\n')
    text = "select id from read_csv('{root}/x.csv') union all select id from \"{root}/x.json\" where :night is not null"
    assert ids(url_of(root), query(text)) == [1, 2, 3, 4]


def test_only_the_root_in_quotes_is_replaced(root, query):
    text = """select id, '{a} {b}' as braces, {'a': 1}.a as member, 'it''s {root}' as shown -- {root} {"""
    row = read(
        url_of(root), query(f"{text}\nfrom read_parquet('{{root}}/orders/*/*.parquet') where :night is not null")
    )[0]
    assert row == {"id": 1, "braces": "{a} {b}", "member": 1, "shown": f"it's {root}"}


@pytest.mark.parametrize("path", ["{root}", "$${root}/x.csv$$", "E'{root}/x.csv'"])
def test_a_root_outside_of_plain_quotes_is_refused(root, query, path):
    message = refused(url_of(root), query(f"select id from {path} where :night is not null"))
    assert "sql/shop/features.sql: {root}" in message
    assert "in single quotes" in message


def test_a_source_without_a_root_has_none_to_put_in(query):
    assert "found no root" in refused("duckdb:///:memory:", query(TONIGHT))


def test_a_source_without_a_root_reads_any_path(root, query):
    where = str(root).replace("'", "''")
    text = f"select id from read_parquet('{where}/orders/*/*.parquet', hive_partitioning = true) where night = :night"
    assert ids("duckdb:///:memory:", query(text)) == [11, 12, 13]


def test_a_relative_root_is_below_the_projects_folder(query, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text = "select content, 1 as id from read_text('{root}/demo/nights.sql') where :night is not null"
    (row,) = read(url_of("sql"), query(text))
    assert row["content"] == (HOME / "sql" / "demo" / "nights.sql").read_text()


@pytest.mark.parametrize("path", ["/proc/self/environ", "{root}/../secret.txt"])
def test_nothing_outside_of_the_root_is_read(root, query, path):
    (root.parent / "secret.txt").write_text("x")
    message = refused(url_of(root), query(f"select 1 as id, content from read_text('{path}') where :night is not null"))
    assert "expected files below the root" in message
    assert VARIABLE in message


def test_an_object_store_is_read_through_its_file_system(root, query):
    store = fsspec.filesystem("memory")
    store.put(str(root), "/lake", recursive=True)
    try:
        assert ids(url_of("memory:///lake"), query(TONIGHT)) == [11, 12, 13]
        message = refused(
            url_of("memory:///lake/orders"), query("select id from 'memory:///lake/x.csv' where :night is not null")
        )
        assert "expected files below the root" in message
    finally:
        store.rm("/lake", recursive=True)


# ---------------------------------------------------------------- what is not there


@pytest.mark.parametrize(
    "path", ["{root}/orders/night=' || (:night + 40) || '/*.parquet", "{root}/nowhere.parquet", "{root}/no/*/x.parquet"]
)
def test_files_that_are_not_there_yet_are_waited_for_and_named(root, query, path):
    chosen = query(f"select id from read_parquet('{path}') where :night is not null")
    message = refused(url_of(root), chosen, SourceUnavailable)
    for part in (f"{VARIABLE} (source of sql/shop/features.sql)", "No files found", str(root), "try again"):
        assert part in message


@pytest.mark.parametrize("size", [0, 3, 100])
def test_a_file_that_is_still_being_written_is_waited_for(root, query, size):
    part = root / "orders" / f"night={NIGHT}" / "part.parquet"
    part.write_bytes(part.read_bytes()[:size])
    assert "part.parquet" in refused(url_of(root), query(TONIGHT), SourceUnavailable)


def test_a_night_without_rows_gives_one_empty_batch(root, query):
    with stream(url_of(root), query(TONIGHT), DataInterval.of_night(date(1999, 1, 1), "UTC"), 5) as batches:
        assert [(batch.num_rows, batch.schema.names) for batch in batches] == [(0, ["id", "word", "night"])]


def test_a_broken_file_names_the_statement(root, query):
    part = root / "orders" / f"night={NIGHT}" / "part.parquet"
    content = bytearray(part.read_bytes())
    content[4:40] = bytes(36)
    part.write_bytes(content)
    assert "sql/shop/features.sql: found " in refused(url_of(root), query(TONIGHT))


@pytest.mark.parametrize("name", ["iceberg", "delta"])
def test_a_format_whose_extension_is_not_there_is_refused_and_nothing_is_downloaded(root, query, name):
    message = refused(url_of(root), query(f"select id from {name}_scan('{{root}}/orders') where :night is not null"))
    assert f"install {name}" in message
    assert f"extensions={name}" in message
    message = refused(url_of(root, extensions=name, extension_directory=root), query(TONIGHT), SettingsError)
    assert f"{VARIABLE} (source of sql/shop/features.sql): found no extension {name}" in message
    assert "install_extension" in message


# ---------------------------------------------------------------- nothing is written


@pytest.mark.parametrize(
    "text",
    [
        "copy (select 1 as id where :night is not null) to '{root}/stolen.parquet'",
        "create table t as select 1 as id where :night is not null",
        "create temp table t as select 1 as id where :night is not null",
        "attach '{root}/stolen.duckdb' as :night",
        "set threads = :night",
        "install iceberg -- :night",
        "explain select 1 as id where :night is not null",
        "pivot (select 1 as id, :night as night) on night using count(*)",
        "select id from query('create table t (id int)') where :night is not null",
    ],
)
def test_what_is_no_select_is_refused_and_writes_nothing(root, query, text):
    before = sorted(root.rglob("*"))
    refused(url_of(root), query(text.replace("-- :night", "where id = :night")))
    assert sorted(root.rglob("*")) == before


def test_variables_of_python_are_no_tables(tmp_path):
    night_table = pa.table({"id": [1]})
    source = source_of(database_url("duckdb:///:memory:", VARIABLE), VARIABLE)
    with source.opened(str(tmp_path), "UTC") as connection, pytest.raises(duckdb.CatalogException, match="night_table"):
        connection.sql("select id from night_table")
    assert night_table.num_rows == 1


# ---------------------------------------------------------------- a database of DuckDB


@pytest.fixture
def database(tmp_path) -> Path:
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("create table events as select 1 as id, timestamp '2024-02-01 05:00' as at_time")
    return path


def test_jobs_of_several_zones_read_one_file_at_the_same_time(database, query):
    text = "select id, at_time::timestamptz as moment from events where at_time >= :interval_start and at_time < :interval_end"
    interval = DataInterval.of_night(NIGHT, "UTC")
    with (
        stream(f"duckdb:///{database}", query(text, timezone="Asia/Tokyo"), interval, 5) as empty,
        stream(f"duckdb:///{database}", query(text, timezone="UTC"), interval, 5) as full,
    ):
        assert [batch.num_rows for batch in empty] == [0]
        assert [batch.column("moment").to_pylist() for batch in full] == [[datetime(2024, 2, 1, 5, tzinfo=UTC)]]


def test_a_file_that_another_process_writes_is_waited_for(database, query):
    hold = f"import duckdb; c = duckdb.connect({str(database)!r}); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        message = refused(
            f"duckdb:///{database}", query("select id from events where :night is not null"), SourceUnavailable
        )
        other.communicate(b"\n")
    assert "lock" in message


@pytest.mark.parametrize("name", ["nowhere.duckdb", "folder"])
def test_a_file_that_is_not_there_is_a_wrong_setting(tmp_path, query, name):
    (tmp_path / "folder").mkdir()
    message = refused(f"duckdb:///{tmp_path / name}", query(TONIGHT), SettingsError)
    assert f"{VARIABLE} (source of sql/shop/features.sql): found no file" in message
    assert not (tmp_path / "nowhere.duckdb").exists()


def test_a_file_that_is_no_database_is_permanent(tmp_path, query):
    (tmp_path / "shop.duckdb").write_text("id,name\n" * 1000)
    assert "not a valid DuckDB database" in refused(
        f"duckdb:///{tmp_path / 'shop.duckdb'}", query("select 1 as id, :night")
    )


# ---------------------------------------------------------------- memory


def test_a_night_larger_than_the_memory_is_sorted_on_disk_and_leaves_nothing_there(tmp_path, query, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    chosen = query(
        "select hash(i)::varchar || repeat('x', 200) as id from range(600000) t (i) where :night is not null"
    )
    interval = DataInterval.of_night(NIGHT, "UTC")
    with stream("duckdb:///:memory:?memory_limit=100MB&threads=1", chosen, interval, 50_000) as batches:
        first = next(batches)
        (spill,) = tmp_path.glob("nightshift-duckdb-*")
        assert sum(path.stat().st_size for path in spill.iterdir()) > 20e6
        last = first.column("id")[-1].as_py()
        assert first.num_rows == 50_000
        for batch in batches:
            values = batch.column("id").to_pylist()
            assert last < values[0]
            assert values == sorted(values)
            last = values[-1]
    assert list(tmp_path.glob("nightshift-duckdb-*")) == []


def test_too_little_memory_says_which_setting_to_raise(query):
    chosen = query(
        "select list(i::varchar || repeat('x', 99))::varchar as id from range(900000) t (i) where :night is not null"
    )
    assert f"raise memory_limit in {VARIABLE}" in refused("duckdb:///:memory:?memory_limit=40MB", chosen)


def test_a_reader_that_stops_early_leaves_nothing_behind(root, query, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with stream(url_of(root), query(TONIGHT), DataInterval.of_night(NIGHT, "UTC"), 1) as batches:
        assert next(batches).num_rows == 1
    assert list(tmp_path.glob("nightshift-duckdb-*")) == []


def test_an_error_in_the_middle_of_the_rows_names_the_statement(query):
    text = (
        "select i as id, if(i = 900000, error('a word'), 0) as odd from range(1000000) t (i) where :night is not null"
    )
    message = refused("duckdb:///:memory:", query(text))
    assert "sql/shop/features.sql" in message
    assert "a word" in message


# ---------------------------------------------------------------- times

ZONES = ["UTC", "America/New_York", "Asia/Tokyo"]
CHANGES = [
    (date(2024, 2, 1), "UTC"),
    (date(2024, 3, 10), "America/New_York"),  # 23 hours
    (date(2024, 11, 3), "America/New_York"),  # 25 hours
    (date(2024, 10, 27), "Europe/London"),
]


def half_hours(night: date) -> list[datetime]:
    first = datetime.combine(night, datetime.min.time(), UTC) - timedelta(days=1)
    return [first + timedelta(minutes=30 * number) for number in range(150)]


def expected(moments: list[datetime], night: date, zone: str) -> list[int]:
    interval = DataInterval.of_night(night, zone)
    return [number for number, moment in enumerate(moments) if interval.start <= moment < interval.end]


@pytest.mark.parametrize("source_zone", ZONES)
@pytest.mark.parametrize(("night", "zone"), CHANGES)
def test_moments_are_compared_alike_whatever_the_zone_of_the_source(tmp_path, query, night, zone, source_zone):
    moments = half_hours(night)
    pq.write_table(
        pa.table({"id": range(150), "at_time": pa.array(moments, pa.timestamp("us", "UTC"))}), tmp_path / "e.parquet"
    )
    text = "select id from '{root}/e.parquet' where at_time >= :interval_start and at_time < :interval_end"
    assert ids(url_of(tmp_path), query(text, timezone=source_zone), night, zone) == expected(moments, night, zone)


@pytest.mark.parametrize(("unit", "cast"), [("s", ""), ("ms", ""), ("us", ""), ("ns", "::timestamp")])
@pytest.mark.parametrize("source_zone", ZONES)
@pytest.mark.parametrize(("night", "zone"), CHANGES)
def test_times_without_a_zone_are_compared_in_the_zone_of_the_source(
    tmp_path, query, night, zone, source_zone, unit, cast
):
    """As PostgreSQL does, and as the contract reads them: an hour that comes twice is the second one."""
    moments = half_hours(night)
    local = [moment.astimezone(ZoneInfo(source_zone)).replace(tzinfo=None) for moment in moments]
    column = pa.array(local, pa.timestamp(unit))
    pq.write_table(pa.table({"id": range(150), "at_time": column}), tmp_path / "e.parquet")
    text = f"""
        select id from '{{root}}/e.parquet' where at_time{cast} >= :interval_start and at_time{cast} < :interval_end
    """
    as_read = read_as(column, ARROW_TYPES["datetime"], "at_time", source_zone)[0].to_pylist()
    assert ids(url_of(tmp_path), query(text, timezone=source_zone), night, zone) == expected(as_read, night, zone)


def test_nanoseconds_without_a_zone_need_a_cast_which_the_message_says(tmp_path, query):
    moments = pa.array(half_hours(NIGHT), pa.timestamp("ns"))
    pq.write_table(pa.table({"id": range(150), "at_time": moments}), tmp_path / "e.parquet")
    message = refused(
        url_of(tmp_path),
        query("select id from '{root}/e.parquet' where at_time >= :interval_start and at_time < :interval_end"),
    )
    assert "::timestamp >= :interval_start" in message


@pytest.mark.parametrize("zone", ZONES)
def test_the_night_is_the_calendar_day_of_a_date_column_in_every_zone(root, query, zone):
    assert ids(url_of(root), query(TONIGHT, timezone=zone), zone=zone) == [11, 12, 13]


def test_an_interval_of_several_nights_cannot_be_bound_to_the_night(root, query):
    nights = Nights.including(NIGHT, NIGHT + timedelta(days=1)).interval("UTC")
    with pytest.raises(NightError, match="expected one night"), stream(url_of(root), query(TONIGHT), nights, 5):
        pass


# ---------------------------------------------------------------- types


def column(query: Callable[..., Query], expression: str) -> pa.Array:
    chosen = query(f"select {expression} as x, 1 as id, :night as night", ("x",))
    with stream("duckdb:///:memory:", chosen, DataInterval.of_night(NIGHT, "UTC"), 5) as batches:
        (batch,) = batches
    return batch.column("x")


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("9223372036854775807::hugeint", "int", 2**63 - 1),
        ("sum(5)", "int", 5),
        ("5::utinyint", "int", 5),
        ("18446744073709551615::ubigint", "float", 1.8446744073709552e19),
        ("1.50::decimal(10, 2)", "float", 1.5),
        ("1.50::decimal(10, 2)", "string", "1.50"),
        ("1.5::float", "float", 1.5),
        ("'nan'::double", "float", "nan"),
        ("true", "bool", True),
        ("'b'::enum ('b', 'a')", "category", "b"),
        ("'x'::blob", "string", "x"),
        ("uuid '00000000-0000-0000-0000-00000000000a'", "string", "00000000-0000-0000-0000-00000000000a"),
        ("date '2024-01-02'", "date", date(2024, 1, 2)),
        ("timestamp '2024-01-02 03:00'", "datetime", datetime(2024, 1, 2, 3, tzinfo=UTC)),
        ("timestamp_s '2024-01-02 03:00'", "datetime", datetime(2024, 1, 2, 3, tzinfo=UTC)),
        ("timestamp_ms '2024-01-02 03:00'", "datetime", datetime(2024, 1, 2, 3, tzinfo=UTC)),
        ("'2024-01-02 03:00:00.123456789'::timestamp_ns", "datetime", datetime(2024, 1, 2, 3, 0, 0, 123456, UTC)),
        ("timestamptz '2024-01-02 03:00:00+03'", "datetime", datetime(2024, 1, 2, tzinfo=UTC)),
        ("timestamptz '2024-01-02 03:00:00+03'", "string", "2024-01-02 00:00:00.000000Z"),
        ("time '10:00:01'", "string", "10:00:01.000000"),
        ("null", "float", None),
        ("'é'", "string", "é"),
    ],
)
def test_types_are_read(query, expression, kind, value):
    target = ARROW_TYPES[kind]
    read, unreadable = read_as(column(query, expression), target, "x")
    assert not unreadable[0].as_py()
    assert str(read[0].as_py()) == str(value)
    assert read.type == target


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("170141183460469231731687303715884105727::hugeint", "int"),
        ("18446744073709551615::ubigint", "int"),
        ("'infinity'::timestamp", "datetime"),
        ("chr(0)", "string"),
        ("'\\xFF'::blob", "string"),
        ("2.5::decimal(4, 1)", "int"),
    ],
)
def test_values_that_cannot_be_read_are_unreadable_and_no_error(query, expression, kind):
    values, unreadable = read_as(column(query, expression), ARROW_TYPES[kind], "x")
    assert (values.to_pylist(), unreadable.to_pylist()) == ([None], [True])


@pytest.mark.parametrize(
    ("expression", "found", "next_step"),
    [
        ("[1, 2]", "INTEGER[]", "x::varchar"),
        ("array_value(1, 2)", "INTEGER[2]", "x::varchar"),
        ("{'a': 1}", "STRUCT(a INTEGER)", "x::varchar"),
        ("map {'a': 1}", "MAP(VARCHAR, INTEGER)", "x::varchar"),
        ("union_value(k := 1)", "UNION(k INTEGER)", "x::varchar"),
        ("'{}'::json", "JSON", "x ->> 'key'"),
        ("interval 1 day", "INTERVAL", "epoch(x)"),
        ("'10:00:00+02'::timetz", "TIME WITH TIME ZONE", "x::varchar"),
        ("1::uhugeint", "UHUGEINT", "x::varchar"),
        ("1::bignum", "BIGNUM", "x::varchar"),
        ("'101'::bit", "BIT", "x::varchar"),
    ],
)
def test_types_without_a_plain_value_are_refused_by_name(query, expression, found, next_step):
    with pytest.raises(ContractError) as caught:
        column(query, expression)
    for part in ("sql/shop/features.sql: column 'x': wrong type", f"found {found};", next_step):
        assert part in str(caught.value)


def test_columns_that_the_job_does_not_read_may_have_any_type(query):
    text = "select 1 as id, [1] as list, {'a': 1.5::decimal(3, 1)} as struct where :night is not null"
    assert read("duckdb:///:memory:", query(text)) == [{"id": 1, "list": [1], "struct": {"a": Decimal("1.5")}}]


def test_an_enum_is_ordered_as_text(query):
    text = "select x::enum ('b', 'a', 'B') as id from unnest(['a', 'b', 'B']) t (x) where :night is not null"
    assert ids("duckdb:///:memory:", query(text, text_keys=frozenset(["id"]))) == ["B", "a", "b"]


# ---------------------------------------------------------------- the URL

KEYS = {
    "s3_access_key_id": "AKIDEXAMPLE12345678",
    "s3_secret_access_key": "se+cr/et=se&cret",
    "s3_session_token": "to+ken/",
}
WRITTEN = {**KEYS, "s3_secret_access_key": "se+cr/et=se%26cret"}


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("duckdb:///:memory:?rot=/data", "options ['rot']"),
        ("duckdb:///:memory:?root=/no/such/folder", "no folder '/no/such/folder'"),
        ("duckdb:///:memory:?threads=many", "threads=many"),
        ("duckdb:///:memory:?memory_limit=2+apples", "apples"),
        ("duckdb:///:memory:?extensions=x'y", "extensions"),
        ("duckdb:///:memory:?s3_region=eu-west-1&root=sql", "options ['s3_region'] and a root elsewhere"),
        ("duckdb:///:memory:?root=nostore://bucket/lake", "nostore"),
        ("duckdb:///", "no file"),
        ("duckdb://folder/x.duckdb", "duckdb:// and a name"),
    ],
)
def test_a_url_that_asks_for_what_there_is_not_is_a_wrong_setting(query, url, found):
    message = refused(url, query("select 1 as id where :night is not null"), SettingsError)
    assert f"{VARIABLE} (source of sql/shop/features.sql): found " in message
    assert found in message


def shown(error: BaseException) -> Iterator[str]:
    while error:
        yield f"{error} {error!r}"
        error = error.__context__ or error.__cause__  # type: ignore[assignment]


@pytest.mark.parametrize(
    "more",
    [
        "root=nowhere",
        "root=nos3://b/lake",
        "root=s3://b/lake&threads=0",
        "root=s3://b/lake&memory_limit=1apple",
        "root=s3://b/lake",
    ],
)
def test_the_keys_of_an_object_store_are_in_no_message(query, more):
    url = "duckdb:///:memory:?" + "&".join(f"{name}={value}" for name, value in WRITTEN.items()) + f"&{more}"
    settings = Settings(sources={"shop": url})
    with pytest.raises(Exception, match=VARIABLE) as caught:  # without s3fs the last one is a setting, too
        read(f"{url}&s3_endpoint=http://127.0.0.1:1", query(f"{TONIGHT} and word <> '{{root}}'"))
    for text in (repr(settings), str(settings), redact(url), *shown(caught.value)):
        assert not any(key in text for key in [*KEYS.values(), *WRITTEN.values()])


def test_the_keys_reach_the_object_store_as_they_are(monkeypatch, query):
    asked = {}

    def filesystem(scheme: str, **options: Any) -> Any:
        asked.update(options)
        raise ImportError(scheme)

    monkeypatch.setattr(fsspec, "filesystem", filesystem)
    options = "&".join(f"{name}={value}" for name, value in WRITTEN.items())
    url = f"duckdb:///:memory:?root=s3://b/lake&s3_region=eu-west-1&s3_endpoint=minio:9000&{options}"
    message = refused(url, query(TONIGHT), SettingsError)
    assert "-r requirements-s3.txt" in message
    assert asked == {
        "key": KEYS["s3_access_key_id"],
        "secret": KEYS["s3_secret_access_key"],
        "token": KEYS["s3_session_token"],
        "endpoint_url": "https://minio:9000",
        "client_kwargs": {"region_name": "eu-west-1"},
        "skip_instance_cache": True,
        "use_listings_cache": False,
    }


@pytest.mark.parametrize(
    ("last_line", "kind"),
    [
        ('EndpointConnectionError: Could not connect to the endpoint URL: "http://127.0.0.1:1/b"', SourceUnavailable),
        ("ReadTimeoutError: Read timeout on endpoint URL", SourceUnavailable),
        ("PermissionError: The AWS Access Key Id you provided does not exist in our records.", SourceQueryError),
        ("NoCredentialsError: Unable to locate credentials", SourceQueryError),
        ("FileNotFoundError: The specified bucket does not exist", SourceQueryError),
    ],
)
def test_an_object_store_that_does_not_answer_heals_and_one_that_refuses_does_not(query, last_line, kind):
    """The messages that s3fs gave in front of moto's server, which is not among the requirements."""
    error = failure(
        query(TONIGHT), f'Traceback (most recent call last):\n  File "s3fs/core.py", line 1, in x\n\n{last_line}\n'
    )
    assert isinstance(error, kind)
    assert last_line in str(error)
    assert "s3fs/core.py" not in str(error)
