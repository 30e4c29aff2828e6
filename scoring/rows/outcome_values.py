"""The outcomes of a binary job: which of the two values in ``labels.sql`` counts as positive."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc

from scoring.errors import ContractError, TrainingDataError
from scoring.job import Job
from scoring.rows.value_text import as_found, text_of

Positive = bool | int | float | str | None
_TRUTH = {True: {"true", "t"}, False: {"false", "f"}}
"""Words for true and false without ``label.positive``, in upper or lower case. 1 and 0 as numbers count too."""
_YAML = {True: {"yes", "y", "on"}, False: {"no", "n", "off"}}
"""Words that YAML reads as true and false without quotes, as in ``positive: yes``."""
_NAMED = 5
"""Number of values that a message lists. The rest is counted."""


def outcome_text(column: pa.Array, job: Job, where: str) -> pa.Array:
    """Return the outcomes of a binary job as text, null where there is no outcome. NaN counts as none.

    Raises ``ContractError`` for a column of fractions, and ``TrainingDataError`` for bytes that are no text.
    """
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
        fractions = column.filter(pc.not_equal(pc.floor(column), column))
        if len(fractions) and job.label.positive is None:
            raise ContractError(
                f"{where}: column {job.label.column!r}: wrong type",
                found=f"{column.type} with values such as {fractions[0].as_py()!r}",
                expected="two values",
                next_step=f"cast {job.label.column} in the SQL, or say `task: regression`",
            )
    try:
        text, bad = text_of(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ContractError(
            f"{where}: column {job.label.column!r}: wrong type", found=str(column.type), expected="two values"
        ) from error
    if pc.any(bad).as_py():
        first = as_found(column.filter(bad))[0].as_py()
        raise TrainingDataError(f"{where}: column {job.label.column}", found=f"values such as {first}", expected="text")
    return text


def counted(text: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    """Return the number of rows of each outcome, the most frequent first.

    >>> counted(pa.array(["no", "yes", None, "no"]))
    {'no': 2, 'yes': 1}
    """
    pairs = [(pair["values"], pair["counts"]) for pair in pc.value_counts(text.drop_null()).to_pylist()]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def named(counts: Mapping[str, int]) -> str:
    """Return the values with their counts, for people.

    >>> named({"no": 812, "yes": 188})
    "'no' 812, 'yes' 188"
    """
    listing = ", ".join(f"{value!r} {count:,}" for value, count in list(counts.items())[:_NAMED])
    return listing if len(counts) <= _NAMED else f"{listing} and {len(counts) - _NAMED} more"


def meanings(counts: Mapping[str, int], job: Job, where: str) -> dict[str, bool]:
    """Return for each value whether it counts as positive. Raises ``TrainingDataError`` for more than two values."""
    positive = job.label.positive
    if positive is not None:
        meaning = {value: _is(value, positive) for value in counts}
        others = {value: count for value, count in counts.items() if not meaning[value]}
        if len(others) > 1:
            raise _refused(where, job, others, f"one value next to label.positive {positive!r}")
        return meaning
    unknown = {value: count for value, count in counts.items() if _truth(value) is None}
    if unknown:
        raise _refused(where, job, unknown, "values of type bool: true and false, 1 and 0, or t and f")
    return {value: bool(_truth(value)) for value in counts}


def require_positive(counts: Mapping[str, int], job: Job, where: str) -> None:
    """Raise ``TrainingDataError`` when there are outcomes and none of them is ``label.positive``."""
    meaning = meanings(counts, job, where)
    if meaning and job.label.positive is not None and not any(meaning.values()):
        raise _refused(where, job, counts, f"label.positive {job.label.positive!r} among them")


def positive_of(counts: Mapping[str, int], job: Job, where: str) -> str | None:
    """Return the value that counts as positive, or None if it is not among the outcomes."""
    return next((value for value, truth in meanings(counts, job, where).items() if truth), None)


def _refused(where: str, job: Job, counts: Mapping[str, int], expected: str) -> TrainingDataError:
    file, rest = f"jobs/{job.name}.yaml", "leave other values out in the SQL"
    name = f"say in {file} which value counts as positive, such as `label.positive: {max(counts)!r}`; {rest}"
    return TrainingDataError(
        f"{where}: column {job.label.column}",
        found=f"{sum(counts.values())} values such as {named(counts)}",
        expected=expected,
        next_step=name if job.label.positive is None else f"correct label.positive in {file}, or {rest}",
    )


def _truth(value: str) -> bool | None:
    """Return whether a value means true or false by itself, or None."""
    number = _number(value)
    for truth, words in _TRUTH.items():
        if value.lower() in words or number == int(truth):
            return truth
    return None


def _is(value: str, positive: bool | int | float | str) -> bool:
    if isinstance(positive, bool):
        return _truth(value) is positive or value.lower() in _YAML[positive]
    if isinstance(positive, str):
        return value == positive
    return _number(value) == Decimal(str(positive))


def _number(value: str) -> Decimal | None:
    try:
        return Decimal(value)
    except InvalidOperation:
        return None
