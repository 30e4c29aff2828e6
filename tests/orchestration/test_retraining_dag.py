"""The retraining DAG in a real Airflow: a whole story, people asked, two at once, a registry that is away for a while."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from drift.decide import conclude
from drift.measure import measure
from drift.watch import watch
from lifecycle.shadow.review import review
from lifecycle.shadow.score import shadow_run
from scoring.interval import Nights
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.stores.warehouse import actions_of, monitoring, promotions, retrainings, shadows
from scoring.stores.warehouse.promotions import champion_at
from scoring.stores.warehouse.span import Span
from scoring.stores.workspace import Workspace
from tests.conftest import administration
from tests.support.airflow import PATIENCE, AirflowUnderTest, log_of, states, tasks, trigger, why
from tests.support.toy import NIGHT

pytestmark = [pytest.mark.airflow, pytest.mark.slow]
DAY = timedelta(days=1)


def lived(airflow: AirflowUnderTest, job: str, first: int, last: int) -> None:
    """Live through nights without Airflow, through the same functions."""
    for day in (NIGHT + n * DAY for n in range(first, last + 1)):
        run_id = run_night(
            Workspace(airflow.stores, airflow.jobs[job]), NightRequest(day, airflow.stores.clock(), "cli")
        ).run_id
        watch(Workspace(airflow.stores, airflow.jobs[job]), run_id)
        measure(Workspace(airflow.stores, airflow.jobs[job]), day)
        shadow_run(Workspace(airflow.stores, airflow.jobs[job]), run_id)
        review(Workspace(airflow.stores, airflow.jobs[job]), day)
        conclude(Workspace(airflow.stores, airflow.jobs[job]), run_id)


def until(airflow: AirflowUnderTest, dag_id: str, task: str, state: str, seconds: float = 120) -> dict[str, str]:
    """Wait until a task of the DAG's newest run is in a state; return the states of all its tasks."""
    deadline = time.monotonic() + seconds
    while True:
        runs = airflow.api.runs(dag_id)
        found = states(airflow, dag_id, runs[0]["dag_run_id"]) if runs else {}
        if found.get(task) == state:
            return found
        assert time.monotonic() < deadline, (dag_id, found)
        time.sleep(0.3)


def start(airflow: AirflowUnderTest, dag_id: str, **conf: Any) -> str:
    body = {"logical_date": None, "conf": conf}
    return str(airflow.api.call("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])


def champion(airflow: AirflowUnderTest, job: str) -> int | None:
    return champion_at(promotions.history_of(airflow.stores.warehouse, job), date.max)


def test_story_of_a_retraining(airflow: AirflowUnderTest) -> None:
    """The world changes: measured loss → decision → challenger → card → shadow → crown; it changes back: rollback."""
    stores, nightly, dag_id = airflow.stores, "air_story_nightly", "air_story_retraining"
    lived(airflow, "story", 0, 5)
    assert trigger(airflow, nightly, partition_key=str(NIGHT + 6 * DAY))["state"] == "success"
    (decided,) = monitoring.decisions(stores.warehouse, Span("air_story", Nights.since(NIGHT + 6 * DAY)))
    assert decided.decision == "retrain"
    assert decided.inputs["evidence"][1].startswith("measured loss of performance"), decided.reason
    waiting = until(airflow, dag_id, "shadow", "up_for_reschedule")
    assert (waiting["gate"], waiting["begin_shadow"], waiting["promote"]) == ("success", "success", None)
    (row,) = retrainings.of_job(stores.warehouse, "air_story")
    assert (row.stage, row.state, row.decision_id) == ("shadow", "running", decided.decision_id)
    challenger = row.model_version
    assert challenger is not None
    card = retrainings.card(stores.warehouse, "air_story", challenger)
    assert card is not None
    assert card["gate"]["passed"]
    run = trigger(airflow, nightly, partition_key=str(NIGHT + 7 * DAY))
    assert run["state"] == "success", why(airflow, nightly, run["dag_run_id"])
    assert states(airflow, nightly, run["dag_run_id"])["shadow"] == "success"
    lived(airflow, "story", 8, 8)
    assert trigger(airflow, nightly, partition_key=str(NIGHT + 9 * DAY))["state"] == "success"
    airflow.api.wait(dag_id, seconds=PATIENCE)
    (run,) = airflow.api.runs(dag_id)
    assert run["state"] == "success", why(airflow, dag_id, run["dag_run_id"])
    assert set(states(airflow, dag_id, run["dag_run_id"]).values()) == {"success"}
    row = retrainings.get(stores.warehouse, row.retraining_id)
    assert (row.state, champion(airflow, "air_story")) == ("promoted", challenger)
    assert any(line.startswith("air_story, night 2024-01-13, retraining: ") for line in airflow.heard)
    lived(airflow, "story", 10, 11)
    assert trigger(airflow, nightly, partition_key=str(NIGHT + 12 * DAY))["state"] == "success"
    made = promotions.history_of(stores.warehouse, "air_story")
    first = made[0].model_version
    assert [(one.kind, one.model_version, one.effective_from) for one in made] == [
        ("promotion", first, NIGHT),
        ("promotion", challenger, NIGHT + 10 * DAY),
        ("rollback", first, NIGHT + 13 * DAY),
    ]
    assert made[1].retraining_id == row.retraining_id
    assert made[2].reason.startswith("automatic: the predecessor's log loss")
    assert any(line.startswith("air_story, night 2024-01-19, rollback: ") for line in airflow.heard)
    told = [(one.role, one.model_version, one.state) for one in shadows.of_job(stores.warehouse, "air_story")]
    assert told == [("challenger", challenger, "passed"), ("predecessor", first, "passed")]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("Reject", "refused"),
        pytest.param(None, "refused", marks=pytest.mark.nightly),
        ("Approve", "promoted"),
    ],
)
def test_person_is_asked_and_no_answer_is_a_no(airflow: AirflowUnderTest, answer: str | None, state: str) -> None:
    dag_id = "air_human_retraining"
    before = champion(airflow, "air_human")
    # As in the unit tests the world changed; each time a later window, so that there is something new to train on.
    night = NIGHT + {"Approve": 9, "Reject": 6, None: 7}[answer] * DAY
    run_id = start(airflow, dag_id, night=str(night), reason=f"asked, {answer}")
    if answer:
        until(airflow, dag_id, "approve", "awaiting_input")
        time.sleep(4)  # as a person would; Airflow takes an answer in the same instant for a lost task
        (task,) = (one for one in tasks(airflow, dag_id, run_id) if one["task_id"] == "approve")
        asked = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/approve/{task['map_index']}/hitlDetails"
        detail = airflow.api.call("GET", asked)
        assert "/nightshift/jobs/air_human/versions/" in detail["body"]
        assert not detail["params"]  # a plain yes or no
        airflow.api.call("PATCH", asked, {"chosen_options": [answer], "params_input": {}})
    airflow.api.wait(dag_id, seconds=PATIENCE)
    found = states(airflow, dag_id, run_id)
    assert found["announce"] == "success", why(airflow, dag_id, run_id)
    (notice,) = (line for line in airflow.heard if line.startswith(f"air_human, night {night}, approval: retraining "))
    place = f"/dags/{dag_id}/runs/{quote(run_id)}/tasks/approve/required_actions"
    assert notice.endswith(f"no answer in time is a no {airflow.api.url}{place}")
    assert found["promote"] == ("success" if state == "promoted" else "skipped")
    row = retrainings.of_job(airflow.stores.warehouse, "air_human")[-1]
    assert (row.state, row.reason) == (state, f"asked, {answer}")
    made = promotions.history_of(airflow.stores.warehouse, "air_human")[-1]
    if state == "promoted":
        assert (made.model_version, made.promoted_by) == (row.model_version, "admin")
        recorded = [(action.action, action.done_by) for action in actions_of(airflow.stores.warehouse, "air_human", 2)]
        assert recorded == [("approved", "admin"), ("promoted", "admin")]
    else:
        assert champion(airflow, "air_human") == before
        assert row.detail is not None
        assert "approval: " in row.detail


