"""``Removal``: one thing that retention may remove."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

Kind = Literal[
    "publication",
    "run",
    "rows in the source",
    "file",
    "shadow predictions",
    "predictions on demand",
    "model version",
    "training snapshot",
]


@dataclass(frozen=True)
class Removal:
    """One thing that may be removed, of the kinds above: rows, files, a table in the source, a version, a snapshot."""

    kind: Kind
    what: str
    """The run's id (also of rows in the source), the version's number (also of shadow predictions), a snapshot's hash, a path,
    or the moment before which predictions on demand go."""
    night: date | None
    bytes: int
    """Size of the files. A run's rows in the table are counted in ``rows``."""
    rows: int
    reason: str
