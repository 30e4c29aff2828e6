"""Since when is a version worse: gross breaks by the third night, blizzards never, and hardly ever where nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest

from drift.performance import Break, Nightly, break_of, breaks
from tests.support.jobs import make_job

JOB = make_job()
WEEKLY = make_job(label={"column": "y", "horizon_days": 7, "delay_days": 7})
FIRST = date(2024, 1, 1)
HOLDOUT = 14
Shocks = Callable[[np.random.Generator, int], np.ndarray]
SHOCKS: dict[str, Shocks] = {
    "normal": lambda random, count: random.normal(size=count),
    "skewed": lambda random, count: random.gamma(2, size=count) / 2**0.5,
    "weekends": lambda random, count: random.normal(size=count) + 0.8 * (np.arange(count) % 7 > 4),
}


def nightly(values: np.ndarray, rows: float | np.ndarray = 1_000.0, first: date = FIRST) -> Nightly:
    days = tuple(first + timedelta(days=number) for number in range(len(values)))
    return Nightly(days, np.asarray(values, dtype=float), np.broadcast_to(rows, len(values)).astype(float))


def stream(seed: int, nights: int, kind: str = "normal") -> tuple[Nightly, np.ndarray]:
    """Return a holdout and the values of the nights after it, whose standard deviation is about 1."""
    values = SHOCKS[kind](np.random.default_rng(seed), HOLDOUT + nights)
    return nightly(values[:HOLDOUT]), values[HOLDOUT:]


def after(holdout: Nightly, values: np.ndarray, job=JOB) -> Break:
    return break_of(holdout, nightly(values, first=FIRST + timedelta(days=len(holdout))), job)


def alarm(holdout: Nightly, values: np.ndarray, job=JOB) -> int | None:
    """Return how many nights were known when there was a break first, or None if there never was."""
    first = FIRST + timedelta(days=len(holdout))
    known = enumerate(breaks(holdout, nightly(values, first=first), job), 1)
    return next((count for count, state in known if state.changed_on), None)


@pytest.mark.parametrize("rise", [5.0, 50.0])
def test_a_gross_break_is_known_with_its_third_night_and_dated(rise: float) -> None:
    late, off = [], []
    for seed in range(20):
        holdout, values = stream(seed, 40)
        values[25:] += rise
        known = alarm(holdout, values) or 99
        changed_on = after(holdout, values[:known]).changed_on
        assert changed_on is not None
        late.append(known - 25)
        off.append(abs((changed_on - FIRST).days - HOLDOUT - 25))
    assert sorted(late)[-2] <= 3  # 19 of 20 streams at least
    assert sum(days == 0 for days in off) >= 18


@pytest.mark.parametrize("kind", SHOCKS)
def test_more_than_a_year_of_nights_lies_between_false_alarms(kind: str) -> None:
    nights, alarms = 0, 0
    for seed in range(50):
        holdout, values = stream(seed, 150, kind)
        known = alarm(holdout, values)
        nights, alarms = nights + (known or 150), alarms + (known is not None)
    assert nights / max(alarms, 1) > 365, f"{alarms} alarms in {nights} nights"


def test_one_blizzard_is_no_break_and_three_bad_nights_that_end_are_over() -> None:
    holdout, values = stream(3, 40)
    values[20] += 1_000
    assert alarm(holdout, values) is None
    values[20:24] += 1_000
    assert after(holdout, values[:24]).changed_on is not None
    assert after(holdout, values).changed_on is None


def test_fewer_than_three_holdout_nights_say_nothing() -> None:
    bad = np.full(30, 1e6)
    assert after(nightly(np.array([0.1, 0.2])), bad) == Break(None, None, 0.0)
    assert after(nightly(np.array([0.1, 0.2, 0.3])), bad).changed_on is not None


def test_a_night_with_few_rows_may_lie_farther_away() -> None:
    holdout, _ = stream(1, 0)
    days = FIRST + timedelta(days=HOLDOUT)
    much, few = (break_of(holdout, nightly(np.full(2, 3.0), rows, days), JOB).score for rows in (1_000.0, 20.0))
    assert much > 3
    assert few < 1


def test_nights_whose_outcomes_overlap_count_as_the_fewer_they_are() -> None:
    """Values that go together for a week: sums of seven days."""
    alarms = 0
    for seed in range(20):
        days = np.random.default_rng(seed).normal(size=HOLDOUT + 106) / 7**0.5
        values = np.convolve(days, np.ones(7), "valid")
        alarms += alarm(nightly(values[:HOLDOUT]), values[HOLDOUT:], WEEKLY) is not None
    assert alarms <= 4  # of 2,000 nights
    holdout, values = nightly(np.sin(np.arange(HOLDOUT))), np.full(30, 1e6)
    assert (alarm(holdout, values), alarm(holdout, values, WEEKLY)) == (3, 20)  # of 3 x 7, by a hair


def test_no_later_night_is_looked_at() -> None:
    holdout, values = stream(5, 60)
    values[30:] += 2.0
    whole = list(breaks(holdout, nightly(values, first=FIRST + timedelta(days=HOLDOUT)), JOB))
    assert [after(holdout, values[:known]) for known in range(1, 61)] == whole
