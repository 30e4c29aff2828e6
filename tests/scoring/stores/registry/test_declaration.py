"""What a version was trained with is pinned: what the job file may declare afterwards, and what it may not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from scoring.errors import DeclarationMismatch
from scoring.job import Job
from scoring.stores.registry.declaration import Declaration, declared

SEATS = {"type": "float", "nullable": False, "min": 1, "max": 400}
CARRIER = {"type": "category", "allowed": ["AA", "UA"], "unknown": "quarantine"}


def changed(job: Job, **changes: Any) -> Job:
    return Job.model_validate({**job.model_dump(mode="json"), **changes})


@pytest.fixture(scope="module")
def job(plain_job: Job) -> Job:
    features = {"seats": SEATS, "carrier": CARRIER, "flag": {"type": "bool"}, "due": {"type": "datetime"}}
    return changed(plain_job, features=features)


@pytest.fixture(scope="module")
def pinned(job: Job) -> Declaration:
    return Declaration.from_json(declared(job))


def with_rules(job: Job, name: str, **rules: Any) -> Job:
    features = job.model_dump(mode="json")["features"]
    return changed(job, features={**features, name: {**features[name], **rules}})


def retyped(job: Job, name: str, **rules: Any) -> Job:
    return changed(job, features={**job.model_dump(mode="json")["features"], name: rules})


def places(pinned: Declaration, job: Job) -> list[tuple[str, bool]]:
    return [(change.place, change.lasting) for change in pinned.changes(job)]


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("seats", {"min": 2}),
        ("seats", {"max": 399.5}),
        ("seats", {"min": 5, "max": 5}),
        ("carrier", {"allowed": ["UA"]}),
        ("carrier", {"allowed": ["UA", "AA"]}),
        ("seats", {"drift": "ignored"}),
        ("carrier", {"sensitive": True}),
    ],
)
def test_narrower_rule_or_one_of_monitoring_is_no_change(
    pinned: Declaration, job: Job, name: str, rules: dict[str, Any]
) -> None:
    assert places(pinned, with_rules(job, name, **rules)) == []


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("seats", {"min": 0}),
        ("seats", {"min": None}),
        ("seats", {"max": 401}),
        ("seats", {"max": None}),
        ("seats", {"nullable": True}),
        ("carrier", {"allowed": ["AA", "UA", "DL"]}),
        ("carrier", {"allowed": None}),
        ("carrier", {"unknown": "count"}),
        ("flag", {"nullable": True}),
    ],
)
def test_wider_rule_has_to_be_accepted(pinned: Declaration, job: Job, name: str, rules: dict[str, Any]) -> None:
    wider = with_rules(job, name, **rules)
    assert places(pinned, wider) == [(f"features.{name}", False)]
    assert "`nightshift accept plain 3 --reason …`" in str(pinned.refusal(wider, pinned.changes(wider), 3))


@pytest.mark.parametrize(("name", "kind"), [("seats", "int"), ("seats", "bool"), ("flag", "int"), ("flag", "float")])
def test_number_of_another_type_has_to_be_accepted(pinned: Declaration, job: Job, name: str, kind: str) -> None:
    assert places(pinned, retyped(job, name, type=kind)) == [(f"features.{name}", False)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("seats", "category"), ("carrier", "float"), ("carrier", "datetime"), ("due", "float"), ("flag", "category")],
)
def test_text_in_place_of_a_number_cannot_be_accepted(pinned: Declaration, job: Job, name: str, kind: str) -> None:
    other = retyped(job, name, type=kind)
    assert places(pinned, other) == [(f"features.{name}", True)]
    assert "accept" not in str(pinned.refusal(other, pinned.changes(other), 3))


def test_refusal_says_both_declarations(pinned: Declaration, job: Job) -> None:
    other = retyped(job, "seats", type="category")
    message = str(pinned.refusal(other, pinned.changes(other), 3))
    assert "found features.seats: type category; expected" in message
    assert "features.seats: type float, min 1, max 400" in message


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ({"column": "z"}, [("label.column", False)]),
        ({"column": "y", "positive": "late"}, [("label.positive", False)]),
        ({"column": "y", "positive": True}, []),
        ({"column": "y", "threshold": 0.3}, []),
        ({"column": "y", "delay_days": 3, "horizon_days": 2}, []),
    ],
)
def test_outcome_is_pinned_and_when_it_is_known_is_not(
    pinned: Declaration, job: Job, label: dict[str, Any], expected: list[tuple[str, bool]]
) -> None:
    assert places(pinned, changed(job, label=label)) == expected


def test_version_that_was_made_without_an_outcome_takes_the_first_one(job: Job) -> None:
    without = changed(job, label={}, pipeline=None, retraining={"enabled": False})
    made = Declaration.from_json(declared(without))
    assert places(made, changed(job, label={"column": "y", "positive": "late"})) == []
    wider = with_rules(without, "seats", max=500)
    message = str(made.refusal(wider, made.changes(wider), 3))
    assert f"`nightshift register {job.name} --model" in message and "nightshift train" not in message


def test_another_task_or_other_classes_cannot_be_accepted(pinned: Declaration, job: Job) -> None:
    assert places(pinned, changed(job, task="regression")) == [("task", True)]
    three = changed(job, task="multiclass", label={"column": "y", "classes": ["a", "b", "c"]})
    other = changed(job, task="multiclass", label={"column": "y", "classes": ["a", "b", "d"]})
    turned = changed(job, task="multiclass", label={"column": "y", "classes": ["c", "b", "a"]})
    of_three = Declaration.from_json(declared(three))
    assert places(of_three, other) == [("label.classes", True)]
    assert places(of_three, turned) == []


def test_feature_that_is_gone_is_refused_with_what_it_was_and_what_it_may_be_called(
    pinned: Declaration, job: Job
) -> None:
    features = job.model_dump(mode="json")["features"]
    renamed = {("seats_" if name == "seats" else name): rules for name, rules in features.items()}
    with pytest.raises(DeclarationMismatch) as caught:
        pinned.job_of(changed(job, features=renamed))
    message = str(caught.value)
    assert "found no ['seats'] in the job file, which declares ['seats_', 'carrier', 'flag', 'due']" in message
    assert "seats: type float, min 1, max 400" in message
    assert "if seats is called seats_ today, declare it as seats again" in message


def test_version_sees_its_own_features_in_its_own_order(pinned: Declaration, job: Job) -> None:
    features = job.model_dump(mode="json")["features"]
    more = {"new": {"type": "int"}, **dict(reversed(features.items()))}
    seen = pinned.job_of(with_rules(changed(job, features=more), "seats", min=7))
    assert list(seen.features) == list(features)
    assert seen.features["seats"].min == 7


def test_golden_rows_of_an_older_version_tell_names_and_types(job: Job) -> None:
    schema = pa.schema(
        [("id", pa.int64()), ("seats", pa.float64()), ("carrier", pa.string()), ("due", pa.timestamp("us", "UTC"))]
    )
    older = Declaration.of_golden_rows(schema, ["carrier", "seats", "due"])
    assert list(older.job_of(job).features) == ["carrier", "seats", "due"]
    assert places(older, with_rules(job, "seats", min=None)) == []
    assert places(older, retyped(job, "seats", type="category")) == [("features.seats", True)]


def test_golden_rows_of_a_version_that_says_nothing_of_its_features_leave_out_keys(job: Job) -> None:
    schema = pa.schema([("at", pa.timestamp("us", "UTC")), ("id", pa.int64()), ("seats", pa.float64())])
    assert list(Declaration.of_golden_rows(schema, None).job_of(job).features) == ["seats"]


def test_key_that_is_no_feature_any_more_is_gone(job: Job) -> None:
    both = changed(job, features={"id": {"type": "int"}, "seats": SEATS})
    pinned = Declaration.from_json(declared(both))
    with pytest.raises(DeclarationMismatch, match=r"no \['id'\] in the job file"):
        pinned.job_of(changed(job, features={"seats": SEATS}))


def test_key_that_is_a_feature_now_is_none_to_the_version(pinned: Declaration, job: Job) -> None:
    features = {"id": {"type": "int"}, **job.model_dump(mode="json")["features"]}
    assert "id" not in pinned.job_of(changed(job, features=features)).features
