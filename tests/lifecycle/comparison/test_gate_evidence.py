"""What the holdout must show of a challenger: that it is better, or only nothing to the contrary."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from lifecycle.comparison.gate import Losses, gain_of, judge, judge_shadow
from scoring.job.policies import PromotionPolicy
from scoring.stores.warehouse import ComparedVersion, Evaluation, Holdout, Metrics

NIGHTS = 14
DAY = date(2024, 1, 1)
SIDE = ComparedVersion(1, "a" * 64, DAY, DAY)
WANTED = PromotionPolicy(evidence="not_worse")
STRICT = PromotionPolicy(evidence="better")


def _evaluation(gains: np.ndarray, errors: tuple[float, float] = (0.01, 0.01)) -> Evaluation:
    """Return a comparison with these gains per row and night."""
    rows = np.full(len(gains), 1_000.0)
    losses = Losses(rows, 0.5 * rows, (0.5 - gains) * rows)
    metrics: list[Metrics] = [{"calibration_error": {"value": error}} for error in errors]
    same = {"champion": 1.0, "challenger": 1.0}
    return Evaluation(
        challenger=SIDE,
        champion=SIDE,
        holdout=Holdout(DAY, DAY, len(gains), len(gains), int(rows.sum())),
        loss="log loss",
        metrics=dict(zip(same, metrics, strict=True)),
        gain=gain_of(losses, 0.95),
        by_night=[],
        segments=[],
        calibration={},
        latency=same,
        size=same,
    )


UNSURE = np.resize([0.01, -0.012], NIGHTS)
WORSE = np.resize([-0.01, -0.012], NIGHTS)
BETTER = -WORSE


@pytest.mark.parametrize(
    ("gains", "better", "not_worse"),
    [(UNSURE, False, True), (WORSE, False, False), (BETTER, True, True), (np.zeros(NIGHTS), False, False)],
    ids=["unsure", "worse", "better", "tie"],
)
def test_gate_asks_for_what_the_job_says(gains: np.ndarray, better: bool, not_worse: bool) -> None:
    found = [judge(_evaluation(gains), policy, "log loss").passed for policy in (STRICT, WANTED)]
    assert found == [better, not_worse]


def test_not_worse_still_needs_nights_and_calibration() -> None:
    few = judge(_evaluation(BETTER[:6]), WANTED, "log loss")
    assert not few.passed
    assert "6 holdout nights" in few.reason
    one = judge(_evaluation(BETTER[:1]), WANTED, "log loss")
    assert not one.passed
    assert "no interval" in one.reason
    badly = judge(_evaluation(BETTER, errors=(0.01, 0.04)), WANTED, "log loss")
    assert not badly.passed
    assert badly.reason.startswith("calibration error")


def test_not_worse_says_what_was_enough() -> None:
    found = judge(_evaluation(UNSURE), WANTED, "log loss")
    assert "an interval that reaches above 0 is enough" in found.reason


def test_nights_in_the_shadow_may_not_be_worse_either() -> None:
    rows = np.full(NIGHTS, 1_000.0)
    shadow, holdout = (Losses(rows, 0.5 * rows, (0.5 - gains) * rows) for gains in (UNSURE, UNSURE))
    assert not judge_shadow(shadow, holdout, STRICT, "log loss").passed
    assert judge_shadow(shadow, holdout, WANTED, "log loss").passed
    worse = Losses(rows, 0.5 * rows, (0.5 - WORSE) * rows)
    much_better = Losses(rows, 0.5 * rows, 0.4 * rows)
    assert not judge_shadow(worse, much_better, WANTED, "log loss").passed
