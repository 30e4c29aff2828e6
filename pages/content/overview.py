"""The first page: a card for every job."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from pages.content.metric import metrics_of
from pages.content.places import Places, View
from pages.content.quality import Window, quality_of
from pages.content.retrainings import open_retraining
from pages.plots import state_of
from scoring.stores.warehouse import Row, Span, metering, monitoring, overview
from scoring.upkeep import Lateness, lateness_of


def overview_page(places: Places, jobs: Collection[str]) -> View:
    """Return one card per job of ``jobs`` that was ever used, the retired ones apart, and the names of those never used."""
    statuses = overview.statuses(places.warehouse, jobs)
    used = {row["job"] for row in statuses}
    retired = [row for row in statuses if is_retired(places, row)]
    cards = [overview_card(places, row) for row in statuses if row not in retired]
    return {"cards": cards, "retired": retired, "unused": sorted(name for name in set(jobs) - used if places.job(name))}


def is_retired(places: Places, status: Row) -> bool:
    """Return whether a job is out of service: it was retired, or its file is gone."""
    return status["retired_at"] is not None or not places.has_file(status["job"])


def overview_card(places: Places, status: Row) -> View:
    """Return the card of a job."""
    name, latest = status["job"], status["latest_night"]
    verdict = monitoring.drift_of(places.warehouse, status["run_id"]) if status["run_id"] else None
    newest = overview.measured(places.warehouse, Span(name), newest=1)
    return {
        **_expected(status),
        "retired": is_retired(places, status),
        "job": name,
        "status": status,
        "latest": latest,
        "drift": verdict,
        "state": state_of("published", verdict.verdict if verdict else None) if latest else None,
        "performance": newest[0] if newest else None,
        "metric": next(iter(metrics_of(newest[0].metrics)), None) if newest else None,
        "quality_state": quality_of(newest[0]) if newest else None,
        "month": Window.of(newest[0], "28") or Window.of(newest[0], "7") if newest else None,
        "decision": overview.newest_decision(places.warehouse, name),
        "open": open_retraining(places.warehouse, name),
        "late": _late(places, status),
        "unlabelled": (file := places.job(name)) is not None and not file.has_labels,
    }


def _late(places: Places, status: Row) -> Lateness | None:
    """Return the night that is late, by the warehouse's clock, or None. Nothing is expected of a retired job."""
    job = None if is_retired(places, status) else places.job(status["job"])
    return lateness_of(places.warehouse, job, metering.clock(places.warehouse)) if job is not None else None


def _expected(status: Row) -> View:
    """Return whether the expected night is there, and which night comes next, or None after the schedule's end."""
    expected, last = status["expected_night"], status["last_night"]
    over = last is not None and expected is not None and expected >= last
    return {
        "expected": expected,
        "there": status["expected_night_published"],
        "coming": None if over or expected is None else expected + timedelta(days=1),
        "over": over,
    }


def description_of(places: Places, job: str) -> str:
    """Return what the job is for, as its file said last."""
    statuses = overview.statuses(places.warehouse, [job])
    return str(statuses[0]["description"]) if statuses else ""
