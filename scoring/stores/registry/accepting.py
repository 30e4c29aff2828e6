"""Acceptances: a version is scored on purpose under other declarations than it was trained with."""

from __future__ import annotations

from datetime import datetime

from scoring.job import Job
from scoring.stores.registry.declaration import Change
from scoring.stores.registry.loading import declaration_of
from scoring.stores.registry.stored_files import ACCEPTED, accepted_subject
from scoring.stores.registry.version_files import VersionFiles
from scoring.stores.warehouse import Action, Warehouse, record_action


def accept(files: VersionFiles, job: Job, warehouse: Warehouse, reason: str, now: datetime) -> list[Change]:
    """Let a version be scored under what the job file declares today, and return what that changes: nothing, an empty list.

    It holds for these very declarations: another edit has to be accepted anew. Raises ``DeclarationMismatch`` for a change
    with which the version cannot be used at all.
    """
    declaration = declaration_of(files)
    declaration.job_of(job)
    changes = declaration.changes(job)
    if any(change.lasting for change in changes):
        raise declaration.refusal(job, changes, files.ref.version)
    subject = accepted_subject(files.ref, declaration.digest(job))
    if changes:
        with warehouse.transaction() as connection:
            record_action(connection, Action(job.name, ACCEPTED, subject, reason, now))
    return changes
