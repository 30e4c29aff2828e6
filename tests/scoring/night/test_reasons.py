"""Reasons of a night's predictions, from scoring to the view, the lake and back."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from drift.watch import watch
from lifecycle.checks.pipeline import check_pipeline
from lifecycle.erasure import EntityKey, forget
from scoring.errors import JobFileError, PredictionError
from scoring.night import discard, reasons_object, release, unpublish
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.rows.prediction import to_frame
from scoring.settings import RetentionPolicy
from scoring.stores.registry import VersionReasons
from scoring.stores.warehouse import ledger
from scoring.stores.workspace import Workspace
from scoring.upkeep.retention import apply, plan
from scoring.upkeep.verify import verify
from tests.conftest import Toy
from tests.support.crashes import REASON_POINTS, die_at
from tests.support.runs import run, shown
from tests.support.sharing import READ_BY_ONE, night, share
from tests.support.toy import NIGHT, train_champion

BOOSTED = "tests.support.pipelines:build_boosted"
X = {"type": "float", "nullable": True, "min": -50}
ASKED = {"top": 2, "where": "probability >= 0.5"}
COLUMNS = "id, rank, feature, value, contribution"


@pytest.fixture
def asking(toy: Toy) -> Toy:
    """The toy job with a champion, asking for reasons."""
    toy.change(reasons=ASKED)
    return toy


def reasons(toy: Toy, columns: str = COLUMNS) -> list[tuple]:
    """Return what the view of reasons shows."""
    return toy.stores.warehouse.query(f"select {columns} from {toy.job.name}_reasons order by id, rank")[1]


def rows_in_table(toy: Toy) -> int:
    with toy.stores.warehouse.transaction() as connection:
        return int(connection.exec_driver_sql(f"select count(*) from {toy.job.name}_reasons_history").scalar_one())


def test_reasons_of_the_predictions_that_were_asked_for_are_published_with_them(asking):
    run(asking)
    likely = [key for key, _, probability in shown(asking) if probability >= 0.5]
    rows = reasons(asking)
    assert [(key, rank) for key, rank, *_ in rows] == [(key, rank) for key in likely for rank in (1, 2)]
    by_key = {key: {row[2]: row for row in rows if row[0] == key} for key in likely}
    assert all(set(some) == {"x", "kind"} for some in by_key.values())
    table = asking.stores.lake.table(reasons_object(asking.work, NIGHT))
    assert sorted(zip(*(table.column(name).to_pylist() for name in COLUMNS.split(", ")), strict=True)) == rows
    assert verify(asking.work) == []


def test_reasons_and_the_base_of_the_version_sum_to_the_margin_that_was_published(asking):
    run(asking)
    ref = asking.stores.registry.versions(asking.job.name)[0]
    pipeline = asking.stores.registry.load(ref, asking.job).pipeline
    reference = asking.stores.registry.table(ref, "reference.parquet")
    base = pipeline.decision_function(to_frame(reference, asking.job)).mean()
    chances = {key: probability for key, _, probability in shown(asking)}
    sums: dict[int, float] = {}
    for key, _, _, _, contribution in reasons(asking):
        sums[key] = sums.get(key, base) + contribution
    assert sums and all(abs(total - math.log(chances[key] / (1 - chances[key]))) < 1e-6 for key, total in sums.items())


def test_boosted_trees_behind_category_codes_have_reasons(untrained):
    untrained.change(pipeline=BOOSTED, reasons={"top": 1})
    train_champion(untrained.work)
    run(untrained)
    rows = reasons(untrained, "id, feature, value, model_version, run_id")
    assert len(rows) == len(shown(untrained))
    assert {row[1] for row in rows} == {"x", "kind"}
    assert {row[2] for row in rows if row[1] == "kind"} <= {"a", "b", "c"}


def test_an_analyst_reads_the_view_and_not_the_table(asking):
    run(asking)
    comments = dict(
        asking.stores.warehouse.query(
            "select attname, col_description(attrelid, attnum) from pg_attribute "
            f"where attrelid = '{asking.job.name}_reasons'::regclass and attnum > 0"
        )[1]
    )
    assert all(comments.values()) and {"rank", "feature", "value", "contribution", "run_id"} <= set(comments)


def test_a_sensitive_value_is_hidden(asking):
    asking.change(
        reasons=ASKED,
        features={
            "x": {"type": "float", "nullable": True, "min": -50, "sensitive": True},
            "kind": {"type": "category"},
        },
    )
    run(asking)
    values = {row[3] for row in reasons(asking) if row[2] == "x"}
    assert values <= {"hidden", None} and "hidden" in values


def test_a_night_scored_again_shows_the_reasons_of_its_last_run_only(asking):
    first, second = run(asking), run(asking)
    assert {row[0] for row in reasons(asking, "run_id, id, rank")} == {second.run_id}
    assert rows_in_table(asking) == 2 * len(reasons(asking))
    release(asking.work, first.run_id)
    assert {row[0] for row in reasons(asking, "run_id, id, rank")} == {first.run_id}
    assert verify(asking.work) == []


QUICK = "lake object of the reasons half written"


@pytest.mark.parametrize(
    "point", [pytest.param(point, marks=() if point == QUICK else pytest.mark.nightly) for point in REASON_POINTS]
)
def test_a_night_killed_shows_reasons_with_its_predictions_or_none_and_a_rerun_repairs(asking, commands, point):
    die_at(commands, asking, point)
    assert shown(asking) if point == QUICK else not shown(asking)
    assert bool(reasons(asking)) == bool(shown(asking))
    done = run(asking)
    rows = reasons(asking)
    likely = [key for key, _, probability in shown(asking) if probability >= 0.5]
    assert [(key, rank) for key, rank, *_ in rows] == [(key, rank) for key in likely for rank in (1, 2)]
    assert {row[0] for row in reasons(asking, "run_id, id, rank")} == {done.run_id}
    assert verify(asking.work) == []


def test_reasons_of_a_night_that_tasks_share_are_those_of_one_that_a_single_task_scores(asking):
    run(asking)
    alone = reasons(asking)
    share(asking, READ_BY_ONE, reasons=ASKED)
    night(asking)
    assert reasons(asking) == alone and alone
    assert verify(asking.work) == []


def test_check_says_that_a_pipeline_has_no_exact_reasons(untrained):
    untrained.change(pipeline="tests.support.pipelines:build_bayes", reasons=ASKED)
    with pytest.raises(JobFileError, match="found GaussianNB; supported is"):
        check_pipeline(untrained.job, 300)


def test_reasons_of_any_rows_are_there_for_the_asking(toy, plain_rows):
    """What an API asks for: all rows of a request, whatever the job's file says."""
    ref = toy.stores.registry.versions(toy.job.name)[0]
    some = plain_rows.slice(0, 5)
    predictions = toy.stores.registry.load(ref, toy.job).predict(some, toy.job)
    rows = VersionReasons(toy.stores.registry, ref, toy.job).of(some, predictions, 5).to_pylist()
    assert [row["rank"] for row in rows] == [1, 2] * 5 and {row["feature"] for row in rows} == {"x", "kind"}


