"""What Airflow tries again, when, and what it gives up at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction, RetryDecision

from orchestration.context import now, retry_policy
from scoring.errors import EmptyNight, NightNotOver, SourceUnavailable

HOUR = timedelta(hours=1)


def decided(error: BaseException) -> RetryDecision:
    return retry_policy().evaluate(error, 1, 3)


def not_over(wait: timedelta) -> NightNotOver:
    return NightNotOver.at("night 2031-01-01 of toy", now() + wait, found="a run that began now", next_step="wait")


@pytest.mark.parametrize("wait", [HOUR, 25 * HOUR])
def test_night_that_ends_within_a_day_is_tried_again_right_after_its_end(wait: timedelta) -> None:
    made = decided(not_over(wait))
    assert made.action is RetryAction.RETRY
    assert made.reason is not None
    assert "the night ends at" in made.reason
    assert made.retry_delay is not None
    assert timedelta(0) < made.retry_delay - wait <= timedelta(minutes=1)


def test_night_that_ended_meanwhile_is_tried_again_at_once() -> None:
    assert decided(not_over(-HOUR)).retry_delay == timedelta(minutes=1)


def test_night_that_lies_days_ahead_fails_at_once() -> None:
    made = decided(not_over(48 * HOUR))
    assert made.action is RetryAction.FAIL
    assert made.reason is not None
    assert "too far ahead to wait for" in made.reason


def test_what_heals_is_tried_again_and_what_does_not_is_not() -> None:
    assert decided(SourceUnavailable("source")).action is RetryAction.RETRY
    assert decided(EmptyNight("night")).action is RetryAction.FAIL
    assert decided(ValueError("a bug")).action is RetryAction.DEFAULT
