"""The role of every column of a table in a new job: key, label, feature, or left out, each with the reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
NAMES_SHARE = 0.5
"""Different values by rows from which on text is taken for names or free text."""
_DAYS_OF_WEEK = frozenset(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
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


def feature_guess(reading: Reading, around: Surroundings, key: bool = False) -> Guess:
    """Return whether a column is a feature, with its entry in the job file. A key is one only as a category."""
    out = _unfit(reading) or _by_name(reading) or _names_the_night(reading, around)
    if out is not None:
        return Guess(reading.name, reading.column.type, "left out", out, reading=reading)
    leak = leak_of(reading, around.outcome)
    if leak is not None and leak.certain:
        return Guess(reading.name, reading.column.type, "left out", leak.reason, reading=reading)
    out = _name_of_something(reading)
    if out is not None:
        return Guess(reading.name, reading.column.type, "left out", out, reading=reading)
    settings, reasons = _settings(reading)
    reasons = [*([leak.reason] if leak else []), *reading.notes, *reasons]
    if key and settings["type"] != "category":
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
    return f"tells the {around.window_days} nights of a window apart: the model would learn single nights by heart"


def _weekdays(reading: Reading) -> bool:
    return reading.kind == "text" and reading.distinct <= len(_DAYS_OF_WEEK) and _texts(reading) <= _DAYS_OF_WEEK


def _texts(reading: Reading) -> set[str]:
    return {text.strip().lower()[:3] for text in pc.unique(reading.values).to_pylist() if text is not None}


def _name_of_something(reading: Reading) -> str | None:
    """Return why a column's values name rows or things rather than describe them, or None."""
    rows = len(reading.values) - reading.values.null_count
    share = reading.distinct / rows if rows else 0.0
    if reading.kind == "text":
        if share > NAMES_SHARE and reading.distinct > LEVELS_ALLOWED:
            return f"names or free text: {reading.distinct:,} different values in {rows:,} rows"
        length = pc.mean(pc.utf8_length(pc.unique(reading.values).drop_null())).as_py() or 0
        if length > LONG and reading.distinct > LEVELS_ALLOWED:
            return f"free text: {length:.0f} characters on average"
    if reading.kind == "int" and share > NAMES_SHARE and reading.distinct > CODES:
        if names_an_id(reading.name):
            return f"an id: {reading.distinct:,} different values in {rows:,} rows"
        if share > 0.999 and _grows(reading.values):
            return "a number that grows with every row"
    return None


def _grows(values: pa.Array) -> bool:
    numbers = values.drop_null().to_numpy()
    return bool(np.all(np.diff(numbers) > 0) or np.all(np.diff(numbers) < 0) or _dense(numbers))


def _dense(numbers: np.ndarray) -> bool:
    """Return whether the numbers are those of a counter, drawn evenly."""
    ordered = np.sort(numbers)
    line = np.linspace(ordered[0], ordered[-1], len(ordered))
    width = float(ordered[-1] - ordered[0]) or 1.0
    return bool(len(ordered) >= SURE_ROWS and float(np.abs(ordered - line).max()) / width < 0.002)


def _settings(reading: Reading) -> tuple[dict[str, Any], list[str]]:
    """Return a feature's entry in the job file, and remarks on it."""
    personal = looks_personal(reading.name, _some_texts(reading))
    remarks: list[str] = []
    if reading.kind == "bool":
        settings: dict[str, Any] = {"type": "bool"}
    elif reading.kind == "text" or (reading.kind == "int" and names_an_id(reading.name)):
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
    else:
        code.append(f"{len(counts)} levels")
    return {"type": "category"}, code


def _number(reading: Reading) -> tuple[dict[str, Any], list[str]]:
    values = reading.values.drop_null()
    low, high = (float(end) for end in pc.min_max(values).as_py().values())
    calendar = calendar_range(reading.name) if reading.kind == "int" else None
    if calendar is not None and calendar[0] <= low and high <= calendar[1]:
        return {"type": "int", "min": calendar[0], "max": calendar[1]}, []
    least, most = _limits(low, high, float(np.quantile(values.to_numpy(zero_copy_only=False), 0.99)))
    bounds = {"min": least, "max": most}
    return {"type": reading.kind, **bounds}, [f"{low:g} to {high:g} in the sample"]


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
