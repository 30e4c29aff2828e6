"""The entry of a feature in the job file: type, nulls, limits, levels, drift, whether it is sensitive."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.drafting.names_of_columns import are_times, calendar_range, looks_personal, names_an_id
from lifecycle.drafting.reading import Reading
from scoring.rows import counted

LEVELS_ALLOWED = 12
"""Levels up to which ``allowed`` lists them."""
FLAG_LEVELS = 3
"""Levels up to which a column tells nobody apart, whatever its name: ``PhoneService`` with yes and no."""
SURE_ROWS = 500
"""Rows from which on a sample without a null, or without a rare level, says that there will be none."""
SURE_COUNT = 5
"""Rows that the rarest level must have before ``allowed`` lists the levels."""
CODES = 200
"""Levels of a category that the pipeline tells apart. The rarer ones count as one."""
STRAYS = 0.003
"""Share of a column's numbers that may lie far out and are taken for errors."""
ALWAYS_NEW, OFTEN_NEW = 0.05, 0.001
"""Share of rows with a value of their own from which on a category is left out, or no drift of it counts."""


def settings_of(reading: Reading, key: bool) -> tuple[dict[str, Any], list[str]]:
    """Return a feature's entry in the job file, and remarks on it."""
    personal = looks_personal(reading.name, some_texts(reading))
    if personal == "its name" and reading.distinct <= FLAG_LEVELS:
        personal = None
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
    if is_calendar(reading):
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
        if seen_once(reading) > OFTEN_NEW:
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


def is_calendar(reading: Reading) -> bool:
    """Return whether a column is a part of the calendar, by its name and values, or by the names in it."""
    if reading.kind == "text":
        return are_times([text for text in pc.unique(reading.values).to_pylist() if text is not None])
    span = calendar_range(reading.name)
    if span is None or reading.kind not in ("int", "bool"):
        return False
    ends = pc.min_max(pc.cast(reading.values, pa.int64())).as_py()
    return bool(span[0] <= ends["min"] and ends["max"] <= span[1])


def some_texts(reading: Reading) -> Sequence[str]:
    """Return the first texts of a column, or none of a column of another kind."""
    if reading.kind != "text":
        return []
    return [text for text in reading.values.slice(0, 2_000).to_pylist() if text is not None]


def seen_once(reading: Reading) -> float:
    """Return the share of rows whose value no other row has: about the share of the next rows that bring a new one."""
    counts = pc.value_counts(reading.values.drop_null()).field("counts")
    return float(pc.sum(pc.equal(counts, 1)).as_py() or 0) / max(len(reading.values), 1)
