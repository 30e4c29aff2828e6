"""The rows a version is trained on: everything that passed the contract, with its night and, where known, its label."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from scoring.casting import ARROW_TYPES, read_as
from scoring.contract import Contract, require_columns
from scoring.errors import TrainingDataError
from scoring.interval import DataInterval, nights_in
from scoring.job import Job
from scoring.score import outcome_type
from scoring.source import Query, stream
from scoring.stores import Progress, Stores, contracted, silent

LABEL = "nightshift_label"
NIGHT = "nightshift_night"


@dataclass(frozen=True)
class Rows:
    """The rows of a window in key order, with ``NIGHT`` and ``LABEL`` as last columns, and what was quarantined."""

    table: pa.Table
    extracted: int
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def labelled(self) -> pa.Table:
        """Return the rows whose outcome is known."""
        return self.table.filter(pc.is_valid(self.table.column(LABEL)))


def read_rows(stores: Stores, job: Job, window: tuple[date, date], progress: Progress = silent) -> Rows:
    """Return the window's rows that passed the contract; ``window`` is (since, until), half-open.

    Keys are unique within a night. Without a time column nothing in them says which, so such a job is read night by
    night, each exactly as it would be scored, and the nights follow one another. So is SQL that binds ``:night``.
    """
    by_night = job.time_column is None or stores.by_night(job, stores.features_query(job))
    spans = _nights_of(window, job) if by_night else [window]
    parts = [_read(stores, job, span, progress) for span in spans]
    reasons = sum((Counter(part.reasons) for part in parts), Counter[str]())
    return Rows(pa.concat_tables([part.table for part in parts]), sum(part.extracted for part in parts), dict(reasons))


def labelled_rows(stores: Stores, job: Job, window: tuple[date, date], progress: Progress = silent) -> pa.Table:
    """Return the window's rows that passed the contract and have a label, in key order, label last."""
    return read_rows(stores, job, window, progress).labelled.drop_columns([NIGHT])


def _nights_of(window: tuple[date, date], job: Job) -> list[tuple[date, date]]:
    """Return each night of a window as a window of its own; days that the timezone leaves out are left out."""
    nights = nights_in(window[0], window[1] - timedelta(days=1), job.schedule.timezone)
    return [(night, night + timedelta(days=1)) for night in nights] or [window]


def _read(stores: Stores, job: Job, span: tuple[date, date], progress: Progress) -> Rows:
    interval = DataInterval.of_nights(*span, job.schedule.timezone)
    accepted = [Contract(job, interval).schema.empty_table()]
    reasons: Counter[str] = Counter()
    extracted = 0
    with contracted(stores, job, interval) as batches:
        for found, part in batches:
            progress("read", part.accepted.num_rows)
            accepted.append(pa.Table.from_batches([part.accepted]))
            reasons.update(part.reasons)
            extracted += found.num_rows
    rows = pa.concat_tables(accepted)
    rows = rows.append_column(NIGHT, _nights(rows, job, span[0]))
    joined = rows.join(read_labels(stores, job, span), keys=list(job.key), join_type="left outer")
    return Rows(joined.sort_by([(name, "ascending") for name in job.key]), extracted, dict(reasons))


def _nights(rows: pa.Table, job: Job, first: date) -> pa.ChunkedArray | pa.Array:
    """Return the night of each row, a date in the job's timezone."""
    if job.time_column is None:
        return pa.repeat(pa.scalar(first, pa.date32()), rows.num_rows)
    local = pc.local_timestamp(pc.cast(rows.column(job.time_column), pa.timestamp("us", job.schedule.timezone)))
    return pc.cast(local, pa.date32())


def read_labels(stores: Stores, job: Job, span: tuple[date, date]) -> pa.Table:
    """Return key and label of every row of the nights in ``span`` (half-open) whose outcome is known.

    Raises ``TrainingDataError`` on duplicate keys and on values that are not of the declared type.
    """
    query = stores.labels_query(job)
    kind = outcome_type(job)
    schema = pa.schema([*((name, ARROW_TYPES[key]) for name, key in job.key.items()), (LABEL, kind)])
    parts = [schema.empty_table()]
    for each in _nights_of(span, job) if stores.by_night(job, query) else [span]:
        interval = DataInterval.of_nights(*each, job.schedule.timezone)
        with stream(stores.source_url(job), query, interval, job.chunk_rows) as batches:
            for batch in batches:
                require_columns(query.name, query.columns, batch.schema.names)
                columns = [_declared(batch.column(name), schema.field(name).type, query, name) for name in job.key]
                columns.append(_declared(batch.column(job.label.column), kind, query, job.label.column))
                parts.append(pa.Table.from_arrays(columns, schema=schema))
    table = pa.concat_tables(parts)
    unique = table.group_by(list(job.key)).aggregate([]).num_rows
    if unique != table.num_rows:
        raise TrainingDataError(
            query.name, found=f"{table.num_rows - unique} rows with a key that is there already", expected="unique keys"
        )
    known = pc.is_finite(table.column(LABEL)) if job.task == "regression" else pc.is_valid(table.column(LABEL))
    return table.filter(known)


def _declared(column: pa.Array, kind: pa.DataType, query: Query, name: str) -> pa.Array:
    """Return the column as the contract reads it; no value may be unreadable."""
    values, unreadable = read_as(column, kind, name, query.timezone)
    bad = pc.sum(unreadable).as_py() or 0
    if bad:
        first = column.filter(unreadable)[0].as_py()
        raise TrainingDataError(
            f"{query.name}: column {name}", found=f"{bad} values such as {first!r}", expected=f"values of type {kind}"
        )
    return values
