"""What `check` says of the rows of a night, and nights that the timezone left out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow.compute as pc
import pytest
import sqlalchemy as sa

from lifecycle.checks.job import check_job
from lifecycle.checks.rows import SAMPLE, check_rows
from lifecycle.training.rows import NIGHT, read_rows
from scoring.errors import ContractError, NoSuchNight
from scoring.interval import Nights
from scoring.job.definition import Job
from scoring.night.request import NightRequest
from scoring.night.rescore import rescore
from scoring.night.run import run_night
from scoring.stores.labels import LABEL_COLUMN, read_labels
from scoring.stores.warehouse import ledger
from scoring.stores.workspace import Workspace
from tests.conftest import Toy
from tests.support.retention import at
from tests.support.toy import FIRST, execute

NEW_YORK = {"timezone": "America/New_York", "first_night": FIRST, "last_night": date(2024, 1, 5)}
DAYS = "select day, id, x, kind, y from days where "
BY_INTERVAL = "day >= :interval_start and day < :interval_end"


@pytest.fixture
def days(untrained: Toy) -> Callable[..., Job]:
    """Make a job on a table that has a calendar day only, three rows a day, restricted by a condition."""
    execute(
        untrained.source,
        "create table days as select date '2024-01-01' + n / 3 as day, n as id, n::float as x, 'a' as kind, mod(n, 2) = 0 as y "
        "from generate_series(0, 29) as n",
    )

    def of(where: str, labels: str = "", **changes: Any) -> Job:
        job = untrained.change(
            **{"schedule": NEW_YORK, "time_column": None, "key": {"day": "date", "id": "int"}, **changes}
        )
        for name, text in (("features", where), ("labels", labels or where)):
            untrained.stores.settings.sql_path(job.name, name).write_text(DAYS + text)
        return job

    return of


@pytest.mark.slow
def test_check_says_how_many_rows_and_from_when_to_when(untrained: Toy):
    job = untrained.change(schedule={**NEW_YORK, "timezone": "Asia/Tokyo"})
    (said, *_) = check_job(Workspace(untrained.stores, job))
    assert said.startswith("night 2024-01-05 in Asia/Tokyo: ")
    assert "at from 2024-01-05 00:" in said
    assert "to 2024-01-05 23:" in said
    assert "0.0% outside" in said


def test_check_goes_back_to_a_night_that_has_rows(untrained: Toy):
    (said,) = check_rows(
        Workspace(untrained.stores, untrained.change(schedule={**NEW_YORK, "last_night": date(2024, 1, 12)}))
    )
    assert said.startswith("night 2024-01-05 in America/New_York")


def test_check_says_when_no_night_has_rows(untrained: Toy):
    execute(untrained.source, "delete from events")
    (said,) = check_rows(untrained.work)
    assert said.startswith("no rows in the nights 2024-12-31, 2024-12-30, ")


def test_check_reads_no_more_than_a_sample(untrained: Toy):
    execute(
        untrained.source,
        "insert into events select timestamptz '2024-01-05 12:00Z' + n * interval '1 second', n, 1, 'a', true "
        "from generate_series(1, 9000) as n",
    )
    (said,) = check_rows(Workspace(untrained.stores, untrained.change(schedule={**NEW_YORK, "timezone": "UTC"})))
    assert f"the first {SAMPLE:,} rows" in said


def test_check_sees_rows_that_quarantine_would_take(untrained: Toy):
    execute(untrained.source, "update events set x = -1000")
    said, note = check_rows(untrained.work)
    assert note.startswith("200 of 200 rows of night 2024-01-01 would go to quarantine: x:below_min 200; more than")
    assert "200 rows" in said


@pytest.mark.slow
def test_check_refuses_times_outside_the_night(untrained: Toy):
    path = untrained.stores.settings.sql_path(untrained.job.name, "features")
    path.write_text(
        "select at + interval '6 hours' as at, id, x, kind from events where at >= :interval_start and at < :interval_end"
    )
    with pytest.raises(
        ContractError, match=r"rows of toy_\d+: found night 2024-01-01 in UTC: 200 rows, at from"
    ) as caught:
        check_job(untrained.work)
    for part in ("% outside the night", "<date> = :night", "source_timezone"):
        assert part in str(caught.value)


def test_check_refuses_local_times_taken_for_utc_and_takes_them_with_their_zone(untrained: Toy):
    text = (
        "select (at at time zone 'America/New_York')::text as at, id, x, kind from events "
        "where at >= :interval_start and at < :interval_end"
    )

    def checked(**changes: Any) -> list[str]:
        job = untrained.change(schedule=NEW_YORK, **changes)
        untrained.stores.settings.sql_path(job.name, "features").write_text(text)
        return check_rows(Workspace(untrained.stores, job))

    with pytest.raises(ContractError, match="outside the night"):
        checked()
    (said,) = checked(source_timezone="America/New_York")
    assert "0.0% outside" in said


def test_check_refuses_calendar_days_compared_with_moments_west_of_utc(untrained: Toy, days):
    for where, labels in ((BY_INTERVAL, "day = :night"), ("day = :night", BY_INTERVAL)):
        job = days(where, labels)
        with pytest.raises(
            ContractError, match="calendar days compared with the interval, which begins at 05:00 UTC"
        ) as caught:
            check_rows(Workspace(untrained.stores, job))
        assert "<date> = :night" in str(caught.value)
    assert "3 rows" in check_rows(Workspace(untrained.stores, days(BY_INTERVAL, source_timezone="America/New_York")))[0]
    assert (
        "3 rows"
        in check_rows(Workspace(untrained.stores, days(BY_INTERVAL, schedule={**NEW_YORK, "timezone": "UTC"})))[0]
    )


def test_check_looks_at_the_days_when_the_interval_is_cast_to_them(untrained: Toy, days):
    where = "day >= :interval_start::date and day < cast(:interval_end as date)"
    assert "3 rows" in check_rows(Workspace(untrained.stores, days(where)))[0]
    with pytest.raises(ContractError, match=r"day from 2024-01-04 to 2024-01-04, 100.0% outside the night"):
        check_rows(Workspace(untrained.stores, days(where, schedule={**NEW_YORK, "timezone": "Asia/Tokyo"})))


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "UTC"])
def test_check_says_that_days_lie_in_their_night(untrained: Toy, days, zone):
    (said,) = check_rows(Workspace(untrained.stores, days("day = :night", schedule={**NEW_YORK, "timezone": zone})))
    assert said == f"night 2024-01-05 in {zone}: 3 rows, day from 2024-01-05 to 2024-01-05, 0.0% outside the night"


def test_check_says_what_it_cannot_see_without_a_time(untrained: Toy, days):
    job = days("day = :night", key={"id": "int"}, label={"column": "y"})
    (said,) = check_rows(Workspace(untrained.stores, job))
    assert "3 rows; no time_column in the job file" in said


def test_a_window_of_sql_by_night_is_read_night_by_night(untrained: Toy, days):
    job = days("day = :night")
    rows = read_rows(Workspace(untrained.stores, job), Nights(date(2024, 1, 2), date(2024, 1, 5))).table
    assert rows.column("id").to_pylist() == list(range(3, 12))
    assert rows.column(NIGHT) == rows.column("day")
    assert pc.count(rows.column(LABEL_COLUMN)).as_py() == 9
    assert read_labels(Workspace(untrained.stores, job), Nights(date(2024, 1, 2), date(2024, 1, 5))).num_rows == 9


def test_a_window_of_features_by_interval_takes_labels_by_night(untrained: Toy):
    by_night = "select at, id, y from events where (at at time zone 'UTC')::date = :night and y is not null"
    before = read_rows(untrained.work, Nights(FIRST, FIRST + timedelta(days=3))).labelled
    untrained.stores.settings.sql_path(untrained.job.name, "labels").write_text(by_night)
    assert read_rows(untrained.work, Nights(FIRST, FIRST + timedelta(days=3))).labelled == before


# ---------------------------------------------------------------- a day that the timezone left out

SAMOA = date(2011, 12, 30)


@pytest.fixture
def samoa(toy: Toy) -> Toy:
    toy.change(schedule={"timezone": "Pacific/Apia", "first_night": date(2011, 12, 1), "last_night": date(2012, 1, 31)})
    return toy


def test_a_night_that_does_not_exist_is_skipped_and_leaves_no_trace(samoa: Toy):
    with pytest.raises(NoSuchNight, match="night 2011-12-30: found no such day in the job's timezone"):
        run_night(samoa.work, NightRequest(SAMOA, samoa.stores.clock(), "cli"))
    assert ledger.runs_of(samoa.stores.warehouse, samoa.job.name, SAMOA) == []


def test_a_night_that_does_not_exist_is_in_no_range(samoa: Toy):
    window = Nights.including(SAMOA - timedelta(days=1), SAMOA + timedelta(days=1))
    done = rescore(samoa.work, window, 1, "tests")
    assert [night.night for night in done] == [date(2011, 12, 29), date(2011, 12, 31)]
    assert read_rows(samoa.work, window).extracted == 0


def test_nobody_is_told_that_a_night_that_does_not_exist_is_late(samoa: Toy):
    from scoring.upkeep.lateness import late

    job = samoa.change(
        schedule={"timezone": "Pacific/Apia", "first_night": date(2011, 12, 1), "last_night": date(2012, 1, 31)},
        limits={"late_after_minutes": 60},
    )
    noons = [datetime(2011, 12, day, 12, tzinfo=UTC) for day in (30, 31)]
    found = [late(Workspace(at(samoa, moment), job)) for moment in noons]
    assert found == [None, date(2011, 12, 31)]


def test_source_is_named_by_its_variable(untrained: Toy):
    assert untrained.stores.features_query(untrained.job).variable == "NIGHTSHIFT_SOURCES__TOY"
    assert sa.make_url(untrained.source).get_backend_name() == "postgresql"
