"""The role of every column of a table in a new job: key, label, feature, or left out, each with the reason."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.drafting.leaks import leak_of
from lifecycle.drafting.names_of_columns import (
    are_times,
    calendar_range,
    comes_back_after,
    looks_personal,
    names_an_id,
    names_the_year,
)
from lifecycle.drafting.outcome import Outcome
from lifecycle.drafting.reading import Reading
from scoring.rows import counted

Part = Literal["key", "label", "time", "feature", "left out"]
LEVELS_ALLOWED = 12
"""Levels up to which ``allowed`` lists them."""
SURE_ROWS = 500
"""Rows from which on a sample without a null, or without a rare level, says that there will be none."""
SURE_COUNT = 5
"""Rows that the rarest level must have before ``allowed`` lists the levels."""
CODES = 200
"""Levels of a category that the pipeline tells apart. The rarer ones count as one."""
STRAYS = 0.003
"""Share of a column's numbers that may lie far out and are taken for errors."""
NAMES_SHARE = 0.5
"""Different values by rows from which on text is taken for names or free text."""
_DAYS_OF_WEEK = frozenset(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
OFTEN = 20
"""Rows that a number of a key has on average when it is a feature, too."""
ALWAYS_NEW, OFTEN_NEW = 0.05, 0.001
"""Share of rows with a value of their own from which on a category is left out, or no drift of it counts."""
LONG = 60
"""Characters of a text on average from which on it is taken for free text."""


@dataclass(frozen=True)
class Guess:
    """What becomes of a column, and why."""

    name: str
    type: str
    role: Part
    reason: str
    settings: dict[str, Any] = field(default_factory=dict)
    """Its entry in the job file, for features."""
    reading: Reading | None = None


def key_guess(reading: Reading, kind: str, reason: str) -> Guess:
    """Return the role of a key column."""
    personal = looks_personal(reading.name, _some_texts(reading))
    warning = "; it looks personal, and keys are shown everywhere: hash it in the SQL" if personal else ""
    return Guess(reading.name, kind, "key", f"{reason}{warning}", reading=reading)


@dataclass(frozen=True)
class Surroundings:
    """What a column is seen beside."""

    outcome: Outcome
    nights: pa.Array | None
    """The day of every row, or None if the table knows none."""
    window_days: int
    """Nights that a version is trained on."""
    entity: pa.Array | None = None
    """The key of every row, where it is one column and names an entity that comes every night."""


def feature_guess(reading: Reading, around: Surroundings, key: bool = False) -> Guess:
    """Return whether a column is a feature, with its entry in the job file. A key is one if its values come often."""
    out = _unfit(reading) or _by_name(reading) or _names_the_night(reading, around)
    if out is not None:
        return Guess(reading.name, reading.column.type, "left out", out, reading=reading)
    leak = leak_of(reading, around.outcome)
    if leak is not None and leak.certain:
        return Guess(reading.name, reading.column.type, "left out", leak.reason, reading=reading)
    out = _name_of_something(reading, around)
    if out is not None:
        return Guess(reading.name, reading.column.type, "left out", out, reading=reading)
    settings, reasons = _settings(reading, key)
    reasons = [*([leak.reason] if leak else []), *reading.notes, *reasons]
    if key and (settings["type"] != "category" if reading.kind == "text" else not _few_numbers(reading)):
        return Guess(reading.name, settings["type"], "key", "", reading=reading)
    return Guess(reading.name, settings["type"], "feature", "; ".join(reasons), settings, reading)


def _unfit(reading: Reading) -> str | None:
    """Return why a column's type or values cannot be a feature, or None."""
    if reading.kind == "unfit":
        return f"{reading.notes[0]}: take a value out of it, or cast it, in the SQL"
    if reading.kind == "empty":
        return "no value in the sample"
    if reading.kind in ("moment", "day"):
        return "a time always moves on: make an age or a weekday of it in the SQL"
    if reading.distinct == 1:
        return "one value only" + (", or null" if reading.values.null_count else "")
    return None


def _by_name(reading: Reading) -> str | None:
    if names_the_year(reading.name) and reading.kind == "int" and reading.distinct < 200:
        return "a year never comes back: a model learns nothing from it for the next one"
    return None


def _names_the_night(reading: Reading, around: Surroundings) -> str | None:
    """Return why a part of the calendar would only let the model learn the window's nights by heart, or None."""
    back = comes_back_after(reading.name) or (365 if _is_calendar(reading) and reading.kind == "text" else None)
    if back is None or around.nights is None or around.window_days >= 2 * back or _weekdays(reading):
        return None
    pairs = pa.table({"night": around.nights, "value": reading.values}).group_by(["night", "value"]).aggregate([])
    nights = pc.count_distinct(around.nights).as_py()
    if pairs.num_rows > 1.2 * nights:
        return None
    return (
        f"in a window of {around.window_days} nights its values hardly come back: the model would learn nights by heart"
    )


def _weekdays(reading: Reading) -> bool:
    return reading.kind == "text" and reading.distinct <= len(_DAYS_OF_WEEK) and _texts(reading) <= _DAYS_OF_WEEK


def _texts(reading: Reading) -> set[str]:
    return {text.strip().lower()[:3] for text in pc.unique(reading.values).to_pylist() if text is not None}


def _name_of_something(reading: Reading, around: Surroundings) -> str | None:
    """Return why a column's values name rows or things rather than describe them, or None."""
    return next(_names(reading, around), None)


def _names(reading: Reading, around: Surroundings) -> Iterator[str]:
    rows = len(reading.values) - reading.values.null_count
    share = reading.distinct / rows if rows else 0.0
    personal = looks_personal(reading.name, _some_texts(reading))
    if personal and share > NAMES_SHARE and reading.distinct > LEVELS_ALLOWED:
        yield f"it names people, by {personal}"
    if around.entity is not None and _same_as(reading, around.entity):
        yield "another name of the key"
    if reading.kind == "text" and reading.distinct > LEVELS_ALLOWED:
        yield from _names_in_text(reading, share, rows)
    if reading.kind == "int" and share > NAMES_SHARE and reading.distinct > CODES:
        if names_an_id(reading.name):
            yield f"an id: {reading.distinct:,} different values in {rows:,} rows"
        if share > 0.999 and _grows(reading.values):
            yield "a number that grows with every row"


def _names_in_text(reading: Reading, share: float, rows: int) -> Iterator[str]:
    if share > NAMES_SHARE:
        yield f"names or free text: {reading.distinct:,} different values in {rows:,} rows"
    once = _seen_once(reading)
    if once > ALWAYS_NEW and reading.distinct > CODES:
        yield f"every night brings new values: {once:.0%} of the rows have one that comes once"
    length = pc.mean(pc.utf8_length(pc.unique(reading.values).drop_null())).as_py() or 0
    if length > LONG:
        yield f"free text: {length:.0f} characters on average"


def _same_as(reading: Reading, entity: pa.Array) -> bool:
    """Return whether every entity has a value of its own, always the same."""
    if reading.distinct <= LEVELS_ALLOWED or not (reading.kind == "text" or names_an_id(reading.name)):
        return False
    pairs = pa.table({"entity": entity, "value": reading.values}).group_by(["entity", "value"]).aggregate([]).num_rows
    return bool(pairs == reading.distinct == pc.count_distinct(entity).as_py())


def _few_numbers(reading: Reading) -> bool:
    """Return whether a key's numbers are few and come often, like those of shops, so that a model can learn of each."""
    return reading.distinct <= CODES and len(reading.values) >= OFTEN * reading.distinct


def _seen_once(reading: Reading) -> float:
    """Return the share of rows whose value no other row has: about the share of the next rows that bring a new one."""
    counts = pc.value_counts(reading.values.drop_null()).field("counts")
    return float(pc.sum(pc.equal(counts, 1)).as_py() or 0) / max(len(reading.values), 1)


def _grows(values: pa.Array) -> bool:
    numbers = values.drop_null().to_numpy()
    return bool(np.all(np.diff(numbers) > 0) or np.all(np.diff(numbers) < 0) or _dense(numbers))


def _dense(numbers: np.ndarray) -> bool:
    """Return whether the numbers are those of a counter, drawn evenly."""
    ordered = np.sort(numbers)
    line = np.linspace(ordered[0], ordered[-1], len(ordered))
    width = float(ordered[-1] - ordered[0]) or 1.0
    return bool(len(ordered) >= SURE_ROWS and float(np.abs(ordered - line).max()) / width < 0.002)


def _settings(reading: Reading, key: bool) -> tuple[dict[str, Any], list[str]]:
    """Return a feature's entry in the job file, and remarks on it."""
    personal = looks_personal(reading.name, _some_texts(reading))
    remarks: list[str] = []
    if reading.kind == "bool":
        settings: dict[str, Any] = {"type": "bool"}
    elif reading.kind == "text" or (reading.kind == "int" and names_an_id(reading.name) and not key):
        settings, remarks = _category(reading, bool(personal))
    else:
        settings, remarks = _number(reading)
    nullable, why = _nullable(reading)
    if nullable:
        settings["nullable"] = True
        remarks.append(why)
    if _is_calendar(reading):
        settings["drift"] = "seasonal"
        remarks.append("a part of the calendar")
    if personal:
        settings["sensitive"] = True
        remarks.append(f"sensitive, for {personal}")
    order = ("type", "nullable", "min", "max", "allowed", "drift", "sensitive")
    return {name: settings[name] for name in order if name in settings}, remarks


def _nullable(reading: Reading) -> tuple[bool, str]:
    if reading.values.null_count:
        return True, f"{reading.null_share:.1%} null"
    if reading.column.nullable and len(reading.values) < SURE_ROWS:
        return True, "no null in the sample, which is small"
    return False, ""


def _category(reading: Reading, personal: bool) -> tuple[dict[str, Any], list[str]]:
    counts = counted(pc.cast(reading.values, pa.string()))
    code = ["numbers that name something"] if reading.kind == "int" else []
    few = len(counts) <= LEVELS_ALLOWED and min(counts.values()) >= SURE_COUNT and len(reading.values) >= SURE_ROWS
    plain = all(level.isprintable() for level in counts)
    if few and plain and not personal and not code:
        return {"type": "category", "allowed": sorted(counts)}, [f"{len(counts)} levels"]
    if len(counts) > CODES:
        code.append(f"{len(counts):,} levels, of which the {CODES} most frequent are told apart")
        if _seen_once(reading) > OFTEN_NEW:
            return {"type": "category", "drift": "ignored"}, [*code, "new ones come all the time, so drift ignores it"]
    else:
        code.append(f"{len(counts)} levels")
    return {"type": "category"}, code


def _number(reading: Reading) -> tuple[dict[str, Any], list[str]]:
    values = reading.values.drop_null()
    low, high = (float(end) for end in pc.min_max(values).as_py().values())
    calendar = calendar_range(reading.name) if reading.kind == "int" else None
    if calendar is not None and calendar[0] <= low and high <= calendar[1]:
        return {"type": "int", "min": calendar[0], "max": calendar[1]}, []
    numbers = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    least, most = _limits(*_without_strays(numbers))
    strays = int(((numbers < least) | (numbers > most)).sum())
    remark = f"; the limits send {strays:,} of them to quarantine, which look like errors" if strays else ""
    return {"type": reading.kind, "min": least, "max": most}, [f"{low:g} to {high:g} in the sample{remark}"]


def _without_strays(numbers: np.ndarray) -> tuple[float, float, float]:
    """Return the ends of the numbers without a few that lie absurdly far out, and what 99 of 100 do not exceed.

    Such are less than 3 of 1,000 that are negative among positive ones, or 20 times as large as nearly all others.
    """
    low, high = float(numbers.min()), float(numbers.max())
    if len(numbers) >= SURE_ROWS:
        usual = float(np.quantile(numbers, 1 - STRAYS))
        if low < 0 <= float(np.quantile(numbers, STRAYS)):
            low = 0.0
        if usual > 0 and high > 20 * usual:
            high = 3 * usual
    return low, high, float(np.quantile(numbers, 0.99))


def _limits(low: float, high: float, usual: float) -> tuple[float | int, float | int]:
    """Return limits with air around the values of a sample: more where few values lie far out. 0 stays the end of it.

    >>> _limits(0.0, 90.0, 88.0), _limits(-3.0, 12.0, 11.0)
    ((0, 300), (-40, 50))
    """
    width = high - low
    far = high > 5 * max(usual, 0.0)
    most = high * 10 if far and high > 0 else high + 2 * width
    least = 0.0 if low >= 0 else low - 2 * width
    return _round(least, math.floor), _round(most, math.ceil)


def _round(value: float, way: Any) -> float | int:
    """Return a number with one digit that counts, on the given side of ``value``."""
    if value == 0:
        return 0
    step = 10.0 ** math.floor(math.log10(abs(value)))
    rounded = way(value / step) * step
    return int(rounded) if abs(rounded) >= 1 else float(f"{rounded:.1g}")


def _is_calendar(reading: Reading) -> bool:
    if reading.kind == "text":
        return are_times([text for text in pc.unique(reading.values).to_pylist() if text is not None])
    span = calendar_range(reading.name)
    if span is None or reading.kind not in ("int", "bool"):
        return False
    ends = pc.min_max(pc.cast(reading.values, pa.int64())).as_py()
    return bool(span[0] <= ends["min"] and ends["max"] <= span[1])


def _some_texts(reading: Reading) -> Sequence[str]:
    if reading.kind != "text":
        return []
    return [text for text in reading.values.slice(0, 2_000).to_pylist() if text is not None]
