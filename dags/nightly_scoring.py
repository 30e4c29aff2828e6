"""
### One night, scored exactly once

`extract → score (one task per chunk) → publish → announce, drift, performance, shadow → review → decide → retrain`, and
beside it `report`, which makes the pages. One run is one night: its **partition key** is the calendar day in the job's timezone.
Running a night again is always safe: it makes a new attempt, and the views switch to it in one step. In a backfill nothing
alarms, nothing is announced or retrained.

| you see | it means | do |
|---|---|---|
| `extract` red, *EmptyNight* | the source has no rows for the night | load the source, clear `extract` |
| `extract` red, *DeclarationMismatch* | the job file has not what the version was trained with | take it back, or train |
| `extract` red, *ContractError* | the SQL's result lacks columns | correct `sql/<job>/features.sql`, clear `extract` |
| `extract` waiting for its retry, *NightNotOver* | the night has not ended | nothing: it is scored after its end |
| `extract` retrying, *SourceUnavailable* | the source does not answer | wait |
| a task retrying, *LakeUnavailable* | the lake's disk is full, or its store does not answer | make room, or wait |
| a task red, *LakeFileBroken* | a file of the run cannot be read; the message names it | clear the task that it names |
| `score` red, *ArtifactMismatch*, *GoldenRowsMismatch* | the model's file or a library changed | restore it, or train again |
| `publish` red, *NightHeld* | the gate refused; what was published before stays | `nightshift release` or `discard` |
| `announce` skipped | no event: a backfill's run, or a later one is published | nothing; *Announce* in the form sends it |
| `drift` or `performance` red | monitoring failed; the publication stands | read the message, clear the task |
| `drift` green, verdict *alert* | the night is unusual, or broken | the Nightshift page of the night says what and how much |
| `report` red | a page could not be written; publication, verdict and decision stand | read the message, clear the task |
| `shadow` red | a version in the shadow failed; the publication stands | read the message; `nightshift retrain shadows <job>` |
| `review` took the crown back | the champion did worse than its predecessor, with evidence | read it on the job's page |
| `retrain` ran | the governor decided so; its reason is on the page | see `<job>_retraining` |
| `retrain` red, *DagIsPaused* | `<job>_retraining` is paused, as every new DAG is | unpause it, clear `retrain` |
| nothing runs | the DAG is paused, as every new DAG is | train the job, then unpause its two DAGs |
| a night is missing | it was never run | Trigger → Backfill, from and to that night |
| a night is wrong | its source was corrected later | Backfill with *All Runs* |

What happened to a night: `nightshift explain <job> <night>`.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, TriggerRule, task

from orchestration import monitoring, nightly
from orchestration.invalid_jobs import dag_name, invalid_arguments, refuse
from orchestration.monitoring import DriftOperator, trigger_arguments
from orchestration.nightly import dag_arguments
from orchestration.parsed_jobs import jobs_to_parse
from orchestration.publishing import AnnounceOperator, PublishOperator
from scoring.job import Job


def nightly_dag(job: Job) -> DAG:
    """Return the DAG of one job."""
    with DAG(f"{job.name}_nightly", doc_md=__doc__, auto_register=False, **dag_arguments(job)) as dag:

        @task(executor=job.limits.executor)
        def extract() -> list[dict[str, int]]:
            return nightly.extract(job)

        @task(
            map_index_template="{{ chunk_label }}",
            max_active_tis_per_dagrun=job.parallel_tasks,
            executor=job.limits.executor,
        )
        def score(scoring_run: str, chunk: dict[str, int]) -> int:
            return nightly.score(job, scoring_run, chunk)

        chunks: Any = extract()
        published = PublishOperator(
            task_id="publish", job=job, scoring_run=chunks["run_id"], executor=job.limits.executor
        )
        score.partial(scoring_run=chunks["run_id"]).expand(chunk=chunks) >> published
        published >> AnnounceOperator(task_id="announce", job=job)
        watched(job, published, chunks["run_id"])
    dag.params = nightly.form()
    return dag


def watched(job: Job, published: PublishOperator, scoring_run: Any) -> None:
    """Add the tasks that judge a publication, make its pages and decide what follows.

    Held nights are judged too; without a publication performance and decide do not run, and the run stays red.
    """

    @task
    def performance() -> list[str]:
        return monitoring.performance(job)

    @task(trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS)
    def report() -> dict[str, str]:
        return monitoring.report(job)

    @task
    def shadow(scoring_run: str) -> list[int]:
        return monitoring.shadow(job, scoring_run)

    @task
    def review() -> list[str]:
        return monitoring.review(job)

    @task.short_circuit
    def decide(scoring_run: str) -> bool:
        return monitoring.decide(job, scoring_run)

    drift = DriftOperator(task_id="drift", job=job, trigger_rule=TriggerRule.ALL_DONE)
    measured, reviewed = performance(), review()
    published >> [drift, measured]
    shadow.expand(scoring_run=published.output)  # without a version in the shadow no task is made
    [drift, measured] >> report()
    measured >> reviewed
    retrain = TriggerDagRunOperator(task_id="retrain", **trigger_arguments(job))
    [drift, reviewed] >> decide(scoring_run) >> retrain


def broken_dag(name: str, error: Exception) -> DAG:
    """Return a DAG that fails with the job file's error, so that the other jobs keep running."""
    with DAG(f"{dag_name(name)}_nightly", **invalid_arguments(name, error)) as dag:
        task(task_id="invalid_job_file", retries=0)(refuse)(str(error))
    return dag


jobs, broken = jobs_to_parse("_nightly")
problems: dict[str, Exception] = {**broken}
for each in jobs:
    try:
        globals()[f"{each.name}_nightly"] = nightly_dag(each)
    except Exception as error:  # noqa: BLE001 - raised again by the only task of the DAG that stands in for the job's
        problems[each.name] = error
for name, problem in problems.items():
    globals()[f"{name}_nightly"] = broken_dag(name, problem)
