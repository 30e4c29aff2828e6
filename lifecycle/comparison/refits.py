"""The refits of a job and what they lost on nights that they had not seen, measured on the rows of a retraining.

Versions that were refused count like those that were promoted. Where a recipe has few refits, some are made inside the
window and not kept, only their losses are (rolling origins: Tashman 2000).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from drift.performance import nights_of
from lifecycle.comparison.recipe import Refit
from lifecycle.comparison.same_rows import CHALLENGER, SameRows
from lifecycle.training import NIGHT, Snapshot, batch_of, fit, fits, parted, recipe_of, unseen_from
from scoring.errors import ArtifactMismatch, DeclarationMismatch, JobFileError, VersionMissing
from scoring.interval import Nights
from scoring.job import Job
from scoring.rows import Rule, decision_of, predict
from scoring.stores import Workspace
from scoring.stores.registry import VersionRef
from scoring.stores.warehouse import NightLoss, RefitLoss, refits

FOLLOWED_NIGHTS = 120
"""Nights after its training that a version is measured on: its own stretch, and those in which it is the older side."""
ORIGINS = 8
"""Refits of a recipe below which some are made inside the window."""
SPACING_NIGHTS = 7
"""Nights between those, at least: a week, so that weekdays do not matter."""
LEAST_SHARE = 1 / 3
"""Share of the window that the first of them is fitted on."""

NO_LONGER_SCORED = (ArtifactMismatch, DeclarationMismatch, JobFileError, VersionMissing)
"""Errors of a version that cannot be loaded any more: it tells nothing of new nights, what it was measured on stands."""


@dataclass(frozen=True)
class _Fit:
    """A fit of which the nights from ``unseen`` on are measured."""

    recipe: str
    version: int
    until: date
    unseen: date


def measured_refits(work: Workspace, snapshot: Snapshot, champion: VersionRef) -> tuple[list[Refit], list[Refit]]:
    """Return the refits by the job's recipe, and those by the champion's, both measured on the snapshot's nights too."""
    own = recipe_of(work.job)
    other = work.registry.facts(champion).recipe_sha256 or own
    for recipe in {own, other}:
        _measure_versions(work, snapshot, recipe)
    losses = refits.of_recipes(work.warehouse, work.job.name, {own, other})
    if len(_refits(losses, own)) < ORIGINS:
        _measure_origins(work, snapshot, own)
        losses = refits.of_recipes(work.warehouse, work.job.name, {own, other})
    return _refits(losses, own), _refits(losses, other)


def _refits(losses: Iterable[RefitLoss], recipe: str) -> list[Refit]:
    nights: dict[tuple[date, int], dict[date, NightLoss]] = {}
    for loss in losses:
        if loss.recipe_sha256 == recipe:
            of_fit = nights.setdefault((loss.until, loss.model_version), {})
            of_fit[loss.night] = NightLoss(loss.rows, loss.loss, loss.groups)
    return [Refit(version or None, until, of_fit) for (until, version), of_fit in nights.items()]


def _measure_versions(work: Workspace, snapshot: Snapshot, recipe: str) -> None:
    """Measure the recipe's versions on the snapshot's nights that they have neither seen nor been measured on."""
    measured = {(loss.model_version, loss.night) for loss in refits.of_recipes(work.warehouse, work.job.name, [recipe])}
    for ref in work.registry.tagged(work.job.name, recipe_sha256=recipe):
        until = work.registry.facts(ref).seen.until
        if until >= snapshot.window.until or until + timedelta(days=FOLLOWED_NIGHTS) <= snapshot.window.first:
            continue
        made = _Fit(recipe, ref.version, until, unseen_from(work.job, until))
        rows = _rows(snapshot, made, {night for version, night in measured if version == ref.version})
        if not rows.num_rows:
            continue
        try:
            model = work.registry.load(ref, work.job)
        except NO_LONGER_SCORED:
            continue
        predictions = model.predict(batch_of(rows), work.job)
        refits.save(work.warehouse, _losses(work.job, made, rows, predictions, work.clock()))


def _rows(snapshot: Snapshot, made: _Fit, measured: set[date]) -> pa.Table:
    """Return the labelled rows of the nights that a fit is to be measured on."""
    rows = snapshot.rows.labelled
    nights = [
        night
        for night in nights_of(rows.column(NIGHT))
        if made.unseen <= night < made.until + timedelta(days=FOLLOWED_NIGHTS) and night not in measured
    ]
    return rows.filter(pc.is_in(rows.column(NIGHT), pa.array(nights, pa.date32())))


def _measure_origins(work: Workspace, snapshot: Snapshot, recipe: str) -> None:
    """Fit the recipe on beginnings of the window, and measure each fit on the nights that follow."""
    labelled, job = snapshot.rows.labelled, work.job
    for until in origins(snapshot.window):
        early, _ = parted(labelled, until)
        made = _Fit(recipe, 0, until, unseen_from(job, until))
        rows = _rows(snapshot, made, set())
        if early.num_rows < job.training.min_rows or not fits(early, job) or not rows.num_rows:
            continue
        pipeline = fit(early, job)
        predictions = predict(pipeline, batch_of(rows), job, Rule(decision_of(pipeline, job)))
        refits.save(work.warehouse, _losses(job, made, rows, predictions, work.clock()))


def origins(window: Nights) -> Iterator[date]:
    """Yield the ends of the beginnings of a window that refits are made on, the latest first."""
    nights = len(window)
    shortest = max(int(nights * LEAST_SHARE), 1)
    spacing = max(SPACING_NIGHTS, (nights - shortest) // ORIGINS)
    for back in range(spacing, nights - shortest + 1, spacing):
        yield window.until - timedelta(days=back)


def _losses(job: Job, made: _Fit, rows: pa.Table, predictions: pa.RecordBatch, now: datetime) -> Iterator[RefitLoss]:
    """Yield the loss on each night of the rows."""
    both = SameRows(job, rows, {CHALLENGER: pa.Table.from_batches([predictions])})
    for night, of_night in both.night_losses(CHALLENGER).items():
        key = (job.name, made.recipe, made.version, made.until, night)
        yield RefitLoss(*key, of_night.rows, of_night.loss, of_night.groups, now)
