"""What the DAG files make of the job files of a folder, whatever is wrong with one of them; without a running Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID as DAG_OF_THE_TASK

from scoring.settings import HOME, child_environment
from tests.support.toy import write_job

pytestmark = pytest.mark.slow

LIST = """
import json, runpy
from airflow.sdk import DAG
files = {}
for name in ("nightly_scoring", "retraining", "retention", "late_nights"):
    dags = [value for value in runpy.run_path(f"dags/{name}.py").values() if isinstance(value, DAG)]
    files[name] = {dag.dag_id: sorted(dag.task_ids) for dag in dags}
print("dags " + json.dumps(files))
"""
TAG = "x" * 120
"""Airflow refuses a tag of more than 100 letters when the DAG is made."""
STRANGE = ("My Job", "größe", "late_nights", "y" * 230)
EXECUTORS = """
import json, runpy
from airflow.sdk import DAG
executors = {}
for name in ("nightly_scoring", "retraining"):
    dags = [value for value in runpy.run_path(f"dags/{name}.py").values() if isinstance(value, DAG)]
    executors |= {f"{dag.dag_id}.{task.task_id}": task.executor for dag in dags for task in dag.tasks}
print("dags " + json.dumps(executors))
"""
Dags = dict[str, dict[str, list[str]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Job files: of a good job, one that Airflow refuses, names that no DAG can have, files that are no YAML, and a folder."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("jobs", "sql"):
        (folder / name).mkdir()
    write_job(folder, "good")
    write_job(folder, "tagged", tags=[TAG])
    for name in STRANGE:
        (folder / "jobs" / f"{name}.yaml").write_text("name: [", encoding="utf-8")
    (folder / "jobs" / "empty.yaml").mkdir()
    return folder


@pytest.fixture(scope="module")
def dags(folder: Path) -> Dags:
    """The DAGs of each DAG file, with their tasks."""
    return parsed(folder)


def parsed(folder: Path, **variables: str) -> Dags:
    """Return the DAGs that a process with these variables makes of the DAG files."""
    found: Dags = asked(LIST, folder, **variables)
    return found


def asked(program: str, folder: Path, **variables: str) -> Any:
    """Return what a program says of the DAG files that read a folder with job files."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=HOME,
        capture_output=True,
        text=True,
        check=False,
        env=child_environment({"NIGHTSHIFT_JOBS_DIR": str(folder / "jobs"), "PYTHONPATH": str(HOME), **variables}),
    )
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("dags "))
    return json.loads(line.removeprefix("dags "))


def test_every_job_file_has_a_nightly_dag_of_its_own_whatever_the_others_are(dags: Dags) -> None:
    found = dict(dags["nightly_scoring"])
    assert len(found) == 3 + len(STRANGE)
    assert "extract" in found.pop("good_nightly")
    assert {"tagged_nightly", "empty_nightly", "late_nights_nightly", "My_Job_a827bd_nightly"} <= set(found)
    assert all(tasks == ["invalid_job_file"] for tasks in found.values())


def test_a_job_that_airflow_refuses_does_not_stop_the_retrainings_of_others(dags: Dags) -> None:
    assert dags["retraining"]["tagged_retraining"] == ["invalid_job_file"]
    assert "snapshot" in dags["retraining"]["good_retraining"]


@pytest.mark.parametrize(("name", "tasks"), [("retention", ["good", "tagged"]), ("late_nights", ["look"])])
def test_a_dag_of_all_jobs_is_there_whatever_is_wrong_with_one(dags: Dags, name: str, tasks: list[str]) -> None:
    assert list(dags[name].values()) == [tasks]


def test_a_process_that_runs_a_task_makes_the_dag_of_that_task_only(folder: Path, dags: Dags) -> None:
    nightly, retraining = (parsed(folder, **{DAG_OF_THE_TASK: f"good_{kind}"}) for kind in ("nightly", "retraining"))
    assert nightly["nightly_scoring"] == {"good_nightly": dags["nightly_scoring"]["good_nightly"]}
    assert retraining["retraining"] == {"good_retraining": dags["retraining"]["good_retraining"]}


def test_a_process_that_runs_a_task_of_a_stand_in_makes_it(folder: Path) -> None:
    stand_in = parsed(folder, **{DAG_OF_THE_TASK: "tagged_nightly"})["nightly_scoring"]
    assert stand_in == {"tagged_nightly": ["invalid_job_file"]}


def test_an_executor_of_the_job_file_is_that_of_the_tasks_that_need_room(tmp_path: Path) -> None:
    for name in ("jobs", "sql"):
        (tmp_path / name).mkdir()
    write_job(tmp_path, "plain")
    write_job(tmp_path, "large", limits={"executor": "KubernetesExecutor"})
    executors = asked(EXECUTORS, tmp_path)
    chosen = {task: executor for task, executor in executors.items() if executor is not None}
    assert chosen == dict.fromkeys(
        ("large_nightly.extract", "large_nightly.score", "large_nightly.publish", "large_retraining.train"),
        "KubernetesExecutor",
    )
    assert {"plain_nightly.extract", "large_nightly.drift"} <= set(executors)


def test_a_job_whose_versions_come_from_elsewhere_asks_a_dag_or_a_url(tmp_path: Path) -> None:
    for name in ("jobs", "sql"):
        (tmp_path / name).mkdir()
    asked_ones = {"by_dag": {"dag": "train_it"}, "by_url": {"url": "https://trainer.example/train"}}
    for name, external in asked_ones.items():
        write_job(tmp_path, name, pipeline=None, retraining={"external": external})
    assert parsed(tmp_path)["retraining"] == {
        "by_dag_retraining": ["announce", "ask", "train_elsewhere"],
        "by_url_retraining": ["announce", "ask"],
    }
