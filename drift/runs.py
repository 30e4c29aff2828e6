"""What monitoring reads of a scored run: its night, its version, the nights before it."""

from __future__ import annotations

from datetime import date

from drift.verdict import UNUSUAL, Night, Past, Reference, by_column
from scoring.errors import RunMissing
from scoring.rows import Profile, merged
from scoring.stores import RunFolder, Stores, Workspace
from scoring.stores.registry import NIGHTS_FILE, VersionRef
from scoring.stores.warehouse import Run, Span, ledger, monitoring

SCORED = ("published", "held", "superseded")


def reference_of(work: Workspace, ref: VersionRef) -> Reference:
    """Return what a version keeps of the data it was trained on. Nothing is unpickled."""
    nights, profile = (work.registry.content(ref, name) for name in (NIGHTS_FILE, "reference_profile.json"))
    return Reference.of(nights, profile, work.job)


def scored_run(work: Workspace, run_id: str) -> Run:
    """Return a run whose rows were all scored. Raises ``RunMissing`` otherwise."""
    run = ledger.get(work.warehouse, run_id, work.job.name)
    if run.status not in SCORED:
        raise RunMissing(f"run {run_id}", found=f"status {run.status}", expected=f"one of {', '.join(SCORED)}")
    return run


def published_run(work: Workspace, night: date) -> Run:
    """Return the run that a night shows, or the last held one. Raises ``RunMissing`` when there is neither."""
    run_id = ledger.published(work.warehouse, work.job.name, night).get(night)
    if run_id is not None:
        return ledger.get(work.warehouse, run_id)
    held_runs = [run for run in ledger.runs_of(work.warehouse, work.job.name, night) if run.status == "held"]
    if not held_runs:
        raise RunMissing(
            f"night {night} of {work.job.name}",
            found="no published and no held run",
            expected="a scored night",
            next_step=f"nightshift run {work.job.name} --night {night}",
        )
    return held_runs[-1]


def night_of_run(work: Workspace, run: Run) -> Night:
    """Return what is compared of a run: the merged profiles of its chunks, and its quarantine by column.

    Raises ``RunMissing`` for a run without profiles.
    """
    folder = RunFolder(work.lake, run)
    missing = len(folder.unprofiled())
    if missing:
        raise RunMissing(
            f"profiles of run {run.run_id}",
            found=f"{missing} of {run.chunks} chunks have none",
            expected="one per chunk",
            next_step=f"score the night again: nightshift run {work.job.name} --night {run.night}",
        )
    return Night(merged(folder.profiles()), by_column(run.quarantine_reasons or {}))


def past_of(stores: Stores, span: Span, version: int) -> list[Past]:
    """Return the published nights of a span that a version scored, with their verdicts, oldest first."""
    rows = monitoring.profiles(stores.warehouse, span, version)
    flags = _unusual(stores, [row.run_id for row in rows])
    return [
        Past(
            row.night,
            Profile.from_dict(row.profile),
            row.verdict,
            row.score or 0.0,
            row.faults or [],
            flags.get(row.run_id, {}),
        )
        for row in rows
    ]


def _unusual(stores: Stores, run_ids: list[str]) -> dict[str, dict[str, bool]]:
    flags: dict[str, dict[str, bool]] = {}
    for row in monitoring.columns_of(stores.warehouse, run_ids):
        flags.setdefault(row.run_id, {})[row.column_name] = row.status in UNUSUAL
    return flags
