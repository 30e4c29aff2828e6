"""Drift of the nights that a version scores in a backtest: its reference, the nights' profiles, the verdicts."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from drift.verdict import Night, Past, Reference, Verdict, earliest, verdict_on
from lifecycle.backtest.fits import Fits
from lifecycle.backtest.history import Version
from lifecycle.training import NIGHT, batch_of, fit_and_hold_out, out_of_fold, reference_nights
from scoring.rows import Profile, Rule, decision_of, predict, profiled

PROFILED = 30
"""Nights whose profiles are made and kept together: few versions are champion for longer."""
Content = dict[str, Any]


@dataclass
class Watch:
    """The verdicts of one life. References and profiles are kept beside the fits, so they are made once."""

    fits: Fits
    _references: dict[Version, Reference] = field(default_factory=dict)
    _profiles: dict[tuple[Version, int], dict[int, Profile]] = field(default_factory=dict)
    _judged: dict[Version, dict[int, Verdict | None]] = field(default_factory=dict)
    _past: dict[Version, list[Past]] = field(default_factory=dict)

    def verdicts(self, version: Version, nights: list[int]) -> list[Verdict | None]:
        """Return the verdict on each of the nights that a version scored, oldest first; None for a night without rows."""
        judged = self._judged.setdefault(version, {})
        for night in nights:
            if night not in judged:
                judged[night] = self._judge(version, night)
        return [judged[night] for night in nights]

    def _judge(self, version: Version, night: int) -> Verdict | None:
        """Return the verdict on a night, next to the nights before it that the version scored."""
        profile, history = self._profile(version, night), self.fits.history
        if profile is None:
            return None
        day, past = history.day(night), self._past.setdefault(version, [])
        near = [row for row in past if row.night >= earliest(history.job, day)]
        verdict = verdict_on(self._reference(version), near, day, Night(profile))
        past.append(Past.of(day, profile, verdict))
        return verdict

    def _reference(self, version: Version) -> Reference:
        """Return what the version keeps of its training data, made as training makes it."""
        if version not in self._references:
            content = self._kept(version, "reference", lambda: self._made_reference(version))
            job = self.fits.history.job
            self._references[version] = Reference.of(content["nights"], {"weights": content["weights"]}, job)
        return self._references[version]

    def _made_reference(self, version: Version) -> Content:
        history, job = self.fits.history, self.fits.history.job
        self.fits.progress(f"reference of the nights before {history.day(version.until)}", 0)
        split, early = max(version.since, version.until - version.holdout), self.fits.early(version)
        late = history.part(split, version.until)
        weights = fit_and_hold_out(job, history.part(version.since, max(early, version.since)), late).weights
        window = history.part(version.since, version.until, labelled=False).combine_chunks()
        pipeline = self.fits.pipeline((version.since, self.fits.fitted_until(version)))
        predictions = out_of_fold(job, pipeline, window)
        nights = reference_nights(window, predictions, window.column(NIGHT).combine_chunks(), job)
        return {"weights": weights, "nights": nights}

    def _profile(self, version: Version, night: int) -> Profile | None:
        """Return the profile of a night that the version scored, on its own bins, or None for a night without rows."""
        block = (night - version.until) // PROFILED
        if (version, block) not in self._profiles:
            content = self._kept(version, f"profiles-{block}", lambda: self._made_profiles(version, block))
            profiles = {int(place): Profile.from_dict(profile) for place, profile in content.items()}
            self._profiles[version, block] = profiles
        return self._profiles[version, block].get(night)

    def _made_profiles(self, version: Version, block: int) -> Content:
        history, job = self.fits.history, self.fits.history.job
        pipeline = self.fits.pipeline((version.since, self.fits.fitted_until(version)))
        rule, bins = Rule(decision_of(pipeline, job)), self._reference(version).bins
        first = version.until + block * PROFILED
        content: Content = {}
        for night in range(first, min(first + PROFILED, len(history))):
            batch = batch_of(history.part(night, night + 1, labelled=False))
            if batch.num_rows:
                columns = profiled(batch, predict(pipeline, batch, job, rule), job)
                content[str(night)] = Profile.of(bins, columns, batch.num_rows).as_dict()
        return content

    def _kept(self, version: Version, what: str, make: Callable[[], Content]) -> Content:
        """Return what lies in the version's file, made first when it is not there."""
        path = self.fits.file(f"{what}-{version.since:04}-{version.until:04}-{version.holdout}.json.gz")
        if path is not None and path.exists():
            return _read(path)
        content: Content = json.loads(json.dumps(make(), default=_as_json))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_name(f".half-{path.name}")
            half.write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))
            half.replace(path)
        return content


def _read(path: Path) -> Content:
    content: Content = json.loads(gzip.decompress(path.read_bytes()))
    return content


def _as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else float(value)
