"""What the pages show: overview, job, night and column, each read from the warehouse into one mapping for its template."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from drift.performance.metrics import UNITS
from drift.verdict.verdict import MEANINGS, UNUSUAL, WORDS
from pages.content.retrainings import SHADOWS_SHOWN, job_retrainings, open_retraining, shadow_views
from pages.plots.calendar import months, state_of
from pages.plots.nights import column_plots, performance_plot, score_plot
from scoring.errors import JobFileError
from scoring.job.definition import Job
from scoring.rows.floors import SMALLER_IS_BETTER
from scoring.stores import warehouse as stored
from scoring.stores.lake import Lake
from scoring.stores.warehouse import Warehouse, ledger, monitoring, promotions, retrainings
from scoring.stores.warehouse.monitoring import Row, Span
from scoring.stores.warehouse.overview import column_history, decision_of, neighbours, newest_decision, run_of_airflow
from scoring.stores.warehouse.promotions import Promotion

YEAR = 366
DECISIONS_SHOWN = 20
NEAREST_TO_ZERO = {"calibration_gap", "bias"}
PRIMARIES = ("excess_log_loss", "mae")
View = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where the pages read: the warehouse, the lake, and the job files as they are now."""

    warehouse: Warehouse
    lake: Lake
    job_file: Callable[[str], Job]
    has_file: Callable[[str], bool] = lambda name: True
    """Whether a job has a file, valid or not; one without is retired."""

    def job(self, name: str) -> Job | None:
        """Return the job's file; None when it is gone or broken: what was recorded of it stays readable."""
        try:
            return self.job_file(name)
        except JobFileError:
            return None


@dataclass(frozen=True)
class Metric:
    """One metric with its interval, and how to read it."""

    name: str
    value: float | None
    low: float | None
    high: float | None

    @property
    def words(self) -> str:
        """Return the name as people write it."""
        return self.name.replace("_", " ")

    @property
    def unit(self) -> str:
        """Return the unit, as it stands after the number."""
        unit = UNITS.get(self.name, "")
        return {"0 to 1": "on a scale from 0 to 1", "share": "as a share"}.get(unit, unit)

    @property
    def better(self) -> str:
        """Return which values are better, in words."""
        if self.name in NEAREST_TO_ZERO:
            return "nearer to 0 is better"
        if self.name == "base_rate":
            return "share of positives; neither is better"
        return "smaller is better" if self.name in SMALLER_IS_BETTER else "larger is better"


def metrics_of(stored: Mapping[str, Any]) -> list[Metric]:
    """Return the metrics that a performance row keeps, the primary one first; other entries are left out."""
    found = [Metric(name, **one) for name, one in stored.items() if isinstance(one, dict)]
    return sorted(found, key=lambda one: (one.name not in PRIMARIES, one.name))


def overview(places: Places, jobs: Collection[str]) -> View:
    """Return one card per job of ``jobs`` that was ever used, the retired ones apart, and the names of those never used."""
    statuses = stored.overview.statuses(places.warehouse, jobs)
    used = {row["job"] for row in statuses}
    retired = [row for row in statuses if _retired(places, row)]
    cards = [_card(places, row) for row in statuses if row not in retired]
    return {"cards": cards, "retired": retired, "unused": sorted(name for name in set(jobs) - used if places.job(name))}


def _retired(places: Places, status: Row) -> bool:
    """Return whether a job is out of service: it was retired, or its file is gone."""
    return status["retired_at"] is not None or not places.has_file(status["job"])


def _card(places: Places, status: Row) -> View:
    name, latest = status["job"], status["latest_night"]
    verdict = monitoring.drift_of(places.warehouse, status["run_id"]) if status["run_id"] else None
    newest = stored.overview.measured(places.warehouse, Span(name), newest=1)
    return {
        **_expected(status), "retired": _retired(places, status),
        "job": name, "status": status, "latest": latest, "drift": verdict,
        "state": state_of({"status": "published", **(verdict or {})}) if latest else None,
        "performance": newest[0] if newest else None,
        "metric": next(iter(metrics_of(newest[0]["metrics"])), None) if newest else None,
        "decision": newest_decision(places.warehouse, name), "open": open_retraining(places.warehouse, name),
    }  # fmt: skip


def _expected(status: Row) -> View:
    """Return whether the expected night is there, and which night comes next; None after the schedule's end."""
    expected, last = status["expected_night"], status["last_night"]
    over = last is not None and expected is not None and expected >= last
    return {"expected": expected, "there": status["expected_night_published"],
            "coming": None if over or expected is None else expected + timedelta(days=1), "over": over}  # fmt: skip


