"""``ReasonsPolicy``: which predictions get reasons, and how many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import Field

from scoring.job.condition import MOST_LETTERS, Both, Condition, Kind, condition_of
from scoring.job.task import BINARY, MULTICLASS, REGRESSION, SCORE, Task
from scoring.names import plain
from scoring.validation import Strict

REASON_COLUMNS = ("rank", "feature", "value", "contribution")
"""Columns that the table of reasons has beside the key."""


class ReasonsPolicy(Strict):
    """The reasons of predictions: what each feature adds to them, exactly. Without the key there are none."""

    top: int = Field(default=3, ge=1, le=100)
    """Reasons of a prediction: the features that add or take away most."""
    where: str | None = Field(default=None, max_length=MOST_LETTERS)
    """Which predictions get reasons, such as "probability >= 0.5". Default: all.

    Comparisons (<, <=, >, >=, =, !=) of ``prediction`` and probabilities with a number, true, false or 'a class', joined by
    and, or and brackets.
    """

    def condition(self, columns: Mapping[str, Kind]) -> Condition | None:
        """Return ``where`` as it is read, or None for all predictions."""
        return None if self.where is None else condition_of(self.where, columns)


_KINDS: dict[Task, Kind] = {BINARY: "bool", MULTICLASS: "text", REGRESSION: "number", SCORE: "number"}
"""What the column ``prediction`` holds."""


def kinds_of(task: Task, probabilities: Sequence[str]) -> dict[str, Kind]:
    """Return what the columns of a prediction hold."""
    return {"prediction": _KINDS[task], **dict.fromkeys(probabilities, "number")}


def refuse_reasons(
    policy: ReasonsPolicy, kinds: Mapping[str, Kind], classes: Sequence[str], keys: Iterable[str]
) -> None:
    """Raise ``ValueError`` for a condition that cannot be read, or keys that the table of reasons has as columns."""
    try:
        condition = policy.condition(kinds)
        for value in _texts(condition) if condition else ():
            if value not in classes:
                raise ValueError(f"found class {value!r}, expected one of {list(classes)}")
    except ValueError as error:
        raise ValueError(f"reasons.where: {error}") from None
    clash = sorted(name for name in keys if plain(name) in REASON_COLUMNS)
    if clash:
        raise ValueError(
            f"reasons: found key {clash[0]!r}, which the table of reasons has as well, expected another: "
            f"`select {clash[0]} as other_name` in the SQL"
        )


def _texts(condition: Condition) -> Iterator[str]:
    """Yield the classes that a condition names."""
    if isinstance(condition, Both):
        yield from (*_texts(condition.first), *_texts(condition.second))
    elif isinstance(condition.value, str):
        yield condition.value
