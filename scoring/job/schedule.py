"""``Schedule``: the nights of a job, its timezone, and the time of day when they are scored."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from scoring.validation import CLOCK_PATTERN, CRON_PATTERN, Strict


def _known_timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected a timezone of the IANA database, such as America/New_York") from None
    return value


def _as_clock(value: Any) -> Any:
    """Return a time of day as text. YAML reads 16:30 without quotes as 16 times 60 and 30."""
    minutes = value if isinstance(value, int) and not isinstance(value, bool) and 600 <= value < 1440 else None
    return value if minutes is None else f"{minutes // 60:02}:{minutes % 60:02}"


Timezone = Annotated[str, AfterValidator(_known_timezone)]
Clock = Annotated[str, BeforeValidator(_as_clock), Field(pattern=CLOCK_PATTERN)]


class Schedule(Strict):
    """When the DAG runs: once a day, in the job's timezone, for the calendar day that just ended."""

    timezone: Timezone = Field(description="The zone in which a night is a calendar day, such as America/New_York.")
    cron: str = Field(default="0 0 * * *", pattern=CRON_PATTERN, description="The time of day when nights are scored.")
    first_night: date = Field(description="The first night that is scheduled; an expanding window begins with it.")
    last_night: date | None = Field(default=None, description="The last night that is scheduled; null for no end.")
    ready_by: Clock | None = None
    """The time of day, in ``timezone``, by which a night must be published on the day after it, such as "06:30".

    A night that is not is late. Default: ``limits.late_after_minutes`` says when.
    """

    @model_validator(mode="after")
    def _a_night_is_scored_before_it_must_be_ready(self) -> Self:
        minute, hour = self.cron.split()[:2]
        scored = f"{int(hour):02}:{int(minute):02}"
        if self.ready_by is not None and self.ready_by <= scored:
            raise ValueError(
                f"ready_by: found {self.ready_by} with cron {self.cron!r}, expected a time of day after {scored}, when nights "
                "are scored"
            )
        return self

    @model_validator(mode="after")
    def _nights_are_in_order(self) -> Self:
        if self.last_night is not None and self.last_night < self.first_night:
            raise ValueError(
                f"found last_night {self.last_night} before first_night {self.first_night}, expected it on that day or later"
            )
        return self
