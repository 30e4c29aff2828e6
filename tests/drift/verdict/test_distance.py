"""Distances are finite, at least 0, 0 for the same counts, and chance is what multinomial draws show."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from drift.verdict.distance import LARGEST, NULLS, SHAPE, SHIFT, UNSEEN, Column, distances
from scoring.rows.bins import Bins
from scoring.rows.profile import Counts

REFERENCE = pa.array(np.arange(20.0))
NUMBER = Bins.of(REFERENCE)
CATEGORY = Bins.of(pa.array(list("aaabbc")))
number = st.none() | st.floats(-1e9, 1e9) | st.sampled_from([float("nan"), float("inf"), 3.0])
letter = st.none() | st.sampled_from(["a", "b", "c", "new"])


def column(values: list, bins: Bins) -> Column:
    kind = pa.string() if bins.kind == "category" else pa.float64()
    return Column.of([Counts.of(pa.array(values, kind), bins)])


def levels(counts: np.ndarray) -> Column:
    """Rows of counts of a category column that has so many levels."""
    rows = counts.sum(axis=1).astype(float)
    nothing = np.zeros(len(rows))
    return Column(counts.astype(float), rows, nothing, nothing, nothing, nothing)


@given(st.lists(number, max_size=30), st.lists(number, max_size=30))
@settings(deadline=None, max_examples=150)
def test_numbers_whatever_they_hold_lie_at_a_finite_distance(some, base):
    for one in distances(column(some, NUMBER), column(base, NUMBER), NUMBER).values():
        for part in (one.value, one.noise, one.spread, one.excess):
            assert np.isfinite(part).all()
            assert (part >= 0).all()
        assert one.value[0] <= LARGEST


@given(st.lists(letter, max_size=30), st.lists(letter, max_size=30))
@settings(deadline=None, max_examples=150)
def test_shape_and_nulls_are_symmetric(some, base):
    a, b = column(some, CATEGORY), column(base, CATEGORY)
    there, back = distances(a, b, CATEGORY), distances(b, a, CATEGORY)
    for signal in (SHAPE, NULLS):
        assert there[signal].value[0] == pytest.approx(back[signal].value[0], abs=1e-12)
    assert there[SHAPE].value[0] <= 1 + 1e-12
    assert there[UNSEEN].value[0] * back[UNSEEN].value[0] == 0  # growth on one side only


@given(st.lists(number, min_size=1, max_size=30))
@settings(deadline=None, max_examples=100)
def test_the_same_counts_lie_at_no_distance(values):
    one = column(values, NUMBER)
    assert {float(found.value[0]) for found in distances(one, one, NUMBER).values()} == {0.0}


def test_shape_is_the_square_of_the_jensen_shannon_distance():
    a, b = np.array([[10, 5, 0, 1]]), np.array([[3, 3, 3, 3]])
    found = distances(levels(a), levels(b), Bins("category", levels=("a", "b")))[SHAPE].value[0]
    assert found == pytest.approx(jensenshannon(a[0], b[0], 2) ** 2)


def test_shift_is_about_the_wasserstein_distance_in_standard_deviations():
    random = np.random.default_rng(0)
    base, some = random.normal(size=5000), random.normal(0.5, 1.3, 5000)
    bins = Bins.of(pa.array(base))
    found = distances(column(list(some), bins), column(list(base), bins), bins)[SHIFT].value[0]
    assert found == pytest.approx(wasserstein_distance(some, base) / base.std(), rel=0.2)


def test_unseen_grows_only_and_nulls_change_either_way():
    full, half = column(["a", "b"], CATEGORY), column(["a", None, "new", "new"], CATEGORY)
    assert distances(half, full, CATEGORY)[UNSEEN].value[0] == pytest.approx(2 / 3)
    assert distances(full, half, CATEGORY)[UNSEEN].value[0] == 0
    assert distances(full, half, CATEGORY)[NULLS].value[0] == pytest.approx(0.25)


def test_wrong_values_count_as_nulls():
    good, bad = column([1.0] * 4, NUMBER), column([1.0, 1.0, 1.0, float("nan")], NUMBER)
    assert distances(bad, good, NUMBER)[NULLS].value[0] == pytest.approx(0.25)


@pytest.mark.parametrize("levels_of", [np.ones(3), np.ones(20), 1 / np.arange(1, 106), 1 / np.arange(1, 501)])
@pytest.mark.parametrize("rows", [100, 300, 1_000, 10_000, 100_000])
def test_chance_of_shape_is_what_draws_show(levels_of, rows):
    random, shares = np.random.default_rng(0), levels_of / levels_of.sum()
    some, base = levels(random.multinomial(rows, shares, 400)), levels(random.multinomial(90 * rows, shares, 400))
    found = distances(some, base, Bins("category", levels=("x",) * len(shares)))[SHAPE]
    assert found.noise.mean() == pytest.approx(found.value.mean(), rel=0.1)
    assert found.spread.mean() == pytest.approx(found.value.std(), rel=0.2)


@pytest.mark.parametrize("rows", [30, 300, 100_000])
def test_chance_of_shift_and_shares_is_not_below_what_draws_show(rows):
    random = np.random.default_rng(1)
    base = column(list(random.normal(size=20_000)), bins := Bins.of(pa.array(random.normal(size=20_000))))
    shifts = []
    for _ in range(40):
        found = distances(column(list(random.normal(size=min(rows, 20_000))), bins), base, bins)[SHIFT]
        shifts.append((found.value[0] - found.noise[0]) / found.spread[0])
    assert np.mean(shifts) < 0.3
    assert max(shifts) < 3


def test_windows_and_what_remains():
    counts = levels(np.array([[1, 0], [0, 2], [3, 0]]))
    assert counts.windows(2).bins.tolist() == [[1, 2], [3, 2]]
    assert counts.sum().without(counts).bins.tolist() == [[3, 2], [4, 0], [1, 2]]
