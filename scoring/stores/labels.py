"""Labels: the outcomes of nights by key, read with a job's ``labels.sql``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.errors import TrainingDataError
from scoring.interval import Nights
from scoring.job import BINARY, MULTICLASS, REGRESSION, SCORE, Job, Task
from scoring.rows import (
    ARROW_TYPES,
    counted,
    label_type,
    meanings,
    outcome_text,
    read_as,
    repeated,
    require_columns,
    row_hashes,
)
from scoring.stores.source import Query, stream
from scoring.stores.workspace import Workspace

LABEL_COLUMN = "nightshift_label"


_UNREADABLE = "nightshift_unreadable"


@dataclass(frozen=True)
class Labels:
    """Key and outcome of the rows with an outcome, and counts of the other rows of ``labels.sql``."""

    table: pa.Table
    without_outcome: int
    """Rows whose outcome is null."""
    unreadable_keys: int
    """Rows that were left out because their key cannot be read or is null."""
    outcomes: dict[str, int]
    """Rows by outcome as the source gives it, in binary and multiclass jobs."""


def read_labels(work: Workspace, nights: Nights) -> pa.Table:
    """Return key and outcome of every row of the nights that has an outcome.

    Raises ``TrainingDataError`` on keys with several outcomes and on outcomes that are not of the declared type.
    """
    return labels_of(work, nights).table


def labels_of(work: Workspace, nights: Nights, at_most: int | None = None) -> Labels:
    """Return the labels of the nights. With ``at_most`` reading stops once there are that many rows.

    Keys are read like those of ``features.sql``; a row whose key cannot be read matches none and is left out. A job without
    a label has none.
    """
    parts = [_empty_labels(work.job)]
    if not work.job.has_labels:
        return Labels(parts[0].drop_columns([_UNREADABLE]), 0, 0, {})
    query = work.stores.labels_query(work.job).unordered
    for each in nights_of(nights, work.job) if work.stores.by_night(work.job, query) else [nights]:
        interval = each.interval(work.job.schedule.timezone)
        with stream(
            work.stores.source_url(work.job), query, interval, min(work.job.chunk_rows, at_most or work.job.chunk_rows)
        ) as batches:
            for batch in batches:
                require_columns(query.name, query.columns, batch.schema.names)
                parts.append(_labels(batch, work.job, query))
                if at_most is not None and sum(part.num_rows for part in parts) >= at_most:
                    break
    return _joined(pa.concat_tables(parts), work.job, query)


def nights_of(window: Nights, job: Job) -> list[Nights]:
    """Return each night of a window as a window of its own, without days that the timezone leaves out."""
    return [Nights.of(night) for night in window.in_timezone(job.schedule.timezone)] or [window]


def _empty_labels(job: Job) -> pa.Table:
    columns = [(name, ARROW_TYPES[key]) for name, key in job.key.items()]
    return pa.schema([*columns, (LABEL_COLUMN, label_type(job)), (_UNREADABLE, pa.bool_())]).empty_table()


def _labels(batch: pa.RecordBatch, job: Job, query: Query) -> pa.Table:
    """Return key and outcome of each row, and whether its key cannot be read."""
    columns, unreadable = [], np.zeros(batch.num_rows, dtype=bool)
    for name, key in job.key.items():
        values, bad = read_as(batch.column(name), ARROW_TYPES[key], name, query.timezone)
        columns.append(values)
        unreadable |= pc.or_(bad, pc.is_null(values)).to_numpy(zero_copy_only=False)
    columns.append(_READ[job.task](batch.column(str(job.label.column)), job, query))
    return pa.Table.from_arrays([*columns, pa.array(unreadable)], schema=_empty_labels(job).schema)


def _joined(rows: pa.Table, job: Job, query: Query) -> Labels:
    """Return the labels of all parts, each key once, binary outcomes as bools."""
    read = rows.filter(pc.invert(rows.column(_UNREADABLE))).drop_columns([_UNREADABLE])
    table = _once(read, job, query)
    outcome = table.column(LABEL_COLUMN)
    has_outcome = pc.is_valid(outcome) if job.task.classifies else pc.is_finite(outcome)
    outcomes = counted(outcome) if job.task.classifies else {}
    if job.task.has_positive:
        truth = [value for value, positive in meanings(outcomes, job, query.name).items() if positive]
        positive = pc.is_in(outcome, value_set=pa.array(truth, pa.string()))
        table = table.set_column(len(job.key), LABEL_COLUMN, positive)
    labelled = table.filter(has_outcome)
    return Labels(labelled, table.num_rows - labelled.num_rows, rows.num_rows - read.num_rows, outcomes)


def _once(table: pa.Table, job: Job, query: Query) -> pa.Table:
    """Return the table without copies of its rows. Raises ``TrainingDataError`` for a key that has several outcomes."""
    keys = list(job.key)
    if not len(repeated([row_hashes(batch) for batch in table.select(keys).to_batches()])):
        return table
    different = table.group_by([*keys, LABEL_COLUMN], use_threads=False).aggregate([])
    counts = different.group_by(keys, use_threads=False).aggregate([([], "count_all")])
    several = counts.filter(pc.greater(counts.column("count_all"), 1))
    if several.num_rows:
        example = {name: str(value) for name, value in several.select(keys).slice(0, 1).to_pylist()[0].items()}
        raise TrainingDataError(
            query.name,
            found=f"{several.num_rows} keys with several outcomes, such as {example}",
            expected="one outcome for every key",
            next_step="select one outcome for each of them in the SQL",
        )
    return table if different.num_rows == table.num_rows else different


def _text(column: pa.Array, job: Job, query: Query) -> pa.Array:
    return outcome_text(column, job, query.name)


def _declared(column: pa.Array, job: Job, query: Query) -> pa.Array:
    """Return the column as the contract reads it. No value may be unreadable."""
    kind, name = label_type(job), str(job.label.column)
    values, unreadable = read_as(column, kind, name, query.timezone)
    bad = pc.sum(unreadable).as_py() or 0
    if bad:
        first = column.filter(unreadable)[0].as_py()
        raise TrainingDataError(
            f"{query.name}: column {name}", found=f"{bad} values such as {first!r}", expected=f"values of type {kind}"
        )
    return values


_READ: dict[Task, Callable[[pa.Array, Job, Query], pa.Array]] = {
    BINARY: _text,
    MULTICLASS: _declared,
    REGRESSION: _declared,
    SCORE: _declared,
}
