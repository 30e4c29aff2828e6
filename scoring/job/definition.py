"""``Job``: the content of ``jobs/<job>.yaml``, validated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from scoring.job.columns import ColumnName, Feature, Label
from scoring.job.factory import factory_of
from scoring.job.interval_policy import INTERVAL_COLUMNS, Interval, refuse_interval
from scoring.job.left_out import refuse_without
from scoring.job.policies import (
    GatePolicy,
    LimitsPolicy,
    MonitorPolicy,
    PromotionPolicy,
    RetrainingPolicy,
    ServePolicy,
    TrainingPolicy,
)
from scoring.job.reasons import ReasonsPolicy, kinds_of, refuse_reasons
from scoring.job.schedule import Schedule, Timezone
from scoring.job.task import Task, tasks_with
from scoring.names import (
    JOB_PATTERN,
    SOURCE_PATTERN,
    refuse_classes,
    refuse_columns,
)
from scoring.validation import FACTORY_PATTERN, Strict

JobName = Annotated[str, Field(pattern=JOB_PATTERN)]
SourceName = Annotated[str, Field(pattern=SOURCE_PATTERN)]
KeyType = Literal["int", "string", "datetime", "date"]
Kind = Literal["events", "snapshot"]
MOST_SHARDS = 128
"""Airflow's scheduler looks at every one of them in each of its rounds."""
HIDDEN_VALUE = "hidden"
"""The text that stands in place of every value of a sensitive column."""


