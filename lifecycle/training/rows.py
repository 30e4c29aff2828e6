"""The rows a version is trained on: everything that passed the contract, with its night and, where known, its label."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.errors import TrainingDataError
from scoring.interval import DataInterval, nights_in
from scoring.job.definition import Job
from scoring.rows.casting import ARROW_TYPES, read_as
from scoring.rows.contract import Contract, require_columns
from scoring.rows.outcome_values import counted, meanings, outcome_text, require_positive
from scoring.rows.prediction import outcome_type
from scoring.stores.installation import Progress, Stores, contracted, silent
from scoring.stores.source.stream import Query, stream

LABEL = "nightshift_label"
NIGHT = "nightshift_night"
_UNREADABLE = "nightshift_unreadable"


@dataclass(frozen=True)
class Rows:
    """The rows of a window in key order, with ``NIGHT`` and ``LABEL`` as last columns, and what was quarantined."""

    table: pa.Table
    extracted: int
    reasons: dict[str, int] = field(default_factory=dict)
    unreadable_labels: int = 0
    """Rows of ``labels.sql`` that were left out, as their key cannot be read."""

    @property
    def labelled(self) -> pa.Table:
        """Return the rows whose outcome is known."""
        return self.table.filter(pc.is_valid(self.table.column(LABEL)))


@dataclass(frozen=True)
class Labels:
    """Key and outcome of the rows whose outcome is known, and what else ``labels.sql`` gave."""

    table: pa.Table
    without_outcome: int
    """Rows whose outcome is null."""
    unreadable_keys: int
    """Rows that were left out, as their key cannot be read or is null."""
    outcomes: dict[str, int]
    """Rows by outcome as the source gives it, in binary and multiclass jobs."""


def read_rows(stores: Stores, job: Job, window: tuple[date, date], progress: Progress = silent) -> Rows:
    """Return the window's rows that passed the contract; ``window`` is (since, until), half-open.

    Keys are unique within a night. Without a time column nothing in them says which, so such a job is read night by
    night, each exactly as it would be scored, and the nights follow one another. So is SQL that binds ``:night``.
    """
    by_night = job.time_column is None or stores.by_night(job, stores.features_query(job))
    spans = _nights_of(window, job) if by_night else [window]
    outcomes: Counter[str] = Counter()
    parts = [_read(stores, job, span, progress, outcomes) for span in spans]
    if job.task == "binary":
        require_positive(dict(outcomes.most_common()), job, stores.labels_query(job).name)
    reasons = sum((Counter(part.reasons) for part in parts), Counter[str]())
    extracted, unreadable = (sum(getattr(part, name) for part in parts) for name in ("extracted", "unreadable_labels"))
    return Rows(pa.concat_tables([part.table for part in parts]), extracted, dict(reasons), unreadable)


def labelled_rows(stores: Stores, job: Job, window: tuple[date, date], progress: Progress = silent) -> pa.Table:
    """Return the window's rows that passed the contract and have a label, in key order, label last."""
    return read_rows(stores, job, window, progress).labelled.drop_columns([NIGHT])


def _nights_of(window: tuple[date, date], job: Job) -> list[tuple[date, date]]:
    """Return each night of a window as a window of its own; days that the timezone leaves out are left out."""
    nights = nights_in(window[0], window[1] - timedelta(days=1), job.schedule.timezone)
    return [(night, night + timedelta(days=1)) for night in nights] or [window]


def _read(
    stores: Stores, job: Job, span: tuple[date, date], progress: Progress, outcomes: Counter[str]
) -> Rows:  # fmt: skip
    """Return the rows of a span of nights; adds their outcomes up."""
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
    labels = labels_of(stores, job, span)
    outcomes.update(labels.outcomes)
    joined = rows.join(labels.table, keys=list(job.key), join_type="left outer")
    ordered = joined.sort_by([(name, "ascending") for name in job.key])
    return Rows(ordered, extracted, dict(reasons), labels.unreadable_keys)


