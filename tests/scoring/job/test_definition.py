"""Job files: what is accepted, and what the error says about everything else."""

from __future__ import annotations

import copy
import inspect
import sys
from datetime import date
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from scoring.errors import JobFileError
from scoring.job.files import find_job, load_job, load_jobs
from scoring.names import RESERVED
from scoring.settings import HOME

VALID: dict[str, Any] = {
    "name": "churn",
    "description": "Chance that a customer leaves.",
    "owner": "crm",
    "schedule": {"timezone": "Europe/Berlin", "first_night": date(2024, 1, 1)},
    "source": "crm",
    "time_column": "seen_at",
    "key": {"customer": "int", "seen_at": "datetime", "region": "string"},
    "features": {
        "region": {"type": "category", "allowed": ["north", "south"]},
        "age": {"type": "int", "min": 0, "max": 120},
        "income": {"type": "float", "nullable": True},
    },
    "task": "binary",
    "label": {"column": "left"},
    "pipeline": "jobs.flight_delay:build_pipeline",
}
ABSENT = object()


def changed(where: str, value: Any) -> dict[str, Any]:
    """Return the valid content with one value, by its dotted path, changed, added or (ABSENT) taken away."""
    content = copy.deepcopy(VALID)
    *folders, last = where.split(".")
    inner = content
    for name in folders:
        inner = inner.setdefault(name, {})
    if value is ABSENT:
        del inner[last]
    else:
        inner[last] = value
    return content


@pytest.fixture
def write(tmp_path):
    def to_file(content, name="churn"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False), encoding="utf-8"
        )
        return path

    return to_file


def message_of(path) -> str:
    with pytest.raises(JobFileError) as caught:
        load_job(path)
    assert not caught.value.retryable
    return str(caught.value)


def test_load_job_reads_a_valid_file_and_fills_in_the_defaults(write):
    job = load_job(write(VALID))
    assert job.columns == ["customer", "seen_at", "region", "age", "income"]
    assert job.probability_columns == ["probability"]
    assert (job.schedule.cron, job.on_empty, job.chunk_rows) == ("0 0 * * *", "fail", 100_000)
    assert (job.gate.max_quarantine_share, job.limits.retries, job.label.delay_days) == (0.05, 3, 1)


@pytest.mark.parametrize("name", ["flight_delay", "flight_duration", "plane_grounded"])
def test_load_job_reads_the_demo_jobs(name):
    job = load_job(HOME / "jobs" / f"{name}.yaml")
    assert job.name == name
    assert job.time_column == (None if job.is_snapshot else "time_hour")
    assert list(job.key) == (["tailnum"] if job.is_snapshot else ["time_hour", "carrier", "flight", "origin"])
    assert callable(job.pipeline_factory())


def test_demo_jobs_differ_in_task():
    jobs, broken = load_jobs(HOME / "jobs")
    assert broken == {}
    tasks = {job.name: job.task.name for job in jobs}
    assert (tasks["flight_delay"], tasks["flight_duration"]) == ("binary", "regression")


@pytest.mark.parametrize("name", ["flight_delay", "flight_duration", "plane_grounded"])
def test_demo_pipelines_are_made_anew_and_unfitted(name):
    factory = load_job(HOME / "jobs" / f"{name}.yaml").pipeline_factory()
    one, two = factory(), factory()
    assert one is not two
    assert not hasattr(one[-1], "n_features_in_")


