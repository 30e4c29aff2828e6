"""Entities that come again every night: how far chance moves a figure, when both entities and nights are drawn.

The sums of a night are kept per group of entities. A figure is a sum of scores over nights and groups, and its variance is
two-way cluster-robust (Cameron, Gelbach, Miller, Robust inference with multiway clustering, 2011): whatever goes together within
an entity, and within a night. Outcomes of ``horizon`` days overlap on neighbouring nights, so what a night has in common with
them falls off linearly over so many nights (Hansen, Hodrick 1980); Thompson (2011) has the same for unknown correlations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Self

import numpy as np
import pyarrow as pa

from drift.performance.metrics import Floats
from scoring.job import Job
from scoring.rows import row_hashes

GROUPS = 100
"""Groups that entities are put into by a hash of their key. Fewer make intervals wider; more make the records longer."""
GROUP = "nightshift_group"
"""Column that says which group a row's entity is in."""
Groups = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@dataclass(frozen=True)
class Spread:
    """How far chance moves a figure: standard error, and degrees of freedom of the t distribution that belongs to it."""

    error: float
    freedom: float

    def margin(self, confidence: float) -> float:
        """Return half the width of the interval that holds the truth with a probability of ``confidence``."""
        from scipy import stats  # the pages do without

        return float(stats.t.ppf((1 + confidence) / 2, self.freedom) * self.error) if self.error else 0.0


@dataclass(frozen=True)
class Panel:
    """Nights by groups of entities: rows, and a sum of values over them. Both are of shape (nights, groups)."""

    nights: tuple[date, ...]
    rows: Floats
    values: Floats
    horizon: int
    """Days that an outcome looks at: so many neighbouring nights have something in common."""

    @classmethod
    def of(cls, nights: Sequence[date], groups: Sequence[Sequence[Sequence[float]]], horizon: int) -> Self:
        """Return the panel of nights as ``as_json`` gives each of them."""
        cells = np.array(groups, dtype=np.float64).reshape(len(nights), 2, GROUPS)
        return cls(tuple(nights), cells[:, 0], cells[:, 1], horizon)

    def __add__(self, other: Panel) -> Panel:
        """Return the nights of both."""
        rows, values = np.concatenate([self.rows, other.rows]), np.concatenate([self.values, other.values])
        return Panel(self.nights + other.nights, rows, values, self.horizon)

    def as_json(self) -> list[list[list[float]]]:
        """Return rows and sums per group of each night, for JSON: whole numbers, and seven digits."""
        return [
            [[int(count) for count in rows], [float(f"{value:.7g}") for value in values]]
            for rows, values in zip(self.rows, self.values, strict=True)
        ]

    def spread(self) -> Spread | None:
        """Return how far chance moves the mean value of a row, or None for fewer than two nights or groups."""
        mean = self.values.sum() / self.rows.sum()
        return spread_of((self.values - mean * self.rows) / self.rows.sum(), self)


def groups_of(table: pa.Table, job: Job) -> Groups:
    """Return the group of each row's entity: the same entity has the same one on every night."""
    keys = table.select(list(job.key)).combine_chunks().to_batches()
    if not keys:
        return np.zeros(0, dtype=np.int64)
    return np.asarray(row_hashes(keys[0]) % np.uint64(GROUPS), dtype=np.int64)


def spread_of(scores: Floats, panel: Panel) -> Spread | None:
    """Return how far chance moves the sum of the scores, shape (nights, groups), each the part of a cell in a figure's error.

    Two variances are added: that of the entities, from the sums of each group over all nights, and that of the nights, from
    what a night's scores have in common beyond their groups' own. The latter is scaled up for what few overlapping nights
    hide of it. Degrees of freedom are Satterthwaite's, and at most the number of nights or groups less one.
    """
    present = panel.rows.sum(axis=0) > 0
    scores, rows = scores[:, present], panel.rows[:, present]
    nights, groups = scores.shape
    if nights < 2 or groups < 2:
        return None
    few = groups / (groups - 1)
    of_group = scores.sum(axis=0)
    within = scores - rows / rows.sum(axis=0) * of_group
    common = few * max(float(np.square(within.sum(axis=1)).sum() - np.square(within).sum()), 0.0)
    scale, freedom = overlap_of(rows.sum(axis=1) / rows.sum(), panel.nights, panel.horizon)
    entities, by_night = few * float(np.square(of_group).sum()), scale * common
    total = entities + by_night
    if total == 0:
        return Spread(0.0, nights - 1)
    satterthwaite = total**2 / (entities**2 / (groups - 1) + by_night**2 / freedom)
    return Spread(total**0.5, min(satterthwaite, nights - 1, groups - 1))


def overlap_of(weights: Floats, nights: Sequence[date], horizon: int) -> tuple[float, float]:
    """Return the variance of a weighted mean of night effects as a multiple of their squared deviations from it, and its freedom.

    Effects of nights that lie ``d`` days apart correlate by ``1 - d / horizon``. Without overlap the multiple is G / (G - 1)
    for G equal nights, and the freedom G - 1; with it the deviations show ever less of what all nights have in common.
    """
    days = np.array([night.toordinal() for night in nights], dtype=np.float64)
    apart = np.abs(days[:, None] - days[None, :])
    together = np.clip(1 - apart / max(horizon, 1), 0.0, 1.0)
    deviations = np.eye(len(weights)) - weights[None, :]
    seen = deviations.T @ np.diag(np.square(weights)) @ deviations @ together
    shown = float(np.trace(seen))
    return float(weights @ together @ weights) / shown, shown**2 / float(np.trace(seen @ seen))
