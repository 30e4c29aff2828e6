"""The toy job at another moment than now, and what is left of its runs then."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scoring.stores.installation import Stores
from scoring.stores.warehouse import ledger
from tests.conftest import Toy

NOW = datetime.now(UTC)
FAR = NOW + timedelta(days=4000)
"""When every time that retention knows is over."""


def at(toy: Toy, moment: datetime = FAR) -> Stores:
    """Return the stores with a clock that stands still."""
    return replace(toy.stores, clock=lambda: moment)


def files(toy: Toy, run_id: str) -> bool:
    """Return whether the lake has a run's folder."""
    night = ledger.get(toy.stores.warehouse, run_id).night
    return Path(toy.stores.lake.run_folder(toy.job.name, night, run_id)).exists()
