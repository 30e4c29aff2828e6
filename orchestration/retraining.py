"""The tasks of a retraining DAG: Airflow's context → the use-cases of ``lifecycle.retraining``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, get_current_context
from airflow.sdk.definitions.param import ParamsDict

from orchestration.alerts import ApprovalNotice, tell
from orchestration.context import current_stores, midnight_after, run_type, task_arguments
from orchestration.metering import stream
from scoring.interval import parse_night
from scoring.job import Job

CARD = "/nightshift/jobs/{job}/versions/{{{{ ti.xcom_pull(task_ids='train') }}}}"


def dag_arguments(job: Job) -> dict[str, Any]:
    """Return what the retraining DAG of ``job`` is made with: started by decision, schedule or hand, one run at a time."""
    cron = job.retraining.schedule
    return {
        "schedule": CronTriggerTimetable(cron, timezone=job.schedule.timezone) if cron else None,
        "start_date": midnight_after(job.schedule.first_night, job),
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["nightshift", "retraining", *job.tags],
        "description": f"Trains a challenger of {job.name}, and makes it champion if it is better",
        "default_args": task_arguments(job),
    }


def form() -> ParamsDict:
    """Return the parameters of a run, as the form asks for them.

    They are given to a DAG that has its tasks: Airflow copies them into each task, which was half the time of parsing.
    """

    def night(title: str, description: str) -> Param:
        return Param(None, type=["null", "string"], format="date", title=title, description=description)

    return ParamsDict(
        {
            "reason": Param("by hand", type="string", minLength=1, title="Reason", description="Why; it is recorded."),
            "night": night("Night", "What was known at the end of this night counts. Default: the last published one."),
            "since": night("Window: first night", "Default: the training policy of the job file."),
            "until": night("Window: first night not read", "Default: all whose labels had matured."),
            "force": Param(
                False, type="boolean", title="Train anyway", description="Although nothing changed since a version."
            ),
            "decision_id": Param(
                None, type=["null", "integer", "string"], title="Decision", description="Leave empty."
            ),
        }
    )


def ask(job: Job) -> None:
    """Begin the retraining of a job whose versions come from elsewhere, and ask its URL. The id is pushed as an XCom."""
    snapshot(job)


def external_arguments(job: Job, dag_id: str) -> dict[str, Any]:
    """Return what triggers the DAG that trains elsewhere, once for each run: its conf says job and retraining."""
    number = "{{ ti.xcom_pull(task_ids='ask', key='retraining_id') }}"
    return {
        "trigger_dag_id": dag_id,
        "trigger_run_id": f"retraining-{job.name}-{number}",
        "conf": {"job": job.name, "retraining_id": number, "reason": "{{ params.reason }}"},
        "logical_date": None,
        "skip_when_already_exists": True,
        "fail_when_dag_is_paused": True,
    }


def snapshot(job: Job) -> bool:
    """Begin the retraining, keep its rows, and return whether there is anything to train. The id is pushed as an XCom."""
    from lifecycle.retraining import RetrainingRequest, begin, snapshot
    from scoring.stores import Workspace

    context = get_current_context()
    params, stores = context["params"], current_stores()
    nights = {
        name: parse_night(str(params[name])) if params.get(name) else None for name in ("night", "since", "until")
    }
    decision = params.get("decision_id")
    scheduled = run_type(context) == "scheduled"
    request = RetrainingRequest(
        reason="schedule" if scheduled else str(params["reason"]),
        trigger="decision" if decision else "schedule" if scheduled else "hand",
        decision_id=int(decision) if decision else None,
        airflow_run_id=context["run_id"],
        force=bool(params.get("force")),
        **nights,
    )
    number = begin(Workspace(stores, job), request).retraining_id
    context["ti"].xcom_push(key="retraining_id", value=number)
    return snapshot(Workspace(stores, job), number)


def train(job: Job) -> int:
    """Train the challenger and return its version."""
    from lifecycle.retraining import train
    from scoring.stores import Workspace

    return train(Workspace(current_stores(), job), _id())


def evaluate(job: Job) -> str:
    """Compare challenger and champion, and return the page of the model card."""
    from lifecycle.retraining import evaluate
    from scoring.stores import Workspace

    evaluate(Workspace(current_stores(), job), _id())
    return f"/nightshift/jobs/{job.name}/versions/{get_current_context()['ti'].xcom_pull(task_ids='train')}"


def gate(job: Job) -> bool:
    """Return whether the challenger is better, with evidence."""
    from lifecycle.retraining import gate
    from scoring.stores import Workspace

    return gate(Workspace(current_stores(), job), _id())


def approval_arguments(job: Job) -> dict[str, Any]:
    """Return the arguments of the task that asks a person, with a link to the card. No answer in time is a no.

    The task holds no worker while it waits. Airflow may take an answer within the first second for a lost task, and asks again.
    """
    card = CARD.format(job=job.name)
    return {
        "subject": f"Promote version {{{{ ti.xcom_pull(task_ids='train') }}}} of {job.name}?",
        "body": f"The gate was passed. [Model card]({card}): data, metrics, comparison with the champion.",
        "defaults": "Reject",
        "response_timeout": timedelta(hours=job.promotion.approval_hours),
        "notifiers": [ApprovalNotice(job.name)],
        "retries": 2,
        "execution_timeout": None,
    }


def begin_shadow(job: Job) -> None:
    """Let the challenger score the next nights in the shadow."""
    from lifecycle.retraining import start_shadow
    from scoring.stores import Workspace

    start_shadow(Workspace(current_stores(), job), _id())


def shadow_arguments(job: Job) -> dict[str, Any]:
    """Return the arguments of the sensor that waits for the shadow: it pokes now and then and holds no worker in between.

    Airflow may declare a rescheduled sensor lost if it pokes too often, and each time costs a retry. Hence
    ``limits.poke_seconds`` of at least 3, and 20 retries.
    """
    nights = job.promotion.shadow_nights + job.label.delay_days
    return {
        "mode": "reschedule",
        "poke_interval": job.limits.poke_seconds,
        "timeout": (3 * nights + 30) * 86_400,
        "execution_timeout": None,
        "retries": 20,
    }


def shadow_over(job: Job) -> bool:
    """Return whether the challenger's nights in the shadow are over."""
    from lifecycle.retraining import shadow_passed

    return shadow_passed(current_stores(), _id()) is not None


