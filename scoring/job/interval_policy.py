"""``interval`` in a job file: the interval around every predicted value, and how its level is kept."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from scoring.job.task import Task
from scoring.validation import Strict

INTERVAL_COLUMNS = ("lower", "upper")
"""Columns of the interval's ends, the last ones of tables, views and files."""


class IntervalPolicy(Strict):
    """An interval around every predicted value that is to hold the outcome of a fixed share of the rows."""

    level: float = Field(ge=0.5, lt=1)
    """Share of the outcomes that are to lie between ``lower`` and ``upper``, such as 0.9."""
    adaptive: bool = False
    """Whether intervals become wider after nights that missed the level, and narrower after nights above it."""


def _as_policy(value: Any) -> Any:
    """Return a policy for a number alone, which is its level."""
    return {"level": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


Interval = Annotated[IntervalPolicy, BeforeValidator(_as_policy)]


def refuse_interval(interval: IntervalPolicy | None, task: Task) -> None:
    """Raise ``ValueError`` for an interval around classes."""
    if interval is not None and task.classifies:
        raise ValueError(
            f"interval: found with task {task}, expected with task regression only: classes have probabilities"
        )
