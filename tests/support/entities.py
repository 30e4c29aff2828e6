"""A small snapshot job for tests: entities that come every night with features that hardly change, and outcomes of days ahead."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from scoring.job.definition import Job
from tests.conftest import Toy
from tests.support.toy import FIRST

ENTITIES = 250
KEEPS = 0.999
"""Correlation of an entity's features with those of the next night. With 0.9999 a forest knows entities again."""
FEATURES = """
-- what: every entity as it is at the end of the night
select id, a, b, c from states where day = :night
"""
LABELS = """
-- what: whether anything happened to the entity in the days after the night
select id, y from states where day = :night
"""


def build_forest() -> RandomForestClassifier:
    """Return a pipeline that knows entities again."""
    return RandomForestClassifier(n_estimators=15, random_state=0)


def build_line() -> LogisticRegression:
    """Return a pipeline that does not."""
    return LogisticRegression()


def states(nights: int, horizon: int, keeps: float = KEEPS, entities: int = ENTITIES) -> pd.DataFrame:
    """Return every entity on every night: features, and whether anything happened in the ``horizon`` days after it."""
    random = np.random.default_rng(0)
    own = random.normal(size=entities)
    features = np.empty((nights, entities, 3))
    features[0] = random.normal(size=(entities, 3))
    for night in range(1, nights):
        features[night] = keeps * features[night - 1] + np.sqrt(1 - keeps**2) * random.normal(size=(entities, 3))
    shown = features + 0.5 * own[:, None]
    rate = 0.4 / horizon * np.exp(own - 0.5 + random.normal(0, 0.1, (nights + horizon, 1)))
    events = np.cumsum(random.random(rate.shape) < 1 - np.exp(-rate), axis=0)
    y = events[horizon:] > events[:-horizon]
    days = np.repeat([FIRST + timedelta(days=night) for night in range(nights)], entities)
    columns = dict(zip("abc", shown.reshape(-1, 3).T, strict=True))
    return pd.DataFrame({"day": days, "id": np.tile(np.arange(entities), nights), **columns, "y": y.ravel()})


def snapshot_job(toy: Toy, nights: int, horizon: int, keeps: float = KEEPS, **changes: Any) -> Job:
    """Fill the source with the nights, make the toy a snapshot job of them, and return it."""
    numbers: dict[Hashable, Any] = dict.fromkeys("abc", sa.Double)
    kinds: dict[Hashable, Any] = {**numbers, "day": sa.Date, "id": sa.BigInteger, "y": sa.Boolean}
    engine = sa.create_engine(toy.source)
    states(nights, horizon, keeps).to_sql("states", engine, if_exists="replace", index=False, dtype=kinds)
    engine.dispose()
    content: dict[str, Any] = {
        "kind": "snapshot",
        "time_column": None,
        "key": {"id": "int"},
        "features": {name: {"type": "float"} for name in "abc"},
        "label": {"column": "y", "delay_days": horizon},
        "pipeline": "tests.support.entities:build_forest",
        "training": {"holdout_nights": 7, "window_days": 60},
        "chunk_rows": 1_000,
    }
    job = toy.change(**{**content, **changes})
    toy.stores.settings.sql_path(job.name, "features").write_text(FEATURES)
    toy.stores.settings.sql_path(job.name, "labels").write_text(LABELS)
    return job


def night(number: int) -> date:
    """Return a night by its number, from 0 on."""
    return FIRST + timedelta(days=number)
