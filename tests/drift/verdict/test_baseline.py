"""Which nights a night is compared with, and that a fault which lasts is not learnt at once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from drift.verdict.baseline import LEARNT_AFTER, Past, Reference, baseline_of, sustained, verdict_on
from drift.verdict.verdict import Night
from scoring.job.files import changed_job
from scoring.rows.profile import Profile
from tests.support.nights import BINS, JOB, day, past, profile, reference

REFERENCE = reference()
ROLLING = dataclasses.replace(REFERENCE, job=changed_job(JOB, ["monitor.baseline_nights=20"]))


def moved(seed: int, by: float) -> Profile:
    return profile(seed, x=pa.array(np.random.default_rng(seed).normal(by, 1, 1_000)))


def run(first: int, profiles: list[Profile], before: list[Past] | None = None) -> list[Past]:
    """Judge nights in order, as production does."""
    known = list(before or [])
    for number, one in enumerate(profiles, first):
        known.append(Past.of(day(number), one, verdict_on(REFERENCE, known, day(number), Night(one))))
    return known[len(before or []) :]


def test_the_baseline_is_the_last_nights_before_the_night():
    scored = [past(number) for number in range(30, 36)]
    chosen = baseline_of(ROLLING, scored, day(35)).nights
    assert list(chosen) == [REFERENCE.nights[day(n)] for n in range(15, 30)] + [one.profile for one in scored[:5]]
    assert baseline_of(ROLLING, [], day(0)).nights == []


def test_a_night_scored_again_replaces_the_night_of_training():
    again = dataclasses.replace(past(10), profile=profile(555))
    nights = baseline_of(REFERENCE, [again], day(30)).nights
    assert again.profile in nights
    assert REFERENCE.nights[day(10)] not in nights


def test_a_broken_night_is_no_example_until_a_week_is_broken():
    broken = [past(number, "alert", 50.0) for number in range(30, 30 + LEARNT_AFTER)]
    for some in range(1, LEARNT_AFTER):
        assert len(baseline_of(REFERENCE, broken[:some], day(30 + some)).nights) == 30
    assert len(baseline_of(REFERENCE, broken, day(30 + LEARNT_AFTER)).nights) == 30 + LEARNT_AFTER
    faulty = dataclasses.replace(past(30), faults=("x: all null",))
    assert len(baseline_of(REFERENCE, [faulty], day(31)).nights) == 30


@pytest.mark.parametrize("level", ["warn", "alert"])
def test_an_unusual_night_is_no_example_while_persistence_counts_it(level):
    scored = [past(30, level, 1.5), *(past(number) for number in range(31, 36))]
    counted = [scored[0].profile in baseline_of(REFERENCE, scored, day(number)).nights for number in range(31, 36)]
    assert counted == [False, False, True, True, True]


@pytest.mark.parametrize("by", [0.15, 0.2, 0.3, 1.0, 30.0])
def test_a_fault_that_lasts_is_an_alert_within_three_nights(by):
    found = run(30, [moved(700 + number, by) for number in range(3)])
    flagged = [one.unusual["x"] for one in found]
    assert "alert" in [one.verdict for one in found] or sum(flagged) < 2
    if by >= 0.2:
        assert [one.verdict for one in found][1:] == ["alert", "alert"]


def test_a_gross_fault_stays_an_alert_for_a_week_and_then_is_the_world():
    found = run(30, [moved(700 + number, 30.0) for number in range(LEARNT_AFTER + 2)])
    assert [one.verdict for one in found] == ["alert"] * LEARNT_AFTER + ["ok"] * 2


def test_persistence_looks_at_nights_of_the_calendar():
    long_ago = [past(20, "warn", x=True), past(28, "warn", x=True)]
    judged = [
        (one, verdict_on(REFERENCE, [], day(31), Night(one))) for one in (moved(700, 0.01 * n) for n in range(5, 40))
    ]
    night = next(
        one for one, found in judged if found.verdict == "warn" and found.score > 1.4 and "x:" in found.reasons[0]
    )
    assert verdict_on(REFERENCE, long_ago, day(31), Night(night)).verdict == "warn"
    assert verdict_on(REFERENCE, [past(29, "warn", x=True)], day(31), Night(night)).verdict == "alert"


def test_a_week_is_compared_with_weeks_once_there_are_four_nights():
    nights = [past(number) for number in range(30, 37)]
    assert sustained(REFERENCE, nights[:2], day(32), profile(99)) == {}
    calm = sustained(REFERENCE, nights[:6], day(36), profile(99))
    assert calm
    assert max(calm.values()) < 1.5
    shifted = [dataclasses.replace(one, profile=moved(800 + n, 0.5)) for n, one in enumerate(nights)]
    drifted = sustained(REFERENCE, shifted[:6], day(36), moved(99, 0.5))
    assert drifted["x"] > 2
    assert drifted["kind"] < 1.5
    assert sustained(Reference(BINS, {}, {}, {}, JOB), nights, day(37), profile(99)) == {}


def test_reference_is_read_from_what_the_version_keeps():
    kept = {
        "bins": {name: vars(one) for name, one in BINS.items()},
        "nights": {str(day(0)): profile(0).as_dict()},
        "quarantined": {"extracted": 200, "reasons": {"x:null": 4, "x:below_min": 10, "duplicate_key": 9}},
    }
    found = Reference.of(kept, {"weights": {"x": 1.0}}, JOB)
    assert (found.bins, found.nights, found.weights) == (BINS, {day(0): profile(0)}, {"x": 1.0})
    assert found.quarantined == {"x": 0.05}
    assert Reference.of({}, {}, JOB).nights == {}
