"""The key of a new job: what was given, the table's primary key, or columns that are unique together in the sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import pyarrow as pa
import pyarrow.compute as pc

from lifecycle.drafting.names_of_columns import names_an_id
from lifecycle.drafting.reading import Reading
from lifecycle.drafting.request import DraftRequest, column_named
from lifecycle.drafting.times import TimeColumn
from scoring.errors import JobFileError
from scoring.stores.source import SourceTable

_TYPES = {"int": "int", "text": "string", "moment": "datetime", "day": "date", "bool": "string"}
"""The type of a key, by how its column is read."""
MOST = 3
"""Columns that are tried together at most, beside the time."""
ONCE = 0.98
"""Different keys by rows from which on a key comes once. The rest are stray doubles, which a night quarantines."""
TRIED = 12
"""Columns of which combinations are tried."""


def key_columns(
    table: SourceTable, readings: Mapping[str, Reading], request: DraftRequest, time: TimeColumn | None
) -> tuple[list[str], str]:
    """Return the key columns beside the time, and where they come from."""
    label = column_named(table, request.label, "--label")
    if request.keys:
        names = list(dict.fromkeys(column_named(table, name, "--key") for name in request.keys))
        return _required([name for name in names if time is None or name != time.name], readings, label), "given"
    primary = [name for name in table.primary_key if time is None or name != time.name]
    if primary and label not in primary:
        return _required(primary, readings, label), "primary key"
    tried = [name for name in _candidates(readings) if name != label and (time is None or name != time.name)]
    columns = list(_unique(table, tried, time) or [])
    if not columns:
        raise JobFileError(
            "--key",
            found="none given, no primary key, and no columns that are unique together in the sample",
            expected="the columns that name a row of a night",
            next_step="add --key, several times for several columns",
        )
    return columns, f"unique in the {table.rows.num_rows:,} rows of the sample"


def require_once(table: SourceTable, names: Sequence[str]) -> None:
    """Raise ``JobFileError`` if a key comes many times in a table without a time: it keeps more than a state of each."""
    counts = table.rows.group_by(list(names)).aggregate([([], "count_all")]).column("count_all")
    if len(counts) >= ONCE * table.rows.num_rows:
        return
    raise JobFileError(
        "--key",
        found=f"{', '.join(names)} comes up to {pc.max(counts).as_py():,} times in the sample, and no column of days was found",
        expected="a column of days (--time), or a key that comes once",
        next_step="give --time or more of --key; of files whose names hold the day, write the SQL by hand and take the day "
        "from the path: read_csv('{root}/dumps/customers_' || :night || '.csv')",
    )


def key_type(reading: Reading) -> str:
    """Return the type of a key column in the job file."""
    return _TYPES[reading.kind]


def _required(names: Sequence[str], readings: Mapping[str, Reading], label: str) -> list[str]:
    if label in names:
        raise JobFileError("--key", found=f"{label!r}, which is --label too", expected="a key that is no outcome")
    bad = [name for name in names if readings[name].kind not in _TYPES]
    if bad:
        kind = readings[bad[0]]
        raise JobFileError(
            "--key",
            found=f"{bad[0]}, {'a fraction' if kind.kind == 'float' else f'type {kind.column.type}'}",
            expected="whole numbers, text, times or days",
            next_step="give other columns",
        )
    return list(names)


def _candidates(readings: Mapping[str, Reading]) -> list[str]:
    """Return the columns that may name a row, the likeliest first."""
    fit = [
        reading
        for reading in readings.values()
        if reading.kind in ("int", "text", "day", "moment") and not reading.values.null_count and reading.distinct > 1
    ]
    ranked = sorted(
        fit, key=lambda reading: (not names_an_id(reading.name), reading.kind == "moment", -reading.distinct)
    )
    return [reading.name for reading in ranked][:TRIED]


def _unique(table: SourceTable, names: Sequence[str], time: TimeColumn | None) -> Sequence[str] | None:
    """Return the fewest columns that are unique, in a night if there are nights, or None."""
    base = [] if time is None else [time.name]
    return next((some for some in _combinations(names) if _is_unique(table.rows, [*base, *some])), None)


def _combinations(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for count in range(1, MOST + 1):
        yield from combinations(names, count)


def _is_unique(rows: pa.Table, names: Sequence[str]) -> bool:
    return bool(rows.group_by(list(names)).aggregate([]).num_rows == rows.num_rows)
