"""What a challenger and the champion do on the same holdout rows: everything that the gate and the model card need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from time import process_time

import pyarrow as pa
import pyarrow.compute as pc

from drift.performance import nights_of
from lifecycle.comparison.gate import gain_of
from lifecycle.comparison.history import Rivals, with_history
from lifecycle.comparison.same_rows import CHALLENGER, CHAMPION, SameRows
from lifecycle.training import NIGHT, Snapshot, batch_of, unseen_from
from scoring.errors import TrainingDataError
from scoring.interval import Nights
from scoring.job import Job
from scoring.rows import predict
from scoring.stores import LABEL_COLUMN, Workspace
from scoring.stores.registry import HOLDOUT_FILE, ModelVersion, VersionRef
from scoring.stores.warehouse import ComparedVersion, Evaluation, Holdout

TIMED_ROWS = 20_000
TIMED = 7


@dataclass(frozen=True)
class _Holdout:
    """The nights that neither version has seen, of how many that were kept apart."""

    compared: SameRows
    of_nights: int


def compare(work: Workspace, ref: VersionRef, snapshot: Snapshot, rivals: Rivals) -> Evaluation:
    """Return how a version compares with the champion on the last nights of its snapshot, and what refits have gained so far.

    What the version says comes from a fit without these nights. A night that either of them was fitted on, or whose outcome
    overlaps those, is dropped, and how many were is in ``holdout``.
    """
    model = work.registry.load(ref, work.job)
    crowned = work.registry.load(rivals.champion, work.job) if rivals.champion is not None else None
    holdout = _holdout(work, model, crowned, snapshot)
    compared = holdout.compared
    losses, nights = compared.losses, compared.nights
    first, last = (nights[0], nights[-1]) if nights else (None, None)
    loaded = {CHALLENGER: model} | ({CHAMPION: crowned} if crowned is not None else {})
    evaluation = Evaluation(
        challenger=_about(model),
        champion=_about(crowned) if crowned else None,
        loss=work.job.task.loss,
        holdout=Holdout(first, last, len(nights), holdout.of_nights, compared.rows.num_rows, work.job.label.horizon),
        metrics=compared.metrics,
        gain=gain_of(losses, work.job.promotion.confidence) if losses else None,
        by_night=compared.by_night,
        segments=compared.segments,
        calibration=compared.calibration,
        worse_calibrated=compared.worse_calibrated,
        latency=_latency(loaded, snapshot.rows.table, work.job),
        size={side: work.registry.artifact_bytes(version.ref) / 1e6 for side, version in loaded.items()},
        constant=model.facts.constant,
        importance=model.profile.get("weights", {}),
    )
    judged_until = model.facts.holdout_from - timedelta(days=work.job.label.horizon)
    return with_history(work, evaluation, compared, judged_until, snapshot, rivals)


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
    rows, sides = rows.filter(unseen), {CHALLENGER: predictions.filter(unseen)}
    if champion is not None:
        says = champion.predict(batch_of(rows), work.job)
        sides[CHAMPION] = pa.Table.from_batches([says])
    return _Holdout(SameRows(work.job, rows, sides), of_nights)


def _unseen(nights: pa.ChunkedArray, seen: Nights, job: Job) -> pa.ChunkedArray:
    """Return which nights were not fitted on, and have no outcome that overlaps those that were."""
    ends = seen.first - timedelta(days=job.label.horizon), unseen_from(job, seen.until)
    first, until = (pa.scalar(night, pa.date32()) for night in ends)
    return pc.or_(pc.less(nights, first), pc.greater_equal(nights, until))


def _latency(models: dict[str, ModelVersion], rows: pa.Table, job: Job) -> dict[str, float]:
    """Return the CPU seconds per million rows that each takes to predict: the best of some tries, by turns.

    CPU seconds, for those on the clock say more about what else the machine does.
    """
    batch = batch_of(rows.slice(0, TIMED_ROWS))
    best = dict.fromkeys(models, float("inf"))
    for _ in range(TIMED):
        for side, model in models.items():
            began = process_time()
            predict(
                model.pipeline, batch, model.job_of(job), model.rule
            )  # an evaluator says nothing about the pipeline
            best[side] = min(best[side], process_time() - began)
    return {side: seconds / max(batch.num_rows, 1) * 1e6 for side, seconds in best.items()}


def _about(model: ModelVersion) -> ComparedVersion:
    seen: date = model.facts.seen.until
    return ComparedVersion(model.ref.version, model.ref.sha256, model.facts.seen.first, seen)
