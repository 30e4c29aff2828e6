"""Decisions from facts alone: what is a reason, what forbids, and in which order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from drift.governor import Facts, Loss, Worth, decide
from scoring.job.policies import RetrainingPolicy

NIGHT = date(2013, 6, 1)
POLICY = RetrainingPolicy(max_age_nights=120, cooldown_nights=14, budget=3)
WELL = Facts(
    night=NIGHT,
    origin="scheduled",
    model_version=1,
    trained_until=NIGHT - timedelta(days=60),
    new_labelled_nights=60,
    verdict="ok",
    drifted_weights=[0.0] * 5,
    loss=Loss("excess_log_loss", 28, 0.001, -0.004, 0.006, -0.03, 0.0095),
)
WORSE = Loss("excess_log_loss", 28, 0.03, 0.02, 0.04, -0.03, 0.0095)
UNSURE = Loss("excess_log_loss", 28, 0.012, -0.01, 0.03, -0.03, 0.0095)
DRIFTED: dict[str, Any] = {"drifted_weights": [0.0, 0.3, 0.3, 0.0, 0.3], "drifted_columns": ["dest"], "loss": None}


def test_nothing_is_a_reason_when_all_is_well() -> None:
    found = decide(WELL, POLICY)
    assert (found.decision, found.evidence) == ("none", [])
    assert found.reason == (
        "no reason: excess_log_loss +0.0010 against training, 0.0095 is allowed; 0% of the model's importance has drifted"
    )
    assert "not measured yet" in decide(replace(WELL, loss=None), POLICY).reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": WORSE}, "measured loss of performance"),
        (DRIFTED, "lasting drift: columns with 30% of the model's importance (dest)"),
        ({**DRIFTED, "loss": UNSURE}, "lasting drift"),
        ({"trained_until": NIGHT - timedelta(days=121)}, "age: nothing was trained since 2013-01-31, 121 nights ago"),
    ],
    ids=["loss", "drift without labels", "drift, performance unsure", "age"],
)
def test_reasons_to_retrain(changes: dict, words: str) -> None:
    found = decide(replace(WELL, **changes), POLICY)
    assert found.decision == "retrain"
    assert words in found.reason


def test_age_is_counted_from_when_the_last_label_was_known() -> None:
    late: dict[str, Any] = {"trained_until": NIGHT - timedelta(days=130), "trained_on": NIGHT - timedelta(days=101)}
    assert decide(replace(WELL, **late), POLICY).decision == "none"
    assert (
        "since 2013-01-31, 121 nights ago"
        in decide(replace(WELL, trained_on=NIGHT - timedelta(days=121)), POLICY).reason
    )


def test_no_retraining_before_its_comparison_can_have_learned_anything() -> None:
    worse = replace(WELL, loss=WORSE, new_labelled_nights=13, nights_to_compare=14)
    assert decide(worse, POLICY).reason.endswith("but only 13 nights with labels came since training, 14 are needed")
    assert decide(replace(worse, new_labelled_nights=14), POLICY).decision == "retrain"


@pytest.mark.parametrize(
    "changes",
    [
        {**DRIFTED, "loss": WELL.loss},  # measured: it does no harm
        {**DRIFTED, "drifted_weights": [0.3, 0.3, 0.3, 0.3, 0.1]},  # not on this night
        {**DRIFTED, "drifted_weights": [0.0, 0.0, 0.0, 0.3, 0.3]},  # not lasting
        {**DRIFTED, "drifted_weights": [0.19] * 5},  # columns without weight
        {"loss": UNSURE},  # not established
    ],
    ids=["harmless", "gone", "short", "light", "unsure"],
)
def test_no_reason_to_retrain(changes: dict) -> None:
    assert decide(replace(WELL, **changes), POLICY).decision == "none"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"faults": ["dest: all 900 values are null"]}, "never retrain on broken data"),
        ({"verdict": None}, "no verdict"),
        ({"retrained": [NIGHT - timedelta(days=13)]}, "cooldown is 14 nights"),
        ({"retrained": [NIGHT - timedelta(days=n) for n in (29, 20, 15)]}, "budget of 3 retrainings"),
        ({"running": True}, "a retraining is running"),
        ({"new_labelled_nights": 6}, "only 6 nights with labels"),
    ],
    ids=["broken", "unjudged", "cooldown", "budget", "running", "labels"],
)
def test_what_forbids_a_retraining(changes: dict, words: str) -> None:
    found = decide(replace(WELL, loss=WORSE, **changes), POLICY)
    assert found.decision == "hold"
    assert words in found.reason
    assert found.reason.startswith("measured loss")


def test_limits_are_exact() -> None:
    needed = replace(WELL, loss=WORSE)
    assert decide(replace(needed, retrained=[NIGHT - timedelta(days=14)]), POLICY).decision == "retrain"
    assert (
        decide(replace(needed, retrained=[NIGHT - timedelta(days=n) for n in (30, 20, 15)]), POLICY).decision
        == "retrain"
    )
    assert decide(replace(needed, new_labelled_nights=7), POLICY).decision == "retrain"
    assert decide(replace(WELL, trained_until=NIGHT - timedelta(days=120)), POLICY).decision == "none"
    lately = replace(WELL, trained_until=NIGHT - timedelta(days=300), retrained=[NIGHT - timedelta(days=20)])
    assert decide(lately, POLICY).decision == "none"  # a challenger was trained, although none was promoted


def test_default_age_makes_eighteen_retrainings_in_nine_months() -> None:
    first = date(2013, 4, 1)
    retrained: list[date] = []
    for number in range(275):
        night = first + timedelta(days=number)
        facts = replace(WELL, night=night, trained_until=first, new_labelled_nights=number, retrained=tuple(retrained))
        if decide(facts, RetrainingPolicy()).decision == "retrain":
            retrained.append(night)
    assert len(retrained) == 18
    assert retrained[0] == first + timedelta(days=15)


def test_backfill_and_switched_off_decide_nothing() -> None:
    assert decide(replace(WELL, loss=WORSE, origin="backfill"), POLICY).reason == "not evaluated: backfill"
    found = decide(replace(WELL, loss=WORSE), RetrainingPolicy(enabled=False))
    assert (found.decision, "switched off" in found.reason) == ("none", True)


def test_loss_outweighs_drift_in_the_reason() -> None:
    found = decide(replace(WELL, **{**DRIFTED, "loss": WORSE}), POLICY)
    assert found.reason.startswith("measured loss")
    assert len(found.evidence) == 2


WORTH = Worth("log loss", newer=15, gain=0.0074, rows=900.0, nights=7, cost=5.0)


def test_version_that_would_spare_more_than_it_costs_is_trained() -> None:
    found = decide(replace(WELL, worth=WORTH), POLICY)
    assert found.decision == "retrain"
    assert "a version 15 nights newer spares 0.00740 log loss a row, so 46.62 on 900 rows a night" in found.reason
    dear = replace(WORTH, cost=50.0)
    assert decide(replace(WELL, worth=dear), POLICY).decision == "none"
    assert decide(replace(WELL, worth=replace(WORTH, gain=-0.1)), POLICY).decision == "none"


def test_worth_is_no_reason_before_one_may_be_trained() -> None:
    resting = replace(WELL, worth=WORTH, retrained=[NIGHT - timedelta(days=3)])
    assert decide(resting, POLICY).decision == "none"
    few = replace(WELL, worth=WORTH, new_labelled_nights=3)
    assert decide(few, POLICY).decision == "none"
