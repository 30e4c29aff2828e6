"""Removes the rows of an entity from every store of a job, and records that it did."""

from __future__ import annotations

from lifecycle.erasure import pages, requests, runs, snapshots, versions
from lifecycle.erasure.inventory import Inventory
from lifecycle.erasure.key import EntityKey
from lifecycle.erasure.redaction import Redaction
from scoring.errors import JobBusy, Permanent
from scoring.progress import Progress, silent
from scoring.stores import Workspace
from scoring.stores.warehouse import (
    abandon_dead,
    actions_of,
    ensure_job,
    erasing,
    erasures,
    ledger,
    replace_texts,
    retrainings,
)

TEXTS = "texts and JSON with a text of it (tables)"
_READING = ("snapshot", "train", "evaluate", "gate")
"""Stages of a retraining that read rows: of the source, or of its snapshot beside the holdout."""


def plan(work: Workspace, key: EntityKey, progress: Progress = silent) -> Inventory:
    """Return what the stores hold of an entity. Nothing is removed here."""
    ensure_job(work.warehouse, work.job)
    return _look(work, key, progress)[0]


def forget(work: Workspace, key: EntityKey, reason: str, by: str, progress: Progress = silent) -> Inventory:
    """Remove the rows of an entity from every store, and return what there was. Killed anywhere, it can be repeated.

    First go the texts that only its rows have, while these can still be read; then rows of versions, snapshots and runs.
    Raises ``JobBusy`` while a run or a training of the job, or another erasure, is being worked on. What begins later waits.
    """
    ensure_job(work.warehouse, work.job)
    _refuse_reason(work, key, reason)
    with erasing(work.warehouse, work.job.name) as free:
        _refuse_busy(work, free)
        inventory, touched = _look(work, key, progress)
        erasure_id = _begun(work, key, inventory, (reason, by))
        why, redaction = f"erasure {erasure_id}", Redaction(inventory.texts)
        progress("texts", 0)
        replace_texts(work.warehouse, work.job.name, redaction.texts, redaction.value, apply=True)
        pages.redact(work, redaction)
        versions.redact(work, redaction, why)
        progress("model versions and snapshots", 0)
        versions.erase(work, key, why)
        snapshots.erase(work, key)
        requests.erase(work, key)
        _erase_runs(work, key, erasure_id, set(touched), progress)
        erasures.finish(work.warehouse, erasure_id, work.clock())
    return inventory


def _look(work: Workspace, key: EntityKey, progress: Progress) -> tuple[Inventory, dict[str, str]]:
    inventory = Inventory(key)
    progress("look", 0)
    touched = runs.look(work, inventory)
    snapshots.look(work, inventory)
    versions.look(work, inventory)
    requests.look(work, inventory)
    for stores in (runs, snapshots, versions):
        stores.compare(work, inventory)
    redaction = Redaction(inventory.texts)
    inventory.add(TEXTS, replace_texts(work.warehouse, work.job.name, redaction.texts, redaction.value, apply=False))
    actions = sum(
        redaction.value(action.reason) != action.reason for action in actions_of(work.warehouse, work.job.name)
    )
    if actions:
        inventory.notes.append(
            f"reasons in the table actions with a text of it: {actions}; they stay, for nobody may change them"
        )
    pages.look_for_texts(work, inventory, redaction)
    versions.look_for_texts(work, inventory, redaction)
    return inventory, touched


def _begun(work: Workspace, key: EntityKey, inventory: Inventory, why: tuple[str, str]) -> int:
    """Return the number of the erasure of this key that was interrupted, or record a new one."""
    open_ones = [row for row in erasures.of_job(work.warehouse, work.job.name) if row.finished_at is None]
    for row in open_ones:
        if key.fits(row.key_check):
            return row.erasure_id
    reason, by = why
    facts = {
        "job": work.job.name,
        "key_columns": list(key.values),
        "key_check": key.check(),
        "reason": reason,
        "done_by": by,
        "counts": {item.store: item.rows for item in inventory.items},
        "started_at": work.clock(),
    }
    return erasures.start(work.warehouse, facts)


def _erase_runs(work: Workspace, key: EntityKey, erasure_id: int, touched: set[str], progress: Progress) -> None:
    """Remove the entity's rows from the touched runs, and from those that a killed process had begun with."""
    ledgered = {run.run_id: run for run in ledger.of_job(work.warehouse, work.job.name)}
    begun = {run_id for of, run_id in erasures.unsettled(work.warehouse, work.job.name) if of == erasure_id}
    erased = []
    for run_id in sorted(touched | begun):
        if run_id in ledgered:
            progress("runs", 1)
            runs.erase_run(work, key, erasure_id, ledgered[run_id])
            erased.append(ledgered[run_id])
    runs.erase_strays(work, key)
    progress("drift pages", 0)
    pages.make_anew(work, [ledger.get(work.warehouse, run.run_id) for run in erased])


def _refuse_reason(work: Workspace, key: EntityKey, reason: str) -> None:
    """Raise ``Permanent`` when the reason, which stays on record, holds a value of the key."""
    if key.stands_in(reason):
        raise Permanent(
            f"reason of an erasure in {work.job.name}",
            found="a value of the key",
            expected="words without it, for the reason stays on record",
            next_step="give --reason without the value, such as the number of the request",
        )


def _refuse_busy(work: Workspace, free: bool) -> None:
    """Raise ``JobBusy`` when somebody works on the job, or will go on with what was begun before."""
    abandon_dead(work.warehouse, work.clock(), work.job.name)
    busy = [] if free else ["a process that works on its rows, or another erasure"]
    for run in ledger.of_job(work.warehouse, work.job.name):
        busy += [f"run {run.run_id} of night {run.night}"] if run.status == "running" else []
    for row in retrainings.of_job(work.warehouse, work.job.name):
        busy += [f"retraining {row.retraining_id}, stage {row.stage}"] if row.open and row.stage in _READING else []
    if busy:
        raise JobBusy(
            f"erasure in {work.job.name}",
            found=", ".join(busy[:3]) + (" …" if len(busy) > 3 else ""),
            expected="no run, training or erasure of the job that is going on",
            next_step="run it again when that has ended; nothing was erased",
        )
