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


QUALITY = {
    "ok": State("ok", "", "measured performance ok"),
    "warn": State("warn", "P", "measured performance warn: worse than on the holdout"),
    "alert": State(
        "alert", "P", "measured performance alert: much worse than on the holdout, than a constant, or since a break"
    ),
}
"""What the verdict on a night's measured performance adds to its cell: a bar, and a letter where somebody should look."""


@dataclass(frozen=True)
class Cell:
    """One night in the grid."""

    night: date
    state: State
    version: int | None = None
    note: str = ""
    quality: State | None = None
    """The verdict on its measured performance, or None where there is none."""

    @property
    def style(self) -> str:
        """Return the styles of the cell."""
        return self.state.name if self.quality is None else f"{self.state.name} quality-{self.quality.name}"

    @property
    def signs(self) -> str:
        """Return the letters that stand for the night's verdicts."""
        return self.state.sign if self.quality is None else f"{self.state.sign} {self.quality.sign}".strip()

    @property
    def label(self) -> str:
        """Return the night's verdicts in a few words."""
        return self.state.name if self.quality is None else f"{self.state.name}, performance {self.quality.name}"


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


def months(rows: Sequence[TriedNight], nights: Nights, quality: Mapping[date, str | None]) -> list[Month]:
    """Return the months that hold a night of ``rows``. Other nights of ``nights`` are missing there.

    ``quality`` has the verdicts on the performance of nights that were measured.
    """
    by_night = {row.night: _cell(row, quality.get(row.night)) for row in rows}
    names = sorted({(night.year, night.month) for night in by_night})
    return [_month(year, month, by_night, nights) for year, month in names]


def _month(year: int, month: int, by_night: Mapping[date, Cell], nights: Nights) -> Month:
    begin = date(year, month, 1)
    day = begin - timedelta(days=begin.weekday())
    weeks: list[list[Cell | date | None]] = []
    while (day.year, day.month) <= (year, month):
        week = [day + timedelta(days=number) for number in range(7)]
        weeks.append([_shown(weekday, by_night, nights) if weekday.month == month else None for weekday in week])
        day += timedelta(days=7)
    missing = sum(isinstance(cell, Cell) and cell.state.name == "missing" for week in weeks for cell in week)
    return Month(f"{_MONTHS[month - 1]} {year}", weeks, missing)


def _shown(night: date, by_night: Mapping[date, Cell], nights: Nights) -> Cell | date:
    return by_night.get(night) or (Cell(night, STATES["missing"]) if night in nights else night)


def _cell(row: TriedNight, verdict: str | None) -> Cell:
    newest = row.newest_status
    notes = ["provisional: scored before the night was over"] if row.provisional else []
    if newest not in (row.status, "published", "superseded"):
        notes.append(f"newest attempt: {newest}")
    quality = QUALITY.get(verdict or "")
    notes += [quality.words] if quality else []
    return Cell(row.night, state_of(row.status, row.verdict), row.model_version, "; ".join(notes), quality)
