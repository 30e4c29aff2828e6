"""A stream of nights in memory and every model that a retraining policy may train on it, each fitted once.

A fit leaves, for every later night, the sums that the gate and the governor's measured loss are functions of. So a policy,
a gate, a shadow and a rollback are look-ups. Fits are kept below ``bench/results`` under a key of all they depend on.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sklearn

from drift.verdict import Reference
from lifecycle.comparison import Losses
from lifecycle.training import NIGHT, batch_of, fit, fit_and_hold_out, out_of_fold, recipe_of, reference_nights
from scoring.job import Job
from scoring.rows import Profile, predict, profiled, to_frame
from scoring.settings import HOME
from scoring.stores import LABEL_COLUMN

FIRST = 90
"""Nights that the first champion is trained on."""
SLIDING = 90
CACHE = HOME / "bench" / "results" / "policies"
BINS = 10
SUMS = 5 + 2 * BINS
"""Rows, y, p, log loss, squared error; y and p by tenth of p."""
HONEST_REACH = 60
_ROC = 500
Floats = np.ndarray


@dataclass(frozen=True)
class Version:
    """A model fitted on the nights ``since`` to ``until`` (places, half-open), and how many of them were its holdout."""

    since: int
    until: int
    holdout: int = 0


@dataclass(frozen=True)
class Kept:
    """What the governor's facts need of a version that scores."""

    pipeline: Any
    reference: Reference


