"""What intervals around predicted values are made of."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scoring.rows import Band
from scoring.rows.band import LEAST_ROWS

Draw = tuple[np.ndarray, np.ndarray]


def drawn(rows: int, seed: int, spread: float = 0.2) -> Draw:
    """Return predictions, and outcomes whose spread grows with them and is skewed."""
    random = np.random.default_rng(seed)
    predicted = random.uniform(10, 300, rows)
    return predicted, predicted * (1 + spread * (random.exponential(size=rows) - 1))


@pytest.mark.parametrize("level", [0.8, 0.9, 0.99])
def test_interval_holds_its_share_of_new_rows_whatever_the_size_of_the_prediction(level: float) -> None:
    band = Band.of(*drawn(20_000, 0))
    assert band is not None
    predicted, outcome = drawn(50_000, 1)
    lower, upper = band.limits(predicted, 1 - level)
    inside = (outcome >= lower) & (outcome <= upper)
    assert inside.mean() == pytest.approx(level, abs=0.02)
    for part in np.array_split(np.argsort(predicted), 5):
        assert inside[part].mean() == pytest.approx(level, abs=0.03)
    assert ((outcome < lower).mean(), (outcome > upper).mean()) == pytest.approx([(1 - level) / 2] * 2, abs=0.015)


def test_few_rows_give_an_interval_that_is_too_wide_rather_than_too_narrow() -> None:
    covered = []
    for seed in range(60):
        band = Band.of(*drawn(120, seed))
        assert band is not None
        predicted, outcome = drawn(500, seed + 1_000)
        lower, upper = band.limits(predicted, 0.1)
        covered.append(((outcome >= lower) & (outcome <= upper)).mean())
    assert 0.89 < np.mean(covered) < 0.94


def test_too_few_rows_with_an_outcome_give_none() -> None:
    predicted, outcome = drawn(LEAST_ROWS, 0)
    assert Band.of(predicted, outcome) is not None
    outcome[0] = np.nan
    assert Band.of(predicted, outcome) is None


def test_interval_of_a_row_has_the_same_bits_alone_in_a_batch_and_after_json() -> None:
    band = Band.of(*drawn(5_000, 0))
    assert band is not None
    again = Band.from_dict(json.loads(json.dumps(band.as_dict())))
    predicted, _ = drawn(1_000, 1)
    whole = np.stack(band.limits(predicted, 0.083))
    alone = np.concatenate(
        [np.stack(again.limits(predicted[place : place + 1], 0.083)) for place in range(1_000)], axis=1
    )
    assert whole.tobytes() == alone.tobytes()


def test_interval_grows_without_end_below_a_missed_share_of_zero() -> None:
    band = Band.of(*drawn(1_000, 0))
    assert band is not None
    widths = [
        np.subtract(*band.limits(np.array([100.0]), miss)[::-1])[0] for miss in (0.1, 0.01, 0.0, -0.1, -1.0, -10.0)
    ]
    assert widths == sorted(widths)
    assert widths[-1] > 5 * widths[2]


def test_constant_predictions_and_perfect_ones_have_an_interval() -> None:
    random = np.random.default_rng(0)
    constant = Band.of(np.full(1_000, 7.0), 7 + random.normal(size=1_000))
    perfect = Band.of(np.arange(1_000.0), np.arange(1_000.0))
    assert constant is not None
    assert perfect is not None
    assert len(constant.sizes) == 1
    lower, upper = constant.limits(np.array([7.0, 9.0]), 0.1)
    assert np.isclose(upper - lower, 2 * 1.645, atol=0.3).all()
    assert [float(end[0]) for end in perfect.limits(np.array([5.0]), 0.1)] == [5.0, 5.0]
