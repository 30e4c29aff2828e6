"""Until when a night must be published: by a time of day where the job lives, or minutes after the night's end."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
import yaml

from scoring.errors import JobFileError
from scoring.job.deadline import deadline_in_words, newest_due, ready_at
from scoring.job.definition import Job
from scoring.job.files import load_job

CONTENT: dict[str, Any] = {
    "name": "churn",
    "description": "Chance that a customer leaves.",
    "owner": "crm",
    "source": "crm",
    "key": {"customer": "int"},
    "features": {"age": {"type": "int"}},
    "task": "binary",
    "label": {"column": "gone"},
    "pipeline": "jobs.flight_delay:build_pipeline",
}
NIGHT = date(2024, 1, 5)


def job(tmp_path, ready_by: str | None = None, **changes: Any) -> Job:
    """Return a job of New York; ``ready_by`` is YAML as it is written."""
    schedule = 'schedule: {timezone: America/New_York, first_night: 2024-01-01, cron: "30 2 * * *"'
    schedule += f", ready_by: {ready_by}}}\n" if ready_by else "}\n"
    path = tmp_path / "churn.yaml"
    path.write_text(schedule + yaml.safe_dump({**CONTENT, **changes}), encoding="utf-8")
    return load_job(path)


def test_time_of_day_is_that_of_the_jobs_timezone_on_the_day_after_the_night(tmp_path) -> None:
    early = job(tmp_path, '"06:30"')
    assert ready_at(early, NIGHT) == datetime(2024, 1, 6, 11, 30, tzinfo=UTC)
    assert ready_at(early, date(2024, 7, 5)) == datetime(2024, 7, 6, 10, 30, tzinfo=UTC)  # summer
    assert ready_at(early, date(2024, 3, 9)) == datetime(2024, 3, 10, 10, 30, tzinfo=UTC)  # the clocks changed at 2
    assert deadline_in_words(early) == "by 06:30 America/New_York"


@pytest.mark.parametrize("written", ["06:30", "16:30", "'16:30'"])
def test_time_of_day_needs_no_quotes(tmp_path, written: str) -> None:
    assert job(tmp_path, written).schedule.ready_by == written.strip("'")


def test_without_it_minutes_after_the_end_count_as_before(tmp_path) -> None:
    plain = job(tmp_path)
    assert ready_at(plain, NIGHT) == datetime(2024, 1, 6, 8, tzinfo=UTC)
    assert deadline_in_words(plain) == "180 minutes after its end"
    never = job(tmp_path, limits={"late_after_minutes": None})
    assert (ready_at(never, NIGHT), newest_due(never, datetime(2024, 2, 1, tzinfo=UTC))) == (None, None)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2024-01-06T11:29:59Z", date(2024, 1, 4)),
        ("2024-01-06T11:30:00Z", NIGHT),
        ("2024-01-07T04:59:00Z", NIGHT),  # before midnight in New York
        ("2024-01-01T11:30:00Z", None),  # before the first night
    ],
)
def test_night_is_due_from_its_time_of_day_on(tmp_path, now: str, expected: date | None) -> None:
    assert newest_due(job(tmp_path, '"06:30"'), datetime.fromisoformat(now)) == expected


@pytest.mark.parametrize(
    ("ready_by", "limits", "sentence"),
    [
        ('"6:30"', {}, "schedule.ready_by: found '6:30', expected a time of day in quotes, such as '06:30'"),
        ('"24:00"', {}, "schedule.ready_by: found '24:00', expected a time of day in quotes"),
        ("90", {}, "schedule.ready_by: found 90, expected text in quotes, '90'"),
        ('"02:30"', {}, "found 02:30 with cron '30 2 \\* \\* \\*', expected a time of day after 02:30"),
        ('"06:30"', {"late_after_minutes": 60}, "limits.late_after_minutes: found 60 with schedule.ready_by 06:30"),
    ],
)
def test_deadline_that_cannot_be_meant_is_refused(tmp_path, ready_by: str, limits: dict, sentence: str) -> None:
    with pytest.raises(JobFileError, match=sentence):
        job(tmp_path, ready_by, limits=limits)


def test_lateness_that_is_switched_off_may_stand_beside_a_time_of_day(tmp_path) -> None:
    both = job(tmp_path, '"06:30"', limits={"late_after_minutes": None})
    assert newest_due(both, datetime(2024, 1, 6, 12, tzinfo=UTC)) == NIGHT