@dataclass
class World:
    """A job's nights: rows in key order with label and night, and the fits made on them so far."""

    name: str
    job: Job
    days: list[date]
    rows: pa.Table
    changed: int | None = None
    """Place of the first night on which the outcome depends on the features in another way."""
    fits: dict[tuple[int, int, int], Floats] = field(default_factory=dict)
    seconds: dict[tuple[int, int, int], float] = field(default_factory=dict)
    kept: dict[Version, Kept] = field(default_factory=dict)
    verdicts: dict[Any, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.labelled = self.rows.filter(pc.is_valid(self.rows.column(LABEL_COLUMN))).combine_chunks()
        self.starts, self.labelled_starts = (self._starts(table) for table in (self.rows, self.labelled))

    def _starts(self, table: pa.Table) -> np.ndarray:
        nights = table.column(NIGHT).to_numpy().astype("datetime64[D]")
        if np.any(nights[1:] < nights[:-1]):
            raise AssertionError(f"{self.name}: rows in key order are not in the order of nights")
        edges = np.array([*self.days, self.days[-1]], dtype="datetime64[D]")
        edges[-1] += 1
        return np.searchsorted(nights, edges)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Return the features of the labelled rows."""
        return to_frame(self.labelled, self.job)

    @cached_property
    def outcome(self) -> Floats:
        """Return the labels, shape (labelled rows,)."""
        return np.asarray(pc.cast(self.labelled.column(LABEL_COLUMN), pa.float64()))

    @cached_property
    def night_of(self) -> np.ndarray:
        """Return the place of each labelled row's night."""
        return np.repeat(np.arange(len(self.days)), np.diff(self.labelled_starts))

    def part(self, since: int, until: int, labelled: bool = True) -> pa.Table:
        """Return the rows of some nights."""
        table, starts = (self.labelled, self.labelled_starts) if labelled else (self.rows, self.starts)
        return table.slice(starts[since], starts[until] - starts[since])

    def version(self, window: str, until: int, holdout: int = 0) -> Version:
        """Return what a training that knows the nights before ``until`` makes."""
        return Version(0 if window == "expanding" else max(0, until - SLIDING), until, holdout)

    def sums(self, version: Version) -> Floats:
        """Return the version's sums on every night it had not seen, shape (nights, sums); NaN before."""
        return self._sums(version.since, version.until, 0)

    def honest(self, version: Version) -> Floats:
        """Return the sums of the fit without the version's holdout, on the nights that follow."""
        return self._sums(version.since, version.until - version.holdout, HONEST_REACH)

    def fit_seconds(self, version: Version, honest: bool) -> float:
        """Return the CPU seconds of fitting the version, and of the fit without its holdout if asked."""
        found = self.seconds[version.since, version.until, 0]
        if honest:
            self.honest(version)
            early = (version.since, version.until - version.holdout)
            found += self.seconds.get((*early, 0), self.seconds.get((*early, HONEST_REACH), 0.0))
        return found

    def _sums(self, since: int, until: int, reach: int) -> Floats:
        for key in ((since, until, 0), (since, until, reach)):
            if key in self.fits:
                return self.fits[key]
        began = time.process_time()
        pipeline = fit(self.part(since, until), self.job)
        self.seconds[since, until, reach] = time.process_time() - began
        last = min(until + reach, len(self.days)) if reach else len(self.days)
        span = slice(self.labelled_starts[until], self.labelled_starts[last])
        found = np.full((len(self.days), SUMS), np.nan)
        if span.start < span.stop:
            p = pipeline.predict_proba(self.frame.iloc[span])[:, 1]
            found[until:last] = _by_night(p, self.outcome[span], self.night_of[span], len(self.days))[until:last]
        self.fits[since, until, reach] = found
        return found

    def losses(self, nights: np.ndarray, champion: Floats, challenger: Floats) -> Losses:
        """Return what both say on some nights, for the gate."""
        return Losses(champion[nights, 0], champion[nights, 3], challenger[nights, 3])

    def keep(self, version: Version) -> Kept:
        """Return the version with its reference, made as training makes it."""
        if version not in self.kept:
            split = version.until - version.holdout
            early, late = self.part(version.since, split), self.part(split, version.until)
            weights = fit_and_hold_out(self.job, early, late).weights
            window = self.part(version.since, version.until, labelled=False).combine_chunks()
            pipeline = fit(self.part(version.since, version.until), self.job)
            predictions = out_of_fold(self.job, pipeline, window)
            nights = reference_nights(window, predictions, window.column(NIGHT).combine_chunks(), self.job)
            self.kept[version] = Kept(pipeline, Reference.of(nights, {"weights": weights}, self.job))
        return self.kept[version]

    def profile(self, version: Version, night: int) -> Profile:
        """Return the profile of a night that the version scored, on its own bins."""
        kept, batch = self.keep(version), batch_of(self.part(night, night + 1, labelled=False))
        found = predict(kept.pipeline, batch, self.job)
        return Profile.of(kept.reference.bins, profiled(batch, found, self.job), batch.num_rows)

    # ------------------------------------------------------------ fits that outlive the process

    @cached_property
    def path(self) -> Path:
        """Return the file of the fits: its name holds what they depend on."""
        digest = hashlib.sha256(recipe_of(self.job).encode() + sklearn.__version__.encode())
        digest.update(f"{SUMS} {HONEST_REACH} {self.days[0]}".encode())
        frame = pd.util.hash_pandas_object(self.frame, index=False).to_numpy()
        digest.update(frame.tobytes() + self.outcome.tobytes() + self.labelled_starts.tobytes())
        return CACHE / f"{self.name.replace(' ', '_')}-{digest.hexdigest()[:16]}.npz"

    def load(self) -> bool:
        """Take the fits that an earlier run left; return whether there were any."""
        if not self.path.exists():
            return False
        with np.load(self.path) as kept:
            keys = [tuple(int(place) for place in key) for key in kept["keys"]]
            self.fits = dict(zip(keys, kept["sums"], strict=True))
            self.seconds = dict(zip(keys, kept["seconds"].tolist(), strict=True))
        return True

    def save(self) -> None:
        """Leave the fits for a later run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        keys = list(self.fits)
        arrays = {"keys": np.array(keys), "sums": np.stack([self.fits[key] for key in keys])}
        half = self.path.with_suffix(".half.npz")
        np.savez(half, **arrays, seconds=np.array([self.seconds[key] for key in keys]))
        half.replace(self.path)


def _by_night(p: Floats, y: Floats, night: np.ndarray, nights: int) -> Floats:
    safe = np.clip(p, 1e-15, 1 - 1e-15)
    loss = -(y * np.log(safe) + (1 - y) * np.log1p(-safe))
    sums = [
        np.bincount(night, weights=one, minlength=nights) for one in (np.ones(len(p)), y, p, loss, np.square(p - y))
    ]
    place = night * BINS + np.minimum((p * BINS).astype(np.int64), BINS - 1)
    cells = [np.bincount(place, weights=one, minlength=nights * BINS).reshape(nights, BINS) for one in (y, p)]
    return np.concatenate([np.stack(sums, axis=1), *cells], axis=1)


def as_measured(sums: Floats) -> Floats:
    """Return sums of shape (nights, sums) in the places that ``drift.performance`` has them in.

    Each tenth of the probability stands in its first place of 50, and nothing among the negatives: right for every
    metric but the area under the ROC curve.
    """
    found = np.zeros((len(sums), 5 + 3 * _ROC))
    found[:, :5] = sums[:, :5]
    step = _ROC // BINS
    found[:, 5 : 5 + _ROC : step] = sums[:, 5 : 5 + BINS]
    found[:, 5 + 2 * _ROC :: step] = sums[:, 5 + BINS :]
    return found


def nightly(sums: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Return the mean log loss and the Brier score of each night."""
    stacked = np.stack(sums)
    return stacked[:, 3] / stacked[:, 0], stacked[:, 4] / stacked[:, 0]
