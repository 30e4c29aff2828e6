"""Predictions made on demand without an entity's rows."""

from __future__ import annotations

from lifecycle.erasure.inventory import Inventory
from lifecycle.erasure.key import EntityKey
from scoring.stores import Workspace
from scoring.stores.warehouse import requests

STORE = "predictions on demand (warehouse)"


def look(work: Workspace, inventory: Inventory) -> None:
    """Count an entity's rows among the predictions that were made on demand."""
    inventory.add(STORE, requests.stored(work.warehouse, work.job, inventory.key.values))


def erase(work: Workspace, key: EntityKey) -> None:
    """Remove an entity's rows from the predictions that were made on demand.

    Answers that no server has recorded yet are dropped by the servers: those from before the erasure, whoever's they are.
    """
    requests.erase(work.warehouse, work.job, key.values)
