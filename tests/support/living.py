"""Nights of the toy job lived through: scored, judged, measured and decided one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta

import pandas as pd

from drift.decide import conclude
from drift.measure import measure
from drift.runs import published_run
from drift.watch import watch
from scoring.interval import Nights
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.stores.warehouse import ColumnVerdict, Decided, NightVerdict, Run, monitoring
from scoring.stores.warehouse.span import Span
from tests.conftest import Toy
from tests.support.toy import NIGHT, add, events, execute

DAY = timedelta(days=1)


def nights(count: int, first: date = NIGHT) -> list[date]:
    return [first + n * DAY for n in range(count)]


def add_nights(
    toy: Toy, days: Iterable[date], change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows
) -> None:
    """Put events of nights into the source in place of those that are there, changed."""
    listed = list(days)
    gone = " or ".join(f"(at >= '{day}' and at < '{day + DAY}')" for day in listed)
    execute(toy.source, f"delete from events where {gone}")
    add(toy.source, pd.concat([change(events(day)) for day in listed]))


def score(toy: Toy, night: date, origin: str = "cli") -> str:
    """Score and publish a night; return the run's id."""
    return run_night(toy.work, NightRequest(night, toy.stores.clock(), origin)).run_id


def live(toy: Toy, days: Iterable[date], origin: str = "cli") -> list[Decided]:
    """Score, judge, measure and decide each night in turn; return the decisions."""
    found = []
    for day in days:
        run_id = score(toy, day, origin)
        watch(toy.work, run_id)
        measure(toy.work, day)
        found.append(conclude(toy.work, run_id))
    return found


def judged(toy: Toy, night: date) -> NightVerdict:
    """Return the verdict on record of a night."""
    (row,) = monitoring.drift(toy.stores.warehouse, Span(toy.job.name, Nights.of(night)))
    return row


def columns(toy: Toy, night: date) -> dict[str, ColumnVerdict]:
    """Return the column results on record of a night, by column."""
    rows = monitoring.columns_of(toy.stores.warehouse, [judged(toy, night).run_id])
    return {row.column_name: row for row in rows}


def shown_run(toy: Toy, night: date) -> Run:
    return published_run(toy.work, night)
