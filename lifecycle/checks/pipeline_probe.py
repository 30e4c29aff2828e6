"""A job's pipeline on made-up rows, in processes of its own: ``python -m lifecycle.checks.pipeline_probe FOLDER``.

A first copy of the process makes, fits and stores it; a second reads it where no module of the user's is in memory yet.
What is under way stands in the folder's ``stage``, what went wrong in ``fault.json``, how they ended in ``ended.json``.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lifecycle.training import (
    NIGHT,
    batch_of,
    fit,
    kind_of,
    levels_of,
    made_up_rows,
    may_be_null,
    may_be_unseen,
    pickled,
    predicted,
)
from scoring.errors import JobFileError, NightshiftError, PipelineError
from scoring.job import Job, place_of, step_of, steps_of, words_of
from scoring.rows import predict
from scoring.stores import LABEL_COLUMN
from scoring.stores.registry import GOLDEN_TOLERANCE, largest_difference, unpickled

ROWS, MORE_ROWS = 300, 3_000
"""Made-up rows to fit on, and how many when that fit fails, because some pipelines need more."""
PER_CLASS = 60
NIGHTS = 10
PIPELINE, PREDICTIONS, FAULT, STAGE, ENDED = (
    "pipeline.joblib",
    "predictions.parquet",
    "fault.json",
    "stage",
    "ended.json",
)
OK = 42
"""Exit code of a copy that came to its end: one that a user's code seldom gives."""


@dataclass
class Probe:
    """One try of a job's pipeline. Its folder says how far it came."""

    job: Job
    folder: Path
    process: int

    def stage(self, words: str) -> None:
        """Write down what is under way. A copy of this process that the user's code made ends here."""
        if os.getpid() != self.process:
            os._exit(0)
        (self.folder / STAGE).write_text(words, encoding="utf-8")

    def rows(self, count: int) -> pa.Table:
        """Return made-up rows, enough of each class and for the calibration."""
        calibrated = self.job.training.calibration != "none"
        nights = 2 * self.job.training.calibration_nights if calibrated else NIGHTS
        return made_up_rows(
            self.job, max(count, PER_CLASS * len(self.job.label.classes or [])), nights, (NIGHT, LABEL_COLUMN)
        )


class Fault(Exception):
    """What is wrong with the pipeline, in the words that ``check`` uses."""

    def __init__(self, finding: str, expected: str, next_step: str) -> None:
        self.facts = {"found": finding, "expected": expected, "next_step": next_step}
        super().__init__(finding)


def attempt(probe: Probe) -> None:
    """Make, store, fit, and predict with the pipeline. Raises ``Fault`` or ``NightshiftError`` at the first thing wrong."""
    job = probe.job
    probe.stage("importing its module")
    factory = job.pipeline_factory()
    probe.stage(f"calling {job.pipeline}")
    pipeline = factory()
    _fits_the_task(pipeline, job)
    probe.stage("storing the unfitted pipeline")
    pickled(pipeline, job)
    try:
        rows, fitted = _fit_and_predict(probe, ROWS)
    except (PipelineError, Fault):  # raised again below, unless it was only that the rows were few
        first = sys.exception()
        try:
            rows, fitted = _fit_and_predict(probe, max(MORE_ROWS, min(job.training.min_rows, 20_000)))
        except (PipelineError, Fault):
            raise first from None  # type: ignore[misc]
    before = predicted(fitted, few := _few(probe), job)
    if largest_difference(predict(fitted, few, job), before, job) <= GOLDEN_TOLERANCE:  # else registration refuses it
        _stands_alone(probe, fitted, rows, before)
        pq.write_table(pa.Table.from_batches([before]), probe.folder / PREDICTIONS)
    probe.stage("storing the fitted pipeline")
    (probe.folder / PIPELINE).write_bytes(pickled(fitted, job))


