"""A verified version, ready for rows at any time, and the versions that answer for a job together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Self

import numpy as np
import pyarrow as pa

from scoring.interval import DataInterval
from scoring.job import Job
from scoring.rows import Contract, row_hashes
from scoring.stores.registry import ModelVersion, VersionReasons
from serving.plain_rows import PlainRows

_ALWAYS = DataInterval(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
"""A request belongs to no night, so that no time lies outside of its interval."""
_SHARES = 2.0**64
"""Hashes of keys that there are."""


@dataclass(frozen=True)
class Served:
    """A loaded version with what is needed to answer by it, made once."""

    job: Job
    version: ModelVersion = field(repr=False)
    contract: Contract = field(repr=False)
    plain: PlainRows = field(repr=False)
    threshold: float | None
    reasons: Callable[[], VersionReasons] = field(repr=False)
    """Gives what explains the version's predictions. Raises ``PredictionError`` where that is not possible."""
    _alone: Lock = field(repr=False, default_factory=Lock)

    @classmethod
    def of(cls, version: ModelVersion, job: Job, reasons: Callable[[], VersionReasons]) -> Self:
        """Return a version that was loaded, and so verified. ``reasons`` makes what explains it, when it is first asked for."""
        threshold = version.rule.decision.threshold if version.rule is not None else None
        contract = Contract(job, _ALWAYS, version.categories)
        return cls(job, version, contract, PlainRows(job, version.categories), threshold, reasons)

    @property
    def number(self) -> int:
        """Return the number of the version."""
        return self.version.ref.version

    def predict(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return one prediction per row. A pipeline that may hold state while it predicts does so for one caller at a time."""
        with self._turn():
            return self.version.predict(rows, self.job, self.miss)

    @property
    def miss(self) -> float | None:
        """Return the share of outcomes that intervals are to miss, by the job file, or None for a job without intervals."""
        return None if self.job.interval is None else 1 - self.job.interval.level

    def contributions(self, rows: pa.RecordBatch, predictions: pa.RecordBatch, top: int) -> list[list[dict[str, Any]]]:
        """Return the ``top`` features that add to each prediction or take away from it. Raises ``PredictionError``."""
        said = self.reasons().of(rows, predictions, top).select(["feature", "value", "contribution"]).to_pylist()
        each = len(said) // rows.num_rows
        return [said[place : place + each] for place in range(0, len(said), each)]

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with nullcontext() if self.version.stateless else self._alone:
            yield


@dataclass(frozen=True)
class Answering:
    """The versions that answer for a job, replaced as a whole: a request takes them once, and so never mixes two of these."""

    champion: Served
    challenger: Served | None = None
    share: float = 0.0
    """Share of the keys that the challenger answers for."""
    shadow: bool = False
    """Whether the challenger scores the champion's rows too, after they were answered."""

    @property
    def inline(self) -> bool:
        """Return whether few rows are scored faster than they are handed to a thread: no code of the pipeline's steps runs.

        A version in an environment of its own answers from another process, which is waited for elsewhere.
        """
        asked = [self.champion, *([self.challenger] if self.challenger is not None and self.share else [])]
        return all(served.version.stateless and not served.version.elsewhere for served in asked)

    def challenged(self, rows: pa.RecordBatch) -> np.ndarray | None:
        """Return which rows are the challenger's, or None if there is none. A key is always on the same side.

        The hash is mixed with the version, so that it is not the same customers who meet every challenger.
        """
        if self.challenger is None or not self.share:
            return None
        keys = rows.select(list(self.champion.job.key))
        salt = pa.array(np.full(rows.num_rows, self.challenger.number))
        hashes = row_hashes(pa.RecordBatch.from_arrays([*keys.columns, salt], [*keys.schema.names, ".version"]))
        return np.asarray(hashes.astype(np.float64) < self.share * _SHARES)
