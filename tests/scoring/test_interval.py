"""Nights and the hours they cover, also on the days the clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.errors import NightError
from scoring.interval import ALL_NIGHTS, DataInterval, Nights, parse_night

NEW_YORK = "America/New_York"
MODEST = settings(deadline=None, max_examples=50, derandomize=True)


@pytest.mark.parametrize(
    ("night", "hours"),
    [("2013-03-09", 24), ("2013-03-10", 23), ("2013-03-11", 24), ("2013-11-03", 25), ("2013-11-04", 24)],
)
def test_of_night_covers_the_hours_of_the_local_day(night, hours):
    assert DataInterval.of_night(parse_night(night), NEW_YORK).hours == hours


def test_of_night_starts_at_local_midnight_in_utc_on_both_sides_of_a_clock_change():
    spring = DataInterval.of_night(date(2013, 3, 10), NEW_YORK)
    assert spring == DataInterval(datetime(2013, 3, 10, 5, tzinfo=UTC), datetime(2013, 3, 11, 4, tzinfo=UTC))
    autumn = DataInterval.of_night(date(2013, 11, 3), NEW_YORK)
    assert autumn == DataInterval(datetime(2013, 11, 3, 4, tzinfo=UTC), datetime(2013, 11, 4, 5, tzinfo=UTC))


@MODEST
@given(
    night=st.dates(date(1990, 1, 1), date(2035, 12, 31)),
    # Midnight itself does not exist on some days in Sao Paulo and Havana; Lord Howe moves by half an hour.
    timezone=st.sampled_from(["UTC", NEW_YORK, "America/Sao_Paulo", "America/Havana", "Australia/Lord_Howe"]),
)
def test_of_night_follows_the_night_before_without_gap_or_overlap(night, timezone):
    one = DataInterval.of_night(night, timezone)
    following = DataInterval.of_night(night + timedelta(days=1), timezone)
    assert one.start < one.end == following.start
    assert one.start.tzinfo is UTC
    assert 22.9 < one.hours < 25.1


def test_of_night_misses_no_hour_when_midnight_does_not_exist():
    skipped = DataInterval.of_night(date(2018, 11, 4), "America/Sao_Paulo")  # 00:00 became 01:00
    assert skipped.hours == 23


def test_interval_adds_up_the_nights_across_a_clock_change():
    march = Nights(date(2013, 3, 1), date(2013, 4, 1)).interval(NEW_YORK)
    each = [DataInterval.of_night(night, NEW_YORK) for night in Nights.including(date(2013, 3, 1), date(2013, 3, 31))]
    assert march.hours == sum(one.hours for one in each) == 31 * 24 - 1


@pytest.mark.parametrize("until", [date(2013, 4, 1), date(2013, 3, 31)])
def test_interval_refuses_a_range_without_a_night(until):
    with pytest.raises(NightError, match=f"found first night 2013-04-01, until {until}; expected until after first"):
        Nights(date(2013, 4, 1), until).interval(NEW_YORK)


def test_interval_cannot_be_changed():
    interval = DataInterval.of_night(date(2013, 4, 1), NEW_YORK)
    with pytest.raises(AttributeError):
        interval.start = interval.end  # type: ignore[misc]


@pytest.mark.parametrize("text", [" 2013-04-01\n", "2013-4-1", "20130401", "2013-W14-1", "2013-04-01T00:00"])
def test_a_night_is_written_in_one_way_only(text):
    with pytest.raises(NightError, match="a calendar day as YYYY-MM-DD"):
        parse_night(text)


@MODEST
@given(night=st.dates(date(1000, 1, 1)))
def test_parse_night_reads_what_a_night_prints(night):
    assert parse_night(str(night)) == night


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2013-02-30", "2013-13-01", "01.04.2013", "20130401", "2013-04-01T00:00", "2013-04-01 x"]
)
def test_parse_night_names_what_it_found_when_it_is_no_day(text):
    with pytest.raises(NightError) as caught:
        parse_night(text)
    message = str(caught.value)
    assert f"found {text!r}" in message
    assert "YYYY-MM-DD" in message
    assert not caught.value.retryable


def test_including_includes_both_ends():
    assert list(Nights.including(date(2013, 2, 27), date(2013, 3, 1))) == [
        date(2013, 2, 27),
        date(2013, 2, 28),
        date(2013, 3, 1),
    ]
    assert list(Nights.including(date(2013, 4, 1), date(2013, 4, 1))) == [date(2013, 4, 1)]
    assert list(Nights.including(date(2013, 4, 2), date(2013, 4, 1))) == []


FIRST, UNTIL = date(2024, 1, 1), date(2024, 1, 7)
WEEKDAYS = Nights(FIRST, UNTIL)


def test_nights_are_half_open():
    assert next(iter(WEEKDAYS)) == FIRST
    assert list(WEEKDAYS)[-1] == WEEKDAYS.last == date(2024, 1, 6)
    assert len(WEEKDAYS) == 6
    assert FIRST in WEEKDAYS
    assert WEEKDAYS.last in WEEKDAYS
    assert UNTIL not in WEEKDAYS
    assert FIRST - timedelta(days=1) not in WEEKDAYS


def test_nights_are_written_with_both_ends_included():
    assert str(WEEKDAYS) == "2024-01-01 to 2024-01-06"


def test_nights_are_equal_however_they_were_made():
    assert Nights.including(FIRST, date(2024, 1, 6)) == WEEKDAYS
    assert Nights.before(UNTIL, 6) == WEEKDAYS
    assert Nights.up_to(date(2024, 1, 6), 6) == WEEKDAYS
    assert Nights.of(FIRST) == Nights.up_to(FIRST, 1) == Nights(FIRST, date(2024, 1, 2))


def test_nights_cannot_be_changed():
    with pytest.raises(AttributeError):
        WEEKDAYS.until = FIRST  # type: ignore[misc]


def test_open_ends_reach_to_the_ends_of_the_calendar():
    assert FIRST in Nights.since(FIRST)
    assert date(2999, 12, 31) in Nights.since(FIRST)
    assert FIRST - timedelta(days=1) not in Nights.since(FIRST)
    assert date(1000, 1, 1) in Nights.before(UNTIL)
    assert UNTIL not in Nights.before(UNTIL)
    assert UNTIL in Nights.up_to(UNTIL)
    assert FIRST in ALL_NIGHTS


@pytest.mark.parametrize(
    "nights", [Nights(FIRST, FIRST), Nights(FIRST, FIRST - timedelta(days=9)), Nights.before(FIRST, 0)]
)
def test_a_range_that_ends_before_it_begins_has_no_nights(nights):
    assert len(nights) == 0
    assert list(nights) == []
    assert FIRST not in nights
    assert nights.in_timezone("UTC") == []
    with pytest.raises(NightError, match="until after first"):
        nights.interval("UTC")


def test_require_refuses_a_range_without_nights_by_its_name():
    assert WEEKDAYS.require("nights") is WEEKDAYS
    with pytest.raises(
        NightError, match="nights to rescore: found from 2024-01-01 to 2023-12-31; expected a first night"
    ):
        Nights(FIRST, FIRST).require("nights to rescore")


def test_nights_that_a_timezone_leaves_out_are_left_out():
    around = Nights.including(date(2011, 12, 29), date(2011, 12, 31))
    assert around.in_timezone("Pacific/Apia") == [date(2011, 12, 29), date(2011, 12, 31)]
    assert around.in_timezone("UTC") == list(around)
    assert around.interval("Pacific/Apia").hours == 48


def test_only_the_interval_of_one_night_is_that_of_a_night():
    assert Nights.of(FIRST).interval("UTC").night == FIRST
    assert WEEKDAYS.interval("UTC").night is None


@MODEST
@given(
    first=st.dates(date(1990, 1, 1), date(2035, 12, 31)),
    count=st.integers(1, 40),
    timezone=st.sampled_from([NEW_YORK, "America/Sao_Paulo", "Pacific/Apia"]),
)
def test_the_nights_of_a_range_fill_its_interval(first, count, timezone):
    nights = Nights(first, first + timedelta(days=count))
    together = nights.interval(timezone)
    each = [DataInterval.of_night(night, timezone) for night in nights.in_timezone(timezone)]
    assert [one.end for one in each[:-1]] == [one.start for one in each[1:]]
    assert sum(one.hours for one in each) == together.hours
