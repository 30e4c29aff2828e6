"""Training of snapshot jobs, whose entities come every night and whose outcomes overlap: what is claimed holds on new nights."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import roc_auc_score

from drift.watch import watch
from lifecycle.promotion import promote
from lifecycle.training import fit, known_before, out_of_fold
from lifecycle.training.fit import batch_of
from lifecycle.training.rows import NIGHT, read_rows
from lifecycle.training.train import TrainingRequest, train
from scoring.interval import Nights
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.rows import Rule, decision_of, predict
from scoring.stores import LABEL_COLUMN
from scoring.stores.warehouse.schema import ensure_job
from tests.conftest import Toy
from tests.support.entities import night, snapshot_job

pytestmark = pytest.mark.slow
WINDOW = 60


@pytest.mark.parametrize(
    ("horizon", "pipeline"),
    [
        (1, "forest"),
        pytest.param(7, "forest", marks=pytest.mark.nightly),
        pytest.param(30, "forest", marks=pytest.mark.nightly),
        (30, "line"),
    ],
)
def test_no_alert_on_three_nights_after_training_when_nothing_changes(
    untrained: Toy, horizon: int, pipeline: str
) -> None:
    """The nights between the last one that was trained on and the first one scored are those without labels."""
    until = night(WINDOW + horizon)
    snapshot_job(untrained, WINDOW + horizon + 3, horizon, pipeline=f"tests.support.entities:build_{pipeline}")
    window = known_before(untrained.job, until)
    assert (len(window), window.until) == (WINDOW, until - timedelta(days=horizon))
    ensure_job(untrained.work.warehouse, untrained.job)
    version = train(untrained.work, window, request=TrainingRequest(asked_until=until)).ref.version
    assert promote(untrained.work, version, "test", "tests").effective_from == until
    verdicts = []
    for day in Nights.including(until, until + timedelta(days=2)):
        request = NightRequest(day, untrained.stores.clock(), "cli")
        verdicts.append(watch(untrained.work, run_night(untrained.work, request).run_id))
    assert [verdict.verdict for verdict in verdicts] == ["ok"] * 3, [verdict.reasons for verdict in verdicts]


def certainty(table: pa.Table) -> float:
    return float(np.abs(np.asarray(table.column("probability")) - 0.5).mean())


def test_reference_predictions_are_as_sure_as_those_of_later_nights(untrained: Toy) -> None:
    """A pipeline that knows entities again is surer of them than of others, and so it is on the nights that it will score."""
    job = snapshot_job(untrained, WINDOW + 4, 1, keeps=0.9999)
    rows = read_rows(untrained.work, Nights(night(0), night(WINDOW + 4))).table
    before = pc.less(rows.column(NIGHT), pa.scalar(night(WINDOW)))
    trained, later = (
        rows.filter(before),
        rows.filter(pc.greater_equal(rows.column(NIGHT), pa.scalar(night(WINDOW + 1)))),
    )
    pipeline = fit(trained, job)

    def said(fitted: object, table: pa.Table) -> float:
        return certainty(pa.Table.from_batches([predict(fitted, batch_of(table), job, Rule(decision_of(fitted, job)))]))

    strangers = pc.equal(pc.bit_wise_and(trained.column("id"), 1), 0)
    without = fit(trained.filter(pc.invert(strangers)), job)
    new = said(pipeline, later)
    gaps = {
        "reference": abs(certainty(out_of_fold(job, pipeline, trained)) - new),
        "without the entity": abs(said(without, trained.filter(strangers)) - new),
        "fitted on it": abs(said(pipeline, trained) - new),
    }
    assert gaps["reference"] < 0.02
    assert min(gaps["without the entity"], gaps["fitted on it"]) > 3 * gaps["reference"], gaps


@pytest.mark.nightly
def test_what_a_version_claims_is_what_new_outcomes_show(untrained: Toy) -> None:
    """Outcomes of a month ahead: with labels that were not known, and without a gap, the holdout claims too much."""
    delay = horizon = 30
    until = night(WINDOW + delay)
    claimed, shown = {}, {}
    for way in ("as it was", "known labels and gap"):
        naive = way == "as it was"
        snapshot_job(
            untrained,
            WINDOW + 2 * delay + 5,
            horizon,
            label={"column": "y", "delay_days": delay, "horizon_days": 0 if naive else horizon},
        )
        window = Nights.before(until, WINDOW) if naive else known_before(untrained.job, until)
        trained = train(untrained.work, window)
        claimed[way] = trained.metrics["holdout_auc"]
        model = untrained.work.registry.load(trained.ref, untrained.job)
        later = read_rows(
            untrained.work, Nights(until + timedelta(days=delay), until + timedelta(days=delay + 5))
        ).labelled
        said = predict(model.pipeline, batch_of(later), untrained.job, model.rule)
        shown[way] = roc_auc_score(later.column(LABEL_COLUMN).to_numpy(), said.column("probability").to_numpy())
    print(claimed, shown)
    assert claimed["as it was"] - shown["as it was"] > 0.05
    assert abs(claimed["known labels and gap"] - shown["known labels and gap"]) < 0.03
