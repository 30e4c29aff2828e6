"""Labels: their keys are read like those of the features, and what counts as positive is said or plain."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from drift.performance.outcomes import outcomes_of
from lifecycle.checks.labels import check_labels
from lifecycle.training.rows import read_rows
from lifecycle.training.train import train
from scoring.errors import ContractError, JobFileError, TrainingDataError
from scoring.interval import Nights
from scoring.job.definition import Job
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.rows.outcome_values import meanings, outcome_text
from scoring.stores.installation import Stores
from scoring.stores.labels import LABEL_COLUMN, labels_of, read_labels
from scoring.stores.warehouse import ledger
from scoring.stores.workspace import Workspace
from tests.conftest import Toy
from tests.support.toy import FIRST, LABELS, NIGHT, ROWS, TRAIN_NIGHTS, UNTIL, execute, train_champion

WINDOW = Nights(FIRST, UNTIL)
YES = "case when y then 'yes' else 'no' end"


def labelled_as(toy: Toy, outcome: str = "y", number: str = "id", **changes: Any) -> Job:
    """Write labels.sql with other expressions for outcome and key, of a job with other settings; return the job."""
    toy.change(**changes)
    text = LABELS.replace("select at, id, y", f"select at, {number} as id, {outcome} as y")
    (toy.folder / "sql" / toy.job.name / "labels.sql").write_text(text)
    return toy.job


def positive(value: Any) -> dict[str, Any]:
    return {"label": {"column": "y", "positive": value}}


# ---------------------------------------------------------------- keys


@pytest.mark.parametrize("key", ["id::numeric(20)", "id::text", "'00' || id || '.0'", "id::float8", "id::int2"])
def test_a_key_of_another_type_is_read_like_that_of_the_features(untrained: Toy, key: str) -> None:
    plain = read_rows(untrained.work, WINDOW).table
    labelled_as(untrained, number=key)
    assert read_rows(untrained.work, WINDOW).table.equals(plain)


@pytest.mark.parametrize("key", ["id::numeric", "id::text", "id::numeric(20)", "id"])
def test_keys_of_19_digits_stay_exact(untrained: Toy, key: str) -> None:
    execute(untrained.source, "update events set id = id + 9223372036854775607")
    labelled_as(untrained, number=key)
    ids = read_labels(untrained.work, WINDOW).column("id")
    assert pc.min_max(ids).as_py() == {"min": 2**63 - 201, "max": 2**63 - 202 + ROWS}
    assert read_rows(untrained.work, WINDOW).labelled.num_rows == TRAIN_NIGHTS * ROWS


def test_labels_whose_key_cannot_be_read_are_left_out_and_counted(untrained: Toy) -> None:
    labelled_as(untrained, number="case id when 3 then 'x' when 4 then null else id::text end")
    labels = labels_of(untrained.work, WINDOW)
    assert (labels.table.num_rows, labels.unreadable_keys) == (TRAIN_NIGHTS * (ROWS - 2), TRAIN_NIGHTS * 2)
    made = train(untrained.work, WINDOW)
    assert (made.rows, made.without_outcome, made.unreadable_labels) == (
        TRAIN_NIGHTS * (ROWS - 2),
        TRAIN_NIGHTS * 2,
        TRAIN_NIGHTS * 2,
    )
    facts = untrained.stores.registry.facts(made.ref)
    assert (facts.without_outcome, facts.unreadable_labels) == (TRAIN_NIGHTS * 2, TRAIN_NIGHTS * 2)


def test_labels_with_keys_that_are_stored_alike_are_refused(untrained: Toy) -> None:
    number = "case id when 3 then '07' else id::text end"
    execute(untrained.source, "update events set y = (id = 7) where id in (3, 7)")
    job = labelled_as(untrained, number=number, key={"id": "int"}, time_column=None)
    with pytest.raises(
        TrainingDataError, match=r"found 1 keys with several outcomes, such as {'id': '7'}.*Next: select"
    ):
        read_labels(Workspace(untrained.stores, job), Nights(FIRST, FIRST + timedelta(days=1)))


def test_copies_of_a_label_count_once(untrained: Toy) -> None:
    before = read_labels(untrained.work, WINDOW)
    execute(untrained.source, "insert into events select * from events where id < 5")
    after = read_labels(untrained.work, WINDOW)
    keys = [(name, "ascending") for name in untrained.job.key]
    assert after.sort_by(keys).equals(before.sort_by(keys))


# ---------------------------------------------------------------- outcomes


@pytest.mark.parametrize(
    ("outcome", "value"),
    [
        ("y", None),
        ("y::int", None),
        ("y::int::float8", None),
        ("y::int::numeric(3, 2)", None),
        ("y::text", None),
        ("case when y then 't' else 'F' end", None),
        ("case when y then 'TRUE' else 'False' end", None),
        ("y::int::text", None),
        (YES, "yes"),
        (YES, True),  # YAML takes yes for true
        ("upper(left(" + YES + ", 1))", "Y"),
        ("y::int + 1", 2),
        ("case when y then 0.5 else 1.5 end", 0.5),
        ("case when y then -1 else 1 end::float8", -1),
        ("not y", False),
        ("case when y then 'ja' end", "ja"),
        ("case when y then md5('a')::uuid else md5('b')::uuid end", "0cc175b9-c0f1-b6a8-31c3-99e269772661"),
        ("1 - y::int", 0),
        ("case when y then 'b' else '' end", "b"),
    ],
)
def test_outcomes_of_any_two_values_are_read(untrained: Toy, outcome: str, value: Any) -> None:
    plain = read_labels(untrained.work, WINDOW).sort_by([("at", "ascending"), ("id", "ascending")])
    job = labelled_as(untrained, outcome, **positive(value))
    labels = read_labels(Workspace(untrained.stores, job), WINDOW).sort_by([("at", "ascending"), ("id", "ascending")])
    if outcome.endswith("'ja' end"):  # the others have no outcome
        plain = plain.filter(plain.column(LABEL_COLUMN))
    assert labels.equals(plain)


@pytest.mark.parametrize(
    ("outcome", "value", "parts"),
    [
        (
            YES,
            None,
            [r"found 1200 values such as '(no|yes)' \d+, '(no|yes)' \d+", "true and false", "label.positive: 'yes'"],
        ),
        ("y::int + 1", None, [r"found \d+ values such as '2' \d+;", "label.positive: '2'"]),
        (YES, "ja", [r"'no' \d+", "one value next to label.positive 'ja'"]),
        ("'ja'", "yes", ["found 1200 values such as 'ja' 1,200", "label.positive 'yes' among them", "correct label"]),
        ("case id % 3 when 0 then 'a' when 1 then 'b' else 'c' end", "a", ["'b' 402, 'c' 396", "one value next to"]),
        ("'v' || id", None, ["and 195 more"]),
    ],
)
def test_other_outcomes_are_refused_with_the_values_found(
    untrained: Toy, outcome: str, value: Any, parts: list[str]
) -> None:
    job = labelled_as(untrained, outcome, **positive(value))
    with pytest.raises(TrainingDataError) as caught:
        read_rows(Workspace(untrained.stores, job), WINDOW)
    assert f"sql/{job.name}/labels.sql: column y: found " in str(caught.value)
    for part in parts:
        assert pc.match_substring_regex(pa.array([str(caught.value)]), part)[0].as_py(), part


def test_outcomes_are_compared_over_all_nights_of_a_job_that_is_read_night_by_night(untrained: Toy) -> None:
    """Each night holds two values, all nights hold three."""
    outcome = f"case when y then 'yes' when at < '{FIRST + timedelta(days=2)} 00:00+00' then 'no' else 'nö' end"
    job = labelled_as(untrained, outcome, key={"id": "int"}, time_column=None, **positive("yes"))
    with pytest.raises(TrainingDataError, match=r"'nö' .*'no' .*one value next to label\.positive 'yes'"):
        read_rows(Workspace(untrained.stores, job), WINDOW)


def test_fractions_are_no_outcome_of_a_binary_job() -> None:
    job = Job.model_validate(
        {
            "name": "shop",
            "description": "x",
            "owner": "x",
            "source": "x",
            "task": "binary",
            "key": {"id": "int"},
            "schedule": {"timezone": "UTC", "first_night": FIRST},
            "label": {"column": "y"},
            "pipeline": "a:b",
            "features": {"x": {"type": "float"}},
        }
    )
    text = outcome_text(pa.array([0.0, 1.0, float("nan"), None]), job, "labels.sql")
    assert text.to_pylist() == ["0", "1", None, None]  # what pandas makes of a column with nulls
    assert meanings({"0": 1, "1": 2}, job, "labels.sql") == {"0": False, "1": True}
    with pytest.raises(ContractError, match=r"wrong type: found double with values such as 0\.5; expected two values"):
        outcome_text(pa.array([0.0, 0.5]), job, "labels.sql")


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_label_positive_belongs_to_binary_jobs(untrained: Toy, task: str) -> None:
    classes = ["a", "b", "c"] if task == "multiclass" else None
    with pytest.raises(JobFileError, match=f"label.positive.*found with task {task}, expected with task binary"):
        untrained.change(task=task, label={"column": "y", "positive": "yes", "classes": classes})


def test_label_positive_holds_for_measured_performance_too(untrained: Toy) -> None:
    train_champion(Workspace(untrained.stores, labelled_as(untrained, YES, **positive("yes"))))
    done = run_night(untrained.work, NightRequest(NIGHT, untrained.stores.clock(), "test"))
    found = outcomes_of(untrained.work, ledger.get(untrained.stores.warehouse, done.run_id))
    right = pc.equal(found.predictions.column("prediction"), found.outcome)
    assert found.labelled == ROWS
    assert pc.mean(right).as_py() > 0.6


# ---------------------------------------------------------------- check


def test_check_says_what_the_outcomes_are(untrained: Toy) -> None:
    outcome = "case when id < 50 then null when id < 150 then 'no' else 'yes' end"
    job = labelled_as(untrained, outcome, "nullif(id, 60)", **positive("yes"))
    path = untrained.folder / "sql" / job.name / "labels.sql"
    path.write_text(path.read_text().replace("and y is not null", ""))
    assert check_labels(Workspace(untrained.stores, job)) == [
        f"outcome of night {FIRST}: 2 values, 'no' 99, 'yes' 50; 'yes' counts as positive",
        "50 of 199 rows have no outcome",
        "1 rows of labels.sql have a key that cannot be read, and match no row",
    ]


def test_check_refuses_outcomes_that_need_a_positive_one(untrained: Toy) -> None:
    labelled_as(untrained, YES)
    with pytest.raises(TrainingDataError, match=r"label\.positive: 'yes'"):
        check_labels(untrained.work)


def test_check_says_what_it_found_of_other_tasks(untrained: Toy) -> None:
    job = labelled_as(untrained, "id::float8 / 4", task="regression", pipeline="tests.support.pipelines:build_linear")
    assert check_labels(Workspace(untrained.stores, job)) == [f"outcome of night {FIRST}: 200 numbers, 0 to 49.75"]
    for classes in (["0", "1", "2"], ["0", "1", "3"]):
        job = labelled_as(untrained, "id % 3", task="multiclass", label={"column": "y", "classes": classes})
        if "2" in classes:
            said = f"outcome of night {FIRST}: 3 values, '0' 67, '1' 67, '2' 66"
            assert check_labels(Workspace(untrained.stores, job)) == [said]
    with pytest.raises(TrainingDataError, match=r"found outcomes \['2'\].*expected label.classes"):
        check_labels(Workspace(untrained.stores, job))


def test_check_says_so_when_there_are_no_labels(stores: Stores, untrained: Toy) -> None:
    execute(untrained.source, "delete from events")
    (sentence,) = check_labels(Workspace(stores, untrained.job))
    assert sentence.startswith("no labels of the nights ")
    assert sentence.endswith("nothing to say of the outcome")
