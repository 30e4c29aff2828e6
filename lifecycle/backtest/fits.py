"""Every model that a policy may train on a history, each fitted once and kept in a file of its own.

A fit leaves the sums of every later night, and gate, rollback and measured loss are functions of these. So a policy is lived by
look-ups, and a backtest that was killed goes on where it was.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time
from typing import Any

from lifecycle.backtest.history import History, Version
from lifecycle.backtest.sums import Sums
from lifecycle.training import fit, fits
from scoring.errors import TrainingDataError
from scoring.progress import Progress, silent

PIPELINES = 4
"""Fitted pipelines that stay in memory, the last ones: what watches a version needs it soon after it was fitted."""
Place = tuple[int, int]
"""The nights that a model is fitted on: the place of the first, and that after the last."""


@dataclass
class Fits:
    """The fits made on a history so far. Those in ``folder`` are taken, and new ones are added to it; None keeps none."""

    history: History
    folder: Path | None = None
    progress: Progress = silent
    made: int = 0
    """Fits that this process made."""
    _sums: dict[Place, Sums] = field(default_factory=dict, repr=False)
    _pipelines: OrderedDict[Place, Any] = field(default_factory=OrderedDict, repr=False)

    def fitted_until(self, version: Version) -> int:
        """Return the place of the first night that the version itself was not fitted on."""
        return version.until if self.history.job.training.refit else self.early(version)

    def unseen(self, version: Version) -> int:
        """Return the place of the first night whose outcome overlaps none that the version was fitted on."""
        return self.fitted_until(version) + self.history.horizon

    def early(self, version: Version) -> int:
        """Return the place of the first night that the fit without the version's holdout does not know.

        No outcome of the nights before it overlaps one of the holdout.
        """
        return max(version.since, version.until - version.holdout) - self.history.horizon

    def sums(self, version: Version) -> Sums:
        """Return what the version says of the nights it was not fitted on. Raises ``TrainingDataError`` as training does."""
        return self._of((version.since, self.fitted_until(version)), len(self.history))

    def honest(self, version: Version) -> Sums | None:
        """Return what the fit without the version's holdout says of it, or None where there is too little to fit on."""
        return self.fitted((version.since, self.early(version)), version.until)

    def fitted(self, place: Place, until: int) -> Sums | None:
        """Return what a fit on some nights says of those after them, up to ``until``, or None where it cannot be fitted."""
        if place not in self._sums and not self._can_be_fitted(place):
            return None
        return self._of(place, until)

    def _can_be_fitted(self, place: Place) -> bool:
        if not 0 <= place[0] < place[1]:
            return False
        rows, job = self.history.part(*place), self.history.job
        return rows.num_rows >= 1 and fits(rows, job)

    def seconds(self, version: Version, honest: bool) -> float:
        """Return the CPU seconds of fitting the version, and if asked of the fit without its holdout."""
        early = self.honest(version) if honest and self.history.job.training.refit else None
        return self.sums(version).seconds + (early.seconds if early else 0.0)

    def pipeline(self, place: Place) -> Any:
        """Return the pipeline fitted on some nights, fitted again when it is not in memory any more."""
        if place not in self._pipelines:
            self._fit(place)
        return self._pipelines[place]

    def file(self, name: str) -> Path | None:
        """Return the path of a file among those of the fits, or None when none are kept."""
        return None if self.folder is None else self.folder / name

    def _of(self, place: Place, until: int) -> Sums:
        """Return the sums of the fit on some nights, up to a night at least."""
        path = self.file(f"fit-{place[0]:04}-{place[1]:04}.npz")
        if place not in self._sums and path is not None and path.exists():
            self._sums[place] = Sums.load(path, place[1], self.history)
        if place not in self._sums or self._sums[place].until < until:
            seconds = self._fit(place)
            self._sums[place] = Sums.of(self._pipelines[place], place[1], until, self.history, seconds)
            if path is not None:
                self._sums[place].save(path, place[1])
        return self._sums[place]

    def _fit(self, place: Place) -> float:
        """Fit on some nights and return the CPU seconds that it took."""
        rows, job = self.history.part(*place), self.history.job
        days = f"{self.history.days[place[0]]} to {self.history.days[max(place[1] - 1, place[0])]}"
        if rows.num_rows < job.training.min_rows or not fits(rows, job):
            raise TrainingDataError(
                f"training {job.name} on {days}",
                found=f"{rows.num_rows} rows with an outcome, or not every class among them",
                expected=f"at least training.min_rows, {job.training.min_rows}, and each class",
                next_step="widen the window, or begin the backtest later",
            )
        self.progress(f"fitting {days}", 0)
        began = process_time()
        self._pipelines[place] = fit(rows, job)
        seconds = process_time() - began
        self.made += 1
        while len(self._pipelines) > PIPELINES:
            self._pipelines.popitem(last=False)
        return seconds
