"""Why the mean prediction of a night moved: the features' shifts, on the night's page and the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from drift.reasons import explain_shift
from drift.watch import watch
from pages import content, rendering
from pages.content import Places
from scoring.errors import PredictionError
from scoring.rows.prediction import to_frame
from scoring.stores.registry import REASONS_FILE, VersionReasons
from scoring.stores.warehouse import ledger, mean_shifts
from tests.conftest import Toy
from tests.support.runs import run, shown
from tests.support.shell import done
from tests.support.toy import NIGHT, execute, train_champion

BOOSTED = "tests.support.pipelines:build_boosted"


@pytest.fixture
def moved(toy: Toy) -> Toy:
    """The toy job after a night whose numbers lie one higher than in training."""
    toy.change(reasons={"top": 1})
    execute(toy.source, f"update events set x = x + 1 where at >= '{NIGHT}' and at < date '{NIGHT}' + 1")
    watch(toy.work, run(toy).run_id)
    return toy


def margins(toy: Toy) -> tuple[float, float]:
    """Return the mean margin of the champion on its reference and in the night, without anything of ours."""
    ref = toy.stores.registry.versions(toy.job.name)[0]
    pipeline = toy.stores.registry.load(ref, toy.job).pipeline
    reference = toy.stores.registry.table(ref, "reference.parquet")
    chances = np.array([probability for _, _, probability in shown(toy)])
    return pipeline.decision_function(to_frame(reference, toy.job)).mean(), np.log(chances / (1 - chances)).mean()


def test_the_shifts_of_the_features_sum_to_the_shift_of_the_mean(moved):
    run_id = ledger.published(moved.stores.warehouse, moved.job.name)[NIGHT]
    shifts = mean_shifts.of_run(moved.stores.warehouse, run_id)
    before, night = margins(moved)
    assert abs(sum(shift.shift for shift in shifts) - (night - before)) < 1e-9
    assert abs(sum(shift.contribution_night for shift in shifts) - night) < 1e-9
    assert shifts[0].feature == "x" and shifts[0].shift > 5 * abs(shifts[1].shift)
    _, rows = moved.stores.warehouse.query("select feature, shift, unit from mean_shifts order by feature")
    assert [row[0] for row in rows] == ["(base)", "kind", "x"] and {row[2] for row in rows} == {"log-odds"}


def test_the_page_of_the_night_says_what_moved_the_mean(moved):
    read = Places(moved.stores.warehouse, moved.stores.lake, lambda name: moved.job)
    view = content.night_page(read, moved.job.name, NIGHT)
    assert view is not None
    page = rendering.render("night", "/nightshift", view)
    before, night = margins(moved)
    assert "Why the mean moved" in page and f"{night - before:+.3f}" in page
    assert [row["feature"] for row in view["shift"]["rows"]] == ["x", "kind"]


def test_the_command_shows_what_moved_the_mean_and_the_reasons_of_a_row(moved, shell):
    before, night = margins(moved)
    output = json.loads(done(shell("reasons", moved.job.name, NIGHT, "--json")))
    assert output["mean"][0]["shift"] == pytest.approx(night - before)
    assert output["features"][0]["feature"] == "x"
    assert "contribution" in done(shell("reasons", moved.job.name, NIGHT, "--key", "id=3"))
    other = shell("reasons", moved.job.name, NIGHT, "--key", "id=99999")
    assert other.code == 1 and "no row with this key" in other.err
    other = shell("reasons", moved.job.name, NIGHT, "--key", "nothing=1")
    assert other.code == 1 and "columns ['nothing']" in other.err


def test_a_version_trained_with_reasons_keeps_its_means_and_an_older_one_computes_the_same(untrained):
    untrained.change(pipeline=BOOSTED, reasons={"top": 1})
    ref = train_champion(untrained.work).ref
    reasons = VersionReasons(untrained.stores.registry, ref, untrained.job)
    stored = untrained.stores.registry.content(ref, REASONS_FILE)
    assert vars(reasons.reference()) == stored
    reference = untrained.stores.registry.table(ref, "reference.parquet")
    version = untrained.stores.registry.load(ref, untrained.job)
    batch = reference.select(untrained.job.columns).combine_chunks().to_batches()[0]
    anew = reasons.means(batch, version.predict(batch, untrained.job))
    assert anew.rows == stored["rows"] and anew.base == stored["base"]
    assert anew.by_feature == pytest.approx(stored["by_feature"], abs=1e-12)


def test_training_refuses_a_pipeline_without_exact_reasons(untrained):
    untrained.change(pipeline="tests.support.pipelines:build_bayes", reasons={"top": 1})
    with pytest.raises(PredictionError, match="GaussianNB"):
        train_champion(untrained.work)
    assert untrained.stores.registry.versions(untrained.job.name) == []


def test_a_run_without_reasons_has_no_shift(toy):
    published = run(toy)
    watch(toy.work, published.run_id)
    toy.change(reasons={"top": 1})
    assert explain_shift(toy.work, ledger.get(toy.stores.warehouse, published.run_id)) == []
