"""The role of every column of a table in a new job: key, label, feature, or left out, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.drafting.feature_settings import (
    ALWAYS_NEW,
    CODES,
    LEVELS_ALLOWED,
    SURE_ROWS,
    is_calendar,
    seen_once,
    settings_of,
    some_texts,
)
from lifecycle.drafting.leaks import leak_of
from lifecycle.drafting.names_of_columns import (
    comes_back_after,
    looks_personal,
    names_an_id,
    names_the_year,
)
from lifecycle.drafting.outcome import Outcome
from lifecycle.drafting.reading import Reading

Part = Literal["key", "label", "time", "feature", "left out"]
NAMES_SHARE = 0.5
"""Different values by rows from which on text is taken for names or free text."""
OWN = 0.9
"""Different values by entities, and by pairs of both, from which on a value is another name of the entity."""
_DAYS_OF_WEEK = frozenset(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
OFTEN = 20
"""Rows that a number of a key has on average when it is a feature, too."""
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
    personal = looks_personal(reading.name, some_texts(reading))
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
    settings, reasons = settings_of(reading, key)
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
    if around.nights is not None and reading.kind == "text" and _marks_stretches(reading, around.nights):
        return "each of its values stands for some nights on end: the model would learn nights by heart"
    back = comes_back_after(reading.name) or (365 if is_calendar(reading) and reading.kind == "text" else None)
    if back is None or around.nights is None or around.window_days >= 2 * back or _weekdays(reading):
        return None
    pairs = pa.table({"night": around.nights, "value": reading.values}).group_by(["night", "value"]).aggregate([])
    nights = pc.count_distinct(around.nights).as_py()
    if pairs.num_rows > 1.2 * nights:
        return None
    return (
        f"in a window of {around.window_days} nights its values hardly come back: the model would learn nights by heart"
    )


def _marks_stretches(reading: Reading, nights: pa.Array) -> bool:
    """Return whether every value belongs to nights that follow one another, as the folders of a lake do."""
    pairs = pa.table({"night": nights, "value": reading.values}).group_by(["night", "value"]).aggregate([])
    if not 1 < reading.distinct < pairs.num_rows / 2 or pairs.num_rows > pc.count_distinct(nights).as_py():
        return False
    values = pairs.sort_by("night").column("value").to_pylist()
    changes = sum(before != after for before, after in pairwise(values))
    return bool(1 + changes == reading.distinct)


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
    pairs = rows if around.entity is None else _pairs(reading, around.entity).num_rows  # a stable value counts once
    text_share = reading.distinct / pairs if pairs else 0.0
    if around.entity is not None and _same_as(reading, around.entity):
        yield "another name of the key"
    personal = looks_personal(reading.name, some_texts(reading))
    if personal and text_share > NAMES_SHARE and reading.distinct > LEVELS_ALLOWED:
        yield f"it names people, by {personal}"
    if reading.kind == "text" and reading.distinct > LEVELS_ALLOWED:
        yield from _names_in_text(reading, text_share, pairs, "rows" if pairs == rows else "pairs with a key")
    if reading.kind == "int" and share > NAMES_SHARE and reading.distinct > CODES:
        if names_an_id(reading.name):
            yield f"an id: {reading.distinct:,} different values in {rows:,} rows"
        if share > 0.999 and _grows(reading.values):
            yield "a number that grows with every row"


def _names_in_text(reading: Reading, share: float, count: int, of: str) -> Iterator[str]:
    if share > NAMES_SHARE:
        yield f"names or free text: {reading.distinct:,} different values in {count:,} {of}"
    once = seen_once(reading)
    if once > ALWAYS_NEW and reading.distinct > CODES:
        yield f"every night brings new values: {once:.0%} of the rows have one that comes once"
    length = pc.mean(pc.utf8_length(pc.unique(reading.values).drop_null())).as_py() or 0
    if length > LONG:
        yield f"free text: {length:.0f} characters on average"


def _same_as(reading: Reading, entity: pa.Array) -> bool:
    """Return whether nearly every entity that has a value has its own, nearly always the same."""
    if reading.distinct <= LEVELS_ALLOWED or not (reading.kind == "text" or names_an_id(reading.name)):
        return False
    pairs = _pairs(reading, entity)
    entities = pc.count_distinct(pairs.column("entity")).as_py()
    return bool(reading.distinct >= OWN * entities and reading.distinct >= OWN * pairs.num_rows)


def _pairs(reading: Reading, entity: pa.Array) -> pa.Table:
    """Return the different pairs of entity and value, without nulls: one per entity if its value stays the same."""
    pairs = pa.table({"entity": entity, "value": reading.values}).drop_null()
    return pairs.group_by(["entity", "value"]).aggregate([])


def _few_numbers(reading: Reading) -> bool:
    """Return whether a key's numbers are few and come often, like those of shops, so that a model can learn of each."""
    return reading.distinct <= CODES and len(reading.values) >= OFTEN * reading.distinct


def _grows(values: pa.Array) -> bool:
    numbers = values.drop_null().to_numpy()
    return bool(np.all(np.diff(numbers) > 0) or np.all(np.diff(numbers) < 0) or _dense(numbers))


def _dense(numbers: np.ndarray) -> bool:
    """Return whether the numbers are those of a counter, drawn evenly."""
    ordered = np.sort(numbers)
    line = np.linspace(ordered[0], ordered[-1], len(ordered))
    width = float(ordered[-1] - ordered[0]) or 1.0
    return bool(len(ordered) >= SURE_ROWS and float(np.abs(ordered - line).max()) / width < 0.002)
