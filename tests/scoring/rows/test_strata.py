"""The strata of a column's nulls are the category that best says where they are, or none."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from scoring.rows.bins import bins_from, bins_of
from scoring.rows.profile import Profile
from scoring.rows.strata import strata_of

RANDOM = np.random.default_rng(0)
CARRIERS = np.array(["EV", "MQ", "UA"])[RANDOM.integers(0, 3, 3_000)]
MISSING = RANDOM.random(3_000) < np.where(CARRIERS == "MQ", 0.9, 0.02)
COLUMNS = {
    "seats": pa.array(np.arange(3_000.0), mask=MISSING),
    "carrier": pa.array(CARRIERS),
    "origin": pa.array(np.array(["JFK", "LGA"])[RANDOM.integers(0, 2, 3_000)]),
    "lost": pa.array(np.arange(3_000.0), mask=RANDOM.random(3_000) < 0.16),
}


def test_the_column_that_says_where_nulls_are_is_chosen_and_none_where_no_column_says_it():
    assert strata_of(COLUMNS) == {"seats": "carrier"}


def test_a_column_of_many_levels_is_no_stratum():
    tails = pa.array([f"N{number}" for number in range(3_000)])
    assert strata_of({"seats": COLUMNS["seats"], "tail": tails}) == {}


def test_nulls_are_counted_by_stratum_and_add_up():
    bins = bins_of(COLUMNS)
    whole = Profile.of(bins, COLUMNS, 3_000)
    parts = [Profile.of(bins, {name: c.slice(at, 1_500) for name, c in COLUMNS.items()}, 1_500) for at in (0, 1_500)]
    assert (parts[0] + parts[1]).columns["seats"].nulls_by == whole.columns["seats"].nulls_by
    by_level = dict(zip(bins["carrier"].levels, whole.columns["seats"].nulls_by, strict=False))
    assert by_level == {level: int((MISSING & (level == CARRIERS)).sum()) for level in ("EV", "MQ", "UA")}
    assert whole.columns["lost"].nulls_by == ()


def test_profiles_and_bins_of_before_still_load():
    bins = bins_of(COLUMNS)
    older = {name: {part: value for part, value in vars(of).items() if part != "strata"} for name, of in bins.items()}
    assert bins_from(older)["seats"].strata is None
    content = Profile.of(bins, COLUMNS, 3_000).as_dict()
    columns = {
        name: {k: v for k, v in counts.items() if k != "nulls_by"} for name, counts in content["columns"].items()
    }
    before = Profile.from_dict({**content, "columns": columns})
    assert before.columns["seats"].nulls_by == ()
    assert (before + Profile.from_dict(content)).columns["seats"].nulls_by == ()
