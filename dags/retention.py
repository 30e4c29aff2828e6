"""
### What nothing points at any more

Every Saturday, a task per job: rows and files of old runs, model versions that nothing uses, training snapshots of no
version. **It only says what it would remove**, in the log of each task, until `NIGHTSHIFT_RETENTION__APPLY` is true, or
*Remove* is ticked in the form of a run. The policy is in the settings, `NIGHTSHIFT_RETENTION__…`. Published nights,
held and running attempts, champions and their predecessors, and every version that a published night was scored with
stay whatever their age; so does every row of the ledger.

| you see | it means | do |
|---|---|---|
| `would_be_removed` in a task's return value | nothing was removed | read the log; tick *Remove*, or set the variable |
| a task red, *…Unavailable* | a store does not answer, or a night is being published | clear the task; it goes on |
| a task red, any other error | it stopped in the middle, which does no harm | read the message, clear the task |
| a job has no task | its job file is not valid, and its nightly DAG says why | correct the file |
| `release` or `diff` says *its files were removed by retention* | the run is too old | score the night again |

The same by hand: `nightshift retention [JOB] [--apply]`.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from orchestration import retention
from orchestration.context import task_arguments
from orchestration.retention import retention_arguments
from scoring.job import Job, load_jobs
from scoring.settings import load_settings


def retention_dag(jobs: list[Job]) -> DAG:
    """Return the DAG that removes what nothing points at any more, a task per job, none waiting for another."""
    with DAG("nightshift_retention", doc_md=__doc__, **retention_arguments()) as dag:
        for job in jobs:

            @task(task_id=job.name, **task_arguments(job))
            def retain(job: Job = job) -> dict[str, Any]:
                return retention.retain(job)

            retain()
    return dag


nightshift_retention = retention_dag(load_jobs(load_settings().jobs_dir)[0])
