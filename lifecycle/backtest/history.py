"""A job's nights in memory, in order, and what was known of them at the end of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.training import NIGHT, read_rows, recipe_of, training_window
from scoring.errors import TrainingDataError
from scoring.interval import DAY, Nights
from scoring.job import Job
from scoring.progress import Progress, silent
from scoring.rows import RowsDigest
from scoring.stores import LABEL_COLUMN, Workspace


@dataclass(frozen=True)
class Version:
    """A version by the places of the nights it was trained on, half-open, and how many of the last were its holdout."""

    since: int
    until: int
    holdout: int = 0


@dataclass
class History:
    """The rows of nights that follow one another. A night is named by its place among ``days``."""

    job: Job
    days: list[date]
    rows: pa.Table = field(repr=False)
    """All rows that passed the contract, with ``NIGHT`` and ``LABEL_COLUMN``."""
    first: int
    """Place of the first night that is lived. Those before it are there to be trained on."""
    name: str = ""

    def __post_init__(self) -> None:
        nights = self.rows.column(NIGHT).to_numpy().astype("datetime64[D]")
        if np.any(nights[1:] < nights[:-1]):
            self.rows = self.rows.take(pa.array(np.argsort(nights, kind="stable")))
        self.rows = self.rows.combine_chunks()
        self.labelled = self.rows.filter(pc.is_valid(self.rows.column(LABEL_COLUMN))).combine_chunks()
        self._starts, self._labelled_starts = self._edges(self.rows), self._edges(self.labelled)

    def _edges(self, table: pa.Table) -> np.ndarray:
        nights = table.column(NIGHT).to_numpy().astype("datetime64[D]")
        return np.searchsorted(nights, np.array([*self.days, self.days[-1] + DAY], dtype="datetime64[D]"))

    def __len__(self) -> int:
        return len(self.days)

    @cached_property
    def segments(self) -> list[tuple[str, Any]]:
        """Return every value of the columns that the gate compares one by one."""
        return [
            (name, value)
            for name in self.job.promotion.segments
            for value in pc.unique(self.labelled.column(name)).to_pylist()
        ]

    @property
    def horizon(self) -> int:
        """Return the days that an outcome looks at, so many nights lie between nights fitted on and those that judge."""
        return self.job.label.horizon

    def part(self, since: int, until: int, labelled: bool = True) -> pa.Table:
        """Return the rows of some nights, those with an outcome unless asked otherwise."""
        table, starts = (self.labelled, self._labelled_starts) if labelled else (self.rows, self._starts)
        return table.slice(starts[since], starts[until] - starts[since])

    def night_of(self, since: int, until: int) -> np.ndarray:
        """Return the place of the night of each labelled row of some nights, shape (rows,)."""
        return np.repeat(np.arange(since, until), np.diff(self._labelled_starts[since : until + 1]))

    def day(self, place: int) -> date:
        """Return the night at a place, also of one before or after all of them."""
        return self.days[0] + timedelta(days=place)

    def known(self, night: int) -> int:
        """Return the place before which all labels are known at the end of a night."""
        return max(night + 1 - self.job.label.delay_days, 0)

    def version(self, until: int, holdout: int) -> Version:
        """Return what a training by the job's policy makes that knows the outcomes of the nights before ``until``."""
        window = training_window(self.job, self.day(until - 1 + self.job.label.delay_days))
        return Version(max((window.first - self.days[0]).days, 0), until, holdout)

    @cached_property
    def digest(self) -> str:
        """Return a hash of the rows and of the recipe that versions are made of them by."""
        rows = RowsDigest()
        for batch in self.rows.to_batches():
            rows.add(batch)
        policy = self.job.training
        parts = [recipe_of(self.job), rows.hexdigest(), str(self.days[0]), str(self.days[-1])]
        parts += [policy.window, *self.job.promotion.segments, self.job.kind]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def read_history(work: Workspace, nights: Nights, progress: Progress = silent) -> History:
    """Return the rows of ``nights`` and of those that their first champion is trained on, read by the job's own SQL.

    Features and labels are taken as the source has them now. Raises ``TrainingDataError`` when there is nothing to train on.
    """
    window = training_window(work.job, nights.first - DAY)
    read = Nights(min(window.first, nights.first), nights.until)
    progress("read", 0)
    rows = read_rows(work, read, progress)
    known = rows.labelled.column(NIGHT)
    if not window or not pc.any(pc.less(known, pa.scalar(window.until, pa.date32()))).as_py():
        raise TrainingDataError(
            f"first champion of a backtest of {work.job.name} from {nights.first} on",
            found=f"no outcome of a night before {max(window.until, window.first)}",
            expected=f"nights from {window.first} on whose labels were known when {nights.first} began",
            next_step="begin later, with --from",
        )
    return History(work.job, list(read), rows.table, (nights.first - read.first).days, work.job.name)
