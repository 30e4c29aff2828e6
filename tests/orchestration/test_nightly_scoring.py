"""The nightly DAG in a real Airflow: backfills, manual runs, retries, held and empty nights."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import date, timedelta

import pytest
import yaml

from demo.local_airflow import environment
from scoring.interval import Nights
from scoring.night.publish import release
from scoring.night.staging import left_stages
from scoring.settings import HOME
from scoring.stores.warehouse import actions_of, ledger, monitoring, retrainings
from scoring.stores.warehouse.span import Span
from scoring.stores.warehouse.tables import RUNS
from scoring.stores.workspace import Workspace
from tests.support.airflow import (
    DAG,
    PATIENCE,
    AirflowUnderTest,
    backfill,
    log_of,
    night_events,
    states,
    tasks,
    trigger,
    why,
)
from tests.support.toy import NIGHT, ROWS, execute

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


def nights(first: int, count: int) -> list[date]:
    return [NIGHT + timedelta(days=first + n) for n in range(count)]


def published(airflow: AirflowUnderTest, days: list[date]) -> list[tuple[date, int, int]]:
    view = "select night, count(*), count(distinct id) from air_chunks_predictions group by night order by night"
    return [row for row in airflow.stores.warehouse.query(view)[1] if row[0] in days]


def test_backfill_scores_parallel_nights_once_each(airflow: AirflowUnderTest) -> None:
    days = nights(0, 3)
    runs = backfill(airflow, days[0], days[-1], max_active_runs=3)
    assert [(run["partition_key"], run["state"], run["run_type"]) for run in runs] == [
        (str(day), "success", "backfill") for day in days
    ]
    assert published(airflow, days) == [(day, ROWS, ROWS) for day in days]
    found = [ledger.runs_of(airflow.stores.warehouse, "air_chunks", day) for day in days]
    assert [(len(runs), runs[0].origin, runs[0].status) for runs in found] == [(1, "backfill", "published")] * 3
    span = Span("air_chunks", Nights.including(days[0], days[-1]))
    judged = monitoring.drift(airflow.stores.warehouse, span)
    assert [(row.night, row.verdict in ("ok", "warn"), row.report_error) for row in judged] == [
        (day, True, None) for day in days
    ]
    decided = monitoring.decisions(airflow.stores.warehouse, span)
    assert {(row.decision, row.reason) for row in decided} == {("none", "not evaluated: backfill")}
    assert states(airflow, DAG, runs[0]["dag_run_id"])["retrain"] == "skipped"
    assert [line for line in airflow.heard if line.startswith("air_chunks,")] == []
    scored = [task for task in tasks(airflow, DAG, runs[0]["dag_run_id"]) if task["task_id"] == "score"]
    assert sorted(task["rendered_map_index"] for task in scored) == [f"chunk {n} of 4" for n in (1, 2, 3, 4)]


def test_backfill_reprocess_makes_a_second_attempt_with_the_same_rows(airflow: AirflowUnderTest) -> None:
    day = nights(3, 1)[0]
    manual = trigger(airflow, DAG, partition_key=str(day))
    again = backfill(airflow, day, day, reprocess_behavior="completed")
    assert (manual["state"], [run["state"] for run in again]) == ("success", ["success"])
    one, two = ledger.runs_of(airflow.stores.warehouse, "air_chunks", day)
    assert (one.origin, one.status, two.origin, two.status) == ("manual", "superseded", "backfill", "published")
    assert (one.predictions_hash, one.snapshot_hash) == (two.predictions_hash, two.snapshot_hash)
    found = {task["task_id"]: task for task in tasks(airflow, DAG, manual["dag_run_id"])}
    assert (found["shadow"]["state"], found["shadow"]["pid"]) == ("skipped", None), "no process began for no version"
    assert found["report"]["state"] == "success"
    assert airflow.stores.lake.exists(airflow.stores.lake.below(airflow.stores.lake.report("air_chunks", day)))
    assert published(airflow, [day]) == [(day, ROWS, ROWS)]


@pytest.mark.nightly
def test_backfill_from_the_command_line_with_a_chosen_model_version(airflow: AirflowUnderTest) -> None:
    """Of a job that has no backfill yet: a new one is refused until Airflow closes the last, up to 30 s after its end."""
    dag_id, day = "air_skip_nightly", nights(4, 1)[0]
    version = airflow.stores.registry.versions("air_skip")[0].version
    command = ["backfill", "create", "--dag-id", dag_id, "--from-date", str(day), "--to-date", str(day)]
    settings, port = airflow.stores.settings, int(airflow.api.url.rsplit(":", 1)[1])
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *command, "--dag-run-conf", f'{{"model_version": {version}}}'],
        env=environment(settings, port),
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    airflow.api.wait(dag_id, seconds=PATIENCE)
    (found,) = ledger.runs_of(airflow.stores.warehouse, "air_skip", day)
    assert (found.status, found.model_version, found.origin) == ("published", version, "backfill")


def test_manual_run_takes_its_night_from_the_form(airflow: AirflowUnderTest) -> None:
    day = nights(5, 1)[0]
    assert trigger(airflow, DAG, conf={"night": str(day)})["state"] == "success"
    assert published(airflow, [day]) == [(day, ROWS, ROWS)]


def test_manual_run_without_a_night_fails_at_once_with_one_sentence(airflow: AirflowUnderTest) -> None:
    run = trigger(airflow, DAG)
    (extract,) = [task for task in tasks(airflow, DAG, run["dag_run_id"]) if task["task_id"] == "extract"]
    assert (run["state"], extract["state"], extract["try_number"]) == ("failed", "failed", 1)
    assert "this run has no night" in log_of(airflow, DAG, run["dag_run_id"], "extract")


def test_night_in_another_form_is_refused_on_record_and_is_no_second_partition(airflow: AirflowUnderTest) -> None:
    """Airflow itself refuses every form that its timetable's format does not read; it reads this one."""
    run = trigger(airflow, DAG, partition_key="2024-1-7")
    (extract,) = [task for task in tasks(airflow, DAG, run["dag_run_id"]) if task["task_id"] == "extract"]
    assert (run["state"], extract["state"], extract["try_number"]) == ("failed", "failed", 1)
    (refused,) = [action for action in actions_of(airflow.stores.warehouse) if run["dag_run_id"] in action.subject]
    assert refused.action == "refused"
    assert "found '2024-1-7'; expected a calendar day as YYYY-MM-DD" in str(refused.reason)


