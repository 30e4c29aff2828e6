"""What a job file without a label, or without a pipeline of its own, cannot have."""

from __future__ import annotations

from scoring.job.columns import Label
from scoring.job.policies import PromotionPolicy, RetrainingPolicy
from scoring.job.task import Task


def refuse_without(
    label: Label, task: Task, pipeline: str | None, retraining: RetrainingPolicy, promotion: PromotionPolicy
) -> None:
    """Raise ``ValueError`` for a setting that needs the label or the pipeline that a job leaves out, or should not have."""
    if label.column is not None and not task.has_outcome:
        raise ValueError(
            f"label.column: found {label.column!r} with task {task}, which has no outcome, expected no label, or task "
            "regression"
        )
    if label.column is None:
        _refuse_without_label(task, pipeline, promotion)
    if pipeline is None and retraining.enabled and retraining.external is None:
        raise ValueError(
            "pipeline: found none, so nothing here can train a version, expected one, or `retraining: {external: {dag: ...}}`, "
            "or `retraining: {enabled: false}`"
        )
    if pipeline is not None and retraining.external is not None:
        raise ValueError("retraining.external: found beside pipeline, expected one of the two")


def _refuse_without_label(task: Task, pipeline: str | None, promotion: PromotionPolicy) -> None:
    if pipeline is not None and task.has_outcome:
        raise ValueError(
            f"label.column: found none with task {task} and a pipeline to be fitted, expected the outcome that it is fitted "
            "on, or task score, or no pipeline"
        )
    if promotion.floors:
        raise ValueError(
            "promotion.floors: found without a label, expected none: nothing is measured that could reach them"
        )
    if promotion.promote == "shadow":
        raise ValueError(
            "promotion.promote: found shadow without a label, expected gate or human: nothing is measured in the shadow"
        )
