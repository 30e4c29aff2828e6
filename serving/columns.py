"""Rows of JSON as columns of Arrow, to be read by the contract as a source's rows are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from scoring.job import Job

Row = Mapping[str, Any]
_EXACT = 2**53
"""Whole numbers up to this are the same as floats."""
_NUMBERS = ("float", "int", "bool")
_TEXTS = ("string", "category")


def kinds_of(job: Job) -> dict[str, str]:
    """Return the type that the job declares for each of its columns."""
    return {name: job.key.get(name) or job.features[name].type for name in job.columns}


def batch_of(rows: Sequence[Row], kinds: Mapping[str, str]) -> pa.RecordBatch:
    """Return the declared columns of rows, whatever their values are. A value that is missing is null.

    >>> batch_of([{"x": 1}, {"x": "two"}], {"x": "float"}).column(0).to_pylist()
    ['1', 'two']
    """
    columns = [_column([row.get(name) for row in rows], kind) for name, kind in kinds.items()]
    return pa.RecordBatch.from_arrays(columns, list(kinds))


def _column(values: list[Any], kind: str) -> pa.Array:
    """Return values as numbers, bools or texts if all of them are of the declared kind, else the text of each."""
    types = {type(value) for value in values} - {type(None)}
    try:
        if kind == "float" and types <= {float, int} and (int not in types or all(map(_is_exact, values))):
            return pa.array(values, pa.float64())
        if kind == "int" and types <= {int}:
            return pa.array(values, pa.int64())
        if kind == "bool" and types <= {bool}:
            return pa.array(values, pa.bool_())
        if kind not in _NUMBERS and types <= {str}:
            return pa.array(values, pa.string())
    except (OverflowError, UnicodeEncodeError):
        pass  # a number beyond 64 bits, or half a character: value by value
    if kind in _TEXTS:
        return pa.array([_bytes_of(value) for value in values], pa.binary())
    return pa.array([_text_of(value, kind in ("float", "int")) for value in values], pa.string())


def _is_exact(value: Any) -> bool:
    return not isinstance(value, int) or -_EXACT <= value <= _EXACT


def _bytes_of(value: Any) -> bytes | None:
    """Return the bytes of a value's text. Those of a list, a mapping and half a character are no text for the contract."""
    if isinstance(value, list | dict):
        return b"\xff"
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    text = _text_of(value, numbers=False)
    return None if text is None else text.encode()


def _text_of(value: Any, numbers: bool) -> str | None:
    """Return the text of a value, as a source would give it in a column of text. That of a list or mapping is no number."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(int(value)) if numbers else str(value).lower()
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return repr(value) if isinstance(value, int | float) else "?"
