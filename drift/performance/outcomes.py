"""Published predictions of a night, joined by key with the outcomes that are known by now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.performance.metrics import Floats, block_sums, outcome_sums
from drift.performance.panel import GROUP, GROUPS
from scoring.interval import Nights
from scoring.job import Job
from scoring.rows import RowsDigest
from scoring.stores import LABEL_COLUMN, RunFolder, Workspace, read_labels
from scoring.stores.warehouse import Run


@dataclass(frozen=True)
class Outcomes:
    """Predictions with an outcome, row by row."""

    predictions: pa.Table
    outcome: pa.ChunkedArray
    rows: int
    """Rows that were published, with an outcome or without."""
    labels_hash: str
    """Hash of the outcomes of published rows, in any order."""

    @property
    def labelled(self) -> int:
        """Return how many rows have an outcome."""
        return int(self.predictions.num_rows)


def predictions_of(work: Workspace, run: Run) -> pa.Table:
    """Return a run's predictions: keys, prediction, probabilities."""
    folder = RunFolder(work.lake, run)
    return pa.concat_tables(work.lake.table(folder.part("predictions", number)) for number in folder.chunks)


def outcomes_of(work: Workspace, run: Run, predictions: pa.Table | None = None) -> Outcomes:
    """Return a run's predictions with the outcomes that ``labels.sql`` gives now.

    ``predictions`` are those of another version on the run's rows; default: the run's own.
    """
    predictions = predictions_of(work, run) if predictions is None else predictions
    labels = read_labels(work, Nights.of(run.night))
    joined = predictions.join(labels, keys=list(work.job.key), join_type="inner").combine_chunks()
    digest = RowsDigest()
    for batch in joined.select([*work.job.key, LABEL_COLUMN]).to_batches():
        digest.add(batch)
    return Outcomes(joined, joined.column(LABEL_COLUMN), predictions.num_rows, digest.hexdigest())


def sums_by_night(holdout: pa.Table, job: Job) -> Floats:
    """Return the sums of each holdout night, shape (nights, sums). The table has night, outcome and predictions."""
    nights = holdout.column("night")
    sums: list[Any] = []
    for night in nights_of(nights):
        of_night = holdout.filter(pc.equal(nights, pa.scalar(night, pa.date32())))
        sums.append(outcome_sums(of_night, of_night.column("outcome"), job).sum(axis=0))
    return np.stack(sums)


def sums_by_group(holdout: pa.Table, job: Job) -> Floats:
    """Return the sums of each holdout night and group of entities, shape (nights, groups, sums).

    The table has night, outcome, predictions and ``GROUP``.
    """
    nights = holdout.column("night")
    sums: list[Floats] = []
    for night in nights_of(nights):
        of_night = holdout.filter(
            pc.and_(pc.equal(nights, pa.scalar(night, pa.date32())), pc.is_valid(holdout.column("outcome")))
        )
        groups = of_night.column(GROUP).to_numpy()
        sums.append(block_sums(of_night, of_night.column("outcome"), job, groups, GROUPS))
    return np.stack(sums)


def nights_of(nights: pa.ChunkedArray) -> list[date]:
    """Return the nights in a column of them, each once, oldest first."""
    return sorted(pc.unique(nights).to_pylist())
