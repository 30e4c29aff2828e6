"""
### A better model, or none

`snapshot → train → evaluate → gate → (approve, or shadow) → promote → announce`. Started by the nightly DAG when the governor
says so, by the job's schedule, or by hand with the form. One at a time per job; what each came to stays in `retrainings`.
The champion stays unless a challenger is better on nights that neither has seen, with evidence; a tie keeps it.

| you see | it means | do |
|---|---|---|
| all skipped after `snapshot` | same rows and recipe as a version that is there | nothing; or *Train anyway* in the form |
| `snapshot` red, *TrainingDataError* | too many rows break the contract: broken data are never trained on | repair the source |
| `snapshot` red, *RetrainingRunning* | another retraining of the job is open | wait, or `nightshift retrain abandon` |
| `train` red, *TrainingDataError* | too few labelled rows, or one class only | check `labels.sql`, widen the window |
| all skipped after `gate` | the challenger is not better, or worse in a guarded respect | read the model card |
| `approve` waits | a person is asked (Browse → Required Actions) | read the card, then approve or reject; no answer is a no |
| `shadow` waits | the challenger scores the next nights beside the champion | look at the job's page |
| `promote` green | it is champion from the next night on; its predecessor stays in the shadow for a while | nothing |
| `promote` red, *RetrainingFailed* | another version became champion meanwhile | clear `evaluate` |
| a task retrying | source, warehouse or registry do not answer | wait |
| `ask`, `train_elsewhere` | `retraining.external` was asked for a version | nothing; `nightshift register` ends it |
| `announce` red | a task before it failed; the champion stays as it is | read the message, clear that task |

Undo a promotion: `nightshift rollback <job> --reason "…"`.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG, TriggerRule, task

from orchestration import retraining
from orchestration.invalid_jobs import invalid_arguments, refuse
from orchestration.parsed_jobs import jobs_to_parse
from orchestration.retraining import (
    approval_arguments,
    dag_arguments,
    external_arguments,
    shadow_arguments,
    shadow_over,
)
from scoring.job import Job


def between(job: Job) -> list[Any]:
    """Return what stands between the gate and the promotion: nothing, a person, or nights in the shadow."""
    if job.promotion.promote == "human":
        return [ApprovalOperator(task_id="approve", params={}, **approval_arguments(job))]
    if job.promotion.promote == "gate":
        return []

    @task
    def begin_shadow() -> None:
        retraining.begin_shadow(job)

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def shadow_passed() -> bool:
        return retraining.shadow_passed(job)

    over = PythonSensor(task_id="shadow", python_callable=shadow_over, op_args=[job], **shadow_arguments(job))
    return [begin_shadow(), over, shadow_passed()]


def retraining_dag(job: Job) -> DAG:
    """Return the retraining DAG of one job."""
    with DAG(f"{job.name}_retraining", doc_md=__doc__, auto_register=False, **dag_arguments(job)) as dag:

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def snapshot() -> bool:
            return retraining.snapshot(job)

        @task(executor=job.limits.executor)
        def train() -> int:
            return retraining.train(job)

        @task
        def evaluate() -> str:
            return retraining.evaluate(job)

        @task.short_circuit(ignore_downstream_trigger_rules=False)
        def gate() -> bool:
            return retraining.gate(job)

        @task
        def promote() -> str:
            return retraining.promote(job)

        @task(trigger_rule=TriggerRule.ALL_DONE)
        def announce() -> dict[str, Any]:
            return retraining.announce(job)

        passed, crowned = gate(), promote()
        snapshot() >> train() >> evaluate() >> passed
        for step in between(job):
            passed = passed >> step
        passed >> crowned >> announce()
    dag.params = retraining.form()
    return dag


def external_dag(job: Job) -> DAG:
    """Return the retraining DAG of a job whose versions come from elsewhere: it asks for one, and waits for none."""
    with DAG(f"{job.name}_retraining", doc_md=__doc__, auto_register=False, **dag_arguments(job)) as dag:

        @task
        def ask() -> None:
            retraining.ask(job)

        @task(trigger_rule=TriggerRule.ALL_DONE)
        def announce() -> dict[str, Any]:
            return retraining.announce(job)

        asked = ask()
        external = job.retraining.external
        if external is not None and external.dag is not None:
            asked = asked >> TriggerDagRunOperator(task_id="train_elsewhere", **external_arguments(job, external.dag))
        asked >> announce()
    dag.params = retraining.form()
    return dag


def broken_dag(job: Job, error: Exception) -> DAG:
    """Return a DAG that fails with what is wrong, so that the retrainings of other jobs are there."""
    with DAG(f"{job.name}_retraining", **invalid_arguments(job.name, error)) as dag:
        task(task_id="invalid_job_file", retries=0)(refuse)(str(error))
    return dag


for each in jobs_to_parse("_retraining")[0]:
    try:
        elsewhere = each.retraining.external is not None
        globals()[f"{each.name}_retraining"] = external_dag(each) if elsewhere else retraining_dag(each)
    except Exception as error:  # noqa: BLE001 - raised again by the only task of the DAG that stands in for the job's
        globals()[f"{each.name}_retraining"] = broken_dag(each, error)
