"""``Stage``: a night's rows in a table of the source, where the tasks of a run read them side by side."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Self

from scoring.stores.source.file_stage import FileStage

COMMENT = "nightshift run "
"""Begins the comment of such a table; the run's id follows."""


@dataclass(frozen=True)
class StagePlace:
    """Where the rows of a run are: schema and table, and the run's id."""

    schema: str
    table: str
    run_id: str

    @classmethod
    def of(cls, schema: str, run_id: str) -> Self:
        """Return the place for a run. The table's name is made of a hash, since job and run can be longer than names may be."""
        return cls(schema, f"night_{hashlib.sha256(run_id.encode()).hexdigest()[:24]}", run_id)


@dataclass(frozen=True)
class Stage:
    """The rows of a run in a table, which never changes."""

    place: StagePlace
    rows: int
    blocks: int
    """Blocks of the table, of PostgreSQL's block size."""
    repeated_keys: bool
    """Whether rows share a key."""

    def as_dict(self) -> dict[str, Any]:
        """Return the stage as JSON values."""
        return {"schema": self.place.schema, "table": self.place.table, "rows": self.rows, "blocks": self.blocks}

    @classmethod
    def from_dict(cls, content: dict[str, Any], run_id: str) -> Self:
        """Return the stage of a run whose JSON values these are. Its keys do not repeat: others are not shared."""
        place = StagePlace(str(content["schema"]), str(content["table"]), run_id)
        return cls(place, int(content["rows"]), int(content["blocks"]), False)


AnyStage = Stage | FileStage
"""A night's rows where the tasks of a run read them."""


def part_of(blocks: int, number: int, of: int) -> tuple[int, int]:
    """Return the first block of a part, and the first one after it. All parts together are all blocks.

    >>> [part_of(10, number, 3) for number in range(3)]
    [(0, 3), (3, 6), (6, 10)]
    """
    return blocks * number // of, blocks * (number + 1) // of


def stage_from(content: dict[str, Any], run_id: str) -> AnyStage:
    """Return the stage of a run whose JSON values these are."""
    return FileStage.from_dict(content) if "slices" in content else Stage.from_dict(content, run_id)
