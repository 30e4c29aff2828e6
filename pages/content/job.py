"""The page of a job: its nights, plots, decisions, versions."""

from __future__ import annotations

from datetime import date

from pages.content.metric import metrics_of
from pages.content.overview import is_retired, overview_card
from pages.content.places import Places, View
from pages.content.retrainings import SHADOWS_SHOWN, job_retrainings, shadow_views
from pages.plots import months, performance_plot, score_plot
from scoring.interval import ALL_NIGHTS, Nights
from scoring.stores.warehouse import Promotion, Row, Span, TriedNight, monitoring, overview, promotions

YEAR = 366
DECISIONS_SHOWN = 20


def job_page(places: Places, job: str, until: date | None) -> View | None:
    """Return what is known of a job's nights of a year up to ``until``, or None for a job that was never used."""
    status = next(iter(overview.statuses(places.warehouse, [job])), None)
    if status is None:
        return None
    newest = overview.neighbours(places.warehouse, job, date.max)[0]
    last = until or newest
    span = Span(job, Nights.up_to(last, YEAR) if last else ALL_NIGHTS)
    rows = overview.nights(places.warehouse, span)
    measured = overview.measured(places.warehouse, span)
    decided = monitoring.decisions(places.warehouse, span)
    history = promotions.history_of(places.warehouse, job)
    quality = {row.night: row.verdict for row in measured}
    grid = months(rows, Nights.including(_counted_from(rows, history) or last, last), quality) if last else []
    earlier = overview.neighbours(places.warehouse, job, span.nights.first)[0] if last else None
    later = overview.neighbours(places.warehouse, job, last)[1] if last else None
    file = places.job(job)
    stays = shadow_views(places.warehouse, job, file)
    return {
        **overview_card(places, status),
        "rows": rows,
        "months": grid,
        "missing": sum(month.missing for month in grid),
        "later_missing": _later_missing(places, status, newest) if newest and not later else 0,
        "until": until,
        "last": last,
        "earlier": earlier,
        "later": later,
        "quality": performance_plot(measured, decided),
        "score": score_plot(rows),
        "measured": measured[::-1],
        "metrics_of": metrics_of,
        "decisions": decided[::-1][:DECISIONS_SHOWN],
        "decided": len(decided),
        "promotions": history[::-1],
        "file": file,
        **job_retrainings(places.warehouse, job),
        "shadows": stays[:SHADOWS_SHOWN],
        "shadowed": len(stays),
    }


def _later_missing(places: Places, status: Row, newest: date) -> int:
    """Return how many nights after the newest are expected and not there. Of a retired job no night is expected."""
    return 0 if is_retired(places, status) else (status["expected_night"] - newest).days


def _counted_from(rows: list[TriedNight], history: list[Promotion]) -> date | None:
    """Return the first night that counts as missing when it is not there: one with a champion, or ever tried."""
    return min([*(row.night for row in rows[:1]), *(promotion.effective_from for promotion in history)], default=None)
