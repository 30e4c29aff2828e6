"""The allowed distance of a night's mean prediction from the reference, and whether equal predictions are a fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from scoring.job import BINARY, MULTICLASS, REGRESSION, SCORE, Job, Task

NEAR, FAR = 2.0, 10.0
"""Multiples of the farthest training night's distance. Up to the first a night passes, beyond the second it is held."""
SOME_NIGHTS = 7
"""Number of training nights from which on ``FAR`` applies. Fewer say too little about usual distances."""
CHANCE = 4.0
"""Standard errors of a night's mean that ``FAR`` always allows, for nights with few rows."""
RARER, LEAST = 5.0, 0.01
"""Binary jobs: the floor is at most this multiple of the rarer outcome's share, but at least this probability."""
OF_MAGNITUDE = 0.01
"""Regression: share of the root mean square of the reference predictions that is always allowed."""
UNLIKELY = 1e-4
"""Probability, estimated from training nights, below which a night of equal predictions is a fault."""


@dataclass(frozen=True)
class UsualNights:
    """How the training nights differed from each other. It is empty in older versions."""

    nights: int = 0
    farthest: float = 0.0
    """The largest distance of a training night's mean from the mean of all rows."""
    alike: float = 0.0
    """The share of rows that have the most frequent prediction of their night."""

    @classmethod
    def of(cls, values: np.ndarray, nights: pa.Array | pa.ChunkedArray) -> Self:
        """Return how nights differ, from the number that stands for each prediction, shape (rows,), and its night.

        >>> UsualNights.of(np.array([0.25, 0.25, 1.0, 0.5]), pa.array([1, 1, 2, 2]))
        UsualNights(nights=2, farthest=0.25, alike=0.75)
        """
        if not len(values):
            return cls()
        table = pa.table({"night": nights, "value": values})
        means = table.group_by("night").aggregate([("value", "mean")]).column("value_mean").to_numpy()
        counts = table.group_by(["night", "value"]).aggregate([([], "count_all")])
        most = counts.group_by("night").aggregate([("count_all", "max")]).column("count_all_max").to_numpy()
        return cls(len(means), float(np.abs(means - values.mean()).max()), float(most.sum() / len(values)))

    def as_dict(self) -> dict[str, float]:
        """Return the fields for JSON."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the object that ``as_dict`` wrote."""
        return cls(**content)


NO_NIGHTS = UsualNights()


@dataclass(frozen=True)
class Allowed:
    """The largest shift of the mean that passes the gate, in the unit of the prediction, and the reason for it."""

    shift: float
    because: str


def allowed_shift(job: Job, reference: Mapping[str, float], usual: UsualNights, rows: int) -> Allowed:
    """Return how far the mean of ``rows`` predictions may lie from the reference's.

    ``reference`` has ``mean``, ``sd`` and ``size`` (root mean square) of its predictions. The spread of
    the rows sets the limit only between ``NEAR`` and ``FAR`` times the farthest training night, and never below an absolute
    floor: a sure model's rows hardly differ, and nights that differ more are no fault.
    """
    by_rows = job.gate.max_mean_shift_sd * reference["sd"]
    allowed = Allowed(by_rows, f"gate.max_mean_shift_sd is {job.gate.max_mean_shift_sd:g}")
    far = max(FAR * usual.farthest, CHANCE * reference["sd"] / np.sqrt(max(rows, 1)))
    if usual.nights >= SOME_NIGHTS and far < by_rows:
        words = f"{far:.3g} is allowed, {FAR:g} times as far as the farthest of {usual.nights} training nights"
        allowed = Allowed(float(far), words)
    near = NEAR * usual.farthest
    if near > allowed.shift:
        words = f"{near:.3g} is allowed, {NEAR:g} times as far as the farthest of {usual.nights} training nights"
        allowed = Allowed(near, words)
    floor = _FLOORS[job.task](job, reference)
    return floor if floor.shift > allowed.shift else allowed


def _binary_floor(job: Job, reference: Mapping[str, float]) -> Allowed:
    rarer = min(reference["mean"], 1 - reference["mean"])
    return _always(min(job.gate.min_mean_shift, max(LEAST, RARER * rarer)), "see gate.min_mean_shift")


def _multiclass_floor(job: Job, reference: Mapping[str, float]) -> Allowed:
    return _always(job.gate.min_mean_shift, "see gate.min_mean_shift")


def _regression_floor(job: Job, reference: Mapping[str, float]) -> Allowed:
    return _always(OF_MAGNITUDE * reference["size"], f"{OF_MAGNITUDE:.0%} of their size")


def _always(shift: float, words: str) -> Allowed:
    return Allowed(shift, f"{shift:.3g} is always allowed, {words}")


_FLOORS: dict[Task, Callable[[Job, Mapping[str, float]], Allowed]] = {
    BINARY: _binary_floor,
    MULTICLASS: _multiclass_floor,
    REGRESSION: _regression_floor,
    SCORE: _regression_floor,
}
"""The function of each task that gives the shift which is always allowed."""


def one_value_is_usual(rows: int, usual: UsualNights) -> bool:
    """Return whether ``rows`` equal predictions are plausible, judging by the training nights."""
    return bool(usual.alike**rows >= UNLIKELY)