def test_night_after_the_last_of_the_schedule_is_refused_on_record(airflow: AirflowUnderTest) -> None:
    run = trigger(airflow, DAG, partition_key="2025-01-01")
    (extract,) = [task for task in tasks(airflow, DAG, run["dag_run_id"]) if task["task_id"] == "extract"]
    assert (run["state"], extract["try_number"]) == ("failed", 1)
    (row,) = ledger.runs_of(airflow.stores.warehouse, "air_chunks", date(2025, 1, 1))
    assert (row.status, row.model_version) == ("failed", 0)
    assert "expected schedule.last_night, 2024-12-31, or an earlier one" in str(row.reason)


def test_night_ends_with_the_job_file_that_it_began_with(airflow: AirflowUnderTest) -> None:
    """A feature without a column, and a gate that nothing passes, are written once the night is read."""
    job, dag_id = airflow.jobs["skip"], "air_skip_nightly"
    file = airflow.stores.settings.jobs_dir / "air_skip.yaml"
    before = file.read_text()
    content = {**yaml.safe_load(before), "gate": {"min_rows": 10**9}}
    content["features"] = {**content["features"], "nowhere": {"type": "float"}}
    day = nights(6, 1)[0]
    run_id = airflow.api.call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "partition_key": str(day)})[
        "dag_run_id"
    ]
    try:
        while states(airflow, dag_id, run_id).get("extract") not in ("success", "failed"):
            time.sleep(0.1)
        file.write_text(yaml.safe_dump(content))
        airflow.api.wait(dag_id, seconds=PATIENCE)
        assert set(states(airflow, dag_id, run_id).values()) <= {"success", "skipped"}, why(airflow, dag_id, run_id)
        assert ledger.published(airflow.stores.warehouse, job.name, day)
    finally:
        file.write_text(before)


def test_empty_night_fails_without_retry(airflow: AirflowUnderTest) -> None:
    run = trigger(airflow, DAG, partition_key="2024-12-31")
    (extract,) = [task for task in tasks(airflow, DAG, run["dag_run_id"]) if task["task_id"] == "extract"]
    assert (run["state"], extract["try_number"]) == ("failed", 1)
    assert "found 0 rows" in log_of(airflow, DAG, run["dag_run_id"], "extract")


def test_empty_night_is_skipped_when_the_job_says_so(airflow: AirflowUnderTest) -> None:
    run = trigger(airflow, "air_skip_nightly", partition_key="2024-12-31")
    assert set(states(airflow, "air_skip_nightly", run["dag_run_id"]).values()) == {"skipped"}
    (found,) = ledger.runs_of(airflow.stores.warehouse, "air_skip", date(2024, 12, 31))
    assert found.status == "skipped"