def reload(probe: Probe) -> None:
    """Read the stored pipeline and predict with it. Raises ``Fault`` when it gives other predictions than before."""
    probe.stage("reading the stored pipeline in a new process")
    try:
        fitted = unpickled((probe.folder / PIPELINE).read_bytes())
    except Exception as error:  # whatever unpickling raises: named and raised again
        raise Fault(
            f"{words_of(error)} while reading the stored pipeline in a new process",
            "a pipeline that any process can read",
            "write what it is made of at the top of a module of jobs/",
        ) from error
    probe.stage("predicting in a new process")
    predictions = _predict(probe, fitted, _few(probe), "in a new process")
    path = probe.folder / PREDICTIONS
    if not path.exists():
        return
    difference = largest_difference(predictions, batch_of(pq.read_table(path)), probe.job)
    if difference > GOLDEN_TOLERANCE:
        away = "other classes" if np.isinf(difference) else f"predictions up to {difference:.3g} away"
        raise Fault(
            f"{away} once the pipeline is stored and read in a new process",
            "the same predictions",
            "keep what was fitted in attributes of the estimators, not in globals or class attributes",
        )


def _few(probe: Probe) -> pa.RecordBatch:
    return batch_of(probe.rows(ROWS).drop_columns([NIGHT, LABEL_COLUMN]))


def _fits_the_task(pipeline: Any, job: Job) -> None:
    """Raise ``Fault`` when a regressor shall classify, or the other way round."""
    kind, expected = kind_of(pipeline), job.task.estimator
    if kind is not None and kind != expected and job.task.has_outcome:
        steps = getattr(pipeline, "steps", None)
        name = type(steps[-1][1] if steps else pipeline).__name__
        raise Fault(
            f"{job.pipeline!r} returns a {kind} ({name})",
            f"a {expected}, for the task is {job.task}",
            f"end the pipeline with a {expected}, or change `task` in the job file",
        )


def _fit_and_predict(probe: Probe, count: int) -> tuple[pa.Table, Any]:
    rows, job = probe.rows(count), probe.job
    probe.stage(f"fitting it on {rows.num_rows:,} made-up rows")
    try:
        fitted = fit(rows, job)
    except PipelineError as error:
        raise _explained(
            job, error.__cause__ or error, f"while fitting it on {rows.num_rows:,} made-up rows"
        ) from error
    if job.task.classifies and not hasattr(fitted, "predict_proba"):
        raise Fault(
            f"{job.pipeline!r} returns a pipeline without predict_proba",
            f"probabilities, for the task is {job.task}",
            "end it with a classifier that has predict_proba, or put CalibratedClassifierCV around the one it has",
        )
    batch = batch_of(rows.drop_columns([NIGHT, LABEL_COLUMN]))
    for words, part in _cases(job, batch):
        probe.stage(f"predicting {words}")
        _predict(probe, fitted, part, words, rows.num_rows)
    return rows, fitted


def _cases(job: Job, batch: pa.RecordBatch) -> list[tuple[str, pa.RecordBatch]]:
    """Return rows that a night may have, each with its name: all, one, a null and an unseen level wherever one may be."""
    cases = [("the rows it was fitted on", batch), ("one row", batch.slice(0, 1))]
    whole = batch.slice(0, 1)
    for name in job.features:
        levels = levels_of(job.features[name]) if job.features[name].type == "category" else []
        level = may_be_unseen(job, name, levels)
        if level is not None:
            changed = _with(whole, name, pa.array([level]))
            cases.append((f"a row whose {name} is a level that training did not have ({level!r})", changed))
        if may_be_null(job, name):
            null = pa.nulls(1, batch.column(name).type)
            cases.append((f"a row whose {name} is null", _with(whole, name, null)))
    return cases


def _with(row: pa.RecordBatch, name: str, value: pa.Array) -> pa.RecordBatch:
    return row.set_column(row.schema.get_field_index(name), name, value)


def _predict(probe: Probe, fitted: Any, batch: pa.RecordBatch, words: str, rows: int = ROWS) -> pa.RecordBatch:
    try:
        return predict(fitted, batch, probe.job)
    except NightshiftError as error:
        what = f"while predicting {words}, after a fit on {rows:,} made-up rows"
        if error.__cause__ is not None:
            raise _explained(probe.job, error.__cause__, what, fitted) from error
        advice = _advice(probe.job, str(error), what)
        raise Fault(f"{str(error).partition(': found ')[2]} {what}", "one finite prediction per row", advice) from error


def _explained(job: Job, error: BaseException, what: str, fitted: Any = None) -> Fault:
    """Return the fault that the pipeline's own error is: its words, its step, file and line, and what to do."""
    pipeline = fitted if fitted is not None else job.pipeline_factory()()
    step, where = step_of(pipeline, error), place_of(error)
    words = words_of(error)
    problem = f"{words}{f' in step {step}' if step else ''}{f' ({where})' if where else ''} {what}"
    return Fault(problem, "a pipeline that takes whatever the job file lets through", _advice(job, words, what))


