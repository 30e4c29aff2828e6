"""A snapshot job from its first version to a challenger's comparison: gaps, unseen nights, intervals of entities and nights."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from drift.decide import facts_of
from drift.measure import measure
from drift.performance import GROUPS
from drift.runs import published_run
from lifecycle.promotion import promote
from lifecycle.retraining import RetrainingRequest, retrain
from lifecycle.shadow.review import losses_of_nights, nights_of_shadow, review
from lifecycle.shadow.score import pin, shadow_run
from lifecycle.training import known_before
from lifecycle.training.train import TrainingRequest, train
from scoring.errors import PromotionRefused
from scoring.interval import ALL_NIGHTS, Nights
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.stores.warehouse import monitoring, retrainings, shadows
from scoring.stores.warehouse.schema import ensure_job
from scoring.stores.warehouse.span import Span
from tests.conftest import Toy
from tests.support.entities import night, snapshot_job

pytestmark = pytest.mark.slow
HORIZON, FIRST_TRAINED = 3, 20
UNTIL = night(FIRST_TRAINED + HORIZON)
LAST = night(FIRST_TRAINED + HORIZON + 20)
DAY = timedelta(days=1)
LINE: dict[str, Any] = {"pipeline": "tests.support.entities:build_line", "promotion": {"min_nights": 4}}


@pytest.fixture
def crowned(untrained: Toy) -> Toy:
    """A champion that was trained on the first 20 nights, and nights for 20 more."""
    training = {"holdout_nights": 7, "window_days": 60}
    snapshot_job(untrained, FIRST_TRAINED + 2 * HORIZON + 25, HORIZON, training=training, **LINE)
    ensure_job(untrained.work.warehouse, untrained.job)
    window = known_before(untrained.job, UNTIL, night(0))
    version = train(untrained.work, window, request=TrainingRequest(asked_until=UNTIL)).ref.version
    promote(untrained.work, version, "test", "tests")
    return untrained


def score(toy: Toy, day: date) -> str:
    return run_night(toy.work, NightRequest(day, toy.stores.clock(), "cli")).run_id


def evaluation(toy: Toy, version: int) -> dict[str, Any]:
    card = retrainings.card(toy.stores.warehouse, toy.job.name, version)
    assert card is not None
    content: dict[str, Any] = card["evaluation"]
    return content


def test_a_challenger_is_compared_on_nights_whose_outcomes_neither_has_seen(crowned: Toy) -> None:
    """Champion: nights 0 to 19 and outcomes to 22. Labels to night 39 are known at the end of night 42."""
    row = retrain(crowned.work, RetrainingRequest("test", night=LAST - DAY, since=night(0)))
    found = evaluation(crowned, 2)
    assert row.until == night(40)
    assert found["holdout"] == {
        "first": str(night(33)),  # holdout_nights of the 17 nights since night 23
        "last": str(night(39)),
        "nights": 7,
        "of_nights": 7,
        "rows": found["holdout"]["rows"],
        "gap": HORIZON,
    }
    gain = found["gain"]
    assert gain["low"] < gain["value"] < gain["high"]
    for of_night in found["by_night"]:
        rows, gains = of_night["groups"]
        assert len(rows) == len(gains) == GROUPS
        assert sum(rows) == of_night["rows"]
        assert sum(gains) == pytest.approx(of_night["champion"] - of_night["challenger"], abs=1e-4)
    assert len(str(found["by_night"])) < 30_000
    facts = crowned.work.registry.facts(crowned.work.registry.resolve(crowned.job.name, 2))
    assert (facts.evaluated_until, facts.fitted_until) == (night(33), night(40))


def test_nights_whose_outcomes_overlap_what_the_champion_saw_are_dropped(crowned: Toy) -> None:
    """Labels to night 27 are known: of the last four nights, 24 to 27, none overlaps; of seven, 21 and 22 would."""
    row = retrain(crowned.work, RetrainingRequest("test", night=night(30), since=night(0)))
    assert (row.until, evaluation(crowned, 2)["holdout"]["first"]) == (night(28), str(night(24)))
    row = retrain(crowned.work, RetrainingRequest("test", night=night(28), since=night(0)))
    found = evaluation(crowned, 3)["holdout"]
    assert (row.until, found["first"], found["nights"], found["of_nights"]) == (night(26), str(night(23)), 3, 4)
    assert "which a version had seen, or whose outcomes overlap those it had seen (label.horizon_days 3)" in str(
        row.detail
    )


def test_no_version_is_champion_of_nights_whose_outcomes_it_knew(crowned: Toy) -> None:
    with pytest.raises(PromotionRefused, match=f"expected {UNTIL} or later"):
        promote(crowned.work, 1, "test", "tests", effective_from=UNTIL - DAY)
    version = train(
        crowned.work, Nights(night(0), night(20))
    ).ref.version  # asked by no date: as far as outcomes overlap
    with pytest.raises(PromotionRefused, match=f"expected {night(22)} or later"):
        promote(crowned.work, version, "test", "tests", effective_from=night(21))


@pytest.mark.nightly
def test_without_refit_the_gap_before_the_holdout_is_not_seen(crowned: Toy) -> None:
    snapshot_job(crowned, 40, HORIZON, training={"refit": False, "holdout_nights": 7}, **LINE)
    ref = train(crowned.work, Nights(night(0), night(20))).ref
    facts = crowned.work.registry.facts(ref)
    assert (facts.evaluated_until, facts.seen) == (night(13), Nights(night(0), night(10)))


def test_performance_of_several_nights_draws_entities_too(crowned: Toy) -> None:
    """Ten nights of the same entities: hardly surer of them than one night is. The governor counts unseen nights only."""
    days = Nights(UNTIL, UNTIL + timedelta(days=10))
    for day in days:
        score(crowned, day)
    measure(crowned.work, days.last + timedelta(days=HORIZON), days)
    rows = monitoring.performance(crowned.work.warehouse, Span(crowned.job.name, ALL_NIGHTS), days.last + 30 * DAY)
    assert [row.night for row in rows] == list(days)
    week = rows[-1].rolling["7"]["log_loss"]
    widths = [(interval["high"] or 0) - (interval["low"] or 0) for interval in (week, rows[-1].metrics["log_loss"])]
    assert widths[0] > 0.8 * widths[1]
    seen = facts_of(crowned.work, published_run(crowned.work, days.last), [], [])
    assert (seen.trained_until, seen.new_labelled_nights) == (
        night(20),
        0,
    )  # none was measured by the end of that night
    assert seen.loss is None


@pytest.mark.nightly
def test_a_shadow_is_judged_by_entities_and_nights(crowned: Toy) -> None:
    score(crowned, UNTIL)
    train(crowned.work, Nights(night(2), night(20)))
    stay = pin(crowned.work, 2, 4)
    for number in range(1, 5):
        shadow_run(crowned.work, score(crowned, UNTIL + number * DAY))
    (reviewed,) = review(crowned.work, UNTIL + timedelta(days=4 + HORIZON))
    assert (reviewed.role, reviewed.model_version) == ("challenger", 2)
    losses = losses_of_nights(nights_of_shadow(crowned.stores, stay), crowned.job)
    assert losses.gains is not None
    assert losses.gains.nights == tuple(UNTIL + number * DAY for number in range(1, 5))
    assert losses.gains.rows.sum() == losses.rows.sum()
    (ended,) = [row for row in shadows.of_job(crowned.work.warehouse, crowned.job.name) if row.model_version == 2]
    assert ended.evidence is not None
    assert ended.evidence["gain"]["low"] < ended.evidence["gain"]["high"]