def test_a_night_of_which_no_prediction_meets_the_condition_is_published_without_reasons(asking):
    asking.change(reasons={"where": "probability > 0.999999999"})
    run(asking)
    assert shown(asking) and reasons(asking) == []
    assert verify(asking.work) == []


def test_a_version_of_fewer_features_than_the_job_has_reasons_of_its_own(asking):
    features = {"extra": {"type": "float"}, "x": X, "kind": {"type": "category"}}
    asking.change(features=features, reasons={"top": 3})
    statement = (
        "select at, id, x, kind, id * 1.5 as extra from events where at >= :interval_start and at < :interval_end"
    )
    (asking.folder / "sql" / asking.job.name / "features.sql").write_text(statement)
    watch(asking.work, run(asking).run_id)
    assert {row[2] for row in reasons(asking)} == {"x", "kind"}
    _, rows = asking.stores.warehouse.query(
        f"select feature from mean_shifts where job = '{asking.job.name}' order by 1"
    )
    assert [name for (name,) in rows] == ["(base)", "kind", "x"]


def test_an_unpublished_night_shows_no_reasons(asking):
    run(asking)
    unpublish(asking.work, NIGHT, "wrong")
    assert reasons(asking) == []
    assert not asking.stores.lake.exists(reasons_object(asking.work, NIGHT))


def test_reasons_of_a_held_night_wait_for_its_release_or_go_with_it(asking):
    asking.change(reasons=ASKED, gate={"min_rows": 10_000})
    request = NightRequest(NIGHT, datetime.now(UTC), "test")
    with pytest.raises(Exception, match="is held"):
        run_night(asking.work, request)
    assert reasons(asking) == [] and rows_in_table(asking) > 0
    discard(asking.work, request.run_id)
    assert rows_in_table(asking) == 0


