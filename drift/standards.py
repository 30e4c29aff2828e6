"""What a version's nights are held against, and the verdict on one that has just been measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from drift.performance import (
    WORSE,
    Coverage,
    CoverageStandard,
    Floats,
    Judgement,
    Nightly,
    Outcomes,
    Standard,
    coverage_of,
    judge,
    metrics_of,
    missed_shares,
    stacked,
    with_coverage,
)
from scoring.errors import Permanent, described
from scoring.interval import Nights
from scoring.job import Job
from scoring.stores import RunFolder, Workspace
from scoring.stores.registry import HOLDOUT_FILE, VersionRef, band_of
from scoring.stores.warehouse import Measured, Run, Span, monitoring


@dataclass(frozen=True)
class Since:
    """What a version is held against, and the first night whose outcome overlaps none that it was trained on."""

    first: date
    standard: Standard | None
    problem: str | None = None
    """Why nothing can be said of the version's nights: its files are gone, or do not say when it was trained."""
    coverage: CoverageStandard | None = None
    """What the coverage of its intervals is held against, for a job that has some."""


@dataclass
class Standards:
    """What versions are held against, each read once."""

    work: Workspace
    _read: dict[VersionRef, Since] = field(default_factory=dict)

    def of(self, ref: VersionRef) -> Since:
        """Return what a version is held against."""
        if ref not in self._read:
            try:
                self._read[ref] = since_training(self.work, ref)
            except Permanent as error:  # what was measured stands, and old versions may be gone
                self._read[ref] = Since(date.max, None, described(error))
        return self._read[ref]

    def judged(self, run: Run, known_at: date, outcomes: Outcomes, sums: Floats) -> Judgement:
        """Return the verdict on a run's night by the labels of the end of ``known_at``; ``sums`` are the night's own."""
        work, since = self.work, self.of(RunFolder(self.work.lake, run).version_ref())
        if since.problem is not None:
            return Judgement.none(since.problem)
        if run.night < since.first:
            return Judgement.none(f"version {run.model_version} was trained on this night or on later ones")
        span = Span(work.job.name, Nights(since.first, run.night))
        rows = monitoring.performance(work.warehouse, span, known_at)
        tonight = Nightly.of([run.night], sums[None, :], work.job)
        nights = nightly_of(rows, run.model_version, work.job) + tonight
        constant = since.standard.constant if since.standard is not None else None
        gap = constant.gap(outcomes.predictions, outcomes.outcome, work.job) if constant is not None else None
        judgement = judge(nights, since.standard, gap, work.job)
        return with_coverage(judgement, self._coverage(run, since.coverage, rows, sums))

    def _coverage(
        self, run: Run, standard: CoverageStandard | None, before: Sequence[Measured], sums: Floats
    ) -> Coverage | None:
        """Return the verdict on the coverage of a run's night, after those of its version that had the same level."""
        pinned = RunFolder(self.work.lake, run).pinned_interval(self.work.job)
        tonight = metrics_of(sums, self.work.job).get("coverage")
        if standard is None or pinned is None or tonight is None or pinned.level != standard.level:
            return None
        own = [row for row in before if row.model_version == run.model_version and _level(row) == pinned.level]
        covered = [*(row.metrics["coverage"]["value"] or 0.0 for row in own), float(tonight)]
        rows = [*(row.rows_labelled for row in own), float(sums[0])]
        return coverage_of(missed_shares([*(row.night for row in own), run.night], covered, rows), standard)


def since_training(work: Workspace, ref: VersionRef) -> Since:
    """Return what a version is held against, and from which night on. Nothing is unpickled."""
    first = work.registry.facts(ref).trained_until + timedelta(days=work.job.label.horizon)
    holdout, reference = (work.registry.table(ref, name) for name in (HOLDOUT_FILE, "reference.parquet"))
    band = band_of(work.registry.files(ref)) if work.job.interval is not None else None
    coverage = CoverageStandard.of(reference, band, work.job)
    return Since(first, Standard.of(holdout, reference, work.job), coverage=coverage)


def _level(row: Measured) -> float | None:
    """Return the level of the intervals whose coverage was judged on a night."""
    return ((row.judgement or {}).get("coverage") or {}).get("level")


def nightly_of(rows: Sequence[Measured], version: int, job: Job) -> Nightly:
    """Return the primary metric of the measured nights that a version scored, oldest first."""
    own = [row for row in rows if row.model_version == version]
    days = [row.night for row in own]
    return Nightly.of(days, stacked([row.sums for row in own]), job) if own else Nightly.none()


def worse_than_constant(row: Measured) -> str | None:
    """Return in words that a measured night was worse than always saying the same, or None if that is not established."""
    gap = (row.judgement or {}).get("constant") or {}
    if gap.get("low") is None or gap["low"] <= 0:
        return None
    return next(reason for reason in row.reasons if reason.startswith(WORSE))
