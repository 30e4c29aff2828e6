"""The nights of a new job: its first one, how many train and judge, and the dates of the first commands."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.drafting.request import DraftRequest
from lifecycle.drafting.times import Days, TimeColumn
from scoring.stores.source import SourceTable

DAY = timedelta(days=1)
OLD = timedelta(days=30)
"""How long ago the last row is from when a table gets no new rows any more."""
ENOUGH_ROWS = 50_000
"""Rows that a window should have, if the table has them within ``LONGEST`` nights."""
SHORTEST, LONGEST = 90, 730
"""Nights of a training window."""
SCORED = 7
"""Nights with outcomes that are kept back to be scored first, so that there is a performance to look at."""
TREES, TREES_OF_HISTORY = 150, 60
LARGEST_LEAF = 1 / 20
"""Share of the rows that a leaf of a history has at most, so that a split stays possible."""
LEAST_ROWS = 100
"""The usual ``training.min_rows``."""


@dataclass(frozen=True)
class Calendar:
    """The nights of a new job, and the dates of its first commands."""

    first_night: date
    last_night: date | None
    delay_days: int
    delay_reason: str
    window_days: int
    holdout_nights: int
    min_rows: int
    skips_empty: bool
    since: date | None
    """First night to train on, where it is not the usual window."""
    until: date
    """First night that is not trained on: the first to be scored."""
    last_scored: date
    """Last night to be scored first."""
    measured: date
    """A night at whose end the outcomes of all of these are known."""
    days: Days
    trained_rows: float = 0
    """Rows that there are to train on, about."""
    enough: bool = True
    """Whether there are nights to train on before ``until``."""
    nights_of_entity: int = 1
    """Rows that an entity has among them: more than one in a history, on as many nights."""

    @property
    def leaf_rows(self) -> int:
        """Return the rows of a leaf of the model's trees: the more, the more there are to train on."""
        return _leaf(self.trained_rows, self.nights_of_entity)

    @property
    def trees(self) -> int:
        """Return how many trees the model has: fewer where entities come again, for it could learn them by heart."""
        return TREES if self.nights_of_entity == 1 else TREES_OF_HISTORY

    def of_entities(self, entities: pa.Table, nights: pa.Array) -> Calendar:
        """Return the calendar of a history, with the entity and the night of every row of the sample."""
        until = self.until - self.delay_days * DAY
        rows = entities.append_column("", nights)
        night = rows.column("")
        inside = pc.and_(pc.less(night, until), pc.greater_equal(night, until - self.window_days * DAY))
        rows = rows.filter(inside)
        if not rows.num_rows:
            return self
        counts = rows.group_by(entities.column_names).aggregate([([], "count_all")]).column("count_all")
        trained = max(self.trained_rows, rows.num_rows)
        of_entity = float(np.median(counts.to_numpy())) * trained / rows.num_rows  # the sample may have few of them
        most = min(self.window_days, (until - self.days.first).days)
        return replace(self, trained_rows=trained, nights_of_entity=max(1, min(most, round(of_entity))))


def calendar_of(
    table: SourceTable, request: DraftRequest, time: TimeColumn | None, days: Days, today: date, *, repeats: bool
) -> Calendar:
    """Return the nights of a job on a table. ``repeats`` says that every night holds the same rows."""
    delay, reason = _delay(request, days, repeats)
    labelled = days.last_labelled or days.last
    if repeats:
        return _of_one_night(table, time, days, today, (delay, reason))
    nights = (labelled - days.first).days + 1
    holdout = 14 if nights >= 60 else 7 if nights >= 21 else max(2, min(6, nights // 4))
    back = max(1, min(SCORED, nights // 6))
    until = labelled - (back - 1) * DAY
    trained = (until - days.first).days - delay
    if trained < holdout + 2:
        back, holdout = 1, max(2, min(holdout, trained // 3))
        until = labelled
        trained = (until - days.first).days - delay
    per_night = (table.estimate or 0) / max((days.last - days.first).days + 1, 1)
    window = SHORTEST if not per_night else min(LONGEST, max(SHORTEST, math.ceil(ENOUGH_ROWS / per_night)))
    window = min(window, max(SHORTEST, nights))
    expected = per_night * min(trained, window) if table.whole else LEAST_ROWS * 2
    return Calendar(
        days.first,
        days.last if days.last < today - OLD else None,
        delay,
        reason,
        window,
        holdout,
        max(10, min(LEAST_ROWS, int(expected / 2))),
        _has_gaps(table, time, days),
        None,
        until,
        labelled,
        max(until, min(labelled + delay * DAY, today - DAY)),
        days,
        per_night * min(trained, window),
        trained >= 1,
    )


def _of_one_night(
    table: SourceTable, time: TimeColumn | None, days: Days, today: date, delay: tuple[int, str]
) -> Calendar:
    """Return the nights where one night holds all that there is to train on: the one before the first to be scored."""
    scored = min(days.last, today - DAY)
    since = scored - (delay[0] + 1) * DAY
    first = since if time is None else min(days.first, since)
    last = days.last if time is not None and days.last < today - OLD else None
    measured = max(scored, min(scored + delay[0] * DAY, today - DAY))
    rows = table.estimate or 0
    return Calendar(first, last, *delay, 1, 14, LEAST_ROWS, False, since, scored, scored, measured, days, rows)


def _leaf(rows: float, nights: int) -> int:
    """Return the rows that a leaf must have: between 20 and 100, each with all ``nights`` of its entity if it can.

    >>> _leaf(900, 1), _leaf(10_000, 1), _leaf(1_000_000, 1)
    (20, 50, 100)
    >>> _leaf(900, 30), _leaf(10_000, 30), _leaf(1_000_000, 30)
    (45, 500, 3000)
    """
    least = min(100, max(20, rows / 200))
    return round(max(least, min(least * nights, rows * LARGEST_LEAF)))


def _delay(request: DraftRequest, days: Days, repeats: bool) -> tuple[int, str]:
    """Return ``label.delay_days``, and why."""
    least = request.horizon_days or 0
    if request.delay_days is not None:
        return request.delay_days, "given"
    if repeats:
        return least, "the outcome stands in the row, once it is known"
    lag = (days.last - days.last_labelled).days if days.last_labelled else 0
    if lag > max(1, least):
        return lag, f"the newest outcome is {lag} days older than the newest row"
    return max(1, least), "days until an outcome can be trusted; one is usual"


def _has_gaps(table: SourceTable, time: TimeColumn | None, days: Days) -> bool:
    """Return whether a small table has days without rows. Of a large one the sample does not say."""
    if time is None or not table.whole:
        return False
    different = {(value.date() if hasattr(value, "date") else value) for value in time.values.drop_null().to_pylist()}
    return len(different) < (days.last - days.first).days + 1
