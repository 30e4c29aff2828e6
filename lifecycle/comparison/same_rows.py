"""What versions say of the same rows: sums by night, and the metrics, losses and segments that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.performance import (
    GROUP,
    Floats,
    NightScores,
    Panel,
    difference,
    groups_of,
    intervals_of,
    losses_of,
    nights_of,
    outcome_sums,
    reliability,
    sums_by_group,
    sums_by_night,
    with_intervals,
)
from lifecycle.comparison.gate import Losses
from lifecycle.training import NIGHT
from scoring.job import Job
from scoring.stores import LABEL_COLUMN
from scoring.stores.warehouse import Metrics, NightLoss, NightLosses, Segment

CHALLENGER, CHAMPION = "challenger", "champion"
CALIBRATION_ERROR = "calibration_error"


@dataclass(frozen=True)
class SameRows:
    """Labelled rows that no side has seen, and what each side predicts for them, row by row."""

    job: Job
    rows: pa.Table
    predictions: Mapping[str, pa.Table]
    """By side: ``challenger``, and ``champion`` if there is one."""

    @cached_property
    def nights(self) -> list[date]:
        """Return the nights of the rows, oldest first."""
        return nights_of(self.rows.column(NIGHT))

    @cached_property
    def _cells(self) -> dict[str, Floats]:
        return {side: _cells(self.rows, predictions, self.job) for side, predictions in self.predictions.items()}

    @property
    def metrics(self) -> dict[str, Metrics]:
        """Return every metric of each side, with its interval."""
        if not self.job.is_snapshot:
            return {side: with_intervals(cells.sum(axis=1), self.job) for side, cells in self._cells.items()}
        nights = {side: zip(self.nights, cells, strict=True) for side, cells in self._cells.items()}
        scores = {side: [NightScores.of(*of, self.job) for of in of_side] for side, of_side in nights.items()}
        return {side: intervals_of(of_side, self.job) for side, of_side in scores.items()}

    @cached_property
    def losses(self) -> Losses | None:
        """Return rows and both losses per night, or None without a champion."""
        if CHAMPION not in self._cells:
            return None
        if not self.nights:
            return Losses(np.zeros(0), np.zeros(0), np.zeros(0))
        rows, champion = losses_of(self._cells[CHAMPION], self.job)
        challenger, horizon = losses_of(self._cells[CHALLENGER], self.job)[1], self.job.label.horizon
        gains = Panel(tuple(self.nights), rows, champion - challenger, horizon) if self.job.is_snapshot else None
        return Losses(rows.sum(axis=1), champion.sum(axis=1), challenger.sum(axis=1), gains)

    @property
    def by_night(self) -> list[NightLosses]:
        """Return rows and both losses of each night, or nothing without a champion."""
        losses = self.losses
        if losses is None:
            return []
        groups = [None] * losses.nights if losses.gains is None else losses.gains.as_json()
        columns = zip(self.nights, losses.rows, losses.champion, losses.challenger, groups, strict=True)
        return [NightLosses(night, int(rows), float(old), float(new), of) for night, rows, old, new, of in columns]

    @property
    def segments(self) -> list[Segment]:
        """Return the mean loss of both on every value of the declared segments, the largest first."""
        segments = []
        for name in self.job.promotion.segments:
            column = self.rows.column(name)
            for value in pc.unique(column).to_pylist():
                mask = pc.fill_null(pc.equal(column, value), False) if value is not None else pc.is_null(column)
                outcome, means, rows = self.rows.column(LABEL_COLUMN).filter(mask), {}, 0.0
                for side, predictions in self.predictions.items():
                    sums = outcome_sums(predictions.filter(mask), outcome, self.job).sum(axis=0)
                    rows, loss = (float(total) for total in losses_of(sums, self.job))
                    means[side] = loss / rows
                segments.append(Segment(name, value, means.get(CHAMPION), int(rows), means[CHALLENGER]))
        return sorted(segments, key=lambda segment: (segment.column, -segment.rows))

    @property
    def worse_calibrated(self) -> dict[str, float | None] | None:
        """Return how much larger the challenger's calibration error is, with its interval, for a job that has one."""
        if not self.job.task.has_positive or CHAMPION not in self._cells or not self.nights:
            return None
        challenger, champion = (self._cells[side].sum(axis=1) for side in (CHALLENGER, CHAMPION))
        return difference(challenger, champion, self.job, CALIBRATION_ERROR, paired=True)

    @property
    def calibration(self) -> dict[str, list[dict[str, float]]]:
        """Return the calibration plot of each side of a binary classifier."""
        if not self.job.task.has_positive:
            return {}
        return {side: reliability(cells.sum(axis=(0, 1))) for side, cells in self._cells.items() if len(cells)}

    def night_losses(self, side: str) -> dict[date, NightLoss]:
        """Return what a side lost on each night."""
        if not self.nights:
            return {}
        rows, losses = losses_of(self._cells[side], self.job)
        snapshot = self.job.is_snapshot
        return {
            night: NightLoss(int(count.sum()), float(loss.sum()), [count.tolist(), loss.tolist()] if snapshot else None)
            for night, count, loss in zip(self.nights, rows, losses, strict=True)
        }


def _cells(rows: pa.Table, predictions: pa.Table, job: Job) -> Floats:
    """Return the sums of each night and group of entities, shape (nights, groups, sums). Events are all in one group."""
    if rows.num_rows == 0:
        return np.zeros((0, 1, 1))
    columns = {"night": rows.column(NIGHT), "outcome": rows.column(LABEL_COLUMN)}
    table = pa.table({**columns, **{name: predictions.column(name) for name in job.prediction_columns}})
    if job.is_snapshot:
        return sums_by_group(table.append_column(GROUP, pa.array(groups_of(rows, job))), job)
    return sums_by_night(table, job)[:, None]


def losses_from(nights: Sequence[NightLosses], job: Job) -> Losses:
    """Return the losses of the nights that an evaluation keeps."""
    groups = [night.groups for night in nights if night.groups is not None]
    whole = nights and len(groups) == len(nights)
    return Losses(
        gains=Panel.of([night.night for night in nights], groups, job.label.horizon) if whole else None,
        rows=np.array([night.rows for night in nights], dtype=np.float64),
        champion=np.array([night.champion for night in nights], dtype=np.float64),
        challenger=np.array([night.challenger for night in nights], dtype=np.float64),
    )
