"""A version that came from elsewhere, judged as one of a retraining is: its record, its card, the gate and what follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from lifecycle.retraining.external import AWAITED
from lifecycle.retraining.record import RetrainingRequest, begin, fail
from lifecycle.retraining.tasks import after_training
from lifecycle.training import Snapshot
from scoring.errors import described
from scoring.stores import Workspace
from scoring.stores.registry import VersionRef
from scoring.stores.warehouse import Retraining, retrainings


def judge_version(work: Workspace, request: RetrainingRequest, ref: VersionRef, snapshot: Snapshot) -> Retraining:
    """Return the record of a version's judgement beside the champion: promoted, refused, or open for a shadow or a person.

    A retraining that waits for a version from elsewhere gets this one. Otherwise a new one is begun.
    """
    window = snapshot.window
    known = window.last + timedelta(days=work.job.label.delay_days)  # at its end all outcomes of the window were known
    row = awaited(work) or begin(work, replace(request, night=known, since=window.first, until=window.until))
    number = row.retraining_id
    try:
        retrainings.record(
            work.warehouse, number, snapshot=snapshot.hash, model_version=ref.version, stage="train", detail=None
        )
        work.registry.set_alias(work.job.name, "challenger", ref.version)
        after_training(work, number)
    except Exception as error:  # the record says failed, then it is raised again
        fail(work.stores, number, described(error))
        raise
    return retrainings.get(work.warehouse, number)


def awaited(work: Workspace) -> Retraining | None:
    """Return the job's retraining that waits for a version from elsewhere, or None."""
    rows = retrainings.of_job(work.warehouse, work.job.name)
    return next((row for row in rows if row.open and row.stage == AWAITED), None)