def test_source_that_does_not_answer_is_tried_again(airflow: AirflowUnderTest) -> None:
    run = trigger(airflow, "air_gone_nightly", partition_key=str(NIGHT))
    (extract,) = [
        task for task in tasks(airflow, "air_gone_nightly", run["dag_run_id"]) if task["task_id"] == "extract"
    ]
    assert (run["state"], extract["try_number"]) == ("failed", 3)
    found = ledger.runs_of(airflow.stores.warehouse, "air_gone", NIGHT)
    assert [row.status for row in found] == ["failed"] * 3
    assert found[0].reason is not None
    assert "SourceUnavailable" in found[0].reason


def test_held_night_is_red_and_green_after_release(airflow: AirflowUnderTest) -> None:
    dag_id = "air_gate_nightly"
    run = trigger(airflow, dag_id, partition_key=str(NIGHT))
    (publish,) = [task for task in tasks(airflow, dag_id, run["dag_run_id"]) if task["task_id"] == "publish"]
    assert (run["state"], publish["state"], publish["try_number"]) == ("failed", "failed", 1)
    (held,) = ledger.runs_of(airflow.stores.warehouse, "air_gate", NIGHT)
    assert held.status == "held"
    judged = monitoring.drift_of(airflow.stores.warehouse, held.run_id)  # a held night is judged too
    assert states(airflow, dag_id, run["dag_run_id"])["drift"] == "success"
    assert states(airflow, dag_id, run["dag_run_id"])["report"] == "success"
    assert judged is not None
    assert judged.rows == held.rows_scored
    assert states(airflow, dag_id, run["dag_run_id"])["decide"] == "upstream_failed"
    (line,) = (line for line in airflow.heard if line.startswith(f"air_gate, night {NIGHT}, held: publish: NightHeld"))
    assert line.endswith(f"{airflow.api.url}/nightshift/jobs/air_gate/nights/{NIGHT}")
    assert "\n" not in line
    assert night_events(airflow, "air_gate") == []
    release(Workspace(airflow.stores, airflow.jobs["gate"]), held.run_id)
    body = {
        "dry_run": False,
        "dag_run_id": run["dag_run_id"],
        "task_ids": ["publish"],
        "only_failed": False,
        "include_downstream": True,
    }
    airflow.api.call("POST", f"/dags/{dag_id}/clearTaskInstances", body)
    airflow.api.wait(dag_id, seconds=PATIENCE)
    assert airflow.api.call("GET", f"/dags/{dag_id}/dagRuns/{run['dag_run_id']}")["state"] == "success"
    assert [event["extra"]["run_id"] for event in night_events(airflow, "air_gate")] == [held.run_id]
    nights_held = airflow.metrics.values("airflow.nightshift.nights_held")
    assert nights_held[frozenset({("job", "air_gate")})] == 0


def test_dag_shows_owner_tags_and_runbook_from_the_job_file(airflow: AirflowUnderTest) -> None:
    details = airflow.api.call("GET", f"/dags/{DAG}/details")
    assert details["owners"] == ["tests"]
    assert {tag["name"] for tag in details["tags"]} == {"nightshift", "toys"}
    assert "NightHeld" in details["doc_md"]
    assert details["catchup"] is False
    assert details["max_active_runs"] == 2


def test_new_dag_starts_paused(airflow: AirflowUnderTest) -> None:
    found = airflow.api.call("GET", "/dags/air_broken_nightly")  # the one that conftest does not unpause
    assert (found["is_paused"], airflow.api.runs("air_broken_nightly")) == (True, [])


def test_broken_job_file_fails_its_own_dag_only(airflow: AirflowUnderTest) -> None:
    airflow.api.unpause("air_broken_nightly")
    assert airflow.api.call("GET", "/importErrors")["import_errors"] == []
    assert "air_broken.yaml" in airflow.api.call("GET", "/dags/air_broken_nightly/details")["doc_md"]
    run = trigger(airflow, "air_broken_nightly")
    assert run["state"] == "failed"
    assert "features" in log_of(airflow, "air_broken_nightly", run["dag_run_id"], "invalid_job_file")


