"""Going back to the predecessor: evidence that may be looked at every night."""

from __future__ import annotations

import numpy as np
import pytest

from lifecycle.comparison import Losses, judge_predecessor
from lifecycle.comparison.sequential import ALPHA, e_values
from scoring.job.policies import PromotionPolicy

NIGHTS = 14
POLICY = PromotionPolicy()


def _crossed(mean: float, runs: int = 400, lag: int = 1) -> np.ndarray:
    """Return after how many nights each run went back, or 99."""
    random = np.random.default_rng(0)
    nights = []
    for _ in range(runs):
        steps = mean + random.standard_t(5, NIGHTS) / np.sqrt(5 / 3)
        if lag > 1:
            steps = np.convolve(np.concatenate([steps, steps[: lag - 1]]), np.full(lag, lag**-0.5), mode="valid")
        evidence = e_values(steps, 1.0, lag)
        nights.append(int(np.argmax(evidence >= 1 / ALPHA)) + 1 if (evidence >= 1 / ALPHA).any() else 99)
    return np.array(nights)


def test_successor_that_is_no_worse_keeps_the_crown_however_often_one_looks() -> None:
    assert np.mean(_crossed(0.0) <= NIGHTS) <= 2 * ALPHA
    assert np.mean(_crossed(-0.5) <= NIGHTS) <= ALPHA


def test_successor_that_is_much_worse_loses_it_within_a_week() -> None:
    assert np.mean(_crossed(2.0) <= 7) > 0.9
    assert np.mean(_crossed(1.0) <= NIGHTS) > 0.6


def test_outcomes_that_overlap_are_not_counted_as_so_many_nights() -> None:
    assert np.mean(_crossed(0.0, lag=5) <= NIGHTS) <= 2 * ALPHA


def test_no_single_night_decides() -> None:
    evidence = e_values(np.array([1e6, 0.0, 0.0]), 1.0)
    assert evidence[-1] < 1 / ALPHA


def _losses(differences: np.ndarray) -> Losses:
    rows = np.full(len(differences), 1_000.0)
    return Losses(rows, (0.5 + differences) * rows, 0.5 * rows)


@pytest.mark.parametrize(("differences", "back"), [([0.02, 0.03, 0.02, 0.03], True), ([0.001, -0.001] * 5, False)])
def test_predecessor_is_judged_by_the_spread_that_was_known(differences: list[float], back: bool) -> None:
    judgement = judge_predecessor(_losses(np.array(differences)), 0.01, POLICY, "log loss")
    assert judgement.passed == back
    assert f"over {len(differences)} nights" in judgement.reason


def test_without_a_spread_the_nights_give_it_once_there_are_enough() -> None:
    steady = np.resize([0.02, 0.03], 7)
    few = judge_predecessor(_losses(steady[:6]), None, POLICY, "log loss")
    assert (few.passed, few.reason) == (False, "6 measured nights, 7 are needed")
    assert judge_predecessor(_losses(steady), None, POLICY, "log loss").passed
    same = judge_predecessor(_losses(np.zeros(9)), None, POLICY, "log loss")
    assert (same.passed, same.reason) == (False, "both say the same of every row")
