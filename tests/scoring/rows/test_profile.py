"""Profiles of parts add up to the profile of the whole, whatever the parts hold."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.rows.bins import FEW_VALUES, MAX_LEVELS, PROBABILITY_GRID, Bins, bins_of
from scoring.rows.profile import Counts, Profile, merged

NUMBERS = pa.array([0.0, 1.0, 2.0, 3.0, 5.0, 8.0, None])
MANY = pa.array(np.linspace(-5, 5, 2 * FEW_VALUES))
LETTERS = pa.array(["a", "a", "b", "c", None])
BINS = {"few": Bins.of(NUMBERS), "many": Bins.of(MANY), "letter": Bins.of(LETTERS)}
value = st.none() | st.sampled_from([0.0, 1.0, 2.0, 7.5, -1e6, 1e6, math.nan, math.inf, -math.inf]) | st.floats(-10, 10)
letter = st.none() | st.sampled_from(["a", "b", "c", "new", ""])
rows = st.lists(st.tuples(value, value, letter), max_size=40)


def columns(some: Sequence[tuple]) -> dict[str, pa.Array]:
    few, many, letters = zip(*some, strict=True) if some else ((), (), ())
    return {
        "few": pa.array(few, pa.float64()),
        "many": pa.array(many, pa.float64()),
        "letter": pa.array(letters, pa.string()),
    }


def profile(some: Sequence[tuple]) -> Profile:
    return Profile.of(BINS, columns(some), len(some))


def assert_same(one: Profile, other: Profile) -> None:
    assert one.rows == other.rows
    for name in BINS:
        a, b = one.columns[name], other.columns[name]
        assert (a.bins, a.rows, a.nulls, a.unseen, a.wrong, a.low, a.high) == (
            b.bins,
            b.rows,
            b.nulls,
            b.unseen,
            b.wrong,
            b.low,
            b.high,
        )
        assert a.total == pytest.approx(b.total, rel=1e-9, abs=1e-6)
        assert a.squares == pytest.approx(b.squares, rel=1e-9, abs=1e-6)


@given(rows, st.lists(st.integers(0, 40), max_size=5))
@settings(deadline=None, max_examples=150)
def test_profiles_of_any_parts_add_up_to_the_profile_of_the_night(some, cuts):
    places = [0, *sorted(min(cut, len(some)) for cut in cuts), len(some)]
    parts = [profile(some[start:end]) for start, end in itertools.pairwise(places)]
    assert_same(merged(parts), profile(some))


@given(rows)
@settings(deadline=None, max_examples=100)
def test_every_value_is_counted_once(some):
    for name, one in profile(some).columns.items():
        assert sum(one.bins) == one.present == one.rows - one.nulls - one.wrong
        assert 0 <= one.unseen <= one.present
        assert one.nulls == sum(each is None for each in columns(some)[name].to_pylist())


@given(rows)
@settings(deadline=None, max_examples=50)
def test_a_profile_survives_json(some):
    made = profile(some)
    assert Profile.from_dict(json.loads(json.dumps(made.as_dict()))) == made


def test_chunked_and_plain_columns_count_alike():
    values = [1.0, None, 2.0, 5.0, math.nan]
    chunked = pa.chunked_array([values[:2], [], values[2:]], pa.float64())
    assert Counts.of(chunked, BINS["few"]) == Counts.of(pa.array(values, pa.float64()), BINS["few"])


def test_what_is_not_finite_is_wrong_and_touches_no_sum():
    counts = Counts.of(pa.array([1.0, math.nan, math.inf, -math.inf, None]), BINS["few"])
    assert (counts.wrong, counts.nulls, counts.present, counts.total, counts.low, counts.high) == (
        3,
        1,
        1,
        1.0,
        1.0,
        1.0,
    )


@pytest.mark.parametrize(
    ("column", "name"), [(pa.array(["1", "2", None]), "few"), (pa.array([1.0, 2.0, None]), "letter")]
)
def test_another_type_is_wrong_in_every_value(column, name):
    counts = Counts.of(column, BINS[name])
    assert (counts.rows, counts.nulls, counts.wrong, sum(counts.bins)) == (3, 1, 2, 0)


def test_a_missing_column_is_null_in_every_row():
    made = Profile.of(BINS, {"few": pa.array([1.0, 2.0])}, 2)
    assert made.columns["letter"].nulls == 2
    assert made.columns["few"].nulls == 0


def test_values_and_levels_that_the_reference_never_had_are_unseen():
    assert Counts.of(pa.array([1.0, 1.5, 8.0]), BINS["few"]).unseen == 1
    assert Counts.of(pa.array([1.0, 1.5, 8.0]), BINS["many"]).unseen == 0  # too many to remember
    found = Counts.of(pa.array(["a", "new", "new", None]), BINS["letter"])
    assert (found.unseen, found.bins[-1]) == (2, 2)


def test_rare_levels_share_a_bin_and_are_not_unseen():
    levels = [f"level {number:04}" for number in range(MAX_LEVELS + 20)]
    bins = Bins.of(pa.array([*levels, *levels[:MAX_LEVELS]]))
    assert (len(bins.levels), len(bins.others)) == (MAX_LEVELS, 20)
    counts = Counts.of(pa.array([levels[0], levels[-1], "new"]), bins)
    assert (counts.bins[-2], counts.unseen) == (1, 1)


@pytest.mark.parametrize("values", [[3.0] * 5, [None, 3.0], ["a"] * 4])
def test_a_constant_column_has_bins_and_is_constant(values):
    column = pa.array(values)
    counts = Counts.of(column, Bins.of(column))
    assert counts.constant
    assert sum(counts.bins) == counts.present


def test_a_column_without_values_has_no_bins():
    assert set(bins_of({"empty": pa.array([None, None], pa.float64()), "full": pa.array([1.0])})) == {"full"}
    assert bins_of({PROBABILITY_GRID: pa.array([0.5])})[PROBABILITY_GRID].size == 100


def test_mean_and_sd():
    counts = Counts.of(pa.array([1.0, 2.0, 3.0, None]), BINS["few"])
    assert counts.mean == pytest.approx(2)
    assert counts.sd == pytest.approx(np.std([1, 2, 3]))
    assert (Counts((0,)).mean, Counts((0,)).sd, Counts((0,)).constant) == (0, 0, False)


def test_a_value_on_an_edge_belongs_to_the_bin_above_it():
    for name in ("few", "many"):
        for place, edge in enumerate(BINS[name].edges):
            assert Counts.of(pa.array([edge]), BINS[name]).bins[place + 1] == 1
