"""
### Nights that are late

Every quarter of an hour: a job whose last night is not published in time (`schedule.ready_by` or `limits.late_after_minutes`
in its job file) is an alert, once per night. It sees nights that were never started too. Alerts are off until
`NIGHTSHIFT_ALERT_URLS` is set.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, task

from orchestration import alerts
from scoring.job import Job, load_jobs
from scoring.settings import load_settings


def late_dag(jobs: list[Job]) -> DAG:
    """Return the DAG that looks for late nights of all jobs."""
    with DAG(
        "late_nights",
        doc_md=__doc__,
        schedule="5-59/15 * * * *",
        start_date=datetime(2013, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        tags=["nightshift"],
    ) as dag:

        @task
        def look() -> list[str]:
            return alerts.late_nights(jobs)

        look()
    return dag


late_nights = late_dag(load_jobs(load_settings().jobs_dir)[0])
