"""``Feature`` and ``Label``: what a job file says of the columns that a model learns from, and of the outcome."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scoring.names import COLUMN_PATTERN
from scoring.validation import Strict

ColumnName = Annotated[str, Field(pattern=COLUMN_PATTERN)]
"""The name of a column in the source, such as ``Total Charges``. ``scoring.names`` gives its name in the warehouse."""
ColumnType = Literal["float", "int", "bool", "category", "datetime"]
Role = Literal["monitored", "seasonal", "ignored"]


class Feature(Strict):
    """What one feature column must look like."""

    type: ColumnType = Field(description="What the pipeline gets: numbers, text or moments.")
    nullable: bool = Field(default=False, description="Whether a null is allowed; otherwise its row is quarantined.")
    min: float | None = Field(default=None, description="Smallest value that is allowed, for numbers.")
    max: float | None = Field(default=None, description="Largest value that is allowed, for numbers.")
    allowed: list[str] | None = Field(default=None, description="The only values that are allowed, for categories.")
    unknown: Literal["count", "quarantine"] = "count"
    """What happens to a category that the model never saw: counted only, or quarantined."""
    drift: Role | None = None
    """Whether a change counts: ``monitored``, ``seasonal`` (shown, never alarms alone), ``ignored``.

    Default: monitored; ignored for datetimes, which always move on.
    """
    sensitive: bool = False
    """Values of the column appear in no report and on no page."""

    @property
    def role(self) -> Role:
        """Return how drift treats the column."""
        return self.drift or ("ignored" if self.type == "datetime" else "monitored")

    @model_validator(mode="after")
    def _limits_fit_the_type(self) -> Self:
        if self.type not in ("float", "int") and (self.min is not None or self.max is not None):
            raise ValueError(f"found min or max with type {self.type}, expected type float or int for these")
        if self.type != "category" and (self.allowed is not None or self.unknown == "quarantine"):
            raise ValueError(f"found allowed or unknown with type {self.type}, expected type category for these")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"found min {self.min:g} above max {self.max:g}, expected it at most as large")
        return self


class Label(Strict):
    """The outcome column of ``labels.sql``, and when it can be trusted."""

    column: ColumnName | None = None
    """The column of labels.sql that holds the outcome. Without one no outcome is ever known, and there is no labels.sql."""
    delay_days: int = Field(default=1, ge=0)
    """Days after the night's end until a label counts as matured."""
    horizon_days: int | None = Field(default=None, ge=0)
    """How many days after the night's end the outcome looks at, such as 7 for "has flown within 7 days".

    Training keeps so many nights between the nights that it fits on and those that judge it. Default: ``delay_days``, for
    what is known late has mostly happened late; 0 if that is 1 or less.
    """
    classes: list[str] | None = None
    """For multiclass jobs: every class, in the order of the probability columns."""
    positive: bool | int | float | str | None = None
    """For binary jobs: the value that counts as positive. Default: true, 1, t."""
    threshold: float | None = Field(default=None, gt=0, lt=1)
    """For binary jobs: the probability from which on ``prediction`` is true, in place of the pipeline's own decision.

    It belongs to the version that is trained with it; changed, it takes effect with the next one.
    """

    @model_validator(mode="after")
    def _nothing_is_waited_for_without_an_outcome(self) -> Self:
        if self.column is not None:
            return self
        settings = [name for name in ("delay_days", "horizon_days", "positive") if name in self.model_fields_set]
        settings = [name for name in settings if getattr(self, name) not in (None, 0)]
        if settings:
            raise ValueError(f"found {', '.join(settings)} without column, expected the column of labels.sql beside it")
        object.__setattr__(self, "delay_days", 0)  # an outcome that never comes is not waited for
        return self

    @property
    def horizon(self) -> int:
        """Return the days after a night's end that its outcome looks at."""
        if self.horizon_days is not None:
            return self.horizon_days
        return self.delay_days if self.delay_days > 1 else 0

    @model_validator(mode="after")
    def _outcome_is_over_when_it_matures(self) -> Self:
        if self.horizon_days is not None and self.horizon_days > self.delay_days:
            raise ValueError(
                f"found horizon_days {self.horizon_days} above delay_days {self.delay_days}, expected it at most as large: the "
                "label would count before its outcome is over"
            )
        return self
