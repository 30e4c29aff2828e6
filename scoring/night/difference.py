"""How the predictions of two runs differ, of one night or of two, matched by key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.errors import RunMissing
from scoring.job import Job
from scoring.rows import prediction_schema
from scoring.stores import RunFolder, Workspace
from scoring.stores.warehouse import Run, ledger

SECOND = " of the second run"
"""Ends the names of the second run's columns after the join. No column of the first run can end so."""


@dataclass(frozen=True)
class Difference:
    """How the predictions of two runs differ, in probabilities or predicted values."""

    first: Run
    second: Run
    rows_compared: int
    rows_changed: int
    only_first: int
    only_second: int
    largest: float
    mean: float
    decisions_changed: int | None = None
    """Rows with another predicted class, or None for a regression, which decides nothing."""


def two_runs(work: Workspace, night: date, run_ids: tuple[str, str] | None = None) -> tuple[Run, Run]:
    """Return the runs ``run_ids`` of a night, or its last two scored runs. Raises ``RunMissing``."""
    runs = [run for run in ledger.runs_of(work.warehouse, work.job.name, night) if run.predictions_hash]
    if run_ids is not None:
        by_id = {run.run_id: run for run in runs}
        if set(run_ids) <= set(by_id):
            return by_id[run_ids[0]], by_id[run_ids[1]]
    elif len(runs) >= 2:
        return runs[-2], runs[-1]
    raise RunMissing(
        f"runs of {work.job.name} at {night}",
        found=f"scored runs {[run.run_id for run in runs]}",
        expected=str(list(run_ids)) if run_ids else "at least two",
        next_step=f"see `nightshift explain {work.job.name} {night}`",
    )


def two_nights(work: Workspace, first: date, second: date) -> tuple[Run, Run]:
    """Return the runs that two nights show. Raises ``RunMissing`` for a night without a publication."""
    run_ids = ledger.published(work.warehouse, work.job.name)
    missing = sorted({night for night in (first, second) if night not in run_ids})
    if missing:
        raise RunMissing(
            f"nights {first} and {second} of {work.job.name}",
            found=f"no publication of {' and '.join(map(str, missing))}",
            expected="two published nights",
            next_step=f"nightshift run {work.job.name} --night {missing[0]}",
        )
    return ledger.get(work.warehouse, run_ids[first]), ledger.get(work.warehouse, run_ids[second])


def diff_runs(work: Workspace, first: Run, second: Run) -> Difference:
    """Return how the predictions of two runs differ, matched by key.

    Raises ``RunMissing`` when retention has removed the files of one.
    """
    return difference_in(joined_runs(work, first, second), first, second, work.job)


def difference_in(joined: pa.Table, first: Run, second: Run, job: Job) -> Difference:
    """Return how two runs differ, given their predictions as ``joined_runs`` joins them."""
    predicted_first, predicted_second = joined.column("prediction"), joined.column("prediction" + SECOND)
    both = in_both(joined)
    gaps = gaps_of(both, job)
    return Difference(
        first=first,
        second=second,
        rows_compared=both.num_rows,
        rows_changed=int((gaps > 0).sum()),
        only_first=int(pc.sum(pc.is_null(predicted_second)).as_py() or 0),
        only_second=int(pc.sum(pc.is_null(predicted_first)).as_py() or 0),
        largest=float(gaps.max()) if gaps.size else 0.0,
        mean=float(gaps.mean()) if gaps.size else 0.0,
        decisions_changed=_decisions(both) if job.task.classifies else None,
    )


def joined_runs(work: Workspace, first: Run, second: Run) -> pa.Table:
    """Return the predictions of two runs by key, as columns ``key 0``, ``key 1`` and so on, with nulls where one has no row.

    Columns of the second run end in ``SECOND``. Raises ``RunMissing`` when retention has removed the files of one.
    """
    for run in (first, second):
        ledger.require_files(run)
    keys = [f"key {place}" for place in range(len(work.job.key))]  # names that no prediction column can have
    left, right = (_predictions(work, run) for run in (first, second))
    values = left.column_names[len(keys) :]
    return left.rename_columns([*keys, *values]).join(
        right.rename_columns([*keys, *(f"{name}{SECOND}" for name in values)]), keys=keys, join_type="full outer"
    )


def in_both(joined: pa.Table) -> pa.Table:
    """Return the rows whose key both runs have."""
    return joined.filter(
        pc.and_(pc.is_valid(joined.column("prediction")), pc.is_valid(joined.column("prediction" + SECOND)))
    )


def gaps_of(both: pa.Table, job: Job) -> np.ndarray:
    """Return the largest absolute difference of each row's predicted numbers, shape (rows,)."""
    pairs = [(both.column(name).to_numpy(), both.column(name + SECOND).to_numpy()) for name in job.number_columns]
    gaps: np.ndarray = np.max([np.abs(left - right) for left, right in pairs], axis=0)
    return gaps


def _decisions(both: pa.Table) -> int:
    """Return how many rows have another predicted class."""
    return int(pc.sum(pc.not_equal(both.column("prediction"), both.column("prediction" + SECOND))).as_py() or 0)


def _predictions(work: Workspace, run: Run) -> pa.Table:
    folder = RunFolder(work.lake, run)
    rows = pa.Table.from_batches(folder.predictions(), schema=folder.schema(work.job))
    return rows.select(prediction_schema(work.job).names)  # an interval follows from the prediction and the level
