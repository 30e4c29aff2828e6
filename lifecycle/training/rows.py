"""The rows a version is trained on: everything that passed the contract, with its night and, where known, its label."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from scoring.interval import Nights
from scoring.job import Job
from scoring.progress import Progress, silent
from scoring.rows import Contract, require_positive
from scoring.stores import LABEL_COLUMN, Workspace, feature_batches, labels_of, nights_of

NIGHT = "nightshift_night"


@dataclass(frozen=True)
class Rows:
    """The rows of a window in key order, with ``NIGHT`` and ``LABEL_COLUMN`` as last columns, and what was quarantined."""

    table: pa.Table
    extracted: int
    reasons: dict[str, int] = field(default_factory=dict)
    unreadable_labels: int = 0
    """Rows of ``labels.sql`` that were left out, as their key cannot be read."""

    def to_fit(self, job: Job) -> pa.Table:
        """Return the rows that a pipeline is fitted on: those with an outcome, or all for a job without a label."""
        return self.labelled if job.has_labels else self.table

    @property
    def labelled(self) -> pa.Table:
        """Return the rows whose outcome is known."""
        return self.table.filter(pc.is_valid(self.table.column(LABEL_COLUMN)))


def read_rows(work: Workspace, window: Nights, progress: Progress = silent) -> Rows:
    """Return the window's rows that passed the contract.

    Keys are unique within a night. Without a time column nothing in them says which, so such a job is read night by
    night, each exactly as it would be scored, and the nights follow one another. So is SQL that binds ``:night``.
    """
    by_night = work.job.time_column is None or work.stores.by_night(work.job, work.stores.features_query(work.job))
    ranges = nights_of(window, work.job) if by_night else [window]
    outcomes: Counter[str] = Counter()
    parts = [_read(work, nights, progress, outcomes) for nights in ranges]
    if work.job.task.has_positive and work.job.has_labels:
        require_positive(dict(outcomes.most_common()), work.job, work.stores.labels_query(work.job).name)
    reasons = sum((Counter(part.reasons) for part in parts), Counter[str]())
    extracted, unreadable = (sum(getattr(part, name) for part in parts) for name in ("extracted", "unreadable_labels"))
    return Rows(pa.concat_tables([part.table for part in parts]), extracted, dict(reasons), unreadable)


def labelled_rows(work: Workspace, window: Nights, progress: Progress = silent) -> pa.Table:
    """Return the window's rows that passed the contract and have a label, in key order, label last."""
    return read_rows(work, window, progress).labelled.drop_columns([NIGHT])


def _read(work: Workspace, nights: Nights, progress: Progress, outcomes: Counter[str]) -> Rows:
    """Return the rows of the nights, and count their outcomes in ``outcomes``."""
    interval = nights.interval(work.job.schedule.timezone)
    accepted = [Contract(work.job, interval).schema.empty_table()]
    reasons: Counter[str] = Counter()
    extracted = 0
    with feature_batches(work, interval) as batches:
        for batch, part in batches:
            progress("read", part.accepted.num_rows)
            accepted.append(pa.Table.from_batches([part.accepted]))
            reasons.update(part.reasons)
            extracted += batch.num_rows
    rows = pa.concat_tables(accepted)
    rows = rows.append_column(NIGHT, _nights(rows, work.job, nights.first))
    labels = labels_of(work, nights)
    outcomes.update(labels.outcomes)
    joined = rows.join(labels.table, keys=list(work.job.key), join_type="left outer")
    ordered = joined.sort_by([(name, "ascending") for name in work.job.key])
    return Rows(ordered, extracted, dict(reasons), labels.unreadable_keys)


def _nights(rows: pa.Table, job: Job, first: date) -> pa.ChunkedArray | pa.Array:
    """Return the night of each row, a date in the job's timezone."""
    if job.time_column is None:
        return pa.repeat(pa.scalar(first, pa.date32()), rows.num_rows)
    local = pc.local_timestamp(pc.cast(rows.column(job.time_column), pa.timestamp("us", job.schedule.timezone)))
    return pc.cast(local, pa.date32())