def test_two_triggers_at_the_same_moment_train_once(airflow: AirflowUnderTest) -> None:
    dag_id, before = "air_chunks_retraining", len(airflow.stores.registry.versions("air_chunks"))
    runs = [start(airflow, dag_id, night=str(NIGHT + 3 * DAY), reason=name) for name in ("one", "two")]
    airflow.api.wait(dag_id, seconds=PATIENCE)
    found = [states(airflow, dag_id, run_id) for run_id in runs]
    assert [one["announce"] for one in found] == ["success", "success"]
    assert sorted(one["train"] for one in found) == ["skipped", "success"]
    rows = retrainings.of_job(airflow.stores.warehouse, "air_chunks")
    assert [row.state == "unchanged" for row in rows] == [
        False,
        True,
    ]  # what the gate says of the first is no matter here
    assert len(airflow.stores.registry.versions("air_chunks")) == before + 1


@pytest.mark.nightly
def test_registry_that_is_away_for_a_while_delays_a_retraining(airflow: AirflowUnderTest, data_dir) -> None:
    dag_id = "air_skip_retraining"
    with administration(data_dir) as connection:
        connection.execute("alter database registry allow_connections false")
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'registry'")
    try:
        run_id = start(airflow, dag_id, night=str(NIGHT + 3 * DAY), reason="registry away")
        time.sleep(15)
        assert "success" not in {states(airflow, dag_id, run_id).get(task) for task in ("train", "announce")}
    finally:
        with administration(data_dir) as connection:
            connection.execute("alter database registry allow_connections true")
    airflow.api.wait(dag_id, seconds=PATIENCE)
    (row,) = retrainings.of_job(airflow.stores.warehouse, "air_skip")
    assert states(airflow, dag_id, run_id)["announce"] == "success", row.detail
    assert row.state in ("promoted", "refused")
    assert row.finished_at is not None


@pytest.mark.nightly
def test_failed_task_ends_the_retraining_red_and_clearing_it_goes_on(airflow: AirflowUnderTest) -> None:
    dag_id = "air_gate_retraining"
    labels = airflow.stores.labels_query(airflow.jobs["gate"]).path
    before = labels.read_text()
    labels.write_text(before.replace("y from events", "nonsense from events"))
    try:
        run_id = start(airflow, dag_id, night=str(NIGHT + 3 * DAY), reason="broken labels")
        airflow.api.wait(dag_id, seconds=PATIENCE)
    finally:
        labels.write_text(before)
    assert airflow.api.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")["state"] == "failed"
    (row,) = retrainings.of_job(airflow.stores.warehouse, "air_gate")
    assert (row.state, row.stage) == ("failed", "snapshot")
    assert row.detail is not None
    assert "nonsense" in row.detail
    assert "RetrainingFailed" in log_of(airflow, dag_id, run_id, "announce")
    body = {
        "dry_run": False,
        "dag_run_id": run_id,
        "task_ids": ["snapshot"],
        "only_failed": False,
        "include_downstream": True,
    }
    airflow.api.call("POST", f"/dags/{dag_id}/clearTaskInstances", body)
    airflow.api.wait(dag_id, seconds=PATIENCE)
    (row,) = retrainings.of_job(airflow.stores.warehouse, "air_gate")
    assert row.state in ("promoted", "refused")
    assert states(airflow, dag_id, run_id)["announce"] == "success"