def shadow_passed(job: Job) -> bool:
    """Return whether the challenger did well in the shadow."""
    from lifecycle.retraining import shadow_passed

    return bool(shadow_passed(current_stores(), _id()))


def promote(job: Job) -> str:
    """Make the challenger champion and return from which night on."""
    from lifecycle.retraining import promote
    from scoring.stores import Workspace

    return str(promote(Workspace(current_stores(), job), _id(), _approver()).effective_from)


def announce(job: Job) -> dict[str, Any]:
    """Return how the retraining ended and tell the receivers of alerts. Raises when a task failed."""
    from lifecycle.retraining import announce, end
    from scoring.errors import RetrainingFailed
    from scoring.stores.warehouse import retrainings

    asked = "snapshot" if job.retraining.external is None else "ask"
    stores, number, context = current_stores(), _id(asked), get_current_context()
    if number is None:
        raise RetrainingFailed("retraining", found="it was never recorded", next_step="see the log of snapshot")
    row = retrainings.get(stores.warehouse, number)
    if row.state == "running" and row.stage == "approve" and _state_of(context, "approve") == "success":
        end(stores, number, "refused", "approval: somebody said no, or nobody answered in time")
    try:
        row = announce(stores, number)
    finally:
        retraining = retrainings.get(stores.warehouse, number)
        tell(job.name, retraining.night, "retraining", f"retraining {number} {retraining.state}: {retraining.detail}")
        stream([job])
    return {name: row.facts[name] for name in ("retraining_id", "state", "detail", "model_version")}


def _state_of(context: Any, task_id: str) -> str | None:
    """Return the state of a task of this run, or None if there is no such task."""
    states = context["ti"].get_task_states(
        dag_id=context["dag"].dag_id, task_ids=[task_id], run_ids=[context["run_id"]]
    )
    state = states.get(context["run_id"], {}).get(task_id)
    return str(getattr(state, "value", state)) if state else None


def _approver() -> str:
    """Return who said yes, if somebody was asked. A no leaves no XCom."""
    answer = get_current_context()["ti"].xcom_pull(task_ids="approve") or {}
    user = answer.get("responded_by_user") or {}
    return str(user.get("name") or user.get("id") or "nightshift")


def _id(task_id: str = "snapshot") -> Any:
    """Return the id that the first task pushed, or None when it came to none."""
    return get_current_context()["ti"].xcom_pull(task_ids=task_id, key="retraining_id")
