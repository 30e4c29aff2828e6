"""What all refits so far say of a gain: stretches of nights, pooled, and what the gate makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from lifecycle.comparison import Refit, block_of, blocks_of, judge, pooled, spread_of_night
from lifecycle.comparison.recipe import certainty, probability
from scoring.job.policies import PromotionPolicy
from scoring.stores.warehouse import (
    Block,
    ComparedVersion,
    Evaluation,
    Gain,
    Holdout,
    Metrics,
    NightLoss,
    Pooled,
    SinceChange,
)

DAY = date(2024, 1, 1)
NIGHT = timedelta(days=1)
ROWS = 1_000
POLICY = PromotionPolicy()
METRICS: dict[str, Metrics] = {side: {"calibration_error": {"value": 0.01}} for side in ("challenger", "champion")}


def _refit(until: int, losses: Sequence[float] | np.ndarray, version: int | None = None) -> Refit:
    """Return a fit on the nights before place ``until``, with its mean loss on each night from then on."""
    nights = {DAY + place * NIGHT: NightLoss(ROWS, loss * ROWS) for place, loss in enumerate(losses, until)}
    return Refit(version, DAY + until * NIGHT, nights)


def _ageing(until: int, last: int, noise: np.ndarray, by_night: float = 0.001) -> Refit:
    """Return a fit whose loss grows with its age, beside what every night adds to every fit's loss."""
    places = np.arange(until, last)
    own = np.random.default_rng(until).normal(0, 0.002, len(places))
    return _refit(until, 0.5 + by_night * (places - until) + noise[until:last] + own)


def _block(gain: float, error: float, until: int = 0, nights: int = 14) -> Block:
    first, last = DAY + until * NIGHT, DAY + (until + nights - 1) * NIGHT
    older = DAY + (until - 15) * NIGHT
    return Block(None, first, 1, older, first, last, nights=nights, rows=nights * ROWS, gain=gain, error=error)


def test_stretches_hold_every_refit_against_one_as_old_as_the_champion() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 90)
    refits = [_ageing(until, 90, noise) for until in (15, 30, 45, 60, 75)]
    blocks = blocks_of(refits, refits, 15)
    ends = [((block.refit_until - DAY).days, (block.against_until - DAY).days) for block in blocks]
    assert ends == [(30, 15), (45, 30), (60, 45), (75, 60)]
    assert [(block.nights, block.age) for block in blocks] == [(15, 15)] * 4
    nights = [block.first + place * NIGHT for block in blocks for place in range(block.nights)]
    assert len(nights) == len(set(nights)), "no night counts twice"
    assert [block.gain for block in blocks] == pytest.approx([0.015] * 4, abs=0.002)
    twice = blocks_of(refits, refits, 30)
    assert [block.age for block in twice] == [15, 30, 30, 30]


def test_stretch_ends_when_the_next_refit_could_take_over() -> None:
    noise = np.zeros(90)
    refits = [replace(_ageing(until, 90, noise), version=until) for until in (15, 30, 33, 80)]
    stretches = {block.refit_until: block.nights for block in blocks_of(refits, refits, 15)}
    assert stretches == {DAY + 30 * NIGHT: 3, DAY + 33 * NIGHT: 30, DAY + 80 * NIGHT: 10}


def test_trial_fit_makes_way_for_a_version_of_the_same_week() -> None:
    noise = np.zeros(90)
    refits = [_ageing(until, 90, noise) for until in (15, 25, 34, 45)]
    refits.append(replace(_ageing(30, 90, noise), version=7))
    refit_until = [(block.refit_version, (block.refit_until - DAY).days) for block in blocks_of(refits, refits, 15)]
    assert refit_until == [(7, 30), (None, 45)]


def test_refit_that_nothing_is_old_enough_for_has_no_stretch() -> None:
    noise = np.zeros(90)
    refits = [_ageing(30, 90, noise), _ageing(34, 90, noise)]
    assert blocks_of(refits, refits, 15) == []
    assert len(blocks_of(refits, refits, 12)) == 1


def test_pooled_blocks_decide_where_one_cannot() -> None:
    gains = np.random.default_rng(1).normal(0.007, 0.007, 12)
    blocks = [_block(gain, 0.007, until=15 * place) for place, gain in enumerate(gains)]
    alone, together = pooled([], blocks[-1], 15, blocks[-1].last), pooled(blocks[:-1], blocks[-1], 15, blocks[-1].last)
    assert alone is not None
    assert together is not None
    assert together.sd < 0.5 * alone.sd
    assert probability(together, 0.00075) > 0.9
    assert 0.004 < together.mean < 0.010


def test_no_gain_is_not_found_in_noise() -> None:
    promoted = 0
    for seed in range(200):
        gains = np.random.default_rng(seed).normal(0, 0.001, 12)
        blocks = [_block(gain, 0.001, until=15 * place) for place, gain in enumerate(gains)]
        pool = pooled(blocks[:-1], blocks[-1], 15, blocks[-1].last)
        assert pool is not None
        promoted += probability(pool, 0.0015 * 0.5) > POLICY.probability
    assert promoted <= 4


def test_old_stretches_count_less_and_the_prior_draws_to_none() -> None:
    now = DAY + 360 * NIGHT
    old, new = _block(0.02, 0.004, until=0), _block(-0.01, 0.004, until=340)
    pool = pooled([old], new, 15, now)
    assert pool is not None
    weights = {block.refit_until: block.weight or 0.0 for block in pool.blocks}
    assert weights[new.refit_until] > weights[old.refit_until]
    single = pooled([], new, 15, new.last)
    assert single is not None
    assert -0.01 < single.mean < -0.008


