"""``FileStage``: which rows of which Parquet files are a night's, where the tasks of a run read them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Slice:
    """Some rows of a Parquet file, by their numbers in the file, and how many of them are the night's."""

    file: str
    first: int
    end: int
    rows: int


@dataclass(frozen=True)
class FileStage:
    """The rows of a run in files of the source, which must not change until all are read."""

    slices: tuple[Slice, ...]
    states: dict[str, str]
    """Size and time of the last change of each file, as the source has them."""
    repeated_keys: bool
    """Whether rows share a key."""

    @property
    def rows(self) -> int:
        """Return how many rows the night has."""
        return sum(some.rows for some in self.slices)

    @property
    def blocks(self) -> int:
        """Return in how many parts the rows can be read at most."""
        return len(self.slices)

    def of(self, part: tuple[int, int]) -> Sequence[Slice]:
        """Return the slices from one up to another."""
        return self.slices[slice(*part)]

    def as_dict(self) -> dict[str, Any]:
        """Return the stage as JSON values."""
        return {"slices": [asdict(some) for some in self.slices], "states": self.states}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Return the stage whose JSON values these are. Its keys do not repeat: others are not shared."""
        return cls(tuple(Slice(**some) for some in content["slices"]), dict(content["states"]), False)
