"""Made-up rows that keep a job's contract, to try its pipeline on before any real row is read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from scoring.job import Feature, Job
from scoring.rows import ARROW_TYPES, outcome_type

UNSEEN = "a level that training did not have"
"""Stands for a category that a night has and the training rows had not."""
LEVELS = 5
"""Made-up levels of a category that declares none. Few, so that each comes often."""
NULL_SHARE = 0.1
"""Share of nulls in a column that may have them."""
WIDTH = 100.0
"""Width of the range of a number that declares no limits."""
WHOLE = 20
"""Different values of a made-up int: few, for some pipelines take ints for codes."""


def made_up_rows(job: Job, rows: int, nights: int, outcome: tuple[str, str]) -> pa.Table:
    """Return rows in the job's types with nulls where they may be, all levels and all classes, over some nights.

    ``outcome`` names the last two columns: the night and the label. The label follows from the features, with noise; the
    same arguments give the same rows.
    """
    random = np.random.default_rng(0)
    night = np.sort(np.arange(rows) % nights)
    names = [name for name in job.columns if name not in job.features]
    columns = {name: _keys(job, name, night) for name in names}
    signal = random.normal(size=rows)
    for name, feature in job.features.items():
        values, number = _values(job, name, feature, random, night)
        signal += number
        empty = random.random(rows) < NULL_SHARE if may_be_null(job, name) else np.zeros(rows, dtype=bool)
        columns[name] = pa.array(values, ARROW_TYPES[feature.type], mask=empty)
    day = [job.schedule.first_night + timedelta(days=int(place)) for place in night]
    last = {outcome[0]: pa.array(day, pa.date32()), outcome[1]: _labels(job, signal, night)}
    return pa.table({**{name: columns[name] for name in job.columns}, **last})


def may_be_null(job: Job, name: str) -> bool:
    """Return whether the contract lets a null of a column pass."""
    return name in job.features and job.features[name].nullable and name not in job.key


def may_be_unseen(job: Job, name: str, levels: list[str]) -> str | None:
    """Return a level of a category that the contract lets pass although training had only ``levels``. None if there is none."""
    feature = job.features.get(name)
    if feature is None or feature.type != "category" or feature.unknown == "quarantine":
        return None
    if feature.allowed is None:
        return UNSEEN
    return next((level for level in feature.allowed if level not in levels), None)


def levels_of(feature: Feature) -> list[str]:
    """Return the levels that made-up rows have in a category column."""
    return list(dict.fromkeys(feature.allowed or [f"level_{number}" for number in range(1, LEVELS + 1)]))


def _values(job: Job, name: str, feature: Feature, random: Any, night: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return a column's values, and a number of each row, of about unit size, that the label may follow."""
    rows = len(night)
    if name in job.key and feature.type in ("int", "datetime"):
        return _keys(job, name, night).to_numpy(zero_copy_only=False), np.zeros(rows)
    if feature.type == "category":
        levels = levels_of(feature)
        places = random.permutation(np.arange(rows) % len(levels))
        return np.array(levels, dtype=object)[places], places / len(levels)
    if feature.type == "bool":
        yes = random.random(rows) < 0.5
        return yes, yes.astype(np.float64)
    if feature.type == "datetime":
        moments = _moments(job, night, random.integers(0, 86_400, rows))
        return moments, np.zeros(rows)
    low, high = _range(feature)
    if feature.type == "int":
        low, high = np.ceil(low), np.floor(high)
        numbers = np.linspace(low, max(low, high), min(WHOLE, int(max(high - low, 0)) + 1)).astype(np.int64)
        values = numbers[random.integers(0, len(numbers), rows)]
    else:
        values = random.uniform(low, high, rows)
    spread = float(np.std(values.astype(np.float64))) or 1.0
    return values, (values - values.mean()) / spread


def _range(feature: Feature) -> tuple[float, float]:
    """Return the limits between which a number is made up: the declared limits, else positive ones that are no extremes."""
    if feature.min is None and feature.max is None:
        return 1.0, 1.0 + WIDTH
    if feature.min is None:
        assert feature.max is not None
        return feature.max - WIDTH, feature.max
    return feature.min, feature.min + WIDTH if feature.max is None else feature.max


def _keys(job: Job, name: str, night: np.ndarray) -> pa.Array:
    """Return a key column: one value a row, moments inside the row's night."""
    kind, rows = job.key[name], len(night)
    if kind == "datetime":
        return pa.array(_moments(job, night, np.arange(rows) % 86_400), ARROW_TYPES[kind])
    if kind == "date":
        return pa.array([job.schedule.first_night + timedelta(days=int(place)) for place in night], ARROW_TYPES[kind])
    if kind == "int":
        return pa.array(np.arange(1, rows + 1), ARROW_TYPES[kind])
    feature = job.features.get(name)
    levels = levels_of(feature) if feature is not None else [f"key_{number}" for number in range(1, rows + 1)]
    return pa.array([levels[row % len(levels)] for row in range(rows)], ARROW_TYPES[kind])


def _moments(job: Job, night: np.ndarray, seconds: np.ndarray) -> list[datetime]:
    first = datetime.combine(job.schedule.first_night, datetime.min.time(), ZoneInfo(job.schedule.timezone))
    return [first + timedelta(days=int(day), seconds=int(after)) for day, after in zip(night, seconds, strict=True)]


def _labels(job: Job, signal: np.ndarray, night: np.ndarray) -> pa.Array:
    """Return outcomes that rise with the signal.

    Every class comes as often as any other, on every night. For regression outcomes are positive numbers.
    """
    if not job.task.classifies:
        return pa.array(1.0 + signal - signal.min())
    classes = job.outcomes
    codes = np.zeros(len(signal), dtype=np.int64)
    for day in np.unique(night):
        rows = np.flatnonzero(night == day)
        rank = np.argsort(np.argsort(signal[rows]))
        codes[rows] = rank * len(classes) // len(rows)
    return pa.array([classes[code] for code in codes], outcome_type(job))
