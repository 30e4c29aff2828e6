"""``Job``: a validated ``jobs/<job>.yaml``, and how to read one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from scoring.errors import JobFileError
from scoring.factory import factory_of
from scoring.policies import Gate, Limits, Monitor, Promotion, Retraining, Strict, Training

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
ColumnType = Literal["float", "int", "bool", "category", "datetime"]
KeyType = Literal["int", "string", "datetime", "date"]
Task = Literal["binary", "multiclass", "regression"]
Role = Literal["monitored", "seasonal", "ignored"]
HIDDEN = "hidden"
"""Stands for the values of a sensitive column wherever a value would be named."""
RESERVED = {"night", "run_id", "prediction", "probability", "model_version", "scored_at"}


class Schedule(Strict):
    """When the DAG runs: once a day, in the job's timezone, for the calendar day that just ended."""

    timezone: str
    cron: str = Field(default="0 0 * * *", pattern=r"^[0-5]?\d ([01]?\d|2[0-3]) \* \* \*$")
    first_night: date
    last_night: date | None = None

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("not a timezone of the IANA database, for example America/New_York") from None
        return value

    @model_validator(mode="after")
    def _nights_are_in_order(self) -> Self:
        if self.last_night is not None and self.last_night < self.first_night:
            raise ValueError(f"last_night {self.last_night} is before first_night {self.first_night}")
        return self


