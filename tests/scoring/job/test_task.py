"""Tasks: how a job file names them, what they are called, and that every layer has an entry for each."""

from __future__ import annotations

import ast
import copy
import importlib
import pickle
from collections.abc import Iterator

import pytest

from scoring.job.definition import Job
from scoring.job.task import BINARY, MULTICLASS, PRIMARY_METRICS, REGRESSION, TASKS, Task, tasks_with
from scoring.settings import HOME
from tests.support.nights import JOB

PACKAGES = ("scoring", "drift", "pages", "lifecycle", "orchestration", "cli", "demo", "dags", "jobs", "bench", "tools")


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield every module's name and syntax tree."""
    for path in (path for package in PACKAGES for path in sorted((HOME / package).rglob("*.py"))):
        yield ".".join(path.relative_to(HOME).with_suffix("").parts), ast.parse(path.read_text(encoding="utf-8"))


def tables_of(tree: ast.Module) -> list[str]:
    """Return the names of a module's tables that are annotated as having an entry per task."""
    annotated = (node for node in tree.body if isinstance(node, ast.AnnAssign))
    return [ast.unparse(node.target) for node in annotated if ast.unparse(node.annotation).startswith("dict[Task,")]


def compared(tree: ast.AST) -> list[int]:
    """Return the lines in which a task is compared with something."""
    comparisons = [node for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    sides = [(node.lineno, side) for node in comparisons for side in (node.left, *node.comparators)]
    return [line for line, side in sides if isinstance(side, ast.Attribute) and side.attr == "task"]


TABLES = [(module, name) for module, tree in sources() for name in tables_of(tree)]


def test_a_job_has_the_task_that_its_file_names():
    assert JOB.task is BINARY
    assert str(JOB.task) == "binary"


def test_a_task_is_written_as_its_name():
    assert JOB.model_dump()["task"] == "binary"
    assert JOB.model_dump_json(include={"task"}) == '{"task":"binary"}'
    assert Job.model_validate_json(JOB.model_dump_json()) == JOB


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_a_copy_of_a_task_is_equal_and_finds_its_entry(task: Task):
    for again in (copy.deepcopy(task), pickle.loads(pickle.dumps(task))):
        assert again == task
        assert {task: 1}[again] == 1
        assert all(again != other for other in TASKS if other is not task)


def test_outcomes_and_columns():
    declared = ["b", "a", "c"]
    assert [task.outcomes(declared) for task in TASKS] == [[False, True], declared, [], []]
    assert [task.fitted_classes(declared) for task in TASKS] == [[0, 1], ["a", "b", "c"], [], []]
    columns = [["probability"], ["probability_b", "probability_a", "probability_c"], [], []]
    assert [task.probability_columns(declared) for task in TASKS] == columns


def test_columns_of_a_job():
    assert JOB.prediction_columns == ["prediction", "probability"]
    assert JOB.number_columns == ["probability"]
    number = JOB.model_copy(update={"task": REGRESSION})
    assert number.prediction_columns == number.number_columns == ["prediction"]


def test_only_binary_jobs_have_a_positive_outcome():
    assert [task.has_positive for task in TASKS] == [True, False, False, False]


def test_settings_of_the_label_that_only_some_tasks_have():
    assert tasks_with("positive") == tasks_with("threshold") == "binary"
    assert tasks_with("classes") == MULTICLASS.name


def test_primary_metrics_are_each_named_once():
    assert PRIMARY_METRICS == ("excess_log_loss", "mae")


def test_tables_are_found():
    assert ("scoring.rows.prediction", "_COLUMNS") in TABLES
    assert tables_of(ast.parse("x: dict[Task, int] = {}\ny: dict[str, int] = {}")) == ["x"]


@pytest.mark.parametrize(("module", "name"), TABLES)
def test_every_table_of_tasks_has_an_entry_for_each(module: str, name: str):
    assert set(getattr(importlib.import_module(module), name)) == set(TASKS)


def test_nothing_asks_which_task_it_is():
    assert compared(ast.parse('job.task == "binary"')) == [1]
    assert {module: lines for module, tree in sources() if (lines := compared(tree))} == {}
