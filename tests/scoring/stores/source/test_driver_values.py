"""A value is read alike whatever stands beside it: however a night is cut into chunks, it is the same night."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from lifecycle.training.rows import read_rows
from scoring.errors import ContractError
from scoring.interval import DataInterval, Nights
from scoring.job.definition import Job
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.rows.casting import ARROW_TYPES, read_as
from scoring.rows.value_text import as_found, text_of
from scoring.stores import libpq_url
from scoring.stores.installation import Stores
from scoring.stores.reading import feature_batches
from scoring.stores.source import Query, stream
from scoring.stores.source.driver_values import column_of
from scoring.stores.warehouse import Run, ledger
from scoring.stores.workspace import Workspace
from tests.conftest import new_database
from tests.support.toy import FIRST, NIGHT, TRAIN_NIGHTS, UNTIL, execute, train_champion, write_job

MODEST = settings(deadline=None, max_examples=60, derandomize=True)
DAY = timedelta(days=1)
ROWS = 70
EAST = timezone(timedelta(hours=5, minutes=30))

# ---------------------------------------------------------------- one value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (2.5, "2.5"),
        (0.1, "0.1"),
        (1e15, "1000000000000000"),
        (1e20, "1e+20"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (True, "true"),
        (2**53 + 1, "9007199254740993"),
        (2**70, "1180591620717411303424"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        ("1.0", "1.0"),
        (b"abc", "abc"),
        (memoryview(b"abc"), "abc"),
        (UUID(int=10), "00000000-0000-0000-0000-00000000000a"),
        (date(2024, 1, 2), "2024-01-02"),
        (time(10, 0, 1), "10:00:01.000000"),
        (datetime(2024, 1, 2, 3), "2024-01-02 03:00:00.000000"),  # noqa: DTZ001
        (datetime(2024, 1, 2, 3, tzinfo=EAST), "2024-01-01 21:30:00.000000Z"),
    ],
)
@pytest.mark.parametrize("beside", [[], ["x"], [1], [0.5], [None], [b"y"], [2**80]], ids=repr)
def test_a_category_has_the_same_text_whatever_stands_beside_it(value, text, beside):
    column = column_of([value, *beside], pa.string(), "x")
    assert read_as(column, pa.string(), "x")[0][0].as_py() == text


@pytest.mark.parametrize("value", [b"\xff", "a\0b", b"a\0b", memoryview(b"\xe9t\xe9")])
@pytest.mark.parametrize("beside", [[], ["x"], [1], [b"y"]], ids=repr)
def test_bytes_that_are_not_utf8_and_nul_are_no_text(value, beside):
    read, unreadable = read_as(column_of([value, *beside], pa.string(), "x"), pa.string(), "x")
    assert unreadable.to_pylist() == [True, *(False for _ in beside)]
    assert read[0].as_py() is None


_SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.sampled_from([0.0, 1.0, 2.0**53, 7.0]),
    st.text(max_size=3),
    st.sampled_from(["7", "007", "1.0", "t", "2024-01-02", "2024-01-02T03:04:05+02:00"]),
    st.binary(max_size=3),
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
    st.uuids(),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.datetimes(timezones=st.just(EAST)),
    st.times(),
)


@MODEST
@given(values=st.lists(_SCALARS, min_size=1, max_size=8), kind=st.sampled_from(sorted(ARROW_TYPES)))
def test_values_of_a_driver_are_read_alike_alone_and_together(values, kind):
    def read(part: list[Any]) -> list[tuple[str | None, bool]]:
        read, unreadable = read_as(column_of(part, target, "x"), target, "x", "America/New_York")
        assert read.type == target
        return list(zip(as_found(read).to_pylist(), unreadable.to_pylist(), strict=True))

    target = ARROW_TYPES[kind]
    assert read(values) == [read([value])[0] for value in values]


@pytest.mark.parametrize("value", [[1], {"a": 1}, (1, 2)])
def test_a_list_of_a_driver_is_refused_by_name(value):
    with pytest.raises(
        ContractError, match=r"column 'x': wrong type: found a (list|dict|tuple).*select a single value"
    ):
        column_of([None, value], pa.string(), "x")
    assert column_of([value], None, "x").to_pylist() == [str(value)]  # nobody reads it


def test_a_driver_without_rows_or_values_gives_a_column_of_nulls():
    assert column_of([], pa.int64(), "x").type == column_of([None, None], pa.int64(), "x").type == pa.null()


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([0.1, 1.0, 16777216.0], pa.float32()), ["0.1", "1", "16777216"]),
        (
            pa.array([datetime(2024, 1, 1, 5, tzinfo=UTC)], pa.timestamp("us", "Asia/Tokyo")),
            ["2024-01-01 05:00:00.000000Z"],
        ),
        (pa.array(["a", None, "b"]).dictionary_encode(), ["a", None, "b"]),
        (pa.array([b"a", b"\xff", None], pa.large_binary()), ["a", None, None]),
        (pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff", b"a"]).buffers()), [None, "a"]),
    ],
)
def test_text_of_arrow_columns(column, expected):
    assert text_of(column)[0].to_pylist() == expected


# ---------------------------------------------------------------- whole nights

COLUMNS = {
    # name: (PostgreSQL type, SQLite type, feature, the value of row n)
    "whole": ("double precision", "real", {"type": "category"}, lambda n: float(n % 3)),
    "small": ("real", "real", {"type": "category"}, lambda n: [0.5, 1.0, 2.0][n % 3]),
    "mixed": ("numeric", "", {"type": "category"}, lambda n: 2.5 if n % 40 == 1 else n % 3),
    "count": ("integer", "integer", {"type": "category"}, lambda n: n % 4),
    "amount": ("numeric(8, 2)", "numeric", {"type": "float"}, lambda n: n / 4),
    "half": ("double precision", "", {"type": "int", "nullable": True}, lambda n: None if n % 9 == 0 else float(n)),
    "huge": ("bigint", "integer", {"type": "int"}, lambda n: 2**53 + n),
    "flag": ("boolean", "boolean", {"type": "bool"}, lambda n: n % 2 == 0),
    "rare": ("text", "text", {"type": "category", "nullable": True}, lambda n: "late" if n == 65 else None),
    "mark": ("uuid", "text", {"type": "category"}, lambda n: str(UUID(int=n % 3))),
}
DIRT = {
    "whole": "x",
    "small": "7",
    "amount": "none",
    "half": 0.5,
    "huge": "0009007199254740993",
    "flag": "yes?",
    "mixed": "x",
    "count": 1.0,
}
"""What SQLite takes into these columns, whatever their type; every value stands in a row of its own."""


def fill(connection: Any, mark: str, kinds: int, dirt: dict[str, Any]) -> None:
    """Make the table of a few nights, the values of ``dirt`` in a row of their own each."""
    declared = ", ".join(f"{name} {kind[kinds]}" for name, kind in COLUMNS.items())
    moment = ("timestamptz", "text")[kinds]
    connection.execute(f"create table things (at {moment}, id bigint, y {('boolean', 'integer')[kinds]}, {declared})")
    marks = ", ".join([mark] * (3 + len(COLUMNS)))
    for night in range(TRAIN_NIGHTS + 1):
        for n in range(ROWS):
            at = f"{FIRST + night * DAY} {n // 60 % 24:02d}:{n % 60:02d}:00"
            values = {name: kind[3](n) for name, kind in COLUMNS.items()}
            if n >= 10 and n % 7 == 0 and n // 7 - 2 in range(len(dirt)):
                name = sorted(dirt)[n // 7 - 2]
                values[name] = dirt[name]
            connection.execute(
                f"insert into things values ({marks})", [at, n, (n * 7 + night) % 3 == 0, *values.values()]
            )
    connection.commit()


@pytest.fixture
def lite(stores: Stores, tmp_path: Path) -> Stores:
    """Stores whose source ``lite`` is an empty SQLite database."""
    sources = {**stores.settings.sources, "lite": SecretStr(f"sqlite:///{tmp_path / 'source.db'}")}
    return replace(stores, settings=stores.settings.model_copy(update={"sources": sources}))


def lite_database(tmp_path: Path) -> sqlite3.Connection:
    return sqlite3.connect(tmp_path / "source.db")


def job_of(folder: Path, source: str, columns: str, **changes: Any) -> Job:
    job = write_job(folder, f"values_{source}", source=source, **changes)
    where = "where at >= :interval_start and at < :interval_end"
    for name, text in (("features", columns), ("labels", f"{', '.join(job.key)}, y")):
        (folder / "sql" / job.name / f"{name}.sql").write_text(f"select {text} from things {where}")
    return job


@pytest.mark.slow
@pytest.mark.parametrize("source", ["toy", "lite"])
def test_a_night_is_the_same_in_chunks_of_any_size(lite: Stores, tmp_path: Path, source: str) -> None:
    if source == "toy":
        with psycopg.connect(libpq_url(lite.settings.sources["toy"].get_secret_value())) as connection:
            connection.execute("set timezone = 'UTC'")
            fill(connection, "%s", 0, {})
    else:
        with closing(lite_database(tmp_path)) as connection:
            fill(connection, "?", 1, DIRT)
    changes = {
        "features": {name: kind[2] for name, kind in COLUMNS.items()},
        "pipeline": "tests.support.pipelines:build_of_any_type",
        "gate": {"max_quarantine_share": 0.5},
        "training": {"holdout_nights": 2, "max_quarantine_share": 0.5},
    }
    runs: list[Run] = []
    tables: list[pa.Table] = []
    for rows in (100_000, 60, 7):
        job = job_of(tmp_path, source, f"at, id, {', '.join(COLUMNS)}", chunk_rows=rows, **changes)
        tables.append(read_rows(Workspace(lite, job), Nights(FIRST, UNTIL)).table)
        if not runs:
            train_champion(Workspace(lite, job))
        done = run_night(Workspace(lite, job), NightRequest(NIGHT, datetime.now(UTC), "test"))
        runs.append(ledger.get(lite.warehouse, done.run_id))
    assert {run.snapshot_hash for run in runs} == {runs[0].snapshot_hash}
    assert {run.predictions_hash for run in runs} == {runs[0].predictions_hash}
    assert all(table.equals(tables[0]) for table in tables)  # and so is what is trained on
    dirty = {"amount:type": 1, "half:type": 1, "flag:type": 1} if source == "lite" else {}
    assert [run.quarantine_reasons for run in runs] == [dirty] * 3
    assert runs[0].rows_extracted == ROWS


def parts_of(work: Workspace, night: date) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the accepted and the quarantined rows of a night."""
    with feature_batches(work, DataInterval.of_night(night, "UTC")) as batches:
        parts = [part for _, part in batches]
    accepted = [row for part in parts for row in part.accepted.to_pylist()]
    return accepted, [row for part in parts for row in part.quarantined.to_pylist()]


