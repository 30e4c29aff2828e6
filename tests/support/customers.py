"""A snapshot job of our own for tests: the state of the same customers on every night."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from scoring.job.definition import Job
from tests.conftest import Toy
from tests.support.toy import FIRST, write_job

CUSTOMERS = 120
FEATURES = "select id, x, kind from states where day = :night"
LABELS = "select id, y from states where day = :night and y is not null"
NIGHTS = 9
SNAPSHOT: dict[str, Any] = {
    "kind": "snapshot",
    "time_column": None,
    "key": {"id": "string"},
    "schedule": {"timezone": "UTC", "first_night": FIRST, "last_night": FIRST + timedelta(days=NIGHTS - 1)},
}
"""What makes the toy job one of customers."""


def states(nights: int, customers: int = CUSTOMERS) -> pd.DataFrame:
    """Return the state of every customer on every night: ``x`` is the customer's own and moves a little."""
    random = np.random.default_rng(7)
    own = random.normal(size=customers)
    parts = []
    for number in range(nights):
        x = own + 0.3 * random.normal(size=customers)
        parts.append(
            pd.DataFrame(
                {
                    "day": FIRST + timedelta(days=number),
                    "id": [f"C{customer:04}" for customer in range(customers)],
                    "x": x,
                    "kind": np.array(["a", "b", "c"])[np.arange(customers) % 3],
                    "y": x + random.normal(size=customers) > 0,
                }
            )
        )
    return pd.concat(parts)


def create_states(url: str, nights: int = NIGHTS) -> None:
    """Make the table ``states`` with some nights in it."""
    engine = sa.create_engine(url)
    kinds: dict[Hashable, Any] = {"day": sa.Date(), "id": sa.Text()}
    states(nights).to_sql("states", engine, index=False, dtype=kinds)
    engine.dispose()


def write_customers(folder: Path, name: str, **changes: Any) -> Job:
    """Write the files of a snapshot job into ``folder`` and return the job."""
    job = write_job(folder, name, **{**SNAPSHOT, **changes})
    for statement, text in (("features", FEATURES), ("labels", LABELS)):
        (folder / "sql" / name / f"{statement}.sql").write_text(text)
    return job


def customers_of(toy: Toy, nights: int = NIGHTS, **changes: Any) -> Job:
    """Make the toy job one of customers, with a table ``states`` in its source, and return it."""
    create_states(toy.source, nights)
    toy.job = write_customers(toy.folder, toy.job.name, **changes)
    return toy.job
