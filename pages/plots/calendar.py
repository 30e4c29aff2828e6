"""Nights → months as grids of weeks, each night with its state as a word, a letter and a style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from scoring.interval import Nights
from scoring.stores.warehouse import TriedNight

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


@dataclass(frozen=True)
class State:
    """What became of a night: its style, the sign that stands for it, and what it means."""

    name: str
    sign: str
    words: str


STATES = {
    state.name: state
    for state in (
        State("ok", "✓", "published, drift verdict ok"),
        State("warn", "!", "published, drift verdict warn: something is unusual"),
        State("alert", "A", "published, drift verdict alert: a fault, a gross change, or one that lasts"),
        State("unjudged", "?", "published, no drift verdict yet"),
        State("held", "H", "held: the publish gate refused the night, nothing of it is shown to analysts"),
        State("failed", "F", "failed: no attempt was published"),
        State("running", "…", "running"),
        State("skipped", "S", "skipped: the source had no rows, as the job allows"),
        State("discarded", "D", "discarded by an operator"),
        State("unpublished", "U", "unpublished: an operator took the publication back"),
        State("missing", "–", "missing: never run"),
    )
}


@dataclass(frozen=True)
class Cell:
    """One night in the grid."""

    night: date
    state: State
    version: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Month:
    """One month: weeks from Monday to Sunday, None for days outside it or outside the schedule."""

    name: str
    weeks: list[list[Cell | date | None]]
    missing: int


def state_of(status: str, verdict: str | None) -> State:
    """Return the state of a night's run: its verdict once it is published."""
    if status in ("published", "superseded"):
        return STATES[verdict or "unjudged"]
    return STATES.get("failed" if status == "abandoned" else status, STATES["failed"])


def months(rows: Sequence[TriedNight], nights: Nights) -> list[Month]:
    """Return the months that hold a night of ``rows``. Other nights of ``nights`` are missing there."""
    by_night = {row.night: row for row in rows}
    names = sorted({(night.year, night.month) for night in by_night})
    return [_month(year, month, by_night, nights) for year, month in names]


def _month(year: int, month: int, by_night: Mapping[date, TriedNight], nights: Nights) -> Month:
    begin = date(year, month, 1)
    day = begin - timedelta(days=begin.weekday())
    weeks: list[list[Cell | date | None]] = []
    while (day.year, day.month) <= (year, month):
        week = [day + timedelta(days=number) for number in range(7)]
        weeks.append([_cell(weekday, by_night, nights) if weekday.month == month else None for weekday in week])
        day += timedelta(days=7)
    missing = sum(isinstance(cell, Cell) and cell.state.name == "missing" for week in weeks for cell in week)
    return Month(f"{_MONTHS[month - 1]} {year}", weeks, missing)


def _cell(night: date, by_night: Mapping[date, TriedNight], nights: Nights) -> Cell | date:
    row = by_night.get(night)
    if row is None:
        return Cell(night, STATES["missing"]) if night in nights else night
    newest = row.newest_status
    notes = ["provisional: scored before the night was over"] if row.provisional else []
    if newest not in (row.status, "published", "superseded"):
        notes.append(f"newest attempt: {newest}")
    return Cell(night, state_of(row.status, row.verdict), row.model_version, "; ".join(notes))
