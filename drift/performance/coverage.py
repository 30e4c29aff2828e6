"""Does the interval hold as many outcomes as it is to hold: measured coverage → a verdict, with the reasons in words.

What chance allows comes from nights: rows of a night share its weather, so that a night may miss a third of its outcomes while
the next one misses none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.performance.constant import LEAST_ROWS
from drift.performance.judgement import WINDOWS, Judgement, Level, Rise
from drift.performance.metrics import Floats
from drift.performance.outcomes import nights_of
from drift.performance.training_nights import LEAST_NIGHTS, spread_among
from drift.performance.usual import Nightly, Usual
from scoring.job import Job
from scoring.rows import Band

TOLERATED = 0.02
"""How far coverage may lie from the level whatever chance says, as a share: of 0.9, from 0.88 to 0.92."""
_NIGHT = "nightshift_night"
"""Column of the sample with the night of each row."""


@dataclass(frozen=True)
class CoverageStandard:
    """How far coverage differs from night to night where nothing changes, by the training nights of a version."""

    usual: Usual
    level: float

    @classmethod
    def of(cls, reference: pa.Table | None, band: Band | None, job: Job) -> Self | None:
        """Return what coverage of the job's level is held against, or None without a band or with fewer than 20 nights."""
        if job.interval is None or band is None or reference is None:
            return None
        target = 1 - job.interval.level
        missed = _missed(reference.filter(pc.is_valid(reference.column("outcome"))), band, target)
        if len(missed) < LEAST_NIGHTS:
            return None
        values, rows = np.array(missed).T
        by_chance = float((target * (1 - target) / rows).mean())
        between = max(max(spread_among(values), float(values.std(ddof=1))) ** 2 - by_chance, 0.0)
        usual_rows = float(band.rows / len(missed))
        sd = (between + target * (1 - target) / usual_rows) ** 0.5
        horizon = max(job.label.horizon, 1)
        error = sd / max(len(missed) / horizon, 1.0) ** 0.5
        return cls(Usual(target, error, sd, len(missed) - 1.0, usual_rows, horizon), job.interval.level)


def _missed(sample: pa.Table, band: Band, target: float) -> list[tuple[float, float]]:
    """Return of each night with enough rows the share of outcomes that the interval misses, and its rows."""
    lower, upper = band.limits(sample.column("prediction").to_numpy(), target)
    truth = sample.column("outcome").to_numpy()
    outside, nights = (truth < lower) | (truth > upper), sample.column(_NIGHT)
    shares = []
    for night in nights_of(nights):
        of_night = outside[pc.equal(nights, pa.scalar(night, pa.date32())).to_numpy()]
        if len(of_night) >= LEAST_ROWS:
            shares.append((float(of_night.mean()), float(len(of_night))))
    return shares


@dataclass(frozen=True)
class Coverage:
    """The verdict on the coverage of a measured night, of the nights before it, and what it comes from."""

    level: float
    verdict: Level | None
    reasons: tuple[str, ...]
    windows: dict[str, Rise]

    def as_json(self) -> dict[str, Any]:
        """Return what the verdict comes from, for JSON."""
        return {"level": self.level, "windows": {name: asdict(rise) for name, rise in self.windows.items()}}


def coverage_of(missed: Nightly, standard: CoverageStandard) -> Coverage:
    """Return the verdict on the last of ``missed``, the shares that nights of one version and level missed, oldest first.

    Too many missed are a warning or an alert as with every other metric; too few, which is too wide an interval, a warning.
    """
    windows, reasons, verdicts = {}, [], []
    for name, (count, needed) in WINDOWS.items():
        nights = missed.last(count)
        if len(nights) < needed or (name == "night" and nights.rows.sum() < LEAST_ROWS):
            continue
        rise = _rise(nights, standard.usual)
        windows[name] = rise
        verdicts.append(rise.verdict)
        if rise.verdict != "ok":
            reasons.append(_words(name, rise, standard))
    return Coverage(standard.level, _worst(verdicts), tuple(reasons), windows)


def _rise(nights: Nightly, usual: Usual) -> Rise:
    """Return how far the missed share lies above its target; below it, a warning is the most."""
    above = Rise.of(nights, usual, TOLERATED)
    if above.verdict == "ok" and above.high < -TOLERATED:
        return replace(above, verdict="warn")
    return above


def _worst(verdicts: Sequence[Level]) -> Level | None:
    order: tuple[Level, ...] = ("alert", "warn", "ok")
    return next((level for level in order if level in verdicts), None)


def _words(name: str, rise: Rise, standard: CoverageStandard) -> str:
    what = "the night" if name == "night" else f"the last {rise.nights} measured nights"
    level, confidence = standard.level, 100 * rise.confidence
    side = "too narrow" if rise.value > 0 else "wider than they need be"
    held, low, high = (100 * (level - value) for value in (rise.value, rise.high, rise.low))
    return (
        f"intervals are {side}: they hold {held:.1f} % of the outcomes of {what} "
        f"({confidence:g} % interval {low:.1f} to {high:.1f} %), expected {100 * level:g} %"
    )


def with_coverage(judgement: Judgement, coverage: Coverage | None) -> Judgement:
    """Return a night's verdict with that on its coverage: the worse of both counts."""
    if coverage is None:
        return judgement
    both = [verdict for verdict in (judgement.verdict, coverage.verdict) if verdict is not None]
    reasons = (*coverage.reasons, *judgement.reasons)
    return replace(judgement, verdict=_worst(both), reasons=reasons, coverage=coverage.as_json())


def missed_shares(days: Sequence[Any], covered: Sequence[float], rows: Sequence[float]) -> Nightly:
    """Return the shares that nights missed, from those that they covered."""
    missed: Floats = 1 - np.asarray(covered, dtype=np.float64)
    return Nightly(tuple(days), missed, np.asarray(rows, dtype=np.float64))