# ---------------------------------------------------------------- what is wrong, where, found, expected


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        # unknown keys, at every level
        ("nmae", "churn", ["nmae: found an unknown key; did you mean name?"]),
        ("schedule.timezon", "UTC", ["schedule.timezon: found an unknown key; did you mean timezone?"]),
        ("features.age.minimum", 3, ["features.age.minimum: found an unknown key; did you mean min?"]),
        ("gate.max_rows", 3, ["gate.max_rows: found an unknown key; did you mean min_rows?"]),
        ("label.delay", 3, ["label.delay: found an unknown key; did you mean delay_days?"]),
        ("training.days", 3, ["training.days: found an unknown key; did you mean window_days?"]),
        ("limits.cpu", 3, ["limits.cpu: found an unknown key, expected one of retries, retry_delay_seconds, "]),
        # kinds
        (
            "kind",
            "snapshot",
            ["time_column: found 'seen_at' with kind snapshot", "expected none, and :night in the SQL"],
        ),
        ("kind", "batch", ["kind: found 'batch', expected 'events' or 'snapshot'"]),
        ("label.horizon_days", 7, ["label: found horizon_days 7 above delay_days 1", "expected it at most as large"]),
        ("keep_nights", 60, ["keep_nights: found 60, expected at least 90", "monitor.baseline_nights"]),
        # missing keys
        ("task", ABSENT, ["task: found nothing, expected binary, multiclass, regression or score"]),
        (
            "label.column",
            ABSENT,
            ["label.column: found none with task binary and a pipeline to be fitted"],
        ),
        (
            "features.age.type",
            ABSENT,
            ["features.age.type: found nothing, expected float, int, bool, category or datetime"],
        ),
        ("schedule.first_night", ABSENT, ["schedule.first_night: found nothing, expected a day such as 2024-01-31"]),
        # wrong types
        ("chunk_rows", "many", ["chunk_rows: found 'many', expected a whole number"]),
        ("chunk_rows", 0, ["chunk_rows: found 0, expected at least 1"]),
        ("chunk_rows", 2_000_000, ["chunk_rows: found 2000000, expected at most 1000000"]),
        ("features.age.nullable", "perhaps", ["features.age.nullable: found 'perhaps', expected true or false"]),
        ("features.age.min", "low", ["features.age.min: found 'low', expected a number"]),
        ("features.age.type", "integer", ["features.age.type", "'float', 'int', 'bool'", "'integer'"]),
        ("key.customer", "float", ["key.customer", "'int', 'string', 'datetime' or 'date'", "'float'"]),
        (
            "features.region.allowed",
            [False, "south"],
            ["features.region.allowed.0: found false, expected text in quotes"],
        ),
        ("features", [], ["features: found [], expected a mapping"]),
        ("features", {}, ["features: found an empty mapping, expected at least 1"]),
        ("key", {}, ["key: found an empty mapping, expected at least 1"]),
        ("task", "ranking", ["task", "'binary', 'multiclass', 'regression' or 'score'", "'ranking'"]),
        ("on_empty", "ignore", ["on_empty", "'fail' or 'skip'", "'ignore'"]),
        ("gate.max_quarantine_share", 5, ["gate.max_quarantine_share: found 5, expected at most 1"]),
        ("label.delay_days", -1, ["label.delay_days: found -1, expected at least 0"]),
        ("training.window_days", 0, ["training.window_days: found 0, expected at least 1"]),
        ("limits.retries", 99, ["limits.retries: found 99, expected at most 20"]),
        ("owner", "", ["owner", "at least 1 character", "''"]),
        (
            "name",
            "Churn Job",
            ["name: found 'Churn Job', expected lower-case letters, digits and _, a letter first, at most 35"],
        ),
        ("pipeline", "jobs/churn.py", ["pipeline: found 'jobs/churn.py', expected module:function"]),
        # limits that make no sense
        ("features.age", {"type": "int", "min": 9, "max": 1}, ["features.age: found min 9 above max 1, expected"]),
        (
            "features.region",
            {"type": "category", "min": 1},
            ["found min or max with type category, expected type float"],
        ),
        (
            "features.flag",
            {"type": "bool", "max": 1},
            ["features.flag: found min or max with type bool, expected type float"],
        ),
        ("features.age", {"type": "int", "allowed": ["1"]}, ["found allowed or unknown with type int, expected type"]),
        (
            "features.age",
            {"type": "int", "unknown": "quarantine"},
            ["found allowed or unknown with type int, expected type"],
        ),
        # key and feature disagree
        ("key.age", "string", ["features.age: found type int, and type string in key", "one column has one type"]),
        ("key.income", "int", ["features.income: found type float, and type int in key"]),
        ("key.region", "date", ["features.region: found type category, and type date in key"]),
        # time column
        ("time_column", "customer", ["time_column: found 'customer', expected a key column of type datetime"]),
        ("time_column", "elsewhere", ["time_column: found 'elsewhere', expected a key column of type datetime"]),
        # classes
        ("task", "multiclass", ["label.classes: found 0 classes, expected at least 3 classes for task multiclass"]),
        ("label.classes", ["a", "b", "c"], ["label.classes: found with task binary, expected with task multiclass"]),
        # schedule
        ("schedule.timezone", "Berlin", ["schedule.timezone", "IANA", "America/New_York", "'Berlin'"]),
        ("schedule.timezone", "America", ["schedule.timezone", "IANA", "'America'"]),
        ("schedule.timezone", "", ["schedule.timezone", "IANA", "''"]),
        ("schedule.timezone", "../etc", ["schedule.timezone", "IANA", "'../etc'"]),
        ("schedule.cron", "60 0 * * *", ["schedule.cron: found '60 0 * * *', expected minute and hour once a day"]),
        ("schedule.cron", "0 24 * * *", ["schedule.cron: found '0 24 * * *', expected minute and hour once a day"]),
        ("schedule.cron", "*/5 * * * *", ["schedule.cron: found '*/5 * * * *', expected minute and hour once a day"]),
        ("schedule.cron", "@daily", ["schedule.cron: found '@daily', expected minute and hour once a day"]),
        ("schedule.first_night", "soon", ["schedule.first_night: found 'soon', expected a day such as"]),
    ],
)
def test_load_job_names_file_path_found_and_expected_when(write, where, value, said):
    message = message_of(write(changed(where, value)))
    for part in ("churn.yaml", *said):
        assert part in message


