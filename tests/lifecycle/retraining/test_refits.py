"""What refits have gained is kept, refused ones included, and what is known of a change reaches the comparison."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import pytest

from lifecycle.retraining.record import RetrainingRequest
from lifecycle.retraining.tasks import retrain
from scoring.stores.warehouse import Evaluation, Retraining, champion_at, monitoring, promotions, refits, retrainings
from tests.conftest import Toy
from tests.support.living import DAY, add_nights, live, nights, score
from tests.support.toy import NIGHT, train_champion

pytestmark = pytest.mark.slow
SOFT: dict[str, Any] = {
    "training": {"holdout_nights": 7, "window": "expanding", "min_rows": 1},
    "promotion": {"max_latency_ratio": 1000, "min_nights": 3},
}


@pytest.fixture
def lived(toy: Toy) -> Toy:
    toy.change(**SOFT)
    add_nights(toy, nights(40))
    score(toy, NIGHT)
    return toy


def turned(rows: pd.DataFrame) -> pd.DataFrame:
    """The world changed: what ended well ends badly now."""
    return rows.assign(y=~rows["y"])


def _asked(toy: Toy, night: date) -> Retraining:
    return retrain(toy.work, RetrainingRequest("a test", night=night))


def _evaluation(toy: Toy, row: Retraining) -> Evaluation:
    assert row.model_version is not None
    card = retrainings.card(toy.stores.warehouse, toy.job.name, row.model_version)
    assert card is not None
    return Evaluation.from_json(card["evaluation"])


def _losses(toy: Toy) -> list[Any]:
    recipes = {toy.stores.registry.facts(ref).recipe_sha256 or "" for ref in toy.stores.registry.versions(toy.job.name)}
    return refits.of_recipes(toy.stores.warehouse, toy.job.name, recipes)


@pytest.mark.nightly
def test_refused_version_is_measured_on_later_nights_and_counts(lived: Toy) -> None:
    first = _asked(lived, NIGHT + 14 * DAY)
    assert first.state == "refused", first.detail
    second = _asked(lived, NIGHT + 29 * DAY)
    measured: dict[int, set[date]] = {}
    for loss in _losses(lived):
        measured.setdefault(loss.model_version, set()).add(loss.night)
    assert set(measured) >= {0, 1, first.model_version}
    assert len(measured[first.model_version or 0]) == 15, "the nights between its training and the second one's"
    pool = _evaluation(lived, second).refits
    assert pool is not None
    assert first.model_version in {block.refit_version for block in pool.blocks}
    assert pool.age == 29
    again = len(_losses(lived))
    retrain(lived.work, RetrainingRequest("again", night=NIGHT + 29 * DAY, force=True))
    assert {loss.model_version for loss in _losses(lived)} == set(measured)
    assert len(_losses(lived)) == again, "a night is measured once"


def test_losses_are_those_of_nights_that_a_fit_has_not_seen(lived: Toy) -> None:
    _asked(lived, NIGHT + 20 * DAY)
    losses = _losses(lived)
    assert losses
    assert all(loss.night >= loss.until for loss in losses)
    assert max(loss.night for loss in losses) == NIGHT + 19 * DAY, "nothing beyond what had matured"
    assert all(loss.rows > 0 and loss.loss > 0 for loss in losses)


@pytest.mark.nightly
def test_another_recipe_is_held_against_the_champions(lived: Toy) -> None:
    _asked(lived, NIGHT + 14 * DAY)
    lived.change(**{**SOFT, "training": {**SOFT["training"], "calibration": "sigmoid", "calibration_nights": 3}})
    row = _asked(lived, NIGHT + 29 * DAY)
    pool = _evaluation(lived, row).refits
    assert pool is not None
    others = [block for block in pool.blocks if block.refit_version != row.model_version]
    assert {block.refit_version for block in others} == {None}, "trial fits by the new recipe"
    assert {block.against_version for block in pool.blocks} <= {None, 1, 2}


def test_version_that_mends_a_change_is_promoted_by_a_fit_that_has_seen_it(lived: Toy) -> None:
    changed = NIGHT + 41 * DAY
    add_nights(lived, nights(7, changed), turned)
    night = changed + 6 * DAY
    refused = _asked(lived, night)
    assert refused.state == "refused", "nobody said that anything changed: the judged fit does not know the new nights"
    run_id = score(lived, night)
    facts = {"job": lived.job.name, "night": night, "run_id": run_id, "model_version": 1, "origin": "scheduled"}
    inputs = {"inputs": {"changed_on": str(changed)}, "decided_at": lived.stores.clock()}
    monitoring.save_decision(lived.stores.warehouse, {**facts, "decision": "retrain", "reason": "a break", **inputs})
    row = retrain(lived.work, RetrainingRequest("a break", night=night, force=True))
    change = _evaluation(lived, row).since_change
    assert change is not None
    assert (change.changed_on, change.block.nights) == (changed, 3)
    assert change.block.gain > 0.1
    assert row.state == "promoted", row.detail
    assert row.gate is not None
    assert row.gate["proven"]
    assert f"since {changed}" in row.gate["reason"]


@pytest.mark.nightly
def test_first_champion_is_the_last_proven_one_until_another_shows_it(lived: Toy) -> None:
    train_champion(lived.work)
    row = _asked(lived, NIGHT + 20 * DAY)
    assert _evaluation(lived, row).proven is None, "the champion was promoted by a person"


@pytest.mark.nightly
def test_abrupt_change_lived_night_by_night_ends_with_a_champion_that_knows_it(toy: Toy) -> None:
    """Labels of a night are known at the end of the next. The break is seen on its third night, and asked again on its sixth."""
    training = {"window": "sliding", "window_days": 8, "holdout_nights": 3, "min_rows": 1}
    retraining = {"max_age_nights": None, "cost": 1e9, "min_new_labelled_nights": 3, "max_loss": 10.0, "budget": 5}
    toy.change(training=training, promotion={"max_latency_ratio": 1000, "min_nights": 3}, retraining=retraining)
    changed = NIGHT + 4 * DAY
    add_nights(toy, nights(4))
    add_nights(toy, nights(8, changed), turned)
    story = []
    for night in nights(12):
        (decided,) = live(toy, [night])
        state = decided.decision
        if decided.decision == "retrain":
            request = RetrainingRequest(decided.reason, "decision", night, decision_id=decided.decision_id)
            state = retrain(toy.work, request).state
        crowned = champion_at(promotions.history_of(toy.stores.warehouse, toy.job.name), night + DAY)
        story.append(((night - changed).days, state, crowned))
    assert [state for _, state, _ in story[:5]] == ["none"] * 5, "nothing is known of the change before its labels"
    asked = [row for row in story if row[1] in ("refused", "promoted")]
    assert asked[0][0] == 3, story
    assert "promoted" in [row[1] for row in asked], story
    promoted = next(row for row in asked if row[1] == "promoted")
    assert promoted[0] <= 6, story
    assert promoted[2] != 1
