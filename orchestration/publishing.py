"""The tasks that publish a night and announce it: metrics, lineage, and an asset event that other DAGs can wait for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from orchestration import nightly
from orchestration.context import current_stores, night_of, now, run_type
from orchestration.metering import stream
from scoring.errors import NightHeld
from scoring.job import Job


def nights_of(job: str) -> Asset:
    """Return the asset that stands for a job's published nights. Each night is a partition of it."""
    return Asset(name=f"{job}_nights", uri=f"nightshift://{job}/nights", group="nightshift")


class PublishOperator(BaseOperator):
    """Publishes a scored night, sends its metrics, and tells OpenLineage, where it is installed, what was written."""

    template_fields = ("scoring_run",)

    def __init__(self, *, job: Job, scoring_run: Any, **kwargs: Any) -> None:
        """Publish the run of ``job`` whose id is ``scoring_run``, which may be an XCom."""
        super().__init__(**kwargs)
        self.job = job
        self.scoring_run = scoring_run

    def execute(self, context: Any) -> list[str]:
        """Return what the shadow task is mapped over: the run if versions are in its shadow. Push what was published."""
        began = now()
        try:
            published = nightly.publish(self.job, self.scoring_run)
        except NightHeld:
            stream([self.job])
            raise
        stream([self.job], self.scoring_run, began)
        for key, value in published.items():
            context["ti"].xcom_push(key=key, value=value)
        return _run_with_shadow(self.job, self.scoring_run)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return the datasets that were read and written, for the OpenLineage provider, which asks for them."""
        from orchestration.lineage import lineage_of

        return lineage_of(self.job, self.scoring_run)


def _run_with_shadow(job: Job, run_id: str) -> list[str]:
    """Return the run if versions are in its shadow, or nothing, so that no task begins only to find that there are none."""
    from lifecycle.shadow import in_shadow
    from scoring.stores import Workspace
    from scoring.stores.warehouse import ledger

    work = Workspace(current_stores(), job)
    return [run_id] if in_shadow(work, ledger.get(work.warehouse, run_id)) else []


class AnnounceOperator(BaseOperator):
    """Sends the asset event of a published night: of a backfill's nights only if the run asks for it."""

    def __init__(self, *, job: Job, **kwargs: Any) -> None:
        """Announce what the task ``publish`` published of ``job``."""
        super().__init__(outlets=[nights_of(job.name)], **kwargs)
        self.job = job

    def execute(self, context: Any) -> dict[str, Any]:
        """Return what the event says: job, night, run, model version, rows. Skipped, it sends none."""
        from scoring.stores.warehouse import ledger

        run_id, status = (context["ti"].xcom_pull(task_ids="publish", key=key) for key in ("run_id", "status"))
        run = ledger.get(current_stores().warehouse, run_id, self.job.name)
        reason = silent_because(run_type(context), context["params"], status, run.provisional)
        if reason is not None:
            raise AirflowSkipException(reason)
        event = context["outlet_events"][nights_of(self.job.name)]
        event.add_partitions(str(run.night))
        event.extra = event_of(self.job.name, night_of(context), run)
        return dict(event.extra)


def silent_because(kind: str, params: Mapping[str, Any], status: str, provisional: bool) -> str | None:
    """Return why a publication is not announced, or None if it is.

    >>> silent_because("backfill", {"announce": True}, "published", False)
    >>> silent_because("scheduled", {"announce": False}, "published", False)
    >>> silent_because("backfill", {"announce": False}, "published", False)
    'nights of a backfill are announced only if its parameter Announce is set'
    >>> silent_because("scheduled", {}, "superseded", False)
    'a later run of the night is published'
    >>> silent_because("manual", {}, "published", True)
    'the night is not over: its publication is provisional'
    """
    if status != "published":
        return "a later run of the night is published"
    if provisional:
        return "the night is not over: its publication is provisional"
    if kind == "backfill" and not params.get("announce"):
        return "nights of a backfill are announced only if its parameter Announce is set"
    return None


def event_of(job: str, night: date, run: Any) -> dict[str, Any]:
    """Return the extra of the event about a published run."""
    facts = {"run_id": run.run_id, "model_version": run.model_version, "rows": run.rows_loaded}
    return {"job": job, "night": str(night), **facts}
