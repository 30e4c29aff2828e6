"""What a job file without a label, or without a pipeline of its own, cannot have."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scoring.job.definition import Job


def refuse_without(job: Job) -> None:
    """Raise ``ValueError`` for a setting that needs the label or the pipeline that a job leaves out, or should not have."""
    if job.has_labels and not job.task.has_outcome:
        raise ValueError(
            f"label.column: found {job.label.column!r} with task {job.task}, which has no outcome; expected no label, or task "
            "regression"
        )
    if not job.has_labels:
        _refuse_without_label(job)
    if job.pipeline is None and job.retraining.enabled and job.retraining.external is None:
        raise ValueError(
            "pipeline: found none, so nothing here can train a version; expected one, or `retraining: {external: {dag: ...}}`, "
            "or `retraining: {enabled: false}`"
        )
    if job.pipeline is not None and job.retraining.external is not None:
        raise ValueError("retraining.external: found beside pipeline, expected one of the two")


def _refuse_without_label(job: Job) -> None:
    if job.pipeline is not None and job.task.has_outcome:
        raise ValueError(
            f"label.column: found none with task {job.task} and a pipeline to be fitted; expected the outcome that it is fitted "
            "on, or task score, or no pipeline"
        )
    if job.promotion.floors:
        raise ValueError(
            "promotion.floors: found without a label, expected none: nothing is measured that could reach them"
        )
    if job.promotion.promote == "shadow":
        raise ValueError(
            "promotion.promote: found shadow without a label, expected gate or human: nothing is measured in the shadow"
        )
