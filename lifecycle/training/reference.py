"""What a model version keeps of the data it was trained on, for drift: bins, a profile per night, weights."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from scoring.job import Job
from scoring.rows import Profile, bins_of, profiled

_PERMUTED_ROWS = 5_000


def reference_nights(rows: pa.Table, predictions: pa.Table, nights: pa.Array, job: Job) -> dict[str, Any]:
    """Return bins that fit the rows, and the profile of each night on them, for JSON.

    ``predictions`` belong to ``rows`` row by row, and so do ``nights``, their dates.
    """
    columns = profiled(rows, predictions, job)
    bins = bins_of(columns)
    profiles = {}
    for night in sorted(pc.unique(nights).to_pylist()):
        mask = pc.equal(nights, pa.scalar(night, pa.date32()))
        of_night = {name: column.filter(mask) for name, column in columns.items()}
        profiles[str(night)] = Profile.of(bins, of_night, pc.sum(mask).as_py()).as_dict()
    return {"bins": {name: vars(column_bins) for name, column_bins in bins.items()}, "nights": profiles}


def fold_of(nights: list[date], folds: int) -> dict[date, int]:
    """Return the fold of each night: the nights in order, cut into ``folds`` stretches of about the same length.

    >>> fold_of([date(2013, 4, 1), date(2013, 4, 2), date(2013, 4, 3)], 2)
    {datetime.date(2013, 4, 1): 0, datetime.date(2013, 4, 2): 0, datetime.date(2013, 4, 3): 1}
    """
    parts = np.array_split(np.arange(len(nights)), min(folds, len(nights)) or 1)
    return {sorted(nights)[place]: number for number, part in enumerate(parts) for place in part}


def nights_away(stretch: Collection[date], nights: Collection[date], gap: int) -> set[date]:
    """Return the nights outside of a stretch that lie more than ``gap`` nights from it, or fewer if too few would be left.

    The gap shrinks until half of all nights are left, or it is gone.

    >>> days = [date(2013, 4, day) for day in range(1, 11)]
    >>> [sorted(night.day for night in nights_away(days[:3], days, gap)) for gap in (0, 1, 30)]
    [[4, 5, 6, 7, 8, 9, 10], [5, 6, 7, 8, 9, 10], [6, 7, 8, 9, 10]]
    """
    first, last = min(stretch), max(stretch)
    outside = {night: max((first - night).days, (night - last).days) for night in nights if night not in set(stretch)}
    for days in range(gap, 0, -1):
        away = {night for night, distance in outside.items() if distance > days}
        if 2 * len(away) >= len(nights):
            return away
    return set(outside)


def importance(loss: Callable[[pd.DataFrame], float], frame: pd.DataFrame) -> dict[str, float]:
    """Return each column's share of the loss that shuffling columns one by one adds. The shares sum to 1.

    Permutation importance (Breiman 2001) on at most 5,000 rows; ``loss`` gives the loss of the fitted model on a frame
    whose rows stand in the order of ``frame``. All equal when no column matters.
    """
    random = np.random.default_rng(0)
    plain = loss(frame)
    added = {}
    for name in frame.columns:
        shuffled = frame[name].to_numpy()[random.permutation(len(frame))]
        added[name] = max(loss(frame.assign(**{name: pd.Series(shuffled, index=frame.index)})) - plain, 0.0)
    total = sum(added.values())
    return {name: value / total if total else 1 / len(added) for name, value in added.items()}


def sample_places(rows: int, most: int = _PERMUTED_ROWS) -> np.ndarray:
    """Return the places of at most ``most`` rows, spread evenly, in order."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(int))
