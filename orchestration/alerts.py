"""Alerts out of Airflow: a task that failed, a night that is late, and other messages of tasks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote

from airflow.configuration import conf
from airflow.sdk import BaseNotifier

from orchestration.context import current_stores, night_of, now, run_type
from orchestration.metering import stream
from scoring.errors import (
    AlertNotSent,
    NightHeld,
    described,
)
from scoring.job import Job, deadline_in_words


class FailureAlert(BaseNotifier):
    """Tells the receivers of alerts that a task failed for good, or that a night is held. In a backfill it tells nobody."""

    def __init__(self, job: str) -> None:
        """Send alerts about ``job``."""
        super().__init__()
        self.job = job

    def notify(self, context: Any) -> None:
        """Send the alert of a task's failure."""
        error = context.get("exception")
        kind = "held" if isinstance(error, NightHeld) else "failed"
        task = getattr(context.get("task"), "task_id", "a task")
        alert(self.job, context, kind, f"{task}: {described(error)}")


class ApprovalNotice(BaseNotifier):
    """Tells the receivers of alerts, once, that a person is asked, with a link to where the answer is given."""

    def __init__(self, job: str) -> None:
        """Send notices about ``job``."""
        super().__init__()
        self.job = job

    def notify(self, context: Any) -> None:
        """Send the notice."""
        from scoring.stores.warehouse import retrainings

        task = context["ti"]
        number = task.xcom_pull(task_ids="snapshot", key="retraining_id")
        row = retrainings.get(current_stores().warehouse, number)
        link = f"{_base_url()}/dags/{task.dag_id}/runs/{quote(task.run_id)}/tasks/{task.task_id}/required_actions"
        sentence = f"retraining {number} asks whether to promote version {row.model_version}; no answer in time is a no"
        tell(self.job, row.night, "approval", sentence, (link, str(number)))


def late_nights(jobs: Sequence[Job]) -> list[str]:
    """Alert about every job whose last night is not published in time and return them, a line each.

    Runs that nobody works on any more are recorded as abandoned.
    """
    from scoring.stores import Workspace
    from scoring.stores.warehouse import liveness
    from scoring.upkeep import late

    stores = current_stores()
    liveness.abandon_dead(stores.warehouse, now())
    late_jobs = [(job, night) for job in jobs if (night := late(Workspace(stores, job))) is not None]
    for job, night in late_jobs:
        tell(job.name, night, "late", f"not published {deadline_in_words(job)}")
    stream(jobs)
    return [f"{job.name}: night {night}" for job, night in late_jobs]


def alert(job: str, context: Mapping[str, Any], kind: Any, message: str) -> None:
    """Send an alert about a run's night, but none in a backfill. A receiver that fails is only logged."""
    alert_about(night_of(context), job, context, kind, message)


def alert_about(night: date, job: str, context: Mapping[str, Any], kind: Any, message: str) -> None:
    """Send an alert about a night that is not the run's own, but none in a backfill."""
    if run_type(context) != "backfill":
        tell(job, night, kind, message)


def tell(job: str, night: date, kind: Any, message: str, place: tuple[str, str] | None = None) -> None:
    """Send an alert about a night. A receiver that fails is only logged.

    ``place`` is a link in place of that to the night's page, and what the alert is about beside the night.
    """
    from scoring.upkeep import Alert, send

    link, about = place or (f"{_base_url()}/nightshift/jobs/{job}/nights/{night}", "")
    try:
        send(current_stores(), Alert(job, night, kind, message, link, about))
    except AlertNotSent as error:
        logging.getLogger(__name__).error("%s", error)


def _base_url() -> str:
    return str(conf.get("api", "base_url")).rstrip("/")
