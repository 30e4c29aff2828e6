"""Failures of a run, written into its ledger row before they go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scoring.errors import NightHeld, described
from scoring.stores import Stores
from scoring.stores.warehouse import ledger


@contextmanager
def recorded(stores: Stores, run_id: str) -> Iterator[None]:
    """Write a failure into the run's ledger row and raise it again. A held night has its row already."""
    try:
        yield
    except NightHeld:
        raise
    except Exception as error:  # every failure is recorded, then raised again
        ledger.record_failure(stores.warehouse, run_id, described(error), stores.clock())
        raise
