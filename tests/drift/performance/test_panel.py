"""Intervals for entities that come again every night: how often they hold the truth, and what they are when nothing varies."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from bench.gain_coverage import losses_of, methods
from bench.panel_streams import stream, true_gain
from drift.performance.group_scores import NightScores, difference_of, intervals_of
from drift.performance.metrics import Floats, metrics_of
from drift.performance.outcomes import sums_by_group
from drift.performance.panel import GROUP, GROUPS, Panel, groups_of
from lifecycle.comparison.gate import Losses, gain_of
from scoring.job.definition import Job

SEEDS = 100
FIRST = date(2024, 1, 1)


@pytest.mark.parametrize("horizon", [1, 7, 30])
def test_gain_of_entities_that_repeat_lies_in_its_interval_as_often_as_it_says(horizon: int) -> None:
    """100 streams; ``make bench-intervals`` has 200, and other shocks and sizes. Drawing nights only held it in 25 to 50 %."""
    truth = true_gain(horizon, 0.3)
    every = [methods(losses_of(stream(seed, horizon, 0.3, entities=400))) for seed in range(SEEDS)]
    held = {
        name: np.mean([(gains[name].low or 0) <= truth <= (gains[name].high or 0) for gains in every])
        for name in every[0]
    }
    assert held["entities and nights"] >= 0.9, held
    if horizon > 1:
        assert held["nights only"] < 0.65, held


def panel(gains: Floats, horizon: int) -> Losses:
    """Return losses of a gain per night and group, with a row in each."""
    nights = tuple(FIRST + timedelta(days=number) for number in range(len(gains)))
    rows = np.ones_like(gains)
    return Losses(rows.sum(axis=1), gains.sum(axis=1), np.zeros(len(gains)), Panel(nights, rows, gains, horizon))


def test_equal_versions_gain_exactly_nothing() -> None:
    gain = gain_of(panel(np.zeros((14, GROUPS)), 7), 0.95)
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)


def test_nights_together_are_those_of_both_and_keep_their_entities() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(14, GROUPS)) + random.normal(size=GROUPS)
    whole, first, last = panel(values, 7), panel(values[:10], 7), panel(values[10:], 7)
    assert last.gains is not None
    later = tuple(night + timedelta(days=10) for night in last.gains.nights)
    together = first + replace(last, gains=replace(last.gains, nights=later))
    assert gain_of(together, 0.95) == gain_of(whole, 0.95)
    none = Losses(np.zeros(0), np.zeros(0), np.zeros(0))
    assert gain_of(none + whole, 0.95) == gain_of(whole + none, 0.95) == gain_of(whole, 0.95)
    assert gain_of(panel(values[:1], 7), 0.95).low is None


def test_more_nights_of_the_same_entities_tell_little_more_of_them() -> None:
    """Gains that belong to entities alone: 28 nights have nearly the interval of 14. Drawn anew, nearly that over root two."""
    random = np.random.default_rng(0)
    own = np.repeat(random.normal(size=(1, GROUPS)), 28, axis=0) + 0.01 * random.normal(size=(28, GROUPS))
    other = random.normal(size=(28, GROUPS))

    def width(gains: Floats) -> float:
        gain = gain_of(panel(gains, 0), 0.95)
        return (gain.high or 0) - (gain.low or 0)

    assert width(own) / width(own[:14]) == pytest.approx(0.95, abs=0.04)
    assert width(other) / width(other[:14]) < 0.85


def test_overlap_widens_what_nights_have_in_common() -> None:
    gains = np.repeat(np.random.default_rng(0).normal(size=(14, 1)), GROUPS, axis=1)
    widths = [
        (gain.high or 0) - (gain.low or 0) for gain in (gain_of(panel(gains, days), 0.95) for days in (0, 1, 7, 30))
    ]
    assert widths[0] == widths[1]
    assert 2.5 * widths[0] < widths[2]  # wider tails of t alone make 1.5
    assert 2 * widths[2] < widths[3]


@pytest.fixture(scope="module")
def entity_job(plain_job: Job) -> Job:
    return plain_job.model_copy(update={"kind": "snapshot", "key": {"id": "int"}})


def test_an_entity_is_in_the_same_group_every_night(entity_job: Job) -> None:
    ids = np.arange(5_000)
    one = groups_of(pa.table({"id": ids}), entity_job)
    other = groups_of(pa.table({"id": ids[::-1]}), entity_job)[::-1]
    assert (one == other).all()
    sizes = np.bincount(one, minlength=GROUPS)
    assert len(sizes) == GROUPS
    assert sizes.min() > 20
    assert sizes.max() < 90


def scores(seed: int, job: Job, nights: int = 10, rate: float = 0.3) -> list[NightScores]:
    """Return nights of 800 entities with rates of their own that a fixed version predicts."""
    random = np.random.default_rng(seed)
    entities = np.arange(800)
    chance = np.clip(rate + random.normal(0, 0.15, 800), 0.02, 0.98)
    said = np.clip(chance + np.random.default_rng(seed + 1).normal(0, 0.1, 800), 0.02, 0.98)
    tables = []
    for number in range(nights):
        night = pa.array([FIRST + timedelta(days=number)] * 800, pa.date32())
        columns = {
            "night": night,
            "outcome": random.random(800) < chance,
            "probability": said,
            "prediction": said > 0.5,
        }
        tables.append(pa.table(columns).append_column(GROUP, pa.array(groups_of(pa.table({"id": entities}), job))))
    table = pa.concat_tables(tables)
    days = [FIRST + timedelta(days=number) for number in range(nights)]
    return [NightScores.of(*of_night, job) for of_night in zip(days, sums_by_group(table, job), strict=True)]


def test_metrics_of_entities_that_repeat_lie_in_their_intervals(entity_job: Job) -> None:
    held: dict[str, list[bool]] = {}
    truth = np.sum([night.sums for seed in range(300) for night in scores(10_000 + 2 * seed, entity_job, 1)], axis=0)
    values = metrics_of(truth, entity_job)
    for seed in range(0, 120, 2):
        for name, interval in intervals_of(scores(seed, entity_job), entity_job).items():
            low, high = interval["low"], interval["high"]
            assert low is not None
            assert high is not None
            held.setdefault(name, []).append(bool(low <= values[name] <= high))
    shares = {name: np.mean(hits) for name, hits in held.items()}
    assert min(share for name, share in shares.items() if name != "calibration_error") >= 0.88, shares


def test_scores_come_out_as_they_went_in(entity_job: Job) -> None:
    before = scores(0, entity_job, 3)
    after = [NightScores.from_json(night.night, night.as_json(), entity_job) for night in before]
    assert intervals_of([night for night in after if night], entity_job)["auc"] == pytest.approx(
        intervals_of(before, entity_job)["auc"], rel=1e-3
    )
    assert NightScores.from_json(FIRST, before[0].as_json()[:3], entity_job) is None


def test_a_rise_of_the_loss_is_seen_and_sameness_is_not(entity_job: Job) -> None:
    same = difference_of(scores(0, entity_job), scores(4, entity_job), entity_job, "base_rate")
    more = difference_of(scores(0, entity_job, rate=0.5), scores(4, entity_job), entity_job, "base_rate")
    assert (same["low"] or 0) < 0 < (same["high"] or 0)
    assert (more["low"] or 0) > 0.1
