"""The page of a column: its distance night by night."""

from __future__ import annotations

from drift.verdict import MEANINGS, UNUSUAL, WORDS, smallest_shift
from pages.content.job import YEAR
from pages.content.overview import description_of
from pages.content.places import Places, View
from pages.plots import column_plots
from scoring.stores.warehouse import Span, overview


def column_page(places: Places, job: str, column: str) -> View | None:
    """Return a column's distances over the newest 366 judged nights, or None for a column that there is not."""
    rows = overview.column_history(places.warehouse, Span(job), column, YEAR)
    file = places.job(job)
    declared = file is not None and column in file.features
    if not rows and not declared:
        return None
    feature = file.features.get(column) if file is not None else None
    return {
        "job": job,
        "column": column,
        "rows": rows[::-1],
        "plots": column_plots(rows),
        "words": WORDS,
        "meanings": MEANINGS,
        "feature": feature,
        "description": description_of(places, job),
        "smallest": smallest_shift(rows[-1].signals) if rows else None,
        "unusual": sum(row.status in UNUSUAL for row in rows),
    }
