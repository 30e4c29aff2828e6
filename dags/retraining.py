"""
### A challenger is trained

Triggered by the nightly DAG when the governor decides `retrain`, with the decision's id, night and reason, or by hand
from the form: give the **night** up to whose end the data count. One run at a time per job. The new version becomes the
*challenger*; nothing is published with it until somebody promotes it: `python -m scoring promote <job> <version>`.

| you see | it means | do |
|---|---|---|
| `train` red, *TrainingDataError* | too few labelled rows, or one class only | check `labels.sql`, widen `training.window_days` |
| `train` red, *NightError* | no night was given | trigger again with the night in the form |
| `train` retrying | source or registry do not answer | wait |
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from drift import airflow_adapter as adapter
from scoring.job import Job, load_jobs
from scoring.settings import load_settings


def retraining_dag(job: Job) -> DAG:
    """Return the retraining DAG of one job."""
    with DAG(f"{job.name}_retraining", doc_md=__doc__, **adapter.retraining_arguments(job)) as dag:

        @task
        def train() -> dict[str, Any]:
            return adapter.retrain(job)

        train()
    return dag


for each in load_jobs(load_settings().jobs_dir)[0]:
    globals()[f"{each.name}_retraining"] = retraining_dag(each)
