"""What is unusual follows from the nights, whatever their size; chance alone is not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from drift.verdict.calibration import FLOORS, Threshold, calibrate
from drift.verdict.distance import SHAPE, SHIFT, UNSEEN
from scoring.rows.profile import Profile
from tests.support.nights import BINS, profile

WATCHED = {"x", "kind", "prediction"}


def largest(calibration, night: Profile) -> float:
    return max(one.normalised_excess for one in calibration.measure(night))


@pytest.mark.parametrize(("of_baseline", "tonight"), [(300, 300), (300, 20_000), (20_000, 300), (1_000, 100_000)])
def test_rows_that_are_all_alike_stay_below_the_limit(of_baseline, tonight):
    found = calibrate([profile(number, of_baseline) for number in range(90)], BINS, WATCHED)
    ratios = [largest(found, profile(1_000 + number, tonight)) for number in range(30)]
    assert max(ratios) < 2  # never an alert on its own
    assert np.mean(np.array(ratios) > found.familywise_limit) <= 0.1


def test_a_shift_is_beyond_the_limit_at_any_size():
    for count in (300, 100_000):
        found = calibrate([profile(number, 1_000) for number in range(30)], BINS, WATCHED)
        moved = profile(99, count, x=pa.array(np.random.default_rng(3).normal(0.8, 1, count)))
        assert largest(found, moved) > 2


def test_nights_that_differ_make_the_limits_wide():
    random = np.random.default_rng(0)
    same = calibrate([profile(n) for n in range(30)], BINS, WATCHED)
    moving = [profile(n, x=pa.array(random.normal(random.normal(0, 0.3), 1, 1_000))) for n in range(30)]
    wide = calibrate(moving, BINS, WATCHED)
    assert wide.thresholds["x", SHIFT].excess > 3 * same.thresholds["x", SHIFT].excess
    assert wide.thresholds["kind", SHAPE].excess == pytest.approx(same.thresholds["kind", SHAPE].excess, rel=0.5)


def test_one_strange_night_blinds_nobody():
    nights = [profile(number) for number in range(30)]
    nights[7] = profile(7, kind=pa.array(["new"] * 1_000))
    assert calibrate(nights, BINS, WATCHED).familywise_limit <= 1.5


def test_only_watched_columns_count_for_the_limit_of_the_night():
    nights = [profile(number) for number in range(20)]
    nights[7] = profile(7, noted=pa.array(np.full(1_000, 9.0)))
    calm, strange = (calibrate(nights, BINS, watched).familywise_limit for watched in ({"kind"}, {"kind", "noted"}))
    assert 1.0 <= calm < strange == 1.5


def test_limits_have_floors_and_grow_with_chance():
    nights = [profile(0)] * 30
    found = calibrate(nights, BINS, WATCHED)
    assert {one.excess for (_, signal), one in found.thresholds.items() if signal == UNSEEN} == {FLOORS[UNSEEN]}
    assert found.familywise_limit == 1.0
    limit = Threshold(excess=0.1, spread=0.01)
    assert limit.tolerance(np.array([0.001, 0.01])).tolist() == pytest.approx([0.1, 0.1])
    assert limit.tolerance(np.array([0.1]))[0] > 0.3


def test_weeks_are_compared_with_weeks():
    found = calibrate([profile(number) for number in range(20)], BINS, WATCHED, window=7)
    assert found.nights == 20
    assert len(found._past["x", SHIFT].value) == 14


@pytest.mark.parametrize("nights", [0, 1, 2])
def test_few_nights_give_finite_results(nights):
    found = calibrate([profile(number) for number in range(nights)], BINS, WATCHED)
    measured = found.measure(profile(9))
    assert bool(measured) == (nights > 0)
    assert all(np.isfinite([one.value, one.threshold, one.normalised_excess, one.quantile]).all() for one in measured)


def test_the_quantile_is_the_share_of_nights_that_lay_nearer():
    found = calibrate([profile(number) for number in range(20)], BINS, WATCHED)
    moved = found.measure(profile(99, x=pa.array(np.full(1_000, 3.0))))
    assert {one.quantile for one in moved if (one.column, one.signal) == ("x", SHAPE)} == {1.0}
