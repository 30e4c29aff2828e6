"""What Evidently's defaults and the usual PSI rule say of a night: their distances on rows, without their overhead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from scoring.job import Job
from scoring.rows import PROFILED_PREDICTION, profiled

ROWS = 10_000
"""Rows on either side, drawn at random, as the chance level of the distances is low by then."""
LIMIT, PSI_LIMIT = 0.1, 0.2
RULES = {
    "default": "Evidently's default: ≥ 50 % of all columns beyond 0.1 (Wasserstein, Jensen-Shannon)",
    "default, monitored": "the same on monitored columns only",
    "psi": "PSI > 0.2 on any column (bins as Evidently: equal width)",
    "psi, monitored": "the same on monitored columns only",
}
Side = dict[str, np.ndarray]


@dataclass(frozen=True)
class Scores:
    """A column's distance and whether it is beyond the limit, by the default method and by PSI."""

    distance: float
    psi: float

    @property
    def beyond(self) -> tuple[bool, bool]:
        """Return whether the column has drifted, by either."""
        return self.distance >= LIMIT, self.psi > PSI_LIMIT


def side_of(rows: pa.Table, job: Job, seed: int = 0) -> Side:
    """Return a night's (or a reference's) columns without nulls, of at most 10,000 rows."""
    if rows.num_rows > ROWS:
        rows = rows.take(pa.array(np.random.default_rng(seed).choice(rows.num_rows, ROWS, replace=False)))
    columns = {
        name: column
        for name, column in profiled(rows, rows, job).items()
        if name in {*job.features, PROFILED_PREDICTION}
    }
    return {name: _values(column) for name, column in columns.items()}


def _values(column: Any) -> np.ndarray:
    kept = column.drop_null()
    if pa.types.is_string(kept.type):
        return np.array(kept.to_pylist(), dtype=object)
    numbers: np.ndarray = np.asarray(kept).astype(np.float64)
    return numbers


def scores(current: Side, reference: Side, names: Sequence[str] | None = None) -> dict[str, Scores]:
    """Return every column's scores; a column without values on a side has none (Evidently refuses the whole report)."""
    found = {}
    for name in names or list(reference):
        now, before = current.get(name, np.array([])), reference[name]
        if len(now) and len(before):
            found[name] = Scores(_default(before, now), _psi(before, now))
    return found


def _default(before: np.ndarray, now: np.ndarray) -> float:
    if before.dtype != object:
        few = np.unique(before[:2_000])
        if len(few) > 5 or len(np.unique(np.concatenate([before, now]))) > 5:
            return float(wasserstein_distance(before, now) / max(float(np.std(before)), 0.001))
    return float(jensenshannon(*_binned(before, now)))


def _psi(before: np.ndarray, now: np.ndarray) -> float:
    p, q = (_filled(one) for one in _binned(before, now))
    return float(np.sum((p - q) * np.log(p / q)))


def _binned(before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of both sides in equal-width bins, or by value when the reference has at most 20."""
    if before.dtype != object and (len(np.unique(before[:2_000])) > 20 or len(np.unique(before)) > 20):
        edges = np.histogram_bin_edges(np.concatenate([before, now]), bins="sturges")
        return np.histogram(before, edges)[0] / len(before), np.histogram(now, edges)[0] / len(now)
    counts = [_counted(before), _counted(now)]
    keys = sorted({key for one in counts for key in one})
    shares = [
        np.array([one.get(key, 0) / size for key in keys])
        for one, size in zip(counts, map(len, (before, now)), strict=True)
    ]
    return shares[0], shares[1]


def _counted(values: np.ndarray) -> dict[Any, int]:
    counted = pa.array(values).value_counts()
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _filled(shares: np.ndarray) -> np.ndarray:
    least = shares[shares != 0].min()
    return np.where(shares == 0, least / 10**6 if least <= 0.0001 else 0.0001, shares)


def alarms(found: Mapping[str, Scores], monitored: set[str]) -> dict[str, bool]:
    """Return which rules raise an alarm."""
    beyond = {name: one.beyond for name, one in found.items()}
    watched = [one for name, one in beyond.items() if name in monitored]

    def share(some: list[tuple[bool, bool]]) -> bool:
        return bool(some) and sum(one[0] for one in some) >= 0.5 * len(some)

    every = list(beyond.values())
    answers = (share(every), share(watched), any(one[1] for one in every), any(one[1] for one in watched))
    return dict(zip(RULES, answers, strict=True))


def difference_from_evidently(current: Side, reference: Side, job: Job) -> tuple[float, float, bool]:
    """Return the largest difference of distances and PSI from Evidently's own, and whether its verdict is ours."""
    import pandas as pd

    from scoring.settings import quiet_telemetry

    quiet_telemetry()
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    text = [name for name, values in reference.items() if values.dtype == object]
    numbers = [name for name in reference if name not in text]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=text)
    frames = [pd.DataFrame({name: pd.Series(values) for name, values in side.items()}) for side in (current, reference)]
    data = [Dataset.from_pandas(frame, definition) for frame in frames]
    ours, largest = scores(current, reference), [0.0, 0.0]
    drifted = 0
    for number, arguments in enumerate(({}, {"method": "psi", "threshold": PSI_LIMIT})):
        made = Report([DataDriftPreset(columns=list(reference), **arguments)]).run(*data).dict()
        for metric in made["metrics"]:
            if metric["metric_name"].startswith("DriftedColumnsCount"):
                drifted = metric["value"]["count"] if number == 0 else drifted
                continue
            one = ours[metric["config"]["column"]]
            mine = (one.distance, one.psi)[number]
            largest[number] = max(largest[number], abs(float(metric["value"]) - mine) / max(mine, 1.0))
    return largest[0], largest[1], drifted == sum(one.beyond[0] for one in ours.values())
