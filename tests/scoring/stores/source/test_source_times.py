"""Which rows a night has, whatever the form and zone in which the source keeps its times."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pyarrow as pa
import pytest

from scoring.errors import NightError, SourceQueryError
from scoring.interval import DataInterval, Nights
from scoring.rows.casting import read_as
from scoring.stores.source import Query, stream
from scoring.stores.urls import libpq_url
from tests.conftest import new_database

NEW_YORK, TOKYO = "America/New_York", "Asia/Tokyo"
DAY = date(2024, 2, 1)
INTERVAL = "at >= :interval_start and at < :interval_end"


@pytest.fixture
def query(tmp_path) -> Callable[..., Query]:
    """Make a query of a condition on the table ``events``."""

    def of(where: str, timezone: str = "UTC") -> Query:
        path = tmp_path / "sql" / "shop" / "features.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"select id, at from events where {where}", encoding="utf-8")
        return Query(path, ("id",), ("id",), timezone=timezone)

    return of


@pytest.fixture
def lite(tmp_path) -> Callable[..., str]:
    """Make a SQLite source with events at the given times; return its URL."""
    path = tmp_path / "events.db"

    def of(times: list[Any], kind: str = "text") -> str:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("drop table if exists events")
            connection.execute(f"create table events (id integer, at {kind})")
            connection.executemany("insert into events values (?, ?)", list(enumerate(times)))
            connection.commit()
        return f"sqlite:///{path}"

    return of


@pytest.fixture(scope="module")
def server(data_dir) -> Iterator[tuple[str, psycopg.Connection]]:
    url = new_database(data_dir)
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        yield url, connection


def fill(server: tuple[str, psycopg.Connection], times: list[Any], kind: str) -> str:
    """Put events at the given times into the PostgreSQL source; return its URL."""
    url, connection = server
    connection.execute("drop table if exists events")
    connection.execute(f"create table events (id int, at {kind})")
    for row in enumerate(times):
        connection.execute("insert into events values (%s, %s)", row)
    return url


def ids(url: str, query: Query, night: date, timezone: str) -> list[int]:
    with stream(url, query, DataInterval.of_night(night, timezone), 1000) as batches:
        return [row for batch in batches for row in batch.column("id").to_pylist()]


def hours(first: datetime, count: int = 72) -> list[datetime]:
    return [first + timedelta(hours=number) for number in range(count)]


def within(moments: list[datetime], night: date, timezone: str) -> list[int]:
    interval = DataInterval.of_night(night, timezone)
    return [number for number, moment in enumerate(moments) if interval.start <= moment < interval.end]


MOMENTS = hours(datetime(2024, 1, 31, tzinfo=UTC))
FORMS: dict[str, Callable[[datetime], Any]] = {
    "blank": lambda at: f"{at:%Y-%m-%d %H:%M:%S}",
    "T": lambda at: f"{at:%Y-%m-%dT%H:%M:%S}",
    "T and Z": lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}",
    "Z and thousandths": lambda at: f"{at:%Y-%m-%dT%H:%M:%S.000Z}",
    "blank and offset": lambda at: f"{at:%Y-%m-%d %H:%M:%S}+00:00",
    "another offset": lambda at: at.astimezone(ZoneInfo("Asia/Kolkata")).isoformat(),
    "short offset": lambda at: f"{at:%Y-%m-%d %H:%M:%S}+00",
    "millionths": lambda at: f"{at:%Y-%m-%d %H:%M:%S.%f}",
    "millionths of some": lambda at: f"{at:%Y-%m-%d %H:%M:%S}{'.500000' if at.hour % 2 else ''}",
    "minutes": lambda at: f"{at:%Y-%m-%dT%H:%M}",
    "unix seconds": lambda at: int(at.timestamp()),
    "unix seconds with a fraction": lambda at: at.timestamp() + 0.25,
    "unix milliseconds": lambda at: int(at.timestamp()) * 1000,
    "julian days": lambda at: at.timestamp() / 86_400 + 2_440_587.5,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zone", ["UTC", NEW_YORK, TOKYO])
@pytest.mark.parametrize("where", [INTERVAL, ":interval_end > e.at and (:interval_start) <= e.at"])
def test_sqlite_gives_the_rows_of_the_night_whatever_the_form_of_its_times(lite, query, form, zone, where):
    url = lite([FORMS[form](moment) for moment in MOMENTS], "" if form[0] in "uj" else "text")
    chosen = query(where)
    chosen.path.write_text(f"select id, at from events as e where {where}")
    assert ids(url, chosen, DAY, zone) == within(MOMENTS, DAY, zone)


def test_sqlite_sees_the_form_through_aliases_and_common_tables(lite, query):
    url = lite([FORMS["T"](moment) for moment in MOMENTS])
    chosen = query("")
    chosen.path.write_text(
        "with chosen as (select e.id, e.at as moment from events e where e.at between :interval_start and '9') "
        "select c.id from chosen c join events f on f.id = c.id where f.at < :interval_end and c.moment > 'x' is not 1"
    )
    assert ids(url, chosen, DAY, NEW_YORK) == within(MOMENTS, DAY, NEW_YORK)


def test_sqlite_binds_each_comparison_in_the_form_of_its_own_column(lite, query, tmp_path):
    url = lite([FORMS["T and Z"](moment) for moment in MOMENTS])
    with closing(sqlite3.connect(tmp_path / "events.db")) as connection:
        connection.execute("create table clicks as select id, unixepoch(at) as at from events")
        connection.commit()
    chosen = query("")
    chosen.path.write_text(
        f"select e.id from events e join clicks c on c.id = e.id where e.{INTERVAL.replace('and at', 'and e.at')} "
        "and c.at >= :interval_start and c.at < :interval_end"
    )
    assert ids(url, chosen, DAY, NEW_YORK) == within(MOMENTS, DAY, NEW_YORK)


def test_sqlite_functions_that_give_one_form_may_be_compared(lite, query):
    url = lite([(FORMS["T"] if moment.hour % 2 else FORMS["Z and thousandths"])(moment) for moment in MOMENTS])
    chosen = query("datetime(at) >= :interval_start and datetime(at) < :interval_end")
    assert ids(url, chosen, DAY, NEW_YORK) == within(MOMENTS, DAY, NEW_YORK)
    chosen = query("unixepoch(at) >= :interval_start and julianday(at) < :interval_end")
    assert ids(url, chosen, DAY, NEW_YORK) == within(MOMENTS, DAY, NEW_YORK)


@pytest.mark.parametrize("kind", ["T", "blank", "minutes"])
def test_sqlite_compares_local_times_in_the_zone_of_the_source(lite, query, kind):
    local = [moment.astimezone(ZoneInfo(NEW_YORK)) for moment in MOMENTS]
    url = lite([FORMS[kind](moment) for moment in local])
    for zone in (NEW_YORK, "UTC"):
        assert ids(url, query(INTERVAL, NEW_YORK), DAY, zone) == within(MOMENTS, DAY, zone)


def test_sqlite_refuses_a_function_of_a_parameter_that_gives_another_form_than_the_column_has(lite, query):
    where = "at >= datetime(:interval_start) and at < datetime(:interval_end)"
    assert ids(lite(["2024-02-01 05:00:00"]), query(where), DAY, NEW_YORK) == [0]
    with pytest.raises(SourceQueryError, match="several forms in one column: '2024-02-01T05:00:00', '2024-02-01 05"):
        ids(lite(["2024-02-01T05:00:00"]), query(where), DAY, NEW_YORK)
    where = "at >= unixepoch(:interval_start) and at < strftime('%s', :interval_end)"
    assert ids(lite([1706763600], "integer"), query(where), DAY, NEW_YORK) == [0]


@pytest.mark.parametrize(
    ("times", "found"),
    [
        (["2024-02-01 05:00:00", "2024-02-01T06:00:00"], "several forms in one column: '2024-02-01 05:00:00', "),
        (["2024-02-01T05:00:00Z", "2024-02-01T05:00:00"], "several forms"),
        (["2024-02-01T05:00:00+01:00", "2024-07-01T05:00:00+02:00"], "several forms"),
        (["2024-02-01", "2024-02-01 05:00:00"], "several forms"),
        (["2024-02-01 05:00:00", 1706763600], "several forms"),
        ([1706763600, 1706763600000], "several forms"),
        (["01.02.2024 05:00"], "values such as '01.02.2024 05:00'"),
        (["20240201T050000"], "values such as '20240201T050000'"),
        (["1706763600"], "values such as '1706763600'"),
        ([20240201], "values such as 20240201"),
        ([b"2024-02-01 05:00:00"], "values such as b'2024-02-01 05:00:00'"),
    ],
)
def test_sqlite_refuses_times_whose_order_is_not_that_of_the_clock(lite, query, times, found):
    with pytest.raises(SourceQueryError, match=r"sql/shop/features\.sql: times compared with the interval") as caught:
        ids(lite(times, ""), query(INTERVAL), DAY, "UTC")
    assert found in str(caught.value)
    assert "datetime(…) >= :interval_start" in str(caught.value)


def test_sqlite_refuses_calendar_days_compared_with_moments_within_a_day(lite, query):
    days = [f"2024-02-{number:02d}" for number in range(1, 5)]
    assert ids(lite(days), query(INTERVAL), DAY, "UTC") == [0]
    assert ids(lite(days), query(INTERVAL, NEW_YORK), DAY, NEW_YORK) == [0]
    with pytest.raises(SourceQueryError, match=r"values of 10 characters, while an interval begins.*<date> = :night"):
        ids(lite(days), query(INTERVAL), DAY, NEW_YORK)


@pytest.mark.parametrize(
    ("days", "where"),
    [
        ([f"2024-0{month}-01" for month in (1, 2, 3)], "at = :night"),
        ([f"2024-0{month}-01 00:00:00" for month in (1, 2, 3)], ":night = at"),
        ([f"2024-0{month}-01T00:00:00Z" for month in (1, 2, 3)], "at >= :night and at <= :night"),
        ([f"20240{month}01" for month in (1, 2, 3)], "at = :night"),
        ([20240101, 20240201, 20240301], "at between :night and :night"),
        ([f"2024-0{month}-01T15:00:00" for month in (1, 2, 3)], "date(at) = :night"),
        ([f"2024-0{month}-01T15:00:00" for month in (1, 2, 3)], "at >= date(:night) and at < date(:night, '+1 day')"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", NEW_YORK, TOKYO])
def test_sqlite_compares_days_with_the_night_in_the_form_they_are_stored_in(lite, query, days, where, zone):
    assert ids(lite(days, ""), query(where), DAY, zone) == [1]


@pytest.mark.parametrize("days", [["2024-02-01 05:00:00", "2024-02-01 06:00:00"], [1706763600], ["01.02.2024"]])
def test_sqlite_refuses_a_night_compared_with_what_is_no_day(lite, query, days):
    with pytest.raises(SourceQueryError, match=r"days compared with :night: found values such as .*date\(…\) = :night"):
        ids(lite(days, ""), query("at = :night"), DAY, "UTC")


def test_sqlite_looks_at_no_more_than_a_sample_of_a_large_table(lite, query):
    url = lite([])
    chosen = query("")
    chosen.path.write_text(
        "with recursive n (id) as (select 1 union all select id + 1 from n where id < 3000000) select id from n "
        "where id = 7 and '2024-02-01T12:00:00' >= :interval_start and '2024-02-01T12:00:00' < :interval_end limit 1"
    )
    assert ids(url, chosen, DAY, "UTC") == [7]


# ---------------------------------------------------------------- PostgreSQL


@pytest.mark.parametrize("zone", ["UTC", NEW_YORK, TOKYO])
def test_night_is_the_calendar_day_of_a_date_column_in_every_zone(server, query, zone):
    url = fill(server, [DAY + timedelta(days=number) for number in (-1, 0, 1)], "date")
    for where in ("at = :night", "at >= :night::date and at < :night + 1", "at::text = :night::text"):
        assert ids(url, query(where), DAY, zone) == [1], where


@pytest.mark.parametrize("source_zone", ["UTC", NEW_YORK, TOKYO])
@pytest.mark.parametrize("zone", ["UTC", NEW_YORK])
def test_postgresql_compares_times_without_a_zone_in_the_zone_of_the_source(server, query, zone, source_zone):
    local = [moment.astimezone(ZoneInfo(source_zone)).replace(tzinfo=None) for moment in MOMENTS]
    url = fill(server, local, "timestamp")
    assert ids(url, query(INTERVAL, source_zone), DAY, zone) == within(MOMENTS, DAY, zone)


def test_postgresql_compares_moments_alike_whatever_the_zone_of_the_source(server, query):
    url = fill(server, MOMENTS, "timestamptz")
    for source_zone in ("UTC", TOKYO):
        assert ids(url, query(INTERVAL, source_zone), DAY, NEW_YORK) == within(MOMENTS, DAY, NEW_YORK)


@pytest.mark.parametrize("zone", [NEW_YORK, "America/Sao_Paulo", "Australia/Lord_Howe", "Europe/London"])
def test_times_without_a_zone_are_read_as_postgresql_compares_them(server, zone):
    _, connection = server
    quarters = [datetime(2018, 1, 1) + timedelta(minutes=15 * number) for number in range(4 * 24 * 365)]  # noqa: DTZ001
    changes = [at for at in quarters if _changes(at, zone)]
    assert len(changes) > 10
    connection.execute("select set_config('timezone', %s, false)", [zone])
    theirs = [connection.execute("select %s::timestamp::timestamptz", [at]).fetchone()[0] for at in changes]
    ours, unreadable = read_as(pa.array(changes, pa.timestamp("us")), pa.timestamp("us", "UTC"), "at", zone)
    assert ours.to_pylist() == [at.astimezone(UTC) for at in theirs]
    assert not any(unreadable.to_pylist())
    text, _ = read_as(pa.array([str(at) for at in changes]), pa.timestamp("us", "UTC"), "at", zone)
    assert text == ours


def _changes(at: datetime, zone: str) -> bool:
    """Return whether the clocks of a zone are changed within three hours."""
    ends = [(at + timedelta(hours=hours)).replace(tzinfo=ZoneInfo(zone)).utcoffset() for hours in (-3, 3)]
    return ends[0] != ends[1]


# ---------------------------------------------------------------- days that the clocks make odd


@pytest.mark.parametrize(
    ("night", "zone", "count"),
    [
        (date(2018, 11, 4), "America/Sao_Paulo", 23),  # begins at 01:00
        (date(2018, 2, 17), "America/Sao_Paulo", 25),  # its last hour comes twice
        (date(2024, 11, 3), NEW_YORK, 25),
        (date(2024, 3, 10), NEW_YORK, 23),
        (date(2011, 12, 29), "Pacific/Apia", 24),
        (date(2011, 12, 31), "Pacific/Apia", 24),
    ],
)
def test_a_night_has_the_rows_of_its_day_when_the_clocks_change(server, lite, query, night, zone, count):
    noon = datetime(night.year, night.month, night.day, 12, tzinfo=UTC)
    moments = hours(noon - timedelta(hours=72), 144)
    local = [number for number, at in enumerate(moments) if at.astimezone(ZoneInfo(zone)).date() == night]
    assert len(local) == count
    assert ids(fill(server, moments, "timestamptz"), query(INTERVAL), night, zone) == local
    assert ids(lite([FORMS["T and Z"](at) for at in moments]), query(INTERVAL), night, zone) == local


def test_an_interval_of_several_nights_cannot_be_bound_to_the_night(lite, query):
    days = Nights(DAY, DAY + timedelta(days=2)).interval("UTC")
    with (
        pytest.raises(NightError, match="expected one night, for :night"),
        stream(lite(["2024-02-01"]), query("at = :night"), days, 10),
    ):
        pass
