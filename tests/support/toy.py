"""A small job of our own for tests: events with a number, a category and an outcome, three of four tasks of dirt."""

from __future__ import annotations

import json
import shutil
from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
import yaml
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from lifecycle.promotion import promote
from lifecycle.training.train import Trained, train
from scoring.interval import Nights
from scoring.job.definition import Job
from scoring.job.files import load_job
from scoring.stores.installation import Stores
from scoring.stores.registry import TrainingFacts
from scoring.stores.registry.version import FACTS
from scoring.stores.warehouse.schema import ensure_job
from scoring.stores.workspace import Workspace

FIRST = date(2024, 1, 1)
TRAIN_NIGHTS = 6
UNTIL = FIRST + timedelta(days=TRAIN_NIGHTS)
NIGHT = UNTIL
ROWS = 200

FEATURES = """
-- what: events of an interval
select at, id, x, kind from events where at >= :interval_start and at < :interval_end
"""
LABELS = """
-- what: outcomes of an interval
select at, id, y from events where at >= :interval_start and at < :interval_end and y is not null
"""


def build_pipeline() -> Pipeline:
    """Return an unfitted, fast, deterministic pipeline."""
    return make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["kind"]), (SimpleImputer(), ["x"])),
        LogisticRegression(),
    )


def events(night: date, rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    """Return clean events of one night, the same for the same night and seed."""
    random = np.random.default_rng([night.toordinal(), seed])
    start = datetime.combine(night, datetime.min.time(), UTC)
    x = random.normal(size=rows)
    return pd.DataFrame(
        {
            "at": [start + timedelta(seconds=int(s)) for s in np.sort(random.integers(0, 86_400, rows))],
            "id": np.arange(rows),
            "x": np.where(random.random(rows) < 0.1, np.nan, x),
            "kind": random.choice(["a", "b", "c"], rows),
            "y": (x + random.normal(size=rows)) > 0,
        }
    )


def create_source(url: str, nights: int = TRAIN_NIGHTS + 3) -> None:
    """Make the events table with some nights in it."""
    engine = sa.create_engine(url)
    add(url, pd.concat([events(FIRST + timedelta(days=n)) for n in range(nights)]))
    engine.dispose()


def add(url: str, rows: pd.DataFrame) -> None:
    """Add rows to the events table, which is made if needed."""
    engine = sa.create_engine(url)
    kinds: dict[Hashable, Any] = {
        "at": sa.DateTime(timezone=True),
        "id": sa.BigInteger,
        "x": sa.Double,
        "kind": sa.Text,
        "y": sa.Boolean,
    }
    rows.to_sql("events", engine, if_exists="append", index=False, dtype=kinds)
    engine.dispose()


def execute(url: str, statement: str) -> None:
    """Run one statement."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def write_job(folder: Path, name: str, **changes: Any) -> Job:
    """Write the job's files into ``folder``/jobs and ``folder``/sql and return the job."""
    content: dict[str, Any] = {
        "name": name,
        "description": "Events that end well.",
        "owner": "tests",
        "schedule": {"timezone": "UTC", "first_night": FIRST, "last_night": date(2024, 12, 31)},
        "source": "toy",
        "time_column": "at",
        "key": {"at": "datetime", "id": "int"},
        "features": {"x": {"type": "float", "nullable": True, "min": -50}, "kind": {"type": "category"}},
        "task": "binary",
        "label": {"column": "y"},
        "pipeline": "tests.support.toy:build_pipeline",
        "training": {"holdout_nights": 2},
        "promotion": {"min_nights": 2},
        "chunk_rows": 64,
        "gate": {"max_quarantine_share": 0.2},
        **changes,
    }
    path = folder / "jobs" / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    (folder / "sql" / name).mkdir(parents=True, exist_ok=True)
    (folder / "sql" / name / "features.sql").write_text(FEATURES)
    (folder / "sql" / name / "labels.sql").write_text(LABELS)
    return load_job(path)


def train_champion(work: Workspace, until: date = UNTIL) -> Trained:
    """Train the job on all nights before ``until`` and make the version champion from then on."""
    ensure_job(work.warehouse, work.job)
    trained = train(work, Nights(FIRST, until))
    promote(work, trained.ref.version, "test", "tests", effective_from=until)
    return trained


@dataclass(frozen=True)
class Training:
    """What a training of the toy job left: the version's files, its metrics, and the snapshot of its rows."""

    version: Path
    snapshots: Path
    metrics: dict[str, float]


def training_of(work: Workspace) -> Training:
    """Train the job on all nights before ``UNTIL`` and return what that left."""
    trained = train(work, Nights(FIRST, UNTIL))
    return Training(Path(trained.ref.uri), Path(work.lake.snapshot_folder(work.job.name, "")), trained.metrics)


def copy_champion(training: Training, stores: Stores, job: Job) -> None:
    """Leave behind what ``train_champion`` does, without fitting and without the proofs, which take a second."""
    shutil.copytree(training.snapshots, stores.lake.snapshot_folder(job.name, ""))
    facts = TrainingFacts.from_json(json.loads((training.version / FACTS).read_text()))
    facts = replace(facts, job=job.name, trained_at=stores.clock())
    copied = Path(stores.settings.data_dir, "copied_version")
    shutil.copytree(training.version, copied)
    (copied / FACTS).write_text(json.dumps(facts.as_json(), indent=1))
    ref = stores.registry.register(job.name, copied, facts, training.metrics)
    shutil.rmtree(copied)
    promote(Workspace(stores, job), ref.version, "test", "tests", effective_from=UNTIL)


EVENTS = events(FIRST, 400)
"""Of the first night: the rows of the fixture ``plain_rows``, with their outcomes."""