@pytest.fixture
def shop(lite: Stores, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(lite_database(tmp_path)) as connection:
        connection.execute("create table things (at text, code, kind, amount, y)")
        connection.text_factory = bytes
        yield connection


def test_values_that_postgresql_cannot_store_are_quarantined_by_name(
    lite: Stores, shop: sqlite3.Connection, tmp_path: Path
) -> None:
    """A NUL, a text that is not UTF-8 (written as a client with latin-1 would), bytes, and a key of 15 kB."""
    rows = [
        ("'a'", "'x'"),
        ("char(97, 0, 98)", "'x'"),
        ("cast(x'e974e9' as text)", "'x'"),
        ("x'ff00'", "'x'"),
        ("x'6263'", "'x'"),
        ("'d'", "cast(x'e9' as text)"),
        ("'e'", "char(0)"),
        (f"'{'k' * 15_000}'", "'x'"),
        (f"'{'é' * 1_200}'", "'x'"),
        (f"'{'é' * 1_201}'", "'x'"),
        ("''", "''"),
        ("'f'", f"'{'long' * 10_000}'"),
    ]
    for code, kind in rows:
        shop.execute(f"insert into things values ('{NIGHT} 01:00:00', {code}, {kind}, 1, 1)")
    shop.commit()
    for night in range(TRAIN_NIGHTS):
        for n in range(40):
            row = (f"{FIRST + night * DAY} 01:00:00", f"c{n}", "xy"[n % 2], n, n % 3 == 0)
            shop.execute("insert into things values (?, ?, ?, ?, ?)", row)
    shop.commit()
    job = job_of(
        tmp_path,
        "lite",
        "code, kind, amount",
        key={"code": "string"},
        time_column=None,
        chunk_rows=3,
        features={"kind": {"type": "category"}, "amount": {"type": "float"}},
        pipeline="tests.support.pipelines:build_of_any_type",
        gate={"max_quarantine_share": 0.9, "max_mean_shift_sd": 1e9},
    )
    accepted, quarantined = parts_of(Workspace(lite, job), NIGHT)
    assert [row["code"] for row in accepted] == ["", "a", "bc", "f", "é" * 1_200]
    found = {row["code"][:5]: row["reasons"] for row in quarantined}
    assert found == {
        "a\0b": ["code:not_text"],
        "b'\\xe": ["code:not_text"],
        "b'\\xf": ["code:not_text"],
        "d": ["kind:not_text"],
        "e": ["kind:not_text"],
        "kkkkk": ["code:too_long"],
        "ééééé": ["code:too_long"],
    }
    train_champion(Workspace(lite, job))
    done = run_night(Workspace(lite, job), NightRequest(NIGHT, datetime.now(UTC), "test"))
    assert (done.status, done.rows) == ("published", 5)


# ---------------------------------------------------------------- PostgreSQL's types


@pytest.fixture(scope="module")
def typed(data_dir: Path) -> str:
    """The URL of a PostgreSQL database with an enum, a domain, and a type such as an extension makes."""
    url = new_database(data_dir)
    for statement in _TYPES:
        execute(url, statement)
    return url


@pytest.fixture
def read_typed(typed: str, tmp_path: Path) -> Callable[..., tuple[Any, bool]]:
    """Read the value of an SQL expression as a type; give it, and whether it is unreadable."""

    def read(expression: str, kind: str) -> tuple[Any, bool]:
        path = tmp_path / "shop" / "features.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"select 1 as k, {expression} as x where :interval_start < :interval_end")
        query = Query(path, ("k", "x"), ("k",))
        with stream(typed, query, DataInterval.of_night(FIRST, "UTC"), 10) as batches:
            (batch,) = batches
        value, unreadable = read_as(batch.column("x"), ARROW_TYPES[kind], "x")
        return value[0].as_py(), unreadable[0].as_py()

    return read


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "category", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("null::uuid", "category", None),
        ("1::float8", "category", "1"),
        ("1::float4", "category", "1"),
        ("0.1::float4", "category", "0.1"),
        ("1.50::numeric", "category", "1.50"),
        ("true", "category", "true"),
        ("'a'::varchar", "category", "a"),
        ("9007199254740993::numeric(20)", "int", 2**53 + 1),
        ("1.0::numeric", "bool", True),
        ("9223372036854775807::numeric", "int", 2**63 - 1),
        ("''", "category", ""),
        ("'abc'::bytea", "category", "abc"),
        ("time '10:00:01'", "category", "10:00:01.000000"),
        ("date '2024-01-02'", "category", "2024-01-02"),
        ("date '2024-01-02'", "datetime", datetime(2024, 1, 2, tzinfo=UTC)),
        ("'late'::mood", "category", "late"),
        ("'Ab'::cifake", "category", "Ab"),
        ("'e'::email", "category", "e"),
        ("null", "category", None),
    ],
)
def test_postgresql_types_are_read(read_typed: Callable[..., Any], expression: str, kind: str, value: Any) -> None:
    assert read_typed(expression, kind) == (value, False)


