"""What a serving process counts, for Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from scoring import metrics
from scoring.metrics import Sample
from serving.champions import Seat
from serving.journal import Journal

LIMITS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds up to which answers are counted: a single row takes one or a few milliseconds, 10,000 some tenths of a second."""


@dataclass
class Counted:
    """The counts of one job since the process began."""

    statuses: Counter[int] = field(default_factory=Counter)
    rows: Counter[int] = field(default_factory=Counter)
    """Scored rows by version."""
    refused: int = 0
    seconds: float = 0.0
    _buckets: list[int] = field(default_factory=lambda: [0] * (len(LIMITS) + 1))

    def took(self, seconds: float) -> None:
        """Count the time of an answer."""
        self.seconds += seconds
        self._buckets[bisect_left(LIMITS, seconds)] += 1

    def samples(self, seat: Seat, journal: Journal) -> Iterator[Sample]:
        """Yield the values of every metric of a job."""
        job = {"job": seat.job.name}
        for status, count in sorted(self.statuses.items()):
            yield Sample(metrics.REQUESTS, count, {**job, "status": str(status)})
        for version, count in sorted(self.rows.items()):
            yield Sample(metrics.REQUEST_ROWS, count, {**job, "model_version": str(version)})
        yield Sample(metrics.REFUSED_ROWS, self.refused, job)
        yield from self._histogram(job)
        yield Sample(metrics.UNRECORDED, journal.lost, job)
        yield Sample(metrics.JOURNAL_BYTES, journal.pending, job)
        if seat.answering is not None:
            yield Sample(metrics.SERVED_VERSION, 1, {**job, "model_version": str(seat.answering.champion.number)})
        yield Sample(metrics.TAKEOVER_FAILURES, seat.failures, job)
        yield Sample(metrics.TAKEOVER_PROBLEM, seat.problem is not None, job)

    def _histogram(self, job: dict[str, str]) -> Iterator[Sample]:
        total = 0
        for limit, count in zip((*map(str, LIMITS), "+Inf"), self._buckets, strict=True):
            total += count
            yield Sample(metrics.REQUEST_SECONDS, total, {**job, "le": limit}, "_bucket")
        yield Sample(metrics.REQUEST_SECONDS, self.seconds, job, "_sum")
        yield Sample(metrics.REQUEST_SECONDS, total, job, "_count")