class Job(Strict):
    """One model's nightly scoring: what is read, what it must look like, how it is scored and published."""

    name: JobName = Field(description="As the file is called; it begins the names of tables, views and DAGs.")
    description: str = Field(min_length=1, description="What a prediction says, in a sentence.")
    owner: str = Field(min_length=1, description="Who answers for the job.")
    tags: list[str] = Field(default_factory=list, description="Tags of the DAGs in Airflow.")
    schedule: Schedule = Field(description="Which nights there are, and when they are scored.")
    source: SourceName = Field(description="The database that the SQL runs on, by its name in the settings.")
    source_timezone: Timezone = "UTC"
    """The zone of the source's times that are stored without a zone."""
    kind: Kind = "events"
    """``events``: rows that happened in the night. ``snapshot``: every entity, such as a customer, as it is at the night's end.

    The SQL of a snapshot job binds ``:night``; the same keys come every night.
    """
    time_column: ColumnName | None = None
    """A key column of type datetime: rows outside the night's interval are quarantined."""
    key: dict[ColumnName, KeyType] = Field(min_length=1, description="The columns that are unique together in a night.")
    features: dict[ColumnName, Feature] = Field(min_length=1, description="The columns that the pipeline is given.")
    task: Task = Field(description="What the pipeline predicts: one of two classes, one of several, or a number.")
    label: Label = Label()
    """The outcome that predictions are compared with. Without it drift and scores are all that is watched."""
    pipeline: str | None = Field(default=None, pattern=FACTORY_PATTERN)
    """module:function that returns the unfitted pipeline. Without it versions come from elsewhere: `nightshift register`."""
    training: TrainingPolicy = Field(default=TrainingPolicy(), description="How versions are fitted.")
    chunk_rows: int = Field(default=100_000, ge=1, le=1_000_000, description="Rows that are in memory at a time.")
    shards: int | None = Field(default=None, ge=1, le=MOST_SHARDS)
    """Tasks of Airflow, on any workers, that share a night: each scores and loads its part. Default: one task reads and loads."""
    shard_rows: int | None = Field(default=None, ge=1)
    """Rows of such a part, for as many tasks as the night needs, in place of a fixed number of them."""
    on_empty: Literal["fail", "skip"] = Field(default="fail", description="What a night without rows is.")
    keep_nights: int | None = Field(default=None, ge=30)
    """Nights whose predictions stay published, the newest ones; retention takes older ones back. Default: all of them.

    A number must be at least that of the nights that monitoring looks back on, 90 by default.
    """
    evaluator: Literal["auto", "scikit-learn"] = "auto"
    """What computes predictions. ``auto``: the version's evaluator, which gives the pipeline's own bits, where it has one."""
    reasons: ReasonsPolicy | None = None
    """Reasons of predictions: what each feature adds to them, for the pipelines that have exact ones. Default: none."""
    interval: Interval | None = None
    """The share of outcomes that the columns ``lower`` and ``upper`` are to hold between them, such as 0.9, or a mapping with
    ``level``. For task regression. Default: no such columns."""
    gate: GatePolicy = Field(default=GatePolicy(), description="What a night must keep to be published.")
    monitor: MonitorPolicy = Field(default=MonitorPolicy(), description="How a night is compared with others.")
    retraining: RetrainingPolicy = Field(default=RetrainingPolicy(), description="When a version is trained.")
    promotion: PromotionPolicy = Field(default=PromotionPolicy(), description="When it becomes champion.")
    serve: ServePolicy = Field(default=ServePolicy(), description="Who answers for it on demand, beside the champion.")
    limits: LimitsPolicy = Field(default=LimitsPolicy(), description="What a run may use.")

    @model_validator(mode="after")
    def _columns_are_consistent(self) -> Self:
        alike = {"category": "string"}
        for name in set(self.key) & set(self.features):
            kind = self.features[name].type
            if self.key[name] != alike.get(kind, kind):
                raise ValueError(
                    f"features.{name}: found type {kind}, and type {self.key[name]} in key; one column has one type, "
                    "expected the same in both"
                )
        if self.label.column in self.columns:
            raise ValueError(
                f"label.column: found {self.label.column!r}, which is a key or feature: the model would see the outcome; "
                "expected a column of labels.sql alone"
            )
        if self.time_column is not None and self.is_snapshot:
            raise ValueError(
                f"time_column: found {self.time_column!r} with kind snapshot, whose rows are entities and happen at no time, "
                "expected none, and :night in the SQL"
            )
        if self.time_column is not None and self.key.get(self.time_column) != "datetime":
            raise ValueError(f"time_column: found {self.time_column!r}, expected a key column of type datetime")
        return self

    @model_validator(mode="after")
    def _what_is_left_out_is_not_needed(self) -> Self:
        refuse_without(self.label, self.task, self.pipeline, self.retraining, self.promotion)
        return self

    @model_validator(mode="after")
    def _label_fits_the_task(self) -> Self:
        if len(self.label.classes or []) < self.task.least_classes:
            raise ValueError(
                f"label.classes: found {len(self.label.classes or [])} classes, expected at least "
                f"{self.task.least_classes} classes for task {self.task}"
            )
        for name in ("classes", "threshold", "positive"):
            if name not in self.task.label_settings and getattr(self.label, name) is not None:
                raise ValueError(
                    f"label.{name}: found with task {self.task}, expected with task {tasks_with(name)} only"
                )
        refuse_interval(self.interval, self.task)
        return self

    @model_validator(mode="after")
    def _versions_can_be_trained_and_promoted(self) -> Self:
        if self.training.calibration != "none" and not self.task.classifies:
            raise ValueError(
                f"training.calibration: found {self.training.calibration}, expected none: task {self.task} has no "
                "probabilities"
            )
        if self.training.holdout_nights < self.promotion.min_nights:
            raise ValueError(
                f"training.holdout_nights: found {self.training.holdout_nights}, expected at least promotion.min_nights, "
                f"which is {self.promotion.min_nights}: no challenger could ever be promoted"
            )
        plain = [name for name in self.promotion.segments if not self._is_category(name)]
        if plain:
            raise ValueError(f"promotion.segments: found {plain}, expected features of type category")
        return self

    @model_validator(mode="after")
    def _reasons_are_of_predictions(self) -> Self:
        if self.reasons is not None:
            kinds = kinds_of(self.task, self.probability_columns)
            refuse_reasons(self.reasons, kinds, self.label.classes or [], self.key)
        return self

    @model_validator(mode="after")
    def _nights_that_are_needed_stay(self) -> Self:
        needed = max(self.monitor.baseline_nights, self.retraining.performance_nights + self.label.delay_days)
        if self.keep_nights is not None and self.keep_nights < needed:
            raise ValueError(
                f"keep_nights: found {self.keep_nights}, expected at least {needed}: so many published nights are what "
                "monitor.baseline_nights, retraining.performance_nights and label.delay_days look back on"
            )
        return self

    @model_validator(mode="after")
    def _lateness_is_said_once(self) -> Self:
        minutes = self.limits.late_after_minutes if "late_after_minutes" in self.limits.model_fields_set else None
        if self.schedule.ready_by is not None and minutes is not None:
            raise ValueError(
                f"limits.late_after_minutes: found {minutes} with schedule.ready_by {self.schedule.ready_by}, expected one of "
                "them"
            )
        return self

    @model_validator(mode="after")
    def _shards_are_a_number_or_a_size(self) -> Self:
        if self.shards is not None and self.shard_rows is not None:
            raise ValueError(
                f"shard_rows: found {self.shard_rows} beside shards {self.shards}, expected one of the two"
            )
        return self

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        refuse_classes(self.label.classes or [])
        refuse_columns(self.key, self.features, [*self.probability_columns, *self.interval_columns])
        return self

    def shards_of(self, rows: int) -> int | None:
        """Return how many tasks share a night of so many rows, or None when one task loads it."""
        if self.shard_rows is None:
            return self.shards
        return min(MOST_SHARDS, max(1, -(-rows // self.shard_rows)))

    @property
    def shared(self) -> bool:
        """Return whether tasks share a night, each scoring and loading its part."""
        return self.shards is not None or self.shard_rows is not None

    @property
    def parallel_tasks(self) -> int:
        """Return how many tasks of a night may score at a time: all that share it, or ``limits.parallel_chunks``."""
        return (self.shards or MOST_SHARDS) if self.shared else self.limits.parallel_chunks

    @property
    def has_labels(self) -> bool:
        """Return whether outcomes become known, so that performance can be measured and versions compared."""
        return self.label.column is not None

    @property
    def is_snapshot(self) -> bool:
        """Return whether the same keys come every night."""
        return self.kind == "snapshot"

    def _is_category(self, name: str) -> bool:
        return name in self.features and self.features[name].type == "category"

    @property
    def sensitive(self) -> set[str]:
        """Return the features whose values appear in no report and on no page."""
        return {name for name, feature in self.features.items() if feature.sensitive}

    @property
    def columns(self) -> list[str]:
        """Return every column that ``features.sql`` must give: keys, then features that are no keys."""
        return list(dict.fromkeys([*self.key, *self.features]))

    @property
    def probability_columns(self) -> list[str]:
        """Return the probability columns of the predictions table: none, one, or one per class."""
        return self.task.probability_columns(self.label.classes or [])

    @property
    def prediction_columns(self) -> list[str]:
        """Return the columns of a prediction: ``prediction``, then the probability columns."""
        return ["prediction", *self.probability_columns]

    @property
    def interval_columns(self) -> list[str]:
        """Return the columns of the ends of the interval around a predicted value, or none."""
        return [] if self.interval is None else [*INTERVAL_COLUMNS]

    @property
    def number_columns(self) -> list[str]:
        """Return the columns of numbers in which two predictions of a row are compared."""
        return self.probability_columns or ["prediction"]

    @property
    def outcomes(self) -> list[Any]:
        """Return every possible outcome, or an empty list for numbers."""
        return self.task.outcomes(self.label.classes or [])

    def pipeline_factory(self) -> Callable[[], Any]:
        """Return the function that makes the job's unfitted pipeline. See ``factory_of`` for what it raises."""
        return factory_of(self.name, self.pipeline, self.task.methods)