def test_decision_to_retrain_trains_a_challenger_once(airflow: AirflowUnderTest) -> None:
    """The job's policy makes every version too old after one night; the third night has labels of two since training."""
    days = [NIGHT + timedelta(days=n) for n in range(3)]
    for day in days:
        assert trigger(airflow, "air_retrain_nightly", partition_key=str(day))["state"] == "success"
    runs = ledger.find(airflow.stores.warehouse, RUNS.c.job == "air_retrain")
    assert [(run.shards, run.status, run.rows_loaded) for run in runs] == 3 * [(2, "published", ROWS)]  # tasks share it
    assert left_stages(Workspace(airflow.stores, airflow.jobs["retrain"])) == []
    airflow.api.wait("air_retrain_retraining", seconds=PATIENCE)
    (run,) = airflow.api.runs("air_retrain_retraining")
    decided = {row.night: row for row in monitoring.decisions(airflow.stores.warehouse, Span("air_retrain"))}
    assert [decided[day].decision for day in days] == ["none", "none", "retrain"]
    made = decided[days[2]]
    assert "age" in made.reason
    assert (run["state"], run["dag_run_id"]) == (
        "success",
        f"decision-{made.decision_id}",
    )
    versions = [ref.version for ref in airflow.stores.registry.versions("air_retrain")]
    assert (made.retraining, made.trained_version) == ("done", versions[-1])
    assert airflow.stores.registry.aliases("air_retrain") == {"champion": versions[0], "challenger": versions[-1]}
    (row,) = retrainings.of_job(airflow.stores.warehouse, "air_retrain")  # nothing changed in two nights
    assert (row.state, row.trigger, row.decision_id) == ("refused", "decision", made.decision_id)
    assert row.reason == made.reason
    assert row.night == days[2]
    nightly = airflow.api.runs("air_retrain_nightly")[0]["dag_run_id"]
    body = {
        "dry_run": False,
        "dag_run_id": nightly,
        "task_ids": ["decide"],
        "only_failed": False,
        "include_downstream": True,
    }
    airflow.api.call("POST", "/dags/air_retrain_nightly/clearTaskInstances", body)
    airflow.api.wait("air_retrain_nightly", seconds=PATIENCE)
    assert len(airflow.api.runs("air_retrain_retraining")) == 1  # deciding again trains nothing again
    paused = "/dags/air_retrain_retraining?update_mask=is_paused"
    airflow.api.call("PATCH", paused, {"is_paused": True})
    airflow.api.call("POST", "/dags/air_retrain_nightly/clearTaskInstances", {**body, "task_ids": ["retrain"]})
    airflow.api.wait("air_retrain_nightly", seconds=PATIENCE)
    assert states(airflow, "air_retrain_nightly", nightly)["retrain"] == "failed"  # seen, not left waiting
    airflow.api.unpause("air_retrain_retraining")


def test_monitor_that_fails_is_red_and_leaves_the_publication(airflow: AirflowUnderTest) -> None:
    labels = airflow.stores.labels_query(airflow.jobs["retrain"]).path
    before = labels.read_text()
    day = NIGHT + timedelta(days=3)
    try:
        labels.write_text("select nonsense from nowhere")
        run = trigger(airflow, "air_retrain_nightly", partition_key=str(day))
    finally:
        labels.write_text(before)
    found = states(airflow, "air_retrain_nightly", run["dag_run_id"])
    assert (run["state"], found["publish"], found["drift"]) == ("failed", "success", "success")
    assert (found["performance"], found["decide"]) == ("failed", "upstream_failed")
    assert sum(f"air_retrain, night {day}, failed: performance: " in line for line in airflow.heard) == 1
    assert day in ledger.published(airflow.stores.warehouse, "air_retrain")


@pytest.mark.nightly
def test_drift_alert_is_sent_once_and_never_in_a_backfill(airflow: AirflowUnderTest) -> None:
    day = NIGHT + timedelta(days=5)
    source = airflow.stores.settings.sources["toy"].get_secret_value()
    execute(source, f"update events set kind = upper(kind) where at >= '{day}' and at < '{day + timedelta(days=1)}'")
    assert trigger(airflow, "air_skip_nightly", partition_key=str(day))["state"] == "success"
    assert trigger(airflow, "air_skip_nightly", partition_key=str(day))["state"] == "success"
    (line,) = (line for line in airflow.heard if line.startswith(f"air_skip, night {day}, drift: kind: "))
    assert line.endswith(f"/nightshift/jobs/air_skip/nights/{day}")
    (again,) = backfill(airflow, day, day, reprocess_behavior="completed")
    assert again["state"] == "success"
    assert monitoring.drift(airflow.stores.warehouse, Span("air_chunks", Nights.since(day)))[0].verdict == "alert"
    assert [line for line in airflow.heard if line.startswith(f"air_chunks, night {day}")] == []