_TYPES = (
    "create type mood as enum ('late', 'early')",
    "create domain email as text",
    "create type cifake",  # as citext makes it: a type of an extension that sends itself as text
    "create function cifake_in(cstring) returns cifake language internal immutable strict as 'textin'",
    "create function cifake_out(cifake) returns cstring language internal immutable strict as 'textout'",
    "create function cifake_recv(internal) returns cifake language internal stable strict as 'textrecv'",
    "create function cifake_send(cifake) returns bytea language internal stable strict as 'textsend'",
    "create type cifake (input = cifake_in, output = cifake_out, receive = cifake_recv, send = cifake_send, "
    "internallength = variable)",
)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("'{1,2}'::int[]", "_int4"),
        ("""'{"a": 1}'::jsonb""", "jsonb"),
        ("""'{"a": 1}'::json""", "json"),
        ("interval '1 day'", "interval"),
        ("'10.0.0.1'::inet", "inet"),
        ("B'101'::bit(3)", "bit"),
        ("'12.50'::money", "money"),
        ("point(1, 2)", "point"),
        ("int4range(1, 3)", "int4range"),
        ("time with time zone '10:00+02'", "timetz"),
        ("'a'::tsvector", "tsvector"),
    ],
)
def test_postgresql_types_without_a_plain_value_are_refused_by_name(
    read_typed: Callable[..., Any], expression: str, found: str
) -> None:
    with pytest.raises(ContractError) as caught:
        read_typed(expression, "category")
    assert f"sql/shop/features.sql: column 'x': wrong type: found {found}; expected text" in str(caught.value)
    assert "in the SQL" in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("date 'infinity'", "date"),
        ("timestamptz '-infinity'", "datetime"),
        ("date '4713-01-01 BC'", "datetime"),
        ("'\\x61ff'::bytea", "string"),
        ("'\\x610062'::bytea", "string"),
        ("'NaN'::numeric", "int"),
        ("'inf'::float8", "int"),
        ("9223372036854775808::numeric", "int"),
        ("0.5::numeric", "bool"),
    ],
)
def test_postgresql_values_that_cannot_be_read_are_unreadable(
    read_typed: Callable[..., Any], expression: str, kind: str
) -> None:
    assert read_typed(expression, kind) == (None, True)


