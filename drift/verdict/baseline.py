"""A job's nights in order: which of them a night is compared with, and what the nights before it were like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from drift.verdict.calibration import Calibration, calibrate
from drift.verdict.matched import TOGETHER, Dated
from drift.verdict.verdict import Baseline, Night, Verdict, judge, watched_of
from scoring.job import Job
from scoring.rows import Bins, Profile, bins_from, merged

WINDOW = 7
"""Nights that are taken together to see what lasts: a week, so that weekdays do not matter."""
LEAST_OF_WINDOW = 4
"""Nights of the window that must be there, the judged one included."""
BROKEN_SCORE = 5.0
"""Nights with a score above this, or with a fault, are left out of the baseline."""
LEARNT_AFTER = 7
"""After this many such nights in a row they are taken into the baseline after all: the change is the new normal."""


@dataclass(frozen=True)
class Past:
    """One earlier night: its profile and what the verdict on it was."""

    night: date
    profile: Profile
    verdict: str | None = None
    score: float = 0.0
    faults: Sequence[str] = ()
    unusual: Mapping[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, night: date, profile: Profile, verdict: Verdict) -> Past:
        """Return a night that was just judged."""
        unusual = {column.column: column.unusual for column in verdict.columns}
        return cls(night, profile, verdict.verdict, verdict.score, verdict.faults, unusual)

    @property
    def suspect(self) -> bool:
        """Return whether the night may be the first of something that lasts."""
        return self.broken or self.verdict in ("warn", "alert")

    @property
    def broken(self) -> bool:
        """Return whether the night is left out of the baseline."""
        return bool(self.faults) or self.score > BROKEN_SCORE


@dataclass(frozen=True)
class Reference:
    """What a model version keeps of the data it was trained on."""

    bins: Mapping[str, Bins]
    nights: Mapping[date, Profile]
    weights: Mapping[str, float]
    quarantined: Mapping[str, float]
    job: Job

    @classmethod
    def of(cls, nights: Mapping[str, Any], profile: Mapping[str, Any], job: Job) -> Reference:
        """Return what the version's ``reference_nights.json`` and ``reference_profile.json`` say."""
        profiles = {
            date.fromisoformat(night): Profile.from_dict(content) for night, content in nights.get("nights", {}).items()
        }
        quarantine = nights.get("quarantined", {"extracted": 0, "reasons": {}})
        shares = {
            name: rows / max(quarantine["extracted"], 1) for name, rows in by_column(quarantine["reasons"]).items()
        }
        return cls(bins_from(nights.get("bins", {})), profiles, profile.get("weights", {}), shares, job)

    @cached_property
    def weeks(self) -> Calibration:
        """Return the calibration of weeks against the training nights."""
        ordered = [self.nights[night] for night in sorted(self.nights)]
        window = min(WINDOW, max(len(ordered) - 1, 1))
        return calibrate(ordered, self.bins, watched_of(self.job), window, self.job.is_snapshot)


def by_column(reasons: Mapping[str, int]) -> dict[str, int]:
    """Return quarantined rows by column, from reasons such as ``seats:below_min``. A column's largest reason counts.

    >>> by_column({"seats:below_min": 3, "seats:null": 5, "duplicate_key": 1})
    {'seats': 5}
    """
    largest: dict[str, int] = {}
    for reason, rows in reasons.items():
        column, colon, _ = reason.rpartition(":")  # a column's name may hold one, a rule's does not
        if colon:
            largest[column] = max(rows, largest.get(column, 0))
    return largest


def earliest(job: Job, night: date) -> date:
    """Return the first night that may be in the baseline of ``night``: there is room for some that are missing or broken."""
    return night - timedelta(days=2 * job.monitor.baseline_nights)


def baseline_of(reference: Reference, past: Sequence[Past], night: date) -> Baseline:
    """Return the last nights before ``night``, of training or scored since, that are normal.

    A night that was unusual is left out while ``monitor.persistence`` still counts it. Otherwise a lasting fault would enter the
    baseline at once, and alarm only once.
    """
    earlier = [past_night for past_night in past if earliest(reference.job, night) <= past_night.night < night]
    recent = earlier[-LEARNT_AFTER:]
    of = reference.job.monitor.persistence[1]
    waiting = {
        past_night.night
        for past_night in earlier
        if past_night.suspect and night - timedelta(days=of) < past_night.night
    }
    changed = len(recent) == LEARNT_AFTER and all(past_night.broken for past_night in recent)
    profiles = {day: profile for day, profile in reference.nights.items() if day < night}
    for past_night in earlier:
        profiles.pop(past_night.night, None)
        if changed or not (past_night.broken or past_night.night in waiting):
            profiles[past_night.night] = past_night.profile
    days = sorted(profiles)[-reference.job.monitor.baseline_nights :]
    nights = [profiles[day] for day in days]
    return Baseline(reference.bins, nights, reference.weights, reference.quarantined, days)


def lately(past: Sequence[Past], night: date, profile: Profile) -> Dated:
    """Return a night's profile after those of the one or two nights directly before it, which were scored too."""
    since = night - timedelta(days=TOGETHER)
    before = [past_night for past_night in past if since < past_night.night < night]
    days = [past_night.night for past_night in before]
    return Dated([*days, night], [*(past_night.profile for past_night in before), profile])


def sustained(reference: Reference, past: Sequence[Past], night: date, profile: Profile) -> dict[str, float]:
    """Return each column's ratio of the last 7 nights together to the weeks of training. Empty with too few nights."""
    week = [past_night.profile for past_night in past if night - timedelta(days=WINDOW) < past_night.night < night]
    if len(week) + 1 < LEAST_OF_WINDOW or not reference.nights:
        return {}
    ratios: dict[str, float] = {}
    for measurement in reference.weeks.measure(merged([*week, profile]), len(week) + 1):
        ratios[measurement.column] = max(measurement.normalised_excess, ratios.get(measurement.column, 0.0))
    return ratios


def verdict_on(reference: Reference, past: Sequence[Past], night: date, observation: Night) -> Verdict:
    """Return the verdict on a night, from the version's reference and the nights before."""
    of = reference.job.monitor.persistence[1]
    before = [past_night.unusual for past_night in past if night - timedelta(days=of) < past_night.night < night]
    baseline = replace(baseline_of(reference, past, night), lately=lately(past, night, observation.profile))
    return judge(observation, baseline, reference.job, before, sustained(reference, past, night, observation.profile))
