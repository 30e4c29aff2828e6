"""How far nights of training lay from one another, from a sample of their rows."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from drift.performance.training_nights import night_spread
from tests.support.jobs import make_job

REGRESSION, BINARY = make_job("regression"), make_job("binary")
FIRST = date(2024, 1, 1)


def sample(nights: int, rows: int, between: float, storms: int = 0, seed: int = 0) -> pa.Table:
    """Absolute errors of 2 and more, which vary by 1 from row to row and by ``between`` from night to night."""
    random = np.random.default_rng(seed)
    shift = between * random.normal(size=nights)
    shift[:storms] += 8 * between
    error = 10 + np.repeat(shift, rows) + random.normal(size=nights * rows)
    days = np.repeat([FIRST + timedelta(days=number) for number in range(nights)], rows)
    night = pa.array(days.tolist(), pa.date32())
    return pa.table({"nightshift_night": night, "outcome": np.zeros(nights * rows), "prediction": error})


@pytest.mark.parametrize("rows", [25, 100])
def test_spread_is_that_of_whole_nights_however_few_of_their_rows_are_kept(rows: int) -> None:
    spreads = [night_spread(sample(90, rows, 0.5, seed=seed), 10_000, REGRESSION) for seed in range(20)]
    assert 0.3 < np.median(spreads) < 0.65
    alone = [night_spread(sample(90, rows, 0.0, seed=seed), 10_000, REGRESSION) for seed in range(20)]
    assert np.median(alone) < 0.15
    assert night_spread(sample(90, rows, 0.0), 25, REGRESSION) == pytest.approx(
        0.2, abs=0.1
    )  # rows of the night itself


def test_stormy_nights_widen_it_and_one_faulty_night_does_not() -> None:
    calm, faulty, stormy = (night_spread(sample(90, 100, 0.5, storms), 10_000, REGRESSION) for storms in (0, 1, 6))
    assert faulty == pytest.approx(calm, rel=0.35)
    assert stormy > 2 * calm


def test_too_few_nights_or_rows_say_nothing() -> None:
    assert night_spread(None, 100, REGRESSION) == 0
    assert night_spread(sample(19, 100, 0.5), 100, REGRESSION) == 0
    assert night_spread(sample(90, 19, 0.5), 100, REGRESSION) == 0
    assert night_spread(pa.table({"outcome": [1.0]}), 100, REGRESSION) == 0


def test_a_base_rate_that_moves_is_no_spread() -> None:
    """Calibrated probabilities on nights with other shares of positives: the excess log loss hardly moves."""
    random = np.random.default_rng(0)
    share = np.repeat(random.uniform(0.2, 0.8, 60), 300)
    night = pa.array(np.repeat([FIRST + timedelta(days=number) for number in range(60)], 300).tolist(), pa.date32())
    outcome = random.random(len(share)) < share
    table = pa.table({"nightshift_night": night, "outcome": outcome, "prediction": outcome, "probability": share})
    assert night_spread(table, 10_000, BINARY) < 0.01
