"""A model card as it was written once, before some of its parts were there: it is read, judged and shown."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from lifecycle.comparison import judge, page_of
from scoring.job import PromotionPolicy
from scoring.stores.warehouse import Evaluation, Segment

EVALUATION: dict[str, Any] = {
    "challenger": {"version": 2, "sha256": "b" * 64, "since": "2013-01-01", "fitted_until": "2013-03-25"},
    "champion": {"version": 1, "sha256": "a" * 64, "since": "2012-12-01", "fitted_until": "2013-02-01"},
    "holdout": {"first": "2013-03-25", "last": "2013-03-26", "nights": 2, "of_nights": 2, "rows": 600},
    "loss": "log loss",
    "metrics": {
        "challenger": {"calibration_error": {"value": 0.01, "low": 0.0, "high": 0.02}},
        "champion": {"calibration_error": {"value": 0.02, "low": 0.01, "high": None}},
    },
    "gain": {
        "nights": 2,
        "rows": 600,
        "champion": 0.5,
        "challenger": 0.4,
        "value": 0.1,
        "low": 0.05,
        "high": 0.15,
        "confidence": 0.95,
    },
    "by_night": [
        {"night": "2013-03-25", "rows": 300, "champion": 150.0, "challenger": 120.0},
        {"night": "2013-03-26", "rows": 300, "champion": 150.0, "challenger": 120.0},
    ],
    "segments": [{"column": "kind", "value": "rare", "champion": 0.5, "rows": 250, "challenger": 0.75}],
    "calibration": {"challenger": [{"rows": 600.0, "predicted": 0.4, "observed": 0.5}]},
    "latency": {"challenger": 1.0, "champion": 2.0},
    "size": {"challenger": 0.1, "champion": 0.1},
}
CARD: dict[str, Any] = {
    "job": "flights",
    "description": "Delays.",
    "owner": "ops",
    "task": "binary",
    "version": 2,
    "sha256": "b" * 64,
    "made_at": "2013-04-02T04:00:00+00:00",
    "gate": {"passed": True, "reason": "it is better", "checks": []},
    "data": {
        "since": "2013-01-01",
        "until": "2013-03-27",
        "fitted_until": "2013-03-25",
        "evaluated_until": "2013-03-25",
        "rows": 9_000,
        "extracted": 9_000,
        "quarantined": {},
        "snapshot": "00aa",
        "recipe_sha256": "d" * 64,
        "features_sql_sha256": "f" * 64,
        "labels_sql_sha256": "e" * 64,
        "trained_at": "2013-04-02T04:00:00+00:00",
        "code_version": "abc",
        "library_versions": {"python": "3.11"},
        "refit": False,
    },
    "training": {"window_days": 90},
    "evaluation": EVALUATION,
    "asked": {"retraining_id": 1, "trigger": "hand", "reason": "more data", "decision_id": None, "night": "2013-04-01"},
}


def test_an_evaluation_comes_out_as_it_went_in() -> None:
    today = {**EVALUATION, "constant": {"version": 0.4, "constant": 0.6}, "importance": {"x": 1.0}}
    content = Evaluation.from_json(today).as_json()
    assert content == today
    assert list(content) == list(today)


def test_an_evaluation_from_before_has_neither_constant_nor_importance() -> None:
    found = Evaluation.from_json(EVALUATION)
    assert found.constant is None
    assert found.importance == {}
    assert found.holdout.last == date(2013, 3, 26)
    assert found.by_night[0].means == (0.5, 0.4)


def test_a_first_version_has_no_champion_and_no_gain() -> None:
    found = Evaluation.from_json({**EVALUATION, "champion": None, "gain": None, "by_night": []})
    assert found.champion is None
    assert found.gain is None


def test_segment_says_how_much_worse_it_is() -> None:
    assert Segment("kind", "rare", 0.5, 250, 0.75).worse == pytest.approx(0.5)
    assert Segment("kind", "rare", None, 250, 0.75).worse is None


def test_gate_reads_an_old_evaluation() -> None:
    judged = judge(Evaluation.from_json(EVALUATION), PromotionPolicy(min_nights=2), "log loss")
    assert judged.reason == "kind rare: loss +50.0% on 250 rows, +5.0% is allowed"


def test_an_old_card_is_shown() -> None:
    files = page_of(CARD)
    assert json.loads(files["model_card.json"]) == CARD
    for words in ("2013-03-25", "more data", "it is better", "+0.10000", "rare"):
        assert words in files["model_card.html"]
