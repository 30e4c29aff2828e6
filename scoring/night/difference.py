"""How the predictions of two runs of a night differ."""

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


@dataclass(frozen=True)
class Difference:
    """How the predictions of two runs of a night differ, in probabilities or predicted values."""

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


def diff_runs(work: Workspace, first: Run, second: Run) -> Difference:
    """Return how the predictions of two runs of a night differ, matched by key.

    Raises ``RunMissing`` when retention has removed the files of one.
    """
    for run in (first, second):
        ledger.require_files(run)
    keys = [f"key {place}" for place in range(len(work.job.key))]  # names that no prediction column can have
    left, right = (_predictions(work, run) for run in (first, second))
    values = left.column_names[len(keys) :]
    joined = left.rename_columns([*keys, *values]).join(
        right.rename_columns([*keys, *map(_second, values)]), keys=keys, join_type="full outer"
    )
    predicted_first = joined.column("prediction")
    predicted_second = joined.column(_second("prediction"))
    both = joined.filter(pc.and_(pc.is_valid(predicted_first), pc.is_valid(predicted_second)))
    gaps = _gaps(both, work.job)
    return Difference(
        first=first,
        second=second,
        rows_compared=both.num_rows,
        rows_changed=int((gaps > 0).sum()),
        only_first=int(pc.sum(pc.is_null(predicted_second)).as_py() or 0),
        only_second=int(pc.sum(pc.is_null(predicted_first)).as_py() or 0),
        largest=float(gaps.max()) if gaps.size else 0.0,
        mean=float(gaps.mean()) if gaps.size else 0.0,
        decisions_changed=_decisions(both) if work.job.task.classifies else None,
    )


def _decisions(both: pa.Table) -> int:
    """Return how many rows have another predicted class."""
    return int(pc.sum(pc.not_equal(both.column("prediction"), both.column(_second("prediction")))).as_py() or 0)


def _second(name: str) -> str:
    """Return the name that a column of the second run has after the join, which no column of the first run can have."""
    return f"{name} of the second run"


def _gaps(both: pa.Table, job: Job) -> np.ndarray:
    """Return the largest absolute difference of each row's predicted numbers, shape (rows,)."""
    names = job.number_columns
    pairs = [(both.column(name).to_numpy(), both.column(_second(name)).to_numpy()) for name in names]
    gaps: np.ndarray = np.max([np.abs(left - right) for left, right in pairs], axis=0)
    return gaps


def _predictions(work: Workspace, run: Run) -> pa.Table:
    return pa.Table.from_batches(RunFolder(work.lake, run).predictions(), schema=prediction_schema(work.job))