def test_gain_grows_with_the_age_of_the_champion() -> None:
    block = _block(0.005, 0.001)
    pools = [_pooled(block, age=age) for age in (15, 30, 60, 120)]
    assert [round(pool.mean / pools[0].mean) for pool in pools] == [1, 2, 4, 4]


def test_equal_fits_have_no_stretch_that_says_anything() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 90)
    same = [_refit(until, 0.5 + noise[until:]) for until in (15, 30, 45)]
    blocks = blocks_of(same, same, 15)
    assert [(block.gain, block.error) for block in blocks] == [(0.0, 0.0)] * 2
    assert pooled(blocks, None, 15, DAY + 90 * NIGHT) is None


def _evaluation(
    gain: Gain, pool: Pooled | None, proven: Block | None = None, change: SinceChange | None = None
) -> Evaluation:
    same = {"challenger": 1.0, "champion": 1.0}
    side = ComparedVersion(1, "a" * 64, DAY, DAY)
    return Evaluation(
        challenger=side,
        champion=side,
        holdout=Holdout(DAY, DAY, gain.nights, gain.nights, gain.rows),
        loss="log loss",
        metrics=METRICS,
        gain=gain,
        by_night=[],
        segments=[],
        calibration={},
        latency=same,
        size=same,
        refits=pool,
        proven=proven,
        since_change=change,
    )


def _pooled(*blocks: Block, age: int = 15) -> Pooled:
    pool = pooled(blocks, None, age, blocks[-1].last)
    assert pool is not None
    return pool


GAINFUL = _pooled(*(_block(0.007, 0.004, until=15 * place) for place in range(8)))
UNSURE = Gain(14, 14_000, 0.5, 0.498, 0.002, -0.008, 0.012, 0.95)
WORSE = Gain(14, 14_000, 0.5, 0.51, -0.01, -0.018, -0.002, 0.95)


def test_gate_promotes_on_what_refits_have_gained_unless_the_holdout_speaks_against_it() -> None:
    passed = judge(_evaluation(UNSURE, GAINFUL), POLICY, "log loss")
    assert passed.passed
    assert not passed.proven
    assert "8 stretches of nights say that a refit gains +0.00686 ± 0.00330" in passed.reason
    refused = judge(_evaluation(WORSE, GAINFUL), POLICY, "log loss")
    assert not refused.passed
    assert "gain in log loss over 14 nights: -0.01000" in refused.reason
    assert not judge(_evaluation(UNSURE, GAINFUL), PromotionPolicy(evidence="better"), "log loss").passed


def test_few_stretches_leave_the_challenger_to_show_it_by_itself() -> None:
    pool = replace(GAINFUL, blocks=GAINFUL.blocks[:3])
    assert not judge(_evaluation(UNSURE, pool), POLICY, "log loss").passed
    shown = judge(_evaluation(replace(UNSURE, value=0.01, low=0.003), pool), POLICY, "log loss")
    assert shown.passed
    assert shown.proven


def test_many_ties_do_not_add_up() -> None:
    crept = _block(-0.02, 0.001)
    refused = judge(_evaluation(UNSURE, GAINFUL, proven=crept), POLICY, "log loss")
    assert not refused.passed
    assert "the last champion that was proven to be better: +0.0" in refused.reason
    noise = _block(-0.02, 0.02)  # a week that says little next to what refits have gained
    assert judge(_evaluation(UNSURE, GAINFUL, proven=noise), POLICY, "log loss").passed


def test_fit_that_has_seen_the_new_world_is_promoted_although_the_judged_one_is_worse() -> None:
    block = _block(0.8, 0.05, nights=3)
    change = SinceChange(DAY, block, METRICS, [])
    few = replace(WORSE, nights=4)
    passed = judge(_evaluation(few, None, change=change), POLICY, "log loss")
    assert passed.passed
    assert passed.proven
    assert f"since {DAY}" in passed.reason
    unsure = replace(change, block=replace(block, error=0.5))
    assert not judge(_evaluation(few, None, change=unsure), POLICY, "log loss").passed
    badly = replace(change, metrics={**METRICS, "challenger": {"calibration_error": {"value": 0.2}}})
    assert not judge(_evaluation(few, None, change=badly), POLICY, "log loss").passed


def test_two_nights_alone_convince_only_when_they_agree() -> None:
    assert certainty(_block(0.8, 0.02, nights=2)) > 0.975
    assert certainty(_block(0.8, 0.2, nights=2)) < 0.975


def test_evaluation_keeps_its_stretches_through_json() -> None:
    block = _block(0.8, 0.05, nights=3)
    before = _evaluation(UNSURE, GAINFUL, block, SinceChange(DAY, block, METRICS, []))
    assert Evaluation.from_json(before.as_json()) == before


def test_spread_of_a_night_is_that_of_the_stretches() -> None:
    assert spread_of_night(_evaluation(UNSURE, GAINFUL)) == pytest.approx(0.004 * 14**0.5)
    assert spread_of_night(_evaluation(UNSURE, None)) is None


def test_block_of_counts_rows_not_nights() -> None:
    new, old = _refit(15, [0.4, 0.4, 0.4]), _refit(0, [0.5] * 18)
    new.nights[DAY + 15 * NIGHT] = NightLoss(10 * ROWS, 0.3 * 10 * ROWS)  # type: ignore[index]
    old.nights[DAY + 15 * NIGHT] = NightLoss(10 * ROWS, 0.5 * 10 * ROWS)  # type: ignore[index]
    block = block_of(new, old, sorted(new.nights))
    assert block.gain == pytest.approx((0.2 * 10 + 0.1 * 2) / 12)
    assert block.error > 0
