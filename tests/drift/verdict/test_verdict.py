"""The verdict is loud about what is broken, quiet about the season, and never loses a column to another's trouble."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pyarrow as pa
import pytest

from drift.verdict.verdict import QUARANTINED, Baseline, Night, Verdict, judge
from scoring.job.files import changed_job
from tests.support.nights import BINS, JOB, profile

NIGHTS = [profile(number) for number in range(30)]
WEIGHTS = {"x": 0.5, "kind": 0.3, "weather": 0.2}
BASELINE = Baseline(BINS, NIGHTS, WEIGHTS)
SEVEN = pa.array(np.random.default_rng(5).normal(7, 1, 1_000))


def verdict(night: Night, before=(), **other) -> Verdict:
    return judge(night, other.pop("baseline", BASELINE), other.pop("job", JOB), before, **other)


def result(found: Verdict, name: str):
    return next(one for one in found.columns if one.column == name)


def assert_sound(found: Verdict) -> None:
    assert {one.column for one in found.columns} == {"x", "kind", "weather", "noted", "prediction"}
    for one in found.columns:
        assert all(math.isfinite(value) for value in (one.value, one.threshold, one.ratio, one.beyond, one.weight))
    assert math.isfinite(found.score)


def test_an_ordinary_night_is_ok():
    found = verdict(Night(profile(99)))
    assert (found.verdict, found.reasons, found.faults) == ("ok", (), [])
    assert_sound(found)


BROKEN = {
    "null": (pa.nulls(1_000, pa.float64()), "null"),
    "constant": (pa.array([0.5] * 1_000), "same one"),
    "of another type": (pa.array(["1.0"] * 1_000), "another type"),
    "not finite": (pa.array([float("nan")] * 500 + [0.1] * 500), "not finite"),
    "out of range": (pa.array(np.random.default_rng(0).normal(1e6, 1, 1_000)), "outside the range"),
    "missing": (None, "null"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_column_is_an_alert_and_costs_the_others_nothing(what):
    column, words = BROKEN[what]
    found = verdict(Night(profile(99, x=column)))
    assert found.verdict == "alert"
    assert_sound(found)
    assert words in found.reasons[0]
    assert result(found, "x").status == "fault"
    healthy = verdict(Night(profile(99)))
    for name in ("kind", "prediction", "weather"):
        assert result(found, name) == result(healthy, name)


@pytest.mark.parametrize("column", [pa.nulls(1_000, pa.string()), pa.array(["new"] * 1_000), pa.array([1.0] * 1_000)])
def test_a_broken_category_is_an_alert(column):
    found = verdict(Night(profile(99, kind=column)))
    assert (found.verdict, result(found, "kind").status) == ("alert", "fault")
    assert_sound(found)


def test_a_column_that_no_profile_has_is_a_fault():
    night = profile(99)
    columns = {name: counts for name, counts in night.columns.items() if name != "x"}
    found = verdict(Night(dataclasses.replace(night, columns=columns)))
    assert result(found, "x").fault == "the column is missing"
    assert_sound(found)


def test_a_night_without_rows_is_an_alert():
    found = verdict(Night(profile(99, 0)))
    assert found.verdict == "alert"
    assert_sound(found)


def test_without_a_baseline_it_warns_and_says_so():
    found = verdict(Night(profile(99)), baseline=Baseline(BINS, []))
    assert found.verdict == "warn"
    assert "nothing to compare with" in found.reasons[0]
    assert_sound(found)


@pytest.mark.parametrize("name", ["weather", "noted"])
def test_seasonal_and_ignored_columns_never_alarm_alone(name):
    found = verdict(Night(profile(99, **{name: SEVEN})))
    assert result(found, name).unusual
    assert found.verdict in ("ok", "warn")  # 7 sd away is out of the range: a seasonal fault is a warning
    milder = verdict(Night(profile(99, **{name: pa.array(np.random.default_rng(5).normal(1, 1, 1_000))})))
    assert result(milder, name).status == "gross"
    assert (milder.verdict, milder.reasons) == ("ok", ())


def test_a_seasonal_column_that_is_broken_is_a_warning():
    found = verdict(Night(profile(99, weather=pa.nulls(1_000, pa.float64()))))
    assert (found.verdict, len(found.faults)) == ("warn", 1)
    ignored = verdict(Night(profile(99, noted=pa.nulls(1_000, pa.float64()))))
    assert (ignored.verdict, ignored.faults) == ("ok", [])


def mild() -> tuple[Night, Verdict]:
    """A night that is unusual in x but not grossly."""
    for step in range(1, 60):
        night = Night(profile(99, x=pa.array(np.random.default_rng(8).normal(0.02 * step, 1, 1_000))))
        found = verdict(night)
        if found.verdict == "warn":
            return night, found
    raise AssertionError("no shift is a warning")


def test_what_is_unusual_twice_in_three_nights_is_an_alert():
    night, first = mild()
    assert result(first, "x").status == "unusual"
    x = {"x": True}
    assert verdict(night, [{}, x]).verdict == "alert"
    assert verdict(night, [x, {}]).verdict == "alert"
    assert verdict(night, [x, {}, {}]).verdict == "warn"  # four nights ago
    assert verdict(night, [{"kind": True}, {}]).verdict == "warn"  # another column
    assert "on 2 of the last 3 nights" in verdict(night, [{}, x]).reasons[0]
    strict = changed_job(JOB, ["monitor.persistence=[3, 5]"])
    assert verdict(night, [{}, {}, x], job=strict).verdict == "warn"
    assert verdict(night, [x, {}, x], job=strict).verdict == "alert"
    patient = changed_job(JOB, ["monitor.persistence=[1, 1]"])
    assert verdict(night, job=patient).verdict == "alert"
    assert verdict(Night(profile(98)), [x, x]).verdict == "ok"


def test_quarantined_rows_count_for_their_column():
    few = verdict(Night(profile(99), {"x": 3}))
    many = verdict(Night(profile(99, 950), {"x": 50}))
    assert (few.verdict, many.verdict) == ("ok", "alert")
    assert (result(many, "x").signal, result(many, "x").value) == (QUARANTINED, 0.05)
    usual = Baseline(BINS, NIGHTS, WEIGHTS, {"x": 0.05})
    assert verdict(Night(profile(99, 950), {"x": 50}), baseline=usual).verdict == "ok"


def test_one_quarantined_row_of_a_small_night_is_chance():
    assert verdict(Night(profile(99, 60), {"x": 1}), baseline=Baseline(BINS, NIGHTS)).verdict == "ok"


def test_drifted_weight_adds_up_what_lasts_in_monitored_columns():
    found = verdict(Night(profile(99)), sustained={"x": 1.5, "kind": 0.9, "weather": 9.0})
    assert found.drifted_weight == 0.5
    assert found.drifted_columns == ["x"]
    assert {one.column: one.weight for one in found.columns if one.weight} == WEIGHTS
    assert found.verdict == "ok"  # weeks decide about retraining, not about the night