def test_retention_removes_the_reasons_of_a_run(asking):
    first = run(asking)
    run(asking)
    later = replace(asking.stores, clock=lambda: datetime.now(UTC) + timedelta(days=200))
    work = Workspace(later, asking.job)
    apply(work, plan(work, RetentionPolicy()))
    assert ledger.get(asking.stores.warehouse, first.run_id).pruned
    assert rows_in_table(asking) == len(reasons(asking)) > 0


def test_reasons_of_an_erased_key_go_from_table_and_lake(asking):
    run(asking)
    who = reasons(asking)[0][0]
    inventory = forget(asking.work, EntityKey.of(asking.job, {"id": str(who)}), "request 7", "tests")
    assert {
        "reasons of predictions (table)",
        "reasons of predictions (lake)",
        "reasons of published nights (lake)",
    } <= {item.store for item in inventory.items}
    assert who not in {row[0] for row in reasons(asking)} and reasons(asking)
    assert verify(asking.work) == []


def test_what_is_wrong_with_reasons_is_found_and_the_lake_repaired(asking):
    run(asking)
    path = reasons_object(asking.work, NIGHT)
    asking.stores.lake.remove(path)
    assert [(finding.problem, finding.repaired) for finding in verify(asking.work, repair=True)] == [
        ("no lake object of the reasons", True)
    ]
    assert verify(asking.work) == []
    with asking.stores.warehouse.transaction() as connection:
        connection.exec_driver_sql(f"delete from {asking.job.name}_reasons_history where rank = 2")
    assert "rows of reasons" in verify(asking.work)[0].problem


def test_a_job_without_reasons_has_no_table_and_no_file_of_them(toy):
    run(toy)
    names = toy.stores.warehouse.query(
        f"select relname from pg_class where relname like '{toy.job.name}%' order by relname"
    )[1]
    assert not [name for (name,) in names if "reasons" in name]
    assert not [path for path in toy.stores.lake.files(toy.stores.lake.below("runs")) if "reasons-" in path]


def test_a_night_fails_when_its_version_has_no_exact_reasons(untrained):
    bayes = "tests.support.pipelines:build_bayes"
    untrained.change(pipeline=bayes)
    train_champion(untrained.work)
    untrained.change(pipeline=bayes, reasons=ASKED)
    with pytest.raises(PredictionError, match=r"reasons of model version 1 .* found GaussianNB") as error:
        run(untrained)
    assert "take `reasons` out of the job file" in str(error.value)
    assert shown(untrained) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"where": "probability >= "}, "reasons.where: found the end of"),
        ({"where": "probability >= 0.5 and"}, "the end of"),
        ({"where": "__import__('os')"}, "expected one of prediction, probability"),
        ({"where": "prediction > true"}, "expected = or !="),
        ({"where": "prediction = 1"}, "expected true or false"),
        ({"where": "(probability > 0.1"}, "closing bracket"),
        ({"where": "probability > 0.1; drop table jobs"}, "found"),
        ({"where": "(" * 30 + "probability > 0.1" + ")" * 30}, "at most 20 brackets"),
        ({"where": "x > 0.1"}, "found 'x'"),
        ({"top": 0}, "top"),
    ],
)
def test_reasons_that_cannot_be_read_are_refused_when_the_job_is_loaded(untrained, content, words):
    with pytest.raises(JobFileError, match=words.replace("(", r"\(")):
        untrained.change(reasons=content)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("probability >= 0.5", lambda chance, yes: chance >= 0.5),
        ("prediction = true", lambda chance, yes: yes),
        ("prediction != true or probability < .1", lambda chance, yes: not yes or chance < 0.1),
        (
            "(probability < 0.3 or probability > 7e-1) and prediction = FALSE",
            lambda chance, yes: chance < 0.3 and not yes,
        ),
        ("probability > 0.9 and probability > 0.3 or prediction = false", lambda chance, yes: chance > 0.9 or not yes),
    ],
)
def test_the_condition_chooses_rows(plain_job, where, expected):
    import pyarrow as pa

    from scoring.job import Job
    from scoring.rows.reasons.reason_rows import asked_for

    content: dict[str, Any] = plain_job.model_dump(mode="json", exclude_unset=True)
    job = Job.model_validate({**content, "reasons": {"where": where}})
    chances = np.linspace(0, 1, 41)
    batch = pa.RecordBatch.from_pydict({"prediction": pa.array(chances >= 0.5), "probability": pa.array(chances)})
    rows = [bool(expected(chance, chance >= 0.5)) for chance in chances]
    assert asked_for(batch, job).tolist() == rows and any(rows) and not all(rows)
