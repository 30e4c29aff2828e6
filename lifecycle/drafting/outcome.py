"""The outcome of a new job: its task, its classes, and which value is positive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.drafting.reading import Reading
from lifecycle.drafting.request import DraftRequest
from scoring.errors import TrainingDataError
from scoring.job import BINARY, MULTICLASS, REGRESSION, TASKS, Task
from scoring.rows import counted, named

MOST_CLASSES = 30
"""Different texts that can be classes. More of them are no classes but names."""
_YES = (
    "true",
    "t",
    "1",
    "yes",
    "y",
    "on",
    "positive",
    "pos",
    "won",
    "bad",
    "default",
    "fraud",
    "churned",
    "left",
    "late",
)
"""Texts that stand for the outcome that a job is about, in the order in which they are looked for."""
_UNDERSTOOD = ({"true", "false"}, {"t", "f"}, {"0", "1"})
"""Pairs that need no ``label.positive``."""


@dataclass(frozen=True)
class Outcome:
    """What is predicted."""

    reading: Reading
    task: Task
    reason: str
    counts: dict[str, int]
    """Rows of the sample by outcome, for classes."""
    positive: str | None = None
    """The value that ``label.positive`` has to name, or None if it goes without saying."""

    @property
    def name(self) -> str:
        """Return the name of the label."""
        return self.reading.name

    @property
    def classes(self) -> list[str]:
        """Return the classes of a multiclass job."""
        return sorted(self.counts) if self.task.least_classes else []

    @property
    def codes(self) -> np.ndarray:
        """Return the outcome of each row as a number, NaN where it is not known; classes by their place."""
        if not self.task.classifies:
            return np.asarray(pc.cast(self.reading.values, pa.float64()).to_numpy(zero_copy_only=False))
        places = {value: float(place) for place, value in enumerate(sorted(self.counts))}
        return np.array([places.get(text, np.nan) for text in _texts(self.reading).to_pylist()], dtype=np.float64)


def outcome_of(reading: Reading, request: DraftRequest, sensitive: bool) -> Outcome:
    """Return the outcome in the column ``--label``. Raises ``TrainingDataError`` for one that no model can learn."""
    if reading.kind not in ("bool", "int", "float", "text"):
        why = {"empty": "no outcome in the sample: all are null"}.get(reading.kind, f"type {reading.column.type}")
        raise _refused(reading.name, why, "two values, some classes, or numbers")
    counts = counted(_texts(reading)) if reading.kind != "float" else {}
    if reading.distinct < 2:
        only = named(counts) if counts and not sensitive else "one value"
        raise _refused(reading.name, f"the same outcome in all rows of the sample: {only}", "at least two outcomes")
    task, reason = _task(reading, counts, request.task)
    if not task.classifies:
        return Outcome(reading, task, reason, {})
    if task.least_classes and not 3 <= len(counts) <= MOST_CLASSES:
        raise _refused(reading.name, f"{len(counts):,} different values", f"3 to {MOST_CLASSES} classes")
    positive = _positive(counts, request.positive, reading.name) if task.has_positive else None
    return Outcome(reading, task, reason, counts, positive)


def _texts(reading: Reading) -> pa.Array:
    return pc.cast(reading.values, pa.string())


def _task(reading: Reading, counts: Mapping[str, int], asked: str | None) -> tuple[Task, str]:
    """Return the task, and why."""
    if asked is not None:
        task = next(task for task in TASKS if task.name == asked)
        if task.has_positive and len(counts) != 2:
            raise _refused(reading.name, f"{reading.distinct:,} different values with --task binary", "two values")
        if not task.classifies and reading.kind not in ("int", "float"):
            raise _refused(reading.name, f"type {reading.column.type} with --task regression", "numbers")
        if task.least_classes and not counts:
            raise _refused(reading.name, "fractions with --task multiclass", "classes")
        return task, "given"
    if len(counts) == 2:
        return BINARY, f"two values: {named(counts)}"
    if reading.kind in ("int", "float"):
        hint = "; if they are classes: --task multiclass" if 3 <= len(counts) <= 10 else ""
        return REGRESSION, f"{reading.distinct:,} different numbers{hint}"
    return MULTICLASS, f"{len(counts):,} different texts"


def _positive(counts: Mapping[str, int], asked: str | None, name: str) -> str | None:
    """Return the value that has to be named as positive, or None where it goes without saying."""
    if asked is not None:
        value = next((value for value in counts if value.lower() == asked.lower()), None)
        if value is None:
            raise _refused(name, f"{named(counts)} with --positive {asked!r}", "--positive to be one of them")
        return value
    if {value.lower() for value in counts} in _UNDERSTOOD:
        return None
    by_word = [value for word in _YES for value in counts if value.lower() == word]
    return by_word[0] if by_word else min(counts, key=lambda value: (counts[value], value))


def _refused(name: str, finding: str, expected: str) -> TrainingDataError:
    return TrainingDataError(
        f"--label {name}", found=finding, expected=expected, next_step="give another column, or a view"
    )
