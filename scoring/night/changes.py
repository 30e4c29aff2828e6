"""Whose prediction changed between two runs, most of all: rows that got another class first, then by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scoring.night.difference import SECOND, Difference, difference_in, gaps_of, in_both, joined_runs
from scoring.stores import Workspace
from scoring.stores.warehouse import Run


@dataclass(frozen=True)
class Change:
    """One row whose prediction changed."""

    key: tuple[Any, ...]
    before: Any
    """What the first run predicts: a decision, a class, or a value."""
    after: Any
    numbers_before: tuple[float, ...]
    """Probabilities of the first run, or its value, as ``Job.number_columns`` names them."""
    numbers_after: tuple[float, ...]
    gap: float
    """Largest absolute difference of the numbers."""


@dataclass(frozen=True)
class Changes:
    """What changed between two runs, for the keys that both have."""

    rows: tuple[Change, ...]
    """The rows that changed most, those with another class first."""
    turned: dict[tuple[Any, Any], int]
    """Rows by class before and class after, where these differ. None for a regression."""


def compare_runs(work: Workspace, first: Run, second: Run, most: int) -> tuple[Difference, Changes]:
    """Return how two runs differ, and what changed between them with at most ``most`` rows. Both are read once."""
    joined = joined_runs(work, first, second)
    return difference_in(joined, first, second, work.job), _changes(work, in_both(joined).combine_chunks(), most)


def _changes(work: Workspace, both: pa.Table, most: int) -> Changes:
    gaps = gaps_of(both, work.job)
    turned = np.zeros(both.num_rows, dtype=bool)
    if work.job.task.classifies:
        turned = pc.not_equal(both.column("prediction"), both.column("prediction" + SECOND)).to_numpy()
    order = np.lexsort([-gaps, ~turned])[:most]
    places = order[gaps[order] > 0]
    rows = zip(both.take(pa.array(places)).to_pylist(), gaps[places], strict=True)
    return Changes(tuple(_change(work, row, float(gap)) for row, gap in rows), _turned(both.filter(pa.array(turned))))


def _change(work: Workspace, row: dict[str, Any], gap: float) -> Change:
    keys = tuple(row[f"key {place}"] for place in range(len(work.job.key)))
    numbers = work.job.number_columns
    before, after = (tuple(row[name + side] for name in numbers) for side in ("", SECOND))
    return Change(keys, row["prediction"], row["prediction" + SECOND], before, after, gap)


def _turned(rows: pa.Table) -> dict[tuple[Any, Any], int]:
    sides = ["prediction", "prediction" + SECOND]
    counts = rows.group_by(sides).aggregate([([], "count_all")]).sort_by([("count_all", "descending")])
    return {(row[sides[0]], row[sides[1]]): row["count_all"] for row in counts.to_pylist()}
