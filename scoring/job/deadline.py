"""When a night has to be published: by a time of day, or so many minutes after its end."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from scoring.interval import DataInterval
from scoring.job.definition import Job

DAY = timedelta(days=1)


def ready_at(job: Job, night: date) -> datetime | None:
    """Return when a night of the job has to be published, in UTC, or None where nothing says so."""
    zone, ready_by = job.schedule.timezone, job.schedule.ready_by
    if ready_by is not None:
        clock = time.fromisoformat(ready_by)
        return datetime.combine(night + DAY, clock, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    minutes = job.limits.late_after_minutes
    return None if minutes is None else DataInterval.of_night(night, zone).end + timedelta(minutes=minutes)


def newest_due(job: Job, now: datetime) -> date | None:
    """Return the newest night of the schedule that has to be published by ``now``, or None if there is none.

    A night that the job's timezone leaves out is none, and so is the last night of a schedule that ended over a week ago.
    """
    night = _newest_ready(job, now)
    last = job.schedule.last_night
    if night is None or night < job.schedule.first_night or (last is not None and last < night - 7 * DAY):
        return None
    night = min(night, last or night)
    return night if DataInterval.of_night(night, job.schedule.timezone).exists else None


def deadline_in_words(job: Job) -> str:
    """Return until when a night has to be published, as it stands behind ``not published``."""
    if job.schedule.ready_by is not None:
        return f"by {job.schedule.ready_by} {job.schedule.timezone}"
    return f"{job.limits.late_after_minutes} minutes after its end"


def _newest_ready(job: Job, now: datetime) -> date | None:
    zone, minutes = ZoneInfo(job.schedule.timezone), job.limits.late_after_minutes
    if job.schedule.ready_by is not None:
        yesterday = now.astimezone(zone).date() - DAY
        due = ready_at(job, yesterday)
        return yesterday if due is not None and due <= now else yesterday - DAY
    return None if minutes is None else (now - timedelta(minutes=minutes)).astimezone(zone).date() - DAY
