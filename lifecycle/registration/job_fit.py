"""Does a model that was fitted elsewhere fit the job: its columns, its classes, the shape of what it gives?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from lifecycle.registration.opening import Opened
from scoring.errors import NightshiftError, PipelineError
from scoring.job import Job
from scoring.rows import Rule, decision_of, predict
from scoring.stores.registry import columns_of, with_inputs


def inputs_of(opened: Opened, job: Job, columns: Sequence[str]) -> list[str] | None:
    """Return the columns in the model's own order, or None for one that takes the job's features as they stand.

    ``columns`` says it for a model that knows no names. Raises ``PipelineError`` when the job does not have them.
    """
    names, count = columns_of(opened.model), getattr(opened.model, "n_features_in_", None)
    if names is None and not columns:
        if count is None:
            return None
        raise _misfit(
            opened,
            f"a model without names of columns, that was fitted on an array of {count}",
            f"names, or --columns with {count} of the job's features {list(job.features)}",
            "fit it on a DataFrame, or say the order of its columns: --columns a,b,c",
        )
    wanted = list(columns) or names or []
    unknown = [name for name in wanted if name not in job.features]
    if unknown:
        raise _misfit(
            opened,
            f"it was fitted on columns that the job does not have: {unknown}",
            f"features of jobs/{job.name}.yaml: {list(job.features)}",
            "add them to features and to features.sql under the names that the model knows, or fit it without them",
        )
    if columns and names is not None and list(columns) != names:
        raise _misfit(opened, f"--columns {list(columns)}", f"{names}, as the model says", "leave --columns out")
    if count is not None and len(wanted) != count:
        raise _misfit(opened, f"{len(wanted)} columns", f"{count}, as it was fitted on", "correct --columns")
    return None if names == list(job.features) else wanted


def require_fit(opened: Opened, inputs: list[str] | None, rows: pa.RecordBatch, job: Job) -> Any:
    """Return the model as it scores the job's rows. Raises ``PipelineError`` when its classes or its output are others."""
    _require_classes(opened, job)
    ways = [None, inputs] if inputs is not None and columns_of(opened.model) is not None else [inputs]
    for way in ways:  # a pipeline that selects its columns by name needs no help, and stays what it is
        model = with_inputs(opened.model, way)
        try:
            predict(model, rows, job, Rule(decision_of(model, job)))
            return model
        except NightshiftError as error:
            if way is ways[-1]:
                raise _misfit(
                    opened,
                    f"it does not predict rows of features.sql: {' '.join(str(error.__cause__ or error).split())}",
                    "one finite prediction per row for frames with float64, object and datetime64 columns, as the job declares",
                    f"fit it on such columns, or correct the types in jobs/{job.name}.yaml",
                ) from error
    raise AssertionError  # the last way raised or returned


def _require_classes(opened: Opened, job: Job) -> None:
    if not job.task.classifies:
        return
    if not hasattr(opened.model, "predict_proba"):
        raise _misfit(
            opened,
            f"a {type(opened.model).__name__} without predict_proba",
            f"probabilities, for the task is {job.task}",
            "put CalibratedClassifierCV around it, or change `task`",
        )
    classes = list(getattr(opened.model, "classes_", []))
    expected = job.task.fitted_classes(job.label.classes or [])
    if [str(name) for name in classes] != [str(name) for name in expected] and classes != expected:
        raise _misfit(
            opened,
            f"classes {[str(name) for name in classes]}",
            f"{expected}, for the task is {job.task}",
            "fit it on 0 and 1 (1 is label.positive)"
            if job.task.has_positive
            else "correct label.classes, or fit it again",
        )


def _misfit(opened: Opened, finding: str, expected: str, next_step: str) -> PipelineError:
    return PipelineError(
        f"model {opened.file.source} does not fit the job", found=finding, expected=expected, next_step=next_step
    )