@pytest.mark.parametrize("name", sorted(RESERVED))
@pytest.mark.parametrize("where", ["key", "features"])
def test_load_job_refuses_a_reserved_column_name(write, name, where):
    value = "int" if where == "key" else {"type": "int"}
    message = message_of(write(changed(f"{where}.{name}", value)))
    assert f"column names are reserved for predictions: ['{name}']" in message


def test_load_job_lists_every_problem_of_a_file_at_once(write):
    content = changed("chunk_rows", "many")
    content["features"]["age"]["minimum"] = 1
    del content["owner"]
    message = message_of(write(content))
    for part in ("churn.yaml", "\n  - chunk_rows", "\n  - features.age.minimum", "\n  - owner"):
        assert part in message


def test_load_job_refuses_a_name_that_is_not_the_files(write):
    message = message_of(write(VALID, name="leaving"))
    assert message == "leaving.yaml: name: found 'churn'; expected 'leaving', as the file is called"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found an empty file; expected a mapping"),
        ("- a\n- b\n", "found a list; expected a mapping"),
        ("just words", "found 'just words'; expected a mapping"),
        ("name: [unclosed", "expected a readable YAML file"),
        ("a: !!python/object/apply:os.getcwd []", "expected a readable YAML file"),
        ("schedule:\n  first_night: 2013-02-30\n", "expected a readable YAML file"),
    ],
)
def test_load_job_names_the_file_when_it_is_no_mapping(write, text, said):
    message = message_of(write(text))
    assert message.startswith("churn.yaml: found")
    assert said in message


def test_load_job_names_the_file_when_it_is_missing_or_no_text(tmp_path):
    assert "churn.yaml: found" in message_of(tmp_path / "churn.yaml")
    (tmp_path / "churn.yaml").write_bytes(b"name: caf\xe9")
    assert "churn.yaml: found" in message_of(tmp_path / "churn.yaml")


def test_load_job_cannot_be_changed_afterwards(write):
    job = load_job(write(VALID))
    with pytest.raises(ValidationError, match="frozen"):
        job.chunk_rows = 1  # type: ignore[misc]


# ---------------------------------------------------------------- tasks and their columns


def test_probability_columns_follow_the_declared_order_of_classes(write):
    content = changed("label.classes", ["Zeta Class", "alpha", "Mid-1"])
    job = load_job(write({**content, "task": "multiclass"}))
    assert job.probability_columns == ["probability_zeta_class", "probability_alpha", "probability_mid_1"]


def test_probability_columns_are_refused_when_two_classes_share_one(write):
    content = changed("label.classes", ["a b", "a-b", "c"])
    assert "two classes give the same column name" in message_of(write({**content, "task": "multiclass"}))


def test_probability_columns_are_none_for_a_regression(write):
    assert load_job(write(changed("task", "regression"))).probability_columns == []