def _nights(rows: pa.Table, job: Job, first: date) -> pa.ChunkedArray | pa.Array:
    """Return the night of each row, a date in the job's timezone."""
    if job.time_column is None:
        return pa.repeat(pa.scalar(first, pa.date32()), rows.num_rows)
    local = pc.local_timestamp(pc.cast(rows.column(job.time_column), pa.timestamp("us", job.schedule.timezone)))
    return pc.cast(local, pa.date32())


def read_labels(stores: Stores, job: Job, span: tuple[date, date]) -> pa.Table:
    """Return key and label of every row of the nights in ``span`` (half-open) whose outcome is known.

    Raises ``TrainingDataError`` on duplicate keys and on outcomes that are not of the declared type.
    """
    return labels_of(stores, job, span).table


def labels_of(stores: Stores, job: Job, span: tuple[date, date], at_most: int | None = None) -> Labels:
    """Return the labels of the nights in ``span`` (half-open), or a part of them: at least ``at_most`` rows, if there are.

    Keys are read like those of ``features.sql``; a row whose key cannot be read matches none and is left out.
    """
    query = stores.labels_query(job)
    parts = [_empty_labels(job)]
    for each in _nights_of(span, job) if stores.by_night(job, query) else [span]:
        interval = DataInterval.of_nights(*each, job.schedule.timezone)
        with stream(stores.source_url(job), query, interval, min(job.chunk_rows, at_most or job.chunk_rows)) as batches:
            for batch in batches:
                require_columns(query.name, query.columns, batch.schema.names)
                parts.append(_labels(batch, job, query))
                if at_most is not None and sum(part.num_rows for part in parts) >= at_most:
                    break
    return _joined(pa.concat_tables(parts), job, query)


def _empty_labels(job: Job) -> pa.Table:
    kind = pa.string() if job.task == "binary" else outcome_type(job)
    columns = [(name, ARROW_TYPES[key]) for name, key in job.key.items()]
    return pa.schema([*columns, (LABEL, kind), (_UNREADABLE, pa.bool_())]).empty_table()


def _labels(batch: pa.RecordBatch, job: Job, query: Query) -> pa.Table:
    """Return key and outcome of each row, and whether its key cannot be read."""
    columns, unreadable = [], np.zeros(batch.num_rows, dtype=bool)
    for name, key in job.key.items():
        values, bad = read_as(batch.column(name), ARROW_TYPES[key], name, query.timezone)
        columns.append(values)
        unreadable |= pc.or_(bad, pc.is_null(values)).to_numpy(zero_copy_only=False)
    outcome = batch.column(job.label.column)
    if job.task == "binary":
        columns.append(outcome_text(outcome, job, query.name))
    else:
        columns.append(_declared(outcome, outcome_type(job), query, job.label.column))
    return pa.Table.from_arrays([*columns, pa.array(unreadable)], schema=_empty_labels(job).schema)


def _joined(rows: pa.Table, job: Job, query: Query) -> Labels:
    """Return all labels together, binary outcomes as bools; raises ``TrainingDataError`` if a key comes twice."""
    table = rows.filter(pc.invert(rows.column(_UNREADABLE))).drop_columns([_UNREADABLE])
    unique = table.group_by(list(job.key)).aggregate([]).num_rows
    if unique != table.num_rows:
        raise TrainingDataError(
            query.name, found=f"{table.num_rows - unique} rows with a key that is there already", expected="unique keys"
        )
    outcomes: dict[str, int] = {}
    outcome = table.column(LABEL)
    known = pc.is_finite(outcome) if job.task == "regression" else pc.is_valid(outcome)
    if job.task == "binary":
        outcomes = counted(outcome)
        truth = [value for value, positive in meanings(outcomes, job, query.name).items() if positive]
        positive = pc.is_in(outcome, value_set=pa.array(truth, pa.string()))
        table = table.set_column(len(job.key), LABEL, positive)
    elif job.task == "multiclass":
        outcomes = counted(outcome)
    labelled = table.filter(known)
    return Labels(labelled, table.num_rows - labelled.num_rows, rows.num_rows - table.num_rows, outcomes)


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
