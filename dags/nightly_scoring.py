"""
### One night, scored exactly once

`extract → score (one task per chunk) → publish`. One run is one night: its **partition key** is the calendar day in
the job's timezone. Running a night again is always safe: it makes a new attempt, and the views switch to it in one step.

| you see | it means | do |
|---|---|---|
| `extract` red, *EmptyNight* | the source has no rows for the night | load the source, clear `extract` |
| `extract` red, *ContractError* | the SQL's result lacks columns | correct `sql/<job>/features.sql`, clear `extract` |
| `extract` retrying, *SourceUnavailable* | the source does not answer | wait |
| `score` red, *ArtifactMismatch*, *GoldenRowsMismatch* | the model's file or a library changed | restore it, or train again |
| `publish` red, *NightHeld* | the gate refused; what was published before stays | `python -m scoring release` or `discard` |
| a night is missing | it was never run | Trigger → Backfill, from and to that night |
| a night is wrong | its source was corrected later | Backfill with *All Runs* |

What happened to a night: `python -m scoring explain-night <job> <night>`.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from scoring import airflow_adapter as adapter
from scoring.errors import JobFileError
from scoring.job import Job, load_jobs
from scoring.settings import load_settings


def nightly_dag(job: Job) -> DAG:
    """Return the DAG of one job."""
    with DAG(f"{job.name}_nightly", doc_md=__doc__, **adapter.dag_arguments(job)) as dag:

        @task
        def extract() -> list[dict[str, int]]:
            return adapter.extract(job)

        @task(map_index_template="{{ chunk_label }}", max_active_tis_per_dagrun=job.limits.parallel_chunks)
        def score(scoring_run: str, chunk: dict[str, int]) -> int:
            return adapter.score(job, scoring_run, chunk)

        @task
        def publish(scoring_run: str) -> dict[str, Any]:
            return adapter.publish(job, scoring_run)

        chunks: Any = extract()
        score.partial(scoring_run=chunks["run_id"]).expand(chunk=chunks) >> publish(chunks["run_id"])
        # Here drift, performance and decide join, after publish; their failure never touches the publication.
    return dag


def broken_dag(name: str, error: JobFileError) -> DAG:
    """Return a DAG that fails with the job file's error, so that the other jobs keep running."""
    with DAG(
        f"{name}_nightly", doc_md=f"`jobs/{name}.yaml` is not valid: {error}", tags=["nightshift", "invalid"]
    ) as dag:

        @task(task_id="invalid_job_file", retries=0)
        def fail(message: str) -> None:
            raise JobFileError(message)

        fail(str(error))
    return dag


jobs, broken = load_jobs(load_settings().jobs_dir)
for each in jobs:
    globals()[f"{each.name}_nightly"] = nightly_dag(each)
for name, problem in broken.items():
    globals()[f"{name}_nightly"] = broken_dag(name, problem)
