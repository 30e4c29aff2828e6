"""Takes a version elsewhere: its pipeline in another format, compared with the version on the rows of its reference."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lifecycle.training import batch_of
from scoring.errors import PipelineError, VersionMissing
from scoring.rows import Rule, predict
from scoring.stores import Workspace
from scoring.stores.registry import FORMATS, REFERENCE_FILE, columns_of, opened, stored_as, unknown_types, with_inputs

EXPORTED = ("skops", "onnx")


@dataclass(frozen=True)
class Export:
    """A version in another format, and how it differs."""

    content: bytes = field(repr=False)
    rows: int
    """Rows of the reference on which both were asked."""
    largest: float
    """Largest difference of a number: a probability, or the value."""
    decided_otherwise: int
    """Rows with another ``prediction``; for a number every row whose bits differ."""
    unknown_types: tuple[str, ...]
    """Types that whoever opens the skops file has to allow by name."""


def exported(work: Workspace, version: int, name: str) -> Export:
    """Return a version in ``skops`` or ``onnx``, read again and compared. Raises ``PipelineError`` where it has no such form."""
    ref = work.registry.resolve(work.job.name, version)
    loaded, sample = work.registry.load(ref, work.job), work.registry.table(ref, REFERENCE_FILE)
    job = loaded.job_of(work.job)
    if loaded.elsewhere:
        raise PipelineError(
            f"exporting version {version} of {job.name} as {name}",
            found=f"a pipeline that only its own libraries open: {loaded.scored_by}",
            expected="one that is opened here",
            next_step="train a new version, or export it where its libraries are installed",
        )
    if sample is None:
        raise VersionMissing(
            f"reference of version {version} of {job.name}", found="no file", next_step="train a new version"
        )
    form = FORMATS[name]
    content = stored_as(form, loaded.pipeline, job)
    types = unknown_types(form, content)
    again = opened(form, content, job, types, None)
    if loaded.facts.inputs and columns_of(again) is None:
        again = with_inputs(again, loaded.facts.inputs)
    rows = batch_of(sample.select(job.columns))
    before = predict(loaded.pipeline, rows, job, loaded.rule)
    rule = loaded.rule if name == "skops" or loaded.rule is None else Rule(loaded.rule.decision, None)
    after = predict(again, rows, job, rule)
    gaps = [
        np.abs(np.asarray(before.column(column)) - np.asarray(after.column(column))) for column in job.number_columns
    ]
    differing = sum(
        x != y for x, y in zip(*(part.column("prediction").to_pylist() for part in (before, after)), strict=True)
    )
    return Export(content, rows.num_rows, float(np.max(gaps)), differing, tuple(types))
