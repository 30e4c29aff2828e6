"""What a version knows of its training: today's file, and those that were written before."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from scoring.errors import ArtifactMismatch
from scoring.interval import Nights
from scoring.job import Job
from scoring.stores.registry import TrainingFacts

WRITTEN: dict[str, Any] = {
    "job": "flights",
    "since": "2013-01-01",
    "until": "2013-04-01",
    "rows": 81_000,
    "trained_at": "2013-04-01T04:00:00.250000+00:00",
    "metrics": {"holdout_auc": 0.75},
    "code_version": "abc",
    "features_sql_sha256": "f" * 64,
    "labels_sql_sha256": "e" * 64,
    "library_versions": {"python": "3.11.9"},
    "snapshot": "00aa11bb22cc33dd",
    "extracted": 81_010,
    "quarantined": {"x:null": 10},
    "recipe_sha256": "d" * 64,
    "fitted_until": "2013-03-25",
    "evaluated_until": "2013-03-25",
    "refit": False,
    "retraining_id": 3,
    "constant": {"version": 0.6, "constant": 0.7},
    "decision": {"by": "threshold", "threshold": 0.3, "origin": "FixedThresholdClassifier"},
    "block_rows": 1000,
    "without_outcome": 4,
    "unreadable_labels": 0,
    "asked_until": "2013-04-02",
    "evaluator": "bitset",
    "evaluator_speedup": 4.9,
    "evaluator_reason": "",
    "declaration": {"key": {"id": "int"}, "features": {"x": {"type": "float"}}, "task": "binary"},
    "seconds": 12.5,
}
"""A file as ``train`` writes it."""


def test_a_file_comes_out_as_it_was_written() -> None:
    content = TrainingFacts.from_json(WRITTEN).as_json()
    assert content == WRITTEN
    assert list(content) == list(WRITTEN)


def test_facts_have_types() -> None:
    facts = TrainingFacts.from_json(WRITTEN)
    assert facts.until == date(2013, 4, 1)
    assert facts.trained_at == datetime(2013, 4, 1, 4, 0, 0, 250_000, tzinfo=UTC)
    assert facts.seen == Nights(date(2013, 1, 1), date(2013, 3, 25))
    assert facts.holdout_from == date(2013, 3, 25)


def test_rule_is_the_one_that_was_proven(plain_job: Job) -> None:
    rule = TrainingFacts.from_json(WRITTEN).rule(plain_job)
    assert rule.decision.threshold == 0.3
    assert rule.block_rows == 1000


def test_a_version_made_before_loads_and_lacks_what_there_was_not(plain_job: Job) -> None:
    before = {name: WRITTEN[name] for name in ("job", "since", "until", "rows", "metrics", "library_versions")}
    facts = TrainingFacts.from_json({**before, "a_fact_of_then": 1})
    assert facts.seen == Nights(date(2013, 1, 1), date(2013, 4, 1))
    assert facts.trained_at is None
    assert facts.rule(plain_job).decision.by == "half"
    assert facts.as_json()["constant"] is None


def test_facts_that_do_not_say_a_night_say_so_when_it_is_asked_for() -> None:
    facts = TrainingFacts.from_json({})
    assert facts.until is None
    with pytest.raises(ArtifactMismatch, match=r"found no 'since'; expected a night. Next: train a new version"):
        _ = facts.seen
    with pytest.raises(ArtifactMismatch, match="found no 'evaluated_until'"):
        _ = facts.holdout_from


@pytest.mark.parametrize("snapshot", ["aa11", {"hash": "aa11", "rows": 5}, "snapshots/flights/aa11"])
def test_snapshot_is_known_however_it_was_named(snapshot: Any) -> None:
    facts = TrainingFacts.from_json({"snapshot": snapshot})
    assert facts.names_snapshot("aa11")
    assert not facts.names_snapshot("bb22")
