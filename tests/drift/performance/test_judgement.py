"""The verdict on measured performance: what is ok, warned of, an alert or not to be judged, and how often by mistake."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics

from drift.performance import Constant, Gap, Judgement, Nightly, Standard, Usual, judge
from tests.support.jobs import make_job

JOB = make_job()
FIRST = date(2024, 1, 1)
GAP = Gap(-0.05, -0.08, -0.02, 0.3)
TRIED = 150


def nightly(values: np.ndarray, rows: float = 1_000.0, first: date = FIRST) -> Nightly:
    days = tuple(first + timedelta(days=number) for number in range(len(values)))
    return Nightly(days, np.asarray(values, dtype=float), np.full(len(values), rows))


def standard(holdout: Nightly, allowed: float = 0.01) -> Standard:
    return Standard(holdout, Usual.of(holdout, JOB), 0.0, allowed, None)


USUAL = standard(nightly(0.02 * np.sin(np.arange(14))))


def judged(values: list[float], gap: Gap | None = GAP, rows: float = 1_000.0) -> Judgement:
    return judge(nightly(np.array(values), rows, FIRST + timedelta(days=14)), USUAL, gap, JOB)


def test_nights_like_those_of_the_holdout_are_ok() -> None:
    found = judged([0.01, -0.01, 0.0, 0.02])
    assert (found.verdict, found.reasons, found.changed_on) == ("ok", (), None)
    assert {name: rise.nights for name, rise in found.windows.items()} == {"night": 1, "7": 4}
    assert {name: rise.nights for name, rise in judged([0.0] * 30).windows.items()} == {"night": 1, "7": 7, "28": 28}


def test_a_night_far_above_the_holdout_is_an_alert_and_one_less_far_a_warning() -> None:
    alert, warning = judged([0.0, 0.2]), judged([0.0, 0.062])
    assert (alert.verdict, warning.verdict) == ("alert", "warn")
    (reason,) = alert.reasons
    assert reason.startswith(
        "excess_log_loss of the night lies +0.1996 above the holdout's at training (99.8 % interval +0.1"
    )
    assert reason.endswith(", 0.0100 is allowed")
    assert "(99 % interval" in warning.reasons[0]


def test_a_week_shows_what_no_night_of_it_does() -> None:
    found = judged([0.036] * 4)
    assert (found.windows["night"].verdict, found.windows["7"].verdict) == ("ok", "warn")
    assert "of the last 4 measured nights lies" in found.reasons[0]


def test_what_is_allowed_is_no_alert_however_sure() -> None:
    nights = nightly(np.full(28, 0.045), first=FIRST + timedelta(days=14))
    sure = judge(nights, replace(USUAL, allowed=0.05), GAP, JOB)
    assert [rise.verdict for rise in sure.windows.values()] == ["ok"] * 3


def test_worse_than_a_constant_with_the_whole_interval_is_an_alert_at_once() -> None:
    worse = Gap(0.4, 0.1, 0.7, 0.31)
    found = judged([0.0], worse)
    assert (found.verdict, len(found.reasons)) == ("alert", 1)
    assert found.reasons[0].startswith(
        "worse than always saying the training data's base rate, 0.31: log_loss of the night's"
    )
    assert judged([0.0], replace(worse, low=-0.1)).verdict == "ok"
    assert judge(nightly(np.zeros(1)), None, worse, JOB).verdict == "alert"  # whatever else cannot be judged


def test_what_cannot_be_judged_says_so() -> None:
    none = judge(nightly(np.zeros(1)), None, GAP, JOB)
    assert (none.verdict, none.reasons) == (None, ("not judged: the version has no holdout to be held against",))
    short = judge(nightly(np.zeros(1)), standard(nightly(np.zeros(2))), GAP, JOB)
    assert "holdout has 2 nights, 3 say how far nights differ" in short.reasons[0]
    few = judged([9.0], rows=19.0)
    assert (few.verdict, few.reasons) == (None, ("not judged by itself: 19 rows with a label, 20 are needed",))


def test_a_break_is_an_alert_that_says_since_when() -> None:
    found = judged([0.0, 0.01, 0.0, 0.3, 0.3, 0.3])
    assert found.changed_on == FIRST + timedelta(days=17)
    assert (
        "performance broke on 2024-01-18: excess_log_loss is 0.3000 on the 3 nights measured since" in found.reasons[0]
    )
    assert found.as_json()["changed_on"] == "2024-01-18"


@pytest.mark.parametrize("rows", [60, 300])
def test_one_night_in_a_hundred_at_most_is_a_false_alert(rows: int) -> None:
    """Made-up events under a model that knows all but what makes nights differ; holdouts of 14 nights."""
    alerts = nights = 0
    for seed in range(8):
        values, counts = _stream(np.random.default_rng(seed), 14 + TRIED, rows)
        days = tuple(FIRST + timedelta(days=number) for number in range(14 + TRIED))
        whole = Nightly(days, values, counts)
        held = standard(whole.part(slice(0, 14)))
        for until in range(15, 14 + TRIED + 1, 3):
            alerts += judge(whole.part(slice(14, until)), held, GAP, JOB).verdict == "alert"
            nights += 1
    assert alerts / nights <= 0.01, f"{alerts} of {nights}"


def _stream(random: np.random.Generator, nights: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    values, counts = [], random.poisson(rows, nights)
    for count in counts:
        log_odds = random.normal(size=count) - 1
        truth = 1 / (1 + np.exp(-(log_odds + 0.2 * random.normal())))
        said = 1 / (1 + np.exp(-log_odds))
        outcome = random.random(count) < truth
        base = outcome.mean()
        entropy = -sum(share * np.log(share) for share in (base, 1 - base) if share)
        values.append(-np.where(outcome, np.log(said), np.log1p(-said)).mean() - entropy)
    return np.array(values), counts.astype(float)


def test_the_constant_is_that_of_the_training_data_and_its_gap_the_difference_of_losses() -> None:
    random = np.random.default_rng(0)
    reference = pa.table({"outcome": [True] * 30 + [False] * 70})
    constant = Constant.of(reference, JOB)
    assert constant is not None
    p, outcome = random.random(200), pa.array(random.random(200) < 0.6)
    table = pa.table({"prediction": p >= 0.5, "probability": p})
    gap = constant.gap(table, outcome, JOB)
    assert gap is not None
    expected = metrics.log_loss(outcome, p) - metrics.log_loss(outcome, np.full(200, 0.3))
    assert (gap.value, gap.saying) == (pytest.approx(expected), 0.3)
    assert gap.low < gap.value < gap.high
    assert constant.gap(table.slice(0, 19), outcome.slice(0, 19), JOB) is None
    assert Constant.of(pa.table({"x": [1]}), JOB) is None


def test_the_constant_of_several_classes_and_of_a_number() -> None:
    classes = make_job("multiclass", label={"column": "y", "classes": ["red", "green", "blue"]})
    of_classes = Constant.of(pa.table({"outcome": ["red"] * 3 + ["green"] * 1}), classes)
    assert of_classes is not None
    assert of_classes.losses(pa.array(["red", "green", "blue"]), classes) == pytest.approx(-np.log([0.75, 0.25, 0.125]))
    number = make_job("regression")
    of_number = Constant.of(pa.table({"outcome": [1.0, 3.0, None]}), number)
    assert of_number is not None
    assert of_number.losses(pa.array([5.0, 1.0]), number) == pytest.approx([3.0, 1.0])
