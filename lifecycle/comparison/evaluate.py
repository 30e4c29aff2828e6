"""What a challenger and the champion do on the same holdout rows: everything that the gate and the model card need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from time import process_time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from drift.performance import (
    GROUP,
    Floats,
    NightScores,
    Panel,
    groups_of,
    intervals_of,
    losses_of,
    nights_of,
    outcome_sums,
    reliability,
    sums_by_group,
    sums_by_night,
    with_intervals,
)
from lifecycle.comparison.gate import Losses, gain_of
from lifecycle.training import NIGHT, Snapshot, batch_of, unseen_from
from scoring.errors import TrainingDataError
from scoring.interval import Nights
from scoring.job import Job
from scoring.rows import predict
from scoring.stores import LABEL_COLUMN, Workspace
from scoring.stores.registry import HOLDOUT_FILE, ModelVersion, VersionRef
from scoring.stores.warehouse import ComparedVersion, Evaluation, Holdout, Metrics, NightLosses, Segment

TIMED_ROWS = 20_000
TIMED = 7


@dataclass(frozen=True)
class _Holdout:
    """The nights that neither version has seen: the rows, and what both predict for them. ``champion`` may be missing."""

    rows: pa.Table
    challenger: pa.Table
    champion: pa.Table | None
    of_nights: int


def compare(work: Workspace, ref: VersionRef, snapshot: Snapshot, champion: VersionRef | None) -> Evaluation:
    """Return how a version compares with the champion on the last nights of its snapshot.

    What the version says comes from a fit without these nights. A night that either of them was fitted on, or whose outcome
    overlaps those, is dropped, and how many were is in ``holdout``.
    """
    model = work.registry.load(ref, work.job)
    crowned = work.registry.load(champion, work.job) if champion is not None else None
    holdout = _holdout(work, model, crowned, snapshot)
    sides = {"challenger": holdout.challenger} | (
        {"champion": holdout.champion} if holdout.champion is not None else {}
    )
    cells = {side: _cells(holdout.rows, predictions, work.job) for side, predictions in sides.items()}
    sums = {side: of_night.sum(axis=1) for side, of_night in cells.items()}
    nights = nights_of(holdout.rows.column(NIGHT))
    losses = _losses(nights, cells, work.job)
    first, last = (nights[0], nights[-1]) if nights else (None, None)
    loaded = {"challenger": model} | ({"champion": crowned} if crowned is not None else {})
    return Evaluation(
        challenger=_about(model),
        champion=_about(crowned) if crowned else None,
        loss=work.job.task.loss,
        holdout=Holdout(first, last, len(nights), holdout.of_nights, holdout.rows.num_rows, work.job.label.horizon),
        metrics={side: _metrics(nights, of_night, work.job) for side, of_night in cells.items()},
        gain=gain_of(losses, work.job.promotion.confidence) if losses else None,
        by_night=_by_night(nights, losses),
        segments=_segments(holdout, sides, work.job),
        calibration=_calibration(sums, work.job),
        latency=_latency(loaded, snapshot.rows.table, work.job),
        size={side: work.registry.artifact_bytes(version.ref) / 1e6 for side, version in loaded.items()},
        constant=model.facts.constant,
        importance=model.profile.get("weights", {}),
    )


def losses_from(nights: Sequence[NightLosses], job: Job) -> Losses:
    """Return the losses of the nights that an evaluation keeps."""
    groups = [night.groups for night in nights if night.groups is not None]
    whole = nights and len(groups) == len(nights)
    return Losses(
        gains=Panel.of([night.night for night in nights], groups, job.label.horizon) if whole else None,
        rows=np.array([night.rows for night in nights], dtype=np.float64),
        champion=np.array([night.champion for night in nights], dtype=np.float64),
        challenger=np.array([night.challenger for night in nights], dtype=np.float64),
    )


def _holdout(work: Workspace, model: ModelVersion, champion: ModelVersion | None, snapshot: Snapshot) -> _Holdout:
    """Return the rows that the challenger's holdout predictions belong to, without nights that either version has seen."""
    rows, predictions = snapshot.rows.labelled, work.registry.table(model.ref, HOLDOUT_FILE)
    if predictions is None:
        predictions = rows.slice(0, 0).rename_columns([*rows.column_names[:-1], "outcome"])
        predictions = predictions.append_column("night", predictions.column(NIGHT))
    first = pc.min(predictions.column("night"))
    rows = rows.filter(pc.fill_null(pc.greater_equal(rows.column(NIGHT), first), False))
    if not (predictions.num_rows == rows.num_rows and predictions.column("outcome").equals(rows.column(LABEL_COLUMN))):
        raise TrainingDataError(
            f"holdout of version {model.ref.version} of {work.job.name}",
            found=f"{predictions.num_rows} predictions",
            expected=f"one for each of the {rows.num_rows} rows of snapshot {snapshot.hash}",
        )
    of_nights = len(nights_of(rows.column(NIGHT)))
    unseen = pc.greater_equal(rows.column(NIGHT), pa.scalar(model.facts.holdout_from))
    if champion is not None:
        unseen = pc.and_(unseen, _unseen(rows.column(NIGHT), champion.facts.seen, work.job))
    rows, predictions = rows.filter(unseen), predictions.filter(unseen)
    champion_predictions = None
    if champion is not None:
        champion_predictions = pa.Table.from_batches(
            [predict(champion.pipeline, batch_of(rows), work.job, champion.rule)]
        )
    return _Holdout(rows, predictions, champion_predictions, of_nights)


