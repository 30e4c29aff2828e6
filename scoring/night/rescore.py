"""Rescores published nights with a chosen model version, and reports the differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from scoring.errors import LakeFileBroken, LakeFileMissing, NightHeld, NightshiftError, described
from scoring.interval import Nights
from scoring.night.difference import Difference, diff_runs
from scoring.night.request import NightRequest
from scoring.night.run import run_night
from scoring.progress import Progress, silent
from scoring.stores import Workspace
from scoring.stores.warehouse import Action, Run, ledger, record_action

NOT_PUBLISHED = "not published"


@dataclass(frozen=True)
class Rescored:
    """The result for one night. ``difference`` compares the run that was published before with the new run."""

    night: date
    status: str
    """``published``, ``superseded`` (a run that began later is shown), ``held``, ``failed`` or ``not published``."""
    problem: str | None = None
    difference: Difference | None = None
    run_id: str | None = None
    """The new run, if there is one that was scored."""

    @property
    def same_snapshot(self) -> bool | None:
        """Return whether both runs saw the same rows, or None when nothing was compared."""
        if self.difference is None:
            return None
        return bool(self.difference.first.snapshot_hash == self.difference.second.snapshot_hash)


def rescore(
    work: Workspace, nights: Nights, model_version: int, reason: str, progress: Progress = silent
) -> Iterator[Rescored]:
    """Yield the result for each night of ``nights``, rescored with ``model_version``.

    A published night gets a new publication. The run that was published before is superseded and stays in ``…_as_of``. A
    night without publication is skipped. A night that is held or fails keeps its publication, and the other nights go on.
    Before anything is scored: raises ``NightError`` when there are no nights, and ``VersionMissing``.
    """
    nights.require("nights to rescore")
    ref = work.registry.resolve(work.job.name, model_version)
    days = nights.in_timezone(work.job.schedule.timezone)
    subject = f"nights {nights.first} to {nights.last} with version {ref.version}"
    with work.warehouse.transaction() as connection:
        record_action(connection, Action(work.job.name, "rescored", subject, reason, work.clock()))
    why = f"rescored with version {ref.version}: {reason}"
    return (_score_again(work, night, ref.version, why, progress) for night in days)


def _score_again(work: Workspace, night: date, model_version: int, why: str, progress: Progress) -> Rescored:
    published = ledger.published(work.warehouse, work.job.name, night).get(night)
    if published is None:
        return Rescored(night, NOT_PUBLISHED)
    before = ledger.get(work.warehouse, published, work.job.name)
    request = NightRequest(night, work.clock(), "rescore", model_version=model_version)
    try:
        publication = run_night(work, request, progress)
    except NightHeld as error:
        return Rescored(night, "held", str(error), run_id=request.run_id)
    except NightshiftError as error:
        return Rescored(night, "failed", described(error))
    if publication.status == "published":
        ledger.record(work.warehouse, publication.run_id, reason=why)
    return _compared(work, before, publication.run_id)


def _compared(work: Workspace, before: Run, run_id: str) -> Rescored:
    after = ledger.get(work.warehouse, run_id, work.job.name)
    try:
        return Rescored(before.night, after.status, None, diff_runs(work, before, after), run_id)
    except LakeFileBroken as error:
        return Rescored(before.night, after.status, f"not compared: {error}", run_id=run_id)
    except LakeFileMissing:
        return Rescored(
            before.night, after.status, f"not compared: files of run {before.run_id} are missing", run_id=run_id
        )
