"""Training snapshots without an entity's rows."""

from __future__ import annotations

from lifecycle.erasure.files import batches_of, leftovers, rows_in
from lifecycle.erasure.inventory import Inventory
from lifecycle.erasure.key import EntityKey
from lifecycle.training import erase_rows
from scoring.stores import Workspace

STORE = "training snapshots (lake)"


def look(work: Workspace, inventory: Inventory) -> None:
    """Count an entity's rows in the training snapshots."""
    for folder in work.lake.snapshots(work.job.name).values():
        inventory.add(STORE, rows_in(work.lake, f"{folder}/rows.parquet", inventory))


def compare(work: Workspace, inventory: Inventory) -> None:
    """Learn which of the entity's texts other rows of snapshots have too."""
    for folder in work.lake.snapshots(work.job.name).values() if inventory.candidates else ():
        for batch in batches_of(work.lake, f"{folder}/rows.parquet"):
            inventory.compare(batch)


def erase(work: Workspace, key: EntityKey) -> None:
    """Remove an entity's rows from all training snapshots."""
    for digest, folder in work.lake.snapshots(work.job.name).items():
        for path in leftovers(work.lake, folder):
            work.lake.remove(path)
        erase_rows(work, digest, key.rows)