def test_columns_names_a_column_that_is_key_and_feature_once(write):
    assert load_job(write(VALID)).columns.count("region") == 1


# ---------------------------------------------------------------- the pipeline's factory


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("jobs.nowhere:build", ["No module named 'jobs.nowhere'", "write build in jobs/nowhere.py"]),
        ("jobs.flight_delay:nothing", ["has no attribute 'nothing'", "write nothing in jobs/flight_delay.py"]),
    ],
)
def test_pipeline_factory_says_where_to_write_it_when_it_leads_nowhere(write, pipeline, said):
    job = load_job(write(changed("pipeline", pipeline)))
    with pytest.raises(JobFileError) as caught:
        job.pipeline_factory()
    for part in ("jobs/churn.yaml: pipeline", repr(pipeline), "module:function", *said):
        assert part in str(caught.value)


def test_pipeline_factory_names_the_library_when_the_module_does_not_import(write, tmp_path, monkeypatch):
    (tmp_path / "churn_pipeline_broken.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    job = load_job(write(changed("pipeline", "churn_pipeline_broken:build")))
    with pytest.raises(JobFileError, match="a_library_that_is_not_there"):
        job.pipeline_factory()
    assert "churn_pipeline_broken" not in sys.modules


def test_pipeline_factory_gives_a_function_without_arguments():
    factory = load_job(HOME / "jobs" / "flight_delay.yaml").pipeline_factory()
    assert not inspect.signature(factory).parameters


# ---------------------------------------------------------------- a folder of jobs


def test_load_jobs_keeps_the_valid_ones_when_others_are_broken(write, tmp_path):
    write(VALID)
    write(changed("task", "ranking"), name="ranking")
    write("schedule: {first_night: 2013-02-30}", name="calendar")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "notes.txt").write_text("no job")
    jobs, broken = load_jobs(tmp_path)
    assert [job.name for job in jobs] == ["churn"]
    assert sorted(broken) == ["binary", "calendar", "ranking"]
    assert "ranking.yaml" in str(broken["ranking"])


def test_load_jobs_is_empty_in_an_empty_folder(tmp_path):
    assert load_jobs(tmp_path) == ([], {})


def test_find_job_lists_the_jobs_there_are_when_it_is_unknown(write, tmp_path):
    write(VALID)
    assert find_job(tmp_path, "churn").name == "churn"
    with pytest.raises(JobFileError, match=r"found 'chrun'; expected one of \['churn'\]\. Next: .*new-job chrun"):
        find_job(tmp_path, "chrun")


# ---------------------------------------------------------------- kinds, and labels that come late


def test_a_job_has_events_unless_it_says_otherwise(write):
    assert not load_job(write(VALID)).is_snapshot
    content = changed("time_column", ABSENT) | {"kind": "snapshot"}
    assert load_job(write(content)).is_snapshot


@pytest.mark.parametrize(
    ("label", "horizon"),
    [
        ({}, 0),
        ({"delay_days": 0}, 0),
        ({"delay_days": 30}, 30),
        ({"delay_days": 30, "horizon_days": 7}, 7),
        ({"delay_days": 30, "horizon_days": 0}, 0),
    ],
)
def test_an_outcome_that_is_known_late_is_taken_to_happen_late(write, label, horizon):
    content = changed("label", {"column": "left", **label})
    assert load_job(write(content)).label.horizon == horizon


def test_interval_is_a_level_or_a_mapping_and_for_numbers_only(write):
    regression = changed("task", "regression")
    short, long = ({**regression, "interval": interval} for interval in (0.9, {"level": 0.9, "adaptive": False}))
    assert load_job(write(short)) == load_job(write(long))
    assert load_job(write(short)).interval_columns == ["lower", "upper"]
    for wrong, words in ((0.4, "0.5"), (1, "less than 1"), (True, "expected a mapping"), ("0.9", "expected a mapping")):
        assert words in message_of(write({**regression, "interval": wrong}))
    assert "found with task binary, expected with task regression only" in message_of(write(changed("interval", 0.9)))
    upper = {**changed("features.upper", {"type": "float"}), "task": "regression"}
    assert load_job(write(upper)).interval_columns == []
    assert "column names that predictions have as well: ['upper']" in message_of(write({**upper, "interval": 0.9}))
