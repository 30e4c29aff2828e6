"""Names of jobs, columns and classes: what is taken, what is refused in the job file, and what the warehouse makes of it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.checks.job import check_job
from scoring.errors import ContractError, JobFileError, Permanent
from scoring.job.definition import Job
from scoring.job.files import find_job, load_job, load_jobs
from scoring.names import IDENTIFIER_BYTES, JOB_LETTERS, RESERVED, SYSTEM_COLUMNS, plain
from scoring.stores.installation import Stores
from scoring.stores.warehouse.job_tables import history, shadow
from scoring.stores.warehouse.schema import ensure_job, ensure_partition
from scoring.stores.workspace import Workspace
from tests.support.toy import write_job

LONGEST = "j" * JOB_LETTERS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("jobs", "sql"):
        (tmp_path / name).mkdir(exist_ok=True)
    return tmp_path


def refusal(folder: Path, name: str = "toy", **changes: Any) -> str:
    with pytest.raises(JobFileError) as caught:
        write_job(folder, name, **changes)
    assert str(caught.value).startswith(f"{name}.yaml: ")
    assert "expected" in str(caught.value)
    return str(caught.value)


def with_key(name: str) -> dict[str, Any]:
    return {"key": {"at": "datetime", name: "int"}}


def with_feature(name: str) -> dict[str, Any]:
    return {"features": {"x": {"type": "float"}, name: {"type": "float"}}}


def with_classes(*classes: str) -> dict[str, Any]:
    return {"task": "multiclass", "label": {"column": "y", "classes": list(classes)}}


# ---------------------------------------------------------------- jobs


def test_a_job_of_the_longest_name_has_tables_for_every_month(stores: Stores, folder: Path) -> None:
    job = write_job(folder, LONGEST)
    ensure_job(stores.warehouse, job)
    history = f"{LONGEST}_predictions_history"
    first = f"create table {history}_2024_01 partition of {history} for values from ('2024-01-01') to ('2024-02-01')"
    with stores.warehouse.transaction() as connection:
        connection.exec_driver_sql(first)  # a year that an older Nightshift began by month
    for month in range(1, 13):
        ensure_partition(stores.warehouse, job, date(2024, month, 3))
    _, rows = stores.warehouse.query(
        "select relname from pg_class where relname like 'jjj%predictions_history\\_2024%'"
    )
    months = [name for (name,) in rows if re.fullmatch(rf"{LONGEST}_predictions_history_2024_\d\d", name)]
    assert len(months) == 12
    assert {len(name) for name in months} == {IDENTIFIER_BYTES}


def test_a_longer_name_of_a_job_is_refused_and_says_why(folder: Path) -> None:
    message = refusal(folder, f"{LONGEST}j")
    assert f"name: found '{LONGEST}j', expected lower-case letters" in message
    assert f"at most {JOB_LETTERS}" in message
    assert "PostgreSQL has 63" in message


def test_names_of_tables_stay_what_they_were(folder: Path) -> None:
    job = write_job(folder, "late_orders")
    assert (history(job).name, shadow(job).name) == (
        "late_orders_predictions_history",
        "late_orders_shadow_predictions",
    )
    assert [column.name for column in history(job).primary_key] == ["night", "run_number", "at", "id"]
    assert [column.name for column in history(job).columns][:2] == ["at", "id"]


def test_two_jobs_that_need_one_table_are_refused_the_other_is_not(folder: Path) -> None:
    write_job(folder, "x_shadow")
    write_job(folder, "x")
    jobs, broken = load_jobs(folder / "jobs")
    assert [job.name for job in jobs] == ["x"]
    assert str(broken["x_shadow"]) == (
        "x_shadow.yaml: name: found 'x_shadow' beside x.yaml, which needs the table x_shadow_predictions as well; "
        "expected another name. Next: rename one of the two jobs."
    )


def test_a_job_whose_view_would_be_a_table_of_another_is_refused_by_the_warehouse(stores: Stores, folder: Path) -> None:
    first, second = write_job(folder, "y"), write_job(folder, "z")
    ensure_job(stores.warehouse, first)
    with pytest.raises(Permanent, match="warehouse view y_shadow_predictions: found a table or view of this name"):
        ensure_job(stores.warehouse, second.model_copy(update={"name": "y_shadow"}))
    assert stores.warehouse.query("select job from scoring_status where job = 'y_shadow'")[1] == []


@pytest.mark.parametrize(
    "suffix",
    ["_predictions", "_predictions_as_of", "_predictions_newest", "_predictions_history", "_one_night", "_2024_01"],
)
def test_no_fixed_table_can_be_one_of_a_job(stores: Stores, suffix: str) -> None:
    _, rows = stores.warehouse.query("select relname from pg_class where relnamespace = 'public'::regnamespace")
    assert rows
    assert [name for (name,) in rows if name.endswith(suffix)] == []


# ---------------------------------------------------------------- keys and features


@pytest.mark.parametrize("name", sorted(RESERVED))
@pytest.mark.parametrize("changes", [with_key, with_feature])
def test_a_reserved_name_is_refused_in_the_job_file(folder: Path, name: str, changes: Any) -> None:
    message = refusal(folder, **changes(name))
    assert f"column names are reserved for predictions: ['{name}']" in message
    assert "as other_name` in the SQL" in message


@pytest.mark.parametrize("name", ["Night", "RUN_ID", "Run Number", "Model-Version", "prediction?"])
def test_a_key_that_would_be_a_reserved_name_in_the_warehouse_is_refused(folder: Path, name: str) -> None:
    assert f"['{name}']" in refusal(folder, **with_key(name))


@pytest.mark.parametrize("name", sorted(SYSTEM_COLUMNS))
def test_a_key_called_like_a_system_column_of_postgresql_is_refused_a_feature_is_not(folder: Path, name: str) -> None:
    assert f"key: found '{name}', which every table of PostgreSQL has" in refusal(folder, **with_key(name))
    assert name in write_job(folder, "toy", **with_feature(name)).features


@pytest.mark.parametrize("changes", [with_key, with_feature])
def test_a_column_called_like_the_probability_of_a_class_is_refused(folder: Path, changes: Any) -> None:
    message = refusal(folder, **changes("probability_b_c"), **with_classes("a", "B c", "d"))
    assert "found column names that predictions have as well: ['probability_b_c']" in message


@pytest.mark.parametrize(
    ("first", "second", "column"), [("Id", "iD", "id"), ("Total Charges", "total-charges", "total_charges")]
)
def test_keys_that_are_one_column_in_the_warehouse_are_refused(
    folder: Path, first: str, second: str, column: str
) -> None:
    message = refusal(folder, key={"at": "datetime", first: "int", second: "int"})
    assert f"{first!r}" in message
    assert f"{second!r}" in message
    assert f"which are both {column} in the warehouse" in message


@pytest.mark.parametrize("name", ["?", "…", "%", "k" * 64, "ü" * 32])
def test_a_key_without_a_name_for_the_warehouse_is_refused(folder: Path, name: str) -> None:
    assert f"key: found {name!r}" in refusal(folder, **with_key(name))


@pytest.mark.parametrize("name", ["", ".id", "a\nb", "a\x00b", "x" * 129])
@pytest.mark.parametrize("changes", [with_key, with_feature])
def test_what_no_column_is_called_is_refused(folder: Path, name: str, changes: Any) -> None:
    assert "expected the name of a column" in refusal(folder, **changes(name))


@pytest.mark.parametrize("text", ["no", "on", "1", "1.5", "2024-01-31", "null", "~", "true", "12:30", "0x10"])
def test_a_column_may_be_called_what_yaml_reads_as_something_else(folder: Path, text: str) -> None:
    job = write_job(folder, "toy")
    path = folder / "jobs" / "toy.yaml"
    content = yaml.safe_load(path.read_text())
    del content["features"]
    path.write_text(f"{yaml.safe_dump(content)}features:\n  {text}: {{type: float}}\n")
    assert list(find_job(folder / "jobs", job.name).features) == [text]


# ---------------------------------------------------------------- classes


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["a", "b", "?"], "found '?', expected a letter a to z or a digit"),
        (["a", "b", ""], "found '', expected a letter a to z or a digit"),
        (["a", "b", "é"], "found 'é', expected a letter a to z or a digit"),
        (["a b", "a_b", "c"], "two classes give the same column name: found 'a b' and 'a_b'"),
        (["a", "a", "c"], "two classes give the same column name: found 'a' and 'a'"),
        (["a", "b", "c" * 60], "expected at most 51 letters"),
    ],
)
def test_classes_without_a_column_of_their_own_are_refused(folder: Path, classes: list[str], said: str) -> None:
    message = refusal(folder, **with_classes(*classes))
    assert message.startswith("toy.yaml: label.classes: ")
    assert said in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[yes, no, maybe]",
            "label.classes.0: found true, expected text in quotes, for YAML reads yes, on and true as true",
        ),
        ("[1, 2, 3]", "label.classes.0: found 1, expected text in quotes, '1'"),
        ("[a, null, c]", "label.classes.1: found nothing, expected text"),
        ("[2024-01-31, b, c]", "label.classes.0: found 2024-01-31, expected text in quotes, '2024-01-31'"),
    ],
)
def test_classes_that_yaml_does_not_read_as_text_are_to_be_quoted(folder: Path, text: str, said: str) -> None:
    write_job(folder, "toy", **with_classes("a", "b", "c"))
    path = folder / "jobs" / "toy.yaml"
    path.write_text(re.sub(r"  classes:\n(  - \w+\n)+", f"  classes: {text}\n", path.read_text()))
    with pytest.raises(JobFileError) as caught:
        load_job(path)
    assert said in str(caught.value)


# ---------------------------------------------------------------- the rule


@given(st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True))
def test_a_name_that_was_allowed_before_stays_as_it_is(name: str) -> None:
    assert plain(name) == name


@given(st.text(min_size=1, max_size=60))
def test_a_plain_name_needs_no_quotes_and_is_its_own(name: str) -> None:
    found = plain(name)
    assert found == plain(found)
    assert found == "" or re.fullmatch(r"[^\W\d]\w*", found)


def test_keys_of_one_job_are_all_in_its_tables(folder: Path) -> None:
    job: Job = write_job(folder, "toy", key={"at": "datetime", "Customer ID": "int", "größe": "string"})
    assert {"at", "customer_id", "größe"} <= {column.name for column in history(job).columns}
    assert {"at", "customer_id", "größe"} <= {column.name for column in shadow(job).columns}


def test_a_column_that_the_database_gave_in_lower_case_is_to_be_quoted(stores: Stores, folder: Path) -> None:
    """PostgreSQL makes an unquoted name lower case."""
    features = {"X": {"type": "float"}, "kind": {"type": "category"}}
    job = write_job(folder, "toy", features=features, pipeline="tests.support.pipelines:build_of_any_names")
    with pytest.raises(ContractError, match=r'missing columns .*Next: write "X" in double quotes in the SQL'):
        check_job(Workspace(stores, job))
