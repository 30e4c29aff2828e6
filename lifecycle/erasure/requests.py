"""Predictions made on demand without an entity's rows."""

from __future__ import annotations

from pathlib import Path

from lifecycle.erasure.inventory import Inventory
from lifecycle.erasure.key import EntityKey
from scoring.stores import Workspace
from scoring.stores.warehouse import requests

STORE = "predictions on demand (warehouse)"
PUT_ASIDE = "journals of answers that could not be read, removed whole (files)"


def look(work: Workspace, inventory: Inventory) -> None:
    """Count an entity's rows among the predictions that were made on demand."""
    inventory.add(STORE, requests.stored(work.warehouse, work.job, inventory.key.values))
    for path in _put_aside(work):
        inventory.add(PUT_ASIDE, 1 if path.exists() else 0)


def erase(work: Workspace, key: EntityKey) -> None:
    """Remove an entity's rows from the predictions that were made on demand.

    Answers that no server has recorded yet are dropped by the servers: those from before the erasure, whoever's they are.
    """
    requests.erase(work.warehouse, work.job, key.values)
    for path in _put_aside(work):  # they may hold anybody
        path.unlink(missing_ok=True)


def _put_aside(work: Workspace) -> list[Path]:
    """Return the journals of this machine's servers that they could not load."""
    return sorted((work.settings.data_dir / "serving" / work.job.name).glob("*.unreadable"))
