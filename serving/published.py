"""The published row of a key: of the newest night that has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import unquote_to_bytes

import pyarrow as pa

from scoring.job import Job
from scoring.rows import ARROW_TYPES, read_as
from scoring.stores import Workspace
from scoring.stores.warehouse import newest_prediction
from serving.limits import Refused


def key_in(raw_path: bytes, job: Job) -> dict[str, Any]:
    """Return the key that the last parts of a path give, one for each key column, slashes in a value written ``%2F``.

    Raises ``Refused`` for another number of parts, or a value that is not of the declared type.
    """
    parts = raw_path.split(b"/predictions/", 1)[1].split(b"/")
    if len(parts) != len(job.key):
        raise Refused(
            422,
            f"key: found {len(parts)} values, expected {len(job.key)}, {'/'.join(job.key)}, a slash in a value as %2F",
        )
    return {name: _read(job, name, unquote_to_bytes(part)) for name, part in zip(job.key, parts, strict=True)}


def _read(job: Job, name: str, value: bytes) -> Any:
    try:
        text = pa.array([value.decode()])
    except UnicodeDecodeError:
        raise Refused(422, f"{name}: found bytes that are not UTF-8") from None
    read = read_as(text, ARROW_TYPES[job.key[name]], name, job.source_timezone)[0][0].as_py()
    if read is None:
        raise Refused(422, f"{name}: found a value that is no {job.key[name]}")
    return read


def published_row(work: Workspace, key: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the newest published prediction of a key as JSON values, or None if no night has one."""
    row = newest_prediction(work.warehouse, work.job, key)
    return None if row is None else {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value


def named(columns: Sequence[str]) -> str:
    """Return the path of a key with these columns."""
    return "/".join(f"{{{name}}}" for name in columns)
