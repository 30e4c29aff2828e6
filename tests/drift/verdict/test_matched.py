"""A factor on all values and nulls in every stratum are found; weekdays, seasons and one carrier's change are not."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from drift.verdict.breadth import breadth
from drift.verdict.calibration import calm
from drift.verdict.detectable import blind_spots, smallest_shift
from drift.verdict.matched import BREADTH, SCALE, Dated, matched
from scoring.rows.bins import bins_of
from scoring.rows.profile import Profile
from tests.support.nights import FIRST

DAYS = [FIRST + timedelta(days=number) for number in range(90)]
SHARES = {"EV": 0.0, "MQ": 0.9, "UA": 0.03, "B6": 0.1, "DL": 0.05}


def columns(
    number: int, factor: float = 1.0, more: float = 0.0, only: str = "", rows: int = 2_000
) -> dict[str, pa.Array]:
    random = np.random.default_rng([number, rows])
    season, weekend = 0.15 * np.sin(number / 58), -0.1 * ((FIRST + timedelta(days=number)).weekday() >= 5)
    amount = factor * np.exp(3 + season + weekend + 0.02 * random.normal() + 0.6 * random.normal(size=rows))
    mix = random.dirichlet([30, 20, 30, 20, 20])
    carrier = np.array(list(SHARES))[random.choice(5, rows, p=mix)]
    share = np.array([SHARES[name] + more * (not only or only == name) for name in carrier])
    return {
        "amount": pa.array(amount),
        "seats": pa.array(random.normal(size=rows), mask=random.random(rows) < share),
        "carrier": pa.array(carrier),
    }


TRAINED = [columns(number) for number in range(90)]
BINS = bins_of({name: pa.concat_arrays([night[name] for night in TRAINED]) for name in TRAINED[0]})
BASE = Dated(DAYS, [Profile.of(BINS, night, 2_000) for night in TRAINED])


def ratios(*nights: dict[str, pa.Array]) -> dict[str, float]:
    """Return the ratios of the last night, by signal, given the nights from the 91st on."""
    days = [FIRST + timedelta(days=90 + number) for number in range(len(nights))]
    profiles = [Profile.of(BINS, night, len(night["amount"])) for night in nights]
    found = matched(BASE, Dated(days, profiles), BINS)
    return {one.signal: one.normalised_excess for one in found if one.column in ("amount", "seats")}


def test_nights_that_follow_the_season_and_the_week_are_usual():
    for number in range(90, 104):
        made = matched(BASE, Dated([FIRST + timedelta(days=90)], [Profile.of(BINS, columns(90), 2_000)]), BINS)
        assert all(one.normalised_excess < 1.5 for one in made), number


@pytest.mark.parametrize("factor", [1.25, 0.8])
def test_a_factor_on_all_values_is_gross_on_its_first_night(factor: float):
    assert ratios(columns(90, factor))[SCALE] > 2


def test_a_small_factor_that_lasts_is_found_by_three_nights_together():
    alone = ratios(columns(90, 1.13))[SCALE]
    together = ratios(columns(90, 1.13), columns(91, 1.13), columns(92, 1.13))[SCALE]
    assert together > 2
    assert together > alone


def test_other_values_in_two_thirds_of_the_rows_are_no_factor():
    night = columns(90)
    values = night["amount"].to_numpy()
    night["amount"] = pa.array(np.where(values > np.quantile(values, 0.33), 1.3 * values, values))
    assert ratios(night)[SCALE] < 1


def test_nulls_everywhere_are_found_and_those_of_one_carrier_are_not():
    assert BINS["seats"].strata == "carrier"
    assert ratios(columns(90, more=0.06))[BREADTH] > 2
    assert ratios(columns(90, more=0.3, only="UA"))[BREADTH] < 1
    assert ratios(columns(90))[BREADTH] < 1


def test_a_night_without_values_or_rows_has_no_factor():
    night = {**columns(90), "amount": pa.nulls(2_000, pa.float64())}
    assert SCALE not in ratios(night)
    assert all(np.isfinite(value) for value in ratios(columns(90, rows=0)).values())


def test_a_short_baseline_and_versions_of_before_have_no_matched_signals():
    tonight = Dated([FIRST + timedelta(days=90)], [BASE.profiles[0]])
    assert matched(Dated(DAYS[:10], BASE.profiles[:10]), tonight, BINS) == []
    older = Dated([FIRST + timedelta(days=90)], [Profile.from_dict(_without_strata(BASE.profiles[0].as_dict()))])
    assert {one.signal for one in matched(BASE, older, BINS)} == {SCALE}


def _without_strata(content):
    return {**content, "columns": {name: {**counts, "nulls_by": ()} for name, counts in content["columns"].items()}}


def test_breadth_is_the_middle_of_the_strata():
    usual = np.array([5.0, 90.0, 10.0, 0.0, 20.0, 30.0])
    base, rows = np.tile(usual, (30, 1)), np.full((30, 6), 100.0)
    one_carrier = np.array([5.0, 90.0, 10.0, 60.0, 20.0, 30.0])
    moved = breadth(np.stack([usual + 5, one_carrier]), rows[:2], base, rows)
    assert moved[0] == pytest.approx(0.05)
    assert abs(moved[1]) < 0.02


def test_a_blizzard_does_not_widen_the_thresholds_but_a_new_normal_does():
    usual = np.tile([0.01, 0.02, 0.03], 30)
    blizzard = np.where(np.arange(90) == 40, 0.5, usual)
    assert calm(blizzard).max() == 0.03
    assert calm(np.where(np.arange(90) == 88, 0.5, usual)).max() == 0.5
    assert calm(np.where(np.arange(90) % 7 == 0, 0.5, usual)).max() == 0.5


def test_few_rows_are_said():
    assert blind_spots({"x": {"shift": (0.1, 0.2)}, "kind": {"shape": (0.1, 0.3)}}) == []
    said = blind_spots({"x": {"shift": (0.1, 0.8), "shape": (0.1, 0.2)}, "kind": {"shape": (0.1, 0.84)}})
    assert said == [
        "this night could only have shown shifts above: x 0.80 standard deviations, kind 0.84 of 1 in shape"
    ]
    assert smallest_shift({"quarantined": (0.0, 0.1)}) is None
