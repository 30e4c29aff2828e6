"""A preview of one night: what its columns hold, and which rows would go to quarantine and why. Nothing is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.checks.rows import likely_nights
from scoring.errors import NightshiftError
from scoring.interval import DataInterval
from scoring.job import HIDDEN_VALUE, Job
from scoring.night import champion_version
from scoring.rows import ARROW_TYPES, counted, read_as
from scoring.stores import Workspace, feature_batches, masked_rows

EXAMPLES = 10
"""Rows of the quarantine that are shown."""
LEVELS = 5
"""Levels of a column that are shown, the most frequent ones."""
COUNTED_LEVELS = 1_000
"""Different levels of a column that are counted, the first ones."""


@dataclass
class ColumnPreview:
    """What a column of a night holds, as the contract reads it."""

    name: str
    type: str
    rows: int = 0
    nulls: int = 0
    unreadable: int = 0
    """Values that cannot be read as the type."""
    low: Any = None
    high: Any = None
    levels: Counter[str] = field(default_factory=Counter)
    more: bool = False
    """Whether there are more levels than are counted."""
    hidden: bool = False
    """Whether no value of it may be shown."""

    def add(self, column: pa.Array, zone: str) -> None:
        """Count a batch of the column."""
        values, unreadable = read_as(column, ARROW_TYPES[self.type], self.name, zone)
        bad = pc.sum(unreadable).as_py() or 0
        self.rows += len(column)
        self.unreadable += bad
        self.nulls += values.null_count - bad
        if self.hidden:
            return
        if self.type in ("category", "string", "bool"):
            self._add_levels(counted(pc.cast(values, pa.string())))
            return
        ends = pc.min_max(values).as_py()
        self.low = min((end for end in (self.low, ends["min"]) if end is not None), default=None)
        self.high = max((end for end in (self.high, ends["max"]) if end is not None), default=None)

    def _add_levels(self, counts: dict[str, int]) -> None:
        for level, count in counts.items():
            if level in self.levels or len(self.levels) < COUNTED_LEVELS:
                self.levels[level] += count
            else:
                self.more = True

    @property
    def most_frequent(self) -> dict[str, int]:
        """Return the levels that come most, with their rows."""
        return dict(self.levels.most_common(LEVELS))


@dataclass(frozen=True)
class Preview:
    """What a night would be, as far as it was read."""

    night: date
    rows: int
    at_most: int
    columns: list[ColumnPreview]
    quarantined: int
    reasons: dict[str, int]
    examples: list[dict[str, str | None]]
    """Rows of the quarantine, reasons first, sensitive values hidden."""
    blind: list[str]
    """Columns whose unknown levels would be quarantined, which only a champion's training can tell."""

    @property
    def whole(self) -> bool:
        """Return whether all rows of the night were read."""
        return self.rows < self.at_most


def preview_night(work: Workspace, rows: int, night: date | None = None) -> Preview:
    """Return the preview of a night, of at most ``rows`` rows. Default: the last one that has some."""
    previews = (_preview(work, rows, day) for day in ([night] if night else likely_nights(work)))
    last = next(previews)
    while last.rows == 0 and (other := next(previews, None)) is not None:
        last = other
    return last


def _preview(work: Workspace, at_most: int, night: date) -> Preview:
    job = work.job
    interval = DataInterval.of_night(night, job.schedule.timezone)
    categories, unused, blind = _champion(work, night)
    columns = list(_columns(job))
    reasons: Counter[str] = Counter()
    examples: list[dict[str, str | None]] = []
    rows = quarantined = 0
    with feature_batches(work, interval, categories, at_most, unused=unused) as batches:
        for batch, part in batches:
            rows += batch.num_rows
            quarantined += part.quarantined.num_rows
            reasons.update(part.reasons)
            examples += masked_rows(part.quarantined.slice(0, EXAMPLES - len(examples)), job)
            for column in columns:
                column.add(batch.column(column.name), job.source_timezone)
    return Preview(night, rows, at_most, columns, quarantined, dict(reasons.most_common()), examples, blind)


def _columns(job: Job) -> Iterator[ColumnPreview]:
    for name in job.columns:
        kind: str = job.features[name].type if name in job.features else job.key[name]
        yield ColumnPreview(name, kind, hidden=name in job.sensitive)


def _champion(work: Workspace, night: date) -> tuple[dict[str, list[str]] | None, list[str], list[str]]:
    """Return the categories of the night's champion, the features that it does not use, and the columns it tells nothing of.

    These are the ones whose unknown levels would be quarantined.
    """
    names = [name for name, feature in work.job.features.items() if feature.unknown == "quarantine"]
    try:
        ref = work.registry.resolve(work.job.name, champion_version(work, night))
        return work.registry.categories(ref) if names else None, work.registry.unused(ref, work.job), []
    except NightshiftError:  # no version yet, or no tables: nothing tells which levels are unknown
        return None, [], names


def shown(preview: ColumnPreview) -> str:
    """Return the range or the most frequent levels of a column, for people."""
    if preview.hidden:
        return HIDDEN_VALUE
    if preview.levels:
        others = len(preview.levels) - LEVELS
        listed = ", ".join(f"{level!r} {count:,}" for level, count in preview.most_frequent.items())
        return listed + (f" and {'at least ' if preview.more else ''}{others:,} more" if others > 0 else "")
    return "" if preview.low is None else f"{_text(preview.low)} to {_text(preview.high)}"


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
