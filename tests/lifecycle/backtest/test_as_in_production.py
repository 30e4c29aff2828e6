"""What the backtest's gate is given is what a retraining's gate is given, on the same nights of the same source."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

import pandas as pd
import pytest

from lifecycle.backtest.fits import Fits
from lifecycle.backtest.gate import Contest, Ruling, evaluated
from lifecycle.backtest.history import read_history
from lifecycle.backtest.life import lived
from lifecycle.backtest.policies import policy_of
from lifecycle.comparison import Judgement
from lifecycle.promotion import promote
from lifecycle.retraining import RetrainingRequest, retrain
from lifecycle.training import train
from scoring.interval import Nights
from scoring.stores.warehouse import Evaluation, ensure_job, retrainings
from tests.conftest import Toy
from tests.support.toy import FIRST, add, events, execute

NIGHTS, FROM, EVERY = 34, 18, 8


@pytest.mark.parametrize("window", ["expanding", "sliding"])
def test_gate_is_given_what_a_retraining_finds(untrained: Toy, window):
    execute(untrained.source, "delete from events")
    days = [FIRST + timedelta(days=place) for place in range(NIGHTS)]
    add(untrained.source, pd.concat([events(day, 80) for day in days]))
    training = {"window": window, "window_days": 17, "holdout_nights": 4}
    untrained.change(training=training, promotion={"min_nights": 2, "segments": ["kind"]})
    work = untrained.work
    lived_again: list[Evaluation] = []

    def refusing(contest: Contest) -> Ruling:
        evaluation = evaluated(contest)
        assert evaluation is not None
        lived_again.append(evaluation)
        return Ruling(Judgement(False, "refuses all", ()))

    policy = policy_of(f"every-{EVERY}")
    assert policy is not None
    history = read_history(work, Nights.including(days[FROM], days[-1]))
    run = lived(Fits(history), policy, gate=refusing)

    ensure_job(work.warehouse, work.job)
    first = train(work, Nights(days[0], days[run.life.first.until]))
    promote(work, first.ref.version, "test", "tests", effective_from=days[FROM])
    for row, again in zip(run.life.retrained, lived_again, strict=True):
        done = retrain(work, RetrainingRequest("test", night=days[row.night]))
        assert done.model_version is not None
        card = retrainings.card(work.warehouse, work.job.name, done.model_version)
        assert card is not None
        found = Evaluation.from_json(card["evaluation"])
        assert again.gain is not None
        assert found.gain is not None
        assert asdict(again.gain) == pytest.approx(asdict(found.gain))
        assert asdict(again.holdout) == asdict(found.holdout) | {"first": None, "last": None}
        for side in ("champion", "challenger"):
            error = again.metrics[side]["calibration_error"]["value"]
            assert error == pytest.approx(found.metrics[side]["calibration_error"]["value"])
        assert {(one.value, one.rows) for one in again.segments} == {(one.value, one.rows) for one in found.segments}
        assert again.refits is not None
        assert found.refits is not None
        assert (again.refits.mean, again.refits.sd) == pytest.approx((found.refits.mean, found.refits.sd))
        ours, theirs = (
            [(block.refit_until, block.against_until, block.nights, block.rows) for block in pool.blocks]
            for pool in (again.refits, found.refits)
        )
        assert ours == theirs
        if done.state == "promoted":
            break  # from here on the champions differ
    assert len(lived_again) >= 2
