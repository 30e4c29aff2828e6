"""Nights and the data intervals they cover."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from scoring.errors import NightError, NoSuchNight

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DataInterval:
    """The half-open interval ``[start, end)`` in UTC that one run answers for."""

    start: datetime
    end: datetime
    night: date | None = field(default=None, compare=False)
    """The calendar day, if the interval is that of one."""

    @classmethod
    def of_night(cls, night: date, timezone: str) -> Self:
        """Return the interval that covers the calendar day ``night`` in ``timezone``.

        >>> DataInterval.of_night(date(2013, 4, 1), "America/New_York").start.isoformat()
        '2013-04-01T04:00:00+00:00'
        """
        return cls(_midnight(night, timezone), _midnight(night + DAY, timezone), night)

    @property
    def exists(self) -> bool:
        """Return whether the interval holds any time. A zone that crosses the date line leaves a day out.

        >>> DataInterval.of_night(date(2011, 12, 30), "Pacific/Apia").exists
        False
        """
        return self.end > self.start

    def require(self) -> Self:
        """Return the interval itself. Raises ``NoSuchNight`` when there is no time in it."""
        if not self.exists:
            raise NoSuchNight(
                f"night {self.night}",
                found=f"no such day in the job's timezone, whose clocks went on at {self.start}",
                expected="a day that exists",
                next_step="nothing to do, the night is skipped",
            )
        return self

    @property
    def hours(self) -> float:
        """Return the length in hours: 24, or 23 and 25 on the days the clocks change."""
        return (self.end - self.start).total_seconds() / 3600


@dataclass(frozen=True, slots=True)
class Nights:
    """The calendar days from ``first`` up to, not including, ``until``. There are none if ``until`` is not after ``first``.

    >>> nights = Nights(date(2024, 1, 1), date(2024, 1, 4))
    >>> len(nights), str(nights), date(2024, 1, 3) in nights, nights.until in nights
    (3, '2024-01-01 to 2024-01-03', True, False)
    """

    first: date
    until: date

    @classmethod
    def including(cls, first: date, last: date) -> Self:
        """Return the nights from ``first`` to ``last``, both included.

        >>> Nights.including(date(2013, 2, 28), date(2013, 3, 1)).until
        datetime.date(2013, 3, 2)
        """
        return cls(first, last + DAY)

    @classmethod
    def of(cls, night: date) -> Self:
        """Return one night.

        >>> list(Nights.of(date(2013, 4, 1)))
        [datetime.date(2013, 4, 1)]
        """
        return cls.including(night, night)

    @classmethod
    def since(cls, first: date) -> Self:
        """Return all nights from ``first`` on, up to the end of the calendar.

        >>> date(2013, 4, 1) in Nights.since(date(2013, 4, 1))
        True
        """
        return cls(first, date.max)

    @classmethod
    def before(cls, until: date, count: int | None = None) -> Self:
        """Return the last ``count`` nights before ``until``, not including it. Default: all of them.

        >>> str(Nights.before(date(2013, 4, 8), 7))
        '2013-04-01 to 2013-04-07'
        """
        return cls(date.min if count is None else until - timedelta(days=count), until)

    @classmethod
    def up_to(cls, last: date, count: int | None = None) -> Self:
        """Return the last ``count`` nights up to ``last``, including it. Default: all of them.

        >>> str(Nights.up_to(date(2013, 4, 7), 7))
        '2013-04-01 to 2013-04-07'
        """
        return cls.before(last + DAY, count)

    @property
    def last(self) -> date:
        """Return the last night.

        >>> Nights(date(2024, 1, 1), date(2024, 1, 4)).last
        datetime.date(2024, 1, 3)
        """
        return self.until - DAY

    def require(self, what: str) -> Self:
        """Return the nights themselves. Raises ``NightError`` about ``what`` when there are none.

        >>> Nights.including(date(2024, 1, 2), date(2024, 1, 1)).require("nights")
        Traceback (most recent call last):
        scoring.errors.NightError: nights: found from 2024-01-02 to 2024-01-01; expected a first night not after the last
        """
        if not self:
            raise NightError(what, found=f"from {self}", expected="a first night not after the last")
        return self

    def interval(self, timezone: str) -> DataInterval:
        """Return the hours that the nights cover in ``timezone``. Raises ``NightError`` when there are no nights.

        >>> Nights.of(date(2013, 3, 10)).interval("America/New_York").hours
        23.0
        """
        if not self:
            bounds = f"first night {self.first}, until {self.until}"
            raise NightError("interval", found=bounds, expected="until after first")
        night = self.first if len(self) == 1 else None
        return DataInterval(_midnight(self.first, timezone), _midnight(self.until, timezone), night)

    def in_timezone(self, timezone: str) -> list[date]:
        """Return the nights that exist in ``timezone``. A zone that crosses the date line leaves a day out.

        >>> [night.day for night in Nights.including(date(2011, 12, 29), date(2011, 12, 31)).in_timezone("Pacific/Apia")]
        [29, 31]
        """
        return [night for night in self if DataInterval.of_night(night, timezone).exists]

    def __iter__(self) -> Iterator[date]:
        return (self.first + timedelta(days=number) for number in range(len(self)))

    def __contains__(self, night: date) -> bool:
        return self.first <= night < self.until

    def __len__(self) -> int:
        return max((self.until - self.first).days, 0)

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


ALL_NIGHTS = Nights(date.min, date.max)
"""Every night of the calendar: a range that is open at both ends."""


def spans(nights: Iterable[date]) -> list[str]:
    """Return nights as ranges of days that follow one another, oldest first.

    >>> spans([date(2013, 4, 3), date(2013, 4, 5), date(2013, 4, 4), date(2013, 4, 9)])
    ['2013-04-03 to 2013-04-05', '2013-04-09']
    """
    ranges: list[Nights] = []
    for night in sorted(set(nights)):
        if ranges and ranges[-1].until == night:
            ranges[-1] = Nights.including(ranges[-1].first, night)
        else:
            ranges.append(Nights.of(night))
    return [str(days.first) if len(days) == 1 else str(days) for days in ranges]


def parse_night(text: str) -> date:
    """Return the night written as ``YYYY-MM-DD``. A night is written in one way only: another would be another partition.

    >>> parse_night("2013-04-01")
    datetime.date(2013, 4, 1)
    """
    try:
        night = date.fromisoformat(text)
        if str(night) != text:
            raise ValueError(f"{text!r} is {night}")
        return night
    except ValueError as error:
        raise NightError(
            "night",
            found=repr(text),
            expected="a calendar day as YYYY-MM-DD",
            next_step="give the day whose rows are to be scored, for example 2013-04-01",
        ) from error


def _midnight(day: date, timezone: str) -> datetime:
    return datetime.combine(day, time.min, tzinfo=ZoneInfo(timezone)).astimezone(UTC)
