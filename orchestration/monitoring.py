"""The monitoring tasks of a nightly DAG: Airflow's context → the use-cases of ``drift``."""

from __future__ import annotations

import logging
from datetime import date
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperator, BaseOperatorLink, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from orchestration.alerts import alert, alert_about
from orchestration.context import begun, current_stores, night_of, run_type
from orchestration.metering import stream
from scoring.job import Job


class DriftReportLink(BaseOperatorLink):
    """A link from the drift task to the page of its night."""

    name = "Drift report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the page of the run's night."""
        return f"/nightshift/run?dag_id={quote(ti_key.dag_id)}&run_id={quote(ti_key.run_id)}"


class DriftOperator(BaseOperator):
    """Judges a scored night. Runs for held nights too, and is skipped when nothing was scored."""

    operator_extra_links = (DriftReportLink(),)

    def __init__(self, *, job: Job, **kwargs: Any) -> None:
        """Judge the run of ``job`` that the task ``extract`` began."""
        super().__init__(**kwargs)
        self.job = job

    def execute(self, context: Any) -> dict[str, Any]:
        """Return verdict and reasons, and the runs that were judged."""
        from drift.runs import SCORED
        from drift.watch import watch
        from scoring.stores.warehouse import ledger

        stores = current_stores()
        run_id = context["ti"].xcom_pull(
            task_ids="extract", key="run_id"
        )  # none when the extract failed or was skipped
        run = ledger.get(stores.warehouse, run_id, self.job.name) if run_id else None
        if run is None or run.status not in SCORED:
            raise AirflowSkipException("the night was not scored, so there is nothing to compare")
        watched = watch(begun(self.job, run.run_id), run.run_id)
        for reason in watched.reasons:
            self.log.warning("%s", reason)
        if watched.verdict == "alert" and not run.provisional:
            alert(self.job.name, context, "drift", "; ".join(watched.reasons))
        stream([self.job])
        summary = {"verdict": watched.verdict, "reasons": list(watched.reasons)}
        return {**summary, "judged": [run.run_id, *watched.again]}


def _as_extracted(job: Job, context: Any) -> Any:
    """Return the workspace with the job as the task ``extract`` of this run read its file."""
    return begun(job, context["ti"].xcom_pull(task_ids="extract", key="run_id"))


def performance(job: Job) -> list[str]:
    """Measure the nights whose labels have matured by the end of the run's night, alert about them, and return them."""
    from drift.measure import alarm_of, measure

    context = get_current_context()
    work = _as_extracted(job, context)
    days = measure(work, night_of(context))
    alarm = alarm_of(work, days, night_of(context))
    if alarm is not None:
        alert_about(alarm[0], job.name, context, "performance", alarm[1])
    stream([job])
    return [str(day) for day in days]


def report(job: Job) -> dict[str, str]:
    """Make the page of each night that was judged or measured, once, remove old ones, and return what was made by run.

    In a backfill only nights with an alert have one. A page that cannot be made is a warning: the verdict stands.
    """
    from drift.report import prune_reports, reported, runs_to_report, write_report, write_report_of_alert

    context = get_current_context()
    work = _as_extracted(job, context)
    judged = (context["ti"].xcom_pull(task_ids="drift") or {}).get("judged", [])
    measured = [date.fromisoformat(day) for day in context["ti"].xcom_pull(task_ids="performance") or []]
    runs = runs_to_report(work, judged, measured)
    if not runs:
        raise AirflowSkipException("no night was judged or measured")
    pages = reported(work, runs, write_report_of_alert if run_type(context) == "backfill" else write_report)
    prune_reports(work, night_of(context))
    for run_id, (_, problem) in pages.items():
        if problem:
            logging.getLogger(__name__).warning("page of run %s: %s", run_id, problem)
    return {run_id: page for run_id, (page, _) in pages.items() if page}


def decide(job: Job, run_id: str) -> bool:
    """Decide after the night, return whether to retrain, and push the decision's id, night and reason as XComs."""
    from drift.decide import conclude

    row = conclude(begun(job, run_id), run_id)
    pushed = {"decision_id": row.decision_id, "decision": row.decision, "reason": row.reason}
    for name, value in {**pushed, "night": str(row.night)}.items():
        get_current_context()["ti"].xcom_push(key=name, value=value)
    return row.decision == "retrain"


def trigger_arguments(job: Job) -> dict[str, Any]:
    """Return what triggers the retraining DAG: one run per decision, however often the task runs. Fails if it is paused."""
    pulled = {
        name: f"{{{{ ti.xcom_pull(task_ids='decide', key='{name}') }}}}" for name in ("decision_id", "night", "reason")
    }
    return {
        "trigger_dag_id": f"{job.name}_retraining",
        "trigger_run_id": f"decision-{pulled['decision_id']}",
        "conf": pulled,
        "logical_date": None,
        "skip_when_already_exists": True,
        "fail_when_dag_is_paused": True,  # else the retraining waits unseen until somebody unpauses it
    }


def shadow(job: Job, run_id: str) -> list[int]:
    """Score the published run with the versions in the shadow and return them."""
    from lifecycle.shadow import shadow_run

    return shadow_run(begun(job, run_id), run_id)


def review(job: Job) -> list[str]:
    """Judge the versions in the shadow on labels that came and return those whose stay ended. A backfill takes no crown away."""
    from lifecycle.shadow import review

    context = get_current_context()
    may = run_type(context) != "backfill"
    work = _as_extracted(job, context)
    results = review(work, night_of(context), may_roll_back=may)
    for result in results:
        if result.rolled_back:
            alert(job.name, context, "rollback", f"version {result.model_version} is champion again: {result.detail}")
    return [f"version {result.model_version} ({result.role}): {result.state}; {result.detail}" for result in results]