def job_page(places: Places, job: str, until: date | None) -> View | None:
    """Return what is known of a job's nights of a year up to ``until``; None for a job that was never used."""
    status = next(iter(stored.overview.statuses(places.warehouse, [job])), None)
    if status is None:
        return None
    newest = neighbours(places.warehouse, job, date.max)[0]
    last = until or newest
    span = Span(job, last - timedelta(days=YEAR - 1) if last else None, last + timedelta(days=1) if last else None)
    rows = stored.overview.nights(places.warehouse, span)
    measured = stored.overview.measured(places.warehouse, span)
    decided = monitoring.decisions(places.warehouse, span)
    history = promotions.history_of(places.warehouse, job)
    grid = months(rows, _counted_from(rows, history), last) if last else []
    earlier = neighbours(places.warehouse, job, span.first)[0] if span.first else None
    later = neighbours(places.warehouse, job, last)[1] if last else None
    file = places.job(job)
    stays = shadow_views(places.warehouse, job, file)
    return {
        **_card(places, status), "rows": rows, "months": grid, "missing": sum(one.missing for one in grid),
        "later_missing": _later_missing(places, status, newest) if newest and not later else 0,
        "until": until, "last": last, "earlier": earlier, "later": later,
        "quality": performance_plot(measured, decided), "score": score_plot(rows), "measured": measured[::-1],
        "metrics_of": metrics_of, "decisions": decided[::-1][:DECISIONS_SHOWN], "decided": len(decided),
        "promotions": history[::-1], "file": file, **job_retrainings(places.warehouse, job),
        "shadows": stays[:SHADOWS_SHOWN], "shadowed": len(stays),
    }  # fmt: skip


def _later_missing(places: Places, status: Row, newest: date) -> int:
    """Return how many nights after the newest are expected and not there; none of a retired job is."""
    return 0 if _retired(places, status) else (status["expected_night"] - newest).days


def _counted_from(rows: list[Row], history: list[Promotion]) -> date | None:
    """Return the first night that counts as missing when it is not there: one with a champion, or ever tried."""
    return min([*(row["night"] for row in rows[:1]), *(one.effective_from for one in history)], default=None)


def night_page(places: Places, job: str, night: date, run_id: str | None = None) -> View | None:
    """Return all that is known of a night: of its published run, or the newest attempt, or the run asked for.

    None for a night, or a run, that there is not.
    """
    attempts = ledger.runs_of(places.warehouse, job, night)
    shown = ledger.published(places.warehouse, job, night).get(night)
    wanted = run_id or shown or (attempts[-1].run_id if attempts else None)
    run = next((one for one in attempts if one.run_id == wanted), None)
    if run is None:
        return None
    verdict = monitoring.drift_of(places.warehouse, run.run_id)
    before, after = neighbours(places.warehouse, job, night)
    state = state_of({**run.facts, "verdict": verdict["verdict"] if verdict else None})
    return {
        "job": job, "night": night, "run": run, "attempts": attempts, "published": shown, "state": state,
        "drift": verdict, "columns": _columns(places, job, run.run_id), "words": WORDS, "meanings": MEANINGS,
        "decision": decision_of(places.warehouse, run.run_id), "before": before, "after": after,
        "report": _report(places, verdict), "quarantine": run.quarantine_reasons or {},
        "description": _description(places, job),
        "carded": retrainings.versions_with_card(places.warehouse, job), **_performance(places, job, night, verdict),
    }  # fmt: skip


def _performance(places: Places, job: str, night: date, verdict: Row | None) -> View:
    """Return what the labels said; without them when they are due, and an estimate if there is one."""
    found = next(iter(stored.overview.measured(places.warehouse, Span(job, night, night + timedelta(days=1)))), None)
    file = places.job(job)
    due = night + timedelta(days=file.label.delay_days) if file else None
    estimate = {} if found or verdict is None else verdict["estimate"] or {}
    guesses = [Metric(name, value, None, None) for name, value in estimate.items()]
    metrics = metrics_of(found["metrics"]) if found else []
    rolling = found["rolling"] if found else {}
    return {"performance": found, "metrics": metrics, "rolling": rolling, "estimate": guesses, "due": due}


def _columns(places: Places, job: str, run_id: str) -> list[Row]:
    """Return the columns of a run, faults first, then what counts, then the most unusual."""
    order = {"monitored": 0, "seasonal": 1, "ignored": 2}
    file = places.job(job)
    rows = monitoring.columns_of(places.warehouse, [run_id])
    hidden = file.sensitive if file else set()
    for row in rows:
        row["sensitive"] = row["column_name"] in hidden
    return sorted(rows, key=lambda row: (row["fault"] is None, order.get(row["role"], 3), -row["ratio"]))


def _report(places: Places, verdict: Row | None) -> str | None:
    """Return the path of the Evidently page below the lake's reports; None when it is not there (any more)."""
    path = verdict["report"] if verdict else None
    if path is None or not places.lake.exists(places.lake.below(path)):
        return None
    return str(path).removeprefix("reports/")


def _description(places: Places, job: str) -> str:
    found = stored.overview.statuses(places.warehouse, [job])
    return str(found[0]["description"]) if found else ""


def column_page(places: Places, job: str, column: str) -> View | None:
    """Return a column's distances over the newest 366 judged nights; None for a column that there is not."""
    rows = column_history(places.warehouse, Span(job), column, YEAR)
    file = places.job(job)
    known = file is not None and column in file.features
    if not rows and not known:
        return None
    feature = file.features.get(column) if file is not None else None
    return {
        "job": job, "column": column, "rows": rows[::-1], "plots": column_plots(rows), "words": WORDS,
        "meanings": MEANINGS, "feature": feature, "description": _description(places, job),
        "unusual": sum(row["status"] in UNUSUAL for row in rows),
    }  # fmt: skip


def place_of_run(places: Places, job: str, airflow_run_id: str) -> tuple[date, str] | None:
    """Return night and run of the newest attempt that a DAG run made; None if it made none."""
    run = run_of_airflow(places.warehouse, job, airflow_run_id)
    return (run.night, run.run_id) if run else None
