"""A feature is added to a job: the champion goes on, a version with it is trained, compared, crowned, and taken back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from drift.report import write_report
from drift.watch import watch
from lifecycle.promotion import promote, rollback
from lifecycle.retraining import tasks
from lifecycle.retraining.record import RetrainingRequest, begin
from lifecycle.retraining.tasks import retrain
from lifecycle.shadow.review import measure as measure_shadows
from lifecycle.shadow.score import pin, shadow_run
from lifecycle.training.train import train
from scoring.interval import Nights
from scoring.night.rescore import rescore
from scoring.stores.run_folder import RunFolder
from scoring.stores.warehouse import ledger, promotions, retrainings, shadows
from scoring.stores.warehouse.promotions import champion_at
from tests.conftest import Toy
from tests.support.features import add_feature, declare
from tests.support.living import DAY, add_nights, columns, judged, nights, score, shown_run
from tests.support.toy import FIRST, NIGHT, ROWS, UNTIL, execute

GATE: dict[str, Any] = {"training": {"holdout_nights": 14}, "promotion": {"max_latency_ratio": 1000, "promote": "gate"}}


def with_z() -> Pipeline:
    """Return the toy's pipeline, which learns from ``z`` as well."""
    return make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["kind"]), (SimpleImputer(), ["x", "z"])),
        LogisticRegression(),
    )


def as_it_comes() -> Pipeline:
    """Return a pipeline that takes the columns in the order in which it was fitted on them."""
    return make_pipeline(SimpleImputer(), LogisticRegression())


HERE = "tests.lifecycle.test_added_feature"


def predicted(toy: Toy, run_id: str) -> list[dict]:
    folder = RunFolder(toy.stores.lake, ledger.get(toy.stores.warehouse, run_id))
    return sorted((row for batch in folder.predictions() for row in batch.to_pylist()), key=lambda row: row["id"])


def test_nights_go_on_with_the_champion_as_if_the_feature_were_not_there(toy: Toy) -> None:
    before = predicted(toy, score(toy, NIGHT))
    add_feature(toy, first=True)
    assert predicted(toy, score(toy, NIGHT)) == before
    run = shown_run(toy, NIGHT)
    assert (run.model_version, run.rows_scored, run.quarantine_reasons) == (1, ROWS, {})


@pytest.mark.parametrize("values", ["null", "-1", "'NaN'::float8"])
def test_row_that_is_bad_in_a_feature_which_the_version_does_not_use_is_scored(toy: Toy, values: str) -> None:
    add_feature(toy, f"case when mod(id, 2) = 0 then {values} else 1 end")
    score(toy, NIGHT)
    assert shown_run(toy, NIGHT).rows_scored == ROWS


def test_new_feature_is_no_alarm(toy: Toy) -> None:
    add_feature(toy)
    watched = watch(toy.work, score(toy, NIGHT), write_report)
    assert watched.report_error == "z (new: the version was not trained with it)"
    assert "z" not in " ".join(judged(toy, NIGHT).reasons)
    assert columns(toy, NIGHT)["z"].status == "not compared"


@pytest.mark.slow
def test_version_with_the_feature_is_trained_compared_crowned_and_taken_back(toy: Toy) -> None:
    score(toy, NIGHT)
    add_nights(toy, nights(21))
    add_feature(toy, "case when y then 3 else 1 end + mod(id, 2)", pipeline=f"{HERE}:with_z", **GATE)
    score(toy, NIGHT + 20 * DAY)
    row = retrain(toy.work, RetrainingRequest("a feature", night=NIGHT + 20 * DAY))
    assert (row.state, row.champion_version, row.model_version) == ("promoted", 1, 2), row.detail
    card = retrainings.card(toy.stores.warehouse, toy.job.name, 2)
    assert card is not None
    assert card["evaluation"]["holdout"]["rows"] == card["evaluation"]["holdout"]["nights"] * ROWS
    run_id = score(toy, NIGHT + DAY)  # a backfill of an old night
    assert ledger.get(toy.stores.warehouse, run_id).model_version == 1
    (again,) = rescore(toy.work, Nights.of(NIGHT + DAY), 2, "to see")
    assert (again.status, again.problem) == ("published", None)
    back = rollback(toy.work, "to see", "somebody")
    assert back.model_version == 1
    history = promotions.history_of(toy.stores.warehouse, toy.job.name)
    assert champion_at(history, back.effective_from) == 1


def test_version_with_the_feature_in_the_shadow_scores_the_rows_that_it_can(toy: Toy) -> None:
    score(toy, NIGHT)
    add_feature(toy, "case when at < '2024-01-08' or mod(id, 4) > 0 then 3 end", pipeline=f"{HERE}:with_z")
    train(toy.work, Nights(FIRST, UNTIL))
    pin(toy.work, 2, nights=5)
    run_id = score(toy, NIGHT + DAY)
    assert shown_run(toy, NIGHT + DAY).rows_scored == ROWS
    assert shadow_run(toy.work, run_id) == [2]
    (night,) = shadows.nights(toy.stores.warehouse, toy.job.name, 2)
    assert (night.status, night.rows) == ("scored", ROWS * 3 // 4)
    assert measure_shadows(toy.work, NIGHT + 2 * DAY) == [NIGHT + DAY]
    (night,) = shadows.nights(toy.stores.warehouse, toy.job.name, 2)
    assert night.losses is not None
    assert night.losses.rows == ROWS * 3 // 4


def test_predecessor_without_the_feature_scores_in_the_shadow(toy: Toy) -> None:
    score(toy, NIGHT)
    add_feature(toy, pipeline=f"{HERE}:with_z")
    train(toy.work, Nights(FIRST, UNTIL))
    promote(toy.work, 2, "a feature", "somebody")
    run_id = score(toy, NIGHT + DAY)
    assert ledger.get(toy.stores.warehouse, run_id).model_version == 2
    assert shadow_run(toy.work, run_id) == [1]
    (night,) = shadows.nights(toy.stores.warehouse, toy.job.name, 1)
    assert night.rows == ROWS


def test_retraining_goes_by_the_job_file_that_its_rows_were_read_with(toy: Toy) -> None:
    score(toy, NIGHT)
    row = begin(toy.work, RetrainingRequest("a test", night=NIGHT + DAY))
    assert tasks.snapshot(toy.work, row.retraining_id)
    add_feature(toy, pipeline=f"{HERE}:with_z", **GATE)
    assert tasks.train(toy.work, row.retraining_id) == 2
    facts = toy.stores.registry.facts(toy.stores.registry.resolve(toy.job.name, 2))
    assert facts.declaration is not None
    assert sorted(facts.declaration["features"]) == ["kind", "x"]


def test_order_of_the_features_does_not_matter_to_a_pipeline_that_takes_them_as_they_come(untrained: Toy) -> None:
    number = {"type": "float", "nullable": True}
    execute(untrained.source, "alter table events add column z double precision default 2")
    toy, sql = untrained, "z, x * 2 as w"
    declare(toy, {"x": number, "w": number}, sql, pipeline=f"{HERE}:as_it_comes")
    train(toy.work, Nights(FIRST, UNTIL))
    promote(toy.work, 1, "first", "somebody", UNTIL)
    before = predicted(toy, score(toy, NIGHT))
    declare(toy, {"z": number, "w": number, "x": number}, sql, pipeline=f"{HERE}:as_it_comes")
    assert list(toy.job.features) == ["z", "w", "x"]
    after = predicted(toy, score(toy, NIGHT))
    assert after == before
    assert np.std([row["probability"] for row in after]) > 0.01