def _advice(job: Job, words: str, what: str) -> str:
    """Return what to do about an error of scikit-learn or pandas that is well known, or where to look."""
    kinds = {name: feature.type for name, feature in job.features.items()}
    categories = [name for name, kind in kinds.items() if kind == "category"]
    nullable = [name for name in kinds if may_be_null(job, name)]
    remedies = (
        (
            "could not convert string",
            f"encode {categories}, for example with OneHotEncoder(handle_unknown='ignore'); the made-"
            "up levels stand for any text, unless the feature declares `allowed`",
        ),
        ("unknown categor", "OneHotEncoder(handle_unknown='ignore'), or `unknown: quarantine` on the feature"),
        (
            "feature names",
            "encode with OneHotEncoder(handle_unknown='ignore'): pd.get_dummies gives other columns for other rows",
        ),
        ("inconsistent numbers of samples", "give one row per row: fill nulls in (SimpleImputer), do not drop rows"),
        ("shape", "give one row per row: fill nulls in (SimpleImputer), do not drop or add rows"),
        ("NaN", f"fill nulls in (SimpleImputer), or take `nullable` off {nullable}"),
        ("KeyError", f"the pipeline is given the columns {list(kinds)}"),
        ("not columns", f"the pipeline is given the columns {list(kinds)}"),
        ("columns are missing", f"the pipeline is given the columns {list(kinds)}"),
        ("label type", "end it with an estimator for the job's task"),
    )
    advice = next((then for sign, then in remedies if sign.lower() in words.lower()), "correct the pipeline")
    if "did not have" in what and "unknown" not in advice:
        return f"{advice}; or declare `unknown: quarantine` or `allowed` on the feature, and such rows never reach it"
    return advice


def _stands_alone(probe: Probe, fitted: Any, rows: pa.Table, before: pa.RecordBatch) -> None:
    """Raise ``Fault`` when fitting a second pipeline of the factory changes what the first one predicts."""
    job = probe.job
    probe.stage("fitting a second pipeline of the same function")
    fit(rows.take(pa.array(np.arange(0, rows.num_rows, 2))), job)
    if largest_difference(predict(fitted, _few(probe), job), before, job) > GOLDEN_TOLERANCE:
        first, second = job.pipeline_factory()(), job.pipeline_factory()()
        shared = [name for name, step in steps_of(first) if any(step is again for _, again in steps_of(second))]
        raise Fault(
            f"fitting a second pipeline changes what the first one predicts{f'; both have {shared}' if shared else ''}",
            "a new pipeline with new steps at each call",
            "make everything inside the function, nothing at the top of the module",
        )


def main() -> None:
    """Try the pipeline, then read it again, in a copy of this process each, and write how they ended."""
    folder = Path(sys.argv[1])
    job = Job.model_validate_json((folder / "job.json").read_text(encoding="utf-8"))
    warnings.simplefilter("ignore")
    (folder / STAGE).write_text("starting", encoding="utf-8")  # from here on the time counts
    codes = []
    for action in (attempt, reload):
        child = os.fork()
        if child == 0:
            _act(action, Probe(job, folder, os.getpid()))
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        if codes[-1] != OK:
            break
    (folder / ENDED).write_text(json.dumps(codes), encoding="utf-8")


def _act(action: Callable[[Probe], None], probe: Probe) -> NoReturn:
    """Do one action, write what went wrong, and end at once, whatever the user's code left running."""
    try:
        action(probe)
    except Fault as fault:
        _write(probe, fault.facts)
    except JobFileError as error:
        _write(probe, {"message": str(error)})
    except NightshiftError as error:
        _write(probe, {"message": f"jobs/{probe.job.name}.yaml: pipeline: {error}"})
    except (Exception, SystemExit) as error:  # noqa: BLE001  of the user's code: handed to the process that asked
        _write(probe, {"found": f"{words_of(error)} while {(probe.folder / STAGE).read_text(encoding='utf-8')}"})
    os._exit(OK if os.getpid() == probe.process and not (probe.folder / FAULT).exists() else 0)


def _write(probe: Probe, facts: dict[str, str]) -> None:
    if os.getpid() == probe.process:
        (probe.folder / FAULT).write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main()
