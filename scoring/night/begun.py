"""The job of a run as its file was when the run began: all tasks of a night see the same, whatever is edited meanwhile."""

from __future__ import annotations

from dataclasses import replace

from scoring.errors import LakeFileMissing
from scoring.stores import RunFolder, Workspace
from scoring.stores.warehouse import ledger


def as_begun(work: Workspace, run_id: str) -> Workspace:
    """Return the workspace with the job that a run began with. Runs without a record of it go on with the present file.

    Raises ``RunMissing`` for a run that the ledger does not have.
    """
    run = ledger.get(work.warehouse, run_id, work.job.name)
    try:
        job = RunFolder(work.lake, run).job()
    except LakeFileMissing:  # it failed before it was pinned, or retention removed its files
        return work
    return work if job is None else replace(work, job=job)
