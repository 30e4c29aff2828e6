"""The page of a night: verdict, columns, performance, attempts."""

from __future__ import annotations

from datetime import date, timedelta

from drift.verdict import MEANINGS, WORDS, smallest_shift
from pages.content.metric import Metric, metrics_of
from pages.content.overview import description_of
from pages.content.places import Places, View
from pages.content.quality import Window, quality_of
from pages.content.shift import shift_of
from pages.plots import state_of
from scoring.interval import Nights
from scoring.stores.warehouse import NightVerdict, Span, ledger, monitoring, overview, retrainings


def night_page(places: Places, job: str, night: date, run_id: str | None = None) -> View | None:
    """Return all that is known of a night: of its published run, or the newest attempt, or the run ``run_id``.

    None for a night, or a run, that there is not.
    """
    attempts = ledger.runs_of(places.warehouse, job, night)
    published = ledger.published(places.warehouse, job, night).get(night)
    target_id = run_id or published or (attempts[-1].run_id if attempts else None)
    run = next((attempt for attempt in attempts if attempt.run_id == target_id), None)
    if run is None:
        return None
    verdict = monitoring.drift_of(places.warehouse, run.run_id)
    before, after = overview.neighbours(places.warehouse, job, night)
    state = state_of(run.status, verdict.verdict if verdict else None)
    return {
        "job": job,
        "night": night,
        "run": run,
        "attempts": attempts,
        "published": published,
        "state": state,
        "drift": verdict,
        "columns": _columns(places, job, run.run_id),
        "shift": shift_of(places, run),
        "words": WORDS,
        "meanings": MEANINGS,
        "decision": overview.decision_of(places.warehouse, run.run_id),
        "before": before,
        "after": after,
        "report": _report(places, verdict),
        "quarantine": run.quarantine_reasons or {},
        "description": description_of(places, job),
        "carded": retrainings.versions_with_card(places.warehouse, job),
        **_performance(places, job, night, verdict),
    }


def _performance(places: Places, job: str, night: date, verdict: NightVerdict | None) -> View:
    """Return the measured performance, or, without labels, when they are due and the estimate if there is one."""
    measured = next(iter(overview.measured(places.warehouse, Span(job, Nights.of(night)))), None)
    file = places.job(job)
    due = night + timedelta(days=file.label.delay_days) if file and file.has_labels else None
    estimate = {} if measured or verdict is None else verdict.estimate or {}
    guesses = [Metric(name, value, None, None) for name, value in estimate.items()]
    metrics = metrics_of(measured.metrics) if measured else []
    rolling = measured.rolling if measured else {}
    windows = [Window.of(measured, name) for name in ("night", "7", "28")] if measured else []
    quality = {
        "quality_state": quality_of(measured) if measured else None,
        "windows": [window for window in windows if window],
    }
    when = {"due": due, "unlabelled": file is not None and not file.has_labels}
    return {"performance": measured, "metrics": metrics, "rolling": rolling, "estimate": guesses, **when, **quality}


def _columns(places: Places, job: str, run_id: str) -> list[View]:
    """Return the columns of a run, faults first, then what counts, then the most unusual."""
    order = {"monitored": 0, "seasonal": 1, "ignored": 2}
    file = places.job(job)
    rows = monitoring.columns_of(places.warehouse, [run_id])
    hidden = file.sensitive if file else set()
    rows.sort(key=lambda row: (row.fault is None, order.get(row.role, 3), -row.ratio))
    return [
        {**row.facts, "sensitive": row.column_name in hidden, "smallest": smallest_shift(row.signals)} for row in rows
    ]


def _report(places: Places, verdict: NightVerdict | None) -> str | None:
    """Return the path of the Evidently page below the lake's reports, or None when it is not there (any more)."""
    path = verdict.report if verdict else None
    if path is None or not places.lake.exists(places.lake.below(path)):
        return None
    return path.removeprefix("reports/")


def place_of_run(places: Places, job: str, airflow_run_id: str) -> tuple[date, str] | None:
    """Return night and run of the newest attempt that a DAG run made, or None if it made none."""
    run = overview.run_of_airflow(places.warehouse, job, airflow_run_id)
    return (run.night, run.run_id) if run else None
