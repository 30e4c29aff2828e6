"""Nights and the data intervals they cover."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from scoring.errors import NightError, NoSuchNight


@dataclass(frozen=True, slots=True)
class DataInterval:
    """The half-open interval ``[start, end)`` in UTC that one run answers for."""

    start: datetime
    end: datetime
    night: date | None = field(default=None, compare=False)
    """The calendar day, if the interval is that of one."""

    @classmethod
    def of_nights(cls, first: date, until: date, timezone: str) -> Self:
        """Return the interval of all calendar days from ``first`` up to, not including, ``until``.

        >>> DataInterval.of_nights(date(2013, 3, 10), date(2013, 3, 11), "America/New_York").hours
        23.0
        """
        if until <= first:
            raise NightError("interval", found=f"first night {first}, until {until}", expected="until after first")
        night = first if until - first == timedelta(days=1) else None
        return cls(start=_midnight(first, timezone), end=_midnight(until, timezone), night=night)

    @classmethod
    def of_night(cls, night: date, timezone: str) -> Self:
        """Return the interval that covers the calendar day ``night`` in ``timezone``.

        >>> DataInterval.of_night(date(2013, 4, 1), "America/New_York").start.isoformat()
        '2013-04-01T04:00:00+00:00'
        """
        return cls.of_nights(night, night + timedelta(days=1), timezone)

    @property
    def exists(self) -> bool:
        """Return whether there is any time in it: a zone that crosses the date line leaves a day out.

        >>> DataInterval.of_night(date(2011, 12, 30), "Pacific/Apia").exists
        False
        """
        return self.end > self.start

    def require(self) -> Self:
        """Return the interval itself; raises ``NoSuchNight`` when there is no time in it."""
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


def parse_night(text: str) -> date:
    """Return the night written as ``YYYY-MM-DD``.

    >>> parse_night("2013-04-01")
    datetime.date(2013, 4, 1)
    """
    try:
        return datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise NightError(
            "night",
            found=repr(text),
            expected="a calendar day as YYYY-MM-DD",
            next_step="give the day whose rows are to be scored, for example 2013-04-01",
        ) from error


def nights_between(first: date, last: date) -> list[date]:
    """Return every night from ``first`` to ``last``, both included.

    >>> len(nights_between(date(2013, 4, 1), date(2013, 4, 30)))
    30
    """
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def nights_in(first: date, last: date, timezone: str) -> list[date]:
    """Return every night from ``first`` to ``last`` that exists in ``timezone``.

    >>> nights_in(date(2011, 12, 29), date(2011, 12, 31), "Pacific/Apia")
    [datetime.date(2011, 12, 29), datetime.date(2011, 12, 31)]
    """
    return [night for night in nights_between(first, last) if DataInterval.of_night(night, timezone).exists]


def _midnight(day: date, timezone: str) -> datetime:
    return datetime.combine(day, time.min, tzinfo=ZoneInfo(timezone)).astimezone(UTC)
