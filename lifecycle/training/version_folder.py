"""The files of a new model version, written for the registry to take."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lifecycle.training.fit import batch_of
from lifecycle.training.made_up_rows import may_be_unseen
from lifecycle.training.reference import reference_nights
from lifecycle.training.rows import NIGHT, Rows
from scoring.errors import PipelineError
from scoring.job import Job, steps_of, words_of
from scoring.rows import Band, Summary, UsualNights, predict
from scoring.stores import LABEL_COLUMN
from scoring.stores.registry import ARTIFACT, BAND_FILE, HOLDOUT_FILE, NIGHTS_FILE, TrainingFacts, packages_of

GOLDEN_ROWS = 32


@dataclass(frozen=True)
class Fitted:
    """A pipeline and everything that is stored about it."""

    pipeline: Any
    scores: dict[str, float]
    weights: dict[str, float]
    holdout: pa.Table | None
    """Night, outcome and prediction of the last nights, by a pipeline that never saw them."""
    predictions: pa.Table
    """One per row of the window, out of fold, because a model is surer of the rows it was fitted on than of later ones."""


def write_version(
    folder: Path, job: Job, fitted: Fitted, labelled: pa.Table, facts: TrainingFacts, usual: UsualNights
) -> None:
    """Write artifact, facts, the profile that the publish gate and the contract need, and golden rows."""
    (folder / ARTIFACT).write_bytes(pickled(fitted.pipeline, job))
    write_beside(folder, job, fitted, labelled, facts, usual)


def write_beside(
    folder: Path, job: Job, fitted: Fitted, labelled: pa.Table, facts: TrainingFacts, usual: UsualNights
) -> None:
    """Write what ``write_version`` does beside an artifact that is there."""
    batch = batch_of(labelled)
    profile = {
        "prediction": Summary.of(fitted.predictions, job).as_dict(),
        "usual_nights": usual.as_dict(),
        "categories": _categories(batch, job),
        "weights": fitted.weights,
    }
    (folder / "reference_profile.json").write_text(json.dumps(profile))
    golden = _golden(batch, job)
    pq.write_table(pa.Table.from_batches([golden]), folder / "golden.parquet")
    pq.write_table(
        pa.Table.from_batches([predict(fitted.pipeline, golden, job, facts.rule(job))]),
        folder / "golden_predictions.parquet",
    )
    facts = replace(facts, packages=packages_of(fitted.pipeline))
    (folder / "facts.json").write_text(json.dumps(facts.as_json(), indent=1))


def write_reference(folder: Path, job: Job, fitted: Fitted, rows: Rows, *, out_of_fold: bool = True) -> None:
    """Write what drift and performance are compared with: a sample, every night's profile, the holdout's outcomes.

    Unless the predictions are ``out_of_fold``, intervals are made of the holdout, whose outcomes the pipeline does not know.
    """
    table, predictions = rows.table, fitted.predictions
    nights = table.column(NIGHT).combine_chunks()
    reference = reference_nights(table, predictions, nights, job)
    reference["quarantined"] = {"extracted": rows.extracted, "reasons": rows.reasons}
    (folder / NIGHTS_FILE).write_text(json.dumps(reference))
    places = pa.array(np.sort(np.random.default_rng(0).permutation(len(table))[: job.training.reference_rows]))
    outcome = {
        "outcome": table.column(LABEL_COLUMN),
        **{name: predictions.column(name) for name in job.prediction_columns},
    }
    sample = pa.table({NIGHT: nights, **{name: table.column(name) for name in job.columns}, **outcome})
    pq.write_table(sample.take(places), folder / "reference.parquet")
    if not job.task.classifies:  # whether the job has an interval or not: the key may come later
        unseen = (predictions, table.column(LABEL_COLUMN)) if out_of_fold else _of_holdout(fitted.holdout)
        _write_band(folder / BAND_FILE, *unseen)
    if fitted.holdout is not None:
        pq.write_table(fitted.holdout, folder / HOLDOUT_FILE)


def _of_holdout(holdout: pa.Table | None) -> tuple[pa.Table, pa.ChunkedArray]:
    """Return the predictions of a holdout and its outcomes, none without one."""
    if holdout is None:
        holdout = pa.table({name: pa.array([], pa.float64()) for name in ("prediction", "outcome")})
    return holdout, holdout.column("outcome")


def _write_band(path: Path, predictions: pa.Table, outcome: pa.ChunkedArray) -> None:
    """Write what intervals around predicted values are made of, empty where too few rows say it."""
    band = Band.of(*(np.asarray(column.to_numpy()) for column in (predictions.column("prediction"), outcome)))
    path.write_text(json.dumps({} if band is None else band.as_dict()))


def _categories(batch: pa.RecordBatch, job: Job) -> dict[str, list[str]]:
    kinds = [name for name, feature in job.features.items() if feature.type == "category"]
    return {name: sorted(pc.unique(pc.drop_null(batch.column(name))).to_pylist()) for name in kinds}


def _golden(batch: pa.RecordBatch, job: Job) -> pa.RecordBatch:
    """Return a few rows of the training data, then one with an unseen category and a null wherever one may be."""
    rows = batch.take(pa.array(np.linspace(0, len(batch) - 1, min(GOLDEN_ROWS, len(batch))).astype(int)))
    rows = rows.select(job.columns)
    strange, categories = [], _categories(batch, job)
    for name in job.columns:
        feature = job.features.get(name)
        if feature is not None and feature.nullable:
            strange.append(pa.nulls(1, rows.column(name).type))
        elif (level := may_be_unseen(job, name, categories.get(name, []))) is not None:
            strange.append(pa.array([level]))
        else:
            strange.append(rows.column(name).slice(0, 1))
    return pa.concat_batches([rows, pa.RecordBatch.from_arrays(strange, schema=rows.schema)])


def pickled(pipeline: Any, job: Job) -> bytes:
    """Return the pipeline's bytes. Raises ``PipelineError`` that names the step when it cannot be stored."""
    file = io.BytesIO()
    try:
        joblib.dump(pipeline, file)
    except Exception as error:  # pickle raises errors of several types, and those of the objects themselves
        step = next(
            (
                f" in step {name} ({type(part).__name__})"
                for name, part in steps_of(pipeline)[::-1]
                if not _is_stored(part)
            ),
            "",
        )
        raise PipelineError(
            f"storing the pipeline of {job.name}",
            found=f"{words_of(error)}{step}",
            expected="functions and classes with a name at the top of a module, and no open files, locks or connections",
            next_step="write lambdas, closures and local classes as functions and classes of jobs/, at the top of a module",
        ) from error
    return file.getvalue()


def _is_stored(part: Any) -> bool:
    try:
        joblib.dump(part, io.BytesIO())
    except Exception:  # noqa: BLE001  asked again only to find out which part it is; the error itself is raised by the caller
        return False
    return True