def test_a_uuid_key_is_published(stores: Stores, tmp_path: Path) -> None:
    url = stores.settings.sources["toy"].get_secret_value()
    execute(
        url,
        f"""create table things as
        select timestamptz '{FIRST} 01:00+00' + d * interval '1 day' as at, md5(d || ' ' || n)::uuid as id,
               n::float8 as x, md5(mod(n, 3)::text)::uuid as kind, mod(n, 5) > 2 as y
        from generate_series(0, {TRAIN_NIGHTS}) as d, generate_series(1, 40) as n""",
    )
    job = job_of(
        tmp_path,
        "toy",
        "id, x, kind",
        key={"id": "string"},
        time_column=None,
        features={"x": {"type": "float"}, "kind": {"type": "category"}},
        chunk_rows=7,
        pipeline="tests.support.pipelines:build_of_any_type",
    )
    made = train_champion(Workspace(stores, job))
    assert made.rows == TRAIN_NIGHTS * 40
    run_night(Workspace(stores, job), NightRequest(NIGHT, datetime.now(UTC), "test"))
    _, rows = stores.warehouse.query(f"select id from {job.name}_predictions order by id")
    assert len(rows) == 40
    assert all(str(UUID(row[0])) == row[0] for row in rows)
    levels = json.loads((Path(made.ref.uri) / "reference_profile.json").read_text())["categories"]["kind"]
    assert len(levels) == 3
    assert all(str(UUID(level)) == level for level in levels)
