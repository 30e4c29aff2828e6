"""``prediction`` is what the pipeline's ``predict`` says, or what ``label.threshold`` does; from training to the tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from lifecycle.comparison.evaluate import compare
from lifecycle.comparison.history import Rivals
from lifecycle.comparison.model_card import card_of, page_of
from lifecycle.promotion import rollback
from lifecycle.training.row_independence import proven_rule, reference_rows
from lifecycle.training.snapshot import take
from lifecycle.training.train import recipe_of, train
from scoring.errors import JobFileError, PredictionError
from scoring.interval import Nights
from scoring.job.definition import Job
from scoring.job.task import BINARY, MULTICLASS
from scoring.night.run import run_night
from scoring.rows.decision import Decision, Rule, decision_of
from scoring.rows.prediction import predict, to_frame
from scoring.stores.warehouse import Retraining
from scoring.stores.workspace import Workspace
from tests.conftest import Toy
from tests.support.pipelines import Cautious, decided_by
from tests.support.runs import request
from tests.support.toy import EVENTS, FIRST, NIGHT, UNTIL, train_champion

TRUTH = EVENTS["y"].astype(int)
CHEAP = [
    (LogisticRegression(), 0.5),
    (RandomForestClassifier(4, max_depth=2, random_state=0), 0.5),
    (GaussianNB(), 0.5),
    (FixedThresholdClassifier(LogisticRegression(), threshold=0.3), 0.3),
    (FixedThresholdClassifier(LogisticRegression(), threshold=0.7, pos_label=1), 0.7),
    (FixedThresholdClassifier(DecisionTreeClassifier(max_depth=2)), 0.5),
    (GridSearchCV(FixedThresholdClassifier(LogisticRegression()), {"threshold": [0.2]}), 0.2),
]
DEAR = [
    FixedThresholdClassifier(LogisticRegression(), threshold=0.3, response_method="decision_function"),
    FixedThresholdClassifier(LogisticRegression(), threshold=0.3, pos_label=0),
    Cautious(),
    KNeighborsClassifier(4),
    DummyClassifier(),
]


def dense(model: Any) -> Any:
    """Return a pipeline of the toy's columns without sparse matrices, which some models refuse."""
    pipeline = decided_by(model)
    pipeline[0].set_params(sparse_threshold=0)
    return pipeline


def predicted(pipeline: Any, rows: pa.RecordBatch, job: Job) -> tuple[Rule, list[bool], list[bool]]:
    """Return the proven rule, the predictions by it, and what ``predict`` says."""
    rule = proven_rule(pipeline, reference_rows(rows, job), job)
    found = predict(pipeline, rows, job, rule).column("prediction").to_pylist()
    return rule, found, [bool(one) for one in pipeline.predict(to_frame(rows, job))]


@pytest.mark.parametrize(("model", "threshold"), CHEAP, ids=lambda one: type(one).__name__)
def test_prediction_is_the_threshold_that_predict_has(
    plain_rows: pa.RecordBatch, plain_job: Job, model: Any, threshold: float
) -> None:
    rule, found, said = predicted(dense(model).fit(to_frame(plain_rows, plain_job), TRUTH), plain_rows, plain_job)
    assert found == said
    assert (rule.decision.by, rule.decision.threshold) == ("threshold", threshold)


@pytest.mark.parametrize("model", DEAR, ids=lambda one: type(one).__name__)
def test_prediction_is_what_predict_says_where_it_is_no_threshold_on_the_probability(
    plain_rows: pa.RecordBatch,
    plain_job: Job,
    model: Any,
) -> None:
    rule, found, said = predicted(dense(model).fit(to_frame(plain_rows, plain_job), TRUTH), plain_rows, plain_job)
    assert found == said
    assert rule.decision.by == "predict"