class Feature(Strict):
    """What one feature column must look like."""

    type: ColumnType
    nullable: bool = False
    min: float | None = None
    max: float | None = None
    allowed: list[str] | None = None
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
            raise ValueError(f"min and max need type float or int, not {self.type}")
        if self.type != "category" and (self.allowed is not None or self.unknown == "quarantine"):
            raise ValueError(f"allowed and unknown need type category, not {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class Label(Strict):
    """The outcome column of ``labels.sql``, and when it can be trusted."""

    column: Identifier
    delay_days: int = Field(default=1, ge=0)
    """Days after the night's end until a label counts as matured."""
    classes: list[str] | None = None
    """For multiclass jobs: every class, in the order of the probability columns."""


class Job(Strict):
    """One model's nightly scoring: what is read, what it must look like, how it is scored and published."""

    name: Identifier
    description: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    tags: list[str] = Field(default_factory=list)
    schedule: Schedule
    source: Identifier
    time_column: Identifier | None = None
    """A key column of type datetime: rows outside the night's interval are quarantined."""
    key: dict[Identifier, KeyType] = Field(min_length=1)
    features: dict[Identifier, Feature] = Field(min_length=1)
    task: Task
    label: Label
    pipeline: str = Field(pattern=r"^[a-zA-Z_][\w.]*:[a-zA-Z_]\w*$")
    training: Training = Training()
    chunk_rows: int = Field(default=100_000, ge=1, le=1_000_000)
    on_empty: Literal["fail", "skip"] = "fail"
    gate: Gate = Gate()
    monitor: Monitor = Monitor()
    retraining: Retraining = Retraining()
    promotion: Promotion = Promotion()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _columns_are_consistent(self) -> Self:
        alike = {"category": "string"}
        for name in set(self.key) & set(self.features):
            kind = self.features[name].type
            if self.key[name] != alike.get(kind, kind):
                raise ValueError(
                    f"{name} is a {self.key[name]} in key and a {kind} in features; one column has one type"
                )
        reserved = sorted(RESERVED & {*self.key, *self.features})
        if reserved:
            raise ValueError(f"column names are reserved for predictions: {reserved}")
        if self.label.column in self.columns:
            raise ValueError(f"label.column {self.label.column!r} is a key or feature: the model would see the outcome")
        if self.time_column is not None and self.key.get(self.time_column) != "datetime":
            raise ValueError(f"time_column {self.time_column!r} must be a key column of type datetime")
        if self.task == "multiclass" and len(self.label.classes or []) < 3:
            raise ValueError("task multiclass needs label.classes with at least 3 classes")
        if self.task != "multiclass" and self.label.classes is not None:
            raise ValueError(f"label.classes belongs to task multiclass, not {self.task}")
        if self.training.calibration != "none" and self.task == "regression":
            raise ValueError("training.calibration is of probabilities; task regression has none")
        if self.training.holdout_nights < self.promotion.min_nights:
            raise ValueError(
                f"training.holdout_nights {self.training.holdout_nights} is below promotion.min_nights "
                f"{self.promotion.min_nights}: no challenger could ever be promoted"
            )
        plain = [name for name in self.promotion.segments if not self._is_category(name)]
        if plain:
            raise ValueError(f"promotion.segments: {plain} are no features of type category")
        if self.probability_columns and len(set(self.probability_columns)) < len(self.probability_columns):
            raise ValueError("label.classes: two classes give the same column name")
        return self

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
        if self.task == "regression":
            return []
        if self.task == "binary":
            return ["probability"]
        return [
            f"probability_{re.sub(r'[^a-z0-9]+', '_', name.lower()).strip('_')}" for name in self.label.classes or []
        ]

    def pipeline_factory(self) -> Callable[[], Any]:
        """Return the function that makes the job's unfitted pipeline; see ``factory_of`` for what it raises."""
        return factory_of(self.name, self.pipeline)


def load_job(path: Path) -> Job:
    """Return the job that ``path`` describes.

    Raises ``JobFileError`` that names the file, the path in the file, what was found and what was expected.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:  # a ValueError: no UTF-8, or a day such as 2013-02-30
        raise JobFileError(f"{path.name}", found=str(error), expected="a readable YAML file") from error
    if not isinstance(content, dict):
        raise JobFileError(f"{path.name}", found=type(content).__name__, expected="a mapping of job settings")
    job = _validated(content, path.name)
    if job.name != path.stem:
        raise JobFileError(f"{path.name}: name", found=repr(job.name), expected=f"{path.stem!r}, as the file is called")
    return job


def changed_job(job: Job, changes: list[str]) -> Job:
    """Return the job with settings such as ``retraining.cooldown_nights=7`` in place of its own, validated.

    Only what monitoring decides with can be changed; raises ``JobFileError``.
    """
    content = job.model_dump(mode="json", exclude_unset=True)
    for change in changes:
        path, found, value = change.partition("=")
        *folders, name = path.split(".")
        if not found or folders[:1] not in (["monitor"], ["retraining"], ["features"]):
            expected = "monitor.…=…, retraining.…=… or features.<column>.drift=…"
            raise JobFileError("a changed setting", found=repr(change), expected=expected)
        place = content
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = yaml.safe_load(value)
    return _validated(content, f"{job.name} with {changes}")


def _validated(content: dict[str, Any], name: str) -> Job:
    try:
        return Job.model_validate(content)
    except ValidationError as error:
        raise _explain(name, error) from None


def load_jobs(folder: Path) -> tuple[list[Job], dict[str, JobFileError]]:
    """Return all valid jobs of ``folder``, and the error of each file that is not valid, by the file's stem."""
    jobs: list[Job] = []
    broken: dict[str, JobFileError] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            jobs.append(load_job(path))
        except JobFileError as error:
            broken[path.stem] = error
    return jobs, broken


def find_job(folder: Path, name: str) -> Job:
    """Return the job ``name`` of ``folder``, or raise ``JobFileError`` that lists the jobs there are."""
    path = folder / f"{name}.yaml"
    if not path.exists():
        known = [found.stem for found in sorted(folder.glob("*.yaml"))]
        raise JobFileError(
            "job", found=repr(name), expected=f"one of {known}", next_step=f"python -m scoring new-job {name}"
        )
    return load_job(path)


def _explain(name: str, error: ValidationError) -> JobFileError:
    """Return all problems of one file in one error, a line each when there are several."""
    problems = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"]) or "(whole file)"
        found = "" if item["type"] == "missing" or isinstance(item["input"], dict) else f", found {item['input']!r}"
        expected = "a known key" if item["type"] == "extra_forbidden" else item["msg"].removeprefix("Value error, ")
        problems.append(f"{where}: expected: {expected}{found}")
    return JobFileError(
        f"{name}", found="; ".join(problems) if len(problems) == 1 else "\n  - " + "\n  - ".join(problems)
    )