def _unseen(nights: pa.ChunkedArray, seen: Nights, job: Job) -> pa.ChunkedArray:
    """Return which nights were not fitted on, and have no outcome that overlaps those that were."""
    ends = seen.first - timedelta(days=job.label.horizon), unseen_from(job, seen.until)
    first, until = (pa.scalar(night, pa.date32()) for night in ends)
    return pc.or_(pc.less(nights, first), pc.greater_equal(nights, until))


def _cells(rows: pa.Table, predictions: pa.Table, job: Job) -> Floats:
    """Return the sums of each night and group of entities, shape (nights, groups, sums). Events are all in one group."""
    if rows.num_rows == 0:
        return np.zeros((0, 1, 1))
    columns = {"night": rows.column(NIGHT), "outcome": rows.column(LABEL_COLUMN)}
    table = pa.table({**columns, **{name: predictions.column(name) for name in job.prediction_columns}})
    if job.is_snapshot:
        return sums_by_group(table.append_column(GROUP, pa.array(groups_of(rows, job))), job)
    return sums_by_night(table, job)[:, None]


def _metrics(nights: list[date], cells: Floats, job: Job) -> Metrics:
    if not job.is_snapshot:
        return with_intervals(cells.sum(axis=1), job)
    return intervals_of([NightScores.of(*of_night, job) for of_night in zip(nights, cells, strict=True)], job)


def _losses(nights: list[date], cells: dict[str, Floats], job: Job) -> Losses | None:
    """Return rows and both losses per night, or None without a champion."""
    if "champion" not in cells:
        return None
    if not len(cells["champion"]):
        return Losses(np.zeros(0), np.zeros(0), np.zeros(0))
    rows, champion = losses_of(cells["champion"], job)
    challenger = losses_of(cells["challenger"], job)[1]
    gains = Panel(tuple(nights), rows, champion - challenger, job.label.horizon) if job.is_snapshot else None
    return Losses(rows.sum(axis=1), champion.sum(axis=1), challenger.sum(axis=1), gains)


def _by_night(nights: list[date], losses: Losses | None) -> list[NightLosses]:
    if losses is None:
        return []
    groups = [None] * len(nights) if losses.gains is None else losses.gains.as_json()
    columns = zip(nights, losses.rows, losses.champion, losses.challenger, groups, strict=True)
    return [NightLosses(night, int(rows), float(old), float(new), of) for night, rows, old, new, of in columns]


def _segments(holdout: _Holdout, sides: dict[str, pa.Table], job: Job) -> list[Segment]:
    """Return the mean loss of both on every value of the declared segments, the largest first."""
    segments = []
    for name in job.promotion.segments:
        column = holdout.rows.column(name)
        for value in pc.unique(column).to_pylist():
            mask = pc.fill_null(pc.equal(column, value), False) if value is not None else pc.is_null(column)
            outcome = holdout.rows.column(LABEL_COLUMN).filter(mask)
            means = {}
            for side, predictions in sides.items():
                rows, loss = losses_of(outcome_sums(predictions.filter(mask), outcome, job).sum(axis=0), job)
                means[side] = float(loss / rows)
            segments.append(Segment(name, value, means.get("champion"), int(rows), means["challenger"]))
    return sorted(segments, key=lambda segment: (segment.column, -segment.rows))


def _calibration(sums: dict[str, Floats], job: Job) -> dict[str, list[dict[str, float]]]:
    if not job.task.has_positive:
        return {}
    return {side: reliability(blocks.sum(axis=0)) for side, blocks in sums.items() if len(blocks)}


def _latency(models: dict[str, ModelVersion], rows: pa.Table, job: Job) -> dict[str, float]:
    """Return the CPU seconds per million rows that each takes to predict: the best of some tries, by turns.

    CPU seconds, for those on the clock say more about what else the machine does.
    """
    batch = batch_of(rows.slice(0, TIMED_ROWS))
    best = dict.fromkeys(models, float("inf"))
    for _ in range(TIMED):
        for side, model in models.items():
            began = process_time()
            predict(model.pipeline, batch, job, model.rule)
            best[side] = min(best[side], process_time() - began)
    return {side: seconds / max(batch.num_rows, 1) * 1e6 for side, seconds in best.items()}


def _about(model: ModelVersion) -> ComparedVersion:
    return ComparedVersion(model.ref.version, model.ref.sha256, model.facts.seen.first, model.facts.seen.until)
