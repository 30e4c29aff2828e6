"""What a fitted pipeline says of nights, as the sums per night that losses, gate and governor are functions of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.performance import GROUPS, Floats, block_sums, coarse, fine, groups_of, leading, losses_of, widths
from lifecycle.backtest.history import History
from lifecycle.training import batch_of
from scoring.job import Job
from scoring.rows import Rule, decision_of, predict
from scoring.stores import LABEL_COLUMN

AT_ONCE = 14
"""Nights whose rows are predicted together: more would need more memory."""
PARTS = ("nights", "groups", "segments")


@dataclass(frozen=True)
class Sums:
    """What a fit says of each night after those it was fitted on; NaN on the others."""

    nights: Floats
    """Shape (nights, sums), as ``drift.performance.coarse`` has them."""
    groups: Floats | None
    """Of a snapshot job: shape (nights, groups of entities, sums before the bins)."""
    segments: Floats | None
    """Of a job with ``promotion.segments``: rows and loss, shape (nights, values, 2)."""
    seconds: float
    """CPU seconds of fitting."""
    until: int
    """Place after the last night that there are sums of."""

    @classmethod
    def empty(cls, history: History, seconds: float, until: int) -> Self:
        """Return sums of no night."""
        whole, first = widths(history.job)
        nights, values = len(history), len(history.segments)
        groups = np.full((nights, GROUPS, first), np.nan) if history.job.is_snapshot else None
        segments = np.full((nights, values, 2), np.nan) if values else None
        return cls(np.full((nights, whole), np.nan), groups, segments, seconds, until)

    @classmethod
    def of(cls, pipeline: Any, since: int, until: int, history: History, seconds: float = 0.0) -> Self:
        """Return what a pipeline says of the nights from ``since`` up to, not including, ``until``."""
        sums = cls.empty(history, seconds, until)
        rule = Rule(decision_of(pipeline, history.job))
        for start in range(since, until, AT_ONCE):
            span = slice(start, min(start + AT_ONCE, until))
            rows = history.part(span.start, span.stop)
            predictions = pa.Table.from_batches([predict(pipeline, batch_of(rows), history.job, rule)])
            sums._add(rows, predictions, span, history)
        return sums

    @classmethod
    def load(cls, path: Path, since: int, history: History) -> Self:
        """Return the sums that ``save`` left."""
        with np.load(path) as stored:
            sums = cls.empty(history, float(stored["seconds"]), int(stored["until"]))
            for name in PARTS:
                array = getattr(sums, name)
                if array is not None:
                    array[since : sums.until] = stored[name]
        return sums

    def save(self, path: Path, since: int) -> None:
        """Leave the sums of the nights from ``since`` on in a file that appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {name: getattr(self, name) for name in PARTS}
        there = {name: array[since : self.until] for name, array in arrays.items() if array is not None}
        half = path.with_name(f".half-{path.name}")
        np.savez(half, seconds=np.array(self.seconds), until=np.array(self.until), **there)
        half.replace(path)

    def losses(self, job: Job) -> tuple[Floats, Floats]:
        """Return rows and summed loss of each night."""
        return losses_of(self.nights, job)

    def _add(self, rows: pa.Table, predictions: pa.Table, span: slice, history: History) -> None:
        """Put the sums of some nights in their places."""
        job, count = history.job, span.stop - span.start
        night = history.night_of(span.start, span.stop) - span.start
        outcome = rows.column(LABEL_COLUMN).combine_chunks()
        self.nights[span] = coarse(_block_sums(predictions, outcome, job, night, count), job)
        if self.groups is not None:
            block = night * GROUPS + groups_of(rows, job)
            cells = leading(_block_sums(predictions, outcome, job, block, count * GROUPS), job)
            self.groups[span] = cells.reshape(count, GROUPS, -1)
        for place, (name, value) in enumerate(history.segments):
            if self.segments is None:
                break
            column = rows.column(name).combine_chunks()
            mask = pc.is_null(column) if value is None else pc.fill_null(pc.equal(column, value), False)
            chosen = np.asarray(mask)
            of_value = _block_sums(predictions.filter(mask), outcome.filter(mask), job, night[chosen], count)
            self.segments[span, place] = np.stack(losses_of(of_value, job), axis=-1)


def _block_sums(predictions: pa.Table, outcome: pa.Array, job: Job, block: np.ndarray, blocks: int) -> Floats:
    """Return the sums of each block, 0 where there are no rows."""
    if predictions.num_rows:
        return block_sums(predictions, outcome, job, block, blocks)
    return np.zeros((blocks, fine(np.zeros(widths(job)[0]), job).shape[0]))
