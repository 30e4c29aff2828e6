"""Nights lived under policies: what is known when, what is trained on, and what follows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lifecycle.backtest.figures import ageing, gain_over, loss_of_run
from lifecycle.backtest.fits import Fits
from lifecycle.backtest.gate import Ruling
from lifecycle.backtest.history import History
from lifecycle.backtest.life import Run, lived
from lifecycle.backtest.policies import policy_of
from lifecycle.backtest.result import recommended, result_of, ungated
from lifecycle.comparison import Judgement
from scoring.stores import LABEL_COLUMN
from scoring.stores.warehouse import Gain
from tests.support.histories import BEFORE, CHANGE, history, stream_job

NUMBERS = {"task": "regression", "pipeline": "tests.support.histories:build_number"}


def live(fits: Fits, name: str) -> Run:
    policy = policy_of(name)
    assert policy is not None
    return lived(fits, policy)


def numbers(gain: Gain) -> tuple[float, float, float]:
    """Return value and ends of a gain that has an interval."""
    assert gain.value is not None
    assert gain.low is not None
    assert gain.high is not None
    return gain.value, gain.low, gain.high


def doings(run: Run) -> list[tuple[int, str, str, str]]:
    """Return what was decided, night by night."""
    return [(row.night, row.reason, row.outcome, row.detail) for row in run.life.retrained]


def noise(place: int, rows: int = 150) -> np.ndarray:
    return np.random.default_rng(place).normal(size=rows)


def poisoned(whole: History, since: int) -> History:
    """Return the history with the outcomes of all nights from one on turned round."""
    place = np.repeat(np.arange(len(whole)), np.diff(whole._starts))
    labels = whole.rows.column(LABEL_COLUMN).combine_chunks()
    turned = pc.if_else(pa.array(place >= since), pc.invert(labels), labels)
    rows = whole.rows.set_column(whole.rows.schema.get_field_index(LABEL_COLUMN), LABEL_COLUMN, turned)
    return History(whole.job, whole.days, rows, whole.first, whole.name)


@pytest.mark.parametrize("delay", [0, 1, 3])
@pytest.mark.parametrize("name", ["every-5", "governor"])
def test_no_label_is_used_before_it_was_known(delay, name):
    often = {"max_age_nights": 4, "cooldown_nights": 5, "budget": 9, "cost": 5.0}  # by default the measured seconds
    job = stream_job(label={"column": "y", "delay_days": delay}, retraining=often)
    whole = history(job)
    run = live(Fits(whole), name)
    night = [row.night for row in run.life.retrained if row.night > CHANGE][1]  # at whose end something is trained
    other = live(Fits(poisoned(whole, night + 1 - delay)), name)
    until = [[row for row in doings(life) if row[0] <= night] for life in (run, other)]
    assert until[0] == until[1]
    assert until[0][-1][0] == night
    assert doings(run) != doings(other)  # what comes later does differ: the poison is strong enough to be seen
    served = [life.life.served[: night + 1 - BEFORE] for life in (run, other)]
    assert served[0] == served[1]


def test_versions_are_trained_on_the_nights_whose_labels_are_known():
    job = stream_job(label={"column": "y", "delay_days": 3, "horizon_days": 2})
    run = live(Fits(history(job)), "every-5-ungated")
    assert run.life.first.until == BEFORE - 3
    assert [row.version.until for row in run.life.retrained] == [row.night + 1 - 3 for row in run.life.retrained]
    assert {row.version.until - row.version.since for row in run.life.retrained} == {14}  # training.window_days
    fits, version = run.life.fits, run.life.retrained[-1].version
    assert fits.early(version) == version.until - version.holdout - 2


def test_expanding_window_begins_with_the_first_night():
    job = stream_job(training={"window": "expanding", "holdout_nights": 7})
    run = live(Fits(history(job)), "every-5-ungated")
    assert {row.version.since for row in run.life.retrained} == {0}


def test_retraining_gains_after_a_change_and_the_gain_has_an_interval():
    fits = Fits(history(stream_job()))
    never, every, gated = (live(fits, name) for name in ("never", "every-5-ungated", "every-5"))
    value, low, high = numbers(gain_over(every, never))
    assert 0 < low < value < high
    assert numbers(gain_over(never, never))[0] == 0
    assert numbers(loss_of_run(never))[0] - numbers(loss_of_run(every))[0] == pytest.approx(value)
    assert numbers(gain_over(gated, never))[0] <= value
    assert not never.life.retrained


def test_ungated_at_the_same_nights_trains_on_the_same_nights():
    fits = Fits(history(stream_job()))
    gated = live(fits, "every-5")
    made = fits.made
    same = ungated(gated)
    assert [row.night for row in same.life.retrained] == [row.night for row in gated.life.retrained]
    assert {row.outcome for row in same.life.retrained} == {"promoted"}
    assert fits.made == made  # nothing is fitted for it


def test_fast_ageing_shows_as_gain_that_grows_with_age():
    drifting = history(stream_job(**NUMBERS), outcome=lambda place, x: x * place + noise(place))
    run = live(Fits(drifting), "every-5-ungated")
    aged = ageing(run.life.fits, run.life.made)
    values = [numbers(row.gain)[0] for row in aged]
    assert len(values) >= 4
    assert values == sorted(values)
    assert all(numbers(row.gain)[1] > 0 for row in aged if row.gain.low is not None)


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass", "snapshot", "segments"])
def test_every_kind_of_job_is_lived(task):
    kinds = {
        "binary": stream_job(),
        "regression": stream_job(**NUMBERS),
        "multiclass": stream_job(task="multiclass", label={"column": "y", "classes": ["a", "b", "c"]}),
        "snapshot": stream_job(kind="snapshot", label={"column": "y", "delay_days": 4}),
        "segments": stream_job(),
    }
    outcomes = {
        "regression": lambda place, x: x * (1 if place < CHANGE else -1),
        "multiclass": lambda place, x: np.where(x > 1, "a", np.where(x * (1 if place < CHANGE else -1) > 0, "b", "c")),
    }
    fits = Fits(history(kinds[task], outcome=outcomes.get(task)))
    names = ["never", "every-5", "every-5-ungated", "governor"]
    runs = [live(fits, name) for name in names]
    assert [len(run.rows) for run in runs] == [50 - BEFORE] * 4
    result = result_of(fits, runs, [run.policy for run in runs])
    assert [line["policy"] for line in result["policies"]] == names
    assert result["policies"][2]["gain"]["low"] > 0
    assert result["recommendation"]["policy"] in names
    assert result["ageing"]


def test_training_that_fails_keeps_the_champion():
    one_class = history(stream_job(), outcome=lambda place, x: (x + noise(place) > 0) & (place < CHANGE))
    run = live(Fits(one_class), "every-5-ungated")
    outcomes = [row.outcome for row in run.life.retrained]
    assert outcomes[0] == "promoted"
    assert outcomes[-1] == "failed"
    assert "every class" in run.life.retrained[-1].detail
    assert run.life.served[-1] == run.life.promoted[-1].version


def test_promotion_that_made_things_worse_is_counted_and_rolled_back():
    job = stream_job(promotion={"min_nights": 2, "predecessor_nights": 14})
    whole = history(job, outcome=lambda place, x: x * (-1 if 20 <= place < 27 else 1) + noise(place) > 0)
    policy = policy_of("every-5")
    assert policy is not None
    run = lived(Fits(whole), policy, gate=lambda contest: Ruling(Judgement(True, "passes all", ())))
    assert run.worse >= 1
    (first, *_) = run.life.rolled_back
    (promotion, *_) = [row for row in run.life.promoted if row.night < first][::-1]
    assert run.life.served[first - BEFORE] == promotion.version
    assert run.life.served[first + 1 - BEFORE] == promotion.champion


def test_cheapest_policy_that_is_level_with_the_best_is_recommended():
    same = Fits(history(stream_job(), outcome=lambda place, x: x + noise(place) > 0))
    runs = [live(same, name) for name in ("never", "every-5", "every")]
    advice = recommended(runs) or {}
    assert advice["policy"] == "never"
    assert advice["settings"] == "retraining:\n  enabled: false"
    changed = Fits(history(stream_job()))
    runs = [live(changed, name) for name in ("never", "every-5-ungated", "every")]
    advice = recommended(runs) or {}
    assert advice["policy"] == "every"  # never is significantly worse; without a gate there are no settings
    assert "loses least" in advice["sentence"]


def test_break_in_performance_is_acted_on_at_once():
    job = stream_job(retraining={"max_age_nights": None, "max_loss": 9.0}, promotion={"min_nights": 2})
    run = live(Fits(history(job)), "governor")
    first, *_ = [row for row in run.life.retrained if row.night >= CHANGE]
    assert "performance broke" in first.reason
    assert first.night <= CHANGE + 5
    (promoted, *_) = run.life.promoted
    assert promoted.night <= CHANGE + 8
    assert "since the change" in promoted.detail or promoted.proven