def test_prediction_follows_a_threshold_that_was_tuned(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    pipeline = dense(TunedThresholdClassifierCV(LogisticRegression(), scoring="f1")).fit(
        to_frame(plain_rows, plain_job), TRUTH
    )
    rule, found, said = predicted(pipeline, plain_rows, plain_job)
    assert found == said
    assert rule.decision.threshold == pipeline[-1].best_threshold_


def test_prediction_follows_a_threshold_around_the_whole_pipeline(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    pipeline = FixedThresholdClassifier(dense(LogisticRegression()), threshold=0.3).fit(
        to_frame(plain_rows, plain_job), TRUTH
    )
    rule, found, said = predicted(pipeline, plain_rows, plain_job)
    assert found == said
    assert rule.decision == Decision("threshold", 0.3, "FixedThresholdClassifier")


@pytest.mark.parametrize(
    "model", [DecisionTreeClassifier(), HistGradientBoostingClassifier(), GradientBoostingClassifier()]
)
def test_tie_is_decided_as_predict_does(plain_rows: pa.RecordBatch, plain_job: Job, model: Any) -> None:
    """All rows alike, half of them true: the probability is 0.5."""
    same = plain_rows.take(pa.array([1] * 40))
    pipeline = dense(model).fit(to_frame(same, plain_job), [0, 1] * 20)
    _, found, said = predicted(pipeline, same, plain_job)
    assert set(predict(pipeline, same, plain_job).column("probability").to_pylist()) == {0.5}
    assert found == said


def test_class_of_three_is_what_predict_says_of_a_tie(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    classes = plain_job.label.model_copy(update={"classes": ["red", "blue", "green"]})
    three = plain_job.model_copy(update={"task": MULTICLASS, "label": classes})
    same = plain_rows.take(pa.array([1] * 30))
    pipeline = dense(DecisionTreeClassifier()).fit(to_frame(same, three), ["red", "blue", "green"] * 10)
    rule = proven_rule(pipeline, same.select(three.columns), three)
    assert rule.decision.by == "largest"
    assert set(predict(pipeline, same, three, rule).column("prediction").to_pylist()) == {"blue"}


def test_predict_that_gives_no_class_is_named(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    class Odd(LogisticRegression):
        def predict(self, X: Any) -> np.ndarray:
            return np.full(X.shape[0], "maybe")

    pipeline = dense(Odd()).fit(to_frame(plain_rows, plain_job), TRUTH)
    with pytest.raises(PredictionError, match=r"found \['maybe'\]; expected one of \['0', '1'\]"):
        predict(pipeline, plain_rows, plain_job, Rule(decision_of(pipeline, plain_job)))


@pytest.mark.parametrize(("model", "by"), [(LogisticRegression(), "threshold"), (Cautious(), "uncalibrated")])
def test_calibration_keeps_a_decision_of_the_pipelines_own(
    plain_rows: pa.RecordBatch,
    plain_job: Job,
    model: Any,
    by: str,
) -> None:
    calibrated = plain_job.model_copy(
        update={"training": plain_job.training.model_copy(update={"calibration": "sigmoid"})}
    )
    inner = dense(model).fit(to_frame(plain_rows, plain_job), TRUTH)
    outer = CalibratedClassifierCV(FrozenEstimator(inner)).fit(to_frame(plain_rows, plain_job), TRUTH)
    rule, found, said = predicted(outer, plain_rows, calibrated)
    assert rule.decision.by == by
    assert found == (
        said if by == "threshold" else [bool(one) for one in inner.predict(to_frame(plain_rows, plain_job))]
    )


def test_threshold_of_the_job_wins(plain_rows: pa.RecordBatch, plain_job: Job) -> None:
    strict = plain_job.model_copy(update={"label": plain_job.label.model_copy(update={"threshold": 0.8})})
    pipeline = dense(FixedThresholdClassifier(LogisticRegression(), threshold=0.3)).fit(
        to_frame(plain_rows, plain_job), TRUTH
    )
    rule = proven_rule(pipeline, reference_rows(plain_rows, plain_job), strict)
    found = predict(pipeline, plain_rows, strict, rule)
    assert found.column("prediction").to_pylist() == [p >= 0.8 for p in found.column("probability").to_pylist()]
    assert rule.decision.words == "true from probability 0.8 on (label.threshold)"


@pytest.mark.parametrize("threshold", [0, 1, 1.5])
def test_threshold_of_the_job_lies_between_0_and_1(untrained: Toy, threshold: float) -> None:
    with pytest.raises(JobFileError, match=r"label\.threshold"):
        untrained.change(label={"column": "y", "threshold": threshold})


def test_threshold_of_the_job_is_for_two_classes(untrained: Toy) -> None:
    with pytest.raises(JobFileError, match=r"label\.threshold: found with task regression, expected with task binary"):
        untrained.change(task="regression", label={"column": "y", "threshold": 0.3})


# ---------------------------------------------------------------- from training to the tables


def decisions(toy: Toy) -> list[tuple[bool, float]]:
    run_night(toy.work, request(NIGHT))
    view = f"{toy.job.name}_predictions"
    return toy.stores.warehouse.query(f"select prediction, probability from {view} where night = '{NIGHT}'")[1]


def comments(toy: Toy) -> set[str]:
    name = toy.job.name
    relations = [f"{name}_predictions_history", f"{name}_predictions", f"{name}_predictions_as_of"]
    tables = ", ".join(f"'{relation}'::regclass" for relation in relations)
    statement = (
        "select col_description(attrelid, attnum) from pg_attribute where attname = 'prediction' and attrelid in "
        f"({tables})"
    )
    return {row[0] for row in toy.stores.warehouse.query(statement)[1]}


def test_night_holds_the_pipelines_own_decisions(untrained: Toy) -> None:
    untrained.change(pipeline="tests.support.pipelines:build_fixed_threshold")
    train_champion(untrained.work)
    rows = decisions(untrained)
    assert [row[0] for row in rows] == [row[1] >= 0.3 for row in rows]
    assert any(0.3 <= row[1] < 0.5 for row in rows)


def test_night_holds_the_decisions_of_a_custom_predict(untrained: Toy) -> None:
    untrained.change(pipeline="tests.support.pipelines:build_cautious")
    train_champion(untrained.work)
    rows = decisions(untrained)
    assert any(row[1] > 0.9 and not row[0] for row in rows)


def test_changed_threshold_of_the_job_takes_effect_with_the_next_version(untrained: Toy) -> None:
    train_champion(untrained.work)
    untrained.change(label={"column": "y", "threshold": 0.9})
    rows = decisions(untrained)
    assert [row[0] for row in rows] == [row[1] > 0.5 for row in rows]
    train_champion(untrained.work)
    rows = decisions(untrained)
    assert [row[0] for row in rows] == [row[1] >= 0.9 for row in rows]


def test_threshold_makes_another_recipe(untrained: Toy) -> None:
    before = recipe_of(untrained.job)
    assert recipe_of(untrained.change(label={"column": "y", "threshold": 0.9})) != before
    assert recipe_of(untrained.change(label={"column": "y"})) == before


def test_columns_say_how_the_latest_champion_decides(untrained: Toy) -> None:
    train_champion(untrained.work)
    untrained.change(label={"column": "y", "threshold": 0.9})
    train_champion(untrained.work)
    (comment,) = comments(untrained)
    assert comment == (
        "Decision of the row's model version; of version 2, champion from night 2024-01-07 on: "
        "true from probability 0.9 on (label.threshold)"
    )
    rollback(untrained.work, "test", "tests")
    (comment,) = comments(untrained)
    assert comment.endswith("true from probability 0.5 on (LogisticRegression)")


def test_card_says_how_the_version_decides(untrained: Toy) -> None:
    job = untrained.change(label={"column": "y", "threshold": 0.9})
    done = train(Workspace(untrained.stores, job), Nights(FIRST, UNTIL))
    work = Workspace(untrained.stores, job)
    found = compare(work, done.ref, take(work, Nights(FIRST, UNTIL)), Rivals())
    asked = Retraining(
        retraining_id=1,
        job=job.name,
        night=NIGHT,
        trigger="manual",
        reason="r",
        since=FIRST,
        until=UNTIL,
        forced=False,
        stage="evaluate",
        state="running",
        started_at=untrained.stores.clock(),
    )
    card = card_of(Workspace(untrained.stores, job), done.ref, found, asked)
    assert card["prediction"] == "true from probability 0.9 on (label.threshold)"
    assert "true from probability 0.9 on (label.threshold)" in page_of(card)["model_card.html"]
    assert found.loss == BINARY.loss


def test_version_without_a_recorded_decision_decides_at_one_half_as_before(
    plain_rows: pa.RecordBatch, plain_job: Job
) -> None:
    rule = Rule.of_facts({"job": plain_job.name}, plain_job)
    pipeline = dense(FixedThresholdClassifier(LogisticRegression(), threshold=0.3)).fit(
        to_frame(plain_rows, plain_job), TRUTH
    )
    found = predict(pipeline, plain_rows, plain_job, rule)
    assert found.column("prediction").to_pylist() == [p >= 0.5 for p in found.column("probability").to_pylist()]
    assert rule.decision.words == "true from probability 0.5 on"


def test_rule_survives_the_facts(plain_job: Job) -> None:
    rule = Rule(Decision("threshold", 0.3, "FixedThresholdClassifier"), 4096)
    assert Rule.of_facts(rule.facts(), plain_job) == rule
